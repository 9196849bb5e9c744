//! Tests of the built programs on real servers, and of the tree itself.

mod bad_input;
mod chains;
mod copies;
mod cycle;
mod damage;
mod deletes;
mod deltas;
mod drill;
mod golden;
mod partial;
mod points;
mod proof;
mod protocol;
mod readme;
mod resume;
mod rig;
mod running;
mod segments;
mod stands;
mod storages;
mod tidy;
