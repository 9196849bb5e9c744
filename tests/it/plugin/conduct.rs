//! The course of the plugin interface's own test bench, with every check that it makes; and the program without anything beside it.

use std::process::Stdio;

use rig::User;

use super::{Bench, NEXT_STAMP, PLACES, Place, STAMP, key, noise};

const SCOPES: [&[&str]; 3] = [&["coordinator", "\"-1\""], &["segment_host"], &["segment", "\"0\""]];

/// A hook in its three scopes.
fn hooks(bench: &Bench, name: &str, directory: &str) {
    for scope in SCOPES {
        bench.silent(&[&[name, directory], scope].concat());
    }
}

#[test]
fn plg_026_the_course_of_the_test_bench() {
    for place in PLACES {
        let bench = Bench::new("course", place);
        let version = bench.workplace.product.command("gpbackup_damson_plugin", &["plugin_api_version"]);
        let version = bench.workplace.product.run(version).ok().stdout;
        let numbers: Vec<u32> = version.trim_end().split('.').map(|part| part.parse().unwrap()).collect();
        assert!(numbers.len() == 3 && numbers[..] >= [0, 4, 0][..] && version.ends_with('\n'), "{version:?}");

        let folder = bench.directory("testseg", STAMP);
        let directory = folder.to_str().unwrap();
        let clean_up = || {
            hooks(&bench, "cleanup_plugin_for_backup", directory);
            hooks(&bench, "cleanup_plugin_for_restore", directory);
        };
        let file = folder.join("testfile.txt");
        let file = file.to_str().unwrap();
        bench.write(file, b"this is some text\n");
        hooks(&bench, "setup_plugin_for_backup", directory);
        bench.silent(&["backup_file", file]);
        assert!(std::fs::exists(file).unwrap(), "the local file stays");
        hooks(&bench, "setup_plugin_for_restore", directory);
        std::fs::remove_file(file).unwrap();
        bench.silent(&["restore_file", file]);
        assert_eq!(std::fs::read(file).unwrap(), b"this is some text\n");
        let absent = format!("{file}.absent");
        bench.fails(&["restore_file", &absent], &["testfile.txt.absent"]);
        assert!(!std::fs::exists(&absent).unwrap());
        clean_up();

        for (name, content) in [("data", noise(1000)), ("no_data", Vec::new()), ("large", noise(1_000_000))] {
            hooks(&bench, "setup_plugin_for_backup", directory);
            bench.store(&format!("{directory}/{name}"), &content);
            hooks(&bench, "setup_plugin_for_restore", directory);
            assert_eq!(bench.restore(&format!("{directory}/{name}")).unwrap(), content);
            clean_up();
        }

        let next = bench.directory("testseg", NEXT_STAMP);
        let (report, next_report) = (folder.join("report"), next.join("report"));
        for path in [&report, &next_report] {
            bench.write(path.to_str().unwrap(), b"report");
            bench.silent(&["backup_file", path.to_str().unwrap()]);
        }
        bench.silent(&["delete_backup", STAMP]);
        bench.fails(&["restore_file", report.to_str().unwrap()], &["report"]);
        assert!(bench.restore(&format!("{directory}/data")).is_err());
        bench.silent(&["restore_file", next_report.to_str().unwrap()]);
        clean_up();
        bench.fails(&["unknown_command"], &["unknown_command"]);
        bench.leaves_nothing_unfinished();
    }
}

/// The program and its configuration, in an empty directory, with nothing of the environment.
#[test]
fn plg_001_the_program_needs_nothing_beside_it() {
    let bench = Bench::new("alone", Place::File);
    let folder = bench.workplace.scratch.dir("alone");
    let program = folder.join("gpbackup_damson_plugin");
    std::fs::copy(bench.workplace.product.path("gpbackup_damson_plugin"), &program).unwrap();
    User::get().own(&program);
    let input = bench.write("input", &noise(5000));
    let run = |command: &str, input: Stdio| {
        let mut alone = User::get().command(&program);
        alone.env_clear().arg(command).arg(&bench.config).arg(key(STAMP, "f")).current_dir(&folder);
        alone.stdin(input).output().unwrap()
    };
    let stored = run("backup_data", std::fs::File::open(input).unwrap().into());
    assert!(stored.status.success() && stored.stderr.is_empty(), "{stored:?}");
    assert!(run("restore_data", Stdio::null()).stdout == noise(5000));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}
