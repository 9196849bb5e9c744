//! One command, one file.

pub mod backup_fetch;
pub mod backup_list;
pub mod backup_mark;
pub mod backup_push;
pub mod backup_verify;
pub mod check;
pub mod check_ao_length;
pub mod cluster_start;
pub mod copy;
pub mod create_restore_point;
pub mod delete;
mod delta;
pub mod drill;
pub mod follow_primary;
pub mod hosts;
pub mod metrics;
pub mod preflight;
pub mod recovery_action;
pub mod restore_plan;
pub mod restore_point;
pub mod restore_point_list;
pub mod row_counts;
pub mod servers;
pub mod status;
