//! The commands of one log file: archive_command and restore_command.

use std::path::{Path, PathBuf};

use rig::{Output, Workplace};

const SEGMENT: &str = "000000010000000000000005";
const KINDS: [&str; 4] =
    [SEGMENT, "00000002.history", "000000010000000000000005.00000028.backup", "000000010000000000000006.partial"];

/// `damson seg COMMAND ARGS --content-id=0`.
fn seg(workplace: &Workplace, args: &[&str]) -> Output {
    workplace.damson(&[&["seg"], args, &["--content-id=0"]].concat())
}

/// A file of a server's log folder, `bytes` long, all of one value.
fn log_file(workplace: &Workplace, name: &str, value: u8, bytes: usize) -> PathBuf {
    workplace.scratch.dir("pg_wal");
    workplace.scratch.write(format!("pg_wal/{name}"), vec![value; bytes])
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Files of every kind come back as they were, from the segment's own folder.
#[test]
fn files_of_every_kind_come_back() {
    let workplace = Workplace::new("archive");
    let store = workplace.use_new_store("store", &[]);
    for (name, bytes) in KINDS.into_iter().zip([1 << 20, 42, 300, 1 << 20]) {
        let file = log_file(&workplace, name, b'x', bytes);
        seg(&workplace, &["wal-push", text(&file)]).ok();
        assert!(store.join(format!("segments_005/seg0/wal_005/{name}.lz4")).is_file());
        let back = workplace.scratch.join(format!("back-{name}"));
        seg(&workplace, &["wal-fetch", name, text(&back)]).ok();
        assert_eq!(std::fs::read(&back).unwrap(), std::fs::read(&file).unwrap(), "{name}");
    }
    // Another segment's archive is another.
    let back = workplace.scratch.join("back");
    workplace.damson(&["seg", "wal-fetch", SEGMENT, text(&back), "--content-id=-1"]).fails(74, &[SEGMENT]);
}

/// What is not archived ends with 74, whatever its kind; any other failure is 1 and makes no file.
#[test]
fn gp_008_absence_is_told_from_failure() {
    let workplace = Workplace::new("absent");
    let store = workplace.use_new_store("store", &[]);
    let back = workplace.scratch.join("back");
    for name in KINDS {
        seg(&workplace, &["wal-fetch", name, text(&back)]).fails(74, &[name, "does not exist"]);
    }
    let file = log_file(&workplace, SEGMENT, 1, 1 << 20);
    seg(&workplace, &["wal-push", text(&file)]).ok();
    seg(&workplace, &["wal-fetch", SEGMENT, text(&file)]).fails(1, &["exists"]);
    assert_eq!(std::fs::read(&file).unwrap(), vec![1; 1 << 20]);
    let object = store.join(format!("segments_005/seg0/wal_005/{SEGMENT}.lz4"));
    let stored = std::fs::read(&object).unwrap();
    rig::User::get().write(&object, &stored[..stored.len() - 5], 0o600);
    seg(&workplace, &["wal-fetch", SEGMENT, text(&back)]).fails(1, &[SEGMENT, "damaged"]);
    assert!(!back.exists());
    seg(&workplace, &["wal-push", text(&workplace.scratch.join("pg_wal/nothing"))]).fails(1, &["pg_wal/nothing"]);

    for command in [["wal-push", text(&file), ""], ["wal-fetch", SEGMENT, text(&back)]] {
        let words: Vec<_> = ["seg"].into_iter().chain(command).filter(|word| !word.is_empty()).collect();
        workplace.damson(&words).fails(1, &["segment content ID is not specified"]);
    }
    workplace.damson(&["seg", "wal-push", text(&file), "--content-id=first"]).fails(1, &["first", "no number"]);
}

/// A file is replaced unless that is prevented; history files never are.
#[test]
fn archived_files_are_protected() {
    let workplace = Workplace::new("replace");
    let store = workplace.use_new_store("store", &[]);
    let push = |name: &str, value: u8| {
        let file = log_file(&workplace, name, value, 1 << 20);
        seg(&workplace, &["wal-push", text(&file)])
    };
    push(SEGMENT, 1).ok();
    push(SEGMENT, 2).ok();
    workplace.use_store(&store, &[("WALG_PREVENT_WAL_OVERWRITE", "true")]);
    push(SEGMENT, 2).ok();
    push(SEGMENT, 3).fails(1, &[SEGMENT, "archived already", "other content"]);
    workplace.use_store(&store, &[]);
    push("00000002.history", 1).ok();
    push("00000002.history", 1).ok();
    push("00000002.history", 2).fails(1, &["00000002.history", "other content"]);
    let back = workplace.scratch.join("back");
    seg(&workplace, &["wal-fetch", SEGMENT, text(&back)]).ok();
    assert_eq!(std::fs::read(&back).unwrap(), vec![2; 1 << 20]);
}

/// After a change of codecs and with a key, older and newer files are found.
#[test]
fn codecs_may_change() {
    let workplace = Workplace::new("codecs");
    let store = workplace.scratch.dir("store");
    let names: Vec<String> = (1..=5).map(|n| format!("00000001000000000000000{n}")).collect();
    for (name, method) in names.iter().zip(["lz4", "zstd", "brotli", "lzma", "none"]) {
        workplace.use_store(&store, &[("WALG_COMPRESSION_METHOD", method)]);
        let file = log_file(&workplace, name, 7, 1 << 20);
        seg(&workplace, &["wal-push", text(&file)]).ok();
    }
    workplace.use_store(&store, &[("WALG_COMPRESSION_METHOD", "zstd")]);
    for name in &names {
        let back = workplace.scratch.join(format!("back-{name}"));
        seg(&workplace, &["wal-fetch", name, text(&back)]).ok();
        assert_eq!(std::fs::read(&back).unwrap(), vec![7; 1 << 20], "{name}");
    }
}

/// A link named wal-g takes WAL-G's command lines, `--version` among them.
#[test]
fn a_link_named_wal_g() {
    let workplace = Workplace::new("wal-g");
    let store = workplace.use_new_store("store", &[]);
    let config = text(&workplace.product.config);
    let link = workplace.product.link_wal_g("damson");
    assert!(link.exists());
    let run = |args: &[&str]| workplace.product.run(workplace.product.command("wal-g", args));
    let version = run(&["--version"]).ok().stdout;
    assert!(version.starts_with("wal-g version ") && version.ends_with("\tGreenplumDB\n"), "{version:?}");
    assert_eq!(run(&["-v"]).ok().stdout, version);
    let file = log_file(&workplace, SEGMENT, 1, 1 << 20);
    // The order of words and flags that WAL-G's own recovery.conf and manuals have.
    run(&["seg", "wal-push", text(&file), "--content-id=0", "--config", config]).ok();
    run(&["seg", "wal-push", text(&file), "--content-id=-1", &format!("--config={config}")]).ok();
    let back = workplace.scratch.join("back");
    run(&["seg", "wal-fetch", SEGMENT, text(&back), "--content-id=0", "--config", config]).ok();
    assert_eq!(run(&["backup-list", "--json", "--config", config]).ok().stdout, "[]\n");
    run(&["seg", "wal-push", text(&file), "--content-id=3", "--config", config, "--walg-compression-method", "zstd"])
        .ok();
    assert!(store.join(format!("segments_005/seg3/wal_005/{SEGMENT}.zst")).is_file());
}
