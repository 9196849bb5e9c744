//! Standard input, read by a thread of its own a few pieces ahead, so that a wish to stop is heard while the writer is silent.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use segment_agent::error::{Error, Result};
use tokio_util::sync::CancellationToken;

const PIECE_BYTES: usize = 256 << 10;
const PIECES_AHEAD: usize = 4;

/// How often the wish to stop is looked for while nothing comes.
const PATIENCE: Duration = Duration::from_millis(200);

pub struct Input {
    pieces: Receiver<std::io::Result<Vec<u8>>>,
    cancel: CancellationToken,
}

impl Input {
    /// The thread ends with the input, or with the process.
    pub fn open(cancel: &CancellationToken) -> Self {
        let (filled, pieces) = sync_channel(PIECES_AHEAD);
        std::thread::spawn(move || feed(&filled));
        Self { pieces, cancel: cancel.clone() }
    }

    /// The next piece; nothing at the end.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(Ok(piece)) => return Ok(Some(piece)),
                Ok(Err(error)) => return Err(Error::file("reading", "standard input", error)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }
}

fn feed(filled: &SyncSender<std::io::Result<Vec<u8>>>) {
    let mut input = std::io::stdin().lock();
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        match segment_agent::bridge::read_full(&mut input, &mut piece) {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(count);
                if filled.send(Ok(piece)).is_err() {
                    return;
                }
            }
            Err(error) => {
                let _ = filled.send(Err(error));
                return;
            }
        }
    }
}
