//! Rows to back up, and their sums to compare after a restore.

use crate::{Cluster, Server, sql, sql_in};

/// Fills every server with tables of its own: a heap table with an index, a wide (TOASTed) table, an odd name, an
/// unlogged table, and a second database. Rows differ from server to server.
pub fn load(cluster: &Cluster) {
    for server in &cluster.servers {
        let seed = server.content + 2;
        sql(server, "create database db2");
        sql(
            server,
            &format!(
                "create table heap_t(a int primary key, b text);
                 insert into heap_t select g, md5((g * {seed})::text) from generate_series(1, 20000) g;
                 create table wide_t(a int, b text);
                 insert into wide_t select g, (select string_agg(md5((g * {seed} + i)::text), '')
                   from generate_series(1, 200) i) from generate_series(1, 100) g;
                 create schema \"Odd.Schema\";
                 create table \"Odd.Schema\".\"Mixed Table\"(a int, b text, c bigint);
                 insert into \"Odd.Schema\".\"Mixed Table\" select g, 'ü' || g, 7 * g from generate_series(1, 500) g;
                 create unlogged table unlogged_t as select generate_series(1, 100) a;"
            ),
        );
        sql_in(server, "db2", &format!("create table t2 as select g a, g * {seed} b from generate_series(1, 5000) g"));
    }
}

/// Changes what [`load`] made, on every server, as damage that a restore must undo.
pub fn damage(cluster: &Cluster) {
    for server in &cluster.servers {
        sql(server, "truncate heap_t; delete from wide_t where a % 2 = 0; drop schema \"Odd.Schema\" cascade");
        sql_in(server, "db2", "drop table t2");
    }
}

/// One line `database|schema.table|rows|md5 of the rows` for every permanent table outside the system's schemas.
pub fn row_sums(server: &Server) -> Vec<String> {
    let names = sql(server, "select datname from pg_database where datallowconn and datname !~ '^template' order by 1");
    let question = "select format('select current_database(), %L, count(*), md5(coalesce(string_agg(t::text, chr(10) \
                    order by t::text), '''')) from %I.%I t', nspname || '.' || relname, nspname, relname) \
                    from pg_class c join pg_namespace n on n.oid = relnamespace where relkind = 'r' \
                    and relpersistence = 'p' and nspname !~ '^(pg_|information_schema)' order by 1 \\gexec\n";
    names.lines().flat_map(|name| sums_of(server, name, question)).collect()
}

fn sums_of(server: &Server, database: &str, question: &str) -> Vec<String> {
    sql_in(server, database, question).lines().map(str::to_string).collect()
}
