//! The agent protocol: jobs that outlive connections.
//!
//! Two kinds of process take part on a host. [`serve`] is one connection of the coordinator: it starts a job or attaches to
//! one, streams its journal and passes on signs of life and the wish to stop. [`run_job`] is the job: detached, locked to
//! its directory, writing the journal. They share nothing but the files of a [`JobDirectory`], so that either may die, and
//! a later connection finds out what became of the job.
//!
//! ```text
//! <state>/jobs/<id>/spec.json      the start request                 written once, before the directory appears
//!                   lock           locked while the job's process lives
//!                   lease          its time of modification is the coordinator's last sign of life
//!                   cancel         exists: the job has to stop
//!                   journal.jsonl  one event a line, numbered from 0
//!                   log            what the job's process printed
//! ```

mod connection;
mod execute;
mod follow;
mod job;
mod job_directory;
mod journal;
mod lines;
mod report;
mod spawn;
mod state_directory;
mod watch;

pub use connection::serve;
pub use execute::execute;
pub use job::run_job;
pub use job_directory::{JobDirectory, JobOrder};
pub use journal::Journal;
pub use lines::{read_message, write_message};
pub use report::reports;
pub use spawn::spawn_detached;
pub use state_directory::{StateDirectory, create_private};
