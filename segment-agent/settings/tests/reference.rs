//! SETTINGS.md, made from the table of settings; fails when the file at the root of the repository is stale.
//!
//! Which settings have an effect is not said by hand: the sources are searched for each name. With
//! `DAMSON_WRITE_REFERENCE=1` in the environment the file is written instead of compared.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use settings::{AppliesTo, Setting, TABLE};

const WRITE: &str = "DAMSON_WRITE_REFERENCE";

const HEAD: &str = "\
# Settings

Made from the table in `segment-agent/settings/src/table` by a test; to renew it, run:

```sh
DAMSON_WRITE_REFERENCE=1 cargo test -p settings --test reference
```

A value is taken from the first of: flag (every setting has one: `WALG_FILE_PREFIX` is `--walg-file-prefix`), environment
variable, settings file, default. An empty value counts as unset. Settings files end in .yaml, .yml, .json, .toml, .env or
.dotenv; names in them may be written in any case. A value that is marked as secret is never printed. Unknown names in a
file are warned of, with the name that was probably meant. Where the two programs have different defaults, that of
`damson-pg` stands in brackets. [COMPATIBILITY.md](COMPATIBILITY.md) tells what differs from WAL-G, and why.
";

/// Settings whose presence, or whose use in this version, ends the command with an error that names them.
const REFUSED: [&str; 21] = [
    "GPG_KEY_ID",
    "S3_ENDPOINT_SOURCE",
    "S3_RETENTION_PERIOD",
    "S3_USE_YC_SESSION_TOKEN",
    "WALE_GPG_KEY_ID",
    "WALG_AZ_PREFIX",
    "WALG_CSE_KMS_ID",
    "WALG_ENVELOPE_PGP_KEY",
    "WALG_ENVELOPE_PGP_KEY_PATH",
    "WALG_ENVELOPE_PGP_YC_CSE_KMS_KEY_ID",
    "WALG_FAILOVER_STORAGES",
    "WALG_GPG_KEY_ID",
    "WALG_GS_PREFIX",
    "WALG_OSS_PREFIX",
    "WALG_PGP_KEY",
    "WALG_PGP_KEY_PATH",
    "WALG_S3_ENDPOINT_SOURCE",
    "WALG_SSH_PREFIX",
    "WALG_SWIFT_PREFIX",
    "YC_CSE_KMS_KEY_ID",
    "WALG_S3_RETENTION_PERIOD",
];

/// Beginnings of the options of storages other than directories and S3.
const OTHER_STORAGES: [&str; 12] = [
    "WALG_GS_",
    "WALG_AZ",
    "WALG_OSS_",
    "WALG_SWIFT_",
    "WALG_SSH_",
    "GOOGLE_",
    "GCS_",
    "AZURE_",
    "OSS_",
    "OS_",
    "SSH_",
    "WALG_GCS_",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of every source file, tests and the table itself left out.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().into_string().unwrap();
        // nested.rs names settings that it only takes apart.
        let left_out = ["target", ".git", "tests", "table", "nested.rs"].contains(&name.as_str());
        if left_out || name.ends_with("_tests.rs") {
            continue;
        }
        if path.is_dir() {
            sources(&path, text);
        } else if name.ends_with(".rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            text.push_str(source.split("#[cfg(test)]").next().unwrap());
        }
    }
}

/// Whether a source names the setting, or one of the spellings of a storage's option.
fn has_effect(row: &Setting, sources: &str) -> bool {
    let bare = row.name.strip_prefix("WALG_").or_else(|| row.name.strip_prefix("WALE_")).unwrap_or(row.name);
    // Names of this form are put together from the kind of the storage.
    let prefix = ["FILE_PREFIX", "S3_PREFIX"].contains(&bare);
    let names = match row.applies_to {
        AppliesTo::Storage => vec![row.name.to_owned(), bare.to_owned(), format!("WALG_{bare}")],
        _ => vec![row.name.to_owned()],
    };
    prefix || names.iter().any(|name| sources.contains(&format!("\"{name}\"")))
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn default_of(row: &Setting) -> String {
    match (row.default_gp, row.default_pg) {
        (Some(cluster), Some(single)) if cluster != single => format!("{cluster} ({single})"),
        (Some(cluster), _) => cluster.to_owned(),
        (None, Some(single)) => format!("({single})"),
        (None, None) => String::new(),
    }
}

/// One area: a table of what has an effect, then the names of the rest.
fn section(page: &mut String, title: &str, note: &str, rows: &[&Setting], sources: &str) {
    let refused: Vec<_> = rows.iter().filter(|row| REFUSED.contains(&row.name)).collect();
    let (read, idle): (Vec<&Setting>, Vec<&Setting>) =
        rows.iter().filter(|row| !REFUSED.contains(&row.name)).partition(|row| has_effect(row, sources));
    page.push_str(&format!("\n## {title}\n\n"));
    if !note.is_empty() {
        page.push_str(&format!("{note}\n\n"));
    }
    if !read.is_empty() {
        page.push_str("| setting | value | default | meaning |\n|---|---|---|---|\n");
    }
    for row in read {
        let secret = if row.secret { " (secret)" } else { "" };
        let (form, default, doc) = (cell(row.form), cell(&default_of(row)), cell(row.doc));
        page.push_str(&format!("| `{}` | {form}{secret} | {default} | {doc} |\n", row.name));
    }
    let names = |rows: Vec<&str>| rows.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if !refused.is_empty() {
        let list = names(refused.iter().map(|row| row.name).collect());
        let why = "Refused where it is set, for this version cannot do what it asks for";
        page.push_str(&format!("{}{why}: {list}.\n", gap(page)));
    }
    if !idle.is_empty() {
        let list = names(idle.iter().map(|row| row.name).collect());
        let why = "Known, so that no warning is given, but without effect in this version";
        page.push_str(&format!("{}{why}: {list}.\n", gap(page)));
    }
}

/// What makes the next line a paragraph of its own.
fn gap(page: &str) -> &'static str {
    if page.ends_with("\n\n") { "" } else { "\n" }
}

fn page() -> String {
    let mut text = String::new();
    sources(&root(), &mut text);
    let area = |row: &&Setting| match row.applies_to {
        _ if row.name.starts_with("DAMSON_") => 0,
        AppliesTo::Both | AppliesTo::Postgres => 1,
        AppliesTo::Greenplum => 2,
        AppliesTo::Storage if OTHER_STORAGES.iter().any(|beginning| row.name.starts_with(beginning)) => 4,
        AppliesTo::Storage => 3,
    };
    let spellings = "Each option may be written bare, with `WALG_` or with `WALE_` in front; `WALG_S3_PREFIX` wins over \
                     `WALG_FILE_PREFIX`.";
    let titles = [
        ("Damson's own", ""),
        ("Backups, archive, encryption, server connection", ""),
        ("Greenplum", ""),
        ("Storage: directories and S3", spellings),
        ("Other storages", "Not there yet: a prefix of one of them is refused by name."),
    ];
    let mut page = HEAD.to_owned();
    for (number, (title, note)) in titles.into_iter().enumerate() {
        let rows: Vec<_> = TABLE.iter().filter(|row| area(row) == number).collect();
        section(&mut page, title, note, &rows, &text);
    }
    page
}

#[test]
fn the_reference_is_current() {
    let path = root().join("SETTINGS.md");
    let page = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let different = page.lines().zip(stored.lines()).find(|(new, old)| new != old);
    assert!(stored == page, "SETTINGS.md is stale; run the test again with {WRITE}=1. First difference: {different:?}");
}

#[test]
fn refused_settings_are_in_the_table() {
    for name in REFUSED {
        assert!(settings::find(name).is_some(), "{name}");
    }
}
