//! A cluster with append-optimized tables.

use std::path::{Path, PathBuf};

use rig::{AoKind, AoTable, Restore, Server, Stand, StandSpec, WalG, sql};

use crate::{assert_same, restored};

const MIB: usize = 1 << 20;

pub fn check(given: &Path) {
    for writers in [["damson", "wal-g", "damson"], ["wal-g", "damson", "wal-g"]] {
        let settings = vec![("WALG_DELTA_MAX_STEPS".to_owned(), "5".to_owned())];
        let stand =
            Stand::start("peer-cluster", &StandSpec { primaries: vec![1, 1], settings, ..StandSpec::default() });
        let wal_g = WalG::install(
            &stand,
            given,
            &stand.store_dir(),
            &[("WALG_DELTA_MAX_STEPS", "5"), ("WALG_PG_BLOCK_SIZE", "8192")],
        );
        stand.damson(&["hosts", "install"]).ok();
        let tables = Tables::create(stand.cluster.server(0));
        let mut names: Vec<String> = Vec::new();
        for (number, writer) in writers.into_iter().enumerate() {
            tables.change(number);
            let pushed = match writer {
                "damson" => stand.damson(&["backup-push"]),
                _ => wal_g.run(&stand, &["backup-push"]),
            };
            assert_eq!(pushed.status, Some(0), "{}", pushed.report());
            let new = backups(&stand).into_iter().find(|name| !names.contains(name)).expect("a new backup");
            assert_eq!(new.contains("_D_"), number > 0, "{writer}: {new}");
            names.push(new);
        }
        for name in &names {
            restores_are_alike(&stand, &wal_g, name);
        }
        println!("ok: cluster: {writers:?} wrote, both restored {names:?}");
        delete_the_last(&stand, &wal_g, writers[0], &names);
        println!("ok: cluster: what {} left, both restored", writers[0]);
    }
}

/// A heap table and append-optimized ones of rows and of columns, on one segment.
struct Tables<'a> {
    server: &'a Server,
    rows: AoTable,
    columns: AoTable,
}

impl Tables<'_> {
    fn create(server: &Server) -> Tables<'_> {
        sql(server, "create table heap as select g a, md5(g::text) b from generate_series(1, 20000) g");
        let rows = AoTable::create(server, "postgres", "ao_rows", AoKind::Row);
        let columns = AoTable::create(server, "postgres", "ao_columns", AoKind::Column);
        let all = Tables { server, rows, columns };
        for segment in [1, 129, 257] {
            all.columns.append(server, segment, &noise(segment.into(), 2 * MIB));
        }
        all
    }

    /// Grows one file, leaves one, rewrites one.
    fn change(&self, number: usize) {
        self.rows.append(self.server, 1, &noise(100 + number as u64, 2 * MIB));
        if number > 0 {
            self.columns.append(self.server, 129, &noise(200 + number as u64, 70_000));
            self.columns.rewrite(self.server, 257, &noise(300 + number as u64, 2 * MIB + number), 10 + number as i64);
        }
        sql(self.server, &format!("update heap set b = 'changed {number}' where a % 500 = 0"));
        sql(self.server, "checkpoint");
    }
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(bytes).collect()
}

fn backups(stand: &Stand) -> Vec<String> {
    let folder = std::fs::read_dir(stand.store_dir().join("basebackups_005")).unwrap().flatten();
    let name = |entry: std::fs::DirEntry| {
        Some(entry.file_name().to_str()?.strip_suffix("_backup_stop_sentinel.json")?.to_owned())
    };
    folder.filter_map(name).collect()
}

/// Every segment, by the product for the whole cluster and by WAL-G's command for one segment.
fn restores_are_alike(stand: &Stand, wal_g: &WalG, name: &str) {
    let restore: Restore = stand.plan_restore("restored");
    for place in &restore.places {
        let _ = std::fs::remove_dir_all(&place.data_dir);
    }
    stand.fetch(&restore, &[name, "--mode", "unpack"]).ok();
    let sentinel = stand.store_dir().join(format!("basebackups_005/{name}_backup_stop_sentinel.json"));
    let sentinel: serde_json::Value = serde_json::from_slice(&std::fs::read(sentinel).unwrap()).unwrap();
    for place in &restore.places {
        let segments = sentinel["segments"].as_array().unwrap();
        let segment = segments.iter().find(|one| one["content_id"] == place.content).unwrap();
        let target: PathBuf = place.data_dir.with_extension("by-wal-g");
        let _ = std::fs::remove_dir_all(&target);
        let (id, content) = (&segment["backup_id"], place.content);
        let user_data = format!("{{\"id\":{id}}}");
        let content = format!("--content-id={content}");
        let args = ["seg-backup-fetch", target.to_str().unwrap(), "--target-user-data", &user_data, &content];
        let fetched = wal_g.run(stand, &args);
        assert_eq!(fetched.status, Some(0), "{}", fetched.report());
        assert_same(&format!("{name}, {content}"), &restored(&target), &restored(&place.data_dir));
    }
}

/// The newest delta goes; the others are whole, and so are their restore points.
fn delete_the_last(stand: &Stand, wal_g: &WalG, program: &str, names: &[String]) {
    let (last, rest) = names.split_last().unwrap();
    let args = ["delete", "target", last, "--confirm"];
    let deleted = if program == "damson" { stand.damson(&args) } else { wal_g.run(stand, &args) };
    assert_eq!(deleted.status, Some(0), "{}", deleted.report());
    let mut left = backups(stand);
    left.sort_by_key(|name| names.iter().position(|known| known == name));
    assert_eq!(left, rest);
    for name in rest {
        restores_are_alike(stand, wal_g, name);
        let point = stand.store_dir().join(format!("basebackups_005/{name}_restore_point.json"));
        assert!(point.exists(), "{}", point.display());
    }
    stand.damson(&["backup-verify", "--all"]).ok_despite(&["manifest", "proved"]);
}
