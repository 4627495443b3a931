//! A server on loopback that keeps every byte it is sent, so that a test can say what it has heard and what not.
//!
//! It closes each connection after one answer. Of HTTP it knows what a client needs to be understood.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// How long a client may say nothing. It bounds a thread's life and measures nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// As in `GET`.
    pub(crate) method: String,
    /// Path and query, also where a proxy was asked by a whole URL.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Every byte of it, as it came.
    pub(crate) raw: Vec<u8>,
    /// Where the body begins in `raw`.
    pub(crate) body_at: usize,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.raw[self.body_at..]
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn bytes(&self, method: &str) -> Vec<u8> {
        let Self { status, headers, body } = self;
        let mut head = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body: &[u8] = if method == "HEAD" { &[] } else { body };
        [head.as_bytes(), b"\r\n", body].concat()
    }
}

/// What a server answers. `None` hangs up.
pub(crate) type Behaviour = dyn Fn(&Request) -> Option<Answer> + Send + Sync;

/// A server until it is dropped.
pub(crate) struct Listener {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    requests: Mutex<Vec<Request>>,
    /// What came before a request was whole.
    rubbish: Mutex<Vec<u8>>,
    behaviour: OnceLock<Box<Behaviour>>,
    tls: Option<Arc<rustls::ServerConfig>>,
    /// Where everything is carried after a `CONNECT`.
    tunnel: bool,
}

impl Listener {
    /// Binds a free port of `address`, as in `127.0.0.1`. Clients wait until it [`behaves`](Self::behave).
    pub(crate) fn bind(address: &str, tls: Option<rustls::ServerConfig>) -> Self {
        Self::start(address, Shared { tls: tls.map(Arc::new), ..Shared::default() })
    }

    /// Binds a proxy: what is to be tunnelled goes to the same port of loopback, and anything else is answered.
    pub(crate) fn bind_proxy() -> Self {
        Self::start("127.0.0.1", Shared { tunnel: true, ..Shared::default() })
    }

    fn start(address: &str, shared: Shared) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(shared);
        std::thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    if shared.stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = shared.clone();
                    std::thread::spawn(move || serve(stream, &shared));
                }
            }
        });
        Self { address, shared }
    }

    /// Says what it answers. Once.
    pub(crate) fn behave(&self, behaviour: Box<Behaviour>) {
        assert!(self.shared.behaviour.set(behaviour).is_ok(), "a server behaves in one way");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every whole request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no holder panics").clone()
    }

    /// Every byte that belongs to no request.
    pub(crate) fn rubbish(&self) -> Vec<u8> {
        self.shared.rubbish.lock().expect("no holder panics").clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    // Both fail only if the client has gone.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_nodelay(true);
    let tunnel = match &shared.tls {
        None => converse(&mut stream, shared),
        Some(tls) => {
            let mut connection = rustls::ServerConnection::new(tls.clone()).expect("a server's configuration");
            let tunnel = converse(&mut rustls::Stream::new(&mut connection, &mut stream), shared);
            connection.send_close_notify();
            let _ = connection.complete_io(&mut stream);
            tunnel
        }
    };
    if let Some(target) = tunnel {
        carry(&stream, &target, shared);
    }
}

/// Answers one request. Returns where a tunnel is to go, as in `registry.test:5000`, if one was asked for.
fn converse(stream: &mut (impl Read + Write), shared: &Shared) -> Option<String> {
    let mut heard = Vec::new();
    let Some(request) = read(stream, &mut heard) else {
        shared.rubbish.lock().expect("no holder panics").extend(heard);
        return None;
    };
    shared.requests.lock().expect("no holder panics").push(request.clone());
    if shared.tunnel && request.method == "CONNECT" {
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
        return Some(request.target);
    }
    if let Some(answer) = shared.behaviour.wait()(&request) {
        let _ = stream.write_all(&answer.bytes(&request.method));
    }
    None
}

/// Carries a tunnel, and keeps what goes through it.
fn carry(client: &TcpStream, target: &str, shared: &Shared) {
    let port = target.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).expect("a tunnel has a port");
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut &server, &mut &*client);
            let _ = client.shutdown(std::net::Shutdown::Both);
        });
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = (&mut &*client).read(&mut buffer) {
            shared.rubbish.lock().expect("no holder panics").extend_from_slice(&buffer[..count]);
            if (&server).write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = server.shutdown(std::net::Shutdown::Both);
    });
}

/// Reads a request to the end of its body; `None` if the other end leaves before. All that came is in `heard`.
fn read(stream: &mut impl Read, heard: &mut Vec<u8>) -> Option<Request> {
    let mut more = |heard: &mut Vec<u8>| {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        heard.extend_from_slice(&buffer[..count]);
        Some(())
    };
    let body_at = loop {
        match heard.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => more(heard)?,
        }
    };
    let head = String::from_utf8_lossy(&heard[..body_at]).into_owned();
    let mut lines = head.trim_end().lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let target = match target.split_once("://").map(|(_, rest)| rest) {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let mut request = Request { method, target: target.to_owned(), headers, raw: Vec::new(), body_at };
    let length: usize = request.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    while heard.len() < body_at + length {
        more(heard)?;
    }
    request.raw.clone_from(heard);
    Some(request)
}
