//! Where the tablespaces of a restored backup go.

use std::collections::BTreeMap;
use std::path::Path;

use formats::{TablespaceLocation, TablespaceSpec};

use crate::error::{Error, Result};

/// Places for the tablespaces of one data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Places {
    /// Where they were when the backup was made.
    #[default]
    Recorded,
    /// All of them, as a restore spec says.
    Spec(TablespaceSpec),
    /// New directories for some, by oid or by old directory; the others stay where they were.
    Moved(BTreeMap<String, String>),
}

impl Places {
    /// Whether the recorded map of the tablespaces would contradict.
    pub fn differ(&self) -> bool {
        match self {
            Self::Recorded => false,
            Self::Spec(_) => true,
            Self::Moved(moves) => !moves.is_empty(),
        }
    }
}

/// The tablespaces of a backup at their places. A move that concerns none of them is an error.
pub fn resolve(places: &Places, recorded: Option<TablespaceSpec>) -> Result<TablespaceSpec> {
    let mut spec = recorded.unwrap_or_default();
    match places {
        Places::Recorded => {}
        Places::Spec(other) => return Ok(other.clone()),
        Places::Moved(moves) => {
            for (from, to) in moves {
                move_one(&mut spec, from, to)?;
            }
        }
    }
    Ok(spec)
}

fn move_one(spec: &mut TablespaceSpec, from: &str, to: &str) -> Result<()> {
    let is_meant = |oid: &str, space: &TablespaceLocation| oid == from || same_directory(&space.loc, from);
    let Some((_, space)) = spec.tablespaces.iter_mut().find(|(oid, space)| is_meant(oid, space)) else {
        let known: Vec<_> = spec.tablespaces.iter().map(|(oid, space)| format!("{oid} ({})", space.loc)).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        let what = format!("the backup has no tablespace {from}, for which the restore config names the place {to}");
        return Err(Error::refused(what, known));
    };
    space.loc = to.to_owned();
    Ok(())
}

fn same_directory(a: &str, b: &str) -> bool {
    Path::new(a).components().eq(Path::new(b).components())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> Option<TablespaceSpec> {
        let text = r#"{"16384":{"loc":"/ts/1","link":"pg_tblspc/16384"},"16385":{"loc":"/ts/2","link":"pg_tblspc/16385"},"base_prefix":"/d","tablespaces":["16384","16385"]}"#;
        serde_json::from_str(text).ok()
    }

    fn moved(from: &str, to: &str) -> Result<TablespaceSpec> {
        resolve(&Places::Moved(BTreeMap::from([(from.to_owned(), to.to_owned())])), recorded())
    }

    #[test]
    fn tablespaces_move_by_oid_or_by_directory() {
        for from in ["16385", "/ts/2", "/ts//2/"] {
            let spec = moved(from, "/new").unwrap();
            assert_eq!(
                (spec.tablespaces["16384"].loc.as_str(), spec.tablespaces["16385"].loc.as_str()),
                ("/ts/1", "/new")
            );
        }
        let error = moved("16386", "/new").unwrap_err();
        assert!(error.to_string().contains("16386") && error.remedy().unwrap().contains("16384 (/ts/1)"));
        assert_eq!(resolve(&Places::Recorded, recorded()).unwrap(), recorded().unwrap());
    }
}
