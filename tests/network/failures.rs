//! Every way in which no whole response comes has its own case, because a caller does something else about each.

use super::authority::{Authority, Validity};
use super::listener::{Listener, answer};
use super::{Names, fetch, get, network_with};
use http_body_util::BodyExt;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use wharf::network::{Error, Network, Origin, Settings, Site, Timeouts};

/// Starts a server that does one thing with each connection, and returns its port.
fn server(act: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(act));
    port
}

/// Reads what fits, writes `wire`, and then closes: in order, or with bytes of the client unread, which is a reset.
fn says(wire: &'static str, reset: bool) -> u16 {
    server(move |mut stream| {
        // Enough to know that the request is on its way.
        let _ = stream.read(&mut [0; 1]).and_then(|_| stream.write_all(wire.as_bytes()));
        if !reset {
            let _ = stream.read(&mut [0; 4096]);
        } else if !wire.is_empty() {
            // What was sent has to be read before the reset overtakes it.
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

fn silent() -> u16 {
    server(|mut stream| {
        std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
    })
}

fn stalling() -> u16 {
    server(|mut stream| {
        std::thread::spawn(move || {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel";
            stream.read_exact(&mut [0; 1])?;
            stream.write_all(head).and_then(|()| std::io::copy(&mut stream, &mut std::io::sink()))
        });
    })
}

/// What an error is, without what it says.
fn case(error: &Error) -> String {
    match error {
        Error::Name { .. } => "name".to_owned(),
        Error::Refused { .. } => "refused".to_owned(),
        Error::Connect { .. } => "connect".to_owned(),
        Error::Proxy { .. } => "proxy".to_owned(),
        Error::Certificate { flaw, .. } => format!("certificate {flaw:?}"),
        Error::Client { .. } => "client".to_owned(),
        Error::Tls { .. } => "tls".to_owned(),
        Error::Denied { .. } => "denied".to_owned(),
        Error::Timeout { stage, .. } => format!("timeout {stage:?}"),
        Error::Broken { .. } => "broken".to_owned(),
        Error::Upload { .. } => "upload".to_owned(),
        Error::Invalid { .. } => "invalid".to_owned(),
        Error::Settings { .. } => "settings".to_owned(),
    }
}

fn network(port: u16, authority: &Authority) -> Network {
    let origin = |secure| Origin::new(secure, &format!("registry.lan:{port}")).expect("an authority");
    let connect_timeout = Some(Duration::from_millis(200));
    let sites = vec![
        Site { authorities: authority.pem(), connect_timeout, ..Site::new(origin(true)) },
        Site { connect_timeout, ..Site::new(origin(false)) },
    ];
    let names: &[(&'static str, &[&str])] = &[("registry.lan", &["127.0.0.1"])];
    network_with(Settings { sites, ..Names::settings(names, &[]) }, "registry.lan")
}

#[tokio::test]
async fn failures_are_told_apart() {
    let ours = Authority::new("ours");
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let expired = ours.sign(&["registry.lan"], Validity::Over).server();
    let expired = Listener::start_tls(expired, |_| answer(200, &[], ""));
    let hello = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel";
    for (what, scheme, port, expected) in [
        ("nobody listens", "http", closed, "refused"),
        ("nobody listens", "https", closed, "refused"),
        ("expired", "https", expired.port(), "certificate Time"),
        ("not TLS", "https", says("SSH-2.0-OpenSSH_9\r\n", false), "tls"),
        ("closed in the handshake", "https", says("", false), "connect"),
        ("reset in the handshake", "https", says("", true), "connect"),
        ("silent in the handshake", "https", silent(), "timeout Connection"),
        ("closed before the head", "http", says("", false), "broken"),
        ("reset before the head", "http", says("", true), "broken"),
        ("not HTTP", "http", says("SSH-2.0-OpenSSH_9\r\n", false), "broken"),
        ("closed in the head", "http", says("HTTP/1.1 200 OK\r\nconte", false), "broken"),
        ("reset in the body", "http", says(hello, true), "broken"),
        ("closed in the body", "http", says(hello, false), "broken"),
        ("silent before the head", "http", silent(), "timeout Head"),
        ("silent in the body", "http", stalling(), "timeout Body"),
    ] {
        let network = network(port, &ours);
        let timeouts = Timeouts {
            connect: Duration::from_secs(20),
            first_byte: Duration::from_millis(if expected == "timeout Head" { 100 } else { 20_000 }),
            between_bytes: Duration::from_millis(if expected == "timeout Body" { 100 } else { 20_000 }),
        };
        let request = get(&format!("{scheme}://registry.lan:{port}/"));
        let outcome = async {
            let response = network.send(request, timeouts).await?;
            response.into_body().collect().await.map(drop)
        };
        let error = outcome.await.expect_err(what);
        assert_eq!(case(&error), expected, "{what}: {error:?}");
        assert!(error.to_string().contains(&format!("`registry.lan:{port}`")), "{what}: {error}");
    }
    let unknown = fetch(&network(closed, &ours), get("https://nowhere.lan/")).await.expect_err("no name");
    assert_eq!(case(&unknown), "name");
}
