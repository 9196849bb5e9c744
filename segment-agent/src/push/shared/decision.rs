//! What to do with a shared file, decided without I/O. Content decides: catalogs count changes, but the counters come back
//! after a restore to an earlier point, after TRUNCATE, and when a file number is used again.

use chrono::TimeDelta;
use formats::{ContentHash, Timestamp};

/// A file as its last `stat` saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub bytes: u64,
    pub modified_nanos: i64,
    pub inode: u64,
    pub timeline: u32,
    /// Logical end by the catalog.
    pub eof: i64,
}

/// What an earlier backup stored of the file with the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub initial_upload_time: Timestamp,
    /// Its object holds an increment.
    pub is_incremented: bool,
    /// Bytes of the restored file that `proof` speaks of.
    pub proved_bytes: u64,
    /// The restored file has no bytes beyond those.
    pub is_all: bool,
    /// Absent where the backup notes no hash.
    pub proof: Option<Proof>,
    /// What the file looked like when it was hashed; absent where that is unknown or cannot be relied on.
    pub seen: Option<Local>,
}

/// Hash of a file's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    Blake3(ContentHash),
    /// What WAL-G notes: 32 hexadecimal digits.
    Xxh3(String),
}

/// What holds for the whole push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub now: Timestamp,
    /// An object that was first stored before that is stored anew.
    pub age_limit: TimeDelta,
    /// Increments are for deltas only.
    pub is_delta: bool,
    /// A file whose size, time of modification, inode and timeline are those of `Stored::seen` is not read.
    pub trust_file_times: bool,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Store the whole file.
    Upload,
    /// Refer to the stored object without reading the file.
    Trust,
    /// Read so many bytes. If they have this hash, do as `then` says; store the whole file otherwise.
    Prove { bytes: u64, proof: Proof, then: Then },
}

/// What follows from a proved beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The file ends there: refer to the stored object.
    Reuse,
    /// Store what follows.
    Increment,
}

/// Decides for one file.
pub fn decide(stored: Option<&Stored>, local: &Local, rules: &Rules) -> Plan {
    let Some(stored) = stored.filter(|stored| may_be_used(stored, rules)) else { return Plan::Upload };
    if rules.trust_file_times && stored.is_all && stored.seen.as_ref() == Some(local) {
        return Plan::Trust;
    }
    let Some(proof) = stored.proof.clone() else { return Plan::Upload };
    let bytes = stored.proved_bytes;
    if local.bytes == bytes && stored.is_all {
        return Plan::Prove { bytes, proof, then: Then::Reuse };
    }
    // An increment on nothing would be the whole file, with a needless dependency.
    if rules.is_delta && local.bytes > bytes && bytes > 0 {
        return Plan::Prove { bytes, proof, then: Then::Increment };
    }
    Plan::Upload
}

/// A full backup stands alone, and an old object is replaced some day. An age beyond all calendars never ends.
fn may_be_used(stored: &Stored, rules: &Rules) -> bool {
    let is_young = is_young(stored.initial_upload_time, rules.now, rules.age_limit);
    is_young && (rules.is_delta || !stored.is_incremented)
}

/// Not older than the limit.
fn is_young(initial_upload: Timestamp, now: Timestamp, limit: TimeDelta) -> bool {
    now.0.checked_sub_signed(limit).is_none_or(|oldest| initial_upload.0 >= oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(is_delta: bool) -> Rules {
        let now = Timestamp::from_unix_nanos(1_000_000_000_000_000_000);
        Rules { now, age_limit: TimeDelta::hours(720), is_delta, trust_file_times: false }
    }

    fn proof() -> Proof {
        Proof::Blake3(ContentHash([1; 32]))
    }

    fn stored() -> Stored {
        let initial_upload_time = Timestamp::from_unix_nanos(999_999_000_000_000_000);
        Stored {
            initial_upload_time,
            is_incremented: false,
            proved_bytes: 100,
            is_all: true,
            proof: Some(proof()),
            seen: None,
        }
    }

    fn local(bytes: u64) -> Local {
        Local { bytes, modified_nanos: 5, inode: 6, timeline: 1, eof: 90 }
    }

    fn prove(bytes: u64, then: Then) -> Plan {
        Plan::Prove { bytes, proof: proof(), then }
    }

    /// One row for each rule: what is stored, size of the file, plan of a full backup, plan of a delta.
    #[test]
    fn table() {
        let old = Stored { initial_upload_time: Timestamp::from_unix_nanos(0), ..stored() };
        let increment = Stored { is_incremented: true, ..stored() };
        let with_tail = Stored { is_all: false, ..stored() };
        let unknown = Stored { proof: None, ..stored() };
        let empty = Stored { proved_bytes: 0, ..stored() };
        let (reuse, grow) = (prove(100, Then::Reuse), prove(100, Then::Increment));
        let rows = [
            ("nothing stored", None, 100, Plan::Upload, Plan::Upload),
            ("same size", Some(stored()), 100, reuse.clone(), reuse.clone()),
            ("grown", Some(stored()), 101, Plan::Upload, grow.clone()),
            ("shrunk", Some(stored()), 99, Plan::Upload, Plan::Upload),
            ("too old", Some(old), 100, Plan::Upload, Plan::Upload),
            ("an increment, unchanged", Some(increment.clone()), 100, Plan::Upload, reuse),
            ("an increment, grown", Some(increment), 101, Plan::Upload, grow.clone()),
            ("more stored than proved, same size", Some(with_tail.clone()), 100, Plan::Upload, Plan::Upload),
            ("more stored than proved, grown", Some(with_tail), 101, Plan::Upload, grow),
            ("no hash", Some(unknown.clone()), 100, Plan::Upload, Plan::Upload),
            ("no hash, grown", Some(unknown), 101, Plan::Upload, Plan::Upload),
            ("empty, unchanged", Some(empty.clone()), 0, prove(0, Then::Reuse), prove(0, Then::Reuse)),
            ("empty, grown", Some(empty), 1, Plan::Upload, Plan::Upload),
        ];
        for (name, stored, bytes, full, delta) in rows {
            assert_eq!(decide(stored.as_ref(), &local(bytes), &rules(false)), full, "{name}, full");
            assert_eq!(decide(stored.as_ref(), &local(bytes), &rules(true)), delta, "{name}, delta");
        }
    }

    #[test]
    fn the_age_limit_is_reached_not_met() {
        let now = Timestamp::from_unix_nanos(10_000_000_000);
        let stored_at = Timestamp::from_unix_nanos(9_000_000_000);
        assert!(is_young(stored_at, now, TimeDelta::seconds(1)));
        assert!(!is_young(stored_at, now, TimeDelta::milliseconds(999)));
        assert!(is_young(stored_at, now, TimeDelta::MAX));
        // An upload that the clock of another host says is to come.
        assert!(is_young(now, stored_at, TimeDelta::zero()));
    }

    #[test]
    fn file_times_count_when_asked_for_and_all_alike() {
        let trusting = Rules { trust_file_times: true, ..rules(false) };
        let seen = Stored { seen: Some(local(100)), ..stored() };
        assert_eq!(decide(Some(&seen), &local(100), &trusting), Plan::Trust);
        assert_eq!(decide(Some(&seen), &local(100), &rules(false)), prove(100, Then::Reuse));
        let other = [
            Local { modified_nanos: 4, ..local(100) },
            Local { inode: 7, ..local(100) },
            Local { timeline: 2, ..local(100) },
            Local { eof: 91, ..local(100) },
        ];
        for other in other {
            assert_eq!(decide(Some(&seen), &other, &trusting), prove(100, Then::Reuse), "{other:?}");
        }
        assert_eq!(decide(Some(&stored()), &local(100), &trusting), prove(100, Then::Reuse));
        let old = Rules { age_limit: TimeDelta::zero(), ..trusting };
        assert_eq!(decide(Some(&seen), &local(100), &old), Plan::Upload);
    }
}
