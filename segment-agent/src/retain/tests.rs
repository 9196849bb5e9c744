//! Whole deletions over a storage in memory.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::Utc;
use formats::deletion::Deletion;
use formats::lease::LeaseKind;
use formats::{BackupName, layout};
use storage::{ErrorKind, FaultPlan, Store};
use tokio_util::sync::CancellationToken;

use super::select::{Choice, Modifier, Place, Rule};
use super::single::{View, plan};
use super::*;
use crate::lease::{Lease, LeaseRequest};

const MIB: u64 = 1 << 20;
const VIEW: View = View {
    by_start_time: false,
    scope: Scope::All,
    age: Age { now: DateTime::UNIX_EPOCH, leftover: Duration::ZERO },
    force: false,
};

/// A backup of a repository with log files of 1 MiB: it begins in file `start` and ends in the next one.
#[derive(Clone)]
struct Made {
    start: u64,
    base: Option<u64>,
    permanent: bool,
    /// Shared objects that it names.
    ao: Vec<String>,
    user_data: Option<&'static str>,
}

fn wal(number: u64) -> String {
    format!("00000001{:08X}{:08X}", number >> 12, number & 0xFFF)
}

impl Made {
    fn full(start: u64) -> Self {
        Self { start, base: None, permanent: false, ao: Vec::new(), user_data: None }
    }

    fn name(&self) -> BackupName {
        let base = self.base.map(|base| format!("_D_{}", wal(base))).unwrap_or_default();
        BackupName::new(format!("base_{}{base}", wal(self.start))).unwrap()
    }

    async fn put(&self, store: &Store) {
        let name = self.name();
        let put = async |key: String, text: String| store.put(&key, Bytes::from(text)).await.unwrap();
        for part in ["part_001.tar.lz4", "pg_control.tar.lz4"] {
            put(layout::part_key(&name, part), "tar".to_owned()).await;
        }
        let files: Vec<_> =
            self.ao.iter().map(|path| format!(r#""/{path}":{{"StoragePath":"{path}","EOF":1}}"#)).collect();
        for path in &self.ao {
            put(layout::aosegment_key(path), "rows".to_owned()).await;
        }
        put(layout::ao_files_metadata_key(&name), format!(r#"{{"Files":{{{}}}}}"#, files.join(","))).await;
        let (start, finish) = (self.start * MIB + 0x28, (self.start + 1) * MIB + 0x100);
        let user_data = self.user_data.map(|data| format!(r#","user_data":{data}"#)).unwrap_or_default();
        let metadata = format!(
            r#"{{"start_time":"2026-11-21T08:28:23Z","finish_time":"2026-11-21T08:28:24Z","start_lsn":{start},
            "finish_lsn":{finish},"is_permanent":{}{user_data}}}"#,
            self.permanent
        );
        put(layout::metadata_key(&name), metadata).await;
        put(layout::sentinel_key(&name), "{}".to_owned()).await;
    }
}

async fn archive(store: &Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        store.put(&layout::wal_key(&wal(number), "lz4"), Bytes::from_static(b"log")).await.unwrap();
    }
    store.put("wal_005/00000002.history.lz4", Bytes::from_static(b"history")).await.unwrap();
}

async fn keys(store: &Store) -> BTreeSet<String> {
    store.list("").await.unwrap().into_iter().map(|object| object.key).collect()
}

/// As the command does it.
async fn delete(store: &Store, rule: &Rule, view: View) -> crate::error::Result<DeletePlan> {
    let request = LeaseRequest {
        kind: LeaseKind::Delete,
        what: "test".to_owned(),
        term: Duration::from_secs(900),
        linger: Duration::ZERO,
    };
    let lease = Lease::acquire(store, request).await?;
    let done = delete_under(store, rule, view, &lease).await;
    // A killed command leaves its lease; whether that is seen to be dead is tested elsewhere.
    lease.release().await;
    done
}

async fn delete_under(store: &Store, rule: &Rule, view: View, lease: &Lease) -> crate::error::Result<DeletePlan> {
    let cancel = CancellationToken::new();
    let mut begun = Begun::load(store).await?;
    let (_, plan) = plan(store, rule, View { age: Age { now: lease.taken, ..view.age }, ..view }, &begun).await?;
    let document = Deletion { backups: plan.gone.keys().cloned().collect(), ..Deletion::default() };
    begun.add(store, &document).await?;
    execute(store, &plan, Stop { cancel: &cancel, lease }).await?;
    begun.end(store).await?;
    Ok(plan)
}

/// Every backup that is listed has all its parts, its bases, what it shares, and the log from its start to its end.
async fn is_whole(store: &Store, made: &[Made]) -> BTreeSet<BackupName> {
    let keys = keys(store).await;
    let listed: Vec<_> = made.iter().filter(|made| keys.contains(&layout::sentinel_key(&made.name()))).collect();
    for made in &listed {
        let name = made.name();
        let mut needed = vec![
            layout::part_key(&name, "part_001.tar.lz4"),
            layout::part_key(&name, "pg_control.tar.lz4"),
            layout::metadata_key(&name),
            layout::ao_files_metadata_key(&name),
            layout::wal_key(&wal(made.start), "lz4"),
            layout::wal_key(&wal(made.start + 1), "lz4"),
        ];
        needed.extend(made.ao.iter().map(|path| layout::aosegment_key(path)));
        if let Some(base) = made.base {
            assert!(listed.iter().any(|other| other.start == base), "{name} lacks its base");
        }
        for key in needed {
            assert!(keys.contains(&key), "{name} lacks {key}");
        }
    }
    listed.iter().map(|made| made.name()).collect()
}

fn before(made: &Made) -> Rule {
    Rule::Before { place: Place::Name(made.name().as_str().to_owned()), find_full: true }
}

/// A small source of numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Backups every few files, full ones and deltas of any older one, that share objects with their base.
fn history(dice: &mut Dice) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    for number in 0..2 + dice.roll(6) {
        let start = 3 + number * 4 + dice.roll(3);
        let mut next = Made { permanent: dice.roll(6) == 0, ..Made::full(start) };
        if !made.is_empty() && dice.roll(2) == 0 {
            let base = &made[dice.roll(made.len() as u64) as usize];
            next.base = Some(base.start);
            next.ao.clone_from(&base.ao);
        }
        if dice.roll(2) == 0 {
            next.ao.push(format!("{number}_aoseg"));
        }
        made.push(next);
    }
    made
}

async fn stored(made: &[Made]) -> Store {
    let store = Store::memory();
    for backup in made {
        backup.put(&store).await;
    }
    archive(&store, 0..60).await;
    store
}

fn any_rule(dice: &mut Dice, made: &[Made]) -> Rule {
    let one = &made[dice.roll(made.len() as u64) as usize];
    match dice.roll(6) {
        0 | 1 => before(one),
        2 => Rule::Retain { count: 1 + dice.roll(4) as usize, modifier: Modifier::FindFull, after: None },
        3 => Rule::Retain { count: 1 + dice.roll(3) as usize, modifier: Modifier::Full, after: None },
        4 => Rule::Target { name: one.name(), find_full: dice.roll(2) == 0 },
        _ => Rule::Garbage,
    }
}

#[tokio::test]
async fn nothing_that_a_kept_backup_needs_is_ever_removed() {
    let mut dice = Dice(1);
    for _ in 0..400 {
        let made = history(&mut dice);
        let store = stored(&made).await;
        let rule = any_rule(&mut dice, &made);
        let before = is_whole(&store, &made).await;
        let Ok(plan) = delete(&store, &rule, VIEW).await else {
            assert_eq!(is_whole(&store, &made).await, before);
            continue;
        };
        let left = is_whole(&store, &made).await;
        let gone: BTreeSet<_> = plan.gone.keys().cloned().collect();
        assert_eq!(&before - &left, gone, "{rule:?}");
        assert!(made.iter().all(|made| !made.permanent || left.contains(&made.name())), "{rule:?}");
        // Of what went nothing is left.
        let keys = keys(&store).await;
        assert!(
            gone.iter().all(|name| !keys.iter().any(|key| key.contains(&format!("/{name}")))),
            "{rule:?}: {keys:?}"
        );
        let named: BTreeSet<_> =
            made.iter().filter(|made| left.contains(&made.name())).flat_map(|made| &made.ao).collect();
        let shared = keys.iter().filter(|key| key.contains("/aosegments/")).count();
        assert_eq!(shared, named.len(), "{rule:?}");
        assert!(keys.contains("wal_005/00000002.history.lz4") && keys.contains(&layout::wal_key(&wal(59), "lz4")));
        assert!(!keys.iter().any(|key| layout::is_at_work(key)));
    }
}

/// Whatever request is the last: what is listed is whole, and running it again ends where an undisturbed run does.
#[tokio::test]
async fn a_deletion_that_is_cut_off_anywhere_is_finished_by_the_next() {
    let made = [
        Made { permanent: true, ao: vec!["0_aoseg".to_owned()], ..Made::full(3) },
        Made { ao: vec!["1_aoseg".to_owned()], ..Made::full(7) },
        Made { base: Some(7), ao: vec!["1_aoseg".to_owned(), "2_aoseg".to_owned()], ..Made::full(11) },
        Made { ao: vec!["2_aoseg".to_owned()], ..Made::full(15) },
    ];
    let young = View { age: Age { leftover: Duration::from_secs(3600), ..VIEW.age }, ..VIEW };
    for rule in [before(&made[3]), Rule::Target { name: made[1].name(), find_full: false }] {
        let undisturbed = stored(&made).await;
        delete(&undisturbed, &rule, young).await.unwrap();
        let expected = keys(&undisturbed).await;
        for n in 1.. {
            let store = stored(&made).await;
            let failing = store.clone().failing(FaultPlan::nth(n).forever().with(ErrorKind::Denied));
            let ended = delete(&failing, &rule, young).await.is_ok();
            is_whole(&store, &made).await;
            // The lease of one that was cut off; here it cannot be judged to have ended.
            let leases = store.list(&layout::leases_folder()).await.unwrap().into_iter().map(|lease| lease.key);
            store.delete(&leases.collect::<Vec<_>>()).await.unwrap();
            match delete(&store, &rule, young).await {
                Ok(_) => {}
                // The backup is not listed any more: whatever is run next finishes.
                Err(error) => {
                    assert!(error.to_string().contains("does not exist"), "{error}");
                    delete(&store, &Rule::Garbage, young).await.unwrap();
                }
            }
            is_whole(&store, &made).await;
            let left = keys(&store).await;
            let missing: Vec<_> = expected.difference(&left).filter(|key| !key.starts_with("wal_005/")).collect();
            let surplus: Vec<_> = left.difference(&expected).collect();
            assert!(missing.is_empty() && surplus.is_empty(), "{rule:?}, request {n}: {missing:?} {surplus:?}");
            if ended {
                break;
            }
        }
    }
}

#[tokio::test]
async fn leftovers_go_once_they_are_old() {
    let made = [Made::full(3), Made::full(7)];
    let store = stored(&made).await;
    let failed = Made::full(9);
    failed.put(&store).await;
    store.delete(&[layout::sentinel_key(&failed.name())]).await.unwrap();
    store.put(&layout::aosegment_key("lost_aoseg"), Bytes::new()).await.unwrap();
    store.put("basebackups_005/of_another_tool/x", Bytes::new()).await.unwrap();
    store.put("damson_005/proofs/base_gone.json", Bytes::new()).await.unwrap();
    let young = View { age: Age { leftover: Duration::from_secs(3600), ..VIEW.age }, ..VIEW };
    let plan = delete(&store, &Rule::Garbage, young).await.unwrap();
    assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
    assert!(keys(&store).await.contains(&layout::metadata_key(&failed.name())));
    let plan = delete(&store, &Rule::Garbage, VIEW).await.unwrap();
    assert_eq!(plan.totals()[&Class::Leftover].0, 4, "{:?}", plan.objects);
    let keys = keys(&store).await;
    assert!(!keys.iter().any(|key| key.contains(failed.name().as_str()) || key.contains("lost_aoseg")), "{keys:?}");
    assert!(keys.contains("basebackups_005/of_another_tool/x"));
    assert_eq!(is_whole(&store, &made).await.len(), 2);
}

/// What cannot be read protects what it could protect, and the deletion does not claim to be complete.
#[tokio::test]
async fn damaged_documents_protect() {
    let made = [
        Made { ao: vec!["0_aoseg".to_owned()], ..Made::full(3) },
        Made { ao: vec!["1_aoseg".to_owned()], ..Made::full(7) },
        Made { ao: vec!["2_aoseg".to_owned()], ..Made::full(11) },
    ];
    let store = stored(&made).await;
    store.put(&layout::metadata_key(&made[0].name()), Bytes::from_static(b"{")).await.unwrap();
    let plan = delete(&store, &before(&made[2]), VIEW).await.unwrap();
    assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
    assert_eq!(plan.gone.keys().cloned().collect::<Vec<_>>(), [made[1].name()]);
    // Where its log ends is not known, so that none of it goes.
    assert!(keys(&store).await.contains(&layout::wal_key(&wal(8), "lz4")));
    assert!(!keys(&store).await.contains(&layout::wal_key(&wal(2), "lz4")));
    let target = Rule::Target { name: made[0].name(), find_full: false };
    let error = delete(&store, &target, VIEW).await.unwrap_err();
    assert!(error.to_string().contains("whether backup"), "{error}");
    delete(&store, &target, View { force: true, ..VIEW }).await.unwrap();

    let store = stored(&made).await;
    store.put(&layout::ao_files_metadata_key(&made[2].name()), Bytes::from_static(b"{")).await.unwrap();
    let plan = delete(&store, &before(&made[2]), VIEW).await.unwrap();
    assert!(plan.problems[0].contains("no object of aosegments is removed"), "{:?}", plan.problems);
    assert_eq!(keys(&store).await.iter().filter(|key| key.contains("/aosegments/")).count(), 3);
}

#[tokio::test]
async fn parts_of_garbage() {
    let made = [Made { permanent: true, ..Made::full(3) }, Made::full(9)];
    for (scope, log, leftovers) in [(Scope::Archives, false, true), (Scope::Backups, true, false)] {
        let store = stored(&made).await;
        let leftover = layout::part_key(&Made::full(1).name(), "part_001.tar.lz4");
        store.put(&leftover, Bytes::new()).await.unwrap();
        delete(&store, &Rule::Garbage, View { scope, ..VIEW }).await.unwrap();
        let keys = keys(&store).await;
        for number in [0, 2, 5, 8] {
            assert_eq!(keys.contains(&layout::wal_key(&wal(number), "lz4")), log, "{scope:?} {number}");
        }
        assert_eq!(keys.contains(&leftover), leftovers, "{scope:?}");
        assert_eq!(is_whole(&store, &made).await.len(), 2);
    }
}

/// A backup that carries an id and that no backup of the cluster names, and one that a person made.
#[tokio::test]
async fn backups_that_the_cluster_does_not_know() {
    let id = Some(r#"{"id":"x"}"#);
    let made = [
        Made { user_data: id, ..Made::full(3) },
        Made { user_data: id, ..Made::full(7) },
        Made { user_data: Some(r#"{"id":"x","mine":1}"#), ..Made::full(11) },
        Made { user_data: id, permanent: true, ..Made::full(15) },
        Made { user_data: None, ..Made::full(1) },
    ];
    let wish = Wish {
        kept: [(made[0].name(), None)].into(),
        orphans_go: true,
        age: Age { now: Utc::now() + chrono::TimeDelta::minutes(1), leftover: Duration::ZERO },
        ..Wish::default()
    };
    let gone = async |wish: &Wish| {
        let store = stored(&made).await;
        let mut inventory = Inventory::load(&store).await.unwrap();
        let plan = survey(&store, &mut inventory, wish).await.unwrap();
        plan.gone.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(gone(&wish).await, [made[1].name()]);
    assert!(gone(&Wish { orphans_go: false, ..wish.clone() }).await.is_empty());
    let young = Age { leftover: Duration::from_secs(3600), ..wish.age };
    assert!(gone(&Wish { age: young, ..wish.clone() }).await.is_empty());
    let begun = [made[1].name()].into();
    assert_eq!(gone(&Wish { age: young, begun, ..wish.clone() }).await, [made[1].name()]);
    let bound = wal::WalPosition::of_backup(&made[0].name());
    assert_eq!(gone(&Wish { bound, age: young, ..wish }).await, [made[4].name()]);
}

/// A thousand backups: what is not removed costs next to nothing.
#[tokio::test]
async fn gp_048_work_grows_with_what_goes() {
    let store = Store::memory();
    let made: Vec<_> = (0..1000).map(|number| Made::full(3 + 2 * number)).collect();
    for backup in &made {
        backup.put(&store).await;
    }
    archive(&store, 0..2100).await;
    let count = async |rule: &Rule| {
        let before = store.requests();
        let plan = delete(&store, rule, VIEW).await.unwrap();
        let after = store.requests();
        (plan.gone.len(), after.lists - before.lists, after.reads - before.reads, after.deletes - before.deletes)
    };
    let retain = |count| Rule::Retain { count, modifier: Modifier::Full, after: None };
    let (gone, lists, reads, deletes) = count(&retain(990)).await;
    assert_eq!(gone, 10);
    assert!(lists <= 10 + 12 && reads <= 10 + 4 && deletes <= 5, "{lists} lists, {reads} reads, {deletes} deletes");
    let (gone, lists, reads, deletes) = count(&retain(490)).await;
    assert_eq!(gone, 500);
    assert!(lists <= 500 + 12 && reads <= 500 + 4 && deletes <= 8, "{lists} lists, {reads} reads, {deletes} deletes");
    let choice = plan(&store, &retain(1000), VIEW, &Begun::default()).await.unwrap().0;
    assert_eq!(choice, Choice::Nothing);
}
