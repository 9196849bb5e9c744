//! WAL position, timeline, switching.

use pgdata::{Lsn, SegmentSize, SystemIdentifier, TimelineId};

use crate::{Error, Server};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchedWal {
    pub timeline: TimelineId,
    /// End of the closed WAL file's content.
    pub lsn: Lsn,
    /// WAL file that was closed; if nothing was written since the last switch, the one closed then (by the server's
    /// version, the next).
    pub file_name: String,
}

impl Server {
    /// Closes the current WAL file. On a primary only.
    pub async fn switch_wal(&self) -> Result<SwitchedWal, Error> {
        let what = "switching the WAL file";
        let wal = self.capabilities().wal;
        let sql =
            format!("SELECT lsn::text, pg_catalog.{}(lsn) FROM pg_catalog.{}() AS lsn", wal.file_name, wal.switch);
        let row = self.only_row(what, &sql, 2).await?;
        let mut columns = row.into_iter();
        let lsn = self.parsed(what, columns.next().flatten())?;
        let file_name: String = self.parsed(what, columns.next().flatten())?;
        Ok(SwitchedWal { timeline: self.timeline_of(what, &file_name)?, lsn, file_name })
    }

    /// Up to where WAL was written; on a standby received, or replayed where it comes from the archive alone.
    pub async fn wal_position(&self) -> Result<Lsn, Error> {
        let what = "asking for the WAL position";
        let wal = self.capabilities().wal;
        let sql = if self.in_recovery().await? {
            let (received, replayed) = (wal.receive_position, wal.replay_position);
            format!("SELECT coalesce(pg_catalog.{received}(), pg_catalog.{replayed}())::text")
        } else {
            format!("SELECT pg_catalog.{}()::text", wal.insert_position)
        };
        self.parsed(what, self.value(what, &sql).await?)
    }

    /// The timeline that WAL is written on; on a standby that of the last restart point. A standby before 9.6 cannot say.
    pub async fn timeline(&self) -> Result<TimelineId, Error> {
        let what = "asking for the timeline";
        let capabilities = self.capabilities();
        // pg_control lags behind a promotion, so a primary is asked for the name of its current WAL file.
        if !self.in_recovery().await? {
            let wal = capabilities.wal;
            let sql = format!("SELECT pg_catalog.{}(pg_catalog.{}())", wal.file_name, wal.insert_position);
            let name: String = self.parsed(what, self.value(what, &sql).await?)?;
            return self.timeline_of(what, &name);
        }
        if !capabilities.has_control_functions {
            return Err(Error::Unsupported {
                what: what.to_owned(),
                address: self.address.clone(),
                version: self.version_num,
                reason: "a standby of this version does not tell it".to_owned(),
            });
        }
        let value = self.value(what, "SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()").await?;
        Ok(TimelineId(self.parsed(what, value)?))
    }

    /// `None` where the server cannot tell (before 9.6: read `pg_control`).
    pub async fn system_identifier(&self) -> Result<Option<SystemIdentifier>, Error> {
        if !self.capabilities().has_control_functions {
            return Ok(None);
        }
        let what = "asking for the system identifier";
        let value = self.value(what, "SELECT system_identifier FROM pg_catalog.pg_control_system()").await?;
        // A bigint there, an unsigned number on disk.
        let signed: i64 = self.parsed(what, value)?;
        Ok(Some(SystemIdentifier(signed.cast_unsigned())))
    }

    pub async fn wal_segment_size(&self) -> Result<SegmentSize, Error> {
        let what = "asking for the WAL segment size";
        let sql = "SELECT setting, unit FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'";
        let row = self.only_row(what, sql, 2).await?;
        let mut columns = row.into_iter();
        let count: u64 = self.parsed(what, columns.next().flatten())?;
        let unit = columns.next().flatten().unwrap_or_default();
        let bytes = unit_bytes(&unit).and_then(|bytes| bytes.checked_mul(count));
        let bytes = bytes.ok_or_else(|| self.unexpected(what, format!("{count} of unit {unit:?}")))?;
        SegmentSize::new(bytes).map_err(|error| self.unexpected(what, error.to_string()))
    }

    pub(crate) fn timeline_of(&self, what: &str, wal_file_name: &str) -> Result<TimelineId, Error> {
        let digits = wal_file_name.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        digits.map(TimelineId).ok_or_else(|| self.unexpected(what, format!("WAL file name {wal_file_name:?}")))
    }
}

/// Bytes of a unit of pg_settings: `B`, `8kB`, `MB`.
fn unit_bytes(unit: &str) -> Option<u64> {
    let digits = unit.find(|c: char| !c.is_ascii_digit()).unwrap_or(unit.len());
    let (count, name) = unit.split_at(digits);
    let factor: u64 = match name {
        "" | "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    let count: u64 = if count.is_empty() { 1 } else { count.parse().ok()? };
    count.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::unit_bytes;

    #[test]
    fn units_of_pg_settings() {
        for (unit, bytes) in
            [("B", Some(1)), ("8kB", Some(8192)), ("32kB", Some(32768)), ("MB", Some(1 << 20)), ("ms", None)]
        {
            assert_eq!(unit_bytes(unit), bytes, "{unit}");
        }
    }
}
