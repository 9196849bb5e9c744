//! Restores of a stand's cluster to other directories and ports.

use std::path::PathBuf;

use crate::{Cluster, Output, Place, Stand, restore_config};

/// Places for a restored cluster, and the restore config that names them.
#[derive(Clone, Debug)]
pub struct Restore {
    pub places: Vec<Place>,
    pub config: PathBuf,
}

impl Stand {
    /// New places on the same hosts: `<host>/<name>/gpseg<content>`, and `<scratch>/<name>.json` for the restore config.
    pub fn plan_restore(&self, name: &str) -> Restore {
        let places = self.cluster.new_places(&self.scratch, &self.hosts, name);
        let config = self.scratch.write(format!("{name}.json"), restore_config(&places));
        Restore { places, config }
    }

    /// `damson backup-fetch ARGS --restore-config <of the plan>`.
    pub fn fetch(&self, restore: &Restore, args: &[&str]) -> Output {
        let config = restore.config.to_str().unwrap();
        self.damson(&[&["backup-fetch"], args, &["--restore-config", config]].concat())
    }

    /// Starts what was restored, archiving nothing, and waits until every server has recovered.
    pub fn start_restored(&self, restore: &Restore) -> Cluster {
        Cluster::start_restored(&self.scratch, &self.hosts, &restore.places, &[("archive_mode", "off")])
    }

    /// Restores to new places and starts what came out.
    pub fn restore(&self, name: &str, args: &[&str]) -> Cluster {
        let restore = self.plan_restore(name);
        self.fetch(&restore, args).ok();
        self.start_restored(&restore)
    }
}
