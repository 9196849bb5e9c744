//! The choice of encryption and its key.
//!
//! Promise: a key never appears in `Debug`, `Display` or an error, and its memory is wiped when the last owner is gone.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::{Error, secretstream};

/// Bytes in a secretstream key.
pub(crate) const KEY_BYTES: usize = 32;
/// Shortest text that the transform `none` takes.
const KEY_TEXT_MIN_BYTES: usize = 25;

/// How objects are encrypted between compression and storage.
#[derive(Clone, Debug)]
pub enum Cipher {
    /// Stored as they are.
    None,
    /// libsodium secretstream (XChaCha20-Poly1305) in chunks of 8192 bytes.
    Libsodium(SecretKey),
}

impl Cipher {
    /// Length of an object that holds so many uncompressed bytes.
    pub fn stored_bytes(&self, plain_bytes: u64) -> u64 {
        match self {
            Cipher::None => plain_bytes,
            Cipher::Libsodium(_) => secretstream::sealed_bytes(plain_bytes),
        }
    }
}

/// A 32-byte key. Clones share one copy in memory.
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<[u8; KEY_BYTES]>>);

impl SecretKey {
    /// From `WALG_LIBSODIUM_KEY` (or the trimmed content of the key file) and `WALG_LIBSODIUM_KEY_TRANSFORM`:
    ///
    /// * `none`: at least 25 bytes of text, cut to 32 or filled up with zero bytes;
    /// * `hex`, `base64`: text that decodes to exactly 32 bytes (base64: standard alphabet with padding).
    ///
    /// The text is taken as it is; line breaks inside base64 are skipped, as Go's decoder does.
    pub fn from_setting(text: &str, transform: &str) -> Result<SecretKey, Error> {
        let bytes = match transform {
            "none" => Self::pad(text.as_bytes())?,
            "hex" => Zeroizing::new(hex::decode(text).map_err(|_| key_error("the key is not valid hexadecimal text"))?),
            "base64" => Self::decode_base64(text)?,
            _ => {
                return Err(Error::Setting {
                    setting: "WALG_LIBSODIUM_KEY_TRANSFORM",
                    why: format!("`{transform}` is not one of none, hex, base64"),
                });
            }
        };
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(key_error(&format!("the key must have exactly {KEY_BYTES} bytes, not {}", bytes.len())));
        }
        key.copy_from_slice(&bytes);
        Ok(SecretKey(Arc::new(key)))
    }

    fn pad(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        if text.len() < KEY_TEXT_MIN_BYTES {
            return Err(key_error(&format!(
                "the key must have at least {KEY_TEXT_MIN_BYTES} bytes, not {}",
                text.len()
            )));
        }
        let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
        let used = text.len().min(KEY_BYTES);
        bytes[..used].copy_from_slice(&text[..used]);
        Ok(bytes)
    }

    fn decode_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let config = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
        let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
        let mut joined = Zeroizing::new(String::with_capacity(text.len()));
        joined.extend(text.chars().filter(|c| !matches!(c, '\r' | '\n')));
        let decoded = engine.decode(joined.as_bytes()).map_err(|_| key_error("the key is not valid base64 text"))?;
        Ok(Zeroizing::new(decoded))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

fn key_error(why: &str) -> Error {
    Error::Setting { setting: "WALG_LIBSODIUM_KEY", why: why.to_owned() }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_length_of_an_object_is_known_before() {
        let key = SecretKey::from_setting("0123456789012345678901234", "none").unwrap();
        for cipher in [Cipher::None, Cipher::Libsodium(key)] {
            for plain in [0, 1, 8191, 8192, 8193, 16384, 200_000] {
                let mut encoder = crate::Encoder::new(crate::Compression::None, &cipher, Vec::new()).unwrap();
                encoder.write_all(&vec![7; plain]).unwrap();
                let stored = encoder.finish().unwrap();
                assert_eq!(cipher.stored_bytes(plain as u64), stored.len() as u64, "{plain} bytes, {cipher:?}");
            }
        }
    }

    #[test]
    fn none_cuts_or_pads() {
        let short = SecretKey::from_setting("0123456789012345678901234", "none").unwrap();
        assert_eq!(short.bytes(), b"0123456789012345678901234\0\0\0\0\0\0\0");
        let long = SecretKey::from_setting(&"k".repeat(40), "none").unwrap();
        assert_eq!(long.bytes(), &[b'k'; 32]);
        assert!(SecretKey::from_setting("012345678901234567890123", "none").is_err());
    }

    #[test]
    fn hex_and_base64_need_exactly_32_bytes() {
        let text = "574c6ab40dd9c2ef5e9a1b1295ab4889794c68f6bfd256c3f424bc386742e907";
        let from_hex = SecretKey::from_setting(text, "hex").unwrap();
        let from_base64 = SecretKey::from_setting("V0xqtA3Zwu9emhsSlatIiXlMaPa/0lbD9CS8\nOGdC6Qc=", "base64").unwrap();
        assert_eq!(from_hex.bytes(), from_base64.bytes());
        assert!(SecretKey::from_setting(&text.to_uppercase(), "hex").is_ok());
        for (text, transform) in [
            (&text[..62], "hex"),
            (&text[..63], "hex"),
            ("xx", "hex"),
            ("DBXYo+QaYKCLSNad+m27jl2UHtW4Htm9pStJv1ujjKPB2N5fmitOFw==", "base64"),
            ("V0xqtA3Zwu9emhsSlatIiXlMaPa/0lbD9CS8OGdC6Qc", "base64"),
            (text, "rot13"),
        ] {
            assert!(SecretKey::from_setting(text, transform).is_err(), "{transform}");
        }
    }

    #[test]
    fn the_key_is_never_shown() {
        let text = "very-secret-very-secret-very-secret";
        let key = SecretKey::from_setting(text, "none").unwrap();
        assert_eq!(format!("{:?} {key}", Cipher::Libsodium(key.clone())), "Libsodium(***) ***");
        for transform in ["hex", "base64"] {
            let error = SecretKey::from_setting(text, transform).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret-"), "{error}");
        }
    }
}
