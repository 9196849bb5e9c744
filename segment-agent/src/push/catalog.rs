//! What a push learns about its files and objects: the stuff of files_metadata.json and of the manifest.
//!
//! Entries are kept as compressed JSON, so that a directory of millions of files costs megabytes and not gigabytes.

use std::io::{BufRead, BufReader, Write};

use chrono::{Local, TimeZone};
use codec::{Cipher, Compression, Encoder, Spool, ZstdLevel};
use formats::files::{DatabasesByNames, FileDescription, FilesMetadataWriter, file_entry_json, tar_member_json};
use formats::manifest::{ManifestFile, ManifestObject, ManifestWriter};
use formats::{BackupName, ContentHash, Timestamp};

use crate::bridge::ObjectDigest;
use crate::error::{Error, Result};

/// A finished member of a part.
pub struct Packed {
    pub name: String,
    pub modified_nanos: i64,
    /// What the part holds of a regular file.
    pub content: Option<PlainContent>,
}

/// Content of a file, or an increment of it, before compression.
pub struct PlainContent {
    pub bytes: u64,
    pub mode: u32,
    pub blake3: [u8; 32],
    pub is_increment: bool,
}

/// Collects entries while the parts are being written.
pub struct Catalog {
    files: Spool,
    parts: Vec<(String, Spool)>,
    manifest: ManifestWriter<Encoder<Vec<u8>>>,
    /// Few, and written after the files.
    objects: Vec<ManifestObject>,
    file_count: u64,
}

impl Catalog {
    pub fn new(backup: &BackupName, cipher: &Cipher) -> Result<Self> {
        let encoder = Encoder::new(Compression::Zstd(ZstdLevel::Default), cipher, Vec::new()).map_err(in_manifest)?;
        let manifest = ManifestWriter::new(encoder, backup).map_err(in_manifest)?;
        Ok(Self { files: Spool::new(), parts: Vec::new(), manifest, objects: Vec::new(), file_count: 0 })
    }

    /// Regular files recorded so far, shared ones included.
    pub fn file_count(&self) -> u64 {
        self.file_count
    }

    /// Records a finished part with its members. `object` is the part's file name.
    pub fn add_part(&mut self, object: &str, members: &[Packed], digest: ObjectDigest) -> Result<()> {
        let mut names = Spool::new();
        for member in members {
            // The label's archive is listed as a part, but its files are none of the data directory's.
            if member.name.starts_with('/') {
                let mut description = FileDescription::whole(local_time(member.modified_nanos));
                description.is_incremented = member.content.as_ref().is_some_and(|content| content.is_increment);
                append_line(&mut self.files, &file_entry_json(&member.name, &description));
            }
            append_line(&mut names, &tar_member_json(&member.name));
        }
        self.parts.push((object.to_owned(), names));
        self.add_unlisted_part(object, members, digest)
    }

    /// Records a file that no part of this backup holds, because the backup it is based on has it.
    pub fn add_unchanged(&mut self, name: &str, modified_nanos: i64) {
        let description = FileDescription { is_skipped: true, ..FileDescription::whole(local_time(modified_nanos)) };
        append_line(&mut self.files, &file_entry_json(name, &description));
        self.file_count += 1;
    }

    /// Records a file that is stored as an object of its own, or that an earlier backup stored.
    pub fn add_shared(&mut self, name: &str, description: &FileDescription) {
        self.file_count += 1;
        append_line(&mut self.files, &file_entry_json(name, description));
    }

    /// Records a finished archive in the manifest alone.
    pub fn add_unlisted_part(&mut self, object: &str, members: &[Packed], digest: ObjectDigest) -> Result<()> {
        for member in members {
            let Some(content) = &member.content else { continue };
            self.file_count += 1;
            let file = ManifestFile {
                path: member.name.clone(),
                size: content.bytes,
                mode: content.mode,
                blake3: ContentHash(content.blake3),
                object: object.to_owned(),
                increment: content.is_increment,
            };
            self.manifest.add_file(&file).map_err(in_manifest)?;
        }
        let name = format!("tar_partitions/{object}");
        self.objects.push(ManifestObject { name, size: digest.bytes, blake3: ContentHash(digest.blake3) });
        Ok(())
    }

    /// Records an object of the backup's folder that is no archive.
    pub fn add_object(&mut self, key: &str, digest: ObjectDigest) {
        let name = key.rsplit('/').next().unwrap_or(key).to_owned();
        self.objects.push(ManifestObject { name, size: digest.bytes, blake3: ContentHash(digest.blake3) });
    }

    /// Writes files_metadata.json to `out`. What was collected for it is gone afterwards.
    pub fn write_files_metadata<W: Write>(&mut self, out: W, databases: &DatabasesByNames) -> std::io::Result<W> {
        let mut writer = FilesMetadataWriter::new(out);
        let files = std::mem::replace(&mut self.files, Spool::new());
        for entry in BufReader::new(files.into_reader()).lines() {
            writer.add_file_entry(&entry?)?;
        }
        for (name, members) in std::mem::take(&mut self.parts) {
            writer.begin_tar(&name)?;
            for member in BufReader::new(members.into_reader()).lines() {
                writer.add_tar_member_json(&member?)?;
            }
        }
        writer.finish(databases)
    }

    /// The encoded manifest.
    pub fn finish(mut self) -> std::io::Result<Vec<u8>> {
        for object in &self.objects {
            self.manifest.add_object(object)?;
        }
        Ok(self.manifest.finish()?.finish()?)
    }
}

/// JSON never holds a line break of its own.
fn append_line(spool: &mut Spool, json: &str) {
    spool.append(json.as_bytes());
    spool.append(b"\n");
}

/// WAL-G notes modification times in the zone of the host.
pub fn local_time(nanos: i64) -> Timestamp {
    let utc = Timestamp::from_unix_nanos(nanos);
    Timestamp(Local.from_utc_datetime(&utc.0.naive_utc()).fixed_offset())
}

fn in_manifest(error: impl std::fmt::Display) -> Error {
    Error::damaged("manifest.json.zst", error)
}
