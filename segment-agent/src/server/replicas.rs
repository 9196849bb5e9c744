//! Mirrors and the standby in gp_segment_configuration of a coordinator that serves.

use formats::server::Replica;
use formats::{ContentId, DbId};
use pgclient::{Server, quote_literal};

use super::Place;
use super::catalog::{self, Present};
use crate::error::Result;

/// Adds what is missing of `replicas`; the numbers of all. A mirror is down until the coordinator has seen it, the standby, which
/// nobody looks at, is up.
pub async fn enlist(place: &Place<'_>, replicas: &[Replica]) -> Result<Vec<(ContentId, DbId)>> {
    let server = place.connect().await?;
    let present = catalog::read(&server).await?;
    let missing: Vec<&Replica> = replicas.iter().filter(|replica| find(&present, replica).is_none()).collect();
    if !missing.is_empty() {
        let first = present.iter().map(|row| row.db_id.0).max().unwrap_or_default() + 1;
        let rows: Vec<String> = (first..).zip(missing).map(|(db_id, replica)| insertion(db_id, replica)).collect();
        let script = format!("BEGIN; SET LOCAL allow_system_table_mods = on; {}; COMMIT", rows.join("; "));
        server.rows("adding replicas to gp_segment_configuration", &script).await?;
    }
    numbers(&server, replicas).await
}

async fn numbers(server: &Server, replicas: &[Replica]) -> Result<Vec<(ContentId, DbId)>> {
    let present = catalog::read(server).await?;
    Ok(replicas.iter().filter_map(|replica| Some((replica.content, find(&present, replica)?.db_id))).collect())
}

fn find<'a>(present: &'a [Present], replica: &Replica) -> Option<&'a Present> {
    present.iter().find(|row| row.is(replica))
}

fn insertion(db_id: i32, replica: &Replica) -> String {
    let (mode, status) = if replica.content == ContentId::COORDINATOR { ('s', 'u') } else { ('n', 'd') };
    let (host, dir) = (quote_literal(&replica.hostname), quote_literal(&replica.data_dir.to_string_lossy()));
    format!(
        "INSERT INTO pg_catalog.gp_segment_configuration \
         (dbid, content, role, preferred_role, mode, status, port, hostname, address, datadir) \
         VALUES ({db_id}, {}, 'm', 'm', '{mode}', '{status}', {}, {host}, {host}, {dir})",
        replica.content, replica.port
    )
}

/// Lets the coordinator look at its mirrors now; content ids of the `replicas` that its catalog then says are up.
pub async fn probe(place: &Place<'_>, replicas: &[Replica]) -> Result<Vec<ContentId>> {
    let server = place.connect().await?;
    server.probe_mirrors().await?;
    let present = catalog::read(&server).await?;
    let up = replicas.iter().filter(|replica| find(&present, replica).is_some_and(Present::is_up));
    Ok(up.map(|replica| replica.content).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_down_at_first() {
        let replica = |content| Replica {
            content: ContentId(content),
            hostname: "h".into(),
            port: 7000,
            data_dir: "/it's".into(),
        };
        let end = |content| insertion(9, &replica(content)).split_once("VALUES ").unwrap().1.to_owned();
        assert_eq!(end(3), "(9, 3, 'm', 'm', 'n', 'd', 7000, 'h', 'h', '/it''s')");
        assert_eq!(end(-1), "(9, -1, 'm', 'm', 's', 'u', 7000, 'h', 'h', '/it''s')");
    }
}
