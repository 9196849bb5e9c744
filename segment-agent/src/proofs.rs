//! What was proved of backups, as the storage remembers it: one small document a backup, beside the backups.

use std::collections::BTreeMap;

use formats::proof::{Proof, ProofHistory};
use formats::{BackupName, layout};
use futures::stream::{self, StreamExt, TryStreamExt};

use crate::error::{Error, Result};
use crate::repository::Repository;

/// Documents asked for at once.
const REQUESTS_AT_ONCE: usize = 16;

/// Adds `proof` to what is known of its backup. A document that cannot be understood is begun anew.
pub async fn remember(repository: &Repository, proof: Proof) -> Result<()> {
    let key = layout::proofs_key(&proof.backup);
    let mut history = history(repository, &proof.backup).await?;
    history.add(proof);
    repository.put_json(&key, &history).await.map(drop)
}

/// All that is known of a backup; empty if nothing is, or if the document cannot be understood.
pub async fn history(repository: &Repository, backup: &BackupName) -> Result<ProofHistory> {
    let key = layout::proofs_key(backup);
    match repository.find_json::<ProofHistory>(&key).await {
        Ok(history) => Ok(history.unwrap_or_default()),
        Err(Error::Damaged { .. }) => {
            tracing::warn!("{key} cannot be understood: what it said of earlier proofs is lost");
            Ok(ProofHistory::default())
        }
        Err(error) => Err(error),
    }
}

/// The newest proof of every backup that has one: one listing, one request for each.
pub async fn newest(repository: &Repository) -> Result<BTreeMap<BackupName, Proof>> {
    let objects = repository.store().list_folder(&layout::proofs_folder()).await?.objects;
    let names: Vec<_> = objects.iter().filter_map(|object| layout::backup_name_of_proofs_key(&object.key)).collect();
    let read = |name: BackupName| async move {
        let last = history(repository, &name).await?.proofs.pop();
        Ok::<_, Error>(last.map(|proof| (name, proof)))
    };
    stream::iter(names)
        .map(read)
        .buffered(REQUESTS_AT_ONCE)
        .try_filter_map(|found| async { Ok(found) })
        .try_collect()
        .await
}

#[cfg(test)]
mod tests {
    use codec::{Cipher, Compression};
    use formats::Timestamp;
    use formats::proof::ProofKind;
    use storage::Store;

    use super::*;

    #[tokio::test]
    async fn proofs_come_back_newest_first_of_all() {
        let repository = Repository::over(Store::memory(), Compression::Lz4, Cipher::None);
        assert!(newest(&repository).await.unwrap().is_empty());
        let proof = |name: &str, bytes| Proof {
            backup: name.parse().unwrap(),
            kind: ProofKind::Verify,
            at: Timestamp::from_unix_nanos(0),
            ok: true,
            duration_seconds: 0.0,
            bytes,
            objects: 0,
            findings: Vec::new(),
            more_findings: 0,
            affected_backups: Vec::new(),
            affected_restore_points: Vec::new(),
        };
        for (name, bytes) in [("a", 1), ("b", 2), ("a", 3)] {
            remember(&repository, proof(name, bytes)).await.unwrap();
        }
        let found: Vec<_> = newest(&repository).await.unwrap().into_values().map(|proof| proof.bytes).collect();
        assert_eq!(found, [3, 2]);
        let a = "a".parse().unwrap();
        assert_eq!(history(&repository, &a).await.unwrap().proofs.len(), 2);

        repository.store().put(&layout::proofs_key(&a), bytes::Bytes::from_static(b"{")).await.unwrap();
        remember(&repository, proof("a", 4)).await.unwrap();
        assert_eq!(history(&repository, &a).await.unwrap().proofs.len(), 1);
    }
}
