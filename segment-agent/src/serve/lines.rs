//! Messages as lines: one JSON document each, ended by a newline.

use std::io::{Error, ErrorKind};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest line that is read. The largest real message carries a pg_hba.conf.
const LINE_LIMIT_BYTES: u64 = 64 << 20;

/// The next message; `None` at the end of the input. A line cut off by the end of the input counts as the end.
///
/// Errors are `InvalidData` for a line that is no message of this type, otherwise those of the input. Not safe to cancel.
pub async fn read_message<T: DeserializeOwned>(input: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<T>> {
    let mut line = Vec::new();
    input.take(LINE_LIMIT_BYTES).read_until(b'\n', &mut line).await?;
    if line.last() != Some(&b'\n') {
        if line.len() as u64 == LINE_LIMIT_BYTES {
            return Err(Error::new(ErrorKind::InvalidData, format!("a line of more than {LINE_LIMIT_BYTES} bytes")));
        }
        return Ok(None);
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// Sends one message and flushes.
pub async fn write_message<T: Serialize>(output: &mut (impl AsyncWrite + Unpin), message: &T) -> std::io::Result<()> {
    let mut line = Vec::new();
    append_message(&mut line, message)?;
    output.write_all(&line).await?;
    output.flush().await
}

/// Adds one message to `lines`.
pub(super) fn append_message<T: Serialize>(lines: &mut Vec<u8>, message: &T) -> std::io::Result<()> {
    serde_json::to_writer(&mut *lines, message)?;
    lines.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use formats::wire::Request;

    use super::*;

    #[tokio::test]
    async fn a_line_is_a_message_and_a_torn_line_is_the_end() {
        let mut input: &[u8] = b"\"heartbeat\"\n\"cancel\"\n\"heartb";
        assert_eq!(read_message(&mut input).await.unwrap(), Some(Request::Heartbeat));
        assert_eq!(read_message(&mut input).await.unwrap(), Some(Request::Cancel));
        assert_eq!(read_message::<Request>(&mut input).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused() {
        for line in ["\n", "{}\n", "\"dance\"\n", "{\"attach\":{\"job\":\"a\"}}\n", "\u{0}\n"] {
            let error = read_message::<Request>(&mut line.as_bytes()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{line:?}");
        }
    }
}
