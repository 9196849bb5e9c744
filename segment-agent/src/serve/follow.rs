//! Reading a journal while it is being written.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use formats::wire::{Event, JournalEntry};

use crate::error::{Error, Result};

const CHUNK_BYTES: usize = 64 << 10;

/// Yields the entries of a journal, from a given number on, as they appear.
pub(super) struct JournalFollower {
    path: PathBuf,
    file: Option<File>,
    /// Bytes that were read and do not make a line yet.
    rest: Vec<u8>,
    /// Number of the next line of the file.
    next_number: u64,
    from: u64,
    is_finished: bool,
}

impl JournalFollower {
    /// The journal at `path` need not exist yet.
    pub(super) fn new(path: PathBuf, from: u64) -> Self {
        Self { path, file: None, rest: Vec::new(), next_number: 0, from, is_finished: false }
    }

    /// How many whole lines were seen so far, those before `from` included.
    pub(super) fn seen(&self) -> u64 {
        self.next_number
    }

    /// True once the last event of the job was seen.
    pub(super) fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Entries written since the last call, at most some 64 KiB of them. Nothing means that there are none for now.
    pub(super) fn read_new(&mut self) -> Result<Vec<JournalEntry>> {
        let mut entries = Vec::new();
        while entries.is_empty() && self.fill()? {
            let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = self.rest.drain(..whole).collect();
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let entry = self.parse(line)?;
                self.next_number += 1;
                self.is_finished |= matches!(entry.event, Event::Finished { .. });
                if entry.number >= self.from {
                    entries.push(entry);
                }
            }
        }
        Ok(entries)
    }

    fn parse(&self, line: &[u8]) -> Result<JournalEntry> {
        let damaged =
            |why: String| Error::damaged(format!("{} line {}", self.path.display(), self.next_number + 1), why);
        let entry: JournalEntry = serde_json::from_slice(line).map_err(|error| damaged(error.to_string()))?;
        if entry.number != self.next_number {
            return Err(damaged(format!("event {} where event {} belongs", entry.number, self.next_number)));
        }
        Ok(entry)
    }

    /// Reads more of the file; false if there is nothing more for now.
    fn fill(&mut self) -> Result<bool> {
        let read_error = |source| Error::file("reading", &self.path, source);
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(source) => return Err(read_error(source)),
            }
        }
        let Some(file) = self.file.as_mut() else { return Ok(false) };
        let limit = CHUNK_BYTES as u64;
        let count = file.take(limit).read_to_end(&mut self.rest).map_err(read_error)?;
        Ok(count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;
    use formats::ContentId;

    fn phase(text: &str) -> Event {
        Event::Phase { content: ContentId(0), text: text.to_owned() }
    }

    #[test]
    fn it_sees_what_is_written_from_the_given_number_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut follower = JournalFollower::new(path.clone(), 1);
        assert!(follower.read_new().unwrap().is_empty());
        let journal = Journal::create(&path).unwrap();
        journal.record(phase("first"));
        assert!(follower.read_new().unwrap().is_empty());
        journal.record(phase("second"));
        journal.record(phase("third"));
        let seen: Vec<u64> = follower.read_new().unwrap().iter().map(|entry| entry.number).collect();
        assert_eq!(seen, [1, 2]);
        assert_eq!(follower.seen(), 3);
    }

    #[test]
    fn a_long_journal_comes_in_pieces_without_gaps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::create(&path).unwrap();
        journal.record(phase(&"long ".repeat(100_000)));
        for number in 0..3000 {
            journal.record(phase(&format!("step {number}")));
        }
        let mut follower = JournalFollower::new(path, 0);
        let mut numbers = Vec::new();
        loop {
            let entries = follower.read_new().unwrap();
            if entries.is_empty() {
                break;
            }
            numbers.extend(entries.iter().map(|entry| entry.number));
        }
        assert_eq!(numbers, (0..=3000).collect::<Vec<u64>>());
    }

    #[test]
    fn a_torn_last_line_waits_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Journal::create(&path).unwrap().record(phase("whole"));
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(JournalFollower::new(path.clone(), 0).read_new().unwrap().is_empty(), "cut at {cut}");
        }
        for damaged in
            [&b"\n"[..], b"\0\0\0\n", b"{\"number\":7,\"at_millis\":0,\"event\":{\"started\":{\"pid\":1}}}\n"]
        {
            std::fs::write(&path, [&whole[..], damaged].concat()).unwrap();
            assert!(JournalFollower::new(path.clone(), 0).read_new().is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn nothing_follows_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::create(&path).unwrap();
        journal.record(Event::Finished { outcome: formats::wire::Outcome::Done, peak_memory_bytes: 0 });
        journal.sink()(phase("late"));
        assert_eq!(JournalFollower::new(path.clone(), 0).read_new().unwrap().len(), 1);
        assert!(Journal::create(&path).is_err(), "a job runs once");
    }
}
