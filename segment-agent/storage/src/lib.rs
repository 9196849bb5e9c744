//! Where backups live: a tree of immutable objects in a directory or in an S3 bucket.
//!
//! [`Store`] is a cheap handle on one folder of that tree. It promises, on every backend:
//! * an object is visible as a whole or not at all, and it is durable when `put` or `finish` returns;
//! * a read delivers exactly the bytes that were stored, or an error; never a short body;
//! * an upload holds a bounded number of bytes in memory, and one that is aborted or dropped leaves nothing behind
//!   (on S3 a drop outside of a runtime is best effort: see [`Upload`]);
//! * a listing is sorted by key, hides unfinished uploads, and a folder that does not exist is an empty folder;
//! * errors say what was being done, to which object, and why; callers branch on [`Error::kind`].
//!
//! Files: `store` is the handle, `backend` the crate-private trait behind it, `memory`, `file` and `s3` its
//! implementations, `record` counts operations, `fault` makes them fail on purpose, `retry` is the back-off.

mod backend;
mod error;
mod fault;
mod file;
mod key;
mod memory;
mod object;
mod reader;
mod record;
mod retry;
mod s3;
mod settings;
mod store;
mod upload;

pub use error::{Error, ErrorKind, Result};
pub use fault::FaultPlan;
pub use object::{Listing, ObjectInfo, StaleUpload};
pub use reader::ObjectReader;
pub use record::{Operation, RequestCounts};
pub use retry::RetryPolicy;
pub use s3::{S3Credentials, S3Settings, Secret, ServerSideEncryption};
pub use settings::StorageSettings;
pub use store::Store;
pub use upload::Upload;
