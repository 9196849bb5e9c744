//! A whole cycle on real servers, told step by step: a stand-in cluster is backed up over SSH to local files, damaged,
//! restored to other directories and started; the rows stand side by side. Ends with 0 when they are equal.

use std::process::ExitCode;

use rig::{Cluster, Output, Server, Stand, StandSpec, damage, load, restore_config, row_sums};

fn main() -> ExitCode {
    step("starting a coordinator and three primaries on two hosts");
    let mut stand = Stand::start("demo", &StandSpec::default());
    for server in &stand.cluster.servers {
        println!("content {:>2} at {}:{}", server.content, server.address, server.port);
    }
    load(&stand.cluster);
    let before: Vec<_> = stand.cluster.servers.iter().map(row_sums).collect();

    step("backing it up");
    show(stand.damson(&["hosts", "install"]));
    show(stand.damson(&["backup-push"]));
    show(stand.damson(&["backup-list", "--pretty"]));

    step("damaging it: tables emptied and dropped, then every server stopped");
    damage(&stand.cluster);
    let damaged: Vec<_> = stand.cluster.servers.iter().map(row_sums).collect();

    step("restoring it to other directories and starting it");
    let places = stand.cluster.new_places(&stand.scratch, &stand.hosts, "restored");
    let config = stand.scratch.write("restore_cfg.json", restore_config(&places));
    stand.cluster.stop_all();
    show(stand.damson(&["backup-fetch", "LATEST", "--restore-config", config.to_str().unwrap()]));
    let restored = Cluster::start_restored(&stand.scratch, &stand.hosts, &places, &[("archive_mode", "off")]);

    step("comparing rows and the md5 of their contents");
    let mut equal = true;
    println!("{:>7}  {:<32} {:>8} {:>8} {:>8}", "content", "table", "before", "damaged", "restored");
    for ((server, before), damaged) in restored.servers.iter().zip(&before).zip(&damaged) {
        equal &= compare(server, before, damaged);
    }
    println!("\n{}", if equal { "every row came back" } else { "THE RESTORED ROWS DIFFER" });
    if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a line for each table of one server; tells whether the restored rows are those from before.
fn compare(server: &Server, before: &[String], damaged: &[String]) -> bool {
    let restored = row_sums(server);
    for line in before {
        let table = table_of(line);
        let (now, then) = (find(&restored, table), find(damaged, table));
        let verdict = if now == Some(line) { "equal" } else { "DIFFERENT" };
        let (was, then, now) = (rows(Some(line)), rows(then), rows(now));
        println!("{:>7}  {table:<32} {was:>8} {then:>8} {now:>8}  {verdict}", server.content);
    }
    restored == before
}

/// `database|table` of a line of [`row_sums`].
fn table_of(line: &str) -> &str {
    let mut bars = line.match_indices('|');
    bars.nth(1).map_or(line, |(at, _)| &line[..at])
}

fn find<'a>(lines: &'a [String], table: &str) -> Option<&'a String> {
    lines.iter().find(|line| table_of(line) == table)
}

fn rows(line: Option<&String>) -> &str {
    line.and_then(|line| line.split('|').nth(2)).unwrap_or("gone")
}

fn step(text: &str) {
    println!("\n== {text}");
}

fn show(output: Output) {
    let output = output.ok();
    print!("{}{}", output.stderr, output.stdout);
}
