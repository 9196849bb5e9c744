//! How many instructions the scan of a delta takes for a page, counted by valgrind: a figure that no load on the machine moves.

use std::process::{Command, ExitCode};

use pgdata::{Lsn, PageScan};

use crate::report::Report;

/// First argument of the process that is counted.
pub const SUBCOMMAND: &str = "scan-pages";

/// Bytes that are scanned at once, as in a push.
const BUFFER_BYTES: usize = 256 << 10;
/// Scans of the buffer in the longer of the two runs that are compared.
const ROUNDS: usize = 2000;

/// Counts for both sizes of pages; says why where it cannot.
pub fn bench(report: &mut Report) {
    println!("\nscan of pages, of which every fiftieth has changed");
    for page_bytes in [8192, 32768] {
        let counts: Result<Vec<u64>, String> =
            [0, ROUNDS].map(|rounds| count(page_bytes, rounds)).into_iter().collect();
        match counts {
            Ok(counts) => {
                let pages = ROUNDS * (BUFFER_BYTES / page_bytes);
                report.add_scan(page_bytes, (counts[1] - counts[0]) as f64 / pages as f64);
            }
            Err(why) => return println!("skipped: {why}"),
        }
    }
}

/// Instructions of a process that scans the buffer `rounds` times.
fn count(page_bytes: usize, rounds: usize) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe().unwrap());
    let output = command.args([SUBCOMMAND, &page_bytes.to_string(), &rounds.to_string()]).output();
    let output = output.map_err(|error| format!("valgrind cannot be started: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = told.lines().find_map(|line| line.split("Collected :").nth(1)?.trim().parse().ok());
    collected.ok_or_else(|| format!("valgrind counted nothing: {told}"))
}

/// The process that is counted: `scan-pages PAGE_BYTES ROUNDS`.
pub fn run() -> ExitCode {
    let numbers: Vec<usize> = std::env::args().skip(2).map(|word| word.parse().expect("a number")).collect();
    let [page_bytes, rounds] = numbers[..] else { panic!("two numbers are expected") };
    let pages: Vec<u8> = (0..BUFFER_BYTES / page_bytes).flat_map(|number| page(page_bytes, number % 50 == 0)).collect();
    let scan = PageScan::new(page_bytes as u32, Lsn(1000));
    let mut blocks = Vec::with_capacity(pages.len() / page_bytes);
    let mut chosen = 0;
    for _ in 0..rounds {
        blocks.clear();
        assert!(scan.select(std::hint::black_box(&pages), 0, &mut blocks));
        chosen += blocks.len();
    }
    println!("{chosen}");
    ExitCode::SUCCESS
}

fn page(page_bytes: usize, changed: bool) -> Vec<u8> {
    let mut page = vec![0; page_bytes];
    let lsn: u32 = if changed { 1000 } else { 999 };
    page[4..8].copy_from_slice(&lsn.to_le_bytes());
    for (at, value) in [(12, 24), (14, page_bytes as u16), (16, page_bytes as u16), (18, page_bytes as u16 | 4)] {
        page[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    page
}
