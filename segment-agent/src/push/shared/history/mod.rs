//! Random histories of append-optimized tables, without a server: files are inserted into, rewritten, truncated, dropped and
//! made anew, the directory is set back to an earlier backup, and now and then a backup is made, full or a delta. Every backup
//! must restore to the bytes that were there.
//!
//! `RIG_HISTORIES` says how many histories are run.

mod golden;
mod push;
mod random;
mod restore;
mod world;

use std::collections::BTreeMap;

use formats::BackupName;

use self::push::Pushes;
use self::random::Random;
use self::world::World;

/// Steps of one history.
const STEPS: usize = 40;

fn histories() -> u64 {
    std::env::var("RIG_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

/// A backup, what the files were then, and the tables with what the catalog said of them.
struct Taken {
    name: BackupName,
    files: BTreeMap<String, Vec<u8>>,
    world: World,
}

/// A delta of the newest backup, mostly; of any other one at times.
fn parent<'a>(taken: &'a [Taken], random: &mut Random) -> Option<&'a BackupName> {
    let any = taken.get(random.below(taken.len() as u64) as usize);
    let parent = match random.below(4) {
        0 => None,
        1 => any,
        _ => taken.last(),
    };
    parent.map(|taken| &taken.name)
}

fn run(seed: u64) {
    let mut random = Random::new(seed);
    let mut world = World::default();
    let dir = tempfile::tempdir().unwrap();
    let pushes = Pushes::new(seed);
    let mut taken: Vec<Taken> = Vec::new();
    for _ in 0..STEPS {
        match random.below(10) {
            0..7 => world.change(&mut random),
            7..9 => {
                world.write_to(dir.path());
                let parent = parent(&taken, &mut random);
                let name = pushes.push(dir.path(), world.found(), world.timeline, parent);
                taken.push(Taken { name, files: world.files(), world: world.clone() });
            }
            // Back to an earlier backup, and on from there.
            _ => {
                if let Some(earlier) = taken.get(random.below(taken.len().max(1) as u64) as usize) {
                    world = world.set_back_to(&earlier.world);
                }
            }
        }
    }
    for backup in &taken {
        let restored = restore::restore(&pushes, &backup.name);
        let paths = backup.files.keys().chain(restored.keys());
        let different: Vec<_> = paths.filter(|path| backup.files.get(*path) != restored.get(*path)).collect();
        assert!(different.is_empty(), "seed {seed}, backup {}: {different:?} differ", backup.name);
    }
}

#[test]
fn every_backup_of_a_history_restores_to_its_bytes() {
    for seed in 1..=histories() {
        run(seed);
    }
}
