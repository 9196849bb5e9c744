//! What a deletion prints: WAL-G's lines in the log, and a plan for people or programs on standard output.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use super::{Class, DeletePlan};

/// The plan of one repository and what it is called: empty for the storage's root, `segments_005/seg0/` for a segment.
pub struct Part<'a> {
    pub prefix: String,
    pub plan: &'a DeletePlan,
}

/// How many objects of a part go, and whether they were removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    DryRun,
    Done,
}

/// One line for each object, as WAL-G prints them. Where objects are really removed they stand in the log's details only.
pub fn log_objects(part: &Part<'_>, outcome: Outcome) {
    for object in &part.plan.objects {
        let path = format!("{}{}", part.prefix, object.key);
        match outcome {
            Outcome::DryRun => tracing::info!("Object marked for deletion: {path} storage=default"),
            Outcome::Done => tracing::debug!("Object marked for deletion: {path} storage=default"),
        }
    }
}

/// The line after the objects.
pub fn log_count(count: usize, outcome: Outcome) {
    match (count, outcome) {
        (0, _) => tracing::info!("No objects matched the deletion criteria."),
        (count, Outcome::DryRun) => {
            tracing::info!("Dry run: objects would be deleted count={count}, Run with --confirm to execute");
        }
        (count, Outcome::Done) => tracing::info!("Objects deleted successfully: count={count}"),
    }
}

/// What is said once about the whole deletion.
#[derive(Default)]
pub struct Summary<'a> {
    pub parts: Vec<Part<'a>>,
    /// Restore points that go, and why.
    pub points: BTreeMap<String, String>,
}

impl Summary<'_> {
    fn totals(&self) -> BTreeMap<Class, (u64, u64)> {
        let mut totals = BTreeMap::<Class, (u64, u64)>::new();
        for (class, (objects, bytes)) in self.parts.iter().flat_map(|part| part.plan.totals()) {
            let total = totals.entry(class).or_default();
            *total = (total.0 + objects, total.1 + bytes);
        }
        totals
    }

    fn uploads(&self) -> usize {
        self.parts.iter().map(|part| part.plan.uploads.len()).sum()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{:<18}{:>10}{:>14}\n", "", "objects", "bytes");
        let (mut objects, mut bytes) = (0, 0);
        for (class, total) in self.totals() {
            let _ = writeln!(text, "{:<18}{:>10}{:>14}", class.title(), total.0, size(total.1));
            (objects, bytes) = (objects + total.0, bytes + total.1);
        }
        let _ = writeln!(text, "{:<18}{objects:>10}{:>14}", "all", size(bytes));
        if self.uploads() > 0 {
            let _ = writeln!(text, "{:<18}{:>10}", "unfinished uploads", self.uploads());
        }
        self.list("backups that go", |plan| &plan.gone, &mut text);
        if !self.points.is_empty() {
            text.push_str("restore points that go\n");
            for (name, why) in &self.points {
                let _ = writeln!(text, "  {}: {why}", printable(name));
            }
        }
        self.list("backups that are kept", |plan| &plan.kept, &mut text);
        for note in self.parts.iter().flat_map(|part| part.plan.notes.iter().map(|note| (&part.prefix, note))) {
            let _ = writeln!(text, "note: {}{}", note.0, note.1);
        }
        text
    }

    fn list(&self, title: &str, of: impl Fn(&DeletePlan) -> &BTreeMap<formats::BackupName, String>, text: &mut String) {
        if self.parts.iter().all(|part| of(part.plan).is_empty()) {
            return;
        }
        let _ = writeln!(text, "{title}");
        // Why a backup of a segment goes with the cluster's need not be said for every segment.
        let said: BTreeSet<&String> =
            self.parts.iter().filter(|part| part.prefix.is_empty()).flat_map(|part| of(part.plan).values()).collect();
        for part in &self.parts {
            for (name, why) in of(part.plan) {
                if part.prefix.is_empty() || !said.contains(why) {
                    let _ = writeln!(text, "  {}{}: {why}", part.prefix, printable(name.as_str()));
                }
            }
        }
    }

    /// For programs: one object.
    pub fn json(&self, outcome: Outcome) -> Value {
        let totals = self.totals();
        let classes: serde_json::Map<String, Value> = totals
            .iter()
            .map(|(class, (objects, bytes))| (class.title().to_owned(), json!({"objects": objects, "bytes": bytes})))
            .collect();
        let parts: Vec<Value> = self
            .parts
            .iter()
            .map(|part| {
                let plan = part.plan;
                let objects: Vec<_> = plan.objects.iter().map(|object| object.key.as_str()).collect();
                json!({"prefix": part.prefix, "objects": objects, "unfinished_uploads": plan.uploads.len(),
                    "backups": plan.gone, "kept": plan.kept, "notes": plan.notes, "problems": plan.problems})
            })
            .collect();
        json!({
            "confirmed": outcome == Outcome::Done,
            "objects": totals.values().map(|total| total.0).sum::<u64>(),
            "bytes": totals.values().map(|total| total.1).sum::<u64>(),
            "classes": classes,
            "restore_points": self.points,
            "parts": parts,
        })
    }
}

/// `1.5 MiB`.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

fn printable(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use formats::BackupName;

    use super::super::PlannedObject;
    use super::*;

    #[test]
    fn a_plan_in_words() {
        let object = |class, bytes| PlannedObject { class, key: "x".to_owned(), bytes };
        let name = |text: &str| BackupName::new(text).unwrap();
        let root = DeletePlan {
            objects: vec![object(Class::Sentinel, 700), object(Class::RestorePoint, 300)],
            gone: BTreeMap::from([(name("backup_1"), "older than backup_2".to_owned())]),
            kept: BTreeMap::from([(name("backup_0"), "permanent".to_owned())]),
            ..DeletePlan::default()
        };
        let segment = DeletePlan {
            objects: vec![object(Class::Log, 5 << 20), object(Class::Sentinel, 1)],
            notes: vec!["one thing".to_owned()],
            ..DeletePlan::default()
        };
        let part = |prefix: &str, plan| Part { prefix: prefix.to_owned(), plan };
        let summary = Summary {
            parts: vec![part("", &root), part("segments_005/seg0/", &segment)],
            points: BTreeMap::from([("rp\n1".to_owned(), "its backup goes".to_owned())]),
        };
        let expected = "                     objects         bytes
sentinels                  2         701 B
restore points             1         300 B
log files                  1       5.0 MiB
all                        4       5.0 MiB
backups that go
  backup_1: older than backup_2
restore points that go
  rp\\n1: its backup goes
backups that are kept
  backup_0: permanent
note: segments_005/seg0/one thing
";
        assert_eq!(summary.text(), expected);
        let json = summary.json(Outcome::DryRun);
        assert_eq!((&json["objects"], &json["confirmed"]), (&json!(4), &json!(false)));
    }
}
