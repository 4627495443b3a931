//! Who comes in at `wharf serve`, how many at once, how it ends, and what it tells of that: certificates, crowds, systemd,
//! stops, numbers, traces; and the examples of its documentation.

mod certificates;
mod crowds;
mod examples;
mod numbers;
mod service;
mod stops;
mod traces;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take. It bounds a hang, and measures nothing.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An address of this machine that nobody listens on.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address")
}

/// Connects with whoever listens there, once somebody does.
#[track_caller]
fn connect(address: SocketAddr) -> TcpStream {
    let begin = Instant::now();
    loop {
        if let Ok(stream) = TcpStream::connect(address) {
            stream.set_read_timeout(Some(TIMEOUT)).expect("a time limit");
            return stream;
        }
        assert!(begin.elapsed() < TIMEOUT, "nobody listens on {address}");
        sleep(Duration::from_millis(5));
    }
}
