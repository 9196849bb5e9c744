//! From JSON text to checked places.

use crate::{Error, RestoreConfig};

pub fn parse(_text: &str) -> Result<RestoreConfig, Error> {
    todo!()
}
