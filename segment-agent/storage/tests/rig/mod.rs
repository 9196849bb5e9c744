//! A real S3 server in this process, and a proxy in front of it that breaks requests as told.

#![allow(dead_code)] // Each test binary uses a part of it.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use storage::{RetryPolicy, S3Credentials, S3Settings, Secret, StorageSettings, Store};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const PART_BYTES: usize = 5 << 20;

/// What the proxy does to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers itself: status and body.
    Answer(u16, String),
    /// Passes on so many bytes of the answer's body, then closes the connection.
    Cut(usize),
    /// Closes the connection before the server sees the request.
    Refuse,
    /// Lets the server do it and closes the connection without an answer.
    LoseAnswer,
}

struct Rule {
    pattern: String,
    fault: Fault,
    times: usize,
}

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    /// Head of each request.
    seen: Vec<String>,
}

pub struct S3Rig {
    pub directory: TempDir,
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl S3Rig {
    pub async fn start() -> S3Rig {
        let directory = TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("bucket")).unwrap();
        let server = serve(&directory).await;
        let script = Arc::new(Mutex::new(Script::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy_script = script.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let script = proxy_script.clone();
                tokio::spawn(async move {
                    let _ = pass_on(client, server, script).await;
                });
            }
        });
        S3Rig { directory, address, script }
    }

    /// Small parts and short waits.
    pub fn settings(&self) -> S3Settings {
        let mut settings = S3Settings::new("bucket", "folder/of/tests");
        settings.endpoint = Some(format!("http://{}", self.address));
        settings.credentials =
            Some(S3Credentials { key_id: "AKTEST".to_owned(), secret_key: Secret::new("SKTEST"), session_token: None });
        settings.part_size_bytes = PART_BYTES as u64;
        settings.retry = RetryPolicy {
            retries_max: 4,
            delay_min: Duration::from_millis(1),
            delay_max: Duration::from_millis(5),
            throttle_delay_min: Duration::from_millis(1),
            throttle_delay_max: Duration::from_millis(5),
            ..RetryPolicy::default()
        };
        settings
    }

    pub fn store(&self) -> Store {
        Store::open(&StorageSettings::S3(self.settings())).unwrap()
    }

    /// The next `times` requests whose "METHOD target" holds `pattern` fail so.
    pub fn fail(&self, pattern: &str, fault: Fault, times: usize) {
        self.script.lock().unwrap().rules.push(Rule { pattern: pattern.to_owned(), fault, times });
    }

    /// The heads of the requests so far whose "METHOD target" holds `pattern`.
    pub fn seen(&self, pattern: &str) -> Vec<String> {
        let script = self.script.lock().unwrap();
        script.seen.iter().filter(|head| request_line(head).contains(pattern)).cloned().collect()
    }

    /// Names of files that the server keeps for unfinished multipart uploads.
    pub fn unfinished(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(".upload")).collect()
    }
}

pub fn refusal(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>")
}

async fn serve(directory: &TempDir) -> SocketAddr {
    let files = s3s_fs::FileSystem::new(directory.path()).unwrap();
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single("AKTEST", "SKTEST"));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    address
}

/// One request, one connection: simple, and every answer ends with its connection.
async fn pass_on(mut client: TcpStream, server: SocketAddr, script: Arc<Mutex<Script>>) -> std::io::Result<()> {
    let (head, body) = read_request(&mut client).await?;
    let fault = next_fault(&script, &head);
    match &fault {
        Some(Fault::Refuse) => return Ok(()),
        Some(Fault::Answer(status, body)) => {
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            client.write_all(answer.as_bytes()).await?;
            return client.shutdown().await;
        }
        _ => {}
    }
    let mut upstream = TcpStream::connect(server).await?;
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    upstream.write_all(head.as_bytes()).await?;
    upstream.write_all(&body).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    let body_start = find(&answer, b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
    match fault {
        Some(Fault::Cut(bytes)) => answer.truncate((body_start + bytes).min(answer.len())),
        Some(Fault::LoseAnswer) => answer.clear(),
        _ => {}
    }
    client.write_all(&answer).await?;
    client.shutdown().await
}

fn request_line(head: &str) -> &str {
    head.split(" HTTP/").next().unwrap_or(head)
}

fn next_fault(script: &Mutex<Script>, head: &str) -> Option<Fault> {
    let mut script = script.lock().unwrap();
    script.seen.push(head.to_owned());
    let line = request_line(head);
    let rule = script.rules.iter_mut().find(|rule| rule.times > 0 && line.contains(&rule.pattern))?;
    rule.times -= 1;
    Some(rule.fault.clone())
}

async fn read_request(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let missing = length.unwrap_or(0_usize).saturating_sub(body.len());
    client.take(missing as u64).read_to_end(&mut body).await?;
    Ok((head, body))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
