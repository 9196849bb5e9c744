//! A whole backup and its restore, in gpbackup's order, with files and streams of a coordinator and two segments.

use super::{Bench, NEXT_STAMP, PLACES, Place, STAMP, noise};

const FILES: [&str; 5] = ["metadata.sql", "toc.yaml", "plugin_config.yaml", "config.yaml", "report"];

#[test]
fn plg_002_plg_011_a_backup_comes_back_through_files_and_streams() {
    for place in PLACES {
        let bench = Bench::new("whole", place);
        let coordinator = bench.directory("gpseg-1", STAMP);
        hooks(&bench, "setup_plugin_for_backup");
        let mut stored = Vec::new();
        for (segment, table) in [(0, 16_384), (0, 16_390), (1, 16_384)] {
            let file = format!("gpbackup_{segment}_{STAMP}_{table}.gz");
            let content = gzip(&noise(70_000 + table));
            bench.store(&format!("{}/gpseg{segment}/backups/{}/{STAMP}/{file}", "/data", &STAMP[..8]), &content);
            stored.push((file, content));
        }
        for name in FILES {
            let path = coordinator.join(format!("gpbackup_{STAMP}_{name}"));
            bench.write(path.to_str().unwrap(), name.repeat(1000).as_bytes());
            bench.silent(&["backup_file", path.to_str().unwrap()]);
            assert!(path.exists(), "the local file stays");
            std::fs::remove_file(&path).unwrap();
        }
        hooks(&bench, "cleanup_plugin_for_backup");

        hooks(&bench, "setup_plugin_for_restore");
        for name in FILES {
            let path = coordinator.join(format!("gpbackup_{STAMP}_{name}"));
            bench.silent(&["restore_file", path.to_str().unwrap()]);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), name.repeat(1000));
            // A file of an earlier run is replaced.
            bench.silent(&["restore_file", path.to_str().unwrap()]);
        }
        for (file, content) in &stored {
            // As a restore to another number of segments asks: below another segment's directory.
            assert!(bench.restore(&super::key(STAMP, file)).unwrap() == *content, "{place:?} {file}");
        }
        hooks(&bench, "cleanup_plugin_for_restore");
        bench.leaves_nothing_unfinished();
        let report = bench.run(&["verify_backup", STAMP]).ok();
        assert_eq!(report.stdout.lines().filter(|line| line.starts_with("ok ")).count(), FILES.len() + stored.len());
    }
}

/// As current callers do: the coordinator, then every segment as `segment_host`, then every segment; all at once.
fn hooks(bench: &Bench, name: &str) {
    bench.silent(&[name, bench.directory("gpseg-1", STAMP).to_str().unwrap(), "master", "\"-1\""]);
    let directory = bench.directory("gpseg0", STAMP);
    let directory = directory.to_str().unwrap();
    let segments: Vec<_> = (0..4)
        .flat_map(|content| {
            let quoted = format!("\"{content}\"");
            let host = bench.workplace.product.spawn(bench.command(&[name, directory, "segment_host"]));
            [host, bench.workplace.product.spawn(bench.command(&[name, directory, "segment", &quoted]))]
        })
        .collect();
    for running in segments {
        let output = running.wait(super::LIMIT);
        assert!(
            output.status == Some(0) && output.stderr.is_empty() && output.stdout.is_empty(),
            "{}",
            output.report()
        );
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn plg_022_a_deleted_backup_is_gone_and_its_neighbour_is_not() {
    for place in PLACES {
        let bench = Bench::new("delete", place);
        let directory = bench.directory("gpseg-1", STAMP);
        let file = directory.join("gpbackup_report");
        bench.write(file.to_str().unwrap(), b"report");
        bench.silent(&["backup_file", file.to_str().unwrap()]);
        for stamp in [STAMP, NEXT_STAMP] {
            bench.store(&super::key(stamp, "gpbackup_0_data"), b"rows");
        }
        bench.silent(&["delete_backup", STAMP]);
        assert_eq!(bench.objects(STAMP), [""; 0]);
        bench.fails(&["restore_file", file.to_str().unwrap()], &["gpbackup_report", "does not exist"]);
        let (printed, message) = bench.restore(&super::key(STAMP, "gpbackup_0_data")).unwrap_err();
        assert!(printed.is_empty() && message.contains("does not exist"), "{message}");
        assert_eq!(bench.restore(&super::key(NEXT_STAMP, "gpbackup_0_data")).unwrap(), b"rows");
        bench.silent(&["delete_backup", STAMP]);
        bench.fails(&["delete_backup", "2026"], &["2026", "14 digits"]);
        bench.fails(&["delete_backup", ".."], &["14 digits"]);
    }
}

#[test]
fn directories_are_stored_listed_restored_and_deleted() {
    let bench = Bench::new("directories", Place::S3);
    let directory = bench.directory("gpseg-1", STAMP);
    for (name, content) in [("a", "1"), ("b.gz", "22"), ("c", "")] {
        bench.write(directory.join(name).to_str().unwrap(), content.as_bytes());
    }
    let path = directory.to_str().unwrap();
    bench.silent(&["backup_directory", path, "4"]);
    let list = bench.run(&["list_directory", "backups"]).ok().stdout;
    assert!(list.lines().next().unwrap().contains("SIZE") && list.contains(&format!("{STAMP}/b.gz")), "{list}");
    std::fs::remove_dir_all(&directory).unwrap();
    bench.silent(&["restore_directory", path]);
    assert_eq!(std::fs::read_to_string(directory.join("b.gz")).unwrap(), "22");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 3);
    bench.fails(&["delete_directory", "/"], &["no prefix"]);
    bench.silent(&["delete_directory", &format!("backups/{}", &STAMP[..8])]);
    assert_eq!(bench.objects(STAMP), [""; 0]);
    bench.fails(&["restore_directory", path], &["does not exist"]);
}
