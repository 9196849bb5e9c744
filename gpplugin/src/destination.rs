//! Where backups lie and how they are encoded, as the plugin's configuration says.

use std::path::PathBuf;

use codec::{Cipher, Compression};
use segment_agent::error::{Error, Result};
use segment_agent::repository::Repository;
use settings::{Kind, Request, Settings};
use storage::{StorageSettings, Store};

use crate::config::{CONFIG, Options, PROVE_INPUT, RESTORE_UNPROVED};
use crate::s3_options;

pub struct Destination {
    /// Its store is the folder above `backups`.
    pub repository: Repository,
    /// What list_directory and delete_directory name prefixes in: the whole bucket where the S3 plugin's options are used.
    pub root: Store,
    /// Objects lie and look as gpbackup_s3_plugin's: those without an integrity record are taken as they are.
    pub of_s3_plugin: bool,
    /// Data whose integrity record is lost may be restored.
    pub restore_unproved: bool,
    /// Compressed streams are followed to the end that their format has.
    pub prove_input: bool,
}

impl Destination {
    pub fn open(options: &Options) -> Result<Self> {
        let names = [&s3_options::NAMES[..], &[s3_options::REMOVE_DUPLICATE_BUCKET]].concat();
        for name in options.unknown(&names) {
            tracing::warn!("option {name} of the plugin's configuration is unknown and has no effect");
        }
        let settings = load(options, Vec::new())?;
        let restore_unproved = options.switch(RESTORE_UNPROVED, false)?;
        let prove_input = options.switch(PROVE_INPUT, true)?;
        if s3_options::are_given(options) {
            let destination = Self::of_s3_plugin(options, &settings)?;
            return Ok(Self { restore_unproved, prove_input, ..destination });
        }
        let settings = with_small_parts(options, settings)?;
        let repository = Repository::open(&settings)?;
        let root = repository.store().clone();
        Ok(Self { repository, root, of_s3_plugin: false, restore_unproved, prove_input })
    }

    /// Neither compressed nor encrypted unless that is asked for: the other plugin does neither.
    fn of_s3_plugin(options: &Options, settings: &Settings) -> Result<Self> {
        let (s3, folder) = s3_options::storage(options)?;
        let root = Store::open(&StorageSettings::S3(s3))?;
        let mut repository = Repository::with_store(root.at(&folder), settings)?;
        if !settings.explicit("WALG_COMPRESSION_METHOD") {
            repository.compression = Compression::None;
        }
        let as_theirs =
            matches!(repository.compression, Compression::None) && matches!(repository.cipher, Cipher::None);
        Ok(Self { repository, root, of_s3_plugin: as_theirs, restore_unproved: false, prove_input: true })
    }
}

fn load(options: &Options, more: Vec<(String, String)>) -> Result<Settings> {
    let config = options.get(CONFIG).map(PathBuf::from);
    let flags = options.settings().into_iter().chain(more).collect();
    let request = Request { config, flags, kind: Kind::Plugin };
    let settings = Settings::load(&request, &|_| None)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(settings)
}

/// Many of these processes run on a host at once, so parts are as small as S3 allows unless their size is set.
fn with_small_parts(options: &Options, settings: Settings) -> Result<Settings> {
    let names = ["S3_MAX_PART_SIZE", "WALG_S3_MAX_PART_SIZE", "WALE_S3_MAX_PART_SIZE"];
    if names.iter().any(|name| settings.explicit(name)) {
        return Ok(settings);
    }
    load(options, vec![(names[0].to_owned(), s3_options::PART_BYTES.to_string())])
}

/// What to say of a file that is not there.
pub fn absent(destination: &Destination, key: &str) -> Error {
    let what = format!("{key} does not exist in {}", destination.repository.store().describe());
    Error::refused(what, "see what is stored with list_directory; check the options of the plugin's configuration")
}
