//! A server on loopback that answers with bytes made by the test and keeps what it was asked, so that a test can say
//! what did and what did not go over the wire.
//!
//! It is no HTTP implementation: one request a connection, and the answer is sent as it is, however broken.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wharf::network::Origin;

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// As in `GET /v2/ HTTP/1.1`.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The server. It lives until the process ends.
pub(crate) struct Listener {
    address: SocketAddr,
    secure: bool,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Listener {
    /// Starts a server that answers with what `answer` returns, and then closes the connection.
    pub(crate) fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve(None, move |request, stream| {
            let _ = stream.write_all(&answer(request));
        })
    }

    /// Starts a server that speaks TLS.
    pub(crate) fn start_tls(
        tls: rustls::ServerConfig,
        answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::serve(Some(Arc::new(tls)), move |request, stream| {
            let _ = stream.write_all(&answer(request));
        })
    }

    /// Starts a server that lets the test write the answer itself, piece by piece.
    pub(crate) fn start_slow(answer: impl Fn(&Request, &mut dyn Write) + Send + Sync + 'static) -> Self {
        Self::serve(None, answer)
    }

    fn serve(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl Fn(&Request, &mut dyn Write) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let served =
            Self { address, secure: tls.is_some(), connections: connections.clone(), requests: requests.clone() };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, requests, tls) = (answer.clone(), requests.clone(), tls.clone());
                std::thread::spawn(move || converse(stream, tls, &requests, &*answer));
            }
        });
        served
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::new(self.secure, &self.authority()).expect("an address is an authority")
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections there have been, also such without a request.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics while it holds the lock").clone()
    }
}

fn converse(
    mut stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    requests: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request, &mut dyn Write),
) {
    match tls {
        None => exchange(&mut stream, requests, answer),
        Some(tls) => {
            let mut connection = rustls::ServerConnection::new(tls).expect("a server's configuration");
            exchange(&mut rustls::Stream::new(&mut connection, &mut stream), requests, answer);
            connection.send_close_notify();
            let _ = connection.complete_io(&mut stream);
            // A connection that is closed with unread bytes is reset, and what was just sent may be lost.
            let _ = stream.shutdown(Shutdown::Write).and_then(|()| std::io::copy(&mut stream, &mut std::io::sink()));
        }
    }
}

fn exchange(
    stream: &mut (impl Read + Write),
    requests: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request, &mut dyn Write),
) {
    let Some(request) = read(stream) else { return };
    requests.lock().expect("no test panics while it holds the lock").push(request.clone());
    answer(&request, stream);
}

/// Reads a request to the end of its body; `None` if the other end leaves before.
fn read(stream: &mut impl Read) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut more = |bytes: &mut Vec<u8>| {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        Some(())
    };
    let end = loop {
        match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => break end,
            None => more(&mut bytes)?,
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.trim_end().lines();
    let line = lines.next()?.to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let request = Request { line, headers, body: Vec::new() };
    match (request.header("content-length"), request.header("transfer-encoding")) {
        (Some(length), _) => {
            let length: usize = length.parse().ok()?;
            while body.len() < length {
                more(&mut body)?;
            }
        }
        (None, Some(_)) => {
            while !body.ends_with(b"0\r\n\r\n") {
                more(&mut body)?;
            }
        }
        (None, None) => {}
    }
    Some(Request { body, ..request })
}

/// Returns a whole answer.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{text}\r\n{body}").into_bytes()
}
