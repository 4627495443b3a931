//! What is asked, page by page, and what counts of the answers.

use super::*;
use crate::registry::script::{MANIFEST, Reply, Script, reply};

const SUBJECT: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const TAG: &str = "sha256-44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const SBOM: &str = "application/spdx+json";

fn list(host: &Script, kind: Option<&str>) -> Result<Listed, Failure> {
    let subject = SUBJECT.parse().expect("it is a digest");
    let repository = host.repository("registry.example/a/b").without_mirrors();
    host.run(repository.referrers(&subject, kind))
}

/// An entry whose digest ends in `at`.
fn entry(at: u32, kind: Option<&str>) -> String {
    let kind = kind.map(|kind| format!(r#","artifactType":"{kind}""#)).unwrap_or_default();
    let digest = format!("sha256:{at:064x}");
    format!(r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":7{kind}}}"#)
}

fn page(entries: &[String]) -> Reply {
    let body = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{}]}}"#, entries.join(","));
    reply(200).header("content-type", OCI_INDEX).body(body)
}

fn asked(host: &Script) -> Vec<String> {
    host.requests().into_iter().map(|request| request.path).collect()
}

fn numbers(listed: Result<Listed, Failure>) -> Vec<u64> {
    let number = |entry: Descriptor| u64::from_str_radix(&entry.digest.encoded()[48..], 16).expect("the test made it");
    listed.expect("there is a list").entries.into_iter().map(number).collect()
}

#[test]
fn referrers_are_listed_page_by_page_each_once() {
    let next = format!("</v2/a/b/referrers/{SUBJECT}?last=2>; rel=\"next\"");
    let host = Script::new([
        page(&[entry(1, None), entry(2, None)]).header("link", &next),
        page(&[entry(2, None), entry(3, None)]),
    ]);
    assert_eq!(numbers(list(&host, None)), [1, 2, 3]);
    let paths = [format!("/v2/a/b/referrers/{SUBJECT}"), format!("/v2/a/b/referrers/{SUBJECT}?last=2")];
    assert_eq!(asked(&host), paths);
    assert_eq!(list(&Script::new([page(&[])]), None), Ok(Listed::default()));
}

#[test]
fn the_registry_chooses_by_type_or_else_it_is_done_here() {
    let entries = || page(&[entry(1, Some(SBOM)), entry(2, Some("application/x.sig")), entry(3, None)]);
    let host = Script::new([entries()]);
    assert_eq!(numbers(list(&host, Some(SBOM))), [1]);
    assert_eq!(asked(&host), [format!("/v2/a/b/referrers/{SUBJECT}?artifactType=application%2Fspdx%2Bjson")]);
    // One that says that it has chosen knows what an entry is that does not say so; of another type it still is.
    let host = Script::new([entries().header("oci-filters-applied", "annotations, artifactType")]);
    assert_eq!(numbers(list(&host, Some(SBOM))), [1, 3]);
}

#[test]
fn a_registry_without_a_list_has_it_under_a_tag() {
    let html = || reply(200).header("content-type", "text/html").body("<html>");
    for first in [reply(404), reply(405), reply(501), html()] {
        let host = Script::new([first, page(&[entry(1, Some(SBOM)), entry(2, None), entry(1, None)])]);
        let listed = list(&host, None).expect("the tag is there");
        assert_eq!((listed.entries.len(), listed.tag.as_deref()), (2, Some(TAG)));
        assert_eq!(asked(&host)[1], format!("/v2/a/b/manifests/{TAG}"));
    }
    let host = Script::new([reply(404), page(&[entry(1, Some(SBOM)), entry(2, None)])]);
    assert_eq!(numbers(list(&host, Some(SBOM))), [1]);
    let none = Listed { entries: Vec::new(), tag: Some(TAG.to_owned()) };
    assert_eq!(list(&Script::new([reply(404), reply(404)]), None), Ok(none));

    let manifest = reply(200).header("content-type", media_type::OCI_MANIFEST).body(MANIFEST);
    let failure = list(&Script::new([reply(404), manifest]), None).expect_err("it is no list");
    assert_eq!(failure.code, ErrorCode::Invalid);
    let failure = list(&Script::new([reply(404), reply(403)]), None).expect_err("it may not be read");
    assert_eq!(failure.code, ErrorCode::Denied);
}

#[test]
fn what_is_no_list_is_refused_and_pages_end() {
    let broken = reply(200).header("content-type", OCI_INDEX).body("{}");
    let failure = list(&Script::new([broken]), None).expect_err("it has no entries");
    assert!(failure.why[0].starts_with("the list of referrers of `registry.example` is not readable: "), "{failure:?}");
    let round = |to: &str| page(&[]).header("link", &format!("<?{to}>; rel=next"));
    let circle = list(&Script::new([round("a"), round("b"), round("a")]), None);
    assert_eq!(circle.expect_err("no end").why, ["the pages of `registry.example` go round in a circle"]);
    let host = Script::new((0..200).map(|at| round(&format!("at={at}"))));
    let endless = list(&host, None).expect_err("no end");
    assert_eq!((endless.code, asked(&host).len()), (ErrorCode::TooLarge(10_000), pages::PAGES_MAX));
    let away = page(&[]).header("link", "<//evil.example/v2/>; rel=next");
    assert_eq!(list(&Script::new([away]), None).expect_err("it leads away").code, ErrorCode::Invalid);
}

#[test]
fn a_page_that_breaks_is_asked_for_again() {
    let first = page(&[entry(1, None)]).header("link", "<?at=1>; rel=next");
    let host = Script::new([first, reply(503), page(&[entry(2, None)])]);
    assert_eq!(numbers(list(&host, None)), [1, 2]);
    assert_eq!(asked(&host).len(), 3);
}
