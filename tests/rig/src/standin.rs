//! What makes a PostgreSQL server answer as Greenplum does, so that the product runs the same SQL against both.
//!
//! Every statement stands on one line: the template is made in single-user mode, which ends a statement at the newline.

/// Which product `version()` names. The functions lie in the schema where that product has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flavor {
    #[default]
    Greenplum7,
    Cloudberry2,
    /// Not a stand-in: a plain PostgreSQL server without any of this.
    PostgreSql,
}

impl Flavor {
    /// The answer of `version()`.
    pub fn version(self) -> &'static str {
        match self {
            Flavor::Greenplum7 => {
                "PostgreSQL 12.12 (Greenplum Database 7.1.0 build commit:0000000) on x86_64-pc-linux-gnu, compiled by \
                 gcc (GCC) 8.5.0, 64-bit compiled on Jan 1 2024 00:00:00"
            }
            Flavor::Cloudberry2 => {
                "PostgreSQL 14.4 (Apache Cloudberry 2.0.0 build 1) on x86_64-pc-linux-gnu, compiled by gcc (GCC) \
                 11.4.0, 64-bit compiled on Jan 1 2025 00:00:00"
            }
            Flavor::PostgreSql => "",
        }
    }

    /// Statements for each database of the template, one a line.
    pub(crate) fn statements(self) -> Vec<String> {
        if self == Flavor::PostgreSql {
            return Vec::new();
        }
        let version = self.version();
        let mut statements = vec![
            "create extension dblink".to_string(),
            format!(
                "create or replace function pg_catalog.version() returns text language sql stable as \
                 $$select '{version}'::text$$"
            ),
            "create table pg_catalog.gp_segment_configuration(dbid int2, content int2, role \"char\", \
             preferred_role \"char\", mode \"char\", status \"char\", port int4, hostname text, address text, \
             datadir text)"
                .to_string(),
            "grant select on pg_catalog.gp_segment_configuration to public".to_string(),
            restore_point_function(),
            probe_function(),
            distributed_function(),
        ];
        statements.extend(append_optimized());
        if self == Flavor::Cloudberry2 {
            statements.extend(pax());
        }
        statements
    }
}

/// The catalog of append-optimized tables. Their storage is not there: [`crate::AoTable`] writes files and rows.
fn append_optimized() -> Vec<String> {
    let answers = [
        (
            "__gp_aoseg",
            "segment_id int, segno int, eof bigint, tupcount bigint, modcount bigint",
            "-1, segno, eof, 0::bigint, modcount",
        ),
        (
            "__gp_aocsseg",
            "segment_id int, segno int, column_num smallint, physical_segno int, eof bigint, modcount bigint",
            "-1, segno % 128, (segno / 128)::smallint, segno, eof, modcount",
        ),
    ];
    let functions = answers.map(|(name, columns, values)| {
        format!(
            "create function gp_toolkit.{name}(regclass) returns table({columns}) language plpgsql as $$ \
             declare segments regclass; begin \
             select segrelid into strict segments from pg_catalog.pg_appendonly where relid = $1; \
             return query execute 'select {values} from ' || segments; end $$"
        )
    });
    let fixed = [
        "create access method ao_row type table handler heap_tableam_handler",
        "create access method ao_column type table handler heap_tableam_handler",
        "create schema pg_aoseg",
        "create schema gp_toolkit",
        "create table pg_catalog.pg_appendonly(relid oid, columnstore bool, segrelid oid, blkdirrelid oid, visimaprelid oid)",
        "grant select on pg_catalog.pg_appendonly to public",
    ];
    fixed.map(str::to_string).into_iter().chain(functions).collect()
}

/// The catalog of PAX tables; [`crate::PaxTable`] writes files and rows.
fn pax() -> Vec<String> {
    let fixed = [
        "create access method pax type table handler heap_tableam_handler",
        "create schema pg_ext_aux",
        "create table pg_ext_aux.pg_pax_tables(relid oid, auxrelid oid)",
    ];
    fixed.map(str::to_string).to_vec()
}

/// Reaches every primary that the catalog names, as a distributed query does; a row for each.
fn distributed_function() -> String {
    "create function pg_catalog.gp_dist_random(text) returns table(gp_segment_id int2) language plpgsql volatile as $$ \
     declare node record; \
     begin \
       for node in select content, port, address from pg_catalog.gp_segment_configuration where role = 'p' \
         and content >= 0 order by content loop \
         select content into gp_segment_id from public.dblink( \
           format('host=%s port=%s dbname=postgres user=%s', node.address, node.port, session_user), \
           format('select %s', node.content)) as answer(content int2); \
         return next; \
       end loop; \
     end $$"
        .to_string()
}

/// Asks every primary whether a mirror is fed, as the coordinator's fault tolerance service does.
fn probe_function() -> String {
    "create function pg_catalog.gp_request_fts_probe_scan() returns bool language plpgsql volatile as $$ \
     declare node record; fed bool; \
     begin \
       for node in select content, port, address from pg_catalog.gp_segment_configuration where role = 'p' \
         and content >= 0 order by content loop \
         select n into fed from public.dblink( \
           format('host=%s port=%s dbname=postgres user=%s', node.address, node.port, session_user), \
           'select count(*) > 0 from pg_stat_replication where state = ''streaming''') as answer(n bool); \
         update pg_catalog.gp_segment_configuration set mode = case when fed then 's' else 'n' end, \
           status = case when fed or role = 'p' then 'u' else 'd' end where content = node.content; \
       end loop; \
       return true; \
     end $$"
        .to_string()
}

/// Creates the point on every primary through dblink and on the coordinator itself; rows read `(content,LSN)`.
fn restore_point_function() -> String {
    "create function pg_catalog.gp_create_restore_point(text) \
     returns table(segment_id int2, restore_lsn pg_lsn) language plpgsql volatile as $$ \
     declare node record; \
     begin \
       for node in select content, port, address from pg_catalog.gp_segment_configuration where role = 'p' \
         order by content loop \
         segment_id := node.content; \
         if node.content = -1 then \
           restore_lsn := pg_create_restore_point($1); \
         else \
           select lsn into restore_lsn from public.dblink( \
             format('host=%s port=%s dbname=postgres user=%s', node.address, node.port, session_user), \
             format('select pg_create_restore_point(%L)', $1)) as answer(lsn pg_lsn); \
         end if; \
         return next; \
       end loop; \
     end $$"
        .to_string()
}
