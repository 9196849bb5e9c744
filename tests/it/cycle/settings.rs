//! Where settings come from, and what the product refuses.

use std::path::Path;

use rig::{Output, StandSpec, Workplace};

use crate::stands;

/// Lists the (empty) storage with a settings file of the given name.
fn list_with(workplace: &Workplace, name: &str, text: &str) -> Output {
    let config = workplace.scratch.write(name, text);
    let args = ["backup-list", "--json", "--config", config.to_str().unwrap()];
    workplace.product.run(workplace.product.command("damson", &args))
}

/// Each format of file is read, and says which storage; the path may come from the environment.
#[test]
fn files_of_every_format() {
    let workplace = Workplace::new("formats");
    let store = workplace.scratch.dir("store").display().to_string();
    let cases = [
        ("c.yaml", format!("WALG_FILE_PREFIX: {store}\n")),
        ("c.yml", format!("WALG_FILE_PREFIX: \"{store}\"\n")),
        ("c.json", format!("{{\"WALG_FILE_PREFIX\": \"{store}\"}}")),
        ("c.toml", format!("WALG_FILE_PREFIX = \"{store}\"\n")),
        ("c.env", format!("WALG_FILE_PREFIX={store}\n")),
    ];
    for (name, text) in &cases {
        assert_eq!(list_with(&workplace, name, text).ok().stdout, "[]\n", "{name}");
    }
    let from_environment = |config: &Path| {
        let mut command = workplace.product.command("damson", &["backup-list", "--json"]);
        command.env("WALG_CONFIG_PATH", config);
        workplace.product.run(command)
    };
    assert_eq!(from_environment(&workplace.scratch.join("c.toml")).ok().stdout, "[]\n");
    from_environment(&workplace.scratch.join("no.yaml")).fails(1, &["no.yaml"]);
    for (name, text) in [("bad.json", "{"), ("bad.yaml", "a: [1"), ("bad.toml", "= 1")] {
        list_with(&workplace, name, text).fails(1, &[name]);
    }
}

/// Without a settings file, a command of the cluster is refused: the hosts could not find the same settings.
#[test]
fn gp_003_a_command_without_settings_file_is_refused() {
    let workplace = Workplace::new("no-config");
    let store = workplace.scratch.dir("store");
    for args in [&["backup-push"][..], &["backup-list"], &["backup-fetch", "LATEST"], &["create-restore-point", "p"]] {
        let mut command = workplace.product.command("damson", args);
        command.env("WALG_FILE_PREFIX", &store);
        workplace.product.run(command).fails(1, &["--config", "WALG_CONFIG_PATH"]);
    }
}

/// An unknown key is warned of, with its name; a setting that cannot be is refused.
#[test]
fn wrong_settings() {
    let workplace = Workplace::new("wrong");
    workplace.use_new_store("store", &[("WALG_COMPRESION_METHOD", "zstd")]);
    workplace.damson(&["backup-list"]).ok_despite(&["WALG_COMPRESION_METHOD"]);
    let warned = workplace.damson(&["backup-list"]);
    assert_eq!(warned.complaints().len(), 1, "{}", warned.report());
    workplace.use_new_store("store", &[("WALG_COMPRESSION_METHOD", "zip")]);
    workplace.damson(&["backup-list"]).fails(1, &["WALG_COMPRESSION_METHOD", "zip"]);
    workplace.product.write_config(&[]);
    workplace.damson(&["backup-list"]).fails(1, &["WALG_FILE_PREFIX"]);
}

/// Sizes are read from pg_control; a setting that says something else is refused before anything is stored, a right one is not.
#[test]
fn sizes_that_contradict_the_server() {
    let mut stand = stands::small("sizes", &StandSpec::default());
    for (name, wrong, right) in [
        ("WALG_PG_WAL_SIZE", "64", "1"),
        ("WALG_PG_BLOCK_SIZE", "32768", "8192"),
        ("WALG_PG_WAL_PAGE_SIZE", "4096", "8192"),
    ] {
        stand.set(name, wrong);
        stand.damson(&["backup-push"]).fails(1, &[name, wrong, "pg_control says"]);
        stand.set(name, right);
    }
    assert!(stands::backups(&stand, &[]).is_empty());
    stand.damson(&["backup-push"]).ok();
}
