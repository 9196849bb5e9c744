//! gpbackup's plugin, called as gpbackup, gprestore, gpbackup_helper and the plugin test bench call it.

mod conduct;
mod damage;
mod options;
mod scopes;
mod streams;
mod whole;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rig::{Output, Running, S3, User, Workplace};

const LIMIT: Duration = Duration::from_secs(120);

/// A backup's timestamp; no valid date, as the test bench makes them up.
const STAMP: &str = "20269921081500";
const NEXT_STAMP: &str = "20269921081501";

/// Where the backups of a bench lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    File,
    S3,
    /// S3 with the options of gpbackup_s3_plugin.
    OtherPlugin,
}

const PLACES: [Place; 3] = [Place::File, Place::S3, Place::OtherPlugin];

/// The plugin with a configuration and a storage. The fields are in the order in which they are dropped.
struct Bench {
    s3: Option<S3>,
    config: PathBuf,
    workplace: Workplace,
}

impl Bench {
    fn new(name: &str, place: Place) -> Bench {
        Bench::with(name, place, &[])
    }

    /// `more`: further options of the configuration.
    fn with(name: &str, place: Place, more: &[(&str, &str)]) -> Bench {
        let workplace = Workplace::new(&format!("plugin-{name}-{place:?}").to_lowercase());
        let s3 = (place != Place::File).then(|| S3::start(&workplace.scratch));
        let mut options = match place {
            Place::File => vec![pair("WALG_FILE_PREFIX", workplace.scratch.dir("store").to_str().unwrap())],
            Place::S3 => s3.as_ref().unwrap().settings("plugin"),
            Place::OtherPlugin => vec![
                pair("region", "us-east-1"),
                pair("endpoint", &s3.as_ref().unwrap().endpoint()),
                pair("bucket", rig::BUCKET),
                pair("folder", "/plugin/"),
                pair("aws_access_key_id", rig::ACCESS_KEY),
                pair("aws_secret_access_key", rig::SECRET_KEY),
            ],
        };
        options.extend(more.iter().map(|(name, value)| pair(name, value)));
        let config = workplace.scratch.join("plugin.yaml");
        write_config(&config, &options);
        Bench { s3, config, workplace }
    }

    /// `EXE COMMAND CONFIG ARGS`.
    fn command(&self, words: &[&str]) -> Command {
        let config = self.config.to_str().unwrap();
        let all = [&words[..1], &[config], &words[1..]].concat();
        self.workplace.product.command("gpbackup_damson_plugin", &all)
    }

    fn run(&self, words: &[&str]) -> Output {
        self.workplace.product.run(self.command(words))
    }

    /// Must succeed, and print nothing.
    #[track_caller]
    fn silent(&self, words: &[&str]) {
        let output = self.run(words);
        assert!(
            output.status == Some(0) && output.stdout.is_empty() && output.stderr.is_empty(),
            "{}",
            output.report()
        );
    }

    /// Must fail with one line on standard error and nothing on standard output.
    #[track_caller]
    fn fails(&self, words: &[&str], texts: &[&str]) {
        let output = self.run(words).fails(1, texts);
        assert!(output.stdout.is_empty() && output.stderr.lines().count() == 1, "{}", output.report());
    }

    /// `backup_data` with the content of `input`.
    fn backup_data(&self, key: &str, input: &Path) -> Running {
        let mut command = self.command(&["backup_data", key]);
        command.stdin(File::open(input).unwrap());
        self.workplace.product.spawn(command)
    }

    #[track_caller]
    fn store(&self, key: &str, content: &[u8]) {
        let input = self.write("input", content);
        let output = self.backup_data(key, &input).wait(LIMIT);
        assert!(
            output.status == Some(0) && output.stdout.is_empty() && output.stderr.is_empty(),
            "{}",
            output.report()
        );
    }

    /// What `restore_data` prints; `Err` is its message.
    fn restore(&self, key: &str) -> Result<Vec<u8>, (Vec<u8>, String)> {
        let mut command = self.command(&["restore_data", key]);
        let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => {
                assert_eq!(stderr, "", "chatter makes gprestore hang");
                Ok(output.stdout)
            }
            _ => Err((output.stdout, stderr)),
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.workplace.scratch.join(name);
        User::get().write(&path, content, 0o644);
        path
    }

    /// The directory of a backup below a segment's data directory, made.
    fn directory(&self, segment: &str, stamp: &str) -> PathBuf {
        let mut path = self.workplace.scratch.path().to_owned();
        for part in [segment, "backups", &stamp[..8], stamp] {
            path = path.join(part);
            User::get().make_dir(&path);
        }
        path
    }

    /// Where the objects lie as files.
    fn root(&self) -> PathBuf {
        match &self.s3 {
            None => self.workplace.scratch.path().join("store"),
            Some(s3) => s3.bucket_dir().join("plugin"),
        }
    }

    /// Names of the objects of a backup.
    fn objects(&self, stamp: &str) -> Vec<String> {
        let folder = self.root().join("backups").join(&stamp[..8]).join(stamp);
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn object(&self, stamp: &str, name: &str) -> PathBuf {
        self.root().join("backups").join(&stamp[..8]).join(stamp).join(name)
    }

    #[track_caller]
    fn leaves_nothing_unfinished(&self) {
        if let Some(s3) = &self.s3 {
            assert_eq!(s3.unfinished_uploads(), [""; 0]);
        }
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn write_config(path: &Path, options: &[(String, String)]) {
    let lines: String = options.iter().map(|(name, value)| format!("  {name}: {value:?}\n")).collect();
    User::get().write(path, format!("executablepath: /usr/local/bin/gpbackup_damson_plugin\noptions:\n{lines}"), 0o600);
}

/// The key that gpbackup names for a file of a backup.
fn key(stamp: &str, file: &str) -> String {
    format!("/data/gpseg0/backups/{}/{stamp}/{file}", &stamp[..8])
}

/// Bytes without a pattern.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
