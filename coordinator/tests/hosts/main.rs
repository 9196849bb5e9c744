//! Hosts and fan-outs over real connections: OpenSSH's sshd, its key agent, child processes.

// A test's preparations may panic as the test itself may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fanout;
mod rig;
mod transport;
