//! A session and its queries.

use std::str::FromStr;
use std::time::Duration;

use futures::StreamExt as _;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::Severity;

use crate::connect::with_causes;
use crate::{Capabilities, Error, quote_literal};

/// Columns of one row as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// SQLSTATE of a run-time parameter that the server does not know.
const UNDEFINED_OBJECT: &str = "42704";

/// One session. Backup mode from PostgreSQL 9.6 on is bound to it: keep it from start to stop.
pub struct Server {
    pub(crate) client: tokio_postgres::Client,
    pub(crate) address: String,
    pub(crate) version_num: u32,
}

impl Server {
    /// `host:port` or the path of the socket.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `server_version_num`, such as 150019; 90426 is Greenplum 6.
    pub fn version_num(&self) -> u32 {
        self.version_num
    }

    pub fn capabilities(&self) -> Capabilities {
        Capabilities::of(self.version_num)
    }

    /// True once the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// One round trip: is the session alive?
    pub async fn ping(&self) -> Result<(), Error> {
        self.rows("checking the connection", "SELECT 1").await.map(drop)
    }

    /// Runs `sql`; the rows of its last statement. `what` says in an error what was asked: "listing databases".
    pub async fn rows(&self, what: &str, sql: &str) -> Result<Vec<Row>, Error> {
        let messages = self.client.simple_query(sql).await.map_err(|error| self.failure(what, &error))?;
        let mut rows = Vec::new();
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(_) => rows.clear(),
                SimpleQueryMessage::Row(row) => {
                    let text = |column| row.try_get(column).ok().flatten().map(str::to_owned);
                    rows.push((0..row.len()).map(text).collect());
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    /// Runs the query `sql` and hands each of its rows to `take` as it comes, so that many of them need little memory.
    pub async fn each_row(
        &self,
        what: &str,
        sql: &str,
        take: &mut impl FnMut(Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let answer = self.client.simple_query_raw(sql).await.map_err(|error| self.failure(what, &error))?;
        let mut answer = std::pin::pin!(answer);
        // After an error the rest of the answer must still be read, or the next one would begin with it.
        let mut taken = Ok(());
        while let Some(message) = answer.next().await {
            if let SimpleQueryMessage::Row(row) = message.map_err(|error| self.failure(what, &error))?
                && taken.is_ok()
            {
                let text = |column| row.try_get(column).ok().flatten().map(str::to_owned);
                taken = take((0..row.len()).map(text).collect());
            }
        }
        taken
    }

    /// Limit for later statements of the session; none removes it.
    pub async fn set_statement_timeout(&self, timeout: Option<Duration>) -> Result<(), Error> {
        // 0 would mean no limit.
        let millis = timeout.map_or(0, |timeout| timeout.as_millis().max(1).min(i32::MAX as u128));
        self.rows("setting the statement timeout", &format!("SET statement_timeout = {millis}")).await.map(drop)
    }

    /// A run-time parameter, as `SHOW` prints it; `None` if the server does not know it.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, Error> {
        let sql = format!("SELECT pg_catalog.current_setting({})", quote_literal(name));
        match self.value(&format!("asking for the setting {name}"), &sql).await {
            Err(Error::Query { sqlstate, .. }) if sqlstate == UNDEFINED_OBJECT => Ok(None),
            value => value,
        }
    }

    pub async fn in_recovery(&self) -> Result<bool, Error> {
        let what = "asking whether the server is a standby";
        let value = self.value(what, "SELECT pg_catalog.pg_is_in_recovery()").await?;
        self.truth(what, value)
    }

    /// First column of the first row.
    pub(crate) async fn value(&self, what: &str, sql: &str) -> Result<Option<String>, Error> {
        Ok(self.rows(what, sql).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// The only row, with exactly this many columns.
    pub(crate) async fn only_row(&self, what: &str, sql: &str, columns: usize) -> Result<Row, Error> {
        let mut rows = self.rows(what, sql).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) if row.len() == columns => Ok(row),
            (last, _) => {
                Err(self.unexpected(what, format!("{} rows instead of one", rows.len() + usize::from(last.is_some()))))
            }
        }
    }

    /// A column that must not be NULL.
    pub(crate) fn parsed<T: FromStr>(&self, what: &str, value: Option<String>) -> Result<T, Error> {
        let text = value.ok_or_else(|| self.unexpected(what, "NULL".to_owned()))?;
        text.parse().map_err(|_| self.unexpected(what, format!("{text:?}")))
    }

    pub(crate) fn truth(&self, what: &str, value: Option<String>) -> Result<bool, Error> {
        match value.as_deref() {
            Some("t") => Ok(true),
            Some("f") => Ok(false),
            other => Err(self.unexpected(what, format!("{other:?} instead of a boolean"))),
        }
    }

    pub(crate) fn unexpected(&self, what: &str, detail: String) -> Error {
        Error::Unexpected { what: what.to_owned(), address: self.address.clone(), detail }
    }

    fn failure(&self, what: &str, error: &tokio_postgres::Error) -> Error {
        let (what, address) = (what.to_owned(), self.address.clone());
        let Some(answer) = error.as_db_error() else {
            return Error::Lost { what, address, reason: with_causes(error) };
        };
        let message = [Some(answer.message()), answer.detail(), answer.hint()];
        let message = message.into_iter().flatten().collect::<Vec<_>>().join("; ");
        if matches!(answer.parsed_severity(), Some(Severity::Fatal | Severity::Panic)) {
            return Error::Lost { what, address, reason: message };
        }
        Error::Query { what, address, message, sqlstate: answer.code().code().to_owned() }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({}, version {})", self.address, self.version_num)
    }
}
