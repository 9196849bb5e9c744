//! The table of all settings: one row each, by area; it documents itself.

mod common;
mod damson;
mod greenplum;
mod other_storages;
mod postgres;
mod s3;

/// Which program reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliesTo {
    Both,
    Postgres,
    Greenplum,
    /// An option of a storage kind. Its default is documentation here: the storage applies it after its prefix rules,
    /// since the default of `S3_SSE` must not beat a given `WALG_S3_SSE`.
    Storage,
}

/// One row of [`TABLE`].
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub applies_to: AppliesTo,
    /// Text of a valid value, for people: `int>=1`, `duration`, `enum a|b`.
    pub form: &'static str,
    pub default_pg: Option<&'static str>,
    pub default_gp: Option<&'static str>,
    /// Never shown.
    pub secret: bool,
    pub doc: &'static str,
}

const ROWS: usize = common::ROWS.len()
    + postgres::ROWS.len()
    + greenplum::ROWS.len()
    + s3::ROWS.len()
    + other_storages::ROWS.len()
    + damson::ROWS.len();

static JOINED: [Setting; ROWS] =
    join(&[common::ROWS, postgres::ROWS, greenplum::ROWS, s3::ROWS, other_storages::ROWS, damson::ROWS]);

/// Every setting, WAL-G's and this project's own.
pub static TABLE: &[Setting] = &JOINED;

/// The row of `name` (upper case), or of the spelling that `name` is a variant of (`WALE_FILE_PREFIX`, `WALG_S3_SSE_C`).
pub fn find(name: &str) -> Option<&'static Setting> {
    row(name).or_else(|| {
        let bare = name.strip_prefix("WALG_").or_else(|| name.strip_prefix("WALE_"))?;
        let storage = |row: &&Setting| row.applies_to == AppliesTo::Storage;
        row(bare).filter(storage).or_else(|| row(&format!("WALG_{bare}")).filter(storage))
    })
}

/// True if the value of `name` must not be shown. A name that is not known may be a misspelt password.
pub fn is_secret(name: &str) -> bool {
    find(name).is_none_or(|row| row.secret)
}

/// All spellings under which a row's value may be given.
pub(crate) fn spellings(row: &Setting) -> Vec<String> {
    let mut names = vec![row.name.to_owned()];
    if row.applies_to == AppliesTo::Storage {
        let bare = row.name.strip_prefix("WALG_").or_else(|| row.name.strip_prefix("WALE_"));
        let bare = bare.unwrap_or(row.name);
        names.extend([format!("WALG_{bare}"), format!("WALE_{bare}")]);
    }
    names
}

fn row(name: &str) -> Option<&'static Setting> {
    TABLE.iter().find(|row| row.name == name)
}

const fn both(name: &'static str, form: &'static str, default: &'static str, doc: &'static str) -> Setting {
    let default = given(default);
    Setting { name, applies_to: AppliesTo::Both, form, default_pg: default, default_gp: default, secret: false, doc }
}

const fn per_kind(
    name: &'static str,
    form: &'static str,
    default_pg: &'static str,
    default_gp: &'static str,
    doc: &'static str,
) -> Setting {
    let (default_pg, default_gp) = (given(default_pg), given(default_gp));
    Setting { name, applies_to: AppliesTo::Both, form, default_pg, default_gp, secret: false, doc }
}

const fn greenplum(name: &'static str, form: &'static str, default: &'static str, doc: &'static str) -> Setting {
    let default_gp = given(default);
    Setting { name, applies_to: AppliesTo::Greenplum, form, default_pg: None, default_gp, secret: false, doc }
}

const fn storage(name: &'static str, form: &'static str, default: &'static str, doc: &'static str) -> Setting {
    let default = given(default);
    Setting { name, applies_to: AppliesTo::Storage, form, default_pg: default, default_gp: default, secret: false, doc }
}

impl Setting {
    const fn secret(self) -> Setting {
        Setting { secret: true, ..self }
    }
}

const fn given(default: &'static str) -> Option<&'static str> {
    if default.is_empty() { None } else { Some(default) }
}

const fn join<const N: usize>(parts: &[&[Setting]]) -> [Setting; N] {
    let mut all = [both("", "", "", ""); N];
    let (mut part, mut next) = (0, 0);
    while part < parts.len() {
        let mut row = 0;
        while row < parts[part].len() {
            all[next] = parts[part][row];
            next += 1;
            row += 1;
        }
        part += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        let mut seen = std::collections::BTreeSet::new();
        for row in TABLE {
            assert!(seen.insert(row.name), "{} stands twice", row.name);
            assert!(!row.doc.is_empty() && !row.form.is_empty(), "{}", row.name);
            assert!(
                row.name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                row.name
            );
        }
        assert!(TABLE.len() > 220);
    }

    #[test]
    fn what_looks_secret_is_secret() {
        let open = ["WALG_PGP_KEY_PATH", "PGPASSFILE", "WALG_LIBSODIUM_KEY_PATH", "WALG_LIBSODIUM_KEY_TRANSFORM"];
        for row in TABLE {
            let looks = ["PASSWORD", "PASSPHRASE", "SECRET", "TOKEN"].iter().any(|word| row.name.contains(word));
            let switch = row.form == "bool" || row.form == "path";
            assert!(!looks || switch || row.secret, "{}", row.name);
            assert!(!open.contains(&row.name) || !row.secret, "{}", row.name);
        }
    }

    #[test]
    fn spellings_of_storage_options() {
        assert_eq!(find("WALE_FILE_PREFIX").map(|row| row.name), Some("WALG_FILE_PREFIX"));
        assert_eq!(find("WALE_S3_SSE_C").map(|row| row.name), Some("S3_SSE_C"));
        assert!(is_secret("WALE_S3_SSE_C") && is_secret("PGPASWORD") && !is_secret("PGHOST"));
        assert!(find("WALE_UPLOAD_QUEUE").is_none());
    }
}
