//! Streams: their sizes, writers that die, readers that leave, many at once, memory.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use rig::User;

use super::{Bench, LIMIT, PLACES, Place, STAMP, key, noise};

#[test]
fn plg_015_plg_016_plg_017_plg_018_plg_019_streams_of_every_size_come_back() {
    for place in PLACES {
        let bench = Bench::new("sizes", place);
        for size in [0, 1, 1000, (4 << 20) - 1, 4 << 20, (5 << 20) + 1, 23 << 20] {
            let content = noise(size);
            bench.store(&key(STAMP, "gpbackup_0_1"), &content);
            assert!(bench.restore(&key(STAMP, "gpbackup_0_1")).unwrap() == content, "{place:?} {size}");
        }
        bench.leaves_nothing_unfinished();
    }
}

/// A shell between the writer and the plugin, as in COPY ... PROGRAM 'gzip | plugin'.
fn pipeline(bench: &Bench, script: &str) -> Command {
    let plugin = bench.workplace.product.path("gpbackup_damson_plugin");
    let mut command = User::get().command("/bin/sh");
    let script = script.replace("PLUGIN", &format!("{} backup_data {}", plugin.display(), bench.config.display()));
    command.args(["-c", &script]).env("HOME", bench.workplace.scratch.path());
    command
}

#[test]
fn plg_020_a_compressor_that_is_killed_leaves_nothing() {
    for place in PLACES {
        let bench = Bench::new("killed", place);
        bench.write("rows", &noise(12 << 20));
        let rows = bench.workplace.scratch.join("rows");
        for (file, pack) in [("f.gz", "gzip -c -1"), ("f.zst", "zstd -q -c -1")] {
            let script = format!("{pack} {} | head -c 9000000 | PLUGIN {}", rows.display(), key(STAMP, file));
            let output = bench.workplace.product.run(pipeline(&bench, &script));
            output.fails(1, &["its writer died"]);
            let script = format!("{pack} {} | PLUGIN {}", rows.display(), key(STAMP, file));
            bench.workplace.product.run(pipeline(&bench, &script)).ok();
            let stored = bench.restore(&key(STAMP, file)).unwrap();
            assert!(stored.len() > 9_000_000);
            std::fs::remove_file(bench.object(STAMP, file)).unwrap();
            std::fs::remove_file(bench.object(STAMP, &format!("{file}.integrity.json"))).unwrap();
        }
        assert_eq!(bench.objects(STAMP), [""; 0]);
        bench.leaves_nothing_unfinished();
    }
}

/// The end of the input alone does not tell; that the caller is gone does.
#[test]
fn plg_020_a_caller_that_dies_leaves_nothing() {
    for place in PLACES {
        let bench = Bench::new("caller", place);
        let fifo = bench.workplace.scratch.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        User::get().own(&fifo);
        let done = bench.workplace.scratch.join("done");
        let script =
            format!("( PLUGIN {} < {} ; echo $? > {} ) & wait", key(STAMP, "f"), fifo.display(), done.display());
        let mut shell = bench.workplace.product.spawn(pipeline(&bench, &script));
        let mut writer = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        writer.write_all(&noise(6 << 20)).unwrap();
        shell.signal(Signal::SIGKILL);
        let _ = shell.wait(LIMIT);
        drop(writer);
        let deadline = std::time::Instant::now() + LIMIT;
        while std::fs::read_to_string(&done).unwrap_or_default().is_empty() {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(std::fs::read_to_string(&done).unwrap(), "1\n", "{place:?}");
        assert_eq!(bench.objects(STAMP), [""; 0]);
        bench.leaves_nothing_unfinished();
    }
}

#[test]
fn plg_020_a_signal_ends_a_silent_stream_and_leaves_nothing() {
    for place in PLACES {
        let bench = Bench::new("signal", place);
        let (input, mut writer) = std::io::pipe().unwrap();
        let mut command = bench.command(&["backup_data", &key(STAMP, "f")]);
        command.stdin(input);
        let mut running = bench.workplace.product.spawn(command);
        writer.write_all(&noise(7 << 20)).unwrap();
        running.signal(Signal::SIGTERM);
        let output = running.wait(LIMIT);
        assert!(output.status == Some(1) && output.stdout.is_empty(), "{}", output.report());
        assert_eq!(bench.objects(STAMP), [""; 0]);
        bench.leaves_nothing_unfinished();
    }
}

/// A gzip stream that stops is refused, unless the option says that nobody is to look.
#[test]
fn plg_020_proving_the_input_can_be_left_out() {
    let bench = Bench::new("prove", Place::File);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&noise(50_000)).unwrap();
    let whole = gzip.finish().unwrap();
    let half = bench.write("half", &whole[..20_000]);
    let refused = bench.backup_data(&key(STAMP, "f.gz"), &half).wait(LIMIT);
    refused.fails(1, &["not a whole compressed stream"]);
    assert_eq!(bench.objects(STAMP), [""; 0]);
    let config = std::fs::read_to_string(&bench.config).unwrap();
    bench.write("plugin.yaml", format!("{config}  prove_input: off\n").as_bytes());
    bench.store(&key(STAMP, "f.gz"), &whole[..20_000]);
    assert_eq!(bench.restore(&key(STAMP, "f.gz")).unwrap(), whole[..20_000]);
}

#[test]
fn a_reader_that_closes_early_is_no_error() {
    for place in PLACES {
        let bench = Bench::new("closed", place);
        bench.store(&key(STAMP, "f"), &noise(9 << 20));
        let mut command = bench.command(&["restore_data", &key(STAMP, "f")]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = vec![0; 1000];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert_eq!(first, noise(1000));
    }
}

#[test]
fn plg_030_ranges_of_a_stream() {
    let bench = Bench::new("ranges", Place::File);
    let content = noise(9 << 20);
    bench.store(&key(STAMP, "f"), &content);
    let ask = |text: &str| {
        let offsets = bench.write("offsets", text.as_bytes());
        let mut command = bench.command(&["restore_data_subset", &key(STAMP, "f"), offsets.to_str().unwrap()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    };
    let wanted = [&content[10..20], &content[5 << 20..6 << 20], &content[..3]].concat();
    assert!(ask("4 10 20 5242880 6291456 0 3 7 7").stdout == wanted);
    assert!(ask("1 96300 96300").stdout.is_empty());
    for wrong in ["1 0 999999999", "nonsense", "2 0 1"] {
        assert!(!ask(wrong).status.success(), "{wrong}");
    }
}

/// A gibibyte through a pipe and back: the same bytes, and no more memory than for little.
#[test]
fn plg_017_plg_018_a_gibibyte_needs_no_more_memory() {
    let bench = Bench::new("gibibyte", Place::File);
    let piece = bench.write("piece", &noise(64 << 20));
    let script = format!("for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat {}; done", piece.display());
    let mut writer = User::get().command("/bin/sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut command = bench.command(&["backup_data", &key(STAMP, "f")]);
    command.stdin(writer.stdout.take().unwrap());
    let running = bench.workplace.product.spawn(command);
    let peak = watch_peaks(std::slice::from_ref(&running))[0];
    let output = running.wait(LIMIT);
    assert!(output.status == Some(0) && output.stderr.is_empty(), "{}", output.report());
    assert!(writer.wait().unwrap().success() && peak <= 16 << 10, "{peak} KiB");

    let mut command = bench.command(&["restore_data", &key(STAMP, "f")]);
    let mut reader = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stream = reader.stdout.take().unwrap();
    let (piece, mut read) = (noise(64 << 20), vec![0; 64 << 20]);
    for number in 0..16 {
        stream.read_exact(&mut read).unwrap();
        assert!(read == piece, "piece {number}");
    }
    assert_eq!(stream.read(&mut read).unwrap(), 0);
    assert!(reader.wait().unwrap().success());
}

/// Eight at once; none holds more than 16 MB of its own. (What they share, the program itself, counts once.)
#[test]
fn many_processes_at_once_are_small() {
    for place in PLACES {
        let bench = Bench::new("many", place);
        let content = noise(40 << 20);
        let input = bench.write("input", &content);
        let running: Vec<_> =
            (0..8).map(|n| bench.backup_data(&key(STAMP, &format!("gpbackup_{n}_1")), &input)).collect();
        let peaks = watch_peaks(&running);
        for one in running {
            let output = one.wait(LIMIT);
            assert!(output.status == Some(0), "{}", output.report());
        }
        assert!(peaks.iter().all(|kib| *kib <= 16 << 10), "{place:?}: {peaks:?} KiB");
        assert!(bench.restore(&key(STAMP, "gpbackup_7_1")).unwrap() == content);
    }
}

/// The most memory seen of each process, in KiB, until the first one ends.
fn watch_peaks(running: &[rig::Running]) -> Vec<u64> {
    let mut peaks = vec![0; running.len()];
    loop {
        for (one, peak) in running.iter().zip(&mut peaks) {
            let status = std::fs::read_to_string(format!("/proc/{}/status", one.pid())).unwrap_or_default();
            let Some(line) = status.lines().find_map(|line| line.strip_prefix("RssAnon:")) else { return peaks };
            *peak = line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap().max(*peak);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
