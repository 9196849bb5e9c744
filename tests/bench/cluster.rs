//! The backup of a whole stand-in cluster of small segments, over SSH: what it costs besides moving bytes.
//!
//! Agents and archive commands are not children of what is measured, so only wall time means something there. What an agent
//! takes is looked at in a backup of its own, many times a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rig::{Stand, StandSpec, WalG, sql};

use crate::arguments::{Arguments, Work};
use crate::measure::{Stopwatch, Taken, Words};
use crate::programs::text;
use crate::report::Report;
use crate::rounds::{Row, measure_in_turns};
use crate::works::Contender;

pub fn bench(arguments: &Arguments, report: &mut Report) {
    let stand = Stand::start("bench-cluster", &StandSpec::default());
    for server in &stand.cluster.servers {
        sql(server, "create table rows as select n, md5(n::text) from generate_series(1, 500000) n");
    }
    stand.damson(&["hosts", "install"]).ok();
    let stopwatch = Stopwatch::install(&stand.scratch);
    let config = text(&stand.product.config);
    let damson = [&text(&stand.product.path("damson")), "--config", &config, "backup-push"];
    let environment = environment(&stand);
    let mut contenders = vec![contender("damson", with(&environment, &damson))];
    if let Some(given) = &arguments.wal_g_gp {
        let wal_g = WalG::install(&stand, given, &stand.scratch.dir("store-wal-g"), &[]);
        let command = wal_g.words(&["backup-push"]);
        match stopwatch.try_measure(std::slice::from_ref(&command)) {
            Ok(_) => contenders.push(contender("WAL-G", command)),
            Err(message) => eprintln!("WAL-G for Greenplum does not back up the stand-in and is left out:\n{message}"),
        }
    }
    if arguments.does_any(&[Work::Cluster]) {
        report.add(Work::Cluster, measure_in_turns(&stopwatch, contenders, arguments.runs));
    }
    if arguments.does_any(&[Work::Agent]) {
        let runs = (0..arguments.runs).map(|_| watch_agent(&stand, &stopwatch, &with(&environment, &damson))).collect();
        report.add(Work::Agent, vec![Row { title: "damson-agent".to_owned(), durable: true, runs }]);
    }
}

/// The largest process of the product on the host that has most segments, during one backup: the agent.
fn watch_agent(stand: &Stand, stopwatch: &Stopwatch, command: &Words) -> Taken {
    let host = stand.hosts.list.last().unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut peak = Taken { wall_seconds: 0.0, cpu_seconds: 0.0, peak_mb: 0.0 };
            while !over.load(Ordering::Relaxed) {
                for pid in host.product_processes() {
                    let seen = usage(pid.as_raw());
                    peak.peak_mb = peak.peak_mb.max(seen.0);
                    peak.cpu_seconds = peak.cpu_seconds.max(seen.1);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        // Names of backups hold the second.
        std::thread::sleep(Duration::from_secs(1));
        let taken = stopwatch.measure(std::slice::from_ref(command));
        over.store(true, Ordering::Relaxed);
        Taken { wall_seconds: taken.wall_seconds, ..watching.join().unwrap() }
    })
}

/// Greatest resident memory so far (MB) and CPU time (s) of a process; nothing of one that is gone.
fn usage(pid: i32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let times = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').skip(11).take(2);
    let ticks: f64 = times.filter_map(|text| text.parse::<f64>().ok()).sum();
    (kib.unwrap_or_default() / 1024.0, ticks / 100.0)
}

fn contender(title: &str, command: Words) -> Contender {
    Contender { title: title.to_owned(), durable: true, emptied: Vec::new(), commands: vec![command] }
}

/// `env NAME=VALUE... COMMAND`.
fn with(environment: &[String], command: &[impl AsRef<str>]) -> Words {
    let command = command.iter().map(|word| word.as_ref().to_owned());
    ["env".to_owned()].into_iter().chain(environment.iter().cloned()).chain(command).collect()
}

fn environment(stand: &Stand) -> Vec<String> {
    let pair = |(name, value): &(String, std::ffi::OsString)| format!("{name}={}", value.to_string_lossy());
    stand.product.environment.iter().map(pair).collect()
}
