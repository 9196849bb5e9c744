//! Which cipher the settings ask for, in WAL-G's order of choice.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::{Error, Settings};

/// The cipher that is configured. A caller that would store data must refuse [`Encryption::Unsupported`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    None,
    /// `transform` is `none`, `hex` or `base64`.
    Libsodium { key: LibsodiumKey, transform: String },
    /// The setting that asks for a cipher which does not exist here.
    Unsupported(String),
}

/// Where the libsodium key stands.
#[derive(Clone, PartialEq, Eq)]
pub enum LibsodiumKey {
    Text(Zeroizing<String>),
    /// The file's content, white space around it removed, is the key text.
    Path(PathBuf),
}

impl Settings {
    pub fn encryption(&self) -> Result<Encryption, Error> {
        todo!()
    }
}

impl std::fmt::Debug for LibsodiumKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LibsodiumKey::Text(_) => f.write_str("Text(***)"),
            LibsodiumKey::Path(path) => f.debug_tuple("Path").field(path).finish(),
        }
    }
}
