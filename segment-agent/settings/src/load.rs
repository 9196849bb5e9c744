//! Merging flags, environment, file and defaults.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::table::{AppliesTo, Setting, TABLE};
use crate::{Error, file, nearest, nested, table};

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which program asks: decides on defaults and on the rules for the config file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A config file is mandatory.
    Greenplum,
    /// Without one, `.walg.*` of the home directory is used if it exists.
    Postgres,
    /// gpbackup's plugin: everything comes from the plugin's own configuration, which may name a config file. Nothing is looked
    /// for, and defaults are Greenplum's.
    Plugin,
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

/// The merged settings of one run. `Debug` shows no secret and no value of an unknown name.
#[derive(Clone)]
pub struct Settings {
    kind: Kind,
    /// By upper-case name; never empty text.
    values: BTreeMap<String, (String, Origin)>,
    pub(crate) failover_storages: BTreeMap<String, BTreeMap<String, String>>,
    warnings: Vec<String>,
    config_path: Option<PathBuf>,
    /// Of the user in the password database.
    pub(crate) home: Option<PathBuf>,
}

impl Settings {
    /// Reads and merges everything. `env` answers for one variable; an empty one counts as unset.
    pub fn load(request: &Request, env: Environment<'_>) -> Result<Settings, Error> {
        load_with_home(request, env, home_directory())
    }

    /// The value of `name` (any case), if it is set or has a default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_uppercase()).map(|(text, _)| text.as_str())
    }

    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.values.get(&name.to_uppercase()).map(|(_, origin)| *origin)
    }

    /// True if flag, environment or file set it.
    pub fn explicit(&self, name: &str) -> bool {
        self.origin(name).is_some_and(|origin| origin != Origin::Default)
    }

    /// For the packages that read settings through a function.
    pub fn lookup(&self) -> impl Fn(&str) -> Option<String> + '_ {
        |name| self.get(name).map(str::to_owned)
    }

    /// What a person should know: unknown keys of the config file, with the name that was probably meant.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Variables for child processes: every value that was given, nested ones left out. Defaults stay out: each program
    /// knows its own.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let given = self
            .values
            .iter()
            .filter(|(name, (_, origin))| *origin != Origin::Default && !nested::NAMES.contains(&name.as_str()));
        given.map(|(name, (text, _))| (name.clone(), text.clone())).collect()
    }

    /// The config file that was read, as it was named.
    pub fn config_path(&self) -> Option<&Path> {
        self.config_path.as_deref()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn set(&mut self, name: &str, text: String, origin: Origin) {
        let text = text.trim_end_matches(['\r', '\n']);
        if !text.is_empty() {
            self.values.insert(name.to_owned(), (text.to_owned(), origin));
        }
    }

    fn set_defaults(&mut self) {
        let default = |row: &Setting| match (row.applies_to, self.kind) {
            (AppliesTo::Storage, _) => None,
            (_, Kind::Greenplum | Kind::Plugin) => row.default_gp,
            (_, Kind::Postgres) => row.default_pg,
        };
        let defaults: Vec<_> = TABLE.iter().filter_map(|row| Some((row.name, default(row)?))).collect();
        for (name, text) in defaults {
            self.set(name, text.to_owned(), Origin::Default);
        }
    }

    fn set_from_file(&mut self, path: &Path, name: String, value: Value) -> Result<(), Error> {
        let wrong = |found| Error::NotAValue { path: path.to_owned(), name: name.clone(), found };
        if name == nested::FAILOVER_STORAGES {
            self.failover_storages = nested::storages(&value).map_err(wrong)?;
            return Ok(());
        }
        let known = table::find(&name);
        if known.is_none() {
            self.warn_unknown(path, &name);
        }
        match file::scalar(&value) {
            Ok(Some(text)) => self.set(&name, text, Origin::File),
            Ok(None) => {}
            Err(_) if nested::holds_json(&name) => self.set(&name, value.to_string(), Origin::File),
            Err(found) if known.is_some() => return Err(wrong(found)),
            Err(_) => {}
        }
        Ok(())
    }

    fn warn_unknown(&mut self, path: &Path, name: &str) {
        let hint = nearest::known_name(name).map(|known| format!("; did you mean {known}?")).unwrap_or_default();
        self.warnings.push(format!("{name} is unknown (in the config file {}){hint}", path.display()));
    }

    fn set_from_environment(&mut self, env: Environment<'_>) {
        let mut names: Vec<String> = TABLE.iter().flat_map(table::spellings).collect();
        names.extend(self.values.keys().cloned());
        for name in names {
            if name == nested::FAILOVER_STORAGES {
                continue;
            }
            if let Some(text) = env(&name) {
                self.set(&name, text, Origin::Environment);
            }
        }
        if env(nested::FAILOVER_STORAGES).is_some_and(|text| !text.is_empty()) {
            let name = nested::FAILOVER_STORAGES;
            self.warnings.push(format!("{name} in the environment is ignored: it works in the config file only"));
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, (text, origin)) in &self.values {
            let shown = if table::is_secret(name) { "***" } else { text };
            map.entry(name, &format_args!("{shown:?} ({origin:?})"));
        }
        map.finish()
    }
}

fn load_with_home(request: &Request, env: Environment<'_>, home: Option<PathBuf>) -> Result<Settings, Error> {
    let config_path = choose_file(request, env, home.as_deref())?;
    let mut settings = Settings {
        kind: request.kind,
        values: BTreeMap::new(),
        failover_storages: BTreeMap::new(),
        warnings: Vec::new(),
        config_path: config_path.clone(),
        home,
    };
    settings.set_defaults();
    if let Some(path) = config_path {
        for (name, value) in file::read(&path, env)? {
            settings.set_from_file(&path, name, value)?;
        }
    }
    settings.set_from_environment(env);
    for (name, text) in &request.flags {
        settings.set(&name.to_uppercase(), text.clone(), Origin::Flag);
    }
    Ok(settings)
}

fn choose_file(request: &Request, env: Environment<'_>, home: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    const NAME: &str = "WALG_CONFIG_PATH";
    let flag = || request.flags.iter().rev().find(|(name, _)| name == NAME).map(|(_, text)| text.clone());
    let named = || flag().or_else(|| env(NAME)).filter(|text| !text.is_empty()).map(PathBuf::from);
    match (request.config.clone().or_else(named), request.kind) {
        (Some(path), _) => Ok(Some(path)),
        (None, Kind::Greenplum) => Err(Error::NoConfig),
        (None, Kind::Postgres) => Ok(home.and_then(file::default_in)),
        (None, Kind::Plugin) => Ok(None),
    }
}

fn home_directory() -> Option<PathBuf> {
    nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_directory_serves_postgres_only() {
        let home = tempfile::tempdir().unwrap();
        let request = |kind| Request { config: None, flags: vec![], kind };
        let load = |kind| load_with_home(&request(kind), &|_| None, Some(home.path().to_owned()));
        assert_eq!(load(Kind::Postgres).unwrap().config_path(), None);
        std::fs::write(home.path().join(".walg.yaml"), "WALG_DELTA_MAX_STEPS: 2").unwrap();
        std::fs::write(home.path().join(".walg.json"), r#"{"walg_delta_max_steps": 1}"#).unwrap();
        assert_eq!(load(Kind::Postgres).unwrap().get("WALG_DELTA_MAX_STEPS"), Some("1"));
        assert_eq!(load(Kind::Plugin).unwrap().get("WALG_DELTA_MAX_STEPS"), Some("0"));
        assert!(load(Kind::Greenplum).unwrap_err().to_string().contains("required flag(s) \"config\" not set"));
    }
}
