//! Random histories of tables of a running server; `RIG_SERVER_HISTORIES` says how many. Many more run without a server, beside
//! the code.

use rig::{AoKind, AoTable, Server, StandSpec};

use super::{Files, Random, content, primary, read, restored_alike};
use crate::stands;

/// Changes of one history, and how many of them come between two backups.
const STEPS: u64 = 12;
const LARGEST_PIECE: u64 = 60_000;
const SEGMENTS: [u32; 3] = [1, 2, 129];

fn change(server: &Server, table: &mut AoTable, random: &mut Random) {
    let segment = SEGMENTS[random.below(3) as usize];
    let bytes = content(random.next(), random.below(LARGEST_PIECE) as usize);
    let (eof, changes) = table.row(server, segment);
    match random.below(9) {
        0..3 => table.append(server, segment, &bytes),
        3 => table.append_uncommitted(server, segment, &bytes),
        4 if changes > 0 => table.delete(server, segment),
        5 => table.rewrite(server, segment, &bytes, changes + 1),
        // VACUUM to the same logical end, under the same number of changes.
        6 if changes > 0 => table.rewrite(server, segment, &content(random.next(), eof as usize), changes),
        7 => table.truncate(server),
        8 => {
            let name = table.name.clone();
            table.clone().drop(server);
            *table = AoTable::create(server, "postgres", &name, AoKind::Column);
            table.append(server, segment, &bytes);
        }
        _ => table.append(server, segment, &bytes),
    }
}

fn run(seed: u64) {
    let settings = [("WALG_GP_AOSEG_SIZE_THRESHOLD", "20000"), ("WALG_DELTA_MAX_STEPS", "3")];
    let settings = settings.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
    let stand = stands::small(&format!("ao-hist{seed}"), &StandSpec { settings, ..StandSpec::default() });
    let (server, mut random) = (primary(&stand), Random::new(seed));
    let mut tables = ["a", "b"].map(|name| AoTable::create(server, "postgres", name, AoKind::Column));
    let mut taken: Vec<(String, Files)> = Vec::new();
    for _ in 0..STEPS {
        for _ in 0..1 + random.below(4) {
            change(server, &mut tables[random.below(2) as usize], &mut random);
        }
        if random.below(2) == 0 {
            let full: &[&str] = if random.below(4) == 0 { &["--full"] } else { &[] };
            stand.damson(&[&["backup-push"], full].concat()).ok();
            let files = tables.iter().flat_map(|table| SEGMENTS.map(|segment| table.file(server, segment)));
            taken.push((stands::latest(&stand), read(files)));
        }
    }
    for (number, (backup, files)) in taken.iter().enumerate() {
        restored_alike(&stand, &format!("r{number}"), backup, files);
    }
}

#[test]
fn every_backup_of_a_running_server_restores_to_its_bytes() {
    let count = std::env::var("RIG_SERVER_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in 1..=count {
        run(seed);
    }
}
