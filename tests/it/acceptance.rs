//! What the product must do, row by row: every row has a test whose name carries its number, and here are those that belong to no
//! other module.
//!
//! A test carries a row by the form of its name: `gp_012_...`; `gp_021_031_...` or `gp_021_gp_031_...` for several.

mod archive;
mod files;
mod hosts;
mod logs;

use std::collections::BTreeSet;
use std::path::Path;

/// The rows that must exist, in our own words.
const ROWS: [(u16, &str); 47] = [
    (1, "a backup is compressed and encrypted, and streams: nothing is staged on a local disk"),
    (2, "every setting of WAL-G's is known in the cluster mode too"),
    (3, "commands of the cluster need a settings file, at the same path on every host"),
    (4, "the sample settings file is read without a complaint"),
    (5, "a GPG key that cannot be used is refused, never clear text"),
    (6, "WALG_GP_LOGS_DIR holds a log for every segment and one for the cluster"),
    (7, "every primary archives into its own folder; success means that it is stored"),
    (8, "an archive command without a content id is refused"),
    (9, "archiving that is off is told before a backup starts"),
    (10, "all primaries are backed up at once, a restore point is made, the cluster sentinel comes last"),
    (11, "a segment that fails for good fails the backup, stops the others, and leaves no backup mode"),
    (12, "WALG_DELTA_MAX_STEPS deltas follow a full backup, then a full one again"),
    (13, "restoring a delta restores its chain on every segment"),
    (14, "a restore needs the log up to the restore point"),
    (15, "heap: unchanged files are skipped, changed pages alone are stored"),
    (16, "append-optimized: unchanged files are skipped, of grown ones the tail is stored"),
    (17, "a delta's base is the newest backup"),
    (18, "a delta's base may be named"),
    (19, "a delta's base may be chosen by user data"),
    (20, "a base by name and one by user data are not both taken"),
    (21, "a restore to the hosts, ports and directories of the restore config"),
    (22, "LATEST is the newest backup"),
    (23, "the restore config: its form, and what is said about a broken one"),
    (25, "a backup may be chosen by user data"),
    (26, "a backup that ended after the restore point is refused"),
    (27, "a restore point alone chooses the newest backup before it"),
    (28, "a time chooses the newest restore point at or before it"),
    (29, "every segment recovers to the restore point and not beyond"),
    (30, "chosen content ids alone are touched"),
    (31, "mode default: unpack and prepare"),
    (32, "mode unpack: data alone"),
    (33, "mode prepare: settings alone"),
    (34, "an unknown mode is refused by name"),
    (35, "a database alone is restored, with the system's"),
    (36, "a table alone is restored"),
    (37, "a partial restore needs the names that the backup collects"),
    (38, "system databases, system tables and the tables of append-optimized ones always come along"),
    (39, "the quoting of --restore-only"),
    (41, "an in-place restore needs no restore config"),
    (42, "WALG_GP_DELETE_CONCURRENCY segments are cleaned at once"),
    (43, "append-optimized files from the threshold on are stored apart"),
    (44, "shared objects over the age limit are stored anew"),
    (45, "unchanged append-optimized files are stored once"),
    (46, "restore-point-list, in its three forms, also of nothing"),
    (47, "restore points: one per backup, and by command; a name is used once"),
    (48, "list and delete for the cluster, in all forms; permanent backups stay"),
    (49, "hosts need the agent and the settings file alone; nothing stays running"),
];

/// Those of gpbackup's plugin.
const PLUGIN_ROWS: [(u16, &str); 26] = [
    (1, "the program needs nothing beside it"),
    (2, "a whole backup goes through the plugin and comes back"),
    (3, "the configuration: executablepath and options"),
    (4, "pgport among the options is taken"),
    (5, "backup_plugin_version among the options is taken"),
    (6, "the configuration is read where the caller says"),
    (7, "a failure is one line on standard error and a non-zero exit"),
    (8, "every command is there, and an unknown one is refused"),
    (9, "setup_plugin_for_backup proves that backups can be stored"),
    (10, "the scopes, and content ids in quotes"),
    (11, "hooks run side by side on one host"),
    (12, "setup_plugin_for_restore makes the local directory"),
    (13, "cleanup_plugin_for_backup never fails"),
    (14, "cleanup_plugin_for_restore never fails"),
    (15, "backup_file leaves the local file"),
    (16, "restore_file writes exactly that path"),
    (17, "backup_data takes streams of every size, empty ones too"),
    (18, "restore_data gives back the very bytes"),
    (19, "streams that are compressed already, and others"),
    (20, "a stream that broke off is not stored"),
    (21, "plugin_api_version"),
    (22, "delete_backup takes one backup and nothing else"),
    (23, "--version is of three words"),
    (24, "keys follow the local directory"),
    (25, "what another run wrote is read, or refused"),
    (26, "the course of the interface's own test bench"),
];

/// Numbers after `prefix` in the names of all tests below `folder`.
fn carried(folder: &Path, prefix: &str, found: &mut BTreeSet<u16>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        if path.is_dir() && name != "target" && name != ".git" {
            carried(&path, prefix, found);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for test in text.split("#[test]").skip(1) {
                let signature = test.split("fn ").nth(1).unwrap_or_default();
                if signature.split('_').next() == Some(prefix) {
                    let words = signature.split('_').filter(|word| *word != prefix);
                    found.extend(words.map_while(|word| word.parse::<u16>().ok()));
                }
            }
        }
    }
}

#[test]
fn every_row_is_carried_by_a_test() {
    for (prefix, rows) in [("gp", &ROWS[..]), ("plg", &PLUGIN_ROWS)] {
        let mut found = BTreeSet::new();
        carried(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), prefix, &mut found);
        for (row, words) in rows {
            assert!(found.contains(row), "no test is named {prefix}_{row:03}: {words}");
        }
    }
}
