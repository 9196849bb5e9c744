//! Which cipher the settings ask for, in WAL-G's order of choice.

use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::{Error, Settings};

/// The cipher that is configured. A caller that would store data must refuse [`Encryption::Unsupported`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    None,
    /// `transform` is `none`, `hex` or `base64`.
    Libsodium {
        key: LibsodiumKey,
        transform: String,
    },
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

const PGP: [&str; 5] = ["WALG_PGP_KEY", "WALG_PGP_KEY_PATH", "GPG_KEY_ID", "WALG_GPG_KEY_ID", "WALE_GPG_KEY_ID"];
const ENVELOPE: [&str; 3] =
    ["WALG_ENVELOPE_PGP_KEY", "WALG_ENVELOPE_PGP_KEY_PATH", "WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID"];
const KMS: [&str; 2] = ["WALG_CSE_KMS_ID", "YC_CSE_KMS_KEY_ID"];

impl Settings {
    /// PGP, then envelope PGP, then a key management service, then libsodium. Unlike WAL-G, which then stores clear text,
    /// `WALG_GPG_KEY_ID` and `WALE_GPG_KEY_ID` count without `GPG_KEY_ID`.
    pub fn encryption(&self) -> Result<Encryption, Error> {
        let first = |names: &[&str]| names.iter().find(|name| self.explicit(name)).map(|name| (*name).to_owned());
        if let (Some(first), Some(second)) = (first(&PGP), first(&ENVELOPE)) {
            return Err(Error::TwoCiphers { first, second });
        }
        if let Some(name) = first(&PGP).or_else(|| first(&ENVELOPE)).or_else(|| first(&KMS)) {
            return Ok(Encryption::Unsupported(name));
        }
        let text = self.get("WALG_LIBSODIUM_KEY").map(|key| LibsodiumKey::Text(Zeroizing::new(key.to_owned())));
        let Some(key) = text.or_else(|| self.path("WALG_LIBSODIUM_KEY_PATH").map(LibsodiumKey::Path)) else {
            return Ok(Encryption::None);
        };
        let transform = self.get("WALG_LIBSODIUM_KEY_TRANSFORM").unwrap_or("none");
        if !["none", "hex", "base64"].contains(&transform) {
            return Err(self.invalid("WALG_LIBSODIUM_KEY_TRANSFORM", "expected none, hex or base64"));
        }
        Ok(Encryption::Libsodium { key, transform: transform.to_owned() })
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
