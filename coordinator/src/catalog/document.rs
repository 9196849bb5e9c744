//! Reading the JSON documents of a catalog.

use formats::go_json;
use futures::stream::{self, StreamExt};
use serde::de::DeserializeOwned;
use storage::{ErrorKind, Store};

use super::Error;

/// Documents asked for at once.
const REQUESTS_AT_ONCE: usize = 16;

/// The documents that could be read, in the order of their entries, and one error for each of the others. A command that
/// shows or uses `found` while `unreadable` is not empty reports every error and exits non-zero.
#[derive(Debug)]
pub struct Reading<T> {
    pub found: Vec<T>,
    pub unreadable: Vec<Error>,
}

/// One request.
pub(super) async fn read<T: DeserializeOwned>(store: &Store, key: String) -> Result<T, Error> {
    let bytes = store.get(&key).await?;
    Ok(go_json::from_slice(&key, &bytes)?)
}

/// One request for each entry. An object that was deleted since it was listed is neither found nor unreadable.
pub(super) async fn read_all<E, T, D>(
    store: &Store,
    entries: &[E],
    key: impl Fn(&E) -> String,
    make: impl Fn(&E, D) -> T,
) -> Reading<T>
where
    D: DeserializeOwned,
{
    let requests: Vec<_> = entries.iter().map(|entry| read::<D>(store, key(entry))).collect();
    let documents: Vec<_> = stream::iter(requests).buffered(REQUESTS_AT_ONCE).collect().await;
    let mut reading = Reading { found: Vec::new(), unreadable: Vec::new() };
    for (entry, document) in entries.iter().zip(documents) {
        match document {
            Ok(document) => reading.found.push(make(entry, document)),
            Err(Error::Storage(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => reading.unreadable.push(error),
        }
    }
    reading
}
