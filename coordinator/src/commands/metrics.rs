//! `metrics`: the state of backups and archives for a monitoring system, as a file or over HTTP.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use coordinator::catalog::{Backups, RestorePoints};
use coordinator::openmetrics::{self, Archive, Facts};
use formats::{ContentId, Timestamp, layout};
use futures::stream::{self, StreamExt};
use pgclient::Server;
use pgdata::{Lsn, SegmentSize, WalName};
use segment_agent::proofs;
use segment_agent::repository::Repository;
use segment_agent::wal::{self, Contents};
use segment_agent::work::connect_options;
use storage::ObjectInfo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::backup_list::cannot_print;
use crate::cluster::{Cluster, Node};
use crate::error::{Error, Result};
use crate::session::Session;

/// Largest head of a request, and how long a client may take for it.
const HEAD_BYTES: usize = 8 << 10;
const CLIENT_LIMIT: Duration = Duration::from_secs(10);
/// Servers asked at once.
const CONNECTIONS: usize = 16;
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Tell the age, number, sizes and proofs of backups, and lag and holes of every segment's archive, as OpenMetrics text
///
/// Without a flag the text is printed. What the servers alone know is left out where they cannot be asked.
#[derive(Debug, Args)]
pub struct Metrics {
    /// Write this file, all at once; for node_exporter's textfile collector, in its directory and with a name that ends in .prom
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Serve GET /metrics at this address until interrupted, without encryption or passwords: 127.0.0.1:9699
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "output")]
    listen: Option<String>,
}

pub async fn run(session: &Session, arguments: Metrics) -> Result<()> {
    if let Some(address) = &arguments.listen {
        return serve(session, address).await;
    }
    let text = openmetrics::text(&gather(session).await?);
    match &arguments.output {
        Some(path) => write_whole(path, &text),
        None => std::io::stdout().lock().write_all(text.as_bytes()).map_err(cannot_print),
    }
}

async fn gather(session: &Session) -> Result<Facts> {
    let repository = session.repository()?;
    let store = repository.store();
    let backups = Backups::load(store).await?.details().await;
    let points = RestorePoints::load(store).await?;
    let proofs = proofs::newest(&repository).await?;
    let positions = match positions(session).await {
        Ok(positions) => Some(positions),
        Err(error) => {
            tracing::info!("the cluster cannot be asked: {error}");
            None
        }
    };
    let contents = match &positions {
        Some(positions) => positions.keys().copied().collect(),
        None => contents_of_storage(&repository).await?,
    };
    let mut archives = BTreeMap::new();
    for content in contents {
        let mut archive = archive(session, &repository.segment(content)).await?;
        let position = positions.as_ref().and_then(|positions| *positions.get(&content)?);
        archive.lag_bytes = position.map(|lsn| lsn.0.saturating_sub(archive.newest_end.unwrap_or(0)));
        archives.insert(content, archive);
    }
    Ok(Facts {
        now: Timestamp::from(chrono::Utc::now()),
        unreadable_backups: backups.unreadable.len(),
        backups: backups.found,
        proofs,
        restore_points: points.entries().len(),
        archives,
        cluster_up: positions.is_some(),
    })
}

/// Up to where every server has written its log; nothing for one that cannot be asked.
async fn positions(session: &Session) -> Result<BTreeMap<ContentId, Option<Lsn>>> {
    let cluster = Cluster::discover(&session.settings).await?;
    let options = connect_options(&session.settings)?;
    let ask = |node: Node| {
        let options = options.clone().with_host(&node.hostname).with_port(node.port);
        async move {
            let position = async { Server::connect_segment(&options).await?.wal_position().await };
            let position = position.await.inspect_err(|error| {
                tracing::info!("content {} on host {} cannot be asked: {error}", node.content, node.hostname);
            });
            (node.content, position.ok())
        }
    };
    Ok(stream::iter(cluster.nodes).map(ask).buffer_unordered(CONNECTIONS).collect().await)
}

async fn contents_of_storage(repository: &Repository) -> Result<Vec<ContentId>> {
    // Any segment's part stands below the root that all of them have in common.
    let folders = repository.root().list_folder(layout::SEGMENTS).await?.folders;
    Ok(folders.iter().filter_map(|folder| layout::content_of_segment_folder(folder)).collect())
}

async fn archive(session: &Session, repository: &Repository) -> Result<Archive> {
    let objects = repository.store().list_folder(layout::WAL).await?.objects;
    let objects: Vec<_> = objects.into_iter().filter(|object| object.size > 0).collect();
    let names: Vec<_> = objects.iter().map(|object| file_name(object).to_owned()).collect();
    let size = wal::segment_size(&session.settings, repository, &names).await?;
    Ok(describe(&objects, &Contents::of_names(names.iter().map(String::as_str), size)?, size))
}

fn file_name(object: &ObjectInfo) -> &str {
    object.key.rsplit('/').next().unwrap_or(&object.key)
}

fn describe(objects: &[ObjectInfo], contents: &Contents, size: SegmentSize) -> Archive {
    let mut by_timeline = BTreeMap::<_, Vec<u64>>::new();
    for WalName { timeline, segment } in &contents.segments {
        by_timeline.entry(*timeline).or_default().push(*segment);
    }
    let holes = |segments: &Vec<u64>| segments.windows(2).map(|pair| pair[1] - pair[0] - 1).sum::<u64>();
    let newest = by_timeline.values().next_back().and_then(|segments| segments.last().copied());
    let is_segment =
        |object: &&ObjectInfo| file_name(object).get(..24).is_some_and(|name| WalName::parse(name, size).is_ok());
    Archive {
        files: contents.segments.len() as u64,
        missing_files: by_timeline.values().map(holes).sum(),
        newest_stored: objects.iter().filter(is_segment).map(|object| Timestamp::from(object.modified)).max(),
        newest_end: newest.map(|segment| size.start_of(segment + 1).0),
        lag_bytes: None,
    }
}

/// Under a temporary name first, so that a reader never sees a part.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        let what = format!("writing the metrics to {}: {source}", path.display());
        Error::refused(what, "give a path with --output whose directory exists and may be written by this user")
    })
}

async fn serve(session: &Session, address: &str) -> Result<()> {
    let bound = TcpListener::bind(address).await.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (at, listener) = bound.map_err(|source| {
        let what = format!("listening on {address}: {source}");
        Error::refused(what, "give an address of this host and a free port, such as 127.0.0.1:9699")
    })?;
    tracing::info!("serving http://{at}/metrics");
    loop {
        let client = tokio::select! {
            client = listener.accept() => client,
            // Being told to end is how it ends.
            () = session.cancel.cancelled() => return Ok(()),
        };
        match client {
            Ok((client, _)) => {
                let answered = tokio::select! {
                    answered = answer(session, client) => answered,
                    () = session.cancel.cancelled() => return Ok(()),
                };
                if let Err(error) = answered {
                    tracing::info!("answering a request for metrics: {error}");
                }
            }
            Err(error) => {
                tracing::warn!("accepting a request for metrics: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(session: &Session, mut client: TcpStream) -> std::io::Result<()> {
    let timed_out = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    let head = tokio::time::timeout(CLIENT_LIMIT, read_head(&mut client)).await.map_err(timed_out)??;
    let mut words = head.split_ascii_whitespace();
    let (status, kind, body) = match (words.next(), words.next().map(|path| path.split('?').next().unwrap_or(path))) {
        (Some("GET"), Some("/metrics")) => match gather(session).await {
            Ok(facts) => ("200 OK", CONTENT_TYPE, openmetrics::text(&facts)),
            Err(error) => {
                tracing::error!("{error}");
                ("500 Internal Server Error", "text/plain", "the log of damson metrics tells why\n".to_owned())
            }
        },
        (Some("GET"), _) => ("404 Not Found", "text/plain", "there is nothing but /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "text/plain", "GET is answered, nothing else\n".to_owned()),
    };
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let sent = async {
        client.write_all(response.as_bytes()).await?;
        client.shutdown().await
    };
    tokio::time::timeout(CLIENT_LIMIT, sent).await.map_err(timed_out)?
}

async fn read_head(client: &mut TcpStream) -> std::io::Result<String> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while head.len() < HEAD_BYTES && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut buffer).await? {
            0 => break,
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_the_end_of_an_archive() {
        let object = |name: &str| ObjectInfo {
            key: format!("wal_005/{name}.zst"),
            size: 1,
            modified: chrono::DateTime::from_timestamp(name.len() as i64, 0).unwrap(),
        };
        let names = [
            "000000010000000000000002",
            "000000010000000000000005",
            "000000020000000000000006",
            "00000002.history",
            "000000020000000000000006.00000028.backup",
        ];
        let objects: Vec<_> = names.iter().map(|name| object(name)).collect();
        let size = SegmentSize::new(16 << 20).unwrap();
        let contents = Contents::of_names(objects.iter().map(file_name), size).unwrap();
        let archive = describe(&objects, &contents, size);
        assert_eq!((archive.files, archive.missing_files, archive.newest_end), (3, 2, Some(7 * (16 << 20))));
        assert_eq!(describe(&[], &Contents::default(), size), Archive::default());
    }
}
