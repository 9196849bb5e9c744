//! Streams through gpbackup's plugin, one and eight at once: beside `cat`, and on S3 beside gpbackup_s3_plugin.
//!
//! What is streamed is rows that gzip has compressed, as gpbackup sends them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use rig::{Hosts, Product, S3, Scratch, User};

use crate::arguments::{Arguments, Work};
use crate::measure::{Stopwatch, Words};
use crate::programs::copy;
use crate::report::Report;
use crate::rounds::measure_in_turns;
use crate::works::Contender;

/// Bytes of rows in all, whether in one stream or in several; gzip makes half of it.
const BYTES: usize = 1 << 30;

const STAMP: &str = "20261121081500";

/// A program that takes the plugin's commands, with its configuration.
struct Plugin {
    title: &'static str,
    program: PathBuf,
    config: PathBuf,
}

pub fn bench(arguments: &Arguments, report: &mut Report) {
    let scratch = Scratch::new("bench-plugin");
    let stopwatch = Stopwatch::install(&scratch);
    let hosts = Hosts::start(&scratch, 1);
    let product = Product::install(&scratch, &hosts.list[0]);
    let s3 = S3::start(&scratch);
    let damson = product.path("gpbackup_damson_plugin");
    let files = format!("  WALG_FILE_PREFIX: {}\n", scratch.dir("store").display());
    let mut plugins = vec![
        plugin(&scratch, "damson", damson.clone(), &files),
        plugin(&scratch, "damson S3", damson, &s3_options(&s3, "damson")),
    ];
    if let Some(given) = &arguments.s3_plugin {
        let program = copy(given, &product.bin);
        plugins.push(plugin(&scratch, "gpbackup_s3_plugin", program, &s3_options(&s3, "other")));
    }
    for (streams, store, restore) in
        [(1, Work::PluginStore, Work::PluginRestore), (8, Work::PluginStore8, Work::PluginRestore8)]
    {
        if !arguments.does_any(&[store, restore]) {
            continue;
        }
        let input = scratch.join(format!("input-{streams}"));
        write_rows(&input, BYTES / streams);
        let storing = contenders(&scratch, &plugins, streams, |plugin, number, target| match plugin {
            Some(plugin) => format!("cat {} | {}", input.display(), plugin.command("backup_data", streams, number)),
            None => format!("cat {} > {}/{number}", input.display(), target.display()),
        });
        report.add(store, measure_in_turns(&stopwatch, storing, arguments.runs));
        if arguments.does_any(&[restore]) {
            let restoring = contenders(&scratch, &plugins, streams, |plugin, number, target| {
                let out = target.join(number.to_string());
                match plugin {
                    Some(plugin) => {
                        format!("{} > {}", plugin.command("restore_data", streams, number), out.display())
                    }
                    None => format!("cat {} > {}", input.display(), out.display()),
                }
            });
            report.add(restore, measure_in_turns(&stopwatch, restoring, arguments.runs));
        }
    }
}

fn plugin(scratch: &Scratch, title: &'static str, program: PathBuf, options: &str) -> Plugin {
    let text = format!("executablepath: {}\noptions:\n{options}", program.display());
    let config = scratch.write(format!("{}.yaml", title.replace(' ', "-")), text);
    Plugin { title, program, config }
}

fn s3_options(s3: &S3, folder: &str) -> String {
    let (endpoint, bucket, key, secret) = (s3.endpoint(), rig::BUCKET, rig::ACCESS_KEY, rig::SECRET_KEY);
    format!(
        "  region: us-east-1\n  endpoint: {endpoint}\n  bucket: {bucket}\n  folder: {folder}\n  \
         aws_access_key_id: {key}\n  aws_secret_access_key: {secret}\n  encryption: \"off\"\n"
    )
}

impl Plugin {
    fn command(&self, name: &str, streams: usize, number: usize) -> String {
        let (program, config) = (self.program.display(), self.config.display());
        let key = format!("/data/gpseg{number}/backups/{}/{STAMP}/gpbackup_{number}_{STAMP}_{streams}.gz", &STAMP[..8]);
        format!("{program} {name} {config} {key}")
    }
}

/// The plugins and `cat`, each with as many processes at once as there are streams.
fn contenders(
    scratch: &Scratch,
    plugins: &[Plugin],
    streams: usize,
    command: impl Fn(Option<&Plugin>, usize, &Path) -> String,
) -> Vec<Contender> {
    let out = scratch.dir("streams-out");
    let all = plugins.iter().map(Some).chain([None]);
    let contender = |plugin: Option<&Plugin>| {
        let commands: Vec<String> = (0..streams).map(|number| command(plugin, number, &out)).collect();
        Contender {
            title: plugin.map_or("cat", |plugin| plugin.title).to_owned(),
            durable: plugin.is_some(),
            emptied: vec![out.clone()],
            commands: vec![at_once(&commands)],
        }
    };
    all.map(contender).collect()
}

/// All commands at once; fails if one does.
fn at_once(commands: &[String]) -> Words {
    let started: String = commands.iter().map(|command| format!("( {command} ) & all=\"$all $!\"; ")).collect();
    let script = format!("set -o pipefail; {started} for one in $all; do wait $one || exit 1; done");
    ["bash", "-c", &script].map(str::to_owned).to_vec()
}

/// Rows of hexadecimal digits without a pattern, through gzip.
fn write_rows(path: &Path, bytes: usize) {
    let rows = path.with_extension("rows");
    let mut text = String::with_capacity(bytes + 80);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while text.len() < bytes {
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let _ = write!(text, "{state:016x}\t");
        }
        text.push('\n');
    }
    std::fs::write(&rows, text).unwrap();
    User::get().own(&rows);
    let script = format!("gzip -1 -c {} > {}", rows.display(), path.display());
    User::get().run("sh", &["-c", &script]);
    std::fs::remove_file(&rows).unwrap();
}
