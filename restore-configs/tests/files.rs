//! Every file of examples/ and invalid/, each with what is expected of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use restore_configs::{Error, RestoreConfig};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names_in(name: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder(name)).into_iter().flatten().flatten();
    files.map(|file| file.file_name().to_string_lossy().trim_end_matches(".json").to_owned()).collect()
}

fn parse(name: &str, file: &str) -> Result<RestoreConfig, Error> {
    let text = std::fs::read_to_string(folder(name).join(format!("{file}.json"))).unwrap_or_default();
    RestoreConfig::parse(&text)
}

/// (file, content id, hostname, port, data directory)
const EXAMPLES: [(&str, i32, &str, u16, &str); 12] = [
    ("demo_cluster", -1, "mdw", 7000, "/data/qddir/demoDataDir-1"),
    ("demo_cluster", 0, "mdw", 7002, "/data/dbfast1/demoDataDir0"),
    ("demo_cluster", 1, "mdw", 7003, "/data/dbfast2/demoDataDir1"),
    ("with_replicas", 0, "sdw1", 6000, "/data/primary/gpseg0"),
    ("many_hosts", -1, "cdw.example", 5432, "/data/coordinator/gpseg-1"),
    ("many_hosts", 0, "sdw1.example", 6000, "/data/primary/gpseg0"),
    ("many_hosts", 2, "sdw2.example", 6000, "/data/primary/gpseg2"),
    ("many_hosts", 3, "sdw2.example", 6001, "/data/primary/gpseg3"),
    ("tablespaces", -1, "mdw", 5432, "/data/coordinator/gpseg-1"),
    ("tablespaces", 0, "sdw1", 6000, "/data/primary/gpseg0"),
    ("addresses_and_unknown_keys", -1, "192.0.2.10", 5432, "/data/coordinator/gpseg-1"),
    ("addresses_and_unknown_keys", 0, "2001:db8::11", 6000, "/data/primary 0/gpseg0"),
];

/// (file, words of the message)
const INVALID: [(&str, &[&str]); 40] = [
    ("no_outer_braces", &["not valid JSON", "must stand in braces"]),
    ("trailing_comma", &["not valid JSON", "line 1"]),
    ("truncated", &["not valid JSON"]),
    ("trailing_text", &["not valid JSON", "trailing"]),
    ("empty_file", &["not valid JSON"]),
    ("a_list", &["not valid JSON", "expected a map"]),
    ("no_segments", &["no segments"]),
    ("empty_segments", &["no segments"]),
    ("segments_is_a_list", &["no segments"]),
    ("segments_twice", &["no segments"]),
    ("content_is_a_name", &["\"coordinator\"", "no content id"]),
    ("content_has_leading_zero", &["\"00\"", "no content id"]),
    ("content_below_coordinator", &["\"-2\"", "no content id"]),
    ("content_twice", &["content id 3 stands twice"]),
    ("entry_is_a_text", &["content id 3", "must be a map"]),
    ("hostname_missing", &["content id 3", "hostname is missing"]),
    ("hostname_empty", &["content id 3", "hostname is empty"]),
    ("hostname_is_an_option", &["content id 3", "leading dash"]),
    ("hostname_twice", &["content id 3", "hostname stands twice"]),
    ("port_missing", &["content id 3", "port is missing"]),
    ("port_zero", &["content id 3", "port 0 is outside"]),
    ("port_too_large", &["content id 3", "port 65536 is outside"]),
    ("port_negative", &["content id 3", "port -1 is outside"]),
    ("port_is_a_text", &["content id 3", "port must be a number", "\"6000\""]),
    ("data_dir_missing", &["content id 3", "data_dir is missing"]),
    ("data_dir_relative", &["content id 3", "not absolute"]),
    ("data_dir_has_parent", &["content id 3", ".."]),
    ("data_dir_is_root", &["content id 3", "root directory"]),
    ("data_dir_shared", &["content ids -1 and 3", "data_dir /d on host a"]),
    ("data_dir_inside_another", &["content ids -1 and 3", "one lies in the other"]),
    ("tablespaces_is_a_list", &["content id 3", "tablespaces must be a map"]),
    ("tablespace_without_a_name", &["content id 3", "\"fast\"", "neither the oid"]),
    ("tablespace_relative", &["content id 3", "tablespaces \"new\" is not absolute"]),
    ("tablespace_twice", &["content id 3", "a tablespace stands twice"]),
    ("tablespace_inside_data_dir", &["content id 3", "/d/ts", "one lies in the other"]),
    ("tablespace_shared", &["content ids -1 and 3", "tablespace directory /ts on host a"]),
    ("port_shared", &["content ids -1 and 3", "port 1"]),
    ("mirror_of_nothing", &["mirrors", "each of a segment"]),
    ("mirror_without_port", &["mirror 3", "port is missing"]),
    ("standby_on_the_coordinator", &["port 1 on host a"]),
];

#[test]
fn gp_023_examples_are_read() {
    for (file, content, hostname, port, data_dir) in EXAMPLES {
        let config = parse("examples", file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let place = &config.segments[&content];
        assert_eq!((place.hostname.as_str(), place.port), (hostname, port), "{file}");
        assert_eq!(place.data_dir.to_str(), Some(data_dir), "{file}");
    }
}

#[test]
fn gp_023_gp_024_invalid_files_are_refused_with_a_reason() {
    for (file, words) in INVALID {
        let message = parse("invalid", file).expect_err(file).to_string();
        for word in words {
            assert!(message.contains(word), "{file}: {message:?} does not say {word:?}");
        }
    }
}

#[test]
fn every_file_is_expected() {
    let listed = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(names_in("examples"), listed(EXAMPLES.iter().map(|row| row.0).collect()));
    assert_eq!(names_in("invalid"), listed(INVALID.iter().map(|row| row.0).collect()));
}

#[test]
fn replicas_are_read() {
    let config = parse("examples", "with_replicas").unwrap();
    let mirror = &config.mirrors[&0];
    assert_eq!((mirror.hostname.as_str(), mirror.port), ("sdw2", 7000));
    assert_eq!(config.standby.unwrap().hostname, "smdw");
    let config = parse("examples", "many_hosts").unwrap();
    assert!(config.mirrors.is_empty() && config.standby.is_none());
}

#[test]
fn tablespaces_are_read() {
    let config = parse("examples", "tablespaces").unwrap();
    let moved = |content: i32| {
        let pairs = config.segments[&content].tablespaces.iter();
        pairs.map(|(from, to)| format!("{from} {}", to.display())).collect::<Vec<_>>()
    };
    assert_eq!(moved(-1), ["16500 /fast/coordinator"]);
    assert_eq!(moved(0), ["/old/fast/0 /fast/primary0", "16501 /slow/primary0"]);
    assert!(parse("examples", "many_hosts").unwrap().segments[&0].tablespaces.is_empty());
}

#[test]
fn missing_content_ids_are_named() {
    let config = parse("examples", "many_hosts").unwrap();
    assert_eq!(config.for_contents(&[2, -1]).unwrap().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, -1]);
    let error = config.for_contents(&[0, 7, 9]).unwrap_err();
    assert_eq!(error, Error::Missing { missing: vec![7, 9] });
    assert!(error.to_string().starts_with("could not find content ID 7, 9 in the provided restore configuration"));
}

#[test]
fn damaged_text_never_panics() {
    for file in names_in("examples") {
        let text = std::fs::read_to_string(folder("examples").join(format!("{file}.json"))).unwrap();
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            assert!(RestoreConfig::parse(&text[..at]).is_err() || text[at..].trim().is_empty());
            for other in ["}", "\"", "0", "\u{0}", "é"] {
                let _ = RestoreConfig::parse(&format!("{}{other}{}", &text[..at], &text[at + 1..]));
            }
        }
    }
}
