//! `rig-fanout HOSTS SEGMENTS EVENTS [fail]`: the coordinator's fan-out over scripted hosts, to see what a large cluster costs it.
//!
//! Every host is a shell script that speaks the agent protocol: it says that its job runs, waits until all hosts are there, then tells
//! EVENTS events of progress for each of its SEGMENTS. Prints one line: what was run, the seconds until all hosts were attached and
//! those from there to the end, this process's largest resident set and its open files while all were attached. With `fail` the
//! first host fails, the others wait to be told to stop, and the verdict is printed too.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coordinator::fanout::{self, HostJob};
use coordinator::host::{Host, HostName, VERSION};
use coordinator::progress::Progress;
use formats::ContentId;
use formats::wire::{
    ErrorReport, Event, JobId, JobSpec, JournalEntry, Outcome, PROTOCOL_VERSION, Reply, SegmentResult, SegmentTarget,
    Work,
};
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(60);

struct Plan {
    hosts: usize,
    segments: usize,
    events: u64,
    fails: bool,
}

/// Files of the scripted hosts; `go` appears once all are attached.
struct Stage {
    root: PathBuf,
    go: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (numbers, fails) = match &args[..] {
        [numbers @ .., last] if last == "fail" => (numbers, true),
        numbers => (numbers, false),
    };
    let [hosts, segments, events] = numbers else {
        return Err("usage: rig-fanout HOSTS SEGMENTS EVENTS [fail]".into());
    };
    let plan = Plan { hosts: hosts.parse()?, segments: segments.parse()?, events: events.parse()?, fails };
    let folder = tempfile::tempdir()?;
    let stage = Stage { root: folder.path().to_owned(), go: folder.path().join("go") };
    let jobs = (0..plan.hosts).map(|index| job(&stage, &plan, index)).collect::<Result<Vec<_>, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(&plan, &stage, jobs))
}

async fn run(plan: &Plan, stage: &Stage, jobs: Vec<HostJob>) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let (mut attached, mut attached_after, mut open_files, mut events) = (0, Duration::ZERO, 0, 0_u64);
    let mut progress = Progress::new("simulated");
    let observer = |host: &HostName, entry: &JournalEntry| {
        progress.observe(host, entry);
        events += 1;
        attached += usize::from(entry.number == 0);
        if attached == plan.hosts && open_files == 0 {
            attached_after = begin.elapsed();
            open_files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            let _ = std::fs::write(&stage.go, "");
        }
    };
    let verdict = fanout::run(jobs, LEASE, observer, CancellationToken::new()).await;
    let rest = begin.elapsed().saturating_sub(attached_after);
    println!(
        "hosts {} segments {} results {} events {events} attach_s {:.2} run_s {:.2} peak_mb {} open_files {open_files}",
        plan.hosts,
        plan.hosts * plan.segments,
        verdict.results().len(),
        attached_after.as_secs_f64(),
        rest.as_secs_f64(),
        peak_mebibytes()?,
    );
    match (verdict.report(), plan.fails) {
        (None, false) => Ok(()),
        (Some(report), true) => {
            println!("verdict {}", report.message);
            Ok(())
        }
        (report, _) => Err(format!("unexpected verdict: {report:?}").into()),
    }
}

fn job(stage: &Stage, plan: &Plan, index: usize) -> std::io::Result<HostJob> {
    let name = HostName(format!("sdw{index:03}"));
    let contents: Vec<i32> = (0..plan.segments).map(|n| (index * plan.segments + n) as i32).collect();
    let agent = script(stage, plan, index, &contents)?;
    let target = |content: &i32| SegmentTarget { content: ContentId(*content), port: 6000, data_dir: "/data".into() };
    let spec = JobSpec {
        config: "/etc/damson.yaml".into(),
        segments: contents.iter().map(target).collect(),
        work: Work::SwitchWal,
    };
    Ok(HostJob { host: Host::local(name, agent), job: JobId(format!("job{index}")), spec })
}

/// Writes what the host says, and the script that says it.
fn script(stage: &Stage, plan: &Plan, index: usize, contents: &[i32]) -> std::io::Result<PathBuf> {
    let folder = stage.root.join(format!("h{index}"));
    std::fs::create_dir(&folder)?;
    let hello =
        Reply::Hello { version: VERSION.to_owned(), protocol: PROTOCOL_VERSION, host: "h".into(), unix_nanos: 0 };
    let is_broken = plan.fails && index == 0;
    let mut told = vec![Event::Started { pid: 1 }];
    for done in 0..=plan.events {
        for content in contents.iter().map(|content| ContentId(*content)) {
            told.push(match done {
                0 => Event::Phase { content, text: "copying".to_owned() },
                _ => Event::Progress { content, done_bytes: done << 20, total_bytes: plan.events << 20 },
            });
        }
    }
    let error = ErrorReport { message: "no space left".to_owned(), remedy: None };
    if is_broken {
        told.push(Event::SegmentFailed { content: ContentId(contents[0]), error: error.clone() });
    } else if !plan.fails {
        let done = |content: &i32| Event::SegmentDone { content: ContentId(*content), result: SegmentResult::Prepared };
        told.extend(contents.iter().map(done));
    }
    let end = match (is_broken, plan.fails) {
        (true, _) => Outcome::Failed { error },
        (false, true) => Outcome::Cancelled { why: "the coordinator asked for it".to_owned() },
        (false, false) => Outcome::Done,
    };
    told.push(Event::Finished { outcome: end, peak_memory_bytes: 1 });
    let line = |(number, event): (usize, Event)| {
        let entry = JournalEntry { number: number as u64, at_millis: 0, event };
        serde_json::to_string(&Reply::Event(entry)).unwrap_or_default()
    };
    let lines: Vec<String> = told.into_iter().enumerate().map(line).collect();
    let (first, rest) = (&lines[0], &lines[1..]);
    let (last, middle) = (&rest[rest.len() - 1], &rest[..rest.len() - 1]);
    write(&folder.join("middle"), &format!("{}\n", middle.join("\n")), false)?;
    // A host that is to wait for the cancel tells its end only then.
    let wait = if plan.fails && !is_broken {
        "while read -r line; do case $line in *cancel*) break;; esac; done"
    } else {
        ":"
    };
    let (folder_text, go) = (folder.display(), stage.go.display());
    let hello = serde_json::to_string(&hello).unwrap_or_default();
    let text = format!(
        "#!/bin/sh\necho '{hello}'\nread -r request\necho '{first}'\nwhile [ ! -e {go} ]; do sleep 0.05; done\n\
         cat {folder_text}/middle\n{wait}\necho '{last}'\ncat > /dev/null\n"
    );
    let agent = folder.join("agent");
    write(&agent, &text, true)?;
    Ok(agent)
}

fn write(path: &Path, text: &str, is_program: bool) -> std::io::Result<()> {
    std::fs::write(path, text)?;
    let mode: std::fs::Permissions =
        std::os::unix::fs::PermissionsExt::from_mode(if is_program { 0o755 } else { 0o644 });
    std::fs::set_permissions(path, mode)
}

fn peak_mebibytes() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kibibytes.unwrap_or(0) >> 10)
}
