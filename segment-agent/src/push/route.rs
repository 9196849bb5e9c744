//! How each entry of the data directory goes into the backup.

use pgdata::{Fork, PageScan, RelationPath};

use super::base::Base;
use super::walk::Entry;

/// Object id of the tablespace `pg_global`: its files change in ways that their pages do not tell.
const GLOBAL_TABLESPACE: u32 = 1664;

/// The way of one entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// As it is, into a part.
    Whole,
    /// Not at all: the base has it.
    Unchanged,
    /// Only the pages that the scan finds; whole, if it turns out to be no file of pages.
    Increment(PageScan),
}

/// Decides for every entry; without a base everything goes as it is.
#[derive(Default)]
pub struct Routes {
    delta: Option<(Base, PageScan)>,
}

impl Routes {
    /// `page_bytes`: as `pg_control` says.
    pub fn new(base: Option<Base>, page_bytes: u32) -> Self {
        let delta = base.map(|base| {
            let scan = PageScan::new(page_bytes, base.start_lsn);
            (base, scan)
        });
        Self { delta }
    }

    /// The backup that this one is a delta of.
    pub fn base(&self) -> Option<&Base> {
        self.delta.as_ref().map(|(base, _)| base)
    }

    pub fn of(&self, entry: &Entry) -> Route {
        let Some((base, scan)) = self.delta.as_ref().filter(|_| entry.is_file()) else { return Route::Whole };
        let Some(noted) = base.files.modified_nanos(&entry.name) else { return Route::Whole };
        if noted == entry.modified_nanos() && base.files.is_settled(noted) {
            return Route::Unchanged;
        }
        match has_pages(&entry.name, entry.metadata.len(), scan.page_bytes()) {
            true => Route::Increment(*scan),
            false => Route::Whole,
        }
    }
}

/// Main forks of relations outside of `global`, if they consist of whole pages (storage format, section 4.2).
fn has_pages(name: &str, bytes: u64, page_bytes: u32) -> bool {
    let is_main =
        |path: RelationPath| path.file.fork == Fork::Main && path.tablespace != GLOBAL_TABLESPACE && path.database != 0;
    bytes > 0 && bytes.is_multiple_of(page_bytes.into()) && RelationPath::parse(name).is_some_and(is_main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_forks_of_whole_pages_alone() {
        for name in ["/base/5/16385", "/base/5/16385.2", "/pg_tblspc/16500/PG_15_1/5/16385"] {
            assert!(has_pages(name, 16384, 8192), "{name}");
            assert!(!has_pages(name, 0, 8192) && !has_pages(name, 8191, 8192) && !has_pages(name, 16384, 32768));
        }
        for name in
            ["/global/1262", "/base/5/16385_fsm", "/base/5/16385_vm", "/base/5/16385_init", "/base/5/PG_VERSION"]
        {
            assert!(!has_pages(name, 8192, 8192), "{name}");
        }
        // By place and not by what stands anywhere in the path.
        for name in ["/pg_xact/0000", "/database/5/16385", "/base/pgsql_tmp/5", "/base/5/t3_16385", "/x/base/5/16385"] {
            assert!(!has_pages(name, 8192, 8192), "{name}");
        }
    }
}
