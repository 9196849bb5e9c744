//! The hooks around a backup and a restore.
//!
//! They run once per segment, many at a time on one host, and are tried again when they fail, so each does the same however often
//! it is called.

use std::fs;

use bytes::Bytes;
use segment_agent::error::{Error, Result};

use crate::arguments::Hook;
use crate::session::Session;

/// Whether an object can be stored, read and removed; on a host of segments once for the host is enough.
pub fn setup_for_backup(session: &Session, hook: &Hook) -> Result<()> {
    check_scope(hook)?;
    if hook.scope.as_deref() == Some("segment") {
        return Ok(());
    }
    let store = session.destination.repository.store();
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let key = format!("backups/.probe-{host}-{}", std::process::id());
    let body = Bytes::from_static(b"probe of gpbackup_damson_plugin");
    session.wait(store.put(&key, body.clone()))?;
    let read = session.wait(store.get(&key));
    session.wait(store.delete(std::slice::from_ref(&key)))?;
    match read? {
        read if read == body => Ok(()),
        _ => Err(Error::damaged(key, "it does not read as it was written")),
    }
}

/// Whether the storage can be read. gprestore expects its directory there, which this creates.
pub fn setup_for_restore(session: &Session, hook: &Hook) -> Result<()> {
    check_scope(hook)?;
    let folder = &hook.local_directory;
    if hook.scope.as_deref() != Some("segment_host") {
        fs::create_dir_all(folder).map_err(|error| Error::file("creating the directory", folder, error))?;
    }
    session.wait(session.destination.repository.store().list_folder("backups"))?;
    Ok(())
}

/// Callers say `master` or `coordinator`; old ones nothing.
fn check_scope(hook: &Hook) -> Result<()> {
    if let Some(scope) = hook.scope.as_deref()
        && !["master", "coordinator", "segment_host", "segment"].contains(&scope)
    {
        let what = format!("{scope:?} is no scope");
        return Err(Error::refused(what, "use master, coordinator, segment_host or segment"));
    }
    let Some(content) = hook.content_id.as_deref() else { return Ok(()) };
    match content.trim_matches('"').parse::<i32>() {
        Ok(-1..) => Ok(()),
        _ => Err(Error::refused(
            format!("{content} is no content id"),
            "use -1 for the coordinator, 0 and up for segments",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plg_010_scopes_and_content_ids() {
        let check = |scope: Option<&str>, content: Option<&str>| {
            check_scope(&Hook {
                config: "c".into(),
                local_directory: "d".into(),
                scope: scope.map(str::to_owned),
                content_id: content.map(str::to_owned),
            })
        };
        for (scope, content) in [
            (None, None),
            (Some("master"), Some("\"-1\"")),
            (Some("coordinator"), Some("-1")),
            (Some("segment_host"), None),
            (Some("segment"), Some("\"0\"")),
            (Some("segment"), Some("12")),
        ] {
            check(scope, content).unwrap();
        }
        assert!(check(Some("everywhere"), None).is_err());
        assert!(check(Some("segment"), Some("x")).is_err() && check(Some("segment"), Some("-2")).is_err());
    }
}
