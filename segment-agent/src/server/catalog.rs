//! gp_segment_configuration of a restored coordinator: made to name where the servers are now.
//!
//! One transaction in utility mode. Of every content id one row stays, the one of the restored server, as an acting primary;
//! rows of mirrors and of the standby are removed: those servers were not restored, and a primary must not wait for them. Replicas
//! that were made since, of the restored servers, stay.

use formats::server::{CatalogRow, Replica, ServerResult};
use formats::{ContentId, DbId};
use pgclient::{Server, quote_literal};

use super::Place;
use crate::error::{Error, Result};

/// A row as it stands in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    pub db_id: DbId,
    pub content: ContentId,
    primary: bool,
    /// Everything that must be as planned: role, preferred role, mode and status, address.
    text: [String; 8],
}

pub async fn compare(
    place: &Place<'_>,
    rows: &[CatalogRow],
    replicas: &[Replica],
    rewrite: bool,
) -> Result<ServerResult> {
    let server = place.connect().await?;
    let present = read(&server).await?;
    let plan = plan(&present, rows, replicas)?;
    let replicas = plan.removed.iter().filter(|row| !row.primary).map(Present::replica).collect();
    if plan.statements.is_empty() || !rewrite {
        return Ok(ServerResult::Catalog { right: plan.statements.is_empty(), replicas });
    }
    place.monitor.phase("rewriting gp_segment_configuration");
    let script = format!("BEGIN; SET LOCAL allow_system_table_mods = on; {}; COMMIT", plan.statements.join("; "));
    server.rows("rewriting gp_segment_configuration", &script).await?;
    Ok(ServerResult::Catalog { right: true, replicas })
}

pub async fn read(server: &Server) -> Result<Vec<Present>> {
    let sql = "SELECT dbid, content, role, preferred_role, mode, status, port, hostname, address, datadir \
               FROM pg_catalog.gp_segment_configuration ORDER BY dbid";
    let what = "reading gp_segment_configuration";
    let rows = server.rows(what, sql).await?;
    let present = rows.into_iter().map(|row| {
        let mut columns = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || columns.next().unwrap_or_default();
        let (db_id, content) = (next(), next());
        let text: [String; 8] = std::array::from_fn(|_| next());
        let number = |text: &str| text.parse::<i32>().map_err(|_| unreadable(text));
        let primary = text.first().is_some_and(|role| role == "p");
        Ok(Present { db_id: DbId(number(&db_id)?), content: ContentId(number(&content)?), primary, text })
    });
    present.collect()
}

fn unreadable(text: &str) -> Error {
    Error::refused(format!("gp_segment_configuration holds {text:?} for a number"), "look at that table")
}

struct Plan {
    statements: Vec<String>,
    removed: Vec<Present>,
}

/// The statements that make `present` into `rows`; none if it is so.
fn plan(present: &[Present], rows: &[CatalogRow], replicas: &[Replica]) -> Result<Plan> {
    let mut statements = Vec::new();
    let mut kept = Vec::new();
    for row in rows {
        let old = find(present, row).ok_or_else(|| {
            let what = format!("the catalog of the restored coordinator has no content id {}", row.content);
            Error::refused(what, "the restore config must be that of this backup")
        })?;
        kept.push(old.db_id);
        let (host, dir) = (row.hostname.clone(), row.data_dir.to_string_lossy().into_owned());
        let letter = str::to_owned;
        let new = [letter("p"), letter("p"), letter("n"), letter("u"), row.port.to_string(), host.clone(), host, dir];
        // The mode of a primary without a mirror does not matter.
        let differs = new.iter().zip(&old.text).enumerate().any(|(column, (new, old))| column != 2 && new != old);
        if differs {
            statements.push(update(old.db_id, &new));
        }
    }
    let stays = |row: &Present| kept.contains(&row.db_id) || replicas.iter().any(|replica| row.is(replica));
    let removed: Vec<Present> = present.iter().filter(|row| !stays(row)).cloned().collect();
    if let Some(row) = removed.iter().find(|row| !rows.iter().any(|known| known.content == row.content)) {
        let what = format!(
            "the catalog of the restored coordinator names content id {}, the restore config does not",
            row.content
        );
        return Err(Error::refused(what, "add it to the restore config: the cluster is not whole without it"));
    }
    // First, so that no two rows are ever alike.
    let deletions = removed
        .iter()
        .map(|row| format!("DELETE FROM pg_catalog.gp_segment_configuration WHERE dbid = {}", row.db_id.0));
    Ok(Plan { statements: deletions.chain(statements).collect(), removed })
}

/// The row of the restored server: the one with the number that stands in its data directory, else the acting primary.
fn find<'a>(present: &'a [Present], row: &CatalogRow) -> Option<&'a Present> {
    let of_content = |old: &&Present| old.content == row.content;
    let by_id = present.iter().filter(of_content).find(|old| Some(old.db_id) == row.db_id);
    by_id.or_else(|| present.iter().filter(of_content).find(|old| old.primary))
}

fn update(db_id: DbId, text: &[String; 8]) -> String {
    let columns = ["role", "preferred_role", "mode", "status", "port", "hostname", "address", "datadir"];
    let set = |(column, text): (&str, &String)| match column {
        "port" => format!("port = {text}"),
        _ => format!("{column} = {}", quote_literal(text)),
    };
    let set: Vec<String> = columns.into_iter().zip(text).map(set).collect();
    format!("UPDATE pg_catalog.gp_segment_configuration SET {} WHERE dbid = {}", set.join(", "), db_id.0)
}

impl Present {
    fn replica(&self) -> Replica {
        let [.., port, hostname, _, data_dir] = &self.text;
        Replica {
            content: self.content,
            hostname: hostname.clone(),
            port: port.parse().unwrap_or_default(),
            data_dir: data_dir.into(),
        }
    }

    /// Whether this is the row of a replica.
    pub fn is(&self, replica: &Replica) -> bool {
        !self.primary && self.replica() == *replica
    }

    pub fn is_up(&self) -> bool {
        let [_, _, _, status, ..] = &self.text;
        status == "u"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(db_id: i32, content: i32, role: &str, port: u16, host: &str) -> Present {
        let text = [role, role, "s", "u", &port.to_string(), host, host, "/old"].map(str::to_owned);
        Present { db_id: DbId(db_id), content: ContentId(content), primary: role == "p", text }
    }

    fn row(content: i32, db_id: Option<i32>) -> CatalogRow {
        CatalogRow {
            content: ContentId(content),
            db_id: db_id.map(DbId),
            hostname: "new".into(),
            port: 7,
            data_dir: "/it's".into(),
        }
    }

    #[test]
    fn places_change_and_replicas_go() {
        let old = [
            present(1, -1, "p", 1, "a"),
            present(2, 0, "p", 2, "b"),
            present(3, 0, "m", 3, "c"),
            present(4, -1, "m", 1, "d"),
        ];
        let plan = plan(&old, &[row(-1, None), row(0, Some(2))], &[]).unwrap();
        let delete = "DELETE FROM pg_catalog.gp_segment_configuration WHERE dbid = ";
        assert_eq!(plan.statements[..2], [format!("{delete}3"), format!("{delete}4")]);
        let set = "SET role = 'p', preferred_role = 'p', mode = 'n', status = 'u', port = 7, hostname = 'new', address = 'new', datadir = '/it''s'";
        assert_eq!(plan.statements[2], format!("UPDATE pg_catalog.gp_segment_configuration {set} WHERE dbid = 1"));
        assert_eq!(plan.statements.len(), 4);
        assert_eq!(plan.removed[0].replica().hostname, "c");
    }

    /// The mirror had taken over when the backup's restore point was made, but the directory is the old primary's.
    #[test]
    fn the_row_of_the_restored_directory_stays() {
        let old = [present(1, -1, "p", 1, "a"), present(2, 0, "m", 2, "b"), present(3, 0, "p", 3, "c")];
        let plan = plan(&old, &[row(-1, None), row(0, Some(2))], &[]).unwrap();
        assert!(plan.statements[0].ends_with("dbid = 3") && plan.statements[2].ends_with("WHERE dbid = 2"));
    }

    #[test]
    fn what_is_right_is_left_and_what_does_not_fit_is_refused() {
        let mut right = present(1, -1, "p", 7, "new");
        right.text[7] = "/it's".to_owned();
        assert!(plan(&[right.clone()], &[row(-1, None)], &[]).unwrap().statements.is_empty());
        assert!(plan(&[right.clone()], &[row(-1, None), row(0, None)], &[]).is_err());
        assert!(plan(&[right.clone(), present(2, 0, "p", 2, "b")], &[row(-1, None)], &[]).is_err());
        // A replica made since stays where it is named, and is no mirror of elsewhere.
        let mirror = present(2, -1, "m", 2, "b");
        let named = mirror.replica();
        assert!(
            plan(&[right.clone(), mirror.clone()], &[row(-1, None)], std::slice::from_ref(&named))
                .unwrap()
                .removed
                .is_empty()
        );
        let elsewhere = Replica { port: 3, ..named };
        assert_eq!(plan(&[right, mirror.clone()], &[row(-1, None)], &[elsewhere]).unwrap().removed, [mirror]);
    }
}
