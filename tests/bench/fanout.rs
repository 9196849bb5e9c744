//! The coordinator alone, over 100 scripted hosts with ten segments each: time, CPU (the hosts' shell scripts included) and memory, and
//! once what it says of itself, the open files among it.

use rig::{Scratch, User};

use crate::arguments::{Arguments, Work};
use crate::measure::Stopwatch;
use crate::programs::{copy, text};
use crate::report::Report;
use crate::rounds::measure_in_turns;
use crate::works::Contender;

const PROGRAM: &str = "rig-fanout";

/// Events of progress per segment: those of a push of about half an hour.
const EVENTS: &str = "500";

pub fn bench(arguments: &Arguments, report: &mut Report) {
    let scratch = Scratch::new("bench-fanout");
    let stopwatch = Stopwatch::install(&scratch);
    let built = std::env::current_exe().unwrap().with_file_name(PROGRAM);
    let program = text(&copy(&built, &scratch.dir("bin")));
    print!("{}", User::get().run(&program, &["100", "10", EVENTS]));
    let command = [program.as_str(), "100", "10", EVENTS].map(str::to_owned).to_vec();
    let simulated =
        Contender { title: "damson".to_owned(), durable: false, emptied: Vec::new(), commands: vec![command] };
    report.add(Work::Fanout, measure_in_turns(&stopwatch, vec![simulated], arguments.runs));
}
