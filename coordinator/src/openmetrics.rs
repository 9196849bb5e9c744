//! What is known of backups and archives, as OpenMetrics text. Pure: facts in, text out.
//!
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>: one `# TYPE` and `# HELP` a family, its
//! samples together, `# EOF` at the end. Times are Unix seconds; ages can be had from them, but are told too, for a text file may
//! be read long after it was written.

use std::collections::BTreeMap;
use std::fmt::Write;

use formats::proof::{Proof, ProofKind};
use formats::{BackupName, ContentId, Timestamp};

use crate::catalog::BackupDetail;

/// What is told.
pub struct Facts {
    pub now: Timestamp,
    /// Backups whose sentinels can be read.
    pub backups: Vec<BackupDetail>,
    /// Backups whose sentinels cannot.
    pub unreadable_backups: usize,
    /// The newest proof of each backup that has one.
    pub proofs: BTreeMap<BackupName, Proof>,
    pub restore_points: usize,
    pub archives: BTreeMap<ContentId, Archive>,
    /// Whether the cluster's servers could be asked.
    pub cluster_up: bool,
}

/// The archived log of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Archive {
    pub files: u64,
    /// Between the first and the last file of a timeline.
    pub missing_files: u64,
    /// When the newest file was stored.
    pub newest_stored: Option<Timestamp>,
    /// End of the newest file, as bytes since the beginning of the log.
    pub newest_end: Option<u64>,
    /// What the server has written and the archive does not have.
    pub lag_bytes: Option<u64>,
}

/// The whole exposition.
pub fn text(facts: &Facts) -> String {
    let mut page = Page::default();
    let unlabelled = |value: f64| vec![(Vec::new(), value)];
    page.family(
        "damson_up",
        "gauge",
        "Whether the cluster could be asked for its segments and log positions.",
        unlabelled(flag(facts.cluster_up)),
    );
    page.family(
        "damson_generated_timestamp_seconds",
        "gauge",
        "When this was written.",
        unlabelled(seconds(facts.now)),
    );
    page.family("damson_backups", "gauge", "Backups of the cluster.", counts(facts));
    page.family(
        "damson_unreadable_backups",
        "gauge",
        "Backups whose sentinels cannot be read.",
        unlabelled(facts.unreadable_backups as f64),
    );
    page.family(
        "damson_restore_points",
        "gauge",
        "Restore points, those of backups included.",
        unlabelled(facts.restore_points as f64),
    );
    last_backups(&mut page, facts);
    each_backup(&mut page, facts);
    proofs(&mut page, facts);
    archives(&mut page, facts);
    page.0 + "# EOF\n"
}

fn counts(facts: &Facts) -> Samples {
    let deltas = facts.backups.iter().filter(|backup| backup.sentinel.increment_from.is_some()).count();
    vec![
        (vec![("kind", "delta".to_owned())], deltas as f64),
        (vec![("kind", "full".to_owned())], (facts.backups.len() - deltas) as f64),
    ]
}

/// The newest backup that no proof found damaged, and the newest that a proof found right.
fn last_backups(page: &mut Page, facts: &Facts) {
    let proof = |backup: &&BackupDetail| facts.proofs.get(&backup.name).map(|proof| proof.ok);
    let newest =
        |backups: &mut dyn Iterator<Item = &BackupDetail>| backups.map(|backup| backup.sentinel.finish_time).max();
    let good = newest(&mut facts.backups.iter().filter(|backup| proof(backup) != Some(false)));
    let proved = newest(&mut facts.backups.iter().filter(|backup| proof(backup) == Some(true)));
    for (name, time, what) in
        [("good", good, "no proof found damaged"), ("proved", proved, "its last proof found right")]
    {
        let one = |value: Option<f64>| value.into_iter().map(|value| (Vec::new(), value)).collect();
        let help = format!("End of the newest backup that {what}.");
        page.family(&format!("damson_last_{name}_backup_timestamp_seconds"), "gauge", &help, one(time.map(seconds)));
        let help = format!("Age of the newest backup that {what}.");
        let age = time.map(|time| seconds(facts.now) - seconds(time));
        page.family(&format!("damson_last_{name}_backup_age_seconds"), "gauge", &help, one(age));
    }
}

fn each_backup(page: &mut Page, facts: &Facts) {
    let of_each = |value: &dyn Fn(&BackupDetail) -> f64| -> Samples {
        facts.backups.iter().map(|backup| (vec![("backup", backup.name.to_string())], value(backup))).collect()
    };
    let finish = |backup: &BackupDetail| seconds(backup.sentinel.finish_time);
    let duration = |backup: &BackupDetail| finish(backup) - seconds(backup.sentinel.start_time);
    page.family("damson_backup_finish_timestamp_seconds", "gauge", "When the backup ended.", of_each(&finish));
    page.family("damson_backup_duration_seconds", "gauge", "How long the backup took.", of_each(&duration));
    let sizes = facts.backups.iter().flat_map(|backup| {
        let sentinel = &backup.sentinel;
        let sizes = [
            ("compressed", sentinel.compressed_size),
            ("data_catalog", sentinel.data_catalog_size),
            ("uncompressed", sentinel.uncompressed_size),
        ];
        sizes.map(|(kind, bytes)| (vec![("backup", backup.name.to_string()), ("kind", kind.to_owned())], bytes as f64))
    });
    let help = "Size of the backup as its sentinel tells it.";
    page.family("damson_backup_size_bytes", "gauge", help, sizes.collect());
}

fn proofs(page: &mut Page, facts: &Facts) {
    let of_each = |value: &dyn Fn(&Proof) -> f64| -> Samples {
        let labels = |proof: &Proof| {
            let kind = if proof.kind == ProofKind::Verify { "verify" } else { "drill" };
            vec![("backup", proof.backup.to_string()), ("kind", kind.to_owned())]
        };
        let known = facts.backups.iter().filter_map(|backup| facts.proofs.get(&backup.name));
        known.map(|proof| (labels(proof), value(proof))).collect()
    };
    let at = |proof: &Proof| seconds(proof.at);
    page.family(
        "damson_proof_ok",
        "gauge",
        "Whether the newest proof found the backup right.",
        of_each(&|proof| flag(proof.ok)),
    );
    page.family("damson_proof_timestamp_seconds", "gauge", "When the backup was proved last.", of_each(&at));
    let help = "How long the proof took; of a drill: until the restored cluster answered.";
    page.family("damson_proof_duration_seconds", "gauge", help, of_each(&|proof| proof.duration_seconds));
}

fn archives(page: &mut Page, facts: &Facts) {
    let of_each = |value: &dyn Fn(&Archive) -> Option<f64>| -> Samples {
        let sample = |(content, archive): (&ContentId, &Archive)| {
            Some((vec![("content", content.to_string())], value(archive)?))
        };
        facts.archives.iter().filter_map(sample).collect()
    };
    page.family(
        "damson_archive_files",
        "gauge",
        "Archived log files of the segment.",
        of_each(&|archive| Some(archive.files as f64)),
    );
    let help = "Log files that are missing between archived ones.";
    page.family("damson_archive_missing_files", "gauge", help, of_each(&|archive| Some(archive.missing_files as f64)));
    let help = "When the newest log file was archived.";
    page.family(
        "damson_archive_newest_timestamp_seconds",
        "gauge",
        help,
        of_each(&|archive| archive.newest_stored.map(seconds)),
    );
    let help = "Log that the server has written and the archive does not have; absent where no server can be asked.";
    page.family(
        "damson_archive_lag_bytes",
        "gauge",
        help,
        of_each(&|archive| archive.lag_bytes.map(|bytes| bytes as f64)),
    );
}

/// Labels and value of each sample.
type Samples = Vec<(Vec<(&'static str, String)>, f64)>;

#[derive(Default)]
struct Page(String);

impl Page {
    /// A family without samples is left out.
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: Samples) {
        if samples.is_empty() {
            return;
        }
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}"))) {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {}", escaped(help));
        for (labels, value) in samples {
            self.0 += name;
            if !labels.is_empty() {
                let pairs: Vec<_> =
                    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
                let _ = write!(self.0, "{{{}}}", pairs.join(","));
            }
            let _ = writeln!(self.0, " {value}");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// To the millisecond.
fn seconds(time: Timestamp) -> f64 {
    time.0.timestamp_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalog::{Backups, golden};

    /// A parser of the format that is strict about what this page may hold: values by sample name with labels.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        let (body, end) = text.split_at(text.len() - 6);
        assert_eq!(end, "# EOF\n");
        let (mut families, mut samples) = (BTreeSet::new(), BTreeMap::new());
        let mut current = String::new();
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let words: Vec<&str> = rest.splitn(3, ' ').collect();
                let [keyword, name, _] = words.as_slice() else { panic!("{line}") };
                assert!(["TYPE", "UNIT", "HELP"].contains(keyword), "{line}");
                if *keyword == "TYPE" {
                    assert!(families.insert((*name).to_owned()), "family {name} twice");
                    current = (*name).to_owned();
                }
                assert_eq!(*name, current, "{line}");
                continue;
            }
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            assert_eq!(name, current, "a sample outside of its family: {line}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
            if let Some(labels) = sample.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                let labels = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}')).unwrap();
                for label in labels.split("\",") {
                    let (name, value) = label.split_once("=\"").unwrap();
                    assert!(name.bytes().all(|b| b.is_ascii_lowercase()) && !value.contains('\n'), "{line}");
                }
            }
            assert!(samples.insert(sample.to_owned(), value.parse().unwrap()).is_none(), "{line} twice");
        }
        samples
    }

    fn proof(name: &str, ok: bool) -> (BackupName, Proof) {
        let backup: BackupName = name.parse().unwrap();
        let proof = Proof {
            backup: backup.clone(),
            kind: ProofKind::Verify,
            at: "2026-11-21T10:00:00Z".parse().unwrap(),
            ok,
            duration_seconds: 2.5,
            bytes: 0,
            objects: 0,
            findings: Vec::new(),
            more_findings: 0,
            affected_backups: Vec::new(),
            affected_restore_points: Vec::new(),
        };
        (backup, proof)
    }

    #[test]
    fn a_real_catalog() {
        let (_directory, store) = golden::store();
        let backups = futures::executor::block_on(async { Backups::load(&store).await.unwrap().details().await.found });
        let archive = Archive { files: 12, missing_files: 1, lag_bytes: Some(64), ..Archive::default() };
        let facts = Facts {
            now: "2026-11-21T11:00:00Z".parse().unwrap(),
            backups,
            unreadable_backups: 0,
            proofs: BTreeMap::from([proof(golden::FULL, true), proof(golden::DELTA_2, false)]),
            restore_points: 5,
            archives: BTreeMap::from([(ContentId(-1), archive)]),
            cluster_up: true,
        };
        let samples = parse(&text(&facts));
        let value = |sample: &str| *samples.get(sample).unwrap_or_else(|| panic!("{sample} in {samples:?}"));
        assert_eq!((value("damson_backups{kind=\"full\"}"), value("damson_backups{kind=\"delta\"}")), (1.0, 2.0));
        assert_eq!(value("damson_archive_missing_files{content=\"-1\"}"), 1.0);
        assert_eq!(value("damson_archive_lag_bytes{content=\"-1\"}"), 64.0);
        assert_eq!(value(&format!("damson_proof_ok{{backup=\"{}\",kind=\"verify\"}}", golden::DELTA_2)), 0.0);
        let (good, proved) =
            (value("damson_last_good_backup_age_seconds"), value("damson_last_proved_backup_age_seconds"));
        assert!(proved > good, "the newest proved backup is the oldest of all: {proved} {good}");
        assert!(!samples.contains_key("damson_archive_newest_timestamp_seconds{content=\"-1\"}"));
    }

    #[test]
    fn an_empty_storage_and_strange_names() {
        let nothing = Facts {
            now: "2026-11-21T11:00:00Z".parse().unwrap(),
            backups: Vec::new(),
            unreadable_backups: 2,
            proofs: BTreeMap::new(),
            restore_points: 0,
            archives: BTreeMap::new(),
            cluster_up: false,
        };
        let samples = parse(&text(&nothing));
        assert_eq!((samples["damson_up"], samples["damson_unreadable_backups"]), (0.0, 2.0));
        assert!(!samples.contains_key("damson_last_good_backup_age_seconds"));
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
