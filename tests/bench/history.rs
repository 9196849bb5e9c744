//! What grows with the number of backups: a storage with a thousand of a cluster, listed, and looked through for a deletion.

use std::path::Path;

use rig::{Product, Scratch};
use serde_json::json;

use crate::arguments::{Arguments, Work};
use crate::measure::{Stopwatch, Words};
use crate::programs::{copy, text};
use crate::report::Report;
use crate::rounds::measure_in_turns;
use crate::works::Contender;

const BACKUPS: u64 = 1000;
const CONTENTS: [i32; 4] = [-1, 0, 1, 2];
/// Log files between two backups of a segment.
const LOG_FILES: u64 = 10;
/// 64 MiB, as a server names them.
const SEGMENTS_A_LOG: u64 = 64;

pub fn bench(arguments: &Arguments, report: &mut Report) {
    let scratch = Scratch::new("bench-history");
    let stopwatch = Stopwatch::install(&scratch);
    let hosts = rig::Hosts::start(&scratch, 1);
    let product = Product::install(&scratch, &hosts.list[0]);
    let store = scratch.dir("store");
    eprintln!("making a storage with {BACKUPS} backups");
    for number in 0..BACKUPS {
        store_backup(&store, number);
    }
    let config = scratch.write("settings.yaml", settings(&scratch, &store));
    let mut programs = vec![("damson", product.path("damson"))];
    if let Some(given) = &arguments.wal_g_gp {
        programs.push(("WAL-G", copy(given, &product.bin)));
    }
    for (work, words) in [(Work::List, &["backup-list"][..]), (Work::Plan, &["delete", "retain", "FULL", "7"])] {
        if arguments.does_any(&[work]) {
            let of = |(title, program): &(&str, std::path::PathBuf)| contender(title, program, words, &config);
            let contenders = programs.iter().map(of).collect();
            report.add(work, measure_in_turns(&stopwatch, contenders, arguments.runs));
        }
    }
}

fn contender(title: &str, program: &Path, words: &[&str], config: &Path) -> Contender {
    let mut command: Words = vec![text(program)];
    command.extend(words.iter().map(|word| (*word).to_owned()));
    command.extend(["--config".to_owned(), text(config)]);
    Contender { title: title.to_owned(), durable: false, emptied: Vec::new(), commands: vec![command] }
}

fn settings(scratch: &Scratch, store: &Path) -> String {
    let (store, logs) = (store.display(), scratch.dir("logs-gp"));
    let logs = logs.display();
    format!(
        "WALG_FILE_PREFIX: \"{store}\"\nWALG_GP_LOGS_DIR: \"{logs}\"\nWALG_GP_DELETE_CONCURRENCY: \"2\"\n\
         PGHOST: \"/nonexistent\"\nPGUSER: \"gpadmin\"\nPGDATABASE: \"postgres\"\nPGDATA: \"/data\"\n"
    )
}

/// One backup of the cluster: its sentinel and restore point, and for every segment sentinel, one part and log files.
fn store_backup(store: &Path, number: u64) {
    // Read by the rig's user, and never written.
    let put = |key: &str, text: String| {
        let path = store.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    };
    let (day, hour) = (1 + number / 24 % 28, number % 24);
    let month = 1 + number / (24 * 28);
    let begun = format!("2026-{month:02}-{day:02}T{hour:02}:00:00.000000Z");
    let finished = format!("2026-{month:02}-{day:02}T{hour:02}:20:00.000000Z");
    let cluster = format!("backup_2026{month:02}{day:02}T{hour:02}0000Z");
    let base = format!("base_{}", log_name(number * LOG_FILES));
    let lsn = (number * LOG_FILES) << 26;
    let segment = |content: &i32| {
        json!({"db_id": content + 2, "content_id": content, "role": "p", "port": 6000 + content, "hostname": "sdw1",
               "data_dir": format!("/data/gpseg{content}"), "backup_id": backup_id(number, *content), "backup_name": base,
               "restore_point_lsn": format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)})
    };
    let segments: Vec<_> = CONTENTS.iter().map(segment).collect();
    for content in CONTENTS {
        let folder = format!("segments_005/seg{content}");
        let sentinel = json!({
            "LSN": lsn, "PgVersion": 90426, "FinishLSN": lsn + 4096, "UncompressedSize": 1000, "CompressedSize": 500,
            "DataCatalogSize": 1000, "UserData": {"id": backup_id(number, content)}, "ChkpNum": null, "Version": 2,
            "StartTime": begun, "FinishTime": finished, "DateFmt": "%Y-%m-%dT%H:%M:%S.%fZ", "Hostname": "sdw1",
            "DataDir": "/data", "IsPermanent": false,
        });
        let metadata = json!({
            "start_time": begun, "finish_time": finished, "date_fmt": "%Y-%m-%dT%H:%M:%S.%fZ", "hostname": "sdw1",
            "data_dir": "/data", "pg_version": 90426, "start_lsn": lsn, "finish_lsn": lsn + 4096, "is_permanent": false,
            "system_identifier": 1, "uncompressed_size": 1000, "compressed_size": 500,
            "user_data": {"id": backup_id(number, content)},
        });
        put(&format!("{folder}/basebackups_005/{base}_backup_stop_sentinel.json"), sentinel.to_string());
        put(&format!("{folder}/basebackups_005/{base}/metadata.json"), metadata.to_string());
        put(&format!("{folder}/basebackups_005/{base}/tar_partitions/part_001.tar.lz4"), String::new());
        put(&format!("{folder}/basebackups_005/{base}/ao_files_metadata.json"), json!({"Files": {}}).to_string());
        // WAL-G's deletion wants them to be there.
        for shared in ["aosegments", "paxfiles"] {
            std::fs::create_dir_all(store.join(&folder).join("basebackups_005").join(shared)).unwrap();
        }
        for file in 0..LOG_FILES {
            put(&format!("{folder}/wal_005/{}.lz4", log_name(number * LOG_FILES + file)), String::new());
        }
    }
    let point = json!({
        "name": cluster, "start_time": begun, "finish_time": finished, "hostname": "mdw", "gp_version": "greenplum (6.25.0)",
        "gp_flavor": "greenplum", "system_identifier": null, "lsn_by_segment": {"-1": "0/1", "0": "0/1", "1": "0/1", "2": "0/1"},
    });
    put(&format!("basebackups_005/{cluster}_restore_point.json"), point.to_string());
    let sentinel = json!({
        "restore_point": cluster, "segments": segments, "start_time": begun, "finish_time": finished,
        "date_fmt": "%Y-%m-%dT%H:%M:%S.%fZ", "hostname": "mdw", "gp_version": "greenplum (6.25.0)",
        "gp_flavor": "greenplum", "is_permanent": false, "system_identifier": null, "uncompressed_size": 4000,
        "compressed_size": 2000, "data_catalog_size": 4000,
    });
    put(&format!("basebackups_005/{cluster}_backup_stop_sentinel.json"), sentinel.to_string());
}

fn backup_id(number: u64, content: i32) -> String {
    format!("00000000-0000-4000-8000-{number:06}{:06}", content + 1)
}

fn log_name(number: u64) -> String {
    let number = number + 1;
    format!("00000001{:08X}{:08X}", number / SEGMENTS_A_LOG, number % SEGMENTS_A_LOG)
}
