//! What a manifest promises, ready to be asked while files are being restored.

use std::collections::HashMap;
use std::io::Read;

use crate::bridge::ObjectDigest;
use formats::manifest::{ManifestEntry, read_manifest};

/// The tablespace map contradicts a restore spec, so it is left out where one is given.
pub const TABLESPACE_MAP: &str = "/tablespace_map";

/// The plain content of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileProof {
    pub bytes: u64,
    pub mode: u32,
    pub blake3: [u8; 32],
    /// The object holds changed pages only, and size and hash are theirs.
    pub increment: bool,
    /// Index of the object that holds the file, among the names given by [`Proofs::object_name`].
    pub object: u32,
}

/// The stored bytes of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectProof {
    pub bytes: u64,
    pub blake3: [u8; 32],
}

#[derive(Default)]
pub struct Proofs {
    /// By path with a leading slash.
    pub files: HashMap<Box<str>, FileProof>,
    /// By key inside the backup's folder.
    pub objects: HashMap<Box<str>, ObjectProof>,
    holders: Vec<String>,
}

impl Proofs {
    /// Reads `manifest.json`.
    pub fn read(reader: impl Read) -> Result<Self, formats::Error> {
        let mut proofs = Self::default();
        let mut holders = HashMap::<String, u32>::new();
        read_manifest(reader, |entry| match entry {
            ManifestEntry::File(file) => {
                let next = u32::try_from(holders.len()).unwrap_or(u32::MAX);
                let object = *holders.entry(file.object).or_insert(next);
                let proof = FileProof {
                    bytes: file.size,
                    mode: file.mode,
                    blake3: file.blake3.0,
                    increment: file.increment,
                    object,
                };
                proofs.files.insert(rooted(&file.path), proof);
            }
            ManifestEntry::Object(object) => {
                let proof = ObjectProof { bytes: object.size, blake3: object.blake3.0 };
                proofs.objects.insert(object.name.into(), proof);
            }
        })?;
        let mut names = vec![String::new(); holders.len()];
        for (name, index) in holders {
            names[index as usize] = name;
        }
        proofs.holders = names;
        Ok(proofs)
    }

    /// Compares what was read of object `name` (its key inside the backup's folder) with what is promised.
    pub fn check_object(&self, name: &str, read: Option<ObjectDigest>) -> Result<(), &'static str> {
        let Some(proof) = self.objects.get(name) else { return Err("the manifest does not know it") };
        if read.is_some_and(|read| read.bytes == proof.bytes && read.blake3 == proof.blake3) {
            return Ok(());
        }
        Err("its bytes have another hash than the manifest says")
    }

    /// Compares what was read of file `path` with what is promised; of an increment that is the increment itself.
    pub fn check_file(&self, path: &str, increment: bool, bytes: u64, blake3: [u8; 32]) -> Result<(), String> {
        match self.files.get(path) {
            None => Err("the manifest does not know it".to_owned()),
            Some(proof) if proof.increment != increment => {
                Err("of manifest and files_metadata.json, one takes it for an increment".to_owned())
            }
            Some(proof) if proof.bytes != bytes => Err(format!("it has {bytes} bytes instead of {}", proof.bytes)),
            Some(proof) if proof.blake3 != blake3 => Err("its content has another hash".to_owned()),
            Some(_) => Ok(()),
        }
    }

    /// Name of the object that holds a file.
    pub fn object_name(&self, proof: &FileProof) -> &str {
        self.holders.get(proof.object as usize).map_or("", String::as_str)
    }
}

/// File name of an archive that the manifest names as the holder of a file.
pub fn archive_name(object: &str) -> &str {
    object.trim_start_matches("tar_partitions/")
}

/// The path as the manifest's keys are written: with a leading slash and none at the end.
pub fn rooted(path: &str) -> Box<str> {
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    if path.starts_with('/') { path.into() } else { format!("/{path}").into() }
}
