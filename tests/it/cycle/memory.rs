//! Memory of an agent stays under its budget, whatever the number and size of its segments.

use rig::{Cluster, Output, StandSpec, sql};

use crate::stands;

/// Each of the four segments holds about so much of what does not compress.
const SEGMENT_MIB: u64 = 300;

/// Above the budget: the program itself, its threads, the lists of files.
const ALLOWANCE_MIB: u64 = 64;

/// Four segments of some 300 MB each on one host.
#[test]
fn four_segments_under_one_budget() {
    let spec = StandSpec { primaries: vec![0, 4], ..StandSpec::default() };
    let mut stand = stands::start("memory", &spec);
    fill(&mut stand.cluster);
    for (budget_mib, method) in [(64, "lz4"), (48, "zstd")] {
        let store = stand.scratch.dir(format!("store-{method}"));
        stand.set("WALG_FILE_PREFIX", store.to_str().unwrap());
        stand.set("WALG_COMPRESSION_METHOD", method);
        stand.set("DAMSON_MEMORY_BUDGET", &format!("{budget_mib}MiB"));
        let pushed = stand.damson(&["backup-push"]).ok();
        let peak = peak_mib(&pushed, &stand.hosts.list[1].address.to_string());
        let bytes = stands::backups(&stand, &["--detail"])[0]["uncompressed_size"].as_u64().unwrap();
        println!("{method}: four segments, {} MiB, peak {peak} MiB, budget {budget_mib} MiB", bytes >> 20);
        assert!(bytes >> 20 > 4 * SEGMENT_MIB, "{} MiB", bytes >> 20);
        assert!(peak < budget_mib + ALLOWANCE_MIB, "peak {peak} MiB with a budget of {budget_mib} MiB");
        std::fs::remove_dir_all(store).unwrap();
    }
}

/// A table made in the transaction that fills it needs no WAL where wal_level is minimal, so that none is archived.
fn fill(cluster: &mut Cluster) {
    let quiet = [("wal_level", "minimal"), ("max_wal_senders", "0"), ("archive_mode", "off")];
    for server in cluster.servers.iter_mut().filter(|server| server.content >= 0) {
        server.stop();
        let usual = server.settings.clone();
        server.settings.extend(quiet.map(|(name, value)| (name.to_string(), value.to_string())));
        server.start();
        let rows = (SEGMENT_MIB << 20) / 8192;
        let text = format!(
            "create extension pgcrypto;
             begin;
             create table random_t(a int, b text);
             alter table random_t alter b set storage plain;
             insert into random_t select g, (select string_agg(encode(gen_random_bytes(1000), 'base64'), '')
               from generate_series(1, 6) where g > 0) from generate_series(1, {rows}) g;
             commit"
        );
        sql(server, &text);
        server.stop();
        server.settings = usual;
        server.start();
    }
}

/// `host H: the agent used N MiB of memory at most`.
fn peak_mib(pushed: &Output, host: &str) -> u64 {
    let text = format!("host {host}: the agent used ");
    let line = pushed.stderr.lines().find_map(|line| line.split_once(&text));
    let (_, rest) = line.unwrap_or_else(|| panic!("no peak of {host}\n{}", pushed.report()));
    rest.split(' ').next().unwrap().parse().unwrap()
}
