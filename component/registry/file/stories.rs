//! How files come from addresses: each test is one server.

use super::*;
use crate::nouns::{
    descriptor::Descriptor,
    digest::{Algorithm, Digest},
};
use crate::registry::script::{Reply, Script, broken, reply};
use std::cell::RefCell;

const BYTES: &[u8] = b"twenty-four bytes of it.";
const OTHER: &[u8] = b"another file altogether.";

#[derive(Default)]
struct Witness {
    arrived: RefCell<Vec<(u64, Option<u64>)>>,
    said: RefCell<Vec<String>>,
}

impl Hearer for Witness {
    fn arrived(&self, received: u64, size: Option<u64>) {
        self.arrived.borrow_mut().push((received, size));
    }

    fn say(&self, text: String) {
        self.said.borrow_mut().push(text);
    }
}

fn download(host: &Script) -> (Result<(), Failure>, Vec<u8>, Witness) {
    let (address, witness) =
        (Address::parse("https://files.example/a/root.tar?key=secret").unwrap(), Witness::default());
    let what = Descriptor::new("", Digest::of(Algorithm::Sha256, BYTES), 24);
    let done = host.run(async {
        let ingest = host.ingest(what.digest.as_str()).await.unwrap();
        fetch(host, &address, &Access::default(), &ingest, &witness).await
    });
    (done, host.part(&what).unwrap(), witness)
}

fn whole(bytes: &[u8]) -> Reply {
    reply(200).header("content-length", &bytes.len().to_string()).header("etag", "\"one\"").body(bytes)
}

fn rest(first: usize) -> Reply {
    reply(206)
        .header("content-range", &format!("bytes {first}-{}/{}", BYTES.len() - 1, BYTES.len()))
        .body(&BYTES[first..])
}

#[test]
fn only_addresses_of_the_web_are_taken() {
    let address = Address::parse("HTTP://Example.com:80/a%20b/root.tar?token=1#top").unwrap();
    assert_eq!(address.shown(), "http://example.com/a%20b/root.tar");
    assert_eq!(address.0.path, "/a%20b/root.tar?token=1");
    for (text, expected) in [
        ("root.tar", LocationError::Scheme),
        ("file:///etc/passwd", LocationError::Scheme),
        ("https://me:secret@example.com/a", LocationError::User),
        ("https:///a", LocationError::Host),
        ("https://exa mple/a", LocationError::Host),
    ] {
        assert_eq!(Address::parse(text).map(|address| address.shown()), Err(expected), "{text}");
    }
}

#[test]
fn a_file_arrives_and_no_login_is_sent() {
    let host = Script::new([whole(BYTES)]);
    let (done, bytes, witness) = download(&host);
    assert_eq!((done, &*bytes), (Ok(()), BYTES));
    assert_eq!(host.requests()[0].path, "/a/root.tar?key=secret");
    assert_eq!((host.grants_sent(), host.challenges().len()), (vec![None], 0));
    assert_eq!(witness.arrived.borrow().last(), Some(&(24, Some(24))));
}

#[test]
fn what_breaks_off_goes_on_if_the_file_is_the_same() {
    let host = Script::new([whole(BYTES).cut_at(10), rest(10)]);
    let (done, bytes, _) = download(&host);
    assert_eq!((done, &*bytes), (Ok(()), BYTES));
    assert_eq!(host.sent("range"), [None, Some("bytes=10-".to_owned())]);
    assert_eq!(host.sent("if-range"), [None, Some("\"one\"".to_owned())]);
}

#[test]
fn another_file_is_taken_from_its_start() {
    for first in [
        whole(BYTES).cut_at(10),
        reply(200).header("content-length", "24").header("etag", "W/\"1\"").body(BYTES).cut_at(10),
    ] {
        let host = Script::new([first, whole(OTHER)]);
        let (done, bytes, _) = download(&host);
        assert_eq!((done, &*bytes), (Ok(()), OTHER));
    }
    let wrong = reply(206).header("content-range", "bytes 11-23/24").body(&BYTES[11..]);
    let host = Script::new([whole(BYTES).cut_at(10), wrong, whole(BYTES)]);
    let (done, bytes, _) = download(&host);
    assert_eq!((done, &*bytes), (Ok(()), BYTES));
}

#[test]
fn redirects_are_followed_and_never_to_plain_http() {
    let host = Script::new([reply(302).header("location", "https://cdn.example/x"), whole(BYTES)]);
    assert_eq!(download(&host).0, Ok(()));
    assert_eq!(host.requests()[1].origin.authority, "cdn.example");
    let host = Script::new([reply(302).header("location", "http://cdn.example/x")]);
    assert_eq!(download(&host).0.unwrap_err().code, ErrorCode::Invalid);
}

#[test]
fn what_cannot_be_had_is_told() {
    let refused = |reply: Reply| download(&Script::new([reply])).0.unwrap_err();
    assert_eq!(refused(reply(404)).code, ErrorCode::NotFound);
    assert_eq!(refused(reply(404)).why, ["`files.example` answered 404 to `GET /a/root.tar`"]);
    assert_eq!(refused(reply(401).header("www-authenticate", "Basic realm=\"x\"")).code, ErrorCode::Denied);
    assert_eq!(refused(reply(418)).code, ErrorCode::Invalid);
    assert_eq!(refused(broken(HttpError::Denied("it is private".to_owned()))).code, ErrorCode::Denied);
    let host = Script::new((0..5).map(|_| reply(503)));
    let failure = download(&host).0.unwrap_err();
    assert_eq!((failure.code, host.requests().len()), (ErrorCode::Unavailable, 5));
    let host = Script::new((0..5).map(|_| reply(200).header("content-length", "10").body(BYTES)));
    assert!(matches!(download(&host).0.unwrap_err().code, ErrorCode::SizeMismatch(_)));
}
