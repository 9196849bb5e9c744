//! Tests of the built programs on real servers, and of the tree itself.

mod acceptance;
mod again;
mod bad_input;
mod chains;
mod copies;
mod cycle;
mod damage;
mod deletes;
mod deltas;
mod drill;
mod golden;
mod kills;
mod partial;
mod plugin;
mod points;
mod proof;
mod protocol;
mod readme;
mod resume;
mod rig;
mod running;
mod scale;
mod segments;
mod stands;
mod storages;
mod tidy;
