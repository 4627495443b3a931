//! Whom the network trusts, for which origin, and how it says that it does not.

use super::authority::{Authority, Certified, Validity};
use super::listener::{Listener, answer};
use super::{Names, fetch, get, network_with};
use rustls::version::{TLS12, TLS13};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;
use wharf::network::{Error, Flaw, Network, Origin, Settings, Site, Stage};

const NAMES: &[(&str, &[&str])] = &[("registry.lan", &["127.0.0.1"]), ("other.lan", &["127.0.0.1"])];

/// A site for `host` and the port of `server`.
fn site(host: &str, server: &Listener) -> Site {
    Site::new(Origin::new(true, &format!("{host}:{}", server.port())).expect("an authority"))
}

fn network(sites: Vec<Site>) -> Network {
    let network = network_with(Settings { sites, ..Names::settings(NAMES, &[]) }, "registry.lan");
    network.allow("other.lan").expect("an authority");
    network
}

async fn call(network: &Network, host: &str, server: &Listener) -> Result<(u16, String), Error> {
    fetch(network, get(&format!("https://{host}:{}/", server.port()))).await
}

fn refusal(outcome: Result<(u16, String), Error>) -> (Flaw, String) {
    match outcome {
        Err(Error::Certificate { flaw, why, .. }) => (flaw, why),
        other => panic!("{other:?} is no refusal of a certificate"),
    }
}

#[tokio::test]
async fn a_certificate_is_accepted_or_refused_with_its_reason() {
    let (ours, stranger) = (Authority::new("ours"), Authority::new("stranger"));
    for (shown, expected) in [
        (ours.sign(&["registry.lan"], Validity::Now), None),
        (ours.sign(&["other.lan", "registry.lan"], Validity::Now), None),
        (
            ours.sign(&["other.lan", "127.0.0.1"], Validity::Now),
            Some((Flaw::Name, "it is for `127.0.0.1` and `other.lan`, and not for `registry.lan`")),
        ),
        (ours.sign(&["registry.lan"], Validity::Over), Some((Flaw::Time, "it expired at 2001-01-01T00:00:00Z"))),
        (
            ours.sign(&["registry.lan"], Validity::NotYet),
            Some((Flaw::Time, "it is valid from 2100-01-01T00:00:00Z, and it is 20")),
        ),
        (
            stranger.sign(&["registry.lan"], Validity::Now),
            Some((Flaw::Authority, "it is signed by an authority that is not trusted here")),
        ),
        (
            Certified::by_itself(&["registry.lan"], false),
            Some((Flaw::Authority, "it is self-signed, and not one that is trusted here")),
        ),
        (
            Certified::by_itself(&["registry.lan"], true),
            Some((Flaw::Authority, "it is self-signed, and not one that is trusted here")),
        ),
    ] {
        let server = Listener::start_tls(shown.server(), |_| answer(200, &[], "by TLS"));
        let network = network(vec![Site { authorities: ours.pem(), ..site("registry.lan", &server) }]);
        let outcome = call(&network, "registry.lan", &server).await;
        match expected {
            None => assert_eq!(outcome, Ok((200, "by TLS".to_owned()))),
            Some((flaw, why)) => {
                let refusal = refusal(outcome);
                assert!(refusal.0 == flaw && refusal.1.starts_with(why), "{refusal:?}, and not {why}");
                assert!(server.requests().is_empty());
            }
        }
    }
}

/// What `openssl req -x509` makes is marked as an authority's, and is what people put beside a registry of their own.
#[tokio::test]
async fn a_self_signed_certificate_that_is_listed_is_trusted_for_its_names() {
    for is_authority in [false, true] {
        let shown = Certified::by_itself(&["registry.lan"], is_authority);
        let server = Listener::start_tls(shown.server(), |_| answer(200, &[], "by TLS"));
        let listed = |host: &str| Site { authorities: shown.pem(), ..site(host, &server) };
        let network = network(vec![listed("registry.lan"), listed("other.lan")]);
        assert_eq!(call(&network, "registry.lan", &server).await, Ok((200, "by TLS".to_owned())));
        let refusal = refusal(call(&network, "other.lan", &server).await);
        assert_eq!(refusal, (Flaw::Name, "it is for `registry.lan`, and not for `other.lan`".to_owned()));
    }
}

#[tokio::test]
async fn what_a_site_says_holds_for_its_origin_alone() {
    let ours = Authority::new("ours");
    let tls = || ours.server(&["registry.lan", "other.lan"]);
    let (server, second) = (Listener::start_tls(tls(), |_| answer(200, &[], "first")), {
        Listener::start_tls(tls(), |_| answer(200, &[], "second"))
    });
    for special in [
        Site { authorities: ours.pem(), ..site("registry.lan", &server) },
        Site { skip_verify: true, ..site("registry.lan", &server) },
    ] {
        let network = network(vec![special, site("other.lan", &server)]);
        for _ in 0..2 {
            assert_eq!(call(&network, "registry.lan", &server).await, Ok((200, "first".to_owned())));
            // Another name of the same server, and another port of the same name.
            assert_eq!(refusal(call(&network, "other.lan", &server).await).0, Flaw::Authority);
            assert_eq!(refusal(call(&network, "registry.lan", &second).await).0, Flaw::Authority);
        }
    }
    assert_eq!((server.requests().len(), second.requests().len()), (4, 0));
}

#[tokio::test]
async fn a_server_that_is_not_verified_is_called_by_its_name_and_by_tls() {
    for shown in [
        Certified::by_itself(&["nobody.example"], false),
        Certified::by_itself(&["nobody.example"], true),
        Authority::new("stranger").sign(&["nobody.example"], Validity::Over),
    ] {
        let (tls, called) = shown.server_that_listens();
        let server = Listener::start_tls(tls, |_| answer(200, &[], "unverified"));
        let network = network(vec![Site { skip_verify: true, ..site("registry.lan", &server) }]);
        assert_eq!(call(&network, "registry.lan", &server).await, Ok((200, "unverified".to_owned())));
        assert_eq!(called.names(), [Some("registry.lan".to_owned())]);
    }
    // Nor is it spoken to without TLS. What listens here waits for a request that it can read.
    let plain = Listener::start(|_| answer(200, &[], "plain"));
    let connect_timeout = Some(Duration::from_millis(200));
    let network = network(vec![Site { skip_verify: true, connect_timeout, ..site("registry.lan", &plain) }]);
    let outcome = call(&network, "registry.lan", &plain).await;
    let authority = format!("registry.lan:{}", plain.port());
    assert_eq!(outcome, Err(Error::Timeout { authority, stage: Stage::Connection }));
    let outcome = fetch(&network, get(&format!("http://registry.lan:{}/", plain.port()))).await;
    assert!(matches!(outcome, Err(Error::Denied { .. })), "{outcome:?}");
    assert!(plain.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_gets_that_of_its_site() {
    let (ours, clients, stranger) = (Authority::new("ours"), Authority::new("clients"), Authority::new("stranger"));
    let client = clients.sign(&["ann"], Validity::Now).identity();
    let other = stranger.sign(&["mallory"], Validity::Now).identity();
    // With TLS 1.3 the refusal comes after the handshake, and HTTP/2 keeps only its text.
    for (version, protocol) in [(&TLS12, "http/1.1"), (&TLS13, "http/1.1"), (&TLS12, "h2"), (&TLS13, "h2")] {
        let mut tls = ours.sign(&["registry.lan", "other.lan"], Validity::Now).server_for(&clients, &[version]);
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let server = Listener::start_tls(tls, |_| answer(200, &[], "known"));
        let with = |host: &str, identity| Site { authorities: ours.pem(), identity, ..site(host, &server) };
        let network = network(vec![with("registry.lan", Some(client.clone())), with("other.lan", None)]);
        let known = call(&network, "registry.lan", &server).await;
        if protocol == "h2" {
            // The server speaks no HTTP/2, but it let the client in.
            assert!(matches!(known, Err(Error::Broken { .. })), "{known:?}");
        } else {
            assert_eq!(known, Ok((200, "known".to_owned())));
        }

        let authority = format!("other.lan:{}", server.port());
        let expected = "it demands a certificate of the client".to_owned();
        assert_eq!(call(&network, "other.lan", &server).await, Err(Error::Client { authority, why: expected }));

        let network = self::network(vec![with("registry.lan", Some(other.clone()))]);
        match call(&network, "registry.lan", &server).await {
            Err(Error::Client { why, .. }) => {
                assert!(why.starts_with("it lets in no client without a certificate that it accepts"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(server.requests().len(), 1);
    }
}

/// A mistake in the settings of one origin is met there, and names it. The file may be a key by mistake, so nothing of
/// it is repeated.
#[tokio::test]
async fn what_is_wrong_with_a_site_is_said_without_its_content() {
    let ours = Authority::new("ours");
    let server = Listener::start_tls(ours.server(&["registry.lan", "other.lan"]), |_| answer(200, &[], "fine"));
    let client = ours.sign(&["ann"], Validity::Now).identity();
    let other = ours.sign(&["ben"], Validity::Now).identity();
    let secret = "c2VjcmV0LWNhbmFyeQ==";
    let section =
        |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into_bytes();
    let authorities = |authorities: Vec<u8>| Site { authorities, ..site("registry.lan", &server) };
    let identity = |certificates: &[u8], key: &[u8]| Site {
        identity: Some(wharf::network::Identity { certificates: certificates.to_vec(), key: key.to_vec() }),
        ..authorities(ours.pem())
    };
    let mut header = authorities(ours.pem());
    header.headers.insert("transfer-encoding", http::HeaderValue::from_static("secret-canary"));
    for (wrong, why) in [
        (authorities(secret.into()), "the authorities: it holds no certificate in PEM"),
        (authorities(section("PRIVATE KEY", secret)), "the authorities: it holds no certificate in PEM"),
        (authorities(section("CERTIFICATE", secret)), "the authorities: a section of the PEM is not a certificate"),
        (authorities(section("CERTIFICATE", "se?cret")), "the authorities: a section of the PEM is not base64"),
        (
            authorities(format!("-----BEGIN CERTIFICATE-----\n{secret}\n").into()),
            "the authorities: a section of the PEM has no end",
        ),
        (
            authorities(format!("-----BEGIN {secret}\n").into()),
            "the authorities: a section of the PEM begins with a line that is none",
        ),
        (identity(b"", &client.key), "the certificate of the client: it holds no certificate in PEM"),
        (identity(&client.certificates, b""), "the key of the client: it holds no unencrypted private key in PEM"),
        (
            identity(&client.certificates, &section("ENCRYPTED PRIVATE KEY", secret)),
            "the key of the client: it holds no unencrypted private key in PEM",
        ),
        (identity(&client.certificates, &other.key), "the key of the client is not the one of its certificate"),
        (identity(&client.certificates, &section("PRIVATE KEY", secret)), "the key of the client: "),
        (header, "the header `transfer-encoding` is not one that can be set"),
    ] {
        let network = network(vec![wrong, Site { authorities: ours.pem(), ..site("other.lan", &server) }]);
        match call(&network, "registry.lan", &server).await {
            Err(Error::Settings { why: said }) => {
                let expected = format!("the settings for `https://registry.lan:{}`: {why}", server.port());
                assert!(said.starts_with(&expected), "{said}, and not {expected}");
                assert!(!said.contains("secret") && !said.contains("c2Vj"), "{said}");
            }
            other => panic!("{why}: {other:?}"),
        }
        assert!(!format!("{network:?}").contains("secret"), "{network:?}");
        assert_eq!(call(&network, "other.lan", &server).await, Ok((200, "fine".to_owned())), "{why}");
    }
}

/// Every way in which the first step can fail has its own case.
#[tokio::test]
async fn failures_of_tls_are_told_apart() {
    let ours = Authority::new("ours");
    for (name, wire, expected) in [
        ("another protocol", &b"SSH-2.0-OpenSSH_9.6 Debian\r\n"[..], "what answers does not speak TLS"),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers does not speak TLS"),
        ("an old version", b"\x15\x03\x01\x00\x02\x02\x46", "it speaks neither TLS 1.2 nor TLS 1.3"),
        ("an alert", b"\x15\x03\x03\x00\x02\x02\x28", "it sent the alert HandshakeFailure"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let authority = format!("registry.lan:{}", listener.local_addr().expect("an address").port());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(wire));
            // A connection that is closed with unread bytes is reset, and may take the answer with it.
            let _ = stream.read(&mut [0; 4096]);
        });
        let site = Site { authorities: ours.pem(), ..Site::new(Origin::new(true, &authority).expect("an authority")) };
        let outcome = fetch(&network(vec![site]), get(&format!("https://{authority}/"))).await;
        assert_eq!(outcome, Err(Error::Tls { authority, why: expected.to_owned() }), "{name}");
    }
    // This may be a bad moment of a balancer, and is tried again: no fault of TLS.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let authority = format!("registry.lan:{}", listener.local_addr().expect("an address").port());
    std::thread::spawn(move || listener.accept().map(|(mut stream, _)| stream.read(&mut [0; 4096])));
    let site = Site { authorities: ours.pem(), ..Site::new(Origin::new(true, &authority).expect("an authority")) };
    let outcome = fetch(&network(vec![site]), get(&format!("https://{authority}/"))).await;
    assert!(matches!(outcome, Err(Error::Connect { .. })), "{outcome:?}");
}
