//! Verification of backups that real servers and WAL-G made: whole ones are right, and every single damage is found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod golden;
mod tree;
