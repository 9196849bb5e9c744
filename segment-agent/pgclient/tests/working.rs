//! Backup mode, WAL, catalogs and a lost connection on a real server.

#![allow(clippy::unwrap_used)]

mod rig;

use std::time::Duration;

use pgclient::{ErrorKind, Server, greenplum};
use pgdata::TimelineId;
use rig::TestServer;

/// One whose archive command fails.
async fn archiving_server() -> TestServer {
    TestServer::start("", "wal_level = replica\narchive_mode = on\narchive_command = 'false'").await
}

#[tokio::test]
async fn backup_mode() {
    let server = archiving_server().await;
    let session = server.connect().await;
    assert!(!session.is_in_backup().await.unwrap());
    session.leave_backup_mode().await.unwrap();

    let started = session.start_backup("it's a \\ label").await.unwrap();
    assert!(!started.in_recovery);
    assert_eq!(started.wal_file_name.as_ref().map(String::len), Some(24));
    let twice = session.start_backup("again").await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Query);
    assert!(twice.to_string().starts_with(&format!("starting the backup on {}: ", session.address())), "{twice}");

    // Archiving fails here, so waiting ends at the limit; a new backup then shows that the session is still good.
    session.set_statement_timeout(Some(Duration::from_millis(300))).await.unwrap();
    assert_eq!(session.stop_backup(true).await.unwrap_err().kind(), ErrorKind::Query);
    session.set_statement_timeout(None).await.unwrap();
    session.leave_backup_mode().await.unwrap();

    let started = session.start_backup("second").await.unwrap();
    let stopped = session.stop_backup(false).await.unwrap();
    assert!(stopped.finish_lsn > started.start_lsn);
    let label = stopped.label.unwrap();
    assert!(label.contains(&format!("START WAL LOCATION: {}", started.start_lsn)), "{label}");
    assert!(label.contains("LABEL: second"), "{label}");
    assert_eq!(stopped.tablespace_map.as_deref(), Some(""));
    assert_eq!(session.stop_backup(false).await.unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn a_standby_and_its_promotion() {
    let mut server = TestServer::start("", "wal_level = replica").await;
    server.restart_as_standby().await;
    let session = server.connect().await;
    assert!(session.in_recovery().await.unwrap());
    let started = session.start_backup("on a standby").await.unwrap();
    assert!(started.in_recovery && started.wal_file_name.is_none());
    assert_eq!(session.timeline().await.unwrap(), TimelineId(1));
    assert!(session.stop_backup(false).await.unwrap().label.unwrap().contains("BACKUP FROM: standby"));
    assert_eq!(session.switch_wal().await.unwrap_err().kind(), ErrorKind::Query);

    session.rows("promoting", "SELECT pg_promote()").await.unwrap();
    assert!(!session.in_recovery().await.unwrap());
    assert_eq!(session.timeline().await.unwrap(), TimelineId(2));
    assert_eq!(session.switch_wal().await.unwrap().timeline, TimelineId(2));
}

#[tokio::test]
async fn wal_and_archive() {
    let server = archiving_server().await;
    let session = server.connect().await;
    let archiving = session.archiving().await.unwrap();
    assert!(archiving.is_on());
    assert_eq!(archiving.command.as_deref(), Some("false"));
    assert!(!session.in_recovery().await.unwrap());
    assert_eq!(session.timeline().await.unwrap(), TimelineId(1));
    assert_eq!(session.wal_segment_size().await.unwrap().bytes(), 16 << 20);
    assert!(session.system_identifier().await.unwrap().is_some_and(|id| id.0 > 1 << 60));
    assert_eq!(session.setting("data_directory").await.unwrap(), server.data().to_str().map(str::to_owned));
    assert_eq!(session.setting("no_such.setting").await.unwrap(), None);

    session.rows("writing", "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 10)").await.unwrap();
    let first = session.switch_wal().await.unwrap();
    assert_eq!((first.timeline, first.file_name.as_str()), (TimelineId(1), "000000010000000000000001"));
    let failure = loop {
        if let Some(failure) = session.last_archive_failure().await.unwrap() {
            break failure;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(failure.wal_file_name, first.file_name);
    assert_eq!(session.last_archived().await.unwrap(), None);
    session.rows("configuring", "ALTER SYSTEM SET archive_command = 'true'").await.unwrap();
    session.rows("configuring", "SELECT pg_reload_conf()").await.unwrap();
    while session.last_archived().await.unwrap() != Some(first.file_name.clone()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(session.last_archive_failure().await.unwrap(), None);
}

#[tokio::test]
async fn catalogs() {
    let server = TestServer::start("", "").await;
    let session = server.connect().await;
    assert!(!session.archiving().await.unwrap().is_on());
    let databases = session.databases().await.unwrap();
    let names: Vec<&str> = databases.iter().map(|database| database.name.as_str()).collect();
    assert_eq!(names, ["template1", "postgres"]);
    assert!(databases.iter().all(|database| database.tablespace == 1663));

    let sql = "CREATE TABLE parent (a int) PARTITION BY RANGE (a); \
               CREATE TABLE \"odd \"\"name\" PARTITION OF parent FOR VALUES FROM (0) TO (9); CREATE VIEW v AS SELECT 1";
    session.rows("making tables", sql).await.unwrap();
    let relations = session.relations().await.unwrap();
    let find = |name: &str| relations.iter().find(|relation| relation.name == name).unwrap();
    let (parent, child) = (find("parent"), find("odd \"name"));
    assert_eq!((parent.kind, parent.file_node, parent.parent), ('p', 0, None));
    assert_eq!((child.kind, child.parent, child.schema.as_str()), ('r', Some(parent.oid), "public"));
    assert!(child.file_node > 0);
    assert!(find("pg_class").file_node > 0, "a mapped catalog");
    assert_eq!((find("v").kind, find("v").file_node), ('v', 0));
}

#[tokio::test]
async fn greenplum_calls_on_a_server_that_plays_one() {
    let server = TestServer::start("", "").await;
    let session = server.connect().await;
    let error = greenplum::version(&session).await.unwrap_err();
    assert!(error.to_string().contains("names no Greenplum release"), "{error}");
    assert_eq!(greenplum::segments(&session).await.unwrap_err().kind(), ErrorKind::Query);

    greenplum::lock_backups(&session).await.unwrap();
    let other = server.connect().await;
    assert_eq!(greenplum::lock_backups(&other).await.unwrap_err().kind(), ErrorKind::Busy);
    drop(session);
    while greenplum::lock_backups(&other).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    // The function as gp_pitr declares it: rows of a composite type, found through the search path.
    let sql = "CREATE TYPE point AS (segment_id smallint, restore_lsn pg_lsn); \
               CREATE FUNCTION gp_create_restore_point(name text) RETURNS SETOF public.point LANGUAGE sql AS $$ \
               SELECT (0, '0/8000')::public.point UNION ALL SELECT (-1, pg_create_restore_point(name))::public.point $$";
    other.rows("playing Greenplum", sql).await.unwrap();
    let points = greenplum::create_restore_point(&other, "it's \\").await.unwrap();
    assert_eq!(points.iter().map(|(content, _)| *content).collect::<Vec<_>>(), [-1, 0]);
    assert_eq!(points[1].1.0, 0x8000);
    let long = greenplum::create_restore_point(&other, &"n".repeat(64)).await.unwrap_err();
    assert!(long.to_string().contains("creating the restore point nnn"), "{long}");
    assert_eq!(greenplum::coordinator_timeline(&other).await.unwrap(), TimelineId(1));
    assert!(greenplum::contents_in_backup(&other).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_connection_is_told_from_a_failed_query() {
    let mut server = TestServer::start("", "").await;
    let (session, other) = (server.connect().await, server.connect().await);
    let wrong = session.rows("asking nonsense", "SELECT nonsense").await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Query);
    assert!(wrong.to_string().contains("asking nonsense on ") && wrong.to_string().contains("42703"), "{wrong}");
    session.ping().await.unwrap();

    let pid = session.rows("asking", "SELECT pg_backend_pid()").await.unwrap()[0][0].clone().unwrap();
    let waiting = session.rows("waiting", "SELECT pg_sleep(60)");
    let terminate = format!("SELECT pg_terminate_backend({pid})");
    let ending = other.rows("ending it", &terminate);
    let (waiting, ending) = tokio::join!(waiting, ending);
    ending.unwrap();
    assert_eq!(waiting.unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(session.ping().await.unwrap_err().kind(), ErrorKind::Lost);
    assert!(session.is_closed());

    server.crash().await;
    assert_eq!(other.ping().await.unwrap_err().kind(), ErrorKind::Lost);
    let again = Server::connect(&server.options(&[])).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Unreachable);
    assert!(again.to_string().contains(&format!(".s.PGSQL.{}", server.port)), "{again}");
}
