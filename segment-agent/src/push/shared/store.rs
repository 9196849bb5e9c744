//! Stores one shared file and notes its entry.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::PoisonError;
use std::time::SystemTime;

use formats::ao::AoFile;
use formats::files::FileDescription;
use formats::layout;
use formats::pax::PaxFile;

use super::decision::{Local, Plan, decide};
use super::found::{AoFacts, PaxFacts, PaxPlace, RelationKey};
use super::pass::{Done, How, Job};
use super::{Shared, SharedFile, base, keys};
use crate::error::{Error, Result};
use crate::push::catalog::local_time;
use crate::push::part::Packing;
use crate::push::walk::{CLOCK_TICK_NANOS, Entry, modified_nanos};

/// A file that becomes shorter while it is read is begun anew so often.
const ATTEMPTS: usize = 5;

/// An entry for one of the documents.
enum Noted {
    Ao(AoFile),
    Pax(PaxFile),
}

impl Shared {
    /// Stores or reuses the file of `entry` and notes it. One that vanished since the walk is left out: the log drops it too.
    pub fn store(&self, packing: &Packing, entry: &Entry, shared: &SharedFile<'_>, buffer: &mut [u8]) -> Result<()> {
        let mut counted = 0;
        for _ in 0..ATTEMPTS {
            let file = match File::open(&entry.path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(Error::file("opening", &entry.path, error)),
            };
            let metadata = file.metadata().map_err(|error| Error::file("reading", &entry.path, error))?;
            let opened = Opened { packing, entry, file, metadata, at_nanos: now_nanos(), counted: &mut counted };
            let noted = match shared {
                SharedFile::Ao(place, facts) => self.store_ao(opened, place, facts, buffer)?,
                SharedFile::Pax(place, facts) => self.store_pax(opened, place, facts, buffer)?,
            };
            if let Some(noted) = noted {
                return self.note(packing, entry, noted);
            }
        }
        let what = format!("{} was shortened again and again while it was read", entry.path.display());
        Err(Error::refused(what, "run the backup again when the table is not being vacuumed or loaded"))
    }

    fn store_ao(
        &self,
        opened: Opened<'_>,
        place: &RelationKey,
        facts: &AoFacts,
        buffer: &mut [u8],
    ) -> Result<Option<Noted>> {
        let base = self.base.ao.get(&opened.entry.name);
        let local = self.local(&opened, facts.eof);
        let plan = decide(base.map(base::StoredAo::stored).as_ref(), &local, &self.ao_rules());
        let base = base.map(|base| &base.entry);
        let (metadata, at_nanos) = (opened.metadata.clone(), opened.at_nanos);
        if let (Plan::Trust, Some(base)) = (&plan, base) {
            opened.packing.monitor.add_done(local.bytes);
            let file =
                AoFile { is_skipped: true, mod_count: facts.mod_count, file_mode: mode(&metadata), ..base.clone() };
            return Ok(Some(Noted::Ao(file)));
        }
        let regular = keys::ao_regular(place, facts, self.push);
        let increment = base.map(|base| keys::ao_increment(&base.storage_path, facts.mod_count, self.push));
        let increment = increment.unwrap_or_default();
        let object_keys = [layout::aosegment_key(&regular), layout::aosegment_key(&increment)];
        let Some(done) = opened.carry_out(self, &plan, object_keys, local.eof, buffer)? else { return Ok(None) };
        let older = base.filter(|_| done.how != How::Regular);
        let storage_path = match (done.how, older) {
            (How::Reused, Some(older)) => older.storage_path.clone(),
            (How::Increment, _) => increment,
            _ => regular,
        };
        // A younger time does not tell later changes apart.
        let is_settled = local.modified_nanos < at_nanos.saturating_sub(CLOCK_TICK_NANOS);
        Ok(Some(Noted::Ao(AoFile {
            storage_path,
            is_skipped: done.how == How::Reused,
            is_incremented: done.how == How::Increment || older.is_some_and(|older| older.is_incremented),
            mtime: local_time(local.modified_nanos),
            storage_type: facts.storage_type,
            eof: local.eof,
            mod_count: facts.mod_count,
            compressor: String::new(),
            file_mode: mode(&metadata),
            initial_upload_time: older.map_or(self.now, |older| older.initial_upload_time),
            checksum: done.checksum,
            size: Some(local.bytes),
            blake3: Some(done.blake3),
            inode: is_settled.then_some(local.inode),
            timeline: is_settled.then_some(local.timeline),
        })))
    }

    fn store_pax(
        &self,
        opened: Opened<'_>,
        place: &PaxPlace,
        facts: &PaxFacts,
        buffer: &mut [u8],
    ) -> Result<Option<Noted>> {
        let base = self.base.pax.get(&opened.entry.name);
        let local = self.local(&opened, 0);
        let plan = decide(base.map(base::stored_pax).as_ref(), &local, &self.pax_rules());
        let metadata = opened.metadata.clone();
        let regular = keys::pax(place, facts, self.push);
        let object_keys = [layout::paxfile_key(&regular), String::new()];
        let Some(done) = opened.carry_out(self, &plan, object_keys, 0, buffer)? else { return Ok(None) };
        let older = base.filter(|_| done.how == How::Reused);
        Ok(Some(Noted::Pax(PaxFile {
            storage_path: older.map_or(regular, |older| older.storage_path.clone()),
            is_skipped: older.is_some(),
            mtime: local_time(local.modified_nanos),
            relation_name_md5: format!("{:032x}", facts.name_md5),
            kind: facts.kind,
            block_id: facts.block,
            file_mode: mode(&metadata),
            initial_upload_time: older.map_or(self.now, |older| older.initial_upload_time),
            size: Some(local.bytes),
            blake3: Some(done.blake3),
        })))
    }

    /// The logical end is the catalog's, but never beyond the file's: the checksum goes that far.
    fn local(&self, opened: &Opened<'_>, eof: i64) -> Local {
        let bytes = opened.metadata.len();
        Local {
            bytes,
            modified_nanos: modified_nanos(&opened.metadata),
            inode: opened.metadata.ino(),
            timeline: self.timeline.0,
            eof: eof.clamp(0, i64::try_from(bytes).unwrap_or(i64::MAX)),
        }
    }

    fn note(&self, packing: &Packing, entry: &Entry, noted: Noted) -> Result<()> {
        let path = entry.name.clone();
        let (is_skipped, is_incremented) = match &noted {
            // Of an increment that an earlier backup stored, this one holds nothing.
            Noted::Ao(file) => (file.is_skipped, file.is_incremented && !file.is_skipped),
            Noted::Pax(file) => (file.is_skipped, false),
        };
        let mtime = local_time(entry.noted_nanos());
        let description = FileDescription { is_incremented, is_skipped, mtime, ..FileDescription::default() };
        packing.catalog.lock().unwrap_or_else(PoisonError::into_inner).add_shared(&path, &description);
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        match noted {
            Noted::Ao(file) => documents.0.files.insert(path, file).map(drop),
            Noted::Pax(file) => documents.1.files.insert(path, file).map(drop),
        };
        Ok(())
    }
}

/// A file that was opened, and what it looked like then.
struct Opened<'a> {
    packing: &'a Packing,
    entry: &'a Entry,
    file: File,
    metadata: Metadata,
    at_nanos: i64,
    counted: &'a mut u64,
}

impl Opened<'_> {
    fn carry_out(
        self,
        shared: &Shared,
        plan: &Plan,
        [regular_key, increment_key]: [String; 2],
        eof: i64,
        buffer: &mut [u8],
    ) -> Result<Option<Done>> {
        let mut job = Job {
            packing: self.packing,
            made: &shared.made,
            path: &self.entry.path,
            file: self.file,
            bytes: self.metadata.len(),
            eof: u64::try_from(eof).unwrap_or(0),
            regular_key,
            increment_key,
            counted: *self.counted,
        };
        let done = job.run(plan, buffer);
        *self.counted = job.counted;
        done
    }
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

fn now_nanos() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
