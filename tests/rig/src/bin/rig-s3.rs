//! `rig-s3 DIRECTORY HOLD_FILE`: serves a directory as S3 on a free port of 127.0.0.1 and prints `port <number>`.
//! Folders of the directory are buckets. The keys come from RIG_S3_ACCESS_KEY and RIG_S3_SECRET_KEY. Ends with SIGTERM.
//!
//! A request whose line (`PUT /bucket/key?query`) holds the text of a line of HOLD_FILE, where `*` stands for anything,
//! waits until that line is gone, and `held <request>` is printed. A client that hangs up meanwhile has asked for nothing.
//! A number and a blank before the text, as in `3 DELETE *`, let the first two such requests pass.
//! Where the line begins with `!`, the request is answered with an internal error instead, and `failed <request>` is printed.

use std::collections::HashMap;
use std::error::Error;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s::{S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

/// Between two looks into the hold file.
const LOOK: Duration = Duration::from_millis(10);

/// Lets requests with a key pass, when nothing holds them.
struct Gate {
    holds: PathBuf,
    /// Requests so far that each numbered line of the file speaks of.
    counts: Mutex<HashMap<String, usize>>,
}

impl Gate {
    /// The line that holds a request that has just come.
    fn holder(&self, request: &str) -> Option<String> {
        let holds = self.lines();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|line, _| holds.contains(line));
        holds.into_iter().find(|line| {
            let (number, text) = numbered(line);
            if line.starts_with('!') || !matches(request, text) {
                return false;
            }
            let count = counts.entry(line.clone()).or_default();
            *count += 1;
            *count >= number
        })
    }

    fn fails(&self, request: &str) -> bool {
        self.lines().iter().filter_map(|line| line.strip_prefix('!')).any(|text| matches(request, text))
    }

    fn lines(&self) -> Vec<String> {
        let holds = std::fs::read_to_string(&self.holds).unwrap_or_default();
        holds.lines().map(str::to_string).collect()
    }
}

fn numbered(line: &str) -> (usize, &str) {
    let parts = line.split_once(' ').and_then(|(number, text)| Some((number.parse().ok()?, text)));
    parts.unwrap_or((1, line))
}

/// True if the pieces of `text` between its `*` stand in `request` in this order.
fn matches(request: &str, text: &str) -> bool {
    let mut rest = Some(request);
    for piece in text.split('*') {
        rest = rest.and_then(|rest| rest.split_once(piece)).map(|(_, after)| after);
    }
    rest.is_some()
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        if request.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "a key is required"));
        }
        let line = format!("{} {}", request.method(), request.uri());
        println!("asked {line}");
        if let Some(holder) = self.holder(&line) {
            println!("held {line}");
            while self.lines().contains(&holder) {
                tokio::time::sleep(LOOK).await;
            }
        }
        if self.fails(&line) {
            println!("failed {line}");
            return Err(s3_error!(InternalError, "as asked"));
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, holds] = &args[..] else {
        return Err("usage: rig-s3 DIRECTORY HOLD_FILE".into());
    };
    let files = FileSystem::new(root).map_err(|e| format!("cannot serve {root}: {e:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    let key = |name| std::env::var(name).map_err(|_| format!("{name} is not set"));
    builder.set_auth(SimpleAuth::from_single(key("RIG_S3_ACCESS_KEY")?, key("RIG_S3_SECRET_KEY")?));
    builder.set_access(Gate { holds: holds.into(), counts: Mutex::default() });
    let service = builder.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("port {}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            if let Err(e) = server.serve_connection(TokioIo::new(socket), service).await {
                eprintln!("connection: {e}");
            }
        });
    }
}
