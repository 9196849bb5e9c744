//! Preflight: everything that must hold before a push starts, found out in seconds instead of after hours.

use std::time::Duration;

use bytes::Bytes;
use codec::{Cipher, Codec, Compression, Decoder, Encoder};
use formats::wire::{SegmentResult, SegmentTarget};
use pgclient::{ConnectOptions, Server};
use settings::Settings;
use tokio::time::timeout;

use crate::data_dir;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::repository::Repository;

/// How long the storage may take to store and remove a few bytes, attempts after failures included. The storage itself tries
/// for many minutes, which is right in the middle of a backup and wrong before it.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// Written and read back by the cipher check.
const CANARY: &[u8] = b"damson";

/// Checks one segment. The storage is probed with an object that is removed again.
pub async fn check(
    settings: &Settings,
    repository: &Repository,
    target: &SegmentTarget,
    connect: ConnectOptions,
    monitor: &Monitor,
) -> Result<SegmentResult> {
    monitor.phase("checking");
    must_be_data_directory(target)?;
    let control = data_dir::read_control(&target.data_dir)?;
    data_dir::refuse_contradictions(settings, &control)?;
    let server = Server::connect_segment(&connect).await?;
    data_dir::must_belong_to(&target.data_dir, &server).await?;
    must_archive(&server).await?;
    cipher_works(&repository.cipher)?;
    probe(repository).await?;
    let free_bytes = nix::sys::statvfs::statvfs(&target.data_dir)
        .map(|stat| stat.blocks_available() * stat.fragment_size())
        .map_err(|error| Error::file("asking for free space on", &target.data_dir, error.into()))?;
    let segment_size_bytes = control.wal_segment_size.bytes();
    Ok(SegmentResult::Checked { server_version: server.version_num(), segment_size_bytes, free_bytes })
}

fn must_be_data_directory(target: &SegmentTarget) -> Result<()> {
    let version = target.data_dir.join("PG_VERSION");
    match std::fs::read_to_string(&version) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let what = format!("{} is no data directory: it has no PG_VERSION", target.data_dir.display());
            Err(Error::refused(what, "check the data directory of this segment in gp_segment_configuration"))
        }
        Err(error) => Err(Error::file("reading", version, error)),
    }
}

async fn must_archive(server: &Server) -> Result<()> {
    let archiving = server.archiving().await?;
    let address = server.address();
    if archiving.mode == "off" {
        let what = format!("the server at {address} does not archive its log: archive_mode is {}", archiving.mode);
        return Err(Error::refused(what, "set archive_mode = on in its postgresql.conf and restart it"));
    }
    if !archiving.is_on() {
        let what = format!("the server at {address} does not archive its log: archive_command is not set");
        let remedy = "set archive_command = 'damson seg wal-push %p --content-id=<content id> --config <file>' and reload the configuration";
        return Err(Error::refused(what, remedy));
    }
    Ok(())
}

/// The key encrypts, and decrypts what it encrypted.
fn cipher_works(cipher: &Cipher) -> Result<()> {
    let round_trip = || -> std::io::Result<bool> {
        let mut encoder = Encoder::new(Compression::None, cipher, Vec::new())?;
        std::io::Write::write_all(&mut encoder, CANARY)?;
        let stored = encoder.finish()?;
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut Decoder::new(Codec::None, cipher, stored.as_slice())?, &mut back)?;
        Ok(back == CANARY)
    };
    match round_trip() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::damaged("the encryption canary", "what was encrypted does not decrypt")),
        Err(error) => Err(Error::damaged("the encryption canary", error)),
    }
}

async fn probe(repository: &Repository) -> Result<()> {
    let store = repository.store();
    let key = format!("damson-write-probe-{}", uuid::Uuid::new_v4().simple());
    let probed = async {
        store.put(&key, Bytes::from_static(CANARY)).await?;
        store.delete(std::slice::from_ref(&key)).await
    };
    match timeout(PROBE_LIMIT, probed).await {
        Ok(probed) => Ok(probed?),
        Err(_) => {
            let (storage, seconds) = (store.describe(), PROBE_LIMIT.as_secs());
            let what = format!("the storage {storage} did not store and remove an object within {seconds} s");
            let remedy = "see whether it can be reached from this host; the log of the job tells what was tried";
            Err(Error::refused(what, remedy))
        }
    }
}
