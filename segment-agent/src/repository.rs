//! One backup repository as a segment sees it: a store below its prefix, the codec and the cipher in force.

use bytes::Bytes;
use codec::{Cipher, Compression, SecretKey};
use formats::{ContentId, layout};
use serde::Serialize;
use serde::de::DeserializeOwned;
use settings::{Encryption, LibsodiumKey, Settings};
use storage::{StorageSettings, Store};

use crate::bridge::ObjectDigest;
use crate::environment::lookup;
use crate::error::{Error, Result};

/// Size of the parts of an S3 upload, unless set.
const S3_PART_BYTES: u64 = 8 << 20;

/// What a download holds in memory at most.
const DOWNLOAD_BYTES: u64 = 2 << 20;

/// The only place that opens stores; keys come from [`formats::layout`].
#[derive(Clone)]
pub struct Repository {
    root: Store,
    store: Store,
    pub compression: Compression,
    pub cipher: Cipher,
    transfer_bytes: u64,
}

impl Repository {
    /// Opens the repository that `settings` name; no request is sent.
    pub fn open(settings: &Settings) -> Result<Self> {
        refuse_failover(settings)?;
        let mut storage = StorageSettings::from_lookup(&lookup(settings))?;
        let transfer_bytes = transfer_bytes(&mut storage, settings);
        let root = Store::open(&storage)?;
        let store = match settings.get("WALG_STORAGE_PREFIX") {
            Some(prefix) => root.at(prefix),
            None => root.clone(),
        };
        let compression = compression(settings)?;
        Ok(Self { root, store, compression, cipher: cipher(settings)?, transfer_bytes })
    }

    /// A repository over a store of the caller's.
    pub fn over(store: Store, compression: Compression, cipher: Cipher) -> Self {
        Self { root: store.clone(), store, compression, cipher, transfer_bytes: 0 }
    }

    /// A repository over a store of the caller's, with the codec and the cipher that `settings` name.
    pub fn with_store(store: Store, settings: &Settings) -> Result<Self> {
        Ok(Self::over(store, compression(settings)?, cipher(settings)?))
    }

    /// The part that belongs to one segment of a cluster. WAL-G puts it below the storage's root whatever
    /// `WALG_STORAGE_PREFIX` says, and so must whoever reads its trees.
    pub fn segment(&self, content: ContentId) -> Self {
        Self { store: self.root.at(&layout::segment_prefix(content)), ..self.clone() }
    }

    /// The storage's root, where the parts of the segments stand.
    pub fn root(&self) -> &Store {
        &self.root
    }

    /// The segments that have a part in this storage.
    pub async fn contents(&self) -> Result<Vec<ContentId>> {
        let folders = self.root.list_folder(layout::SEGMENTS).await?.folders;
        Ok(folders.iter().filter_map(|folder| layout::content_of_segment_folder(folder)).collect())
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Memory that one upload of the storage holds.
    pub fn upload_memory_bytes(&self) -> u64 {
        self.transfer_bytes
    }

    /// Memory that one download of the storage holds.
    pub fn download_memory_bytes(&self) -> u64 {
        self.transfer_bytes.min(DOWNLOAD_BYTES)
    }

    /// Writes a small JSON document as Go's encoding/json would; returns what was stored.
    pub async fn put_json<T: Serialize>(&self, key: &str, document: &T) -> Result<ObjectDigest> {
        let body = formats::go_json::to_vec(document);
        let digest = ObjectDigest::of(&body);
        self.store.put(key, Bytes::from(body)).await?;
        Ok(digest)
    }

    pub async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let body = self.store.get(key).await?;
        formats::go_json::from_slice(key, &body).map_err(|error| Error::damaged(key, error))
    }

    /// Like [`get_json`](Self::get_json), but an absent document is no error.
    pub async fn find_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        match self.get_json(key).await {
            Err(Error::Storage(error)) if error.kind() == storage::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }
}

/// A log file that lies in a failover storage would be reported as not archived, and recovery would end too early.
fn refuse_failover(settings: &Settings) -> Result<()> {
    if settings.failover_storages().is_empty() {
        return Ok(());
    }
    let what = "WALG_FAILOVER_STORAGES is set, but this version works with one storage";
    Err(Error::refused(
        what,
        "remove it from the settings, after transferring what the failover storages hold to the main one",
    ))
}

/// What one upload holds in memory. WAL-G's default part size would eat the budget of a host with two uploads, so parts are
/// smaller unless S3_MAX_PART_SIZE asks for more.
fn transfer_bytes(storage: &mut StorageSettings, settings: &Settings) -> u64 {
    let StorageSettings::S3(s3) = storage else { return 0 };
    let names = ["S3_MAX_PART_SIZE", "WALG_S3_MAX_PART_SIZE", "WALE_S3_MAX_PART_SIZE"];
    if !names.iter().any(|name| settings.explicit(name)) {
        s3.part_size_bytes = S3_PART_BYTES;
    }
    2 * s3.part_size_bytes
}

fn compression(settings: &Settings) -> Result<Compression> {
    let method = settings.get("WALG_COMPRESSION_METHOD").unwrap_or("lz4");
    Compression::from_setting(method, settings.get("WALG_ZSTD_LEVEL")).map_err(|error| {
        Error::refused(format!("WALG_COMPRESSION_METHOD={method}: {error}"), "use lz4, zstd, brotli, lzma or none")
    })
}

fn cipher(settings: &Settings) -> Result<Cipher> {
    let (key, transform) = match settings.encryption()? {
        Encryption::None => return Ok(Cipher::None),
        Encryption::Unsupported(name) => {
            let what = format!("{name} asks for a kind of encryption that this version does not have");
            let remedy =
                "configure WALG_LIBSODIUM_KEY or WALG_LIBSODIUM_KEY_PATH; nothing is stored in clear text instead";
            return Err(Error::refused(what, remedy));
        }
        Encryption::Libsodium { key, transform } => (key, transform),
    };
    let text = match key {
        LibsodiumKey::Text(text) => text,
        LibsodiumKey::Path(path) => {
            let content =
                std::fs::read_to_string(&path).map_err(|error| Error::file("reading the key file", &path, error))?;
            content.trim().to_owned().into()
        }
    };
    let key = SecretKey::from_setting(&text, &transform).map_err(|error| {
        Error::refused(
            format!("the libsodium key cannot be used: {error}"),
            "check WALG_LIBSODIUM_KEY, _KEY_PATH and _KEY_TRANSFORM",
        )
    })?;
    Ok(Cipher::Libsodium(key))
}

#[cfg(test)]
mod tests {
    use settings::{Kind, Request};

    use super::*;

    #[test]
    fn the_storage_prefix_holds_for_all_but_the_segments() {
        let dir = tempfile::tempdir().unwrap();
        let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let flags = vec![flag("WALG_FILE_PREFIX", dir.path().to_str().unwrap()), flag("WALG_STORAGE_PREFIX", "pre")];
        let config = dir.path().join("c.yaml");
        std::fs::write(&config, "").unwrap();
        let request = Request { config: Some(config), flags, kind: Kind::Greenplum };
        let repository = Repository::open(&Settings::load(&request, &|_| None).unwrap()).unwrap();
        let put =
            |repository: &Repository| futures::executor::block_on(repository.store().put("a", Bytes::new())).unwrap();
        put(&repository);
        put(&repository.segment(ContentId(3)));
        assert!(dir.path().join("pre/a").exists() && dir.path().join("segments_005/seg3/a").exists());
    }
}
