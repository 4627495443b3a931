//! The table of destinations that nothing may lead to, for every class of request. A test: it holds no code of the
//! service.
//!
//! A manifest, a blob behind a redirect and a next page of a list are requests of the component, a token is one of the
//! host. What a registry writes into `Location`, `Link` or a realm arrives here as the URL of such a request.

use super::resolver::Resolve;
use super::{Error, Network, Origin, Settings, Site, Timeouts, empty};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::Request;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Who asks. The headers are those that such a request has.
#[derive(Clone, Copy, Debug)]
enum Class {
    Manifest,
    Blob,
    Page,
    Token,
}

const CLASSES: [Class; 4] = [Class::Manifest, Class::Blob, Class::Page, Class::Token];

/// Long enough for loopback, and for what has to fail.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_millis(100),
    first_byte: Duration::from_millis(400),
    between_bytes: Duration::from_secs(20),
};

/// Sends a request of `class`; what is not even a URL for a request is invalid, as it is for the component.
async fn ask(network: &Network, class: Class, url: &str) -> Result<u16, Error> {
    let header = match class {
        Class::Manifest | Class::Token => ("accept", "application/json"),
        Class::Blob => ("range", "bytes=5-"),
        Class::Page => ("accept", "*/*"),
    };
    let invalid = |error: http::Error| Error::Invalid { why: error.to_string() };
    let builder = Request::get(url).header(header.0, header.1);
    let response = match class {
        Class::Token => network.exchange(builder.body(Bytes::new()).map_err(invalid)?, TIMEOUTS).await?,
        _ => network.send(builder.body(empty()).map_err(invalid)?, TIMEOUTS).await?,
    };
    Ok(response.status().as_u16())
}

/// A server on loopback that counts who comes, and says 200 to everybody.
struct Canary {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Canary {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers questions for any name with the next answer; the last one stays.
#[derive(Debug, Default)]
struct Zone {
    answers: Vec<&'static str>,
    asked: Mutex<usize>,
}

impl Zone {
    fn new(answers: &[&'static str]) -> Arc<Self> {
        Arc::new(Self { answers: answers.to_vec(), asked: Mutex::new(0) })
    }

    fn asked(&self) -> usize {
        *self.asked.lock().expect("no test panics while it holds the lock")
    }
}

impl Resolve for Zone {
    fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().expect("no test panics while it holds the lock");
        let answer = self.answers[(*asked).min(self.answers.len() - 1)];
        *asked += 1;
        let addresses = answer.split(' ').map(|address| address.parse().expect("an address")).collect();
        Box::pin(async move { Ok(addresses) })
    }
}

fn network(zone: &Arc<Zone>, named: &str) -> Network {
    let settings = Settings { resolver: Some(zone.clone()), ..Settings::default() };
    let network = Network::new(settings).expect("the settings are good");
    network.allow(named).expect("an authority");
    network
}

/// What a hostile registry may write, with `PORT` where something listens on loopback.
const DESTINATIONS: &[&str] = &[
    // Loopback, in every spelling that the URL standard knows.
    "https://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.255.255.254:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "https://[64:ff9b::7f00:1]:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST.:PORT/",
    "http://a.localhost:PORT/",
    // Unspecified, which Linux takes for loopback.
    "http://0.0.0.0:PORT/",
    "https://0.0.0.0:PORT/",
    "http://0:PORT/",
    "https://0/",
    "https://[::]:PORT/",
    "http://[::]:PORT/",
    "https://[::ffff:0.0.0.0]:PORT/",
    // Private.
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://167772161/",
    "https://0xa000001/",
    "https://[fc00::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[2002:a00:1::1]/",
    // Link-local, and what clouds keep there and elsewhere.
    "https://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.1.1/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://169.254.43518/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://[fd20:ce::254]/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    // Nobody's host.
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[ff02::1]/",
    // Other schemes, and no TLS.
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/containers/json",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "ftp://cdn.example/",
    "gopher://127.0.0.1:PORT/",
    "ws://cdn.example/",
    "http://cdn.example/",
    "http://8.8.8.8/",
    // A login, or what looks like one.
    "https://ann:secret@registry.example/",
    "https://ann@registry.example/",
    "https://registry.example@127.0.0.1:PORT/",
    "https://registry.example:443@169.254.169.254/",
    // A name that is at a place like these.
    "https://loop.example:PORT/",
];

/// How many refusals the table makes, so that a row that vanishes is noticed.
const REFUSALS: usize = 69 * CLASSES.len();

#[tokio::test]
async fn no_class_of_request_reaches_what_was_not_asked_for() {
    let canary = Canary::start();
    let zone = Zone::new(&["127.0.0.1"]);
    let mut refusals = 0;
    for url in DESTINATIONS {
        let url = url.replace("PORT", &canary.port.to_string());
        for class in CLASSES {
            match ask(&network(&zone, "registry.example"), class, &url).await {
                Err(Error::Denied { why } | Error::Invalid { why }) => {
                    assert!(!why.contains("secret"), "{class:?} {url}: {why}");
                    refusals += 1;
                }
                other => panic!("{class:?} {url}: {other:?}"),
            }
        }
    }
    assert_eq!((refusals, canary.connections()), (REFUSALS, 0));
    // Only names were asked for: a literal address is judged before.
    assert_eq!(zone.asked(), (4 * CLASSES.len()), "localhost in three spellings, and one other name");

    // The canary sings when it is asked for, and every class can reach it then.
    let url = format!("http://127.0.0.1:{}/", canary.port);
    for class in CLASSES {
        assert_eq!(ask(&network(&zone, "127.0.0.1:5000"), class, &url).await, Ok(200), "{class:?}");
    }
    assert_eq!(canary.connections(), CLASSES.len());
}

/// What was typed opens its own zone: loopback does not open private networks, and nothing opens the rest.
#[tokio::test]
async fn what_is_never_reached_is_not_reached_from_anywhere() {
    let zone = Zone::new(&["127.0.0.1"]);
    let mut refusals = 0;
    for named in ["127.0.0.1:5000", "localhost", "10.0.0.1", "169.254.169.254", "[fd00:ec2::254]", "0.0.0.0"] {
        for url in [
            "https://169.254.169.254/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://[::]/",
            "https://0.0.0.0/",
            "https://100.100.100.200/",
            "https://[::ffff:169.254.169.254]/",
        ] {
            for class in CLASSES {
                let outcome = ask(&network(&zone, named), class, url).await;
                assert!(matches!(outcome, Err(Error::Denied { .. })), "{named} {class:?} {url}: {outcome:?}");
                refusals += 1;
            }
        }
    }
    assert_eq!(refusals, 6 * 7 * CLASSES.len());
}

/// A name is public when it is looked at and local when it is connected to: the classic way around such a policy.
/// Every connection asks the resolver once, judges what it says, and connects to that and nothing else.
#[tokio::test]
async fn a_name_that_turns_local_gets_no_connection() {
    let canary = Canary::start();
    // The first is for documentation (RFC 5737): nobody answers there.
    for (turned, zone) in [
        ("later", &["198.51.100.7", "127.0.0.1"][..]),
        ("at once", &["198.51.100.7 127.0.0.1"]),
        ("at once, local first", &["127.0.0.1 198.51.100.7"]),
        ("to a metadata service", &["198.51.100.7", "169.254.169.254"]),
        ("in IPv6 clothes", &["198.51.100.7", "::ffff:127.0.0.1"]),
    ] {
        for class in CLASSES {
            let zone = Zone::new(zone);
            let network = network(&zone, "registry.example");
            let url = format!("https://turning.example:{}/", canary.port);
            let first = ask(&network, class, &url).await;
            let denied = |outcome: &Result<u16, Error>| matches!(outcome, Err(Error::Denied { .. }));
            assert!(first.is_err() && denied(&first) == turned.starts_with("at once"), "{turned} {class:?}: {first:?}");
            assert_eq!(zone.asked(), 1, "{turned} {class:?}");
            let second = ask(&network, class, &url).await;
            assert!(denied(&second), "{turned} {class:?}: {second:?}");
            assert_eq!(zone.asked(), 2, "{turned} {class:?}");
        }
    }
    assert_eq!(canary.connections(), 0);
}

/// The same for a host that configuration describes: it may be at home, and nowhere else.
#[tokio::test]
async fn a_site_that_turns_local_opens_only_itself() {
    let canary = Canary::start();
    let zone = Zone::new(&["127.0.0.1 198.51.100.7"]);
    let origin = Origin::new(false, &format!("split.example:{}", canary.port)).expect("an authority");
    let settings = Settings { resolver: Some(zone.clone()), sites: vec![Site::new(origin)], ..Settings::default() };
    let network = Network::new(settings).expect("the settings are good");
    for class in CLASSES {
        let at = |host: &str| format!("http://{host}:{}/", canary.port);
        assert_eq!(ask(&network, class, &at("split.example")).await, Ok(200), "{class:?}");
        for host in ["127.0.0.1", "localhost", "other.example", "[::1]", "a.split.example"] {
            let outcome = ask(&network, class, &at(host)).await;
            assert!(matches!(outcome, Err(Error::Denied { .. })), "{class:?} {host}: {outcome:?}");
        }
        let secure = format!("https://a.split.example:{}/", canary.port);
        let outcome = ask(&network, class, &secure).await;
        assert!(matches!(outcome, Err(Error::Denied { .. })), "{class:?}: {outcome:?}");
    }
    assert_eq!(canary.connections(), CLASSES.len());
}
