//! The hidden flag that every setting has.

use std::ffi::OsString;

/// `WALG_FILE_PREFIX` -> `walg-file-prefix`.
pub fn flag_name(setting: &str) -> String {
    setting.to_ascii_lowercase().replace('_', "-")
}

/// Takes the hidden flags (`--walg-file-prefix X`, `--pghost=Y`) out of an argument list.
///
/// Returns the rest in its order, and setting name (upper case) with value for each flag taken. What is no setting stays
/// in the rest, as does everything after `--`.
pub fn split_flags(_args: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Vec<(String, String)>) {
    todo!()
}
