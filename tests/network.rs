//! The network as its callers see it: what goes over the wire, what does not, and how it says why.

pub(crate) mod authority;
mod failures;
mod gateway;
mod http2;
pub(crate) mod listener;
mod policy;
mod proxies;
mod rate;
mod sites;
mod tables;
mod tls;
mod told;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream;
use http::Request;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use listener::{Listener, answer};
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use wharf::network::resolver::Resolve;
use wharf::network::{Error, Network, Outgoing, Proxies, Settings, Stage, Timeouts, empty};

/// Returns a network whose caller asked for the registry at `named`.
pub(crate) fn network(named: &str) -> Network {
    network_with(Settings::default(), named)
}

/// Returns a network with these settings whose caller asked for the registry at `named`.
pub(crate) fn network_with(settings: Settings, named: &str) -> Network {
    let network = Network::new(settings).expect("the settings are good");
    network.allow(named).expect("a test names an authority");
    network
}

/// Returns a GET without headers of its own.
pub(crate) fn get(url: &str) -> Request<Outgoing> {
    Request::get(url).body(empty()).expect("a test has a URL")
}

/// Sends, and returns the status and the body.
pub(crate) async fn fetch(network: &Network, request: Request<Outgoing>) -> Result<(u16, String), Error> {
    let response = network.send(request, Timeouts::default()).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).expect("tests send text")))
}

fn denied<T: std::fmt::Debug>(outcome: Result<T, Error>, name: &str) -> String {
    match outcome {
        Err(Error::Denied { why }) => why,
        other => panic!("{name}: {other:?} is no refusal"),
    }
}

/// Names of a test; any other does not resolve. Each question takes the next answer, and the last one stays.
#[derive(Debug, Default)]
struct Names {
    answers: HashMap<&'static str, Vec<Vec<IpAddr>>>,
    asked: Mutex<HashMap<String, usize>>,
}

impl Names {
    fn new(rows: &[(&'static str, &[&str])]) -> Arc<Self> {
        let addresses = |text: &str| text.split(' ').map(|address| address.parse().expect("an address")).collect();
        let answers = rows.iter().map(|(name, answers)| (*name, answers.iter().map(|row| addresses(row)).collect()));
        Arc::new(Self { answers: answers.collect(), asked: Mutex::default() })
    }

    fn settings(rows: &[(&'static str, &[&str])], plain_http: &[&str]) -> Settings {
        let plain_http = plain_http.iter().map(|authority| (*authority).to_owned()).collect();
        Settings { resolver: Some(Self::new(rows)), plain_http, ..Settings::default() }
    }

    /// How often a name was asked for.
    fn questions(&self) -> usize {
        self.asked.lock().expect("no test panics while it holds the lock").values().sum()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut asked = self.asked.lock().expect("no test panics while it holds the lock");
        let count = asked.entry(name.clone()).or_default();
        let answer = self.answers.get(name.as_str()).map(|answers| answers[(*count).min(answers.len() - 1)].clone());
        *count += 1;
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

#[tokio::test]
async fn a_request_arrives_as_it_was_written() {
    let server = Listener::start(|_| answer(200, &[], "hello"));
    let request = Request::get(format!("http://{}/v2/a/manifests/b?ns=docker.io", server.authority()))
        .header("user-agent", "guest/1")
        .header("accept", "application/json")
        .header("range", "bytes=5-")
        .header("connection", "x-odd")
        .header("transfer-encoding", "chunked")
        .body(empty())
        .expect("a request");
    assert_eq!(fetch(&network(&server.authority()), request).await, Ok((200, "hello".to_owned())));
    let mut seen = server.requests();
    seen[0].headers.sort();
    let expected = [
        ("accept", "application/json"),
        ("host", &server.authority()),
        ("range", "bytes=5-"),
        ("user-agent", "guest/1"),
    ];
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "GET /v2/a/manifests/b?ns=docker.io HTTP/1.1");
    assert_eq!(seen[0].headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(seen[0].body, b"");
}

#[tokio::test]
async fn redirects_encodings_and_cookies_are_left_to_nobody_but_the_caller() {
    let other = Listener::start(|_| answer(200, &[], "other"));
    let location = format!("http://{}/", other.authority());
    let server = Listener::start(move |_| {
        let headers =
            [("location", &*location), ("content-encoding", "gzip"), ("set-cookie", "a=b"), ("x-kept", "yes")];
        answer(307, &headers, "not gzip")
    });
    let network = network(&server.authority());
    let url = format!("http://{}/", server.authority());
    let response = network.send(get(&url), Timeouts::default()).await.expect("a response");
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["x-kept"], "yes");
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "not gzip");
    assert_eq!(fetch(&network, get(&url)).await.map(|(status, _)| status), Ok(307));
    assert_eq!(server.requests()[1].header("cookie"), None);
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn a_body_that_is_cut_short_ends_with_an_error() {
    for (wire, expected) in [
        ("content-length: 5\r\n\r\nhello", Some("hello")),
        ("content-length: 6\r\n\r\nhello", None),
        ("content-length: 1000000\r\n\r\n", None),
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Some("hello")),
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", None),
        ("transfer-encoding: chunked\r\n\r\nff\r\nhello", None),
        ("transfer-encoding: chunked\r\n\r\nfive\r\nhello", None),
    ] {
        let server = Listener::start(move |_| format!("HTTP/1.1 200 OK\r\n{wire}").into_bytes());
        let outcome = fetch(&network(&server.authority()), get(&format!("http://{}/", server.authority()))).await;
        match (outcome, expected) {
            (Ok((200, body)), Some(expected)) => assert_eq!(body, expected, "{wire:?}"),
            (Err(Error::Broken { authority, .. }), None) => assert_eq!(authority, server.authority()),
            (outcome, _) => panic!("{wire:?}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_an_error() {
    for wire in ["", "SSH-2.0-OpenSSH_9\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"] {
        let server = Listener::start(|_| wire.as_bytes().to_vec());
        let outcome = fetch(&network(&server.authority()), get(&format!("http://{}/", server.authority()))).await;
        assert!(matches!(outcome, Err(Error::Broken { .. })), "{wire:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn silence_ends_in_time() {
    let silence = Duration::from_secs(20);
    let timeouts = Timeouts {
        connect: Duration::from_millis(50),
        first_byte: Duration::from_millis(50),
        between_bytes: Duration::from_millis(100),
    };

    let mute = Listener::start_slow(move |_, _| std::thread::sleep(silence));
    let outcome = network(&mute.authority()).send(get(&format!("http://{}/", mute.authority())), timeouts).await;
    let expected = Error::Timeout { authority: mute.authority(), stage: Stage::Head };
    assert_eq!(outcome.map(|response| response.status()), Err(expected));

    let stalled = Listener::start_slow(move |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello").and_then(|()| stream.flush());
        std::thread::sleep(silence);
    });
    let request = get(&format!("http://{}/", stalled.authority()));
    let mut body = network(&stalled.authority()).send(request, timeouts).await.expect("a head").into_body();
    let first = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
    assert_eq!(first, "hello");
    let expected = Error::Timeout { authority: stalled.authority(), stage: Stage::Body };
    assert_eq!(body.frame().await.expect("an end").map(|_| ()), Err(expected));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_reader_may_take_its_time() {
    let server = Listener::start(|_| answer(200, &[], "hello"));
    let timeouts = Timeouts { between_bytes: Duration::from_millis(20), ..Timeouts::default() };
    let request = get(&format!("http://{}/", server.authority()));
    let response = network(&server.authority()).send(request, timeouts).await.expect("a head");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "hello");
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let authority = closed.to_string();
    let outcome = fetch(&network(&authority), get(&format!("http://{authority}/"))).await;
    assert_eq!(outcome, Err(Error::Refused { authority }));

    let network = network_with(Names::settings(&[], &[]), "nowhere.example");
    let outcome = fetch(&network, get("https://nowhere.example/")).await;
    assert_eq!(outcome, Err(Error::Name { authority: "nowhere.example".to_owned(), why: "no such name".to_owned() }));
}

#[tokio::test]
async fn secrets_and_cookies_are_not_the_callers_to_send() {
    let server = Listener::start(|_| answer(200, &[], ""));
    let network = network(&server.authority());
    for (name, value, why) in [
        ("authorization", "Bearer forged", "the header `authorization` is not for the component to set"),
        ("proxy-authorization", "Basic forged", "the header `proxy-authorization` is not for the component to set"),
        ("cookie", "session=forged", "the header `cookie` is not for the component to set"),
        ("wharf-grant", "0123456789abcdef-1", "the grant of this request is not for"),
        ("wharf-grant", "", "the grant of this request is not for"),
    ] {
        let request = Request::get(format!("http://{}/", server.authority())).header(name, value).body(empty());
        let refusal = denied(fetch(&network, request.expect("a request")).await, name);
        assert!(refusal.starts_with(why), "{refusal}");
        assert!(!refusal.contains("forged"), "{refusal}");
    }
    let twice = Request::get(format!("http://{}/", server.authority())).header("wharf-grant", "a");
    let twice = twice.header("wharf-grant", "b").body(empty()).expect("a request");
    let refusal = denied(fetch(&network, twice).await, "two grants");
    assert_eq!(refusal, "the header `wharf-grant` does not name one grant");
    let tunnel = Request::connect(format!("http://{}/", server.authority())).body(empty()).expect("a request");
    denied(fetch(&network, tunnel).await, "a tunnel");
    assert_eq!(server.connections(), 0);
}

fn pieces(pieces: Vec<Result<&'static str, Error>>) -> Outgoing {
    let frames = pieces.into_iter().map(|piece| piece.map(|text| Frame::data(Bytes::from(text))));
    StreamBody::new(stream::iter(frames.collect::<Vec<_>>())).boxed_unsync()
}

#[tokio::test]
async fn an_upload_arrives_whole() {
    let server = Listener::start(|_| answer(201, &[], ""));
    let network = network(&server.authority());
    let url = format!("http://{}/upload", server.authority());
    let whole = || Full::new(Bytes::from("hello")).map_err(|never| match never {}).boxed_unsync();
    for (method, body, length, framing, arrived) in [
        ("PUT", pieces(vec![Ok("hel"), Ok("lo")]), Some("5"), ("content-length", "5"), "hello"),
        ("PATCH", pieces(vec![Ok("hello")]), None, ("transfer-encoding", "chunked"), "5\r\nhello\r\n0\r\n\r\n"),
        ("POST", empty(), Some("0"), ("content-length", "0"), ""),
        ("POST", empty(), None, ("content-length", "0"), ""),
        ("GET", whole(), Some("5"), ("accept", "*/*"), ""),
        ("HEAD", whole(), Some("5"), ("accept", "*/*"), ""),
    ] {
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let outcome = fetch(&network, request.body(body).expect("a request")).await;
        assert_eq!(outcome, Ok((201, String::new())), "{method}");
        let seen = server.requests().pop().expect("a request");
        assert_eq!(seen.header(framing.0), Some(framing.1), "{method}");
        assert_eq!(String::from_utf8_lossy(&seen.body), arrived, "{method}");
        if matches!(method, "GET" | "HEAD") {
            assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, None), "{method}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_breaks_says_what_its_producer_said() {
    let server = Listener::start(|_| answer(201, &[], ""));
    let broken = Error::Upload { why: "the blob is gone".to_owned() };
    let request =
        Request::put(format!("http://{}/", server.authority())).body(pieces(vec![Ok("hel"), Err(broken.clone())]));
    let outcome = fetch(&network(&server.authority()), request.expect("a request")).await;
    assert_eq!(outcome, Err(broken));
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn an_upload_may_take_longer_than_an_answer() {
    let server = Listener::start(|_| answer(201, &[], ""));
    let slow = stream::unfold(0, |count| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        (count < 4).then(|| (Ok(Frame::data(Bytes::from("part"))), count + 1))
    });
    let request = Request::put(format!("http://{}/", server.authority())).header("content-length", 16);
    let request = request.body(StreamBody::new(slow).boxed_unsync()).expect("a request");
    let timeouts = Timeouts { connect: Duration::ZERO, first_byte: Duration::from_millis(50), ..Timeouts::default() };
    let response = network(&server.authority()).send(request, timeouts).await.expect("a response");
    assert_eq!(response.status(), 201);
    assert_eq!(server.requests()[0].body, b"partpartpartpart");
}

/// Returns a server's TLS for `names`, and the certificate that a client has to trust.
pub(crate) fn certificate(names: &[&str]) -> (rustls::ServerConfig, Vec<u8>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certified = rcgen::generate_simple_self_signed(names).expect("names of a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers the versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("the key fits the certificate");
    let pem =
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(certified.cert.der()));
    (tls, pem.into_bytes())
}

#[tokio::test]
async fn a_certificate_has_to_be_trusted_and_to_fit() {
    let (tls, pem) = certificate(&["127.0.0.1"]);
    let server = Listener::start_tls(tls, |_| answer(200, &[], "by TLS"));
    let url = format!("https://{}/", server.authority());

    let trusting = Settings { certificates: pem.clone(), ..Settings::default() };
    let outcome = fetch(&network_with(trusting, &server.authority()), get(&url)).await;
    assert_eq!(outcome, Ok((200, "by TLS".to_owned())));

    let (_, other) = certificate(&["127.0.0.1"]);
    let distrusting = Settings { certificates: other, ..Settings::default() };
    let outcome = fetch(&network_with(distrusting, &server.authority()), get(&url)).await;
    assert!(matches!(outcome, Err(Error::Certificate { .. })), "{outcome:?}");

    let mut settings = Names::settings(&[("other.lan", &["127.0.0.1"])], &[]);
    settings.certificates = pem;
    let outcome =
        fetch(&network_with(settings, "other.lan"), get(&format!("https://other.lan:{}/", server.port()))).await;
    assert!(matches!(outcome, Err(Error::Certificate { .. })), "{outcome:?}");

    assert_eq!(server.requests().len(), 1);

    // What answers there speaks no TLS at all.
    let ssh = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let authority = ssh.local_addr().expect("an address").to_string();
    std::thread::spawn(move || ssh.accept().map(|(mut stream, _)| stream.write_all(b"SSH-2.0-OpenSSH_9.6 Debian\r\n")));
    let (_, pem) = certificate(&["127.0.0.1"]);
    let network = network_with(Settings { certificates: pem, ..Settings::default() }, &authority);
    let outcome = fetch(&network, get(&format!("https://{authority}/"))).await;
    assert!(matches!(outcome, Err(Error::Tls { .. })), "{outcome:?}");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_can() {
    let (mut tls, pem) = certificate(&["127.0.0.1"]);
    tls.alpn_protocols = vec![b"h2".to_vec()];
    // The beginning of HTTP/2 looks like a request, by design: RFC 9113 section 3.4.
    let server = Listener::start_tls(tls, |_| Vec::new());
    let network = network_with(Settings { certificates: pem, ..Settings::default() }, &server.authority());
    let outcome = fetch(&network, get(&format!("https://{}/", server.authority()))).await;
    assert!(matches!(outcome, Err(Error::Broken { .. })), "{outcome:?}");
    assert_eq!(server.requests()[0].line, "PRI * HTTP/2.0");
}

#[tokio::test]
async fn certificates_are_loaded_for_tls_only() {
    let server = Listener::start(|_| answer(200, &[], "plain"));
    let broken = b"-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n".to_vec();
    let network = network_with(Settings { certificates: broken, ..Settings::default() }, &server.authority());
    let plain = fetch(&network, get(&format!("http://{}/", server.authority()))).await;
    assert_eq!(plain, Ok((200, "plain".to_owned())));
    let secure = fetch(&network, get(&format!("https://{}/", server.authority()))).await;
    assert!(matches!(secure, Err(Error::Settings { .. })), "{secure:?}");
}

#[tokio::test]
async fn a_proxy_gets_what_is_not_on_this_machine() {
    let proxy = Listener::start(|_| answer(200, &[], "by proxy"));
    let server = Listener::start(|_| answer(200, &[], "direct"));
    let settings = Settings {
        proxies: Proxies { http: Some(proxy.authority()), except: Some("direct.lan".to_owned()), ..Proxies::default() },
        ..Names::settings(&[("direct.lan", &["127.0.0.1"])], &["public.example", "direct.lan"])
    };
    let network = network_with(settings, "direct.lan");
    let by_proxy = fetch(&network, get("http://public.example/v2/")).await;
    assert_eq!(by_proxy, Ok((200, "by proxy".to_owned())));
    assert_eq!(proxy.requests()[0].line, "GET http://public.example/v2/ HTTP/1.1");

    let direct = fetch(&network, get(&format!("http://direct.lan:{}/", server.port()))).await;
    assert_eq!(direct, Ok((200, "direct".to_owned())));
    let loopback = fetch(&network, get(&format!("http://{}/", server.authority()))).await;
    let refusal = denied(loopback, "the host of the proxy");
    assert_eq!(refusal, format!("`{}` is a proxy", server.authority()));
    network.allow("127.0.0.1").expect("an address");
    let loopback = fetch(&network, get(&format!("http://{}/", server.authority()))).await;
    assert_eq!(loopback, Ok((200, "direct".to_owned())));
    // A literal address is judged although the proxy would connect to it.
    denied(fetch(&network, get("https://169.254.169.254/")).await, "link-local");
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_proxy_that_makes_no_sense_is_refused_without_its_password() {
    for value in ["http://ann:hunter2@", "gopher://ann:hunter2@proxy.lan", "http://ann:hunter2@proxy.lan:port"] {
        let proxies = Proxies { https: Some(value.to_owned()), ..Proxies::default() };
        let settings = Settings { proxies, ..Settings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
        match Network::new(settings) {
            Err(Error::Settings { why }) => {
                assert!(why.starts_with("the proxy for HTTPS destinations "), "{why}");
                assert!(!why.contains("hunter2"), "{why}");
            }
            other => panic!("{value}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let authority = listener.local_addr().expect("an address").to_string();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                // A request of these tests arrives in one piece.
                while matches!(io::Read::read(&mut stream, &mut buffer), Ok(count) if count > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                }
            });
        }
    });
    let network = network(&authority);
    for _ in 0..3 {
        let outcome = fetch(&network.clone(), get(&format!("http://{authority}/"))).await;
        assert_eq!(outcome, Ok((200, "ok".to_owned())));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
