//! Ports for servers that are stopped and started again: below the range from which the kernel takes the ports of
//! outgoing connections, so that none of those can sit on a port while its server is down.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

const FIRST: u16 = 18_000;
const COUNT: u16 = 14_000;

/// A port that no one listens on at any address, never given out twice by this process.
pub fn free_port() -> u16 {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap();
    // Test binaries that run at once begin at different places.
    let mut offset = next.unwrap_or_else(|| (std::process::id().wrapping_mul(97) % u32::from(COUNT)) as u16);
    for _ in 0..COUNT {
        let port = FIRST + offset;
        offset = (offset + 1) % COUNT;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            *next = Some(offset);
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
