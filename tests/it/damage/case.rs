//! The ways in which an object can be damaged.

use std::path::Path;

use bytes::Bytes;

use super::source::Objects;

/// What happens to one object. Positions are in thousandths of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    Deleted,
    /// Cut after so much.
    Cut(usize),
    /// Without its last byte.
    LastByteLost,
    /// With one byte more.
    Longer,
    /// One bit turned over at this place.
    Flipped(usize),
    /// One bit of the last byte turned over.
    LastByteFlipped,
    /// Nothing is left but its name.
    Emptied,
}

/// Every kind, at several places.
pub const ALL: [Damage; 12] = [
    Damage::Deleted,
    Damage::Emptied,
    Damage::Cut(10),
    Damage::Cut(500),
    Damage::LastByteLost,
    Damage::Longer,
    Damage::Flipped(0),
    Damage::Flipped(5),
    Damage::Flipped(250),
    Damage::Flipped(500),
    Damage::Flipped(900),
    Damage::LastByteFlipped,
];

impl Damage {
    /// True where the number of bytes stays.
    pub fn is_flip(self) -> bool {
        matches!(self, Damage::Flipped(_) | Damage::LastByteFlipped)
    }

    /// What is left of an object; nothing where it is deleted.
    pub fn of(self, mut body: Vec<u8>) -> Option<Vec<u8>> {
        let place = |thousandths: usize| body.len() * thousandths / 1000;
        match self {
            Damage::Deleted => return None,
            Damage::Emptied => body.clear(),
            Damage::Cut(at) => body.truncate(place(at)),
            Damage::LastByteLost => body.truncate(body.len() - 1),
            Damage::Longer => body.push(b'x'),
            Damage::Flipped(at) => {
                let at = place(at);
                body[at] ^= 1;
            }
            Damage::LastByteFlipped => *body.last_mut().unwrap() ^= 1,
        }
        Some(body)
    }

    /// Does it to the object `key`.
    pub fn apply(self, objects: &mut Objects, key: &str) {
        let body = objects.remove(key).unwrap().to_vec();
        if let Some(body) = self.of(body) {
            objects.insert(key.to_string(), Bytes::from(body));
        }
    }

    /// Does it to a file; returns what it held.
    pub fn apply_to_file(self, path: &Path) -> Vec<u8> {
        let body = std::fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
        match self.of(body.clone()) {
            None => std::fs::remove_file(path).unwrap(),
            Some(damaged) => rig::User::get().write(path, damaged, 0o600),
        }
        body
    }
}
