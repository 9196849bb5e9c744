//! A connection to `serve` in this process.

use std::path::Path;

use formats::wire::{Event, JournalEntry, PROTOCOL_VERSION, Reply, Request};
use segment_agent::error::Result;
use segment_agent::serve::{JobDirectory, StateDirectory, read_message, serve, write_message};
use tokio::io::{BufReader, DuplexStream, ReadHalf, WriteHalf};

use super::{LIMIT, attach, entry_of};

/// The coordinator's end of a connection to `serve` in this process.
pub struct Line {
    pub input: BufReader<ReadHalf<DuplexStream>>,
    pub output: WriteHalf<DuplexStream>,
    pub served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Line {
    /// Jobs started here are run by `launch`.
    pub async fn open(
        state: &Path,
        buffer: usize,
        launch: impl FnOnce(&JobDirectory) -> Result<()> + Send + 'static,
    ) -> Self {
        let (ours, theirs) = tokio::io::duplex(buffer);
        let (their_input, their_output) = tokio::io::split(theirs);
        let state = StateDirectory::new(state);
        let served = tokio::spawn(async move { serve(their_input, their_output, &state, launch).await });
        let (input, output) = tokio::io::split(ours);
        let mut line = Self { input: BufReader::new(input), output, served };
        let Some(Reply::Hello { protocol, .. }) = line.next().await else { panic!("no greeting") };
        assert_eq!(protocol, PROTOCOL_VERSION);
        line
    }

    /// A connection that starts no job.
    pub async fn attach_to(state: &Path, id: &str, from: u64) -> Self {
        let mut line = Self::open(state, 1 << 16, |_| panic!("nothing to start")).await;
        line.send(&attach(id, from)).await;
        line
    }

    pub async fn send(&mut self, request: &Request) {
        write_message(&mut self.output, request).await.unwrap();
    }

    pub async fn next(&mut self) -> Option<Reply> {
        tokio::time::timeout(LIMIT, read_message(&mut self.input)).await.unwrap().unwrap()
    }

    /// The next event; signs of life are passed over.
    pub async fn event(&mut self) -> JournalEntry {
        loop {
            match self.next().await.expect("an event, not the end") {
                Reply::Alive => {}
                reply => return entry_of(reply),
            }
        }
    }

    /// Everything up to the last event, after which the agent ends the connection.
    pub async fn events_to_the_end(&mut self) -> Vec<JournalEntry> {
        let mut events = vec![self.event().await];
        while !matches!(events.last().unwrap().event, Event::Finished { .. }) {
            events.push(self.event().await);
        }
        assert_eq!(self.next().await, None);
        events
    }
}
