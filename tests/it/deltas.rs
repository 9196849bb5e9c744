//! Delta backups: what they are based on, what they hold, and that they restore.

mod choice;
pub mod levels;
mod pages;
mod server;
