//! Who does what: for each work the contenders, what is made ready for each run, and the commands that are measured.

use std::path::{Path, PathBuf};

use rig::{User, pg_bin};

use crate::arguments::Work;
use crate::data::Data;
use crate::measure::{Stopwatch, Words};
use crate::programs::{Program, Programs, text};

/// How often a program is started to see what starting costs.
const STARTS: usize = 50;

/// One program doing one work.
pub struct Contender {
    pub title: String,
    /// Whether what it wrote survives a power failure when it reports success, by its defaults.
    pub durable: bool,
    /// Directories that are empty, and there, when a run begins.
    pub emptied: Vec<PathBuf>,
    pub commands: Vec<Words>,
}

pub fn contenders(work: Work, programs: &Programs, data: &Data, stopwatch: &Stopwatch) -> Vec<Contender> {
    match work {
        Work::Backup => backups(programs, data),
        Work::Restore => restores(programs, data),
        Work::WalPush => pushes(programs, data),
        Work::WalFetch => fetches(programs, data),
        Work::Start => starts(programs),
        Work::Delta => deltas(programs, data, stopwatch),
        Work::Chain => chains(programs, data, stopwatch),
        // These have files of their own.
        _ => Vec::new(),
    }
}

fn backups(programs: &Programs, data: &Data) -> Vec<Contender> {
    let server = data.server();
    let data_dir = text(&server.data_dir);
    let backup = |program: &Program| Contender {
        title: program.title(),
        durable: true,
        emptied: vec![program.store.clone()],
        commands: vec![program.command(&["backup-push", &data_dir])],
    };
    let mut all: Vec<_> = programs.0.iter().map(backup).collect();
    let (out, entries) = (data.out.display(), data.entries().join(" "));
    let base = data.out.join("pg_basebackup");
    let mut words = vec![text(&pg_bin().join("pg_basebackup"))];
    words.extend(
        ["-Ft", "-X", "none", "-c", "fast", "--compress=client-zstd:1", "-U", "gpadmin", "-D"].map(str::to_owned),
    );
    words.extend([text(&base), "-h".to_owned(), text(&server.socket_dir), "-p".to_owned(), server.port.to_string()]);
    all.push(Contender {
        title: "pg_basebackup zstd".to_owned(),
        durable: true,
        emptied: vec![base],
        commands: vec![words],
    });
    let script = format!("tar -C {data_dir} -cf - {entries} | zstd -q -1 -T2 -o {out}/tar/base.tar.zst");
    all.push(unsynced("tar | zstd -1 -T2", vec![data.out.join("tar")], vec![shell(script)]));
    let script = format!("cd {data_dir} && cp -r {entries} {out}/cp");
    all.push(unsynced("cp -r", vec![data.out.join("cp")], vec![shell(script)]));
    all
}

/// Over a full backup of each program's own, always the same: every run finds as many changes.
fn deltas(programs: &Programs, data: &Data, stopwatch: &Stopwatch) -> Vec<Contender> {
    make_fulls(programs, data, stopwatch);
    let delta = |program: &Program| Contender {
        title: program.title(),
        durable: true,
        emptied: Vec::new(),
        commands: vec![delta_command(program, data)],
    };
    programs.0.iter().map(delta).collect()
}

/// A full backup of every program, alone in its storage; then some pages change.
fn make_fulls(programs: &Programs, data: &Data, stopwatch: &Stopwatch) {
    let data_dir = text(&data.server().data_dir);
    for program in &programs.0 {
        std::fs::remove_dir_all(&program.store).unwrap();
        User::get().make_dir(&program.store);
        stopwatch.measure(&[program.command(&["backup-push", &data_dir])]);
    }
    data.touch_every_fiftieth_page();
}

fn delta_command(program: &Program, data: &Data) -> Words {
    let (full, data_dir) = (program.full_backup(), text(&data.server().data_dir));
    let command = program.command(&["backup-push", &data_dir, "--delta-from-name", &full]);
    ["env", "WALG_DELTA_MAX_STEPS=7"].map(str::to_owned).into_iter().chain(command).collect()
}

/// Restores of a delta with the full backup under it.
fn chains(programs: &Programs, data: &Data, stopwatch: &Stopwatch) -> Vec<Contender> {
    if !programs.0.iter().all(Program::has_delta) {
        make_fulls(programs, data, stopwatch);
        for program in &programs.0 {
            stopwatch.measure(&[delta_command(program, data)]);
        }
    }
    let restored = data.out.join("restored");
    let restore = |program: &Program| Contender {
        title: program.title(),
        durable: true,
        emptied: vec![restored.clone()],
        commands: vec![program.command(&["backup-fetch", &text(&restored), "LATEST"])],
    };
    programs.0.iter().map(restore).collect()
}

/// Of the last backups that were made.
fn restores(programs: &Programs, data: &Data) -> Vec<Contender> {
    let out = &data.out;
    let restored = out.join("restored");
    let restore = |program: &Program| Contender {
        title: program.title(),
        durable: true,
        emptied: vec![restored.clone()],
        commands: vec![program.command(&["backup-fetch", &text(&restored), "LATEST"])],
    };
    let mut all: Vec<_> = programs.0.iter().map(restore).collect();
    let (out, target) = (out.display(), restored.display());
    let script = format!("zstd -q -dc {out}/tar/base.tar.zst | tar -C {target} -xf -");
    all.push(unsynced("zstd -d | tar", vec![restored.clone()], vec![shell(script)]));
    all.push(unsynced("cp -r", vec![restored.clone()], vec![shell(format!("cp -r {out}/cp/. {target}"))]));
    all
}

fn pushes(programs: &Programs, data: &Data) -> Vec<Contender> {
    let push = |program: &Program| Contender {
        title: program.title(),
        durable: true,
        emptied: vec![program.store.clone()],
        commands: per_file(data, |file, _| program.command(&["wal-push", &text(file)])),
    };
    let mut all: Vec<_> = programs.0.iter().map(push).collect();
    let plain = data.out.join("wal-cp");
    let copies = per_file(data, |file, _| vec!["cp".to_owned(), text(file), text(&plain)]);
    all.push(unsynced("cp", vec![plain.clone()], copies));
    let folder = data.out.join("wal-zstd");
    let packed = per_file(data, |file, name| {
        let target = text(&folder.join(format!("{name}.zst")));
        ["zstd", "-q", "-1", "-o", &target, &text(file)].map(str::to_owned).to_vec()
    });
    all.push(unsynced("zstd -1", vec![folder.clone()], packed));
    all
}

/// Without a flush by anyone: the server flushes what it keeps.
fn fetches(programs: &Programs, data: &Data) -> Vec<Contender> {
    let target = data.out.join("wal-fetched");
    let fetch = |program: &Program| {
        let commands = per_file(data, |_, name| program.command(&["wal-fetch", name, &text(&target.join(name))]));
        unsynced(&program.title(), vec![target.clone()], commands)
    };
    let mut all: Vec<_> = programs.0.iter().map(fetch).collect();
    let copies =
        per_file(data, |_, name| vec!["cp".to_owned(), text(&data.out.join("wal-cp").join(name)), text(&target)]);
    all.push(unsynced("cp", vec![target.clone()], copies));
    let unpacked = per_file(data, |_, name| {
        let packed = text(&data.out.join("wal-zstd").join(format!("{name}.zst")));
        ["zstd", "-q", "-d", "-o", &text(&target.join(name)), &packed].map(str::to_owned).to_vec()
    });
    all.push(unsynced("zstd -d", vec![target.clone()], unpacked));
    all
}

fn starts(programs: &Programs) -> Vec<Contender> {
    let start = |program: &Program| unsynced(program.name, Vec::new(), vec![program.help(); STARTS]);
    programs.with("lz4").map(start).collect()
}

fn per_file(data: &Data, command: impl Fn(&Path, &str) -> Words) -> Vec<Words> {
    data.wal_names.iter().map(|name| command(&data.wal_dir.join(name), name)).collect()
}

fn unsynced(title: &str, emptied: Vec<PathBuf>, commands: Vec<Words>) -> Contender {
    Contender { title: title.to_owned(), durable: false, emptied, commands }
}

fn shell(script: String) -> Words {
    vec!["sh".to_owned(), "-c".to_owned(), script]
}

/// Makes the directories of a contender empty.
pub fn empty(contender: &Contender) {
    for folder in &contender.emptied {
        if folder.exists() {
            std::fs::remove_dir_all(folder).unwrap_or_else(|e| panic!("remove {}: {e}", folder.display()));
        }
        User::get().make_dir(folder);
    }
}
