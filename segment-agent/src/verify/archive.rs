//! Reading one archive of a backup: codec, cipher, tar, hashes, pages.

use std::io::Read;

use codec::tar::{ArchiveReader, Kind, Member};
use codec::{Codec, Decoder};
use formats::layout;
use pgdata::ControlFile;

use super::Verification;
use super::facts::{Facts, FileState};
use super::pages::{INCREMENT_MAGIC, PageCheck, PageStream, relation_of};
use crate::bridge::ObjectSource;
use crate::error::{Error, Result};
use crate::fetch::proofs::rooted;

/// Members of the archives that no list of files mentions.
const UNLISTED: [&str; 3] = ["/global/pg_control", "/backup_label", "/tablespace_map"];
const CONTROL: &str = "/global/pg_control";
const LABEL: &str = "/backup_label";
/// Both are smaller.
const SMALL_BYTES: usize = 64 << 10;

/// Reads the archive `name` of `facts` to its end. Damage is noted; an error is something else.
pub fn check(run: &Verification, facts: &Facts, name: &str, buffer: &mut [u8]) -> Result<()> {
    let key = layout::part_key(&facts.name, name);
    let read = read_archive(run, facts, name, &key, buffer);
    run.findings.sift(&key, read).map(drop)
}

fn read_archive(run: &Verification, facts: &Facts, name: &str, key: &str, buffer: &mut [u8]) -> Result<()> {
    let (_, codec) = Codec::from_file_name(name);
    let source = ObjectSource::open(&run.driver, &run.cancel, run.repository.store(), key)?;
    let (digest, source) = (source.whole(), run.metered(key, source));
    let decoder = Decoder::new(codec, &run.repository.cipher, source);
    let mut archive = ArchiveReader::new(decoder.map_err(|error| run.findings.decoding(key, error))?);
    while let Some(member) = archive.next_member().map_err(|error| run.findings.decoding(key, error))? {
        let path = rooted(member.name_str().map_err(|error| Error::damaged(key, error))?);
        let listed = facts.give(&path);
        note_contradictions(run, facts, key, &path, listed);
        if member.kind == Kind::File {
            let mut reading = Reading { run, facts, key, path: &path, listed };
            reading.content(&member, &mut archive, buffer)?;
        }
    }
    run.findings.note_decoded();
    if let Some(proofs) = &facts.proofs
        && let Err(why) = proofs.check_object(&format!("tar_partitions/{name}"), digest.get().copied())
    {
        run.findings.add(key, why);
    }
    Ok(())
}

fn note_contradictions(run: &Verification, facts: &Facts, key: &str, path: &str, listed: Option<FileState>) {
    match listed {
        Some(state) if state.given > 1 => run.findings.add(key, format!("file {path} is in another archive too")),
        Some(state) if state.is_incremented && facts.base.is_none() => {
            run.findings.add(key, format!("file {path} is an increment, but the backup is no delta"));
        }
        None if facts.files.is_some() && !UNLISTED.contains(&path) => {
            run.findings.add(key, format!("file {path} is not listed in files_metadata.json"));
        }
        _ => {}
    }
}

/// One file of an archive.
struct Reading<'a> {
    run: &'a Verification,
    facts: &'a Facts,
    key: &'a str,
    path: &'a str,
    listed: Option<FileState>,
}

impl Reading<'_> {
    fn content<R: Read>(&mut self, member: &Member, archive: &mut ArchiveReader<R>, buffer: &mut [u8]) -> Result<()> {
        let mut hasher = self.facts.proofs.is_some().then(blake3::Hasher::new);
        let mut small = matches!(self.path, CONTROL | LABEL).then(Vec::new);
        let mut pages = self.page_stream(member.size);
        let mut at = 0;
        loop {
            let count = archive.read_content(buffer).map_err(|error| self.run.findings.decoding(self.key, error))?;
            if count == 0 {
                break;
            }
            let content = &buffer[..count];
            if at == 0 {
                self.note_unlisted_increment(content);
            }
            at += count as u64;
            if let Some(hasher) = &mut hasher {
                hasher.update(content);
            }
            if let Some(small) = small.as_mut().filter(|small| small.len() < SMALL_BYTES) {
                small.extend_from_slice(content);
            }
            if let Some(stream) = &mut pages
                && let Err(why) = stream.feed(content)
            {
                self.note(why);
                pages = None;
            }
        }
        if let Some(Ok(Some(why)) | Err(why)) = pages.map(PageStream::finish) {
            self.note(why);
        }
        match small {
            Some(content) if self.path == CONTROL => self.take_control(&content),
            Some(content) => self.judge_label(&content),
            None => {}
        }
        if let Some(hasher) = hasher {
            self.prove(at, *hasher.finalize().as_bytes());
        }
        Ok(())
    }

    /// For files whose pages can be judged, and for every increment.
    fn page_stream(&self, bytes: u64) -> Option<PageStream> {
        let rules = self.facts.page_rules()?;
        let is_increment = self.listed.is_some_and(|state| state.is_incremented);
        let relation = relation_of(self.path).filter(|_| rules.checksums && !self.is_unlogged());
        let page_bytes = u64::from(rules.page_bytes);
        // What has no whole number of pages is no relation of pages.
        let relation = relation.filter(|_| is_increment || bytes.is_multiple_of(page_bytes));
        if relation.is_none() && !is_increment {
            return None;
        }
        let check = relation.map(|relation| PageCheck::new(rules, relation.file.segment_number));
        Some(PageStream::new(rules.page_bytes, check, is_increment))
    }

    fn is_unlogged(&self) -> bool {
        let Some(files) = &self.facts.files else { return false };
        let stem = self.path.rsplit_once('.').map_or(self.path, |(stem, _)| stem);
        let init = format!("{stem}_init");
        files.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains_key(init.as_str())
    }

    /// A delta without its list of files would be restored with increments in the place of files.
    fn note_unlisted_increment(&self, content: &[u8]) {
        let is_listed = self.listed.is_some_and(|state| state.is_incremented);
        if !is_listed && content.starts_with(&INCREMENT_MAGIC) && relation_of(self.path).is_some() {
            self.note("it is an increment, but not listed as one".to_owned());
        }
    }

    fn take_control(&self, bytes: &[u8]) {
        match ControlFile::parse(bytes) {
            Ok(control) => {
                let expected = self.facts.sentinel.system_identifier;
                if expected.is_some_and(|identifier| identifier != control.system_identifier) {
                    self.note("the control file belongs to another cluster than the sentinel says".to_owned());
                }
                let _ = self.facts.control.set(control);
            }
            Err(error) => self.note(error.to_string()),
        }
    }

    /// Recovery begins where the label says.
    fn judge_label(&self, bytes: &[u8]) {
        let Some(start) = self.facts.sentinel.start_lsn else { return };
        let text = String::from_utf8_lossy(bytes);
        let place = text.lines().find_map(|line| line.strip_prefix("START WAL LOCATION: "));
        if place.is_none_or(|place| !place.starts_with(&format!("{start} "))) {
            self.note(format!("it does not say that the backup starts at {start}"));
        }
    }

    fn prove(&self, bytes: u64, blake3: [u8; 32]) {
        let Some(proofs) = &self.facts.proofs else { return };
        match proofs.files.get(self.path) {
            None => self.note("the manifest does not know it".to_owned()),
            Some(proof) if proof.bytes != bytes => {
                self.note(format!("it has {bytes} bytes instead of {}", proof.bytes))
            }
            Some(proof) if proof.blake3 != blake3 => {
                self.note("its content has another hash than the manifest says".to_owned());
            }
            Some(_) => {}
        }
    }

    fn note(&self, why: String) {
        self.run.findings.add(self.key, format!("file {}: {why}", self.path));
    }
}
