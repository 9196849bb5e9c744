//! `rig-s3 DIRECTORY HOLD_FILE`: serves a directory as S3 on a free port of 127.0.0.1 and prints `port <number>`.
//! Folders of the directory are buckets. The keys come from RIG_S3_ACCESS_KEY and RIG_S3_SECRET_KEY. Ends with SIGTERM.
//!
//! A request whose line (`PUT /bucket/key?query`) holds the text of a line of HOLD_FILE, where `*` stands for anything,
//! waits until that line is gone, and `held <request>` is printed. A client that hangs up meanwhile has asked for nothing.

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::PathBuf;
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
}

impl Gate {
    fn holds(&self, request: &str) -> bool {
        let holds = std::fs::read_to_string(&self.holds).unwrap_or_default();
        holds.lines().any(|text| matches(request, text))
    }
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
        if self.holds(&line) {
            println!("held {line}");
            while self.holds(&line) {
                tokio::time::sleep(LOOK).await;
            }
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
    builder.set_access(Gate { holds: holds.into() });
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
