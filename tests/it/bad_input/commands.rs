//! Command lines: unknown words, contradictions, malformed values.

use rig::{Output, Workplace};

use super::refused;

/// Runs `damson ARGS` as given, without the settings file.
fn bare(workplace: &Workplace, args: &[&str]) -> Output {
    workplace.product.run(workplace.product.command("damson", args))
}

#[test]
fn usage_errors_end_with_1() {
    let workplace = Workplace::new("usage");
    workplace.use_new_store("store", &[]);
    refused(bare(&workplace, &[]), &["Usage"]);
    refused(bare(&workplace, &["backup-lisp"]), &["unrecognized subcommand", "backup-lisp", "backup-list"]);
    refused(bare(&workplace, &["backup-list", "--prety"]), &["unexpected argument", "--prety", "--pretty"]);
    refused(bare(&workplace, &["backup-list", "one", "two"]), &["unexpected argument"]);
    refused(bare(&workplace, &["create-restore-point"]), &["required", "NAME"]);
    refused(bare(&workplace, &["backup-list"]), &["config", "not set", "--config"]);
    refused(bare(&workplace, &["seg", "wal-push", "/nonexistent/000000010000000000000001"]), &["config"]);
    let seg = workplace.damson(&["seg", "wal-push", "/nonexistent/000000010000000000000001", "--content-id=one"]);
    refused(seg, &["one"]);
    let help = bare(&workplace, &["--help"]).ok();
    assert!(help.stdout.contains("backup-push"));
}

/// All of these on an empty storage, so that nothing but the arguments can be at fault.
#[test]
fn gp_028_034_malformed_arguments_are_named() {
    let workplace = Workplace::new("arguments");
    workplace.use_new_store("store", &[]);
    let config = workplace.scratch.write("rc.json", r#"{"segments":{"-1":{"hostname":"h","port":1,"data_dir":"/d"}}}"#);
    let config = config.to_str().unwrap();
    let fetch = |args: &[&str]| workplace.damson(&[&["backup-fetch"], args, &["--restore-config", config]].concat());
    refused(fetch(&["LATEST"]), &["No backups found"]);
    refused(fetch(&["backup_20261121T082823Z"]), &["backup_20261121T082823Z", "does not exist", "backup-list"]);
    refused(fetch(&["../../etc"]), &["../../etc"]);
    refused(fetch(&[]), &["insufficient arguments"]);
    refused(
        fetch(&["LATEST", "--mode", "unpakc"]),
        &["unknown backup fetch mode: unpakc", "default, unpack or prepare"],
    );
    refused(fetch(&["LATEST", "--target-user-data", "{}"]), &["backup name OR target userdata, not both"]);
    refused(fetch(&["--target-user-data", "{broken"]), &["{broken", "JSON"]);
    refused(fetch(&["LATEST", "--restore-point-ts", "yesterday"]), &["yesterday", "RFC 3339", "2026-11-21T08:28:31Z"]);
    let both = ["LATEST", "--restore-point", "p", "--restore-point-ts", "2026-11-21T08:28:31Z"];
    refused(fetch(&both), &["both --restore-point and --restore-point-ts"]);
    refused(fetch(&["LATEST", "--content-ids", "0,x"]), &["x", "--content-ids"]);
    refused(workplace.damson(&["backup-fetch", "LATEST"]), &["no restore config", "--restore-config FILE"]);
    refused(workplace.damson(&["backup-push", "--add-user-data", "{broken"]), &["{broken", "not JSON", "quote it"]);
}
