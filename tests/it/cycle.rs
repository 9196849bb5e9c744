//! Backup and restore of a cluster, and the commands around them.

mod archive;
mod flavors;
mod memory;
mod modes;
mod points;
mod settings;
mod whole;
