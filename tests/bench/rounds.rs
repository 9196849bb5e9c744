//! Contenders taking turns: a round is one run of each, so that all of them see the machine's good and bad minutes.

use std::time::Duration;

use crate::measure::{Stopwatch, Taken};
use crate::works::{Contender, empty};

/// One line of a table.
#[derive(Clone, Debug)]
pub struct Row {
    pub title: String,
    pub durable: bool,
    /// One per counted round.
    pub runs: Vec<Taken>,
}

/// A round that is not counted, then `rounds` that are. Between two runs everything written is flushed to the disk. Each round
/// begins with another contender: the first one finds memory that the machine has yet to provide.
pub fn measure_in_turns(stopwatch: &Stopwatch, contenders: Vec<Contender>, rounds: usize) -> Vec<Row> {
    let row = |one: &Contender| Row { title: one.title.clone(), durable: one.durable, runs: Vec::new() };
    let mut rows: Vec<Row> = contenders.iter().map(row).collect();
    for round in 0..=rounds {
        for turn in 0..contenders.len() {
            let number = (turn + round) % contenders.len();
            let (contender, row) = (&contenders[number], &mut rows[number]);
            empty(contender);
            nix::unistd::sync();
            // Backups of a cluster are named after the second: two in the same storage are a second apart.
            if contender.emptied.is_empty() {
                std::thread::sleep(Duration::from_secs(1));
            }
            let taken = stopwatch.measure(&contender.commands);
            if round > 0 {
                row.runs.push(taken);
            }
        }
    }
    rows
}

impl Row {
    /// One figure of every run, ascending.
    pub fn sorted(&self, figure: impl Fn(&Taken) -> f64) -> Vec<f64> {
        let mut values: Vec<f64> = self.runs.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    pub fn median(&self, figure: impl Fn(&Taken) -> f64) -> f64 {
        let values = self.sorted(figure);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
    }
}
