//! `create-restore-point` at bad moments: during a push, twice at once, with a segment down, with a broken archive.

use std::time::Duration;

use rig::{Output, Stand, StandSpec, sql};

use crate::stands;

const LIMIT: Duration = Duration::from_secs(120);

fn listed(stand: &Stand) -> Vec<String> {
    let text = stand.damson(&["restore-point-list"]).ok().stdout;
    text.lines().skip(1).map(|line| line.split("  ").next().unwrap().trim().to_owned()).collect()
}

fn create(stand: &Stand, name: &str) -> Output {
    stand.damson(&["create-restore-point", name])
}

#[test]
fn gp_047_one_point_for_a_name_however_many_ask() {
    let stand = stands::small("rp-race", &StandSpec::default());
    let racing: Vec<_> = (0..4).map(|_| stand.product.spawn_damson(&["create-restore-point", "same"])).collect();
    let ended: Vec<_> = racing.into_iter().map(|running| running.wait(LIMIT)).collect();
    let good = ended.iter().filter(|output| output.status == Some(0)).count();
    assert_eq!(good, 1, "{}", ended.iter().map(Output::report).collect::<String>());
    for output in ended.into_iter().filter(|output| output.status != Some(0)) {
        assert!(
            output.stderr.contains("already exists") || output.stderr.contains("another session"),
            "{}",
            output.report()
        );
    }
    // Different names do not hinder one another, nor does a push.
    let push = stand.product.spawn_damson(&["backup-push"]);
    let racing: Vec<_> =
        ["a", "b"].map(|name| stand.product.spawn_damson(&["create-restore-point", name])).into_iter().collect();
    racing.into_iter().for_each(|running| drop(running.wait(LIMIT).ok()));
    push.wait(LIMIT).ok();
    let names = listed(&stand);
    assert_eq!(names.len(), 4, "{names:?}");
    let bad = ["backup_20200101T000000Z", "LATEST", "a/b", "x_restore_point.json", &"x".repeat(64)];
    bad.into_iter().for_each(|name| drop(create(&stand, name).fails(1, &["cannot be the name of a restore point"])));
    assert_eq!(listed(&stand), names);
    // What each points to can be restored.
    let restored = stand.restore("restored", &["LATEST"]);
    assert_eq!(restored.servers.len(), 2);
}

#[test]
fn a_segment_that_is_down_leaves_no_half_written_point() {
    let mut stand = stands::small("rp-down", &StandSpec::default());
    let server = stand.cluster.servers.iter_mut().find(|server| server.content == 0).unwrap();
    server.stop();
    create(&stand, "one").fails(1, &["content 0"]);
    assert!(listed(&stand).is_empty());
    let server = stand.cluster.servers.iter_mut().find(|server| server.content == 0).unwrap();
    server.start();
    create(&stand, "one").ok();
    assert_eq!(listed(&stand), ["one"]);
}

/// Not listed before the log is archived; the next run of the same name completes it.
#[test]
fn a_point_is_listed_once_its_log_is_archived() {
    let mut stand = stands::small("rp-archive", &StandSpec::default());
    stand.set("DAMSON_ARCHIVE_TIMEOUT", "1s");
    let server = stand.cluster.server(0);
    let command = sql(server, "show archive_command");
    server.set("archive_command", "/bin/false");
    create(&stand, "late").fails(1, &["log file", "of content 0", "archive_command"]);
    assert!(listed(&stand).is_empty());
    let positions = std::fs::read_to_string(stand.store_dir().join("damson_005/points/late.json")).unwrap();
    stand.cluster.server(0).set("archive_command", &command);
    stand.set("DAMSON_ARCHIVE_TIMEOUT", "60s");
    create(&stand, "late").ok();
    assert_eq!(listed(&stand), ["late"]);
    let document = std::fs::read_to_string(stand.store_dir().join("basebackups_005/late_restore_point.json")).unwrap();
    assert!(positions.contains(&document), "the point is the one that was made first");
    assert!(!stand.store_dir().join("damson_005/points/late.json").exists());
    create(&stand, "late").fails(1, &["already exists"]);
}

/// The point may stand in the log of some segments: recovery would end there on these alone.
#[test]
fn a_name_that_may_be_half_written_is_not_used_again() {
    let stand = stands::small("rp-half", &StandSpec::default());
    let coordinator = stand.cluster.coordinator();
    let right = sql(coordinator, "select pg_get_functiondef('pg_catalog.gp_create_restore_point'::regproc)");
    let torn = "create or replace function pg_catalog.gp_create_restore_point(text) \
                returns table(segment_id int2, restore_lsn pg_lsn) language plpgsql volatile as $$ begin \
                perform pg_create_restore_point($1); raise exception 'segment 1 is gone'; end $$";
    sql(coordinator, torn);
    create(&stand, "half").fails(1, &["segment 1 is gone"]);
    sql(coordinator, &right);
    create(&stand, "half").fails(1, &["an earlier attempt", "choose another name"]);
    assert!(listed(&stand).is_empty());
    create(&stand, "whole").ok();
    assert_eq!(listed(&stand), ["whole"]);
}

/// A push goes on under another name, and restores to a consistent cluster.
#[test]
fn a_push_whose_point_failed_takes_another_name() {
    let stand = stands::small("rp-push", &StandSpec::default());
    stand.cluster.servers.iter().for_each(|server| drop(sql(server, "create table marks(a int)")));
    let coordinator = stand.cluster.coordinator();
    sql(coordinator, "alter function pg_catalog.gp_create_restore_point(text) rename to gp_real_restore_point");
    sql(coordinator, "create sequence attempts");
    let once_torn = "create function pg_catalog.gp_create_restore_point(text) \
                     returns table(segment_id int2, restore_lsn pg_lsn) language plpgsql volatile as $$ begin \
                     if nextval('public.attempts') = 1 then perform pg_create_restore_point($1); \
                     raise exception 'segment 0 is gone'; end if; \
                     return query select * from gp_real_restore_point($1); end $$";
    sql(coordinator, once_torn);
    let pushed = stand.damson(&["backup-push"]).ok();
    assert!(pushed.stderr.contains("attempt 1 to create the restore point failed"), "{}", pushed.report());
    let name = stands::latest(&stand);
    let names: Vec<&str> =
        pushed.stderr.lines().filter_map(|line| line.split("creating restore point ").nth(1)).collect();
    assert!(names.len() == 2 && names[0] != names[1] && names[1] == name, "{names:?}, {name}");
    let [line] = &listed(&stand)[..] else { panic!("{:?}", listed(&stand)) };
    assert!(line.starts_with(&format!("{name} ")), "{line}");
    let restored = stand.restore("restored", &["LATEST"]);
    restored.servers.iter().for_each(|server| assert_eq!(sql(server, "select count(*) from marks"), "0"));
}
