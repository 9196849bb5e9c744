//! One query over many tables, some of which may be dropped while it runs.

use crate::{Error, Row, Server};

/// SQLSTATEs with which a server says that a relation is gone: undefined table, undefined object, and the internal error of
/// what opens a relation by its oid.
const GONE: [&str; 3] = ["42P01", "42704", "XX000"];

/// Rows of `query` over `oids` (ascending), each made into a value. Where the server stumbles over a table, the query is
/// repeated for each half of them, down to the table, which is left out if it was dropped.
pub(crate) async fn gather<T>(
    server: &Server,
    what: &str,
    oids: &[u32],
    query: impl Fn(&[u32]) -> String,
    value: impl Fn(Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    let mut open = vec![oids];
    while let Some(some) = open.pop() {
        if some.is_empty() {
            continue;
        }
        let before = found.len();
        let mut add = |row| {
            found.push(value(row)?);
            Ok(())
        };
        match server.each_row(what, &query(some), &mut add).await {
            Ok(()) => {}
            Err(Error::Query { sqlstate, .. }) if some.len() > 1 && GONE.contains(&sqlstate.as_str()) => {
                found.truncate(before);
                let (low, high) = some.split_at(some.len() / 2);
                open.extend([high, low]);
            }
            Err(error @ Error::Query { .. }) if exists(server, some).await? => return Err(error),
            Err(Error::Query { .. }) => found.truncate(before),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn exists(server: &Server, oids: &[u32]) -> Result<bool, Error> {
    let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT 1 FROM pg_catalog.pg_class WHERE oid IN ({list})");
    Ok(!server.rows("asking whether tables still exist", &sql).await?.is_empty())
}
