//! Keys of the objects of a backup, relative to the root of a storage (or of a segment's part of it). Pure text.

use pgdata::{SegmentSize, WalName};

use crate::lease::LeaseKind;
use crate::{BackupName, ContentId};

/// Folder of backups.
pub const BASEBACKUPS: &str = "basebackups_005";
/// Folder of the log.
pub const WAL: &str = "wal_005";
/// Folder of the parts of a Greenplum storage that belong to one segment each.
pub const SEGMENTS: &str = "segments_005";
/// Folder of Damson's own documents at the root; WAL-G ignores it.
pub const DAMSON: &str = "damson_005";

const SENTINEL_SUFFIX: &str = "_backup_stop_sentinel.json";
const RESTORE_POINT_SUFFIX: &str = "_restore_point.json";

/// Archive with nothing but `pg_control`, without the extension of a codec.
pub const CONTROL_TAR: &str = "pg_control.tar";
/// Archive with the backup label and the tablespace map, without the extension of a codec.
pub const LABEL_TAR: &str = "backup_label.tar";

/// Where everything of a segment lies: `segments_005/seg-1`.
pub fn segment_prefix(content: ContentId) -> String {
    format!("{SEGMENTS}/seg{content}")
}

/// The segment whose part of the storage is called `folder` (`seg-1`, with or without `segments_005/` before it).
pub fn content_of_segment_folder(folder: &str) -> Option<ContentId> {
    let name = folder.trim_end_matches('/').rsplit('/').next()?;
    let digits = name.strip_prefix("seg")?;
    let content = ContentId(digits.parse().ok()?);
    (content.to_string() == digits).then_some(content)
}

/// The document whose presence makes the backup exist.
pub fn sentinel_key(backup: &BackupName) -> String {
    format!("{BASEBACKUPS}/{backup}{SENTINEL_SUFFIX}")
}

/// Folder of everything else of the backup, without a trailing slash.
pub fn backup_folder(backup: &BackupName) -> String {
    format!("{BASEBACKUPS}/{backup}")
}

pub fn metadata_key(backup: &BackupName) -> String {
    format!("{BASEBACKUPS}/{backup}/metadata.json")
}

pub fn files_metadata_key(backup: &BackupName) -> String {
    format!("{BASEBACKUPS}/{backup}/files_metadata.json")
}

pub fn ao_files_metadata_key(backup: &BackupName) -> String {
    format!("{BASEBACKUPS}/{backup}/ao_files_metadata.json")
}

pub fn pax_files_metadata_key(backup: &BackupName) -> String {
    format!("{BASEBACKUPS}/{backup}/pax_files_metadata.json")
}

/// Damson's own list of objects and contents; WAL-G does not look at it.
pub fn manifest_key(backup: &BackupName) -> String {
    format!("{BASEBACKUPS}/{backup}/manifest.json.zst")
}

/// Folder of the archives, with a trailing slash.
pub fn tar_partitions_prefix(backup: &BackupName) -> String {
    format!("{BASEBACKUPS}/{backup}/tar_partitions/")
}

/// Key of the archive `file_name`.
pub fn part_key(backup: &BackupName, file_name: &str) -> String {
    tar_partitions_prefix(backup) + file_name
}

/// `part_001.tar.zst`; parts count from 1 and grow to four digits and more. `extension` is empty without compression.
pub fn part_file_name(number: u32, extension: &str) -> String {
    with_extension(&format!("part_{number:03}.tar"), extension)
}

/// Key of the append-optimized file with this `StoragePath`; shared by the backups of a segment.
pub fn aosegment_key(storage_path: &str) -> String {
    format!("{BASEBACKUPS}/aosegments/{storage_path}")
}

/// Key of the PAX file with this `StoragePath`; shared by the backups of a segment.
pub fn paxfile_key(storage_path: &str) -> String {
    format!("{BASEBACKUPS}/paxfiles/{storage_path}")
}

/// Key of the file `file_name` of the log. `extension` is empty without compression.
pub fn wal_key(file_name: &str, extension: &str) -> String {
    with_extension(&format!("{WAL}/{file_name}"), extension)
}

/// Key of a restore point's document. `name` must have passed [`crate::check_restore_point_name`].
pub fn restore_point_key(name: &str) -> String {
    format!("{BASEBACKUPS}/{name}{RESTORE_POINT_SUFFIX}")
}

/// Key of the row counts of a backup of the cluster.
pub fn rows_key(backup: &BackupName) -> String {
    format!("{DAMSON}/rows/{backup}.json")
}

/// What was proved of a backup: a [`crate::proof::ProofHistory`].
pub fn proofs_key(backup: &BackupName) -> String {
    format!("{DAMSON}/proofs/{backup}.json")
}

/// Folder of the documents of [`proofs_key`].
pub fn proofs_folder() -> String {
    format!("{DAMSON}/proofs")
}

/// The backup whose proofs have the key `key`. Folders before the name do not matter.
pub fn backup_name_of_proofs_key(key: &str) -> Option<BackupName> {
    BackupName::new(last_element(key).strip_suffix(".json")?).ok()
}

/// Folder of the leases, without a trailing slash.
pub fn leases_folder() -> String {
    format!("{DAMSON}/leases")
}

/// Key of a lease. `id` is unique to its holder.
pub fn lease_key(kind: LeaseKind, id: &str) -> String {
    format!("{DAMSON}/leases/{kind}-{id}.json")
}

/// Folder of the documents of [`deletion_key`], without a trailing slash.
pub fn deletions_folder() -> String {
    format!("{DAMSON}/deletes")
}

/// A deletion under way: a [`crate::deletion::Deletion`]. `id` is unique to it.
pub fn deletion_key(id: &str) -> String {
    format!("{DAMSON}/deletes/{id}.json")
}

/// Whether the object tells of work under way: a lease, a deletion.
pub fn is_at_work(key: &str) -> bool {
    [leases_folder(), deletions_folder()].iter().any(|folder| is_below(key, folder))
}

/// The backup that a document of Damson's own is about: `damson_005/<kind>/<backup>.json`.
pub fn backup_name_of_record_key(key: &str) -> Option<BackupName> {
    let name = last_element(key).strip_suffix(".json").filter(|_| is_below(key, DAMSON) && !is_at_work(key))?;
    BackupName::new(name).ok()
}

fn is_below(key: &str, folder: &str) -> bool {
    key.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// The kind of the lease with the key `key`, if it is the key of one. Folders before the name do not matter.
pub fn kind_of_lease_key(key: &str) -> Option<LeaseKind> {
    let (kind, id) = last_element(key).strip_suffix(".json")?.split_once('-')?;
    LeaseKind::ALL.into_iter().find(|known| known.as_str() == kind && !id.is_empty())
}

/// A restore point that is being made: a [`crate::pending::PendingPoint`].
pub fn pending_point_key(name: &str) -> String {
    format!("{DAMSON}/points/{name}.json")
}

/// The backup whose sentinel has the key `key`, if it is the key of a sentinel. Folders before the name do not matter.
pub fn backup_name_of_sentinel_key(key: &str) -> Option<BackupName> {
    BackupName::new(last_element(key).strip_suffix(SENTINEL_SUFFIX)?).ok()
}

/// The restore point whose document has the key `key`, if it is such a key. Folders before the name do not matter.
pub fn restore_point_name_of_key(key: &str) -> Option<String> {
    last_element(key).strip_suffix(RESTORE_POINT_SUFFIX).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Name of a full backup of a segment that began in the WAL segment `start`: `base_<24 digits>`.
pub fn segment_backup_name(start: WalName, size: SegmentSize) -> BackupName {
    BackupName::trusted(format!("base_{}", start.file_name(size)))
}

/// Name of a full backup of the cluster: `backup_<YYYYMMDDThhmmssZ>`. WAL-G takes the coordinator's local time here,
/// though it writes a `Z`.
pub fn cluster_backup_name(local_time: chrono::NaiveDateTime) -> BackupName {
    BackupName::trusted(format!("backup_{}", local_time.format("%Y%m%dT%H%M%SZ")))
}

/// Name of a delta of `base` that began in the WAL segment `start`: `base_<24 digits>_D_<24 digits of the base>`. Only the
/// base itself is named, whatever it is based on. `None` for a base whose name tells no WAL segment.
pub fn segment_delta_name(start: WalName, size: SegmentSize, base: &BackupName) -> Option<BackupName> {
    let base = base.wal_file_name()?;
    Some(BackupName::trusted(format!("base_{}_D_{base}", start.file_name(size))))
}

/// Name of a delta of the cluster's backup `base`: `backup_<time>_D_<time of the base>`. `None` for a base whose name is
/// too short to hold a time.
pub fn cluster_delta_name(local_time: chrono::NaiveDateTime, base: &BackupName) -> Option<BackupName> {
    let name = cluster_backup_name(local_time);
    let base = base.as_str().get("backup_".len()..name.as_str().len())?;
    Some(BackupName::trusted(format!("{name}_D_{base}")))
}

fn with_extension(name: &str, extension: &str) -> String {
    if extension.is_empty() { name.to_owned() } else { format!("{name}.{extension}") }
}

fn last_element(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgdata::{Lsn, TimelineId};

    #[test]
    fn keys() {
        let name = BackupName::new("base_000000010000000000000003").unwrap();
        assert_eq!(segment_prefix(ContentId(-1)), "segments_005/seg-1");
        assert_eq!(sentinel_key(&name), "basebackups_005/base_000000010000000000000003_backup_stop_sentinel.json");
        assert_eq!(
            part_key(&name, &part_file_name(7, "zst")),
            "basebackups_005/base_000000010000000000000003/tar_partitions/part_007.tar.zst"
        );
        assert_eq!(part_file_name(1000, ""), "part_1000.tar");
        assert_eq!(wal_key("00000002.history", "lz4"), "wal_005/00000002.history.lz4");
        assert_eq!(wal_key("000000010000000000000003", ""), "wal_005/000000010000000000000003");
        assert_eq!(restore_point_key("rp1"), "basebackups_005/rp1_restore_point.json");
        assert_eq!(proofs_key(&name), "damson_005/proofs/base_000000010000000000000003.json");
        assert_eq!(backup_name_of_proofs_key(&proofs_key(&name)), Some(name));
    }

    #[test]
    fn names_from_keys() {
        let name = BackupName::new("backup_20261121T082827Z_D_20261121T082823Z").unwrap();
        assert_eq!(backup_name_of_sentinel_key(&sentinel_key(&name)), Some(name));
        assert_eq!(restore_point_name_of_key(&restore_point_key("rp 1")).as_deref(), Some("rp 1"));
        for key in ["", "x", "basebackups_005/_backup_stop_sentinel.json", "basebackups_005/x/metadata.json"] {
            assert_eq!(backup_name_of_sentinel_key(key), None, "{key:?}");
            assert_eq!(restore_point_name_of_key(key), None, "{key:?}");
        }
        assert_eq!(content_of_segment_folder("segments_005/seg-1/"), Some(ContentId(-1)));
        assert_eq!(content_of_segment_folder("seg12"), Some(ContentId(12)));
        for folder in ["seg", "seg01", "seg+1", "segx", "other"] {
            assert_eq!(content_of_segment_folder(folder), None, "{folder:?}");
        }
    }

    #[test]
    fn records_and_what_is_none() {
        let name = BackupName::new("backup_1").unwrap();
        assert_eq!(backup_name_of_record_key("damson_005/rows/backup_1.json"), Some(name));
        for other in [lease_key(LeaseKind::Push, "1"), deletion_key("1")] {
            assert!(is_at_work(&other) && backup_name_of_record_key(&other).is_none(), "{other}");
        }
        for other in ["damson_005x/rows/backup_1.json", "damson_005/rows/backup_1", "basebackups_005/x.json"] {
            assert!(!is_at_work(other) && backup_name_of_record_key(other).is_none(), "{other}");
        }
    }

    #[test]
    fn leases() {
        for kind in LeaseKind::ALL {
            assert_eq!(kind_of_lease_key(&lease_key(kind, "a-b")), Some(kind));
        }
        for key in ["damson_005/leases/push-.json", "damson_005/leases/x-1.json", "push-1", "push.json"] {
            assert_eq!(kind_of_lease_key(key), None, "{key:?}");
        }
    }

    #[test]
    fn new_names() {
        let size = SegmentSize::new(64 << 20).unwrap();
        let start = size.name_of(TimelineId(1), Lsn(0x0C00_0028));
        assert_eq!(segment_backup_name(start, size).as_str(), "base_000000010000000000000003");
        let time = chrono::DateTime::from_timestamp_nanos(1_795_248_613_500_000_000).naive_utc();
        assert_eq!(cluster_backup_name(time).as_str(), "backup_20261121T081013Z");

        // A delta of a delta names its own base alone.
        let base = BackupName::new("base_000000010000000000000002_D_000000010000000000000001").unwrap();
        assert_eq!(
            segment_delta_name(start, size, &base).unwrap().as_str(),
            "base_000000010000000000000003_D_000000010000000000000002"
        );
        let base = BackupName::new("backup_20261120T081013Z_D_20261119T081013Z").unwrap();
        assert_eq!(cluster_delta_name(time, &base).unwrap().as_str(), "backup_20261121T081013Z_D_20261120T081013Z");
        let short = BackupName::new("backup_2026").unwrap();
        assert!(segment_delta_name(start, size, &short).is_none() && cluster_delta_name(time, &short).is_none());
    }
}
