//! The sentinel of a cluster: what is chosen from a damaged one.

use bytes::Bytes;
use coordinator::catalog::{self, Arguments, Choice, Target};
use rig::{Scratch, golden};

use super::source::{Objects, block_on, store};

/// The first backup of the golden cluster: its sentinel and its restore point.
fn documents() -> (Objects, String) {
    let scratch = Scratch::new("dmg-cluster");
    let root = golden::greenplum6(&scratch);
    let name = golden::GREENPLUM6_BACKUPS[0];
    let folder = root.join("basebackups_005");
    let mut objects = Objects::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        let key = format!("basebackups_005/{}", entry.file_name().to_str().unwrap());
        if key.contains(&format!("{name}_")) && !key.contains("_D_") {
            objects.insert(key, Bytes::from(std::fs::read(entry.path()).unwrap()));
        }
    }
    let sentinel = format!("basebackups_005/{name}_backup_stop_sentinel.json");
    assert!(objects.contains_key(&sentinel), "{:?}", objects.keys());
    (objects, sentinel)
}

fn choose(objects: &Objects) -> Result<Choice, catalog::Error> {
    let backup = Some(golden::GREENPLUM6_BACKUPS[0].to_string());
    let target = Target::from_arguments(&Arguments { backup, ..Arguments::default() }).unwrap();
    block_on(catalog::choose(&store(objects), &target))
}

#[test]
fn a_cut_sentinel_is_refused_at_every_length() {
    let (objects, key) = documents();
    assert!(choose(&objects).is_ok());
    let whole = objects[&key].clone();
    let end = whole.trim_ascii_end().len();
    for length in 0..end {
        let mut cut = objects.clone();
        cut.insert(key.clone(), whole.slice(..length));
        let error = choose(&cut).expect_err("half a sentinel is none").to_string();
        assert!(error.contains(golden::GREENPLUM6_BACKUPS[0]), "{error}");
    }
    let mut gone = objects.clone();
    gone.remove(&key);
    let error = choose(&gone).expect_err("there is no such backup").to_string();
    assert!(error.contains("does not exist") && error.contains(golden::GREENPLUM6_BACKUPS[0]), "{error}");
}

/// A document has no checksum: what counts is that no turned bit makes segments vanish or change their number, unseen.
#[test]
fn a_turned_bit_never_loses_a_segment() {
    let (objects, key) = documents();
    let right = choose(&objects).unwrap();
    let whole = objects[&key].to_vec();
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut body = whole.clone();
        body[at] ^= 1 << (at % 7);
        let mut turned = objects.clone();
        turned.insert(key.clone(), Bytes::from(body));
        match choose(&turned) {
            Ok(choice) => {
                let count = |choice: &Choice| choice.sentinel.segments.len();
                assert_eq!(count(&choice), count(&right), "byte {at}");
            }
            Err(error) => {
                assert!(error.to_string().contains(golden::GREENPLUM6_BACKUPS[0]), "byte {at}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}
