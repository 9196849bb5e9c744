//! One command, one file.

pub mod backup_fetch;
pub mod backup_list;
pub mod backup_mark;
pub mod backup_push;
pub mod backup_verify;
pub mod check;
pub mod check_ao_length;
pub mod copy;
pub mod create_restore_point;
pub mod delete;
pub mod hosts;
pub mod metrics;
pub mod preflight;
pub mod restore_point;
pub mod restore_point_list;
pub mod status;
