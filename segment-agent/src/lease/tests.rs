use bytes::Bytes;
use formats::Timestamp;
use storage::{FaultPlan, Operation};

use super::*;

const LONG: Duration = Duration::from_secs(900);

fn request(kind: LeaseKind, what: &str) -> LeaseRequest {
    LeaseRequest { kind, what: what.to_owned(), term: LONG, linger: Duration::ZERO }
}

async fn keys(store: &Store) -> Vec<String> {
    store.list("").await.unwrap().into_iter().map(|object| object.key).collect()
}

/// A lease left behind by `process`, with this term.
async fn left_behind(store: &Store, kind: LeaseKind, process: String, term: Duration, lingers: u64) -> String {
    let now = Utc::now();
    let document = LeaseDocument {
        kind,
        what: "backup_old".to_owned(),
        host: "elsewhere".to_owned(),
        pid: 7,
        // A clock that is hours ahead changes nothing.
        taken: (now + chrono::TimeDelta::hours(5)).into(),
        renewed: (now + chrono::TimeDelta::hours(5)).into(),
        expires: Timestamp::from(now + chrono::TimeDelta::hours(5) + chrono::TimeDelta::from_std(term).unwrap()),
        process,
        lingers,
    };
    let key = layout::lease_key(kind, "old");
    store.put(&key, go_json::to_vec(&document).into()).await.unwrap();
    key
}

/// The name of a process that has ended.
fn ended() -> String {
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let name = process::this().replacen(&format!("/{}/", std::process::id()), &format!("/{}/", child.id()), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    name
}

#[tokio::test]
async fn a_second_push_is_refused_and_told_who_is_first() {
    let store = Store::memory();
    let first = Lease::acquire(&store, request(LeaseKind::Push, "backup_1")).await.unwrap();
    first.describe("backup_2").await.unwrap();
    for kind in [LeaseKind::Push, LeaseKind::Delete] {
        let error = Lease::acquire(&store, request(kind, "x")).await.unwrap_err();
        let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
        for part in ["another push", "backup_2", host.as_str(), &std::process::id().to_string(), "since 20"] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        assert!(error.remedy().unwrap().contains("DAMSON_STORAGE_LEASE"));
    }
    let reader = Lease::acquire(&store, request(LeaseKind::Read, "r")).await.unwrap();
    assert_eq!(keys(&store).await.len(), 2, "who is refused leaves nothing");
    first.release().await;
    Lease::acquire(&store, request(LeaseKind::Push, "x")).await.unwrap().release().await;
    let error = Lease::acquire(&store, request(LeaseKind::Delete, "x")).await.unwrap_err();
    assert!(error.to_string().contains("another read"), "{error}");
    reader.release().await;
    Lease::acquire(&store, request(LeaseKind::Delete, "x")).await.unwrap().release().await;
    assert!(keys(&store).await.is_empty());
}

/// However two that begin at the same moment interleave, never both get through.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_two() {
    for _ in 0..50 {
        let store = Store::memory();
        let attempt = || {
            let store = store.clone();
            tokio::spawn(async move { Lease::acquire(&store, request(LeaseKind::Push, "x")).await })
        };
        let (one, two) = tokio::join!(attempt(), attempt());
        assert!(one.unwrap().is_err() || two.unwrap().is_err());
    }
}

/// One that gives way at the same moment stops nobody.
#[tokio::test]
async fn a_rival_that_gives_way_is_no_obstacle() {
    let store = Store::memory();
    let rival = left_behind(&store, LeaseKind::Push, String::new(), LONG, 0).await;
    let ours = layout::lease_key(LeaseKind::Push, "ours");
    assert!(claim(&store, &ours, &request(LeaseKind::Push, "x")).await.unwrap().is_some());
    store.delete(&[rival]).await.unwrap();
    assert!(claim(&store, &ours, &request(LeaseKind::Push, "x")).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_left_behind_expires_by_the_clock_of_the_storage() {
    let store = Store::memory();
    let key = left_behind(&store, LeaseKind::Push, String::new(), LONG, 0).await;
    let error = Lease::acquire(&store, request(LeaseKind::Push, "x")).await.unwrap_err();
    assert!(error.to_string().contains("backup_old, on host elsewhere, process 7"), "{error}");
    left_behind(&store, LeaseKind::Push, String::new(), Duration::ZERO, 0).await;
    let lease = Lease::acquire(&store, request(LeaseKind::Push, "x")).await.unwrap();
    assert!(!keys(&store).await.contains(&key), "expired ones are removed");
    lease.release().await;
    // What cannot be read counts as a lease of the default term.
    store.put(&key, Bytes::from_static(b"{\"kind\":")).await.unwrap();
    let error = Lease::acquire(&store, request(LeaseKind::Delete, "x")).await.unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[tokio::test]
async fn a_process_that_was_killed_here_holds_nothing() {
    let store = Store::memory();
    left_behind(&store, LeaseKind::Delete, ended(), LONG, 0).await;
    Lease::acquire(&store, request(LeaseKind::Push, "x")).await.unwrap().release().await;
    left_behind(&store, LeaseKind::Push, ended(), LONG, 0).await;
    Lease::acquire(&store, request(LeaseKind::Delete, "x")).await.unwrap().release().await;
    // Its agents may still be at work: that stops a deletion, not another push.
    left_behind(&store, LeaseKind::Push, ended(), LONG, 120).await;
    Lease::acquire(&store, request(LeaseKind::Delete, "x")).await.unwrap_err();
    Lease::acquire(&store, request(LeaseKind::Push, "x")).await.unwrap().release().await;
}

#[tokio::test]
async fn a_lease_that_others_took_for_expired_is_lost() {
    let store = Store::memory();
    let lease = Lease::acquire(&store, request(LeaseKind::Push, "backup_1")).await.unwrap();
    lease.confirm().await.unwrap();
    store.delete(&keys(&store).await).await.unwrap();
    let error = lease.confirm().await.unwrap_err();
    assert!(error.to_string().contains("backup_1 lost its lease"), "{error}");
    assert!(lease.lost().await.to_string().contains("lost its lease"));
    lease.confirm().await.unwrap_err();
    assert!(keys(&store).await.is_empty(), "a lost lease does not come back");
}

/// The storage takes no writes for longer than the term.
#[tokio::test]
async fn a_lease_that_cannot_be_renewed_is_lost() {
    let store = Store::memory().failing(FaultPlan::nth(3).of(Operation::Put).forever());
    let short = LeaseRequest { term: Duration::from_millis(300), ..request(LeaseKind::Push, "backup_1") };
    let lease = Lease::acquire(&store, short).await.unwrap();
    assert!(lease.lost().await.to_string().contains("lost its lease"));
    lease.confirm().await.unwrap_err();
}

#[tokio::test]
async fn readers_go_on_without_a_lease() {
    let denied =
        Store::memory().failing(FaultPlan::nth(1).of(Operation::Put).forever().with(storage::ErrorKind::Denied));
    assert!(Lease::read(&denied, "backup_1", LONG).await.is_none());
    let store = Store::memory();
    let delete = Lease::acquire(&store, request(LeaseKind::Delete, "retain 1")).await.unwrap();
    assert!(Lease::read(&store, "backup_1", LONG).await.is_none());
    delete.release().await;
    Lease::read(&store, "backup_1", LONG).await.unwrap().release().await;
}
