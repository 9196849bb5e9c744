//! The append-optimized files of a backup: what its metadata promises, beside the objects and the files of today.

use std::collections::BTreeMap;
use std::path::Path;

use codec::{Codec, Decoder};
use formats::ao::{AoFile, AoFilesMetadata};
use formats::increment::{IncrementError, TailIncrement};
use formats::{BackupName, layout};
use tokio_util::sync::CancellationToken;

use super::Lengths;
use crate::bridge::{Driver, ObjectSource, on_worker};
use crate::error::{Error, Result, from_io};
use crate::repository::Repository;

/// Checks every entry of the backup. A file that no longer exists in `data_dir` is not missed there: the table may be gone.
pub async fn check_backup(repository: &Repository, backup: &BackupName, data_dir: &Path) -> Result<Lengths> {
    let key = layout::ao_files_metadata_key(backup);
    let metadata: AoFilesMetadata = repository.get_json(&key).await?;
    let objects = repository.store().list(&layout::aosegment_key("")).await?;
    let sizes: BTreeMap<String, u64> = objects.into_iter().map(|object| (object.key, object.size)).collect();
    let mut lengths = Lengths { files: metadata.files.len() as u64, problems: Vec::new() };
    for (path, file) in &metadata.files {
        let eof = u64::try_from(file.eof).unwrap_or(0);
        let key = layout::aosegment_key(&file.storage_path);
        let found = match sizes.get(&key) {
            None => Some(format!("object {key} does not exist")),
            Some(size) => object_problem(repository, &key, *size, file, eof).await?,
        };
        lengths.problems.extend(found.map(|why| format!("backup {backup}: {path}: {why}")));
        let on_disk = data_dir.join(path.trim_start_matches('/'));
        match std::fs::metadata(&on_disk) {
            Ok(metadata) if metadata.len() < eof => {
                let why = format!("the file has {} bytes now, the backup has {eof} of it", metadata.len());
                lengths.problems.push(format!("backup {backup}: {path}: {why}"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("looking at", on_disk, error)),
        }
    }
    Ok(lengths)
}

/// Why the object cannot hold the file up to `eof`.
async fn object_problem(
    repository: &Repository,
    key: &str,
    size: u64,
    file: &AoFile,
    eof: u64,
) -> Result<Option<String>> {
    if !file.is_incremented {
        let needed = repository.cipher.stored_bytes(eof);
        let short = size < needed;
        return Ok(
            short.then(|| format!("object {key} has {size} bytes, {needed} are needed for {eof} bytes of content"))
        );
    }
    let head = match increment_head(repository, key).await? {
        Ok(head) => head,
        Err(why) => return Ok(Some(format!("object {key} is no increment: {why}"))),
    };
    let (TailIncrement { end, offset }, needed) = (head, repository.cipher.stored_bytes(head.stored_bytes()));
    if end < eof {
        return Ok(Some(format!("the increment {key} ends at {end}, the catalog said {eof}")));
    }
    Ok((size < needed)
        .then(|| format!("object {key} has {size} bytes, an increment from {offset} to {end} has {needed}")))
}

/// The head of an increment, or why there is none.
async fn increment_head(repository: &Repository, key: &str) -> Result<Result<TailIncrement, IncrementError>> {
    let (repository, key) = (repository.clone(), key.to_owned());
    on_worker(move || {
        let broken = |error: std::io::Error| from_io(error, |error| Error::damaged(&key, error));
        let driver = Driver::current(repository.store());
        let source = ObjectSource::open(&driver, &CancellationToken::new(), repository.store(), &key)?;
        let mut decoder =
            Decoder::new(Codec::None, &repository.cipher, source).map_err(|error| broken(error.into()))?;
        match TailIncrement::read(&mut decoder, None) {
            Err(IncrementError::Read(error)) => Err(broken(error)),
            other => Ok(other),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use codec::{Cipher, Compression};
    use storage::Store;

    use super::*;

    const BACKUP: &str = "base_000000010000000000000002";

    fn increment(end: u64, offset: u64, content: usize) -> Vec<u8> {
        [&TailIncrement { end, offset }.head()[..], &vec![7; content]].concat()
    }

    async fn problems(objects: &[(&str, Vec<u8>)], data_dir: &Path) -> Vec<String> {
        let store = Store::memory();
        let metadata = r#"{"Files":{"/base/1/2.1":{"StoragePath":"a_aoseg","EOF":100},
            "/base/1/3.1":{"StoragePath":"b_D_2_aoseg","EOF":100,"IsIncremented":true}}}"#;
        let key = format!("basebackups_005/{BACKUP}/ao_files_metadata.json");
        store.put(&key, Bytes::from_static(metadata.as_bytes())).await.unwrap();
        for (name, content) in objects {
            store.put(&format!("basebackups_005/aosegments/{name}"), content.clone().into()).await.unwrap();
        }
        let repository = Repository::over(store, Compression::Lz4, Cipher::None);
        let lengths = check_backup(&repository, &BACKUP.parse().unwrap(), data_dir).await.unwrap();
        assert_eq!(lengths.files, 2);
        lengths.problems
    }

    #[tokio::test]
    async fn objects_hold_what_the_metadata_promises() {
        let dir = tempfile::tempdir().unwrap();
        let good = ("b_D_2_aoseg", increment(100, 60, 40));
        assert_eq!(problems(&[("a_aoseg", vec![0; 120]), good.clone()], dir.path()).await, [""; 0]);
        let found = problems(&[("a_aoseg", vec![0; 99]), good], dir.path()).await;
        assert!(found.len() == 1 && found[0].contains("/base/1/2.1") && found[0].contains("99 bytes"), "{found:?}");
        for (wrong, why) in [
            (increment(99, 60, 39), "ends at 99"),
            (increment(100, 60, 39), "59 bytes"),
            (increment(60, 100, 0), "no increment"),
            (b"wi1\x55garbage".to_vec(), "an increment begins with"),
            (b"wi1\x56".to_vec(), "cut off"),
        ] {
            let found = problems(&[("a_aoseg", vec![0; 100]), ("b_D_2_aoseg", wrong)], dir.path()).await;
            assert!(found.len() == 1 && found[0].contains(why), "{found:?}");
        }
        assert_eq!(problems(&[], dir.path()).await.len(), 2);
    }

    #[tokio::test]
    async fn a_file_of_today_that_is_too_short_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("base/1")).unwrap();
        std::fs::write(dir.path().join("base/1/2.1"), [0; 50]).unwrap();
        let objects = [("a_aoseg", vec![0; 100]), ("b_D_2_aoseg", increment(100, 60, 40))];
        let found = problems(&objects, dir.path()).await;
        assert!(found.len() == 1 && found[0].contains("50 bytes now"), "{found:?}");
    }
}
