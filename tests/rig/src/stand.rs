//! Everything a cluster test needs, started in the right order and ended in the right one.

use std::path::PathBuf;

use crate::{Cluster, ClusterSpec, Flavor, Hosts, Output, Product, S3, Scratch};

/// What to start.
#[derive(Clone, Debug)]
pub struct StandSpec {
    /// Primaries on each host; the coordinator is on the first besides.
    pub primaries: Vec<usize>,
    pub flavor: Flavor,
    pub wal_segment_mib: u32,
    pub storage: Storage,
    /// Settings of the product besides those of storage, connection and SSH.
    pub settings: Vec<(String, String)>,
}

/// Where backups go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `<scratch>/store`.
    File,
    S3,
}

impl Default for StandSpec {
    fn default() -> Self {
        let primaries = ClusterSpec::default().primaries;
        StandSpec {
            primaries,
            flavor: Flavor::default(),
            wal_segment_mib: 1,
            storage: Storage::File,
            settings: Vec::new(),
        }
    }
}

/// Running servers with the product installed, its settings written, and every server archiving through it.
/// The fields are in the order in which they are dropped.
#[derive(Debug)]
pub struct Stand {
    pub product: Product,
    pub cluster: Cluster,
    pub hosts: Hosts,
    pub s3: Option<S3>,
    /// What the settings file says now; change it with [`Stand::set`].
    pub settings: Vec<(String, String)>,
    pub scratch: Scratch,
}

impl Stand {
    /// `name` as in [`Scratch::new`].
    pub fn start(name: &str, spec: &StandSpec) -> Stand {
        let scratch = Scratch::new(name);
        let hosts = Hosts::start(&scratch, spec.primaries.len());
        let product = Product::install(&scratch, &hosts.list[0]);
        let s3 = (spec.storage == Storage::S3).then(|| S3::start(&scratch));
        let (damson, config) = (product.path("damson"), product.config.clone());
        let archive = move |content: i32| {
            format!("{} seg wal-push %p --content-id={content} --config {}", damson.display(), config.display())
        };
        let cluster_spec = ClusterSpec {
            primaries: spec.primaries.clone(),
            flavor: spec.flavor,
            wal_segment_mib: spec.wal_segment_mib,
            archive_command: Box::new(archive),
            settings: Vec::new(),
        };
        let mut settings = match &s3 {
            Some(s3) => s3.settings("backups"),
            None => vec![pair("WALG_FILE_PREFIX", scratch.dir("store"))],
        };
        settings.push(pair("DAMSON_SSH_CONFIG", hosts.ssh_config()));
        settings.extend(spec.settings.iter().cloned());
        // The servers archive from their first moment on, so the settings must stand before them.
        product.write_config(&settings);
        let cluster = Cluster::start(&scratch, &hosts, &cluster_spec);
        settings.extend(cluster.connection_settings());
        product.write_config(&settings);
        Stand { product, cluster, hosts, s3, settings, scratch }
    }

    /// Changes (or adds) a setting and writes the file anew.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_string(), value.to_string()));
        self.product.write_config(&self.settings);
    }

    /// [`Product::damson`].
    pub fn damson(&self, args: &[&str]) -> Output {
        self.product.damson(args)
    }

    /// Folder that holds the stored objects as plain files, whichever the storage.
    pub fn store_dir(&self) -> PathBuf {
        match &self.s3 {
            Some(s3) => s3.bucket_dir().join("backups"),
            None => self.scratch.join("store"),
        }
    }
}

fn pair(name: &str, path: PathBuf) -> (String, String) {
    (name.to_string(), path.to_str().unwrap().to_string())
}
