//! What a delta holds of each file.

use codec::Cipher;
use rig::{Server, Stand, StandSpec, sql};

use super::levels::{self, Level};
use crate::stands;

fn file_of(server: &Server, table: &str) -> String {
    format!("/{}", sql(server, &format!("select pg_relation_filepath('{table}')")))
}

/// The newest backup of a segment.
fn newest(stand: &Stand, content: i32) -> Vec<Level> {
    let sentinel = levels::read(
        &stand.store_dir().join(format!("basebackups_005/{}_backup_stop_sentinel.json", stands::latest(stand))),
    );
    let segment = sentinel["segments"].as_array().unwrap().iter().find(|row| row["content_id"] == content).unwrap();
    let root = stand.store_dir().join(format!("segments_005/seg{content}"));
    levels::chain(&root, segment["backup_name"].as_str().unwrap(), &Cipher::None)
}

/// One changed page of a large table is one stored page; an untouched table is not stored at all; a table without a log is
/// stored whole; what is new is stored whole, and what was truncated keeps its new length.
#[test]
fn gp_015_changed_pages_alone() {
    let settings = vec![("WALG_DELTA_MAX_STEPS".to_string(), "7".to_string())];
    let stand = stands::small("delta-pages", &StandSpec { settings, ..StandSpec::default() });
    let server = stand.cluster.server(0);
    let rows = "select g a, repeat(md5(g::text), 10) b from generate_series(1, 20000) g";
    for statement in [
        format!("create table large_t with (fillfactor = 50) as {rows}"),
        format!("create table still_t as {rows}"),
        format!("create table cut_t as {rows}"),
        format!("create unlogged table unlogged_t as {rows}"),
    ] {
        sql(server, &statement);
    }
    sql(server, "vacuum (freeze)");
    sql(server, "checkpoint");
    stand.damson(&["backup-push"]).ok();

    sql(server, "update large_t set b = 'changed' where a = 7000");
    sql(server, "update unlogged_t set b = 'changed' where a = 7000");
    sql(server, "delete from cut_t where a > 100");
    sql(server, "vacuum cut_t");
    sql(server, "create table new_t as select 1 a");
    // Reading marks rows as committed, without a trace in the log: done before the backup, the file stays as it is.
    let block = sql(server, "select (ctid::text::point)[0]::int from large_t where a = 7000");
    stand.damson(&["backup-push"]).ok();

    let chain = newest(&stand, 0);
    let delta = &chain[1];
    let [large, still, cut, unlogged, new] =
        ["large_t", "still_t", "cut_t", "unlogged_t", "new_t"].map(|table| file_of(server, table));
    let (increment, page_bytes) = delta.increment(&large);
    assert_eq!((increment.blocks, page_bytes), (vec![block.parse().unwrap()], 8192));
    assert!(increment.file_bytes > 8 << 20 && delta.members[&large].len() == 16 + 4 + 8192);
    assert!(delta.says(&still, "IsSkipped") && !delta.members.contains_key(&still));
    assert!(!delta.says(&unlogged, "IsIncremented") && delta.members[&unlogged].len() > 4 << 20);
    assert!(!delta.says(&new, "IsIncremented") && delta.members[&new].len() == 8192);
    assert!(delta.says(&cut, "IsIncremented") && delta.increment(&cut).0.file_bytes < 100 << 10);
    assert!(
        delta.sentinel["UncompressedSize"].as_u64().unwrap()
            < chain[0].sentinel["UncompressedSize"].as_u64().unwrap() / 2
    );

    // Nothing is lost between the levels: files that have no increment are there as they stand in the data directory.
    let tree = levels::restored(&chain);
    sql(server, "checkpoint");
    for path in [&large, &still, &cut, &new] {
        assert!(tree[path] == std::fs::read(format!("{}{path}", server.data_dir.display())).unwrap(), "{path}");
    }
}
