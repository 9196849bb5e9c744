//! What only a Greenplum coordinator can be asked.

use std::collections::BTreeMap;

use pgdata::{Lsn, TimelineId};

use crate::{Error, Server, quote_literal};

/// A row of `gp_segment_configuration` with role p.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    pub dbid: i32,
    /// -1 is the coordinator.
    pub content: i32,
    pub port: u16,
    pub hostname: String,
    pub data_dir: String,
}

/// The family a server belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// Greenplum and Greengage.
    Greenplum,
    Cloudberry,
}

/// Brand and release, from `version()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub flavor: Flavor,
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

const BRANDS: [(&str, Flavor); 4] = [
    ("Greenplum Database ", Flavor::Greenplum),
    ("Greengage Database ", Flavor::Greenplum),
    ("Cloudberry Database ", Flavor::Cloudberry),
    ("Apache Cloudberry ", Flavor::Cloudberry),
];

impl Version {
    /// Finds brand and release in the text of `version()`; the release may carry a suffix.
    pub fn parse(text: &str) -> Option<Version> {
        BRANDS.iter().find_map(|(brand, flavor)| {
            let (_, release) = text.split_once(brand)?;
            let mut numbers = release.splitn(3, '.');
            let mut next = || {
                let part = numbers.next()?;
                let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
                part[..digits].parse().ok()
            };
            Some(Version { flavor: *flavor, major: next()?, minor: next()?, patch: next()? })
        })
    }
}

/// Brand and release; nothing for a plain PostgreSQL server.
pub async fn version_if_any(server: &Server) -> Result<Option<Version>, Error> {
    let what = "asking for the Greenplum release";
    let text = server.value(what, "SELECT pg_catalog.version()").await?;
    Ok(text.as_deref().and_then(Version::parse))
}

/// The cluster's brand and release; an error if the server is neither Greenplum nor Cloudberry.
pub async fn version(server: &Server) -> Result<Version, Error> {
    let what = "asking for the Greenplum release";
    let text: String = server.parsed(what, server.value(what, "SELECT pg_catalog.version()").await?)?;
    Version::parse(&text).ok_or_else(|| server.unexpected(what, format!("{text:?} names no Greenplum release")))
}

/// Primaries and the coordinator, by content id.
pub async fn segments(server: &Server) -> Result<Vec<SegmentRow>, Error> {
    let what = "listing the segments";
    let sql = "SELECT dbid, content, port, hostname, datadir FROM pg_catalog.gp_segment_configuration \
               WHERE role = 'p' ORDER BY content";
    let rows = server.rows(what, sql).await?.into_iter().map(|row| {
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        Ok(SegmentRow {
            dbid: server.parsed(what, next())?,
            content: server.parsed(what, next())?,
            port: server.parsed(what, next())?,
            hostname: server.parsed(what, next())?,
            data_dir: server.parsed(what, next())?,
        })
    });
    let rows = rows.collect::<Result<Vec<_>, Error>>()?;
    let twice = rows.windows(2).find(|pair| pair[0].content == pair[1].content).map(|pair| pair[0].content);
    match (twice, rows.first().map(|row| row.content)) {
        (Some(content), _) => Err(server.unexpected(what, format!("two primaries of content id {content}"))),
        (None, Some(-1)) => Ok(rows),
        (None, _) => Err(server.unexpected(what, "no coordinator (content id -1)".to_owned())),
    }
}

/// Takes the cluster's backup lock (the advisory lock that WAL-G takes) for the rest of the session.
pub async fn lock_backups(server: &Server) -> Result<(), Error> {
    let what = "taking the backup lock";
    let sql = "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('gp_backup'))";
    let value = server.value(what, sql).await?;
    let taken = server.truth(what, value)?;
    if taken { Ok(()) } else { Err(Error::BackupLockTaken { address: server.address().to_owned() }) }
}

/// Takes the right to create the restore point `name`, for the rest of the session; false while another session has it.
pub async fn claim_restore_point(server: &Server, name: &str) -> Result<bool, Error> {
    let what = "claiming the name of the restore point";
    let sql = format!(
        "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('damson_restore_point'), pg_catalog.hashtext({}))",
        quote_literal(name)
    );
    let value = server.value(what, &sql).await?;
    server.truth(what, value)
}

/// Content ids in exclusive backup mode (Greenplum 6; empty where that mode does not exist).
pub async fn contents_in_backup(server: &Server) -> Result<Vec<i32>, Error> {
    if !server.capabilities().exclusive_backup_only() {
        return Ok(Vec::new());
    }
    let states = on_every_node(server, "asking for running backups", "pg_catalog.pg_is_in_backup()").await?;
    Ok(states.into_iter().filter(|(_, state)| state == "t").map(|(content, _)| content).collect())
}

/// Content id and LSN of the restore point on every node, by content id.
///
/// The function is called without its schema: the extension gp_pitr puts it into public, Cloudberry into pg_catalog.
pub async fn create_restore_point(server: &Server, name: &str) -> Result<Vec<(i32, Lsn)>, Error> {
    let what = format!("creating the restore point {name}");
    let sql = format!("SELECT gp_create_restore_point({})::text", quote_literal(name));
    let mut points = BTreeMap::new();
    for row in server.rows(&what, &sql).await? {
        let text = row.into_iter().next().flatten().unwrap_or_default();
        let (content, lsn) =
            restore_point_row(&text).ok_or_else(|| server.unexpected(&what, format!("row {text:?}")))?;
        if points.insert(content, lsn).is_some() {
            return Err(server.unexpected(&what, format!("content id {content} twice")));
        }
    }
    if !points.contains_key(&-1) {
        return Err(server.unexpected(&what, "no row of the coordinator (content id -1)".to_owned()));
    }
    Ok(points.into_iter().collect())
}

/// `(content,LSN)`, for example `(-1,0/8095CD0)`.
fn restore_point_row(text: &str) -> Option<(i32, Lsn)> {
    let (content, lsn) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some((content.parse().ok()?, lsn.parse().ok()?))
}

/// Timeline that the coordinator writes on.
pub async fn coordinator_timeline(server: &Server) -> Result<TimelineId, Error> {
    server.timeline().await
}

/// Timeline of every node, by content id.
pub async fn timelines(server: &Server) -> Result<Vec<(i32, TimelineId)>, Error> {
    let what = "asking for the timelines of the segments";
    let wal = server.capabilities().wal;
    let current_file = format!("pg_catalog.{}(pg_catalog.{}())", wal.file_name, wal.insert_position);
    let names = on_every_node(server, what, &current_file).await?;
    names.into_iter().map(|(content, name)| Ok((content, server.timeline_of(what, &name)?))).collect()
}

/// Value of an expression on the coordinator and on every primary, by content id.
async fn on_every_node(server: &Server, what: &str, expression: &str) -> Result<Vec<(i32, String)>, Error> {
    let segments = format!("SELECT gp_segment_id, {expression} FROM gp_dist_random('gp_id')");
    let coordinator = format!("SELECT -1, {expression}");
    let mut values = Vec::new();
    for sql in [coordinator, segments] {
        for row in server.rows(what, &sql).await? {
            let mut columns = row.into_iter();
            let content = server.parsed(what, columns.next().flatten())?;
            values.push((content, server.parsed(what, columns.next().flatten())?));
        }
    }
    values.sort_by_key(|(content, _)| *content);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        let of = |text: &str| Version::parse(text).map(|v| (v.flavor, v.major, v.minor, v.patch));
        let beta = "PostgreSQL 9.4.26 (Greenplum Database 6.0.0-beta.1+585e934 build dev) on x86_64";
        assert_eq!(of(beta), Some((Flavor::Greenplum, 6, 0, 0)));
        assert_eq!(of("PostgreSQL 12.12 (Greenplum Database 7.1.0 build x)"), Some((Flavor::Greenplum, 7, 1, 0)));
        assert_eq!(of("PostgreSQL 9.4.26 (Greengage Database 6.27.1_arenadata)"), Some((Flavor::Greenplum, 6, 27, 1)));
        assert_eq!(of("PostgreSQL 14.4 (Apache Cloudberry 2.0.0-incubating)"), Some((Flavor::Cloudberry, 2, 0, 0)));
        for text in
            ["", "PostgreSQL 15.19", "Greenplum Database 6.1", "Greenplum Database x.1.2", "Greenplum Database é"]
        {
            assert_eq!(of(text), None, "{text:?}");
        }
    }

    #[test]
    fn rows_of_a_restore_point() {
        assert_eq!(restore_point_row("(-1,0/8095CD0)"), Some((-1, Lsn(0x0809_5CD0))));
        for text in ["", "()", "(1)", "1,0/1", "(x,0/1)", "(1,0/1", "(1,)"] {
            assert_eq!(restore_point_row(text), None, "{text:?}");
        }
    }
}
