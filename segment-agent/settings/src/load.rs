//! Merging flags, environment, file and defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Error;

/// Which program asks: decides on defaults and on the rules for the config file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Greenplum,
    Postgres,
}

/// What the command line says about settings.
#[derive(Clone)]
pub struct Request {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Hidden per-setting flags, as [`crate::split_flags`] returns them: name in upper case, value.
    pub flags: Vec<(String, String)>,
    pub kind: Kind,
}

/// Where a value came from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Flag,
    Environment,
    File,
    Default,
}

/// The merged settings of one run.
#[derive(Clone)]
pub struct Settings {
    pub(crate) kind: Kind,
}

impl Settings {
    pub fn load(_request: &Request, _env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Error> {
        todo!()
    }

    /// The value of `name` (any case), if it is set or has a default.
    pub fn get(&self, _name: &str) -> Option<&str> {
        todo!()
    }

    pub fn origin(&self, _name: &str) -> Option<Origin> {
        todo!()
    }

    /// True if flag, environment or file set it.
    pub fn explicit(&self, _name: &str) -> bool {
        todo!()
    }

    /// For the packages that read settings through a function.
    pub fn lookup(&self) -> impl Fn(&str) -> Option<String> + '_ {
        |_name| todo!()
    }

    /// What a person should know: unknown keys of the config file.
    pub fn warnings(&self) -> &[String] {
        todo!()
    }

    /// Variables for child processes: every value that was given, nested ones left out.
    pub fn environment(&self) -> BTreeMap<String, String> {
        todo!()
    }

    /// The config file that was read.
    pub fn config_path(&self) -> Option<&Path> {
        todo!()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }
}
