use super::super::{Arguments, golden};
use super::*;
use futures::executor::block_on;
use storage::{ErrorKind, FaultPlan, Operation};

fn target(backup: &str, user_data: &str, point: &str, time: &str) -> Target {
    let text = |text: &str| Some(text.to_owned());
    Target::from_arguments(&Arguments {
        backup: text(backup),
        user_data: text(user_data),
        restore_point: text(point),
        restore_point_ts: text(time),
        as_of: None,
    })
    .unwrap()
}

/// Backup, recovery target, number of listings and of other requests.
fn chosen(store: &Store, target: &Target) -> (String, String, u64, u64) {
    let before = store.requests();
    let choice = block_on(choose(store, target)).unwrap();
    assert_eq!(choice.warnings, Vec::<String>::new());
    let after = store.requests();
    assert_eq!(after.heads, before.heads);
    (choice.backup.to_string(), choice.recovery_target, after.lists - before.lists, after.reads - before.reads)
}

fn answer(backup: &str, point: &str, requests: u64) -> (String, String, u64, u64) {
    (backup.to_owned(), point.to_owned(), 1, requests)
}

#[test]
fn choices_in_a_real_storage() {
    use golden::{DELTA_1, DELTA_2, FULL};
    let (_directory, store) = golden::store();
    let chosen = |backup, data, point, time| chosen(&store, &target(backup, data, point, time));
    assert_eq!(chosen("LATEST", "", "", ""), answer(DELTA_2, DELTA_2, 1));
    assert_eq!(chosen(FULL, "", "", ""), answer(FULL, FULL, 1));
    assert_eq!(chosen("", r#"{"label":"monday"}"#, "", ""), answer(FULL, FULL, 3));
    assert_eq!(chosen("", "", "after_damage", ""), answer(DELTA_1, "after_damage", 4));
    assert_eq!(chosen(FULL, "", "after_damage", ""), answer(FULL, "after_damage", 2));
    assert_eq!(chosen("", r#"{"label":"monday"}"#, "after_damage", ""), answer(FULL, "after_damage", 4));
    assert_eq!(chosen("", "", "", "2026-11-21T08:28:32Z"), answer(DELTA_1, "after_backup_2", 8));
    assert_eq!(chosen("", "", "", "2030-01-01T00:00:00Z"), answer(DELTA_2, DELTA_2, 6));
}

#[test]
fn a_backups_own_restore_point_selects_the_backup() {
    let (_directory, store) = golden::store();
    for name in [golden::FULL, golden::DELTA_1, golden::DELTA_2] {
        assert_eq!(chosen(&store, &target("", "", name, "")), answer(name, name, 1));
        assert_eq!(chosen(&store, &target(name, "", name, "")), answer(name, name, 1));
    }
    // The finish time of the first backup, which is that of its restore point.
    let at = target("", "", "", "2026-11-21T08:28:26.915553Z");
    assert_eq!(chosen(&store, &at), answer(golden::FULL, golden::FULL, 6));
}

#[test]
fn a_point_before_the_backup_is_refused() {
    let (_directory, store) = golden::store();
    let error = block_on(choose(&store, &target("LATEST", "", "after_damage", ""))).unwrap_err().to_string();
    assert!(error.contains("2026-11-21T08:28:35.327834Z") && error.contains("2026-11-21T08:28:32.285987Z"), "{error}");
    let error = block_on(choose(&store, &target("", "", "", "2026-11-21T08:28:26.915552Z"))).unwrap_err();
    assert!(matches!(error, Error::NoRestorePointBefore { .. }), "{error}");
}

#[test]
fn a_point_without_a_document_is_refused() {
    let (_directory, store) = golden::store();
    for backup in ["LATEST", ""] {
        let error = block_on(choose(&store, &target(backup, "", "made_by_hand", ""))).unwrap_err();
        assert!(matches!(error, Error::NoSuchRestorePoint { .. }), "{error}");
    }
}

#[test]
fn the_time_of_a_point_that_was_asked_for_by_time_is_told() {
    let (_directory, store) = golden::store();
    let arguments = Arguments { as_of: Some("2026-11-21T08:28:32Z".to_owned()), ..Arguments::default() };
    let choice = block_on(choose(&store, &Target::from_arguments(&arguments).unwrap())).unwrap();
    assert_eq!(choice.recovery_target, "after_backup_2");
    let asked: Timestamp = "2026-11-21T08:28:32Z".parse().unwrap();
    assert!(choice.target_time.is_some_and(|time| time < asked), "{choice:?}");
}

#[test]
fn unreadable_documents_are_never_passed_over_in_silence() {
    let (_directory, store) = golden::store();
    let denied = |key: &str| FaultPlan::nth(1).of(Operation::Read).on_key(key).with(ErrorKind::Denied);

    let sentinel = format!("{}_backup_stop", golden::DELTA_1);
    let choice = block_on(choose(&store.clone().failing(denied(&sentinel)), &target("", "", "after_damage", "")));
    let choice = choice.unwrap();
    assert_eq!(choice.backup.as_str(), golden::FULL);
    assert!(choice.warnings[0].contains(golden::DELTA_1), "{:?}", choice.warnings);

    let broken = store.clone().failing(denied("after_damage"));
    for wanted in [target("LATEST", "", "after_damage", ""), target("", "", "", "2026-11-21T08:28:31.5Z")] {
        let error = block_on(choose(&store.clone().failing(denied("after_damage")), &wanted)).unwrap_err();
        assert!(matches!(error, Error::Storage(_)), "{error}");
    }
    let error = block_on(choose(&broken, &target("", "", "after_damage", ""))).unwrap_err();
    assert!(error.to_string().contains("after_damage"), "{error}");
}

#[test]
fn nothing_is_found_in_an_empty_storage() {
    let store = Store::memory();
    for wanted in [
        target("LATEST", "", "", ""),
        target("backup_1", "", "", ""),
        target("", "1", "", ""),
        target("", "", "rp", ""),
        target("", "", "", "2026-11-21T08:28:32Z"),
    ] {
        assert!(block_on(choose(&store, &wanted)).is_err(), "{wanted:?}");
    }
}
