//! TCP with certificates on both ends.

use super::super::wharf;
use super::{connect, free_address};
use crate::network::authority::{Authority, Validity};
use crate::support::engine_api::Serving;
use crate::support::require;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use wharf::network::Identity;

/// Asks who is there, as a client that trusts `ours` and shows `identity`. Fails with what the connection broke by.
fn ask(
    address: SocketAddr,
    ours: &Authority,
    identity: Option<&Identity>,
    version: &'static SupportedProtocolVersion,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&ours.pem()).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]);
    let builder = builder.expect("ring offers the version").with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = vec![CertificateDer::from_pem_slice(&identity.certificates).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_slice(&identity.key).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("the key fits")
        }
    };
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let connection = ClientConnection::new(Arc::new(config), name).expect("the configuration is whole");
    let mut stream = StreamOwned::new(connection, connect(address));
    let mut answer = String::new();
    let asked = stream
        .write_all(b"GET /_ping HTTP/1.0\r\nhost: images.example\r\n\r\n")
        .and_then(|()| stream.read_to_string(&mut answer));
    asked.map(|_| answer).map_err(|error| error.to_string())
}

/// Writes the files of a door, and returns its options.
fn papers(directory: &Path, door: &Identity, clients: &Authority) -> Vec<String> {
    let files = [
        ("--tls-cert", "cert.pem", door.certificates.clone()),
        ("--tls-key", "key.pem", door.key.clone()),
        ("--client-ca", "clients.pem", clients.pem()),
    ];
    let write = |(option, name, bytes): (&str, &str, Vec<u8>)| {
        let path = directory.join(name);
        fs::write(&path, bytes).expect("the directory is writable");
        [option.to_owned(), path.to_string_lossy().into_owned()]
    };
    files.into_iter().flat_map(write).collect()
}

#[test]
fn over_the_network_a_client_shows_a_certificate() {
    let (ours, clients, stranger) = (Authority::new("ours"), Authority::new("clients"), Authority::new("stranger"));
    let (directory, wharf) = wharf();
    let at = directory.path();
    // Every address of the machine, which others reach.
    let address = SocketAddr::new([0, 0, 0, 0].into(), free_address().port());
    let papers = papers(at, &ours.sign(&["127.0.0.1"], Validity::Now).identity(), &clients);
    let mut options = vec!["--tcp".to_owned(), address.to_string(), "--log".to_owned(), "info".to_owned()];
    options.extend(papers);
    let serving = Serving::start(&wharf, at, &options.iter().map(String::as_str).collect::<Vec<_>>());
    let address = SocketAddr::new([127, 0, 0, 1].into(), address.port());
    // Who does not shake hands keeps nobody out.
    let _silent = connect(address);
    let known = clients.sign(&["ann"], Validity::Now).identity();
    let refused = [
        None,
        Some(stranger.sign(&["ann"], Validity::Now).identity()),
        Some(clients.sign(&["ann"], Validity::Over).identity()),
    ];
    for version in [&TLS12, &TLS13] {
        let answer = ask(address, &ours, Some(&known), version).expect("a client that is known is answered");
        // Whatever it is called: no page in a browser has such a certificate.
        assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("OK"), "{answer}");
        for identity in &refused {
            let error = ask(address, &ours, identity.as_ref(), version).expect_err("a stranger is refused");
            assert!(!error.is_empty());
        }
    }
    let mut plain = connect(address);
    plain.write_all(b"GET /_ping HTTP/1.0\r\nhost: localhost\r\n\r\n").expect("it is read");
    let mut answer = Vec::new();
    // What is no TLS is reset, or answered with an alert of TLS.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    fs::write(at.join("ca.pem"), ours.pem()).expect("the directory is writable");
    fs::write(at.join("client.pem"), &known.certificates).expect("the directory is writable");
    fs::write(at.join("client-key.pem"), &known.key).expect("the directory is writable");
    let docker = |options: &[&str]| {
        let mut command = Command::new(require("docker"));
        command.args(["--host", &format!("tcp://{address}"), "--tlsverify", "--tlscacert", "ca.pem"]);
        command.args(options).arg("version").env("HOME", at).current_dir(at);
        let output = command.output().expect("docker starts");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (is_done, text) = docker(&["--tlscert", "client.pem", "--tlskey", "client-key.pem"]);
    assert!(is_done && text.contains("wharf"), "{text}");
    assert!(!docker(&[]).0);
    let said = serving.stop().stderr;
    assert!(said.contains("a client was refused in the handshake"), "{said}");
}

#[test]
fn papers_that_cannot_be_used_are_told_before_anybody_is_let_in() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let (directory, wharf) = wharf();
    let at = directory.path();
    let good = papers(at, &ours.sign(&["127.0.0.1"], Validity::Now).identity(), &clients);
    let file = |name: &str, bytes: &[u8]| {
        fs::write(at.join(name), bytes).expect("the directory is writable");
        at.join(name).to_string_lossy().into_owned()
    };
    let secret = "c2VjcmV0LWNhbmFyeQ==";
    let others_key = file("other.pem", &ours.sign(&["127.0.0.1"], Validity::Now).identity().key);
    let nonsense = file("nonsense.pem", secret.as_bytes());
    let broken =
        file("broken.pem", format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n").as_bytes());
    let absent = at.join("absent.pem").to_string_lossy().into_owned();
    let socket = at.join("other.sock").to_string_lossy().into_owned();
    let serve = |at: usize, path: &str| {
        let mut options = good.clone();
        options[at] = path.to_owned();
        let fixed = ["serve", "--unix", &socket, "--tcp", "127.0.0.1:0"].map(str::to_owned);
        wharf.run(&[fixed.to_vec(), options].concat()).failure()
    };
    for (option, path, why) in [
        (1, &absent, "No such file"),
        (1, &nonsense, "the certificate: it holds no certificate in PEM"),
        (3, &nonsense, "the key: it holds no unencrypted private key in PEM"),
        (3, &broken, "the key: "),
        (3, &others_key, "the key: it is not the one of the certificate"),
        (5, &nonsense, "the authority of the clients: it holds no certificate in PEM"),
    ] {
        let said = serve(option, path);
        assert!(said.contains("cannot speak TLS") && said.contains(why) && said.contains("hint: "), "{why}: {said}");
        assert!(!said.contains("c2Vj"), "{said}");
    }
    let of = |options: &[&str]| wharf.run(&[&["serve", "--unix", &socket], options].concat());
    let half = of(&["--tcp", "0.0.0.0:0", &good[0], &good[1], &good[2], &good[3]]);
    assert_eq!(half.status.code(), Some(2));
    assert!(half.failure().contains("--client-ca"));
    let nowhere = of(&good.iter().map(String::as_str).collect::<Vec<_>>()).failure();
    assert!(nowhere.contains("no address that they are for"), "{nowhere}");
    assert!(of(&["--metrics", "0.0.0.0:0"]).failure().contains("not of this machine alone"));
    assert!(!Path::new(&socket).exists());
}
