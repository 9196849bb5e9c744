//! The integration tests, one binary: they share the templates and the build of the rig.

mod rig;
mod tidy;
