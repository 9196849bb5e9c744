//! A WAL-G for Greenplum, given by path, on a stand: it reaches the hosts as the product does, and starts itself there.

use std::path::Path;

use crate::{Output, Server, Stand, User, pg_bin, sql};

/// How often WAL-G looks whether its segments are ready; its default is five minutes.
const POLL_INTERVAL: &str = "2s";

/// WAL-G looks for the function in another schema than the product of this version has it in.
const RESTORE_POINT: &str = "create function public.gp_create_restore_point(point text) \
     returns table(segment_id int2, restore_lsn pg_lsn) language sql volatile as \
     $$ select * from pg_catalog.gp_create_restore_point(point) $$";

/// WAL-G, installed on all hosts of a stand.
#[derive(Debug)]
pub struct WalG {
    program: String,
    config: String,
    environment: Vec<(String, String)>,
}

impl WalG {
    /// Over the storage folder `store`, with more settings.
    pub fn install(stand: &Stand, given: &Path, store: &Path, more: &[(&str, &str)]) -> WalG {
        sql(stand.cluster.coordinator(), RESTORE_POINT);
        let (scratch, folder) = (&stand.scratch, stand.scratch.dir("wal-g"));
        let program = folder.join("wal-g");
        std::fs::copy(given, &program).unwrap_or_else(|e| panic!("copy {}: {e}", given.display()));
        User::get().own(&program);
        for host in &stand.hosts.list {
            // It starts itself on every host as `wal-g` from the PATH.
            let script = format!("cd \"$HOME\"\nexport PATH={}:$PATH\n", folder.display());
            User::get().write(&host.home.join(".bashrc"), script, 0o644);
        }
        let mut text = settings(stand, store);
        text.extend(more.iter().map(|(name, value)| format!("{name}: \"{value}\"\n")));
        let config = scratch.write("wal-g.yaml", text);
        let own = |(name, value): &(String, std::ffi::OsString)| (name.clone(), value.to_string_lossy().into_owned());
        let mut environment: Vec<_> = stand.product.environment.iter().map(own).collect();
        environment.push(("PATH".to_owned(), path(stand, &folder)));
        WalG { program: program.display().to_string(), config: config.display().to_string(), environment }
    }

    /// `env NAME=VALUE... wal-g ARGS --config FILE`.
    pub fn words(&self, args: &[&str]) -> Vec<String> {
        let pairs = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let command = [&[self.program.as_str()], args, &["--config", &self.config]].concat();
        ["env".to_owned()].into_iter().chain(pairs).chain(command.into_iter().map(str::to_owned)).collect()
    }

    /// Runs a command to its end.
    pub fn run(&self, stand: &Stand, args: &[&str]) -> Output {
        let words = self.words(args);
        let mut command = User::get().command(&words[0]);
        command.args(&words[1..]);
        stand.product.run(command)
    }
}

/// WAL-G runs `ssh` from the PATH, which here is one that knows the rig's hosts and keys.
fn path(stand: &Stand, own: &Path) -> String {
    let folder = stand.scratch.dir("ssh-for-wal-g");
    let script = format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", stand.hosts.ssh_config().display());
    User::get().write(&folder.join("ssh"), script, 0o755);
    format!("{}:{}:{}:/usr/bin:/bin", folder.display(), own.display(), pg_bin().display())
}

fn settings(stand: &Stand, store: &Path) -> String {
    let server: &Server = stand.cluster.coordinator();
    let (store, logs, port) = (store.display(), stand.scratch.dir("logs-wal-g"), server.port);
    let (logs, data_dir) = (logs.display(), server.data_dir.display());
    format!(
        "WALG_FILE_PREFIX: \"{store}\"\nPGHOST: \"localhost\"\nPGPORT: \"{port}\"\nPGUSER: \"gpadmin\"\n\
         PGDATABASE: \"postgres\"\nPGDATA: \"{data_dir}\"\nWALG_GP_LOGS_DIR: \"{logs}\"\n\
         WALG_PG_WAL_SIZE: \"1\"\n\
         WALG_GP_SEG_POLL_INTERVAL: \"{POLL_INTERVAL}\"\n"
    )
}
