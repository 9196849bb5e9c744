//! Values as numbers, durations, sizes, paths.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, Settings};

impl Settings {
    /// Unset is false. Text other than WAL-G's spellings of a boolean is an error.
    pub fn bool(&self, _name: &str) -> Result<bool, Error> {
        todo!()
    }

    pub fn int(&self, _name: &str) -> Result<Option<i64>, Error> {
        todo!()
    }

    pub fn float(&self, _name: &str) -> Result<Option<f64>, Error> {
        todo!()
    }

    /// A whole number of at least 1; `fallback` if unset.
    pub fn concurrency(&self, _name: &str, _fallback: usize) -> Result<usize, Error> {
        todo!()
    }

    /// Go's form: `90s`, `1h30m`, `720h`, `0`.
    pub fn duration(&self, _name: &str) -> Result<Option<Duration>, Error> {
        todo!()
    }

    /// A number with an optional b, kb, mb, gb (powers of 1024), KiB, MiB, GiB.
    pub fn bytes(&self, _name: &str) -> Result<Option<u64>, Error> {
        todo!()
    }

    /// A leading `~/` stands for the home directory.
    pub fn path(&self, _name: &str) -> Option<PathBuf> {
        todo!()
    }
}
