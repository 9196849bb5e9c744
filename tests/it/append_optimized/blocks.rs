//! Blocks of real append-optimized files: a stored Greenplum 6 has them, and the stand-in serves them again.

use std::path::Path;

use pgdata::AoBlocks;
use rig::{AoKind, AoTable, StandSpec, golden};

use super::primary;
use crate::stands;

/// Whole files and the tails of three, of rows and of columns, compressed or not.
fn of_greenplum6(store: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for segment in ["seg0", "seg1"] {
        let folder = store.join(format!("segments_005/{segment}/basebackups_005/aosegments"));
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            let bytes = std::fs::read(entry.path()).unwrap();
            // An increment's header is no part of the file.
            files.push((format!("{segment}/{name}"), if name.contains("_D_") { bytes[20..].to_vec() } else { bytes }));
        }
    }
    files
}

fn judged(file: &[u8]) -> Result<(), String> {
    let mut blocks = AoBlocks::default();
    file.chunks(100_000).for_each(|piece| blocks.feed(piece));
    blocks.verdict()
}

#[test]
fn blocks_of_greenplum6_are_right_and_damage_in_them_is_found() {
    let scratch = rig::Scratch::new("ao-blocks");
    let files = of_greenplum6(&golden::greenplum6(&scratch));
    assert!(files.len() > 20, "{}", files.len());
    for (name, file) in files {
        assert_eq!(judged(&file), Ok(()), "{name}");
        for at in (16..file.len()).step_by(file.len() / 50) {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            assert!(judged(&damaged).is_err(), "{name}, byte {at}");
        }
        assert!(judged(&file[..file.len() - 8]).is_err(), "{name}");
    }
}

/// Blocks that are right, of which the logical end passes some only later; then the server's disk turns a bit: every hash is
/// right, and the block is wrong.
#[test]
fn a_block_that_was_damaged_on_the_server_is_found() {
    let settings = [("WALG_GP_AOSEG_SIZE_THRESHOLD", "1000"), ("WALG_DELTA_MAX_STEPS", "5")];
    let settings = settings.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    let stand = stands::small("ao-damaged", &StandSpec { settings, ..StandSpec::default() });
    let files = of_greenplum6(&golden::greenplum6(&stand.scratch));
    let of_table = |is_tail: bool| {
        let found = files.iter().find(|(name, _)| {
            name.starts_with("seg0/") && name.contains("_16389_1_1_") && name.contains("_D_") == is_tail
        });
        found.unwrap().1.as_slice()
    };
    let (whole, tail) = (of_table(false), of_table(true));
    let server = primary(&stand);
    let table = AoTable::create(server, "postgres", "rows_t", AoKind::Row);
    table.append(server, 1, whole);
    table.append_uncommitted(server, 1, &[tail, &[7; 3000]].concat());
    stand.damson(&["backup-push"]).ok();
    stand.damson(&["backup-verify", "LATEST"]).ok();
    // What was uncommitted is not, and the file has become longer: the delta goes on behind the stored bytes.
    table.append(server, 1, tail);
    table.append_uncommitted(server, 1, &[8; 50_000]);
    stand.damson(&["backup-push"]).ok();
    stand.damson(&["backup-verify", "LATEST"]).ok();

    let mut damaged = whole.to_vec();
    damaged[500_000] ^= 1;
    table.rewrite(server, 1, &damaged, 7);
    stand.damson(&["backup-push"]).ok();
    let output = stand.damson(&["backup-verify", "LATEST"]).fails(1, &["1 of 1 backups are damaged"]);
    assert!(output.stdout.contains("aosegments/") && output.stdout.contains("wrong checksum"), "{}", output.report());
}
