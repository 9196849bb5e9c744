//! `rig-s3 DIRECTORY ACCESS_KEY SECRET_KEY`: serves a directory as S3 on a free port of 127.0.0.1 and prints
//! `port <number>`. Folders of the directory are buckets. Ends with SIGTERM.

use std::error::Error;
use std::net::Ipv4Addr;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, access_key, secret_key] = &args[..] else {
        return Err("usage: rig-s3 DIRECTORY ACCESS_KEY SECRET_KEY".into());
    };
    let files = FileSystem::new(root).map_err(|e| format!("cannot serve {root}: {e:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(access_key, secret_key.as_str()));
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
