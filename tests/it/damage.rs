//! A damaged or failing storage, component by component: a restore is right, or it fails and names what is damaged.
//! Never a wrong file and success.
//!
//! One small server is pushed once per codec and cipher; every case then works on a copy of that tree in memory.

mod case;
mod cluster;
mod faults;
mod objects;
mod pushes;
mod sentinels;
mod source;
mod verified;
mod wal;

pub use source::{Contents, Objects, Source, assert_same, contents, directory, restore, store};
