//! A session and its queries.

use crate::{Capabilities, ConnectOptions, Error};

/// Columns of one row as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// One session. Backup mode from PostgreSQL 9.6 on is bound to it: keep it from start to stop.
pub struct Server {
    pub(crate) client: tokio_postgres::Client,
    pub(crate) address: String,
    pub(crate) version_num: u32,
}

impl Server {
    /// Tries the hosts in order; the first that works.
    pub async fn connect(_options: &ConnectOptions) -> Result<Server, Error> {
        todo!()
    }

    /// A segment: as [`Server::connect`], then in utility mode with each of its two spellings; the first that works. A mode
    /// set in `options` is tried first.
    pub async fn connect_segment(_options: &ConnectOptions) -> Result<Server, Error> {
        todo!()
    }

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
        todo!()
    }

    /// Runs `sql`; the rows of its last statement. `what` says in an error what was asked: "listing databases".
    pub async fn rows(&self, _what: &str, _sql: &str) -> Result<Vec<Row>, Error> {
        todo!()
    }

    /// Limit for later statements of the session; none removes it.
    pub async fn set_statement_timeout(&self, _timeout: Option<std::time::Duration>) -> Result<(), Error> {
        todo!()
    }

    /// A run-time parameter (`SHOW name`); `None` if the server does not know it.
    pub async fn setting(&self, _name: &str) -> Result<Option<String>, Error> {
        todo!()
    }

    pub async fn in_recovery(&self) -> Result<bool, Error> {
        todo!()
    }
}
