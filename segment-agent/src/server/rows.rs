//! Rows and sums of every permanent table of a segment.
//!
//! One snapshot a database. The sum of a row is a hash of its text, so that the order of rows does not matter; what text depends
//! on (dates, floating numbers, bytea) is set. A table that cannot be counted within the server's own statement_timeout, or that
//! was dropped meanwhile, is left out and told.

use formats::rows::TableRows;
use pgclient::{Server, quote_identifier};

use super::Place;
use crate::error::Result;

const SESSION: &str = "SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmloption = 'content'; SET search_path = pg_catalog; \
    SET lock_timeout = '10s'; SET client_encoding = 'UTF8'";

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Permanent tables of users with rows of their own, the auxiliary tables of append-optimized ones left out.
const TABLES: &str = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384 \
    AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'gp_toolkit') ";

/// Greenplum 6 keeps external tables among the ordinary ones.
const NOT_EXTERNAL: &str = "AND c.relstorage NOT IN ('x', 'v') ";

pub async fn count(place: &Place<'_>) -> Result<Vec<TableRows>> {
    place.monitor.phase("counting rows");
    let databases = place.connect().await?.databases().await?;
    let mut counted = Vec::new();
    for database in databases.iter().filter(|database| !database.name.starts_with("template")) {
        place.refuse_cancelled()?;
        let server = Server::connect_segment(&place.options()?.with_database(&database.name)).await?;
        server.rows("preparing to count rows", SESSION).await?;
        server.rows("beginning to count rows", SNAPSHOT).await?;
        let external = if server.has_relstorage().await? { NOT_EXTERNAL } else { "" };
        let tables = server.rows("listing the tables", &format!("{TABLES}{external}ORDER BY 1, 2")).await?;
        for row in tables {
            place.refuse_cancelled()?;
            let mut columns = row.into_iter().map(Option::unwrap_or_default);
            let (schema, table) = (columns.next().unwrap_or_default(), columns.next().unwrap_or_default());
            match count_table(&server, &schema, &table).await? {
                Ok((rows, sum)) => {
                    counted.push(TableRows { database: database.name.clone(), schema, table, rows, sum });
                }
                Err(why) => place.monitor.warn(format!("{}: {schema}.{table} was not counted: {why}", database.name)),
            }
        }
        server.rows("ending the count", "COMMIT").await?;
    }
    Ok(counted)
}

/// The inner error concerns this table alone.
async fn count_table(server: &Server, schema: &str, table: &str) -> Result<Result<(u64, String), pgclient::Error>> {
    let (schema, table) = (quote_identifier(schema), quote_identifier(table));
    let sql =
        format!("SELECT count(*), coalesce(sum(hashtext(t::text)::bigint), 0)::text FROM ONLY {schema}.{table} AS t");
    server.rows("counting rows", "SAVEPOINT one").await?;
    let counted = server.rows("counting rows", &sql).await;
    match counted {
        Ok(rows) => {
            server.rows("counting rows", "RELEASE SAVEPOINT one").await?;
            let mut columns = rows.into_iter().next().unwrap_or_default().into_iter().map(Option::unwrap_or_default);
            let rows = columns.next().unwrap_or_default().parse().unwrap_or_default();
            Ok(Ok((rows, columns.next().unwrap_or_default())))
        }
        Err(error @ pgclient::Error::Query { .. }) => {
            server.rows("counting rows", "ROLLBACK TO SAVEPOINT one").await?;
            Ok(Err(error))
        }
        Err(error) => Err(error.into()),
    }
}
