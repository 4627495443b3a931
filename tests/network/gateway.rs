//! A proxy on loopback: HTTP (`CONNECT` and forwarding) and SOCKS 5 (RFC 1928, RFC 1929) on one port. It notes what it
//! was asked, and leads every destination to one server, whatever it is called.
//!
//! It does not resolve names, and keeps no connection open beyond one exchange.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request to the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// As in `CONNECT`, `GET` or `SOCKS5`.
    pub(crate) how: String,
    /// As in `registry.example:443`.
    pub(crate) target: String,
    /// `user:password`, or the value of `proxy-authorization`.
    pub(crate) login: Option<String>,
    /// The names of the headers that came to the proxy, of a forwarded request as well.
    pub(crate) headers: Vec<String>,
}

/// What the proxy does with those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Lets,
    /// Says that the login is not good enough.
    WantsLogin,
    /// Says that this destination is not for them.
    Forbids,
    /// Closes the connection.
    Closes,
    /// Says nothing.
    Silent,
}

/// The proxy. It lives until the process ends.
pub(crate) struct Gateway {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Gateway {
    pub(crate) fn start(manner: Manner, server: &str) -> Self {
        let server: SocketAddr = server.parse().expect("the address of a server");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let noted = noted.clone();
                // Clients leave as they like.
                std::thread::spawn(move || serve(stream, manner, server, &noted).ok());
            }
        });
        Self { address, asked }
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics while it holds the lock").clone()
    }
}

fn serve(mut client: TcpStream, manner: Manner, server: SocketAddr, noted: &Mutex<Vec<Asked>>) -> io::Result<()> {
    match manner {
        Manner::Closes => return Ok(()),
        Manner::Silent => return io::copy(&mut client, &mut io::sink()).map(drop),
        Manner::Lets | Manner::WantsLogin | Manner::Forbids => {}
    }
    let note = |asked| noted.lock().expect("no test panics while it holds the lock").push(asked);
    if peek(&client)? == 5 {
        let asked = socks(&mut client, manner)?;
        note(asked);
        if manner == Manner::Forbids {
            // `connection not allowed by ruleset`.
            return client.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        return join(client, TcpStream::connect(server)?);
    }
    let head = head(&mut client)?;
    let (asked, forwarded) = http(&head);
    note(asked);
    match (manner, forwarded) {
        (Manner::WantsLogin, _) => {
            let length = "content-length: 0\r\n\r\n";
            write!(client, "HTTP/1.1 407 Said\r\nproxy-authenticate: Basic realm=\"canary\"\r\n{length}")
        }
        (Manner::Forbids, None) => client.write_all(b"HTTP/1.1 403 Said\r\n\r\n"),
        (_, None) => {
            client.write_all(b"HTTP/1.1 200 Said\r\n\r\n")?;
            join(client, TcpStream::connect(server)?)
        }
        (_, Some(forwarded)) => {
            let mut upstream = TcpStream::connect(server)?;
            upstream.write_all(&forwarded)?;
            join(client, upstream)
        }
    }
}

fn peek(client: &TcpStream) -> io::Result<u8> {
    let mut first = [0];
    client.peek(&mut first)?;
    Ok(first[0])
}

/// Speaks RFC 1928 to the end of the request.
fn socks(client: &mut TcpStream, manner: Manner) -> io::Result<Asked> {
    let methods = take(client, 2)?[1];
    let methods = take(client, methods.into())?;
    let login = if methods.contains(&2) {
        client.write_all(&[5, 2])?;
        let user = take(client, 2)?[1];
        let user = take(client, user.into())?;
        let password = take(client, 1)?[0];
        let password = take(client, password.into())?;
        client.write_all(&[1, u8::from(manner == Manner::WantsLogin)])?;
        Some(format!("{}:{}", String::from_utf8_lossy(&user), String::from_utf8_lossy(&password)))
    } else {
        // `no acceptable methods`.
        client.write_all(&[5, if manner == Manner::WantsLogin { 0xff } else { 0 }])?;
        None
    };
    let host = match take(client, 4)?[3] {
        1 => take(client, 4)?.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
        3 => {
            let length = take(client, 1)?[0];
            String::from_utf8_lossy(&take(client, length.into())?).into_owned()
        }
        _ => format!("{:02x?}", take(client, 16)?),
    };
    let port = take(client, 2)?;
    let target = format!("{host}:{}", u16::from_be_bytes([port[0], port[1]]));
    Ok(Asked { how: "SOCKS5".to_owned(), target, login, headers: Vec::new() })
}

fn take(client: &mut TcpStream, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads a request up to the end of its head. The requests of these tests have no body.
fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(take(client, 1)?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Returns what a head asks for, and what is to be sent to the server if that is no tunnel.
fn http(head: &str) -> (Asked, Option<Vec<u8>>) {
    let (line, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = line.split(' ').map(str::to_owned);
    let (how, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fields: Vec<_> = rest.lines().filter_map(|line| line.split_once(": ")).collect();
    let headers: Vec<_> = fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let login = headers.iter().position(|name| name == "proxy-authorization").map(|at| fields[at].1.to_owned());
    let forwarded = (how != "CONNECT").then(|| {
        let kept = rest.split_inclusive("\r\n");
        let kept = kept.filter(|line| !line.to_ascii_lowercase().starts_with("proxy-authorization"));
        format!("{line}\r\n{}", kept.collect::<String>()).into_bytes()
    });
    (Asked { how, target, login, headers }, forwarded)
}

/// Carries both ways until the server closes.
fn join(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || io::copy(&mut from, &mut to).and_then(|_| to.shutdown(std::net::Shutdown::Write)));
    io::copy(&mut server, &mut client)?;
    client.shutdown(std::net::Shutdown::Both)
}
