//! Tables for people, and the same as JSON.

use serde_json::{Value, json};

use crate::arguments::{Arguments, Work};
use crate::goals::{Figure, GOALS, Goal};
use crate::rounds::Row;

pub struct Report {
    machine: String,
    size: u64,
    wal_files: usize,
    works: Vec<(Work, Vec<Row>)>,
    /// Instructions for a page, by its size in bytes.
    scan: Vec<(usize, f64)>,
}

impl Report {
    pub fn new(arguments: &Arguments) -> Report {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let Arguments { size, wal_files, runs, .. } = arguments;
        let machine = format!("{cores} cores, medians of {runs} runs");
        Report { machine, size: *size, wal_files: *wal_files, works: Vec::new(), scan: Vec::new() }
    }

    /// Prints a table of one work and keeps it for the ratios.
    pub fn add(&mut self, work: Work, rows: Vec<Row>) {
        println!("\n{} ({})", self.title(work), self.machine);
        println!("{:<20} {:>7} {:>7} {:>7} {:>7} {:>8}  durable", "", "wall s", "min", "max", "CPU s", "peak MB");
        for row in &rows {
            let wall = row.sorted(|taken| taken.wall_seconds);
            let (least, most) = (wall[0], wall[wall.len() - 1]);
            let [median, cpu, peak] =
                [Figure::Wall, Figure::Cpu, Figure::Peak].map(|figure| row.median(|t| figure.of(t)));
            let durable = if row.durable { "yes" } else { "no" };
            let title = &row.title;
            println!("{title:<20} {median:>7.2} {least:>7.2} {most:>7.2} {cpu:>7.2} {peak:>8.1}  {durable}");
        }
        self.works.push((work, rows));
    }

    /// Prints and keeps how many instructions the scan of a page takes.
    pub fn add_scan(&mut self, page_bytes: usize, instructions: f64) {
        println!("{page_bytes:>5} bytes a page: {instructions:.1} instructions a page");
        self.scan.push((page_bytes, instructions));
    }

    /// Every goal whose contenders ran.
    pub fn print_ratios(&self) {
        println!("\n{:<34} {:<12} {:<20} {:>7} {:>7}", "goal", "", "of", "is", "at most");
        for (goal, is) in self.outcomes() {
            let (what, figure) = (format!("{}, {}", self.title(goal.work), goal.contender), goal.figure.name());
            let verdict = if is <= goal.limit { "met" } else { "MISSED" };
            println!(
                "{what:<34} {figure:<12} {:<20} {is:>7.2} {:>7.2}  {verdict}",
                goal.peer.unwrap_or("-"),
                goal.limit
            );
        }
    }

    fn outcomes(&self) -> impl Iterator<Item = (&'static Goal, f64)> {
        GOALS.iter().filter_map(|goal| {
            let of = self.median_of(goal, goal.contender)?;
            let peer = goal.peer.map_or(Some(1.0), |peer| self.median_of(goal, peer))?;
            Some((goal, of / peer))
        })
    }

    fn median_of(&self, goal: &Goal, title: &str) -> Option<f64> {
        let (_, rows) = self.works.iter().find(|(work, _)| *work == goal.work)?;
        let row = rows.iter().find(|row| row.title == title)?;
        Some(row.median(|taken| goal.figure.of(taken)))
    }

    fn title(&self, work: Work) -> String {
        let (size, files) = (self.size, self.wal_files);
        match work {
            Work::Backup => format!("backup of {size} MB"),
            Work::Restore => format!("restore of {size} MB"),
            Work::WalPush => format!("{files} WAL files pushed"),
            Work::WalFetch => format!("{files} WAL files fetched"),
            Work::Start => "50 starts".to_owned(),
            Work::Delta => format!("delta of {size} MB, 2 % of pages"),
            Work::Chain => format!("restore of {size} MB and a delta"),
            Work::Scan => "scan of pages".to_owned(),
            Work::Cluster => "backup of a small cluster".to_owned(),
            Work::Agent => "agent of a host with two segments".to_owned(),
            Work::List => "list of 1,000 backups".to_owned(),
            Work::Plan => "deletion planned, 1,000 backups".to_owned(),
            Work::PluginStore => "gzip of 1 GiB of rows stored".to_owned(),
            Work::PluginRestore => "the same given back".to_owned(),
            Work::PluginStore8 => "8 gzips of 128 MiB stored".to_owned(),
            Work::PluginRestore8 => "the same 8 given back".to_owned(),
            Work::Fanout => "1000 segments on 100 hosts, simulated".to_owned(),
        }
    }

    pub fn to_json(&self) -> String {
        let run = |row: &Row, figure: Figure| Value::from(row.runs.iter().map(|t| figure.of(t)).collect::<Vec<_>>());
        let row = |row: &Row| {
            let [wall, cpu, peak] = [Figure::Wall, Figure::Cpu, Figure::Peak].map(|figure| run(row, figure));
            json!({"program": row.title, "durable": row.durable, "wall_s": wall, "cpu_s": cpu, "peak_mb": peak})
        };
        let work = |(work, rows): &(Work, Vec<Row>)| json!({"work": self.title(*work), "programs": rows.iter().map(row).collect::<Vec<_>>()});
        let goal = |(goal, is): (&Goal, f64)| {
            let (work, figure) = (self.title(goal.work), goal.figure.name());
            json!({"work": work, "program": goal.contender, "figure": figure, "of": goal.peer, "is": is,
                   "at_most": goal.limit, "met": is <= goal.limit})
        };
        let works: Vec<_> = self.works.iter().map(work).collect();
        let goals: Vec<_> = self.outcomes().map(goal).collect();
        let page = |(bytes, count): &(usize, f64)| json!({"page_bytes": bytes, "instructions_a_page": count});
        let scan: Vec<_> = self.scan.iter().map(page).collect();
        format!("{:#}\n", json!({"machine": self.machine, "works": works, "goals": goals, "scan": scan}))
    }
}
