//! The product on one host without any server: for stored trees and for the commands of one log file.

use std::path::{Path, PathBuf};

use crate::{Hosts, Output, Product, Scratch};

/// The product installed on one host, with a settings file. The fields are in the order in which they are dropped.
#[derive(Debug)]
pub struct Workplace {
    pub product: Product,
    pub hosts: Hosts,
    pub scratch: Scratch,
}

impl Workplace {
    /// `name` as in [`Scratch::new`]. There is no settings file yet.
    pub fn new(name: &str) -> Workplace {
        let scratch = Scratch::new(name);
        let hosts = Hosts::start(&scratch, 1);
        let product = Product::install(&scratch, &hosts.list[0]);
        Workplace { product, hosts, scratch }
    }

    /// Writes the settings file anew: a file storage at `root`, and more settings.
    pub fn use_store(&self, root: &Path, more: &[(&str, &str)]) {
        let all = [("WALG_FILE_PREFIX", root.to_str().unwrap())].into_iter().chain(more.iter().copied());
        let settings: Vec<_> = all.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        self.product.write_config(&settings);
    }

    /// A new empty storage `<scratch>/<name>`, in use.
    pub fn use_new_store(&self, name: &str, more: &[(&str, &str)]) -> PathBuf {
        let root = self.scratch.dir(name);
        self.use_store(&root, more);
        root
    }

    /// [`Product::damson`].
    pub fn damson(&self, args: &[&str]) -> Output {
        self.product.damson(args)
    }

    /// `damson-pg --config <settings file> ARGS`.
    pub fn damson_pg(&self, args: &[&str]) -> Output {
        let config = self.product.config.to_str().unwrap();
        self.product.run(self.product.command("damson-pg", &[&["--config", config], args].concat()))
    }
}
