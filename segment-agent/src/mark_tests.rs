use codec::{Cipher, Compression};
use serde_json::json;
use storage::{FaultPlan, Operation, Store};

use super::*;

const FULL: &str = "base_000000010000000000000002";
const DELTA: &str = "base_000000010000000000000004_D_000000010000000000000002";
const SECOND: &str = "base_000000010000000000000007_D_000000010000000000000004";

fn name(text: &str) -> BackupName {
    text.parse().unwrap()
}

async fn add(store: &Store, name: &str, base: Option<&str>) {
    let mut sentinel = json!({"LSN": 1, "FinishLSN": 2});
    if let Some(base) = base {
        sentinel["DeltaLSN"] = json!(1);
        sentinel["DeltaFrom"] = json!(base);
        sentinel["DeltaFullName"] = json!(FULL);
        sentinel["DeltaCount"] = json!(1);
    }
    let metadata = json!({"start_time": "2026-11-21T08:10:13Z", "finish_time": "2026-11-21T08:10:14Z", "start_lsn": 1,
        "finish_lsn": 2, "is_permanent": false, "system_identifier": 7710534079969413511u64, "later": {"z": 1, "a": "<"}});
    let key = format!("basebackups_005/{name}/metadata.json");
    store.put(&key, go_json::to_vec(&metadata).into()).await.unwrap();
    let key = format!("basebackups_005/{name}_backup_stop_sentinel.json");
    store.put(&key, go_json::to_vec(&sentinel).into()).await.unwrap();
}

async fn repository() -> Repository {
    let store = Store::memory();
    add(&store, FULL, None).await;
    add(&store, DELTA, Some(FULL)).await;
    add(&store, SECOND, Some(DELTA)).await;
    Repository::over(store, Compression::Lz4, Cipher::None)
}

async fn permanent(repository: &Repository) -> Vec<bool> {
    let mut found = Vec::new();
    for backup in [FULL, DELTA, SECOND] {
        found.push(is_permanent(repository, &name(backup)).await.unwrap());
    }
    found
}

#[tokio::test]
async fn a_chain_is_marked_from_its_root_and_unmarked_from_its_end() {
    let repository = repository().await;
    let before = repository.store().get(&layout::metadata_key(&name(SECOND))).await.unwrap();
    assert_eq!(mark(&repository, &name(DELTA), true).await.unwrap(), [name(FULL), name(DELTA)]);
    assert_eq!(mark(&repository, &name(DELTA), true).await.unwrap(), []);
    assert_eq!(permanent(&repository).await, [true, true, false]);
    assert_eq!(mark(&repository, &name(SECOND), true).await.unwrap(), [name(SECOND)]);
    for needed in [FULL, DELTA] {
        let error = mark(&repository, &name(needed), false).await.unwrap_err();
        assert!(
            error.to_string().contains("There is permanent increment backup that depends on this backup"),
            "{error}"
        );
    }
    for backup in [SECOND, DELTA, FULL] {
        assert_eq!(mark(&repository, &name(backup), false).await.unwrap(), [name(backup)]);
    }
    assert_eq!(mark(&repository, &name(FULL), false).await.unwrap(), []);
    assert_eq!(permanent(&repository).await, [false; 3]);
    let after = repository.store().get(&layout::metadata_key(&name(SECOND))).await.unwrap();
    assert_eq!(before, after, "nothing else changes, keys of later releases included");
}

/// A permanent backup two steps away counts, too, even if the one between was unmarked by other means.
#[tokio::test]
async fn every_dependant_counts() {
    let repository = repository().await;
    rewrite(&repository, &name(FULL), true).await.unwrap();
    rewrite(&repository, &name(SECOND), true).await.unwrap();
    let error = mark(&repository, &name(FULL), false).await.unwrap_err();
    assert!(error.to_string().contains(SECOND), "{error}");
}

/// Cut off anywhere, no permanent backup is left with a base that is not.
#[tokio::test]
async fn an_interrupted_mark_is_safe() {
    for failing in 1..=3 {
        let whole = repository().await;
        let store = whole.store().clone().failing(FaultPlan::nth(failing).of(Operation::Put));
        let repository = Repository::over(store, Compression::Lz4, Cipher::None);
        mark(&repository, &name(SECOND), true).await.unwrap_err();
        let found = permanent(&whole).await;
        assert!(found.windows(2).all(|pair| pair[0] || !pair[1]), "{found:?}");
        assert_eq!(found.iter().filter(|permanent| **permanent).count() as u64, failing - 1);
    }
}

#[tokio::test]
async fn what_does_not_exist_or_is_damaged_is_told() {
    let repository = repository().await;
    let error = mark(&repository, &name("nosuch"), true).await.unwrap_err();
    assert!(error.to_string().contains("'nosuch' does not exist"), "{error}");
    repository.store().put(&layout::metadata_key(&name(FULL)), Bytes::from_static(b"{")).await.unwrap();
    let error = mark(&repository, &name(DELTA), true).await.unwrap_err();
    assert!(error.to_string().contains("metadata.json is damaged"), "{error}");
}
