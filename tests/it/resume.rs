//! Restores that were interrupted: by a full disk, by a kill, by a file that changed meanwhile. The same command goes on
//! where the last run stopped, and the result is what an undisturbed restore gives.

mod killed;
mod no_space;
mod small_disk;

use rig::tree::{self, Listing};
use rig::{Output, Place, Restore, Stand};

/// Present in a data directory while its restore is not finished.
const MARKER: &str = ".damson-restore";

/// A restore of the data directories alone: what `prepare` writes differs with ports.
fn unpack(stand: &Stand, restore: &Restore, backup: &str) -> Output {
    stand.fetch(restore, &[backup, "--mode", "unpack"])
}

fn listings(places: &[Place]) -> Vec<Listing> {
    places.iter().map(|place| tree::list(&place.data_dir)).collect()
}

#[track_caller]
fn assert_same(expected: &[Listing], found: &[Listing]) {
    for (expected, found) in expected.iter().zip(found) {
        assert!(expected.contains_key("global/pg_control") && !expected.contains_key(MARKER));
        tree::assert_same(expected, found);
    }
}

/// Files that the last restore of content `content` kept, as it reports.
fn kept(output: &Output, content: i32) -> u64 {
    let start = format!("content {content}: ");
    let line = output.stderr.lines().find(|line| line.contains(&start) && line.contains("kept from an earlier run"));
    let line = line.unwrap_or_else(|| panic!("no line on content {content}\n{}", output.report()));
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.windows(3).position(|three| three == ["of", "them", "kept"]).unwrap();
    words[at - 1].parse().unwrap()
}
