//! `damson_005/proofs/<backup>.json`: what was proved of a backup, when, and what was found. Damson's own; WAL-G ignores it.
//!
//! `{"proofs":[...]}`, newest last. The document keeps the newest [`MAX_PROOFS`] proofs and, of each, [`MAX_FINDINGS`]
//! findings, so that it stays small however often a backup is proved and however much of it is lost.

use serde::{Deserialize, Serialize};

use crate::go_json::{is_default, null_as_default};
use crate::{BackupName, Timestamp};

/// Proofs that a document keeps.
pub const MAX_PROOFS: usize = 20;
/// Findings that a proof keeps.
pub const MAX_FINDINGS: usize = 100;

/// Everything that was proved of one backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProofHistory {
    /// Newest last.
    #[serde(default, deserialize_with = "null_as_default")]
    pub proofs: Vec<Proof>,
}

/// One run of `backup-verify` or of `drill`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    pub backup: BackupName,
    pub kind: ProofKind,
    /// When it ended.
    pub at: Timestamp,
    /// Nothing is wrong with the backup.
    pub ok: bool,
    /// Of a drill: how long the restore took until the cluster answered.
    pub duration_seconds: f64,
    /// Of a verification: bytes read from the storage. Of a drill: bytes restored.
    pub bytes: u64,
    /// Objects read.
    pub objects: u64,
    /// At most [`MAX_FINDINGS`].
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Findings beyond those listed.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "is_default")]
    pub more_findings: u64,
    /// Backups, this one included, that the damage keeps from being restored.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub affected_backups: Vec<BackupName>,
    /// Restore points that the damage puts out of reach.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub affected_restore_points: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofKind {
    /// Every object of the chain was read and checked.
    Verify,
    /// The backup was restored, started and asked for its rows.
    Drill,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// Key from the root of the storage; of a drill: the table or the step.
    pub object: String,
    pub problem: String,
}

impl ProofHistory {
    /// Appends `proof` and forgets what is too much.
    pub fn add(&mut self, mut proof: Proof) {
        let surplus = proof.findings.len().saturating_sub(MAX_FINDINGS);
        proof.findings.truncate(MAX_FINDINGS);
        proof.more_findings += surplus as u64;
        self.proofs.push(proof);
        let surplus = self.proofs.len().saturating_sub(MAX_PROOFS);
        self.proofs.drain(..surplus);
    }

    pub fn last(&self) -> Option<&Proof> {
        self.proofs.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go_json;

    fn proof(findings: usize) -> Proof {
        let finding = |number| Finding { object: format!("object {number}"), problem: "is missing".to_owned() };
        Proof {
            backup: BackupName::new("backup_20261121T082827Z").unwrap(),
            kind: ProofKind::Verify,
            at: "2026-11-21T09:00:00.5Z".parse().unwrap(),
            ok: findings == 0,
            duration_seconds: 1.5,
            bytes: 7,
            objects: 2,
            findings: (0..findings).map(finding).collect(),
            more_findings: 0,
            affected_backups: Vec::new(),
            affected_restore_points: Vec::new(),
        }
    }

    #[test]
    fn text_comes_back() {
        let history = ProofHistory { proofs: vec![proof(0)] };
        let text = r#"{"proofs":[{"backup":"backup_20261121T082827Z","kind":"verify","at":"2026-11-21T09:00:00.5Z","ok":true,"duration_seconds":1.5,"bytes":7,"objects":2}]}"#;
        assert_eq!(String::from_utf8(go_json::to_vec(&history)).unwrap(), text);
        assert_eq!(go_json::from_slice::<ProofHistory>("x", text.as_bytes()).unwrap(), history);
        assert_eq!(go_json::from_slice::<ProofHistory>("x", b"{}").unwrap(), ProofHistory::default());
    }

    #[test]
    fn what_is_too_much_is_forgotten_from_the_old_end() {
        let mut history = ProofHistory::default();
        for number in 0..MAX_PROOFS as u64 + 5 {
            history.add(Proof { bytes: number, ..proof(MAX_FINDINGS + 3) });
        }
        assert_eq!(history.proofs.len(), MAX_PROOFS);
        assert_eq!(history.proofs[0].bytes, 5);
        let last = history.last().unwrap();
        assert_eq!((last.findings.len(), last.more_findings), (MAX_FINDINGS, 3));
    }
}
