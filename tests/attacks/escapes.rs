//! Rows 8 to 10: names that are paths, addresses that nobody gave, and logins.

use super::Host;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Every file and directory below a path, with what is in it.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut pending) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let about = std::fs::symlink_metadata(&path).expect("it is there");
            if about.is_dir() {
                pending.push(path.clone());
            }
            let content = if about.is_file() { std::fs::read(&path).expect("a file") } else { Vec::new() };
            found.insert(path, content);
        }
    }
    found
}

#[test]
fn row_8_no_name_leads_out_of_the_store() {
    let host = Host::new();
    let outside = host.directory.path().join("victim");
    std::fs::create_dir(&outside).expect("it is writable");
    std::fs::write(outside.join("hello"), "hello").expect("it is writable");
    let hex = "a".repeat(64);
    let long = "a".repeat(4_096);
    let words = [
        "../victim/hello",
        "../../victim/hello",
        "sha256:../../victim/hello",
        "sha256:../../../victim/hello",
        &format!("sha256:{}", "../".repeat(18) + "etc/passwd"),
        &format!("sha256:{hex}/../../../victim/hello"),
        &format!("sha256:{}", hex.to_uppercase()),
        &format!("SHA256:{hex}"),
        &format!("md5:{}", &hex[..32]),
        &format!("sha256:{hex}\0"),
        "\0",
        ".",
        "..",
        "",
        "/etc/passwd",
        "//",
        "a/b",
        "con\u{202e}",
        "\u{1b}[31m",
        &long,
    ];
    host.assert_works();
    let store = host.directory.path().join("store");
    let before: Vec<PathBuf> =
        tree(host.directory.path()).into_keys().filter(|path| !path.starts_with(&store)).collect();
    let digests_of_store = |path: &Path| -> Vec<PathBuf> { tree(&path.join("blobs")).into_keys().collect() };
    let blobs = digests_of_store(&store);
    let outcome = host.attack("names", &words, 0);
    assert_eq!(outcome.words().len(), 16 * words.len(), "every import of every word answers");
    for line in outcome.words() {
        let mut parts = line.split('\t');
        let (import, word, said) = (parts.next(), parts.next(), parts.next());
        // What is a digest by its place is none of these.
        let is_digest = ["content.open", "content.remove", "content.entries", "content.ingest.commit", "layers.open"];
        if import.is_some_and(|import| is_digest.contains(&import)) {
            assert!(said.is_some_and(|said| said.contains("Invalid")), "{import:?} of {word:?}: {said:?}");
        }
    }
    let after: Vec<PathBuf> =
        tree(host.directory.path()).into_keys().filter(|path| !path.starts_with(&store)).collect();
    assert_eq!(after, before, "something appeared beside the store");
    assert_eq!(std::fs::read(outside.join("hello")).expect("it is there"), b"hello");
    assert_eq!(digests_of_store(&store), blobs, "no name became a blob");
    for path in tree(&store).keys() {
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        assert!(name.len() <= 128 && name.chars().all(plain), "a name of the component names a file: {name:?}");
    }
    host.assert_works();
}

/// A server that counts who connects.
fn canary() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            if let Ok(mut connection) = connection {
                // It is only about who connects; what it reads is whatever has arrived.
                let _ = connection.read(&mut [0; 4_096]);
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        }
    });
    (port, count)
}

#[test]
fn row_9_nothing_on_this_machine_is_reached_unasked() {
    let host = Host::new();
    let (port, count) = canary();
    let words: Vec<String> = [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "[::]",
        "LOCALHOST.",
    ]
    .iter()
    .map(|name| format!("{name}:{port}"))
    .chain(
        [
            "169.254.169.254",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "10.0.0.1",
            "192.168.0.1",
            "user@127.0.0.1",
            "a b",
            "a/b",
            "",
        ]
        .map(str::to_owned),
    )
    .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = host.attack("reach", &words, 0);
    assert_eq!(outcome.words().len(), words.len());
    for line in outcome.words() {
        println!("{line}");
        assert!(!line.ends_with("\t200"), "{line}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "somebody connected");
    // The canary is one: once a person names it, it is reached.
    host.services.network.allow(&format!("127.0.0.1:{port}")).expect("it is an authority");
    assert!(host.attack("reach", &words[..1], 0).words()[0].ends_with("\t200"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // Link-local addresses are never reached, whoever names them.
    host.services.network.allow("169.254.169.254").expect("it is an authority");
    let outcome = host.attack("reach", &["169.254.169.254"], 0);
    assert!(outcome.words()[0].contains("Denied") || outcome.words()[0].contains("Prohibited"), "{outcome:?}");
}

/// A registry that accepts one login, and says back what it was sent. Returns its port, and what it was sent.
fn mirror() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("somebody connects");
            let mut bytes = vec![0; 8_192];
            let size = connection.read(&mut bytes).expect("a request");
            let head = String::from_utf8_lossy(&bytes[..size]).into_owned();
            let sent =
                head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default().to_owned();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-said: {sent}\r\nwww-authenticate: {sent}\r\n\r\n");
            connection.write_all(answer.as_bytes()).expect("somebody reads");
            if sender.send(sent).is_err() {
                return;
            }
        }
    });
    (port, receiver)
}

#[test]
fn row_10_a_login_that_is_used_is_not_in_the_components_memory() {
    // `canary-user:canary-password`
    let encoded = "Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3N3b3Jk";
    let (port, sent) = mirror();
    let registry = format!("127.0.0.1:{port}");
    let host = Host::with_login(&registry, encoded);
    host.services.network.allow(&registry).expect("it is an authority");
    // Shifted by one, so that the search does not find what it looks for.
    let shift = |word: &str| -> String { word.bytes().map(|byte| char::from(byte + 1)).collect() };
    let secrets = [shift("canary-password"), shift(encoded), shift("canary-user"), shift(&registry)];
    let words: Vec<&str> = [registry.as_str()].into_iter().chain(secrets.iter().map(String::as_str)).collect();
    let outcome = host.attack("login", &words, 0);
    println!("{:?}", outcome.said);
    assert_eq!(sent.recv().expect("the registry was asked"), format!("Basic {encoded}"), "the login was used");
    let words = outcome.words();
    assert_eq!(words[0], "authorization is refused: true");
    assert_eq!(&words[2..5], ["0", "0", "0"], "password, login and user are not in its memory");
    // The search finds what is there.
    assert_ne!(words[5], "0");
}
