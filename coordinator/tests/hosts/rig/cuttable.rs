//! A TCP relay whose connections can be cut, as a network would.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub struct Relay {
    pub port: u16,
    cut: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Relay {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let cut = Arc::new(Notify::new());
        let task = tokio::spawn(relay(listener, port, cut.clone()));
        Self { port: own_port, cut, task }
    }

    /// Ends the connection that is open.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(listener: TcpListener, port: u16, cut: Arc<Notify>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            () = cut.notified() => {}
        }
    }
}
