use super::*;
use serde_json::json;

fn arguments(backup: &str, user_data: &str, point: &str, time: &str) -> Result<Target, Error> {
    let text = |text: &str| Some(text.to_owned());
    Target::from_arguments(&Arguments {
        backup: text(backup),
        user_data: text(user_data),
        restore_point: text(point),
        restore_point_ts: text(time),
        as_of: None,
    })
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn backup(name: &str, finish: &str, user_data: Value) -> BackupDetail {
    let sentinel = json!({
        "start_time": "2026-01-01T00:00:00Z", "finish_time": finish, "is_permanent": false, "user_data": user_data
    });
    BackupDetail {
        name: name.parse().unwrap(),
        modified: chrono::DateTime::from_timestamp_nanos(0),
        sentinel: serde_json::from_value(sentinel).unwrap(),
    }
}

fn point(name: &str, finish: &str) -> RestorePoint {
    let document = json!({"name": name, "start_time": finish, "finish_time": finish});
    serde_json::from_value(document).unwrap()
}

#[test]
fn arguments_become_a_target() {
    let name = || BackupTarget::Name("backup_1".parse().unwrap());
    let point = || PointTarget::Name("rp".to_owned());
    assert_eq!(arguments("LATEST", "", "", "").unwrap(), Target::Backup(BackupTarget::Latest));
    assert_eq!(arguments("backup_1", "", "", "").unwrap(), Target::Backup(name()));
    assert_eq!(arguments("", "{\"a\":1}", "", "").unwrap(), Target::Backup(BackupTarget::UserData(json!({"a": 1}))));
    assert_eq!(arguments("", "", "rp", "").unwrap(), Target::Point(point()));
    assert_eq!(arguments("backup_1", "", "rp", "").unwrap(), Target::BackupUpTo(name(), point()));
    let at = PointTarget::FinishedBy(time("2026-11-21T08:28:31.5Z"));
    assert_eq!(arguments("", "", "", "2026-11-21T11:28:31.5+03:00").unwrap(), Target::Point(at));
}

#[test]
fn refused_combinations_say_why() {
    let message = |result: Result<Target, Error>| result.unwrap_err().to_string();
    assert!(message(arguments("", "", "", "")).starts_with("insufficient arguments"));
    let both = "incorrect arguments. Specify target backup name OR target userdata, not both";
    assert_eq!(message(arguments("LATEST", "1", "", "")), both);
    let two = "can't use both --restore-point and --restore-point-ts";
    assert_eq!(message(arguments("LATEST", "", "a", "2022-01-14T13:00:00Z")), two);
    assert!(message(arguments("", "{x", "", "")).contains("{x"));
    assert!(message(arguments("", "", "", "yesterday")).contains("RFC 3339"));
    assert!(message(arguments("a/b", "", "", "")).contains("slash"));
    assert!(message(arguments("", "", "../a", "")).contains("slash"));
}

#[test]
fn user_data_is_compared_as_json() {
    let backups = || {
        vec![
            backup("b1", "2026-01-01T00:00:00Z", json!({"x": [3, {"y": null}], "z": 4})),
            backup("b2", "2026-01-02T00:00:00Z", json!({"z": 4})),
            backup("b3", "2026-01-03T00:00:00Z", json!("text")),
            backup("b4", "2026-01-04T00:00:00Z", Value::Null),
            backup("b5", "2026-01-05T00:00:00Z", json!("text")),
            backup("b6", "2026-01-06T00:00:00Z", json!(9_007_199_254_740_993_u64)),
        ]
    };
    let find = |text: &str| {
        by_user_data(backups(), &serde_json::from_str(text).unwrap(), 0).map(|backup| backup.name.to_string())
    };
    assert_eq!(find(r#"{"z":4.0,"x":[3,{"y":null}]}"#).unwrap(), "b1");
    assert_eq!(find(r#"{"z":4}"#).unwrap(), "b2");
    assert_eq!(find("null").unwrap(), "b4");
    assert_eq!(find("9007199254740993").unwrap(), "b6");
    assert!(matches!(find("9007199254740992"), Err(Error::NoBackupWithUserData { .. })));
    assert!(matches!(find(r#"{"x":[3,{"y":null}]}"#), Err(Error::NoBackupWithUserData { .. })));
    let several = find("\"text\"").unwrap_err().to_string();
    assert!(several.starts_with("too many backups (2) found with specified user data: b3 b5"), "{several}");
    let none = by_user_data(Vec::new(), &json!(1), 2).unwrap_err().to_string();
    assert_eq!(none, "No backups found with the specified user data; 2 sentinels could not be read");
}

#[test]
fn a_time_selects_the_last_point_finished_by_then() {
    let points = || {
        vec![
            point("b", "2026-01-02T00:00:00Z"),
            point("c", "2026-01-03T00:00:00.5Z"),
            point("a", "2026-01-01T00:00:00Z"),
            point("d", "2026-01-03T00:00:00.5Z"),
        ]
    };
    let find = |text: &str| finished_by(points(), time(text)).map(|point| point.name);
    assert_eq!(find("2026-01-01T00:00:00Z").unwrap(), "a");
    assert_eq!(find("2026-01-03T00:00:00.499999999Z").unwrap(), "b");
    assert_eq!(find("2026-01-03T03:00:00.5+03:00").unwrap(), "c");
    assert_eq!(find("2030-01-01T00:00:00Z").unwrap(), "c");
    assert!(find("2025-01-01T00:00:00Z").unwrap_err().to_string().starts_with("no restore points found"));
}

#[test]
fn a_backup_reaches_points_finished_at_or_after_its_end() {
    let backups = || {
        vec![
            backup("b2", "2026-01-02T00:00:00Z", Value::Null),
            backup("b1", "2026-01-01T00:00:00Z", Value::Null),
            backup("b3", "2026-01-03T00:00:00Z", Value::Null),
        ]
    };
    let find = |finish: &str| before_point(backups(), &point("rp", finish), 0).map(|backup| backup.name.to_string());
    assert_eq!(find("2026-01-02T00:00:00Z").unwrap(), "b2");
    assert_eq!(find("2026-01-01T23:59:59.9Z").unwrap(), "b1");
    assert_eq!(find("2027-01-01T00:00:00Z").unwrap(), "b3");
    let none = find("2025-12-31T00:00:00Z").unwrap_err().to_string();
    assert!(none.contains("2025-12-31T00:00:00Z of the restore point rp"), "{none}");

    let backup = backup("b2", "2026-01-02T00:00:00Z", Value::Null);
    check_reachable(&backup, &point("rp", "2026-01-02T00:00:00Z")).unwrap();
    let late = check_reachable(&backup, &point("rp", "2026-01-01T00:00:00Z")).unwrap_err().to_string();
    assert!(
        late.contains("(2026-01-02T00:00:00Z) is after the rp provided") && late.contains("(2026-01-01T00:00:00Z)")
    );
}

#[test]
fn latest_is_the_one_stored_last() {
    let entry = |name: &str, nanos| Backup {
        name: name.parse().unwrap(),
        modified: chrono::DateTime::from_timestamp_nanos(nanos),
    };
    let backups = [entry("b9", 1), entry("b1", 2)];
    assert_eq!(latest(&backups).unwrap().name.as_str(), "b1");
    assert_eq!(latest(&[]).unwrap_err().to_string(), "No backups found");
    let missing = by_name(&backups, &"b2".parse().unwrap()).unwrap_err().to_string();
    assert!(missing.starts_with("Backup 'b2' does not exist."), "{missing}");
    assert_eq!(owner(&backups, "b9").unwrap().name.as_str(), "b9");
    assert_eq!(owner(&backups, "rp"), None);
}
