//! The hidden flag that every setting has.

use std::ffi::OsString;

use crate::table::TABLE;

/// `WALG_FILE_PREFIX` -> `walg-file-prefix`.
pub fn flag_name(setting: &str) -> String {
    setting.to_ascii_lowercase().replace('_', "-")
}

/// Takes the hidden flags (`--walg-file-prefix X`, `--pghost=Y`) out of an argument list.
///
/// Returns the rest in its order, and setting name (upper case) with value for each flag taken. What is no setting stays
/// in the rest, as does a flag without its value and everything after `--`.
pub fn split_flags(args: impl IntoIterator<Item = OsString>) -> (Vec<OsString>, Vec<(String, String)>) {
    let (mut rest, mut flags) = (Vec::new(), Vec::new());
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            rest.push(arg);
            rest.extend(args);
            break;
        }
        match hidden_flag(&arg) {
            None => rest.push(arg),
            Some((name, Some(value))) => flags.push((name.to_owned(), value)),
            Some((name, None)) => match args.next().map(OsString::into_string) {
                Some(Ok(value)) => flags.push((name.to_owned(), value)),
                Some(Err(value)) => rest.extend([arg, value]),
                None => rest.push(arg),
            },
        }
    }
    (rest, flags)
}

fn hidden_flag(arg: &OsString) -> Option<(&'static str, Option<String>)> {
    let body = arg.to_str()?.strip_prefix("--")?;
    let (flag, value) = match body.split_once('=') {
        Some((flag, value)) => (flag, Some(value.to_owned())),
        None => (body, None),
    };
    let row = TABLE.iter().find(|row| flag_name(row.name) == flag)?;
    Some((row.name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(args: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
        let (rest, flags) = split_flags(args.iter().map(OsString::from));
        (rest.into_iter().map(|arg| arg.into_string().unwrap()).collect(), flags)
    }

    #[test]
    fn both_forms_are_taken_and_the_rest_stays() {
        let (rest, flags) = split(&[
            "backup-push",
            "/data",
            "--walg-file-prefix",
            "/b",
            "--full",
            "--pghost=h",
            "--config",
            "c",
            "--pgdata=",
        ]);
        assert_eq!(rest, ["backup-push", "/data", "--full", "--config", "c"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(flags, [pair("WALG_FILE_PREFIX", "/b"), pair("PGHOST", "h"), pair("PGDATA", "")]);
    }

    #[test]
    fn what_is_no_setting_stays() {
        for args in [
            &["a", "--unknown", "x"][..],
            &["a", "--", "--pghost=h"],
            &["a", "--PGHOST=h", "-pghost", "--"],
            &["a", "--pghost"],
            &["'d --pgport=1'", "--target-user-data={\"id\":\"--pghost\"}"],
        ] {
            assert_eq!(split(args).0, args, "{args:?}");
        }
    }
}
