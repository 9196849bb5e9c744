//! A stand-in Greenplum: a coordinator and primaries, real PostgreSQL servers spread over the hosts, with the catalogs
//! and functions of [`Flavor`]. They do not replicate or share queries: each is filled and asked by itself.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::template::{Kind, SUPERUSER, create_data_dir};
use crate::{Flavor, Hosts, Scratch, Server, User, free_port, sql_in};

/// What to start.
pub struct ClusterSpec {
    /// Primaries on each host; host 0 has the coordinator besides. Content ids count from 0 over the hosts.
    pub primaries: Vec<usize>,
    pub flavor: Flavor,
    /// 1 to 1024, a power of two. Small files make a switch cheap.
    pub wal_segment_mib: u32,
    /// archive_command by content id, for example `damson seg wal-push %p --content-id=N --config F`; empty for none.
    pub archive_command: Box<dyn Fn(i32) -> String>,
    /// More lines for every postgresql.conf.
    pub settings: Vec<(String, String)>,
}

impl Default for ClusterSpec {
    /// Coordinator and primary 0 on the first host, primaries 1 and 2 on the second; nothing archived.
    fn default() -> Self {
        let archive_command = Box::new(|_| String::new());
        ClusterSpec {
            primaries: vec![1, 2],
            flavor: Flavor::default(),
            wal_segment_mib: 1,
            archive_command,
            settings: Vec::new(),
        }
    }
}

/// Where a restored server shall live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub content: i32,
    /// Index of the host.
    pub host: usize,
    pub hostname: String,
    pub port: u16,
    pub data_dir: PathBuf,
}

/// Running servers, ordered by content id: the coordinator is the first.
#[derive(Debug)]
pub struct Cluster {
    pub servers: Vec<Server>,
}

impl Cluster {
    /// Makes the data directories (`<host>/gpseg<content>`), starts every server and fills the coordinator's catalog.
    pub fn start(scratch: &Scratch, hosts: &Hosts, spec: &ClusterSpec) -> Cluster {
        assert!(spec.primaries.len() <= hosts.list.len(), "more hosts in the layout than in the rig");
        let mut contents = vec![(-1, 0)];
        for (host, count) in spec.primaries.iter().enumerate() {
            let first = contents.len() as i32 - 1;
            contents.extend((0..*count as i32).map(|n| (first + n, host)));
        }
        let kind = Kind { flavor: spec.flavor, wal_segment_mib: spec.wal_segment_mib };
        let mut servers = Vec::new();
        for (content, host) in contents {
            let data_dir = hosts.list[host].dir.join(format!("gpseg{content}"));
            create_data_dir(scratch, kind, &data_dir);
            append_settings(&data_dir, content, spec);
            let place = Place { content, host, hostname: String::new(), port: free_port(), data_dir };
            servers.push(Server::at(scratch, hosts, &place, &[]));
        }
        let mut cluster = Cluster { servers };
        cluster.start_all();
        if spec.flavor != Flavor::PostgreSql {
            cluster.fill_segment_configuration();
        }
        cluster
    }

    /// Starts servers on restored data directories and waits until each has left recovery. Command-line settings (such
    /// as `("archive_mode", "off")`) are stronger than those in the restored files.
    pub fn start_restored(scratch: &Scratch, hosts: &Hosts, places: &[Place], settings: &[(&str, &str)]) -> Cluster {
        let mut places = places.to_vec();
        places.sort_by_key(|place| place.content);
        let servers = places.iter().map(|place| Server::at(scratch, hosts, place, settings)).collect();
        let mut cluster = Cluster { servers };
        cluster.start_all();
        cluster
    }

    pub fn coordinator(&self) -> &Server {
        self.server(-1)
    }

    /// The primaries, without the coordinator.
    pub fn primaries(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(|server| server.content >= 0)
    }

    pub fn server(&self, content: i32) -> &Server {
        self.servers.iter().find(|server| server.content == content).expect("no such content id")
    }

    pub fn server_mut(&mut self, content: i32) -> &mut Server {
        self.servers.iter_mut().find(|server| server.content == content).expect("no such content id")
    }

    pub fn contents(&self) -> Vec<i32> {
        self.servers.iter().map(|server| server.content).collect()
    }

    /// Starts every server, all at once, and waits for all.
    pub fn start_all(&mut self) {
        self.servers.iter_mut().for_each(Server::launch);
        self.servers.iter_mut().for_each(Server::wait_until_ready);
    }

    /// Stops every server in order, archivers included.
    pub fn stop_all(&mut self) {
        self.servers.iter_mut().for_each(Server::stop);
    }

    /// Settings with which the product reaches the coordinator.
    pub fn connection_settings(&self) -> Vec<(String, String)> {
        let port = self.coordinator().port.to_string();
        let all = [("PGHOST", "localhost"), ("PGPORT", &port), ("PGUSER", SUPERUSER), ("PGDATABASE", "postgres")];
        all.map(|(name, value)| (name.to_string(), value.to_string())).to_vec()
    }

    /// New ports and directories (`<host>/<name>/gpseg<content>`, not made yet, their parents are) on the same hosts.
    pub fn new_places(&self, scratch: &Scratch, hosts: &Hosts, name: &str) -> Vec<Place> {
        let place = |server: &Server| {
            let host = &hosts.list[server.host];
            let parent = host.dir.join(name);
            assert!(parent.starts_with(scratch.path()));
            User::get().make_dir(&parent);
            Place {
                content: server.content,
                host: server.host,
                hostname: host.address.to_string(),
                port: free_port(),
                data_dir: parent.join(format!("gpseg{}", server.content)),
            }
        };
        self.servers.iter().map(place).collect()
    }

    /// Into every database a new one may be copied from too, so that the catalog is the same in all, as in Greenplum.
    fn fill_segment_configuration(&self) {
        let rows: Vec<String> = self.servers.iter().enumerate().map(|(index, server)| row(index + 1, server)).collect();
        let insert = format!("insert into pg_catalog.gp_segment_configuration values {}", rows.join(", "));
        for database in ["template1", "postgres"] {
            let text = format!("set allow_system_table_mods = on; {insert};");
            sql_in(self.coordinator(), database, &text);
        }
    }
}

/// The text of a restore_cfg.json for these places.
pub fn restore_config(places: &[Place]) -> String {
    let segment = |place: &Place| {
        let value = json!({"hostname": place.hostname, "port": place.port, "data_dir": place.data_dir});
        (place.content.to_string(), value)
    };
    let segments: Map<String, Value> = places.iter().map(segment).collect();
    serde_json::to_string_pretty(&json!({ "segments": segments })).unwrap()
}

fn row(dbid: usize, server: &Server) -> String {
    let Server { content, port, address, .. } = server;
    let dir = server.data_dir.display();
    // A primary without a mirror is not in sync ('n'), and it is up.
    format!("({dbid}, {content}, 'p', 'p', 'n', 'u', {port}, '{address}', '{address}', '{dir}')")
}

fn append_settings(data_dir: &Path, content: i32, spec: &ClusterSpec) {
    let path = data_dir.join("postgresql.conf");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let archive = ("archive_command".to_string(), (spec.archive_command)(content));
    for (name, value) in spec.settings.iter().chain([&archive]) {
        text += &format!("{name} = '{}'\n", value.replace('\'', "''"));
    }
    User::get().write(&path, text, 0o600);
}
