//! What the documents of one backup say, read once and held against each other.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use codec::{Codec, Decoder};
use formats::ao::{AoFile, AoFilesMetadata};
use formats::files::FilesMetadataReader;
use formats::pax::{PaxFile, PaxFilesMetadata};
use formats::segment::{ExtendedMetadata, SegmentSentinel};
use formats::{BackupName, go_json, layout};
use pgdata::{ControlFile, Lsn};
use serde::de::DeserializeOwned;

use super::Verification;
use super::pages::PageRules;
use crate::bridge::{ObjectDigest, ObjectSource, on_worker};
use crate::error::{Error, Result};
use crate::fetch::proofs::{Proofs, rooted};

const BUFFER_BYTES: usize = 1 << 20;

/// One backup of a chain.
pub struct Facts {
    pub name: BackupName,
    pub sentinel: SegmentSentinel,
    /// The backup that this one is a delta of.
    pub base: Option<BackupName>,
    /// The manifest, where there is one.
    pub proofs: Option<Proofs>,
    /// `None`: the backup has no list of its files, or it cannot be read.
    pub files: Option<Mutex<HashMap<Box<str>, FileState>>>,
    /// File names in tar_partitions with their sizes; the one with the control file first.
    pub archives: Vec<(String, u64)>,
    pub ao: BTreeMap<String, AoFile>,
    pub pax: BTreeMap<String, PaxFile>,
    /// Found in the archive of the control file.
    pub control: OnceLock<ControlFile>,
    /// Bytes of the documents, and how many there are.
    pub documents: (u64, u64),
}

/// One entry of files_metadata.json.
#[derive(Clone, Copy, Default)]
pub struct FileState {
    pub is_incremented: bool,
    pub is_skipped: bool,
    /// Objects that give the file.
    pub given: u8,
}

impl Facts {
    pub fn page_rules(&self) -> Option<PageRules> {
        let start = self.sentinel.start_lsn?;
        Some(PageRules::of(self.control.get()?, start, self.sentinel.finish_lsn.unwrap_or(Lsn(u64::MAX))))
    }

    /// Notes that an object gives the file; returns its entry as it is then, if there is one.
    pub fn give(&self, path: &str) -> Option<FileState> {
        let files = self.files.as_ref()?;
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        let state = files.get_mut(path)?;
        state.given = state.given.saturating_add(1);
        Some(*state)
    }
}

/// Reads the documents of a backup. `None` if there is no sentinel to go by.
pub async fn read(run: &Arc<Verification>, name: &BackupName) -> Result<Option<Facts>> {
    let sentinel_key = layout::sentinel_key(name);
    let mut reader = Reader { run, name, proofs: None, bytes: 0, count: 0 };
    let Some(sentinel) = reader.small::<SegmentSentinel>(&sentinel_key, true).await? else { return Ok(None) };
    let base = match sentinel.delta_base() {
        Ok(base) => base.map(|base| base.from),
        Err(error) => {
            run.findings.add(&sentinel_key, error);
            None
        }
    };
    let listed = list(run, name).await?;
    reader.proofs = reader.manifest(&listed).await?;
    let metadata: Option<ExtendedMetadata> = reader.small(&layout::metadata_key(name), true).await?;
    if let Some(why) = metadata.and_then(|metadata| contradiction(&sentinel, &metadata)) {
        run.findings.add(&sentinel_key, why);
    }
    let files = match sentinel.files_metadata_disabled {
        true => None,
        false => reader.files(&listed).await?,
    };
    let ao: Option<AoFilesMetadata> = reader.small(&layout::ao_files_metadata_key(name), run.of_cluster).await?;
    let pax: Option<PaxFilesMetadata> = reader.small(&layout::pax_files_metadata_key(name), false).await?;
    let archives = archives(run, name, &listed);
    Ok(Some(Facts {
        name: name.clone(),
        sentinel,
        base,
        documents: (reader.bytes, reader.count),
        proofs: reader.proofs,
        files: files.map(Mutex::new),
        archives,
        ao: ao.unwrap_or_default().files,
        pax: pax.unwrap_or_default().files,
        control: OnceLock::new(),
    }))
}

/// The two documents tell the same story twice; marking a backup changes but one key of metadata.json.
fn contradiction(sentinel: &SegmentSentinel, metadata: &ExtendedMetadata) -> Option<String> {
    let (a, b) = (sentinel, metadata);
    let pairs = [
        ("start in the log", a.start_lsn == Some(b.start_lsn)),
        ("end in the log", a.finish_lsn == Some(b.finish_lsn)),
        ("server version", a.pg_version == b.pg_version),
        ("system identifier", a.system_identifier == b.system_identifier),
        ("start time", a.version == 0 || a.start_time == b.start_time),
        ("finish time", a.version == 0 || a.finish_time == b.finish_time),
        ("host", a.version == 0 || a.hostname == b.hostname),
        ("data directory", a.version == 0 || a.data_dir == b.data_dir),
        ("size", (a.uncompressed_size, a.compressed_size) == (b.uncompressed_size, b.compressed_size)),
        ("user data", a.user_data == b.user_data),
    ];
    let (what, _) = pairs.into_iter().find(|(_, is_same)| !is_same)?;
    Some(format!("it tells another {what} than metadata.json does"))
}

/// Sizes of the objects in the backup's folder, by key inside it.
async fn list(run: &Verification, name: &BackupName) -> Result<BTreeMap<String, u64>> {
    let folder = layout::backup_folder(name);
    let objects = run.repository.store().list(&folder).await?;
    let named = objects
        .into_iter()
        .filter_map(|object| Some((object.key.strip_prefix(&folder)?.trim_start_matches('/').to_owned(), object.size)));
    Ok(named.collect())
}

/// The archives that are there, the control file's first. Without one of those two kinds no server starts.
fn archives(run: &Verification, name: &BackupName, listed: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let in_folder = |(key, size): (&String, &u64)| Some((key.strip_prefix("tar_partitions/")?.to_owned(), *size));
    let mut archives: Vec<_> = listed.iter().filter_map(in_folder).filter(|(name, _)| name.contains(".tar")).collect();
    let is_control = |name: &str| name.starts_with(layout::CONTROL_TAR);
    archives.sort_by_key(|(name, size)| (!is_control(name), std::cmp::Reverse(*size)));
    if !archives.first().is_some_and(|(name, _)| is_control(name)) {
        run.findings.add(&layout::part_key(name, layout::CONTROL_TAR), "the archive with the control file is missing");
    }
    archives
}

struct Reader<'a> {
    run: &'a Arc<Verification>,
    name: &'a BackupName,
    proofs: Option<Proofs>,
    bytes: u64,
    count: u64,
}

impl Reader<'_> {
    /// A document that fits into memory; `None` where it is missing (a finding if `required`) or damaged.
    async fn small<T: DeserializeOwned>(&mut self, key: &str, required: bool) -> Result<Option<T>> {
        let body = match self.run.repository.store().get(key).await {
            Err(error) if error.kind() == storage::ErrorKind::NotFound && !required => return Ok(None),
            body => match self.run.findings.sift(key, body.map_err(Error::from))? {
                Some(body) => body,
                None => return Ok(None),
            },
        };
        self.prove(key, ObjectDigest::of(&body));
        let parsed = go_json::from_slice(key, &body).map_err(|error| Error::damaged(key, error));
        self.run.findings.sift(key, parsed)
    }

    fn prove(&mut self, key: &str, digest: ObjectDigest) {
        self.bytes += digest.bytes;
        self.count += 1;
        let name = key.rsplit('/').next().unwrap_or(key);
        let Some(proofs) = self.proofs.as_ref().filter(|proofs| proofs.objects.contains_key(name)) else { return };
        if let Err(why) = proofs.check_object(name, Some(digest)) {
            self.run.findings.add(key, why);
        }
    }

    /// Every object that the manifest knows must be there with its size; contents are compared as they are read.
    async fn manifest(&mut self, listed: &BTreeMap<String, u64>) -> Result<Option<Proofs>> {
        let key = layout::manifest_key(self.name);
        if !listed.contains_key(key.rsplit('/').next().unwrap_or_default()) {
            return Ok(None);
        }
        let (run, read_key) = (self.run.clone(), key.clone());
        let read = on_worker(move || {
            let source = ObjectSource::open(&run.driver, &run.cancel, run.repository.store(), &read_key)?;
            let digest = source.whole();
            let decoder = Decoder::new(Codec::Zstd, &run.repository.cipher, source);
            let decoder = decoder.map_err(|error| run.findings.decoding(&read_key, error))?;
            let mut plain = BufReader::with_capacity(BUFFER_BYTES, decoder);
            // The first bytes tell whether the key fits; then the text may be wrong.
            std::io::BufRead::fill_buf(&mut plain).map_err(|error| run.findings.decoding(&read_key, error))?;
            let proofs = Proofs::read(&mut plain).map_err(|error| Error::damaged(&read_key, error))?;
            drain(&mut plain).map_err(|error| run.findings.decoding(&read_key, error))?;
            run.findings.note_decoded();
            Ok((proofs, digest.get().copied()))
        });
        let Some((proofs, digest)) = self.run.findings.sift(&key, read.await)? else { return Ok(None) };
        self.bytes += digest.map_or(0, |digest| digest.bytes);
        self.count += 1;
        for (name, proof) in &proofs.objects {
            let key = format!("{}/{name}", layout::backup_folder(self.name));
            match listed.get(name.as_ref()) {
                None => self.run.findings.add(&key, "it is missing, though the manifest lists it"),
                Some(bytes) if *bytes != proof.bytes => {
                    let why = format!("it has {bytes} bytes, but the manifest promises {}", proof.bytes);
                    self.run.findings.add(&key, why);
                }
                Some(_) => {}
            }
        }
        Ok(Some(proofs))
    }

    /// The list of files; every archive that holds any must be there.
    async fn files(&mut self, listed: &BTreeMap<String, u64>) -> Result<Option<HashMap<Box<str>, FileState>>> {
        let key = layout::files_metadata_key(self.name);
        let (run, read_key) = (self.run.clone(), key.clone());
        let read = on_worker(move || {
            let source = ObjectSource::open(&run.driver, &run.cancel, run.repository.store(), &read_key)?;
            let digest = source.whole();
            let mut reader = BufReader::with_capacity(BUFFER_BYTES, source);
            let (mut files, mut archives) = (HashMap::new(), BTreeMap::<String, u64>::new());
            let parsed = FilesMetadataReader::new(&read_key, &mut reader).files_and_tar_members(
                |path, description| {
                    let (is_incremented, is_skipped) = (description.is_incremented, description.is_skipped);
                    files.insert(rooted(&path), FileState { is_incremented, is_skipped, given: 0 });
                },
                |archive, _| match archives.get_mut(archive) {
                    Some(members) => *members += 1,
                    None => drop(archives.insert(archive.to_owned(), 1)),
                },
            );
            parsed.map_err(|error| Error::damaged(&read_key, error))?;
            drain(&mut reader).map_err(|error| run.findings.decoding(&read_key, error))?;
            Ok((files, archives, digest.get().copied()))
        });
        let Some((files, archives, digest)) = self.run.findings.sift(&key, read.await)? else { return Ok(None) };
        if let Some(digest) = digest {
            self.prove(&key, digest);
        }
        for (archive, members) in archives {
            if !listed.contains_key(&format!("tar_partitions/{archive}")) {
                let why = format!("it is missing, though files_metadata.json lists {members} files in it");
                self.run.findings.add(&layout::part_key(self.name, &archive), why);
            }
        }
        Ok(Some(files))
    }
}

fn drain(reader: &mut impl Read) -> std::io::Result<()> {
    std::io::copy(reader, &mut std::io::sink()).map(drop)
}
