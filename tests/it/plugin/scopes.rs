//! Command words, scopes and forms of call.

use super::{Bench, Place, STAMP};

#[test]
fn plg_021_plg_023_versions_are_printed_as_gpbackup_reads_them() {
    let bench = Bench::new("versions", Place::File);
    let run = |args: &[&str]| {
        bench.workplace.product.run(bench.workplace.product.command("gpbackup_damson_plugin", args)).ok()
    };
    let api = run(&["plugin_api_version"]);
    assert_eq!((api.stdout.as_str(), api.stderr.as_str()), ("0.5.0\n", ""));
    let version = run(&["--version"]).stdout;
    let words: Vec<_> = version.split_whitespace().collect();
    assert!(
        words.len() == 3 && words[..2] == ["gpbackup_damson_plugin", "version"] && version.ends_with('\n'),
        "{version}"
    );
    assert!(run(&["--help"]).stdout.contains("backup_data"));
}

#[test]
fn plg_008_unknown_commands_and_wrong_calls_fail_with_one_line() {
    let bench = Bench::new("unknown", Place::File);
    for words in [
        vec!["unknown_command"],
        vec!["backup_data"],
        vec!["restore_file", "a", "b", "c"],
        vec!["setup_plugin_for_backup"],
    ] {
        let output = bench.run(&words);
        assert!(output.status != Some(0) && output.stdout.is_empty(), "{}", output.report());
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.report());
    }
    bench.fails(&["backup_data", "somewhere/else"], &["no path of a backup"]);
}

#[test]
fn plg_009_plg_010_plg_012_plg_013_plg_014_plg_029_hooks_take_every_form() {
    for place in [Place::File, Place::S3] {
        let bench = Bench::new("hooks", place);
        let directory = bench.workplace.scratch.join("new").join("backups").join("20260101").join(STAMP);
        rig::User::get().make_dir(&bench.workplace.scratch.join("new"));
        let path = directory.to_str().unwrap();
        let forms: [&[&str]; 8] = [
            &["coordinator", "-1"],
            &["coordinator", "\"-1\""],
            &["master", "\"-1\""],
            &["master", "-1"],
            &["segment_host"],
            &["segment", "0"],
            &["segment", "\"11\""],
            &[],
        ];
        for hook in [
            "cleanup_plugin_for_backup",
            "cleanup_plugin_for_restore",
            "setup_plugin_for_backup",
            "setup_plugin_for_restore",
        ] {
            for form in forms {
                bench.silent(&[&[hook, path], form].concat());
                bench.silent(&[&[hook, path], form].concat());
            }
        }
        assert!(directory.is_dir(), "gprestore writes there next");
        assert_eq!(bench.objects(STAMP), [""; 0]);
        bench.fails(&["setup_plugin_for_backup", path, "everywhere"], &["scope"]);
    }
}

#[test]
fn plg_007_a_storage_that_is_gone_is_told_by_the_first_hook() {
    let mut bench = Bench::with("gone", Place::S3, &[("S3_MAX_RETRIES", "1")]);
    bench.s3.as_mut().unwrap().stop();
    let directory = bench.directory("gpseg-1", STAMP);
    for hook in ["setup_plugin_for_backup", "setup_plugin_for_restore"] {
        bench.fails(&[hook, directory.to_str().unwrap(), "master", "\"-1\""], &["s3://"]);
    }
    let file = directory.join("gpbackup_x");
    bench.write(file.to_str().unwrap(), b"x");
    bench.fails(&["backup_file", file.to_str().unwrap()], &["s3://"]);
    let (printed, message) = bench.restore(&super::key(STAMP, "x")).unwrap_err();
    assert!(printed.is_empty() && message.lines().count() == 1, "{message}");
}
