//! What is wrong with stored objects, collected while workers read them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result, from_io};

/// Problems that are told of one object; a broken table has one for every page.
const PROBLEMS_PER_OBJECT: usize = 20;
/// Objects with problems that are told by name.
const OBJECTS: usize = 1000;

#[derive(Default)]
pub struct Findings {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_object: BTreeMap<String, BTreeSet<String>>,
    untold: u64,
    /// Objects that decoded to their end, and those that the key did not open.
    decoded: u64,
    unopened: u64,
}

impl Findings {
    /// `key`: relative to the segment's part of the storage.
    pub fn add(&self, key: &str, problem: impl std::fmt::Display) {
        let mut state = self.lock();
        let full = state.by_object.len() >= OBJECTS && !state.by_object.contains_key(key);
        if full || state.by_object.get(key).is_some_and(|problems| problems.len() >= PROBLEMS_PER_OBJECT) {
            state.untold += 1;
            return;
        }
        state.by_object.entry(key.to_owned()).or_default().insert(problem.to_string());
    }

    pub fn has(&self, key: &str) -> bool {
        self.lock().by_object.contains_key(key)
    }

    pub fn note_decoded(&self) {
        self.lock().decoded += 1;
    }

    /// Damage of the object `key` becomes a finding (then `None`); trouble with reaching the storage stays an error.
    pub fn sift<T>(&self, key: &str, outcome: Result<T>) -> Result<Option<T>> {
        let error = match outcome {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error,
        };
        match error {
            Error::Damaged { key: damaged, why } if damaged == key => self.add(key, why),
            Error::Storage(error) if error.kind() == storage::ErrorKind::NotFound => self.add(key, "it is missing"),
            Error::Storage(error) if error.kind() == storage::ErrorKind::Corrupt => self.add(key, error),
            other => return Err(other),
        }
        Ok(None)
    }

    /// An error of the decoder of `key`: damage, unless it comes from the storage below.
    pub fn decoding(&self, key: &str, error: impl Into<std::io::Error>) -> Error {
        let error = from_io(error.into(), |error| {
            let error = codec::Error::from(error);
            if matches!(error, codec::Error::WrongKey) {
                self.lock().unopened += 1;
            }
            Error::damaged(key, error)
        });
        match error {
            Error::Storage(error) if error.kind() == storage::ErrorKind::Corrupt => Error::damaged(key, error),
            other => other,
        }
    }

    /// Nothing at all could be decrypted: that is not a fact about the storage.
    pub fn refuse_wrong_key(&self) -> Result<()> {
        let state = self.lock();
        if state.decoded > 0 || state.unopened == 0 {
            return Ok(());
        }
        let what = "no object of the backup decrypts with the configured key";
        let remedy =
            "set WALG_LIBSODIUM_KEY (or _KEY_PATH, with _KEY_TRANSFORM) to the key that the backup was written with";
        Err(Error::refused(what, remedy))
    }

    /// Objects with their problems, and the number of problems that are not among them.
    pub fn take(&self) -> (BTreeMap<String, BTreeSet<String>>, u64) {
        let mut state = self.lock();
        (std::mem::take(&mut state.by_object), state.untold)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_bounded_and_what_is_not_is_counted() {
        let findings = Findings::default();
        (0..OBJECTS + 2).for_each(|object| findings.add(&format!("{object}"), "x"));
        (0..PROBLEMS_PER_OBJECT + 3).for_each(|problem| findings.add("0", problem));
        let (told, untold) = findings.take();
        assert_eq!(told.len(), OBJECTS);
        assert_eq!(told["0"].len(), PROBLEMS_PER_OBJECT);
        assert_eq!(untold, 2 + 4);
    }

    #[test]
    fn damage_is_a_finding_and_an_unreachable_storage_is_not() {
        let findings = Findings::default();
        assert!(findings.sift::<()>("a", Err(Error::damaged("a", "cut"))).unwrap().is_none());
        assert!(findings.sift::<()>("a", Err(Error::Cancelled)).is_err());
        assert!(findings.has("a"));
        assert!(findings.refuse_wrong_key().is_ok());
        let _ = findings.decoding("b", codec::Error::WrongKey);
        assert!(findings.refuse_wrong_key().is_err());
        findings.note_decoded();
        assert!(findings.refuse_wrong_key().is_ok());
    }
}
