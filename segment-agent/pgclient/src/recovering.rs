//! Questions to a server that recovers, or that has just done so.

use pgdata::Lsn;

use crate::{Error, Server, quote_literal};

/// SQLSTATEs of a function and of a table that are not there.
const UNDEFINED: [&str; 2] = ["42883", "42P01"];

impl Server {
    /// How far a standby has replayed; `None` before it begins.
    pub async fn replayed(&self) -> Result<Option<Lsn>, Error> {
        let what = "asking how far recovery is";
        let value = self.value(what, &format!("SELECT pg_catalog.{}()", self.capabilities().wal.replayed)).await?;
        value.map(|text| self.parsed(what, Some(text))).transpose()
    }

    /// Whether recovery has stopped at its target and waits to be told what to do. On a standby only.
    pub async fn is_replay_paused(&self) -> Result<bool, Error> {
        let what = "asking whether recovery is paused";
        let value = self.value(what, &format!("SELECT pg_catalog.{}()", self.capabilities().wal.is_paused)).await?;
        self.truth(what, value)
    }

    /// How many primaries a distributed query of the coordinator reaches; `None` if the server has no such queries.
    pub async fn reached_primaries(&self) -> Result<Option<u32>, Error> {
        let what = "asking all primaries at once";
        let sql = "SELECT count(DISTINCT gp_segment_id) FROM gp_dist_random('gp_id')";
        match self.value(what, sql).await {
            Err(Error::Query { sqlstate, .. }) if UNDEFINED.contains(&sqlstate.as_str()) => Ok(None),
            value => self.parsed(what, value?).map(Some),
        }
    }

    /// Lets the coordinator look at its mirrors now, where the server can be asked to.
    pub async fn probe_mirrors(&self) -> Result<(), Error> {
        match self.value("asking for a look at the mirrors", "SELECT gp_request_fts_probe_scan()").await {
            Err(Error::Query { sqlstate, .. }) if UNDEFINED.contains(&sqlstate.as_str()) => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Makes a physical replication slot, unless it is there.
    pub async fn ensure_replication_slot(&self, name: &str) -> Result<(), Error> {
        let name = quote_literal(name);
        let sql = format!(
            "SELECT pg_catalog.pg_create_physical_replication_slot({name}) \
             WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = {name})"
        );
        self.rows("making a replication slot", &sql).await.map(drop)
    }

    /// State of the replica that uses a slot (`catchup`, `streaming`, ...); `None` if none does.
    pub async fn replication_state(&self, slot: &str) -> Result<Option<String>, Error> {
        let sql = format!(
            "SELECT state FROM pg_catalog.pg_stat_replication WHERE state <> 'backup' AND EXISTS \
             (SELECT 1 FROM pg_catalog.pg_replication_slots WHERE active AND slot_name = {}) \
             ORDER BY state = 'streaming' DESC LIMIT 1",
            quote_literal(slot)
        );
        self.value("asking for the state of a replica", &sql).await
    }

    /// Whether `pg_class` has the column relstorage (Greenplum 6 and older).
    pub async fn has_relstorage(&self) -> Result<bool, Error> {
        let sql = "SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                   AND attname = 'relstorage'";
        Ok(self.value("asking for the columns of pg_class", sql).await?.is_some())
    }
}
