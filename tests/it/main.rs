//! Tests of the built programs on real servers, and of the tree itself.

mod bad_input;
mod cycle;
mod damage;
mod golden;
mod protocol;
mod readme;
mod resume;
mod rig;
mod stands;
mod storages;
mod tidy;
