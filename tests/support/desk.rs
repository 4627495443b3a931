//! A server on loopback that answers each request as a test says, and remembers what it was asked. HTTP/1.1 by hand,
//! one request a connection; it knows no protocol beside that.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
}

/// An answer with this status, as in `404 Not Found`.
pub(crate) fn page(status: &'static str, body: impl Into<Vec<u8>>) -> Page {
    Page { status, headers: String::new(), body: body.into() }
}

impl Page {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

/// The server. It listens as long as the process lives.
#[derive(Debug)]
pub(crate) struct Desk {
    address: SocketAddr,
    /// The heads of the requests.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Desk {
    /// `answer` gets path and query.
    pub(crate) fn start(answer: impl Fn(&str) -> Page + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let head = head(&mut stream);
                let mut words = head.split(' ');
                let (method, path) =
                    (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or("/").to_owned());
                log.lock().expect("no holder panics").push(head);
                let Page { status, headers, body } = answer(&path);
                let length = body.len();
                // Whoever leaves before has no answer to read.
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
                );
                if method != "HEAD" {
                    let _ = stream.write_all(&body);
                }
            }
        });
        Self { address, asked }
    }

    /// Where it listens, as in `127.0.0.1:40123`.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The paths and queries that it was asked for since this was last called.
    pub(crate) fn asked(&self) -> Vec<String> {
        let path = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.asked.lock().expect("no holder panics").drain(..).collect::<Vec<_>>().iter().map(path).collect()
    }
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}
