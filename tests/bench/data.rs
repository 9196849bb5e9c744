//! The server that is backed up: three kinds of data, page checksums, 16 MiB WAL files.

use std::path::{Path, PathBuf};

use rig::{Cluster, ClusterSpec, Flavor, Hosts, Scratch, Server, User, pg_bin, sql};

use crate::arguments::Arguments;

const WAL_MIB: u32 = 16;

/// A running server and a copy of its write-ahead log.
pub struct Data {
    /// Kept for what they run until they are dropped.
    cluster: Cluster,
    pub hosts: Hosts,
    /// Folder with the WAL files.
    pub wal_dir: PathBuf,
    /// Their names, oldest first.
    pub wal_names: Vec<String>,
    /// Everything that the programs write goes below.
    pub out: PathBuf,
}

impl Data {
    /// Fills a new server: of `--size`, three fifths pgbench's tables, a fifth random bytes, a fifth text.
    pub fn make(scratch: &Scratch, arguments: &Arguments) -> Data {
        let hosts = Hosts::start(scratch, 1);
        let kept = arguments.wal_files as u64 * u64::from(WAL_MIB) + 256;
        // An archiver that is on and does nothing would make pg_basebackup wait.
        let settings = [("archive_mode", "off".to_owned()), ("wal_keep_size", format!("{kept}MB"))];
        let spec = ClusterSpec {
            primaries: vec![0],
            flavor: Flavor::PostgreSql,
            wal_segment_mib: WAL_MIB,
            settings: settings.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            ..ClusterSpec::default()
        };
        let cluster = Cluster::start(scratch, &hosts, &spec);
        let server = cluster.coordinator();
        fill(server, arguments.size);
        make_log(server, arguments.wal_files);
        let (wal_dir, out) = (scratch.dir("wal"), scratch.dir("out"));
        let wal_names = copy_log(server, arguments.wal_files, &wal_dir);
        // From here on the log is only in the way of those that copy the whole directory.
        server.set("wal_keep_size", "0");
        sql(server, "checkpoint");
        sql(server, "checkpoint");
        Data { cluster, hosts, wal_dir, wal_names, out }
    }

    pub fn server(&self) -> &Server {
        self.cluster.coordinator()
    }

    /// Changes a row in every fiftieth page of the three tables.
    pub fn touch_every_fiftieth_page(&self) {
        let server = self.server();
        for (table, column) in [("pgbench_accounts", "bid"), ("noise", "n"), ("prose", "n")] {
            let last = sql(server, &format!("select pg_relation_size('{table}') / 8192 - 1"));
            let rows =
                format!("select array_agg(('(' || page || ',1)')::tid) from generate_series(0, {last}, 50) page");
            sql(server, &format!("update {table} set {column} = {column} where ctid = any (({rows})::tid[])"));
        }
        sql(server, "checkpoint");
    }

    /// What a copy of the data directory takes: all but the log and what belongs to the running server.
    pub fn entries(&self) -> Vec<String> {
        let names = names_in(&self.server().data_dir);
        names.into_iter().filter(|name| name != "pg_wal" && !name.starts_with("postmaster.")).collect()
    }
}

fn fill(server: &Server, megabytes: u64) {
    // A unit of scale is 15 MB with its index.
    let scale = (megabytes * 3 / 5 / 15).max(1);
    pgbench(server, &["-i", "-q", "-s", &scale.to_string()]);
    let fifth = megabytes / 5;
    sql(server, "create extension pgcrypto");
    let rows = fifth * 980;
    sql(server, &format!("create table noise as select n, gen_random_bytes(1000) from generate_series(1, {rows}) n"));
    let rows = fifth * 5_400;
    let words = "'order '||n||' of customer '||n % 977||' was paid and sent to '||md5((n % 5000)::text)\
                 ||', warehouse '||n % 13||'; no remarks, no returns, no complaints'";
    sql(server, &format!("create table prose as select n, {words} as line from generate_series(1, {rows}) n"));
    sql(server, "vacuum");
}

/// Transactions until there are so many finished WAL files.
fn make_log(server: &Server, files: usize) {
    while finished_log(server).len() < files {
        pgbench(server, &["-n", "-c", "4", "-t", "2500"]);
    }
}

fn finished_log(server: &Server) -> Vec<String> {
    let current = sql(server, "select pg_walfile_name(pg_current_wal_insert_lsn())");
    let names = names_in(&server.data_dir.join("pg_wal"));
    names.into_iter().filter(|name| name.len() == 24 && *name < current).collect()
}

/// The newest ones: a mixture of loading and transactions.
fn copy_log(server: &Server, files: usize, target: &Path) -> Vec<String> {
    let names = finished_log(server);
    let names = names[names.len() - files..].to_vec();
    for name in &names {
        let copy = target.join(name);
        std::fs::copy(server.data_dir.join("pg_wal").join(name), &copy).unwrap();
        User::get().own(&copy);
    }
    names
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn pgbench(server: &Server, args: &[&str]) {
    let (socket, port) = (server.socket_dir.display().to_string(), server.port.to_string());
    let place = ["-U", "gpadmin", "-h", &socket, "-p", &port];
    User::get().run(pg_bin().join("pgbench"), &[&place[..], args, &["postgres"]].concat());
}
