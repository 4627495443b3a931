//! Manifests that are published, by registries that answer by a script.

use super::*;
use crate::{
    nouns::digest::Algorithm,
    registry::script::{MANIFEST, Reply, Script, broken, reply},
};

fn what() -> Descriptor {
    let digest = Digest::of(Algorithm::Sha256, MANIFEST.as_bytes());
    Descriptor::new(media_type::OCI_MANIFEST, digest, MANIFEST.len() as u64)
}

fn there() -> Reply {
    reply(200).header("docker-content-digest", what().digest.as_str())
}

fn publish(replies: impl IntoIterator<Item = Reply>) -> (Result<bool, Failure>, Vec<String>) {
    let host = Script::new(replies);
    let repository = host.home("registry.example/a/b", &[]);
    let document = Document::parse(MANIFEST.as_bytes(), None).expect("it is a manifest");
    let outcome = host.run(repository.publish("v1", &what(), MANIFEST.as_bytes(), &document));
    let lines = host.requests().into_iter().map(|request| {
        let path = request.path.replace(what().digest.as_str(), "D");
        format!("{} {}", request.method.name(), path.trim_start_matches("/v2/a/b/manifests/"))
    });
    (outcome.map(|it| it.was_there), lines.collect())
}

#[test]
fn a_manifest_that_is_there_is_not_sent() {
    assert_eq!(publish([there()]), (Ok(true), vec!["HEAD v1".to_owned()]));
}

/// F43.
#[test]
fn what_the_registry_made_of_a_manifest_is_compared() {
    let other = Digest::of(Algorithm::Sha256, b"other");
    let made = |digest: &Digest| reply(201).header("docker-content-digest", digest.as_str());
    let sent = ["HEAD v1", "PUT v1"];
    let (outcome, story) = publish([reply(404), made(&what().digest)]);
    assert_eq!((outcome, &story[..]), (Ok(false), &sent.map(str::to_owned)[..]));
    let (outcome, _) = publish([reply(404), made(&other)]);
    assert_eq!(outcome.expect_err("it is another").code, ErrorCode::DigestMismatch(other));
    // Without a word it is asked.
    let (outcome, story) = publish([reply(404), reply(201), there()]);
    assert_eq!((outcome, story[2].as_str()), (Ok(false), "HEAD D"));
    let (outcome, _) = publish([reply(404), reply(201), reply(404)]);
    assert_eq!(outcome.expect_err("it has nothing").code, ErrorCode::Invalid);
}

#[test]
fn a_tag_that_points_elsewhere_is_moved() {
    let elsewhere = Digest::of(Algorithm::Sha256, b"other");
    let (outcome, story) =
        publish([reply(200).header("docker-content-digest", elsewhere.as_str()), reply(201), there()]);
    assert_eq!((outcome, story[1].as_str()), (Ok(false), "PUT v1"));
}

/// F05.
#[test]
fn an_answer_that_is_lost_is_no_reason_to_publish_twice() {
    let lost = broken(crate::host::HttpError::Timeout);
    let (outcome, story) = publish([reply(404), lost, there()]);
    assert_eq!((outcome, story), (Ok(false), vec!["HEAD v1".to_owned(), "PUT v1".to_owned(), "HEAD v1".to_owned()]));
}
