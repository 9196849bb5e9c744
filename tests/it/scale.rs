//! Clusters larger than those of the other tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use rig::StandSpec;

use crate::stands;

/// Eight primaries on four hosts, and the coordinator: every row comes back, from one agent a host.
#[test]
fn eight_primaries_on_four_hosts_come_back() {
    let stand = stands::start("eight", &StandSpec { primaries: vec![2, 2, 2, 2], ..StandSpec::default() });
    rig::load(&stand.cluster);
    let before = stands::sums(&stand.cluster);
    let pushed = stand.damson(&["backup-push"]).ok();
    assert_eq!(pushed.stderr.matches("the agent used").count(), 4, "{}", pushed.report());
    let restored = stand.restore("restored", &["LATEST"]);
    assert_eq!((restored.servers.len(), stands::sums(&restored)), (9, before));
}

/// Runs the simulation (see `tests/rig/src/bin/rig-fanout.rs`); the figures of its line, and the rest.
fn simulate(args: &[&str]) -> (BTreeMap<String, f64>, String) {
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("rig-fanout");
    assert!(program.is_file(), "{} is not built: run `cargo build --workspace` first", program.display());
    let output = Command::new(&program as &Path).args(args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    let (line, rest) = text.split_once('\n').unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let figures = words.chunks(2).map(|pair| (pair[0].to_string(), pair[1].parse().unwrap())).collect();
    (figures, rest.to_string())
}

/// A thousand segments on a hundred hosts cost the coordinator one connection a host and little memory.
#[test]
fn a_thousand_segments_on_a_hundred_hosts() {
    let (figures, _) = simulate(&["100", "10", "20"]);
    assert_eq!((figures["segments"], figures["results"]), (1000.0, 1000.0));
    // Per host: started and finished; per segment: a phase, progress and the end. All of them, once.
    assert_eq!(figures["events"], 100.0 * 2.0 + 1000.0 * 22.0);
    assert!(figures["open_files"] < 100.0 * 4.0 + 50.0, "{figures:?}");
    assert!(figures["peak_mb"] < 64.0, "{figures:?}");
}

#[test]
fn a_failure_among_a_hundred_hosts_stops_them_all() {
    let (_, verdict) = simulate(&["100", "10", "1", "fail"]);
    let expected = "verdict host sdw000, content 0: no space left; 99 other hosts stopped";
    assert_eq!(verdict.trim(), expected);
}
