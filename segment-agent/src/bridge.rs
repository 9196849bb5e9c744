//! Where the two worlds meet: asynchronous storage seen as `Read` and `Write` by synchronous codecs.
//!
//! The readers and writers here block their thread, so they belong on worker threads. A store that is local never waits and
//! needs no runtime at all, which keeps archive commands cheap to start.

use std::future::Future;
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use storage::{ObjectReader, Store, Upload};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// How long cancelled work waits for a request that is under way. What is cut off may still be carried out by the storage, so
/// that nobody would remove it; but a storage that hangs must not keep a job.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// How a worker thread waits for a future of the storage.
#[derive(Clone)]
pub enum Driver {
    /// The store's futures are ready at once.
    Local,
    /// The store waits for the network: its futures run on this runtime.
    Runtime(tokio::runtime::Handle),
}

impl Driver {
    /// The driver for `store`, to be called on a thread that knows the runtime.
    pub fn current(store: &Store) -> Self {
        match tokio::runtime::Handle::try_current() {
            Ok(handle) if !store.is_local() => Self::Runtime(handle),
            _ => Self::Local,
        }
    }

    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Local => futures::executor::block_on(future),
            Self::Runtime(handle) => handle.block_on(future),
        }
    }
}

/// What an object turned out to be once it was written or read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectDigest {
    pub bytes: u64,
    pub blake3: [u8; 32],
}

impl ObjectDigest {
    pub fn of(stored: &[u8]) -> Self {
        Self { bytes: stored.len() as u64, blake3: *blake3::hash(stored).as_bytes() }
    }
}

/// `Write` over an upload; hashes the stored bytes on their way. Dropped without [`finish`](Self::finish), nothing appears.
pub struct ObjectWriter {
    driver: Driver,
    cancel: CancellationToken,
    upload: Option<Upload>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl ObjectWriter {
    pub fn start(driver: &Driver, cancel: &CancellationToken, store: &Store, key: &str) -> Result<Self> {
        let upload = driver.wait(store.upload(key, None))?;
        let (driver, cancel) = (driver.clone(), cancel.clone());
        Ok(Self { driver, cancel, upload: Some(upload), hasher: blake3::Hasher::new(), bytes: 0 })
    }

    /// Makes the object visible and durable.
    pub fn finish(mut self) -> Result<ObjectDigest> {
        if let Some(upload) = self.upload.take() {
            if self.cancel.is_cancelled() {
                let _ = self.driver.wait(upload.abort());
                return Err(Error::Cancelled);
            }
            let finished = self.driver.wait(upload.finish_unless(hanging(&self.cancel)))?;
            finished.ok_or(Error::Cancelled)?;
        }
        Ok(ObjectDigest { bytes: self.bytes, blake3: *self.hasher.finalize().as_bytes() })
    }
}

/// Over when a request of cancelled work has had its time to end in order. Polled only while the storage waits, that is, on
/// a runtime.
async fn hanging(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(CANCEL_PATIENCE).await;
}

impl Write for ObjectWriter {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other(Error::Cancelled));
        }
        let Some(upload) = self.upload.as_mut() else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        self.hasher.update(buffer);
        self.bytes += buffer.len() as u64;
        let cancel = &self.cancel;
        let sent = self.driver.wait(async {
            tokio::select! {
                biased;
                sent = upload.write(Bytes::copy_from_slice(buffer)) => sent.map_err(Error::from),
                () = hanging(cancel) => Err(Error::Cancelled),
            }
        });
        sent.map_err(std::io::Error::other)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            let _ = self.driver.wait(upload.abort());
        }
    }
}

/// `Read` over an object; hashes the stored bytes on their way.
pub struct ObjectSource {
    driver: Driver,
    cancel: CancellationToken,
    reader: ObjectReader,
    chunk: Bytes,
    hasher: blake3::Hasher,
    bytes: u64,
    whole: Arc<OnceLock<ObjectDigest>>,
}

impl ObjectSource {
    pub fn open(driver: &Driver, cancel: &CancellationToken, store: &Store, key: &str) -> Result<Self> {
        let reader = driver.wait(store.read(key))?;
        let (driver, cancel) = (driver.clone(), cancel.clone());
        let (hasher, whole) = (blake3::Hasher::new(), Arc::default());
        Ok(Self { driver, cancel, reader, chunk: Bytes::new(), hasher, bytes: 0, whole })
    }

    /// Filled in once the object was read to its end, by whoever holds the reader then.
    pub fn whole(&self) -> Arc<OnceLock<ObjectDigest>> {
        self.whole.clone()
    }

    fn refill(&mut self) -> std::io::Result<bool> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other(Error::Cancelled));
        }
        let next = self.driver.wait(self.reader.next());
        let Some(chunk) = next.map_err(|error| std::io::Error::other(Error::from(error)))? else {
            self.whole.get_or_init(|| ObjectDigest { bytes: self.bytes, blake3: *self.hasher.finalize().as_bytes() });
            return Ok(false);
        };
        self.hasher.update(&chunk);
        self.bytes += chunk.len() as u64;
        self.chunk = chunk;
        Ok(true)
    }
}

impl Read for ObjectSource {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            if buffer.is_empty() || !self.refill()? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.chunk.len());
        let taken = self.chunk.split_to(count);
        buffer[..count].copy_from_slice(&taken);
        Ok(count)
    }
}

/// Reads until `buffer` is full or the content ends.
pub fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Runs blocking work beside the runtime's own threads.
pub async fn on_worker<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    joined(tokio::task::spawn_blocking(work).await)
}

/// What a task returned; a task that panicked is an error like any other.
pub fn joined<T>(outcome: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    outcome.unwrap_or_else(|error| {
        let what = format!("a worker ended unexpectedly: {error}");
        Err(Error::refused(what, "this is a defect of the program; please report it"))
    })
}
