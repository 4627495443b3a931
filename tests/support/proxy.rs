//! A TCP proxy on loopback between a client and a registry: it counts bytes, slows them down, and cuts
//! connections.
//!
//! It does not look into what it carries.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much is carried at once: fine enough to cut and to slow down in the middle of a small blob.
const CHUNK_BYTES: usize = 8 << 10;

/// What the cut is when there is none.
const NO_CUT: u64 = u64::MAX;

/// A proxy that carries until it is dropped; then every connection is closed.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    stopped: AtomicBool,
    connections: AtomicU64,
    /// Bytes that went to clients.
    sent: AtomicU64,
    /// The value of `sent` at which a connection is cut.
    cut: AtomicU64,
    /// In microseconds a chunk.
    delay: AtomicU64,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Starts in front of `upstream`, on a free port.
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the machine has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            upstream,
            stopped: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            cut: AtomicU64::new(NO_CUT),
            delay: AtomicU64::new(0),
            sockets: Mutex::new(Vec::new()),
        });
        let accepting = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Where it listens, as in `127.0.0.1:40123`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that went to clients, headers included.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.shared.sent.load(SeqCst)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }

    /// Cuts one connection: the one that carries to its client the byte after `bytes` more.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.shared.cut.store(self.sent_bytes() + bytes, SeqCst);
    }

    /// Carries at most about this many bytes a second to each client.
    pub(crate) fn slow_down(&self, bytes_per_second: u64) {
        self.shared.delay.store(CHUNK_BYTES as u64 * 1_000_000 / bytes_per_second, SeqCst);
    }

    /// Carries as fast as it can again.
    pub(crate) fn speed_up(&self) {
        self.shared.delay.store(0, SeqCst);
    }

    /// Waits until `bytes` went to clients.
    ///
    /// # Panics
    ///
    /// If that takes longer than `timeout`.
    pub(crate) fn wait_for(&self, bytes: u64, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while self.sent_bytes() < bytes {
            assert!(Instant::now() < deadline, "{} of {bytes} bytes after {timeout:?}", self.sent_bytes());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        // Wakes the thread that accepts. If nobody can connect, it has ended already.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("accepting does not panic");
        }
        for socket in self.shared.sockets.lock().expect("no holder panics").drain(..) {
            close(&socket);
        }
    }
}

/// Closes both directions. A socket that the other end has closed already says so, which is no news.
fn close(socket: &TcpStream) {
    let _ = socket.shutdown(Shutdown::Both);
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stopped.load(SeqCst) {
            return;
        }
        let (Ok(client), Ok(server)) = (client, TcpStream::connect(shared.upstream)) else { continue };
        shared.connections.fetch_add(1, SeqCst);
        let copy = |socket: &TcpStream| socket.try_clone().expect("the machine has file descriptors");
        shared.sockets.lock().expect("no holder panics").extend([copy(&client), copy(&server)]);
        let (from, to) = (copy(&client), copy(&server));
        thread::spawn(move || upload(from, to));
        let shared = Arc::clone(shared);
        thread::spawn(move || download(&shared, server, client));
    }
}

/// Carries requests. It ends when either side closes.
fn upload(mut client: TcpStream, mut server: TcpStream) {
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Write);
}

/// Carries responses, counts and cuts.
fn download(shared: &Shared, mut server: TcpStream, mut client: TcpStream) {
    let mut chunk = [0; CHUNK_BYTES];
    while let Ok(length @ 1..) = server.read(&mut chunk) {
        thread::sleep(Duration::from_micros(shared.delay.load(SeqCst)));
        let before = shared.sent.load(SeqCst);
        let left = shared.cut.load(SeqCst).saturating_sub(before);
        let carried = length.min(usize::try_from(left).unwrap_or(usize::MAX));
        if client.write_all(&chunk[..carried]).is_err() {
            break;
        }
        shared.sent.fetch_add(carried as u64, SeqCst);
        if carried < length {
            shared.cut.store(NO_CUT, SeqCst);
            break;
        }
    }
    close(&client);
    close(&server);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every connection with `bytes` and then closes it.
    fn source(bytes: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the machine has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        thread::spawn(move || {
            for socket in listener.incoming() {
                // The client may be gone: the tests cut connections.
                let _ = socket.expect("the listener works").write_all(&bytes);
            }
        });
        address
    }

    fn fetch(proxy: &Proxy) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut socket = TcpStream::connect(proxy.address()).expect("the proxy listens");
        socket.read_to_end(&mut bytes).expect("the connection is closed, not reset");
        bytes
    }

    #[test]
    fn a_cut_lets_exactly_that_many_bytes_through_once() {
        let bytes = wharf::demo::image::noise(1, 100_000);
        let proxy = Proxy::start(source(bytes.clone()));
        proxy.cut_after(30_001);
        assert_eq!(fetch(&proxy), bytes[..30_001]);
        assert_eq!(fetch(&proxy), bytes);
        assert_eq!((proxy.sent_bytes(), proxy.connections()), (130_001, 2));
    }

    #[test]
    fn a_slow_proxy_can_be_watched_and_sped_up() {
        let proxy = Proxy::start(source(vec![7; 1 << 20]));
        proxy.slow_down(256 << 10);
        thread::scope(|scope| {
            let client = scope.spawn(|| fetch(&proxy).len());
            proxy.wait_for(64 << 10, Duration::from_secs(20));
            assert!(proxy.sent_bytes() < 1 << 20, "nothing was slowed down");
            proxy.speed_up();
            assert_eq!(client.join().expect("the client does not panic"), 1 << 20);
        });
    }

    #[test]
    fn a_dropped_proxy_closes_its_connections() {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the machine has a free port");
        let proxy = Proxy::start(silent.local_addr().expect("a listener has an address"));
        let mut client = TcpStream::connect(proxy.address()).expect("the proxy listens");
        let _server = silent.accept().expect("the proxy connects");
        drop(proxy);
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("the timeout is not zero");
        assert_eq!(client.read(&mut [0]).ok(), Some(0));
    }
}
