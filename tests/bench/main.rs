//! `rig-bench`: how fast the product backs up, restores and archives beside other programs, on real servers.
//!
//! Absolute times belong to a machine; the ratios of programs that took turns on it are what counts. Every program does the
//! same work on the same data and storage, one after the other, `--runs` times after a round that only warms the page
//! cache. `run` in this folder builds everything for release and starts this.

mod arguments;
mod cluster;
mod data;
mod fanout;
mod goals;
mod history;
mod measure;
mod plugin;
mod programs;
mod report;
mod rounds;
mod scan;
mod works;

use std::process::ExitCode;

use clap::Parser;
use rig::Scratch;

use crate::arguments::{Arguments, Work};
use crate::data::Data;
use crate::measure::Stopwatch;
use crate::programs::Programs;
use crate::report::Report;
use crate::rounds::measure_in_turns;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == measure::SUBCOMMAND) {
        return measure::run();
    }
    if std::env::args_os().nth(1).is_some_and(|word| word == scan::SUBCOMMAND) {
        return scan::run();
    }
    let arguments = Arguments::parse();
    let mut report = Report::new(&arguments);
    if arguments.does_any(&Work::SINGLE_SERVER) {
        bench_server(&arguments, &mut report);
    }
    if arguments.does_any(&[Work::Cluster, Work::Agent]) {
        cluster::bench(&arguments, &mut report);
    }
    if arguments.does_any(&[Work::List, Work::Plan]) {
        history::bench(&arguments, &mut report);
    }
    if arguments.does_any(&Work::PLUGIN) {
        plugin::bench(&arguments, &mut report);
    }
    if arguments.does_any(&[Work::Fanout]) {
        fanout::bench(&arguments, &mut report);
    }
    if arguments.does_any(&[Work::Scan]) {
        scan::bench(&mut report);
    }
    report.print_ratios();
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.to_json()).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    }
    ExitCode::SUCCESS
}

/// Everything that needs one server only.
fn bench_server(arguments: &Arguments, report: &mut Report) {
    let scratch = Scratch::new("bench");
    let stopwatch = Stopwatch::install(&scratch);
    eprintln!("filling a server with {} MB and {} WAL files", arguments.size, arguments.wal_files);
    let data = Data::make(&scratch, arguments);
    let programs = Programs::install(&scratch, &data, arguments);
    for work in Work::SINGLE_SERVER.into_iter().filter(|work| arguments.does_any(&[*work])) {
        let contenders = works::contenders(work, &programs, &data, &stopwatch);
        let rows = measure_in_turns(&stopwatch, contenders, arguments.runs);
        report.add(work, rows);
    }
}
