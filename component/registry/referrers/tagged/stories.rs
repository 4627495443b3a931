//! Lists that clients keep, at registries that answer by a script.

use super::*;
use crate::registry::{
    publish::Published,
    script::{Reply, Script, broken, reply},
};

const SUBJECT: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const TAG: &str = "sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A signature of the subject.
fn signature() -> String {
    let of = |kind: &str| format!(r#"{{"mediaType":"{kind}","digest":"{SUBJECT}","size":2}}"#);
    let (manifest, empty) =
        (of("application/vnd.oci.image.manifest.v1+json"), of("application/vnd.example.signature.config"));
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{empty},"layers":[],"subject":{manifest},"annotations":{{"by":"me"}}}}"#
    )
}

fn what() -> Descriptor {
    let bytes = signature();
    let digest = Digest::of(Algorithm::Sha256, bytes.as_bytes());
    Descriptor::new("application/vnd.oci.image.manifest.v1+json", digest, bytes.len() as u64)
}

/// What the list says of the signature.
fn own() -> String {
    let (digest, size) = (what().digest, what().size);
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{size},"artifactType":"application/vnd.example.signature.config","annotations":{{"by":"me"}}}}"#
    )
}

/// What another client has listed, with a field that nobody here knows.
fn other() -> String {
    let digest = "0".repeat(64);
    format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{digest}","size":7,"org.example":[1]}}"#
    )
}

fn list(entries: &[String]) -> Reply {
    let body = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#, entries.join(","));
    reply(200).header("content-type", OCI_INDEX).body(body)
}

/// Publishes the signature. Returns what came of it, the requests, and what the list
/// became each time.
fn publish(replies: Vec<Reply>) -> (Result<Published, Failure>, Vec<String>, Vec<Value>) {
    let host = Script::new(replies);
    let repository = host.home("registry.example/a/b", &[]);
    let bytes = signature();
    let document = Document::parse(bytes.as_bytes(), None).expect("it is a manifest");
    let outcome = host.run(repository.publish(what().digest.as_str(), &what(), bytes.as_bytes(), &document));
    let short = |path: &str| path.replace(what().digest.as_str(), "D").replace(TAG, "T").replace(SUBJECT, "S");
    let lines = host.requests().into_iter().map(|request| {
        let path = short(&request.path);
        format!("{} {}", request.method.name(), path.trim_start_matches("/v2/a/b/"))
    });
    let lines: Vec<String> = lines.collect();
    let lists = lines.iter().zip(host.bodies()).filter(|(line, _)| *line == "PUT manifests/T");
    let lists = lists.map(|(_, bytes)| serde_json::from_slice(&bytes).expect("a list is JSON")).collect();
    (outcome, lines, lists)
}

fn value(entry: &str) -> Value {
    serde_json::from_str(entry).expect("it is JSON")
}

#[test]
fn a_registry_that_lists_it_itself_gets_no_tag() {
    let put = reply(201).header("oci-subject", SUBJECT).header("docker-content-digest", what().digest.as_str());
    let (outcome, lines, _) = publish(vec![reply(404), put]);
    assert_eq!(outcome, Ok(Published { was_there: false, tag: None }));
    assert_eq!(lines, ["HEAD manifests/D", "PUT manifests/D"]);
}

fn taken() -> Reply {
    reply(201).header("docker-content-digest", what().digest.as_str())
}

/// What a registry says of a list that it took.
fn kept(bytes: &[String]) -> Reply {
    let body = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#, bytes.join(","));
    // As `serde_json` orders the keys of what it has read.
    let bytes = serde_json::to_vec(&value(&body)).expect("it is JSON");
    reply(201).header("docker-content-digest", Digest::of(Algorithm::Sha256, &bytes).as_str())
}

#[test]
fn where_the_registry_keeps_no_list_one_is_begun_and_looked_at_again() {
    let replies = vec![reply(404), taken(), reply(404), reply(404), kept(&[own()]), list(&[own()])];
    let (outcome, lines, lists) = publish(replies);
    assert_eq!(outcome, Ok(Published { was_there: false, tag: Some(TAG.to_owned()) }));
    let expected = ["HEAD manifests/D", "PUT manifests/D", "GET manifests/T", "HEAD manifests/T", "PUT manifests/T"];
    assert_eq!((&lines[..5], &*lines[5], lines.len()), (&expected.map(str::to_owned)[..], "GET manifests/T", 6));
    assert_eq!(lists.len(), 1);
    assert_eq!(lists[0]["manifests"], Value::Array(vec![value(&own())]), "its type is that of its config");
    assert_eq!(lists[0]["mediaType"], OCI_INDEX);
}

#[test]
fn what_others_have_listed_stays_as_it_is_written() {
    let entries = [other(), own()];
    let replies = vec![reply(404), taken(), list(&[other()]), reply(404), kept(&entries), list(&entries)];
    let (outcome, _, lists) = publish(replies);
    assert_eq!(outcome.map(|it| it.tag), Ok(Some(TAG.to_owned())));
    assert_eq!(lists[0]["manifests"], Value::Array(entries.iter().map(|entry| value(entry)).collect()));
}

#[test]
fn what_is_listed_is_not_listed_twice() {
    let (outcome, lines, lists) = publish(vec![reply(404), taken(), list(&[own(), other()])]);
    assert_eq!((outcome.map(|it| it.tag), lists.len()), (Ok(Some(TAG.to_owned())), 0));
    assert_eq!(lines.len(), 3);
}

/// An earlier push may have ended between the manifest and its list.
#[test]
fn of_what_was_there_it_is_asked_whether_it_is_listed() {
    let there = || reply(200).header("docker-content-digest", what().digest.as_str());
    let (outcome, lines, _) = publish(vec![there(), list(&[])]);
    assert_eq!(outcome, Ok(Published { was_there: true, tag: None }), "the registry keeps lists itself");
    assert_eq!(lines, ["HEAD manifests/D", "GET referrers/S"]);
    let replies = vec![there(), reply(404), reply(404), reply(404), kept(&[own()]), list(&[own()])];
    let (outcome, _, lists) = publish(replies);
    assert_eq!((outcome.map(|it| it.was_there), lists.len()), (Ok(true), 1));
}

/// Somebody else has read the same list and pushed theirs last.
#[test]
fn an_entry_that_is_lost_meanwhile_is_added_again() {
    let both = [other(), own()];
    let replies = vec![
        reply(404),
        taken(),
        reply(404),
        reply(404),
        kept(&[own()]),
        list(&[other()]),
        reply(404),
        kept(&both),
        list(&both),
    ];
    let (outcome, _, lists) = publish(replies);
    assert_eq!(outcome.map(|it| it.tag), Ok(Some(TAG.to_owned())));
    let lengths: Vec<usize> = lists.iter().map(|list| list["manifests"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(lengths, [1, 2], "nobody's entry is lost");
    let mut replies = vec![reply(404), taken()];
    for _ in 0..WRITTEN_MAX {
        replies.extend([list(&[other()]), reply(404), kept(&both)]);
    }
    replies.push(list(&[other()]));
    let (outcome, _, lists) = publish(replies);
    assert_eq!((outcome.expect_err("there is no end").code, lists.len()), (ErrorCode::Conflict, WRITTEN_MAX as usize));
}

#[test]
fn what_is_no_list_or_no_room_is_told_and_left_as_it_is() {
    let manifest = reply(200).header("content-type", &what().media_type).body(signature());
    let (outcome, _, lists) = publish(vec![reply(404), taken(), manifest]);
    let failure = outcome.expect_err("it is no list");
    assert!(failure.code == ErrorCode::Invalid && failure.why[0].contains("names no index"), "{failure:?}");
    let many: Vec<String> = (0..INDEX_ENTRIES_MAX).map(|_| other()).collect();
    let (outcome, _, more) = publish(vec![reply(404), taken(), list(&many)]);
    assert_eq!(outcome.expect_err("it is full").code, ErrorCode::TooLarge(INDEX_ENTRIES_MAX as u64));
    assert_eq!(lists.len() + more.len(), 0);
}

/// F05 of a list: what failed may have been the answer alone.
#[test]
fn a_list_whose_answer_is_lost_is_looked_at_and_not_pushed_twice() {
    let lost = broken(crate::host::HttpError::Timeout);
    let bytes = with(None, &entry(&what(), &Document::parse(signature().as_bytes(), None).expect("a manifest")), TAG);
    let digest = bytes.expect("there is room").0.digest;
    let there = reply(200).header("docker-content-digest", digest.as_str());
    let (outcome, _, lists) = publish(vec![reply(404), taken(), reply(404), reply(404), lost, there, list(&[own()])]);
    assert_eq!((outcome.map(|it| it.tag), lists.len()), (Ok(Some(TAG.to_owned())), 1));
}

#[test]
fn a_long_digest_is_cut_for_the_tag() {
    let long = format!("sha512:{}", "ab".repeat(64)).parse().expect("it is a digest");
    assert_eq!(tag(&long), format!("sha512-{}", "ab".repeat(32)));
}
