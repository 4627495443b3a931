//! F21 to F28 and F46: digests and types that are told wrong or not at all, HEAD that does not help, documents that are
//! too large or too deep, bodies that are said to be compressed, and pages of tags.

use super::case::{Ask, Before, Case, case};
use super::{GETS, objects, size, slack};
use crate::support::fault_registry::{
    Auth, Framing, How, Object::*, SINGLE, Stock, What, What::*, always, body, once, set,
};
use serde_json::json;
use wharf::demo::image::{INDEX, MANIFEST};

/// A digest of nothing that is here.
const OTHER: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
/// The header that tells a digest.
const DIGEST: &str = "docker-content-digest";

/// F21 to F23.
fn digests() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, on) in objects(&[Index, Manifest]) {
        let of = |what: &str, faults: Vec<What>| case(format!("{what}-{name}"), [always(on, faults)]).retries(1);
        cases.push(of("F21", vec![set(DIGEST, OTHER)]).fails("digest-mismatch", &["hashes to", OTHER]));
        let malformed = vec![set(DIGEST, "sha256:beef")];
        cases.push(
            case(format!("F21-{name}-malformed"), [always(on, malformed)]).retries(1).fails("invalid", &["beef"]),
        );
        let weak = vec![set(DIGEST, "md5:d41d8cd98f00b204e9800998ecf8427e")];
        cases.push(case(format!("F21-{name}-weak"), [always(on, weak)]).retries(1).fails("invalid", &["md5"]));
        cases.push(of("F22", vec![Remove(DIGEST)]));
        cases.push(case(format!("F22-{name}-empty"), [always(on, set(DIGEST, ""))]));
    }
    cases.push(case("F22-single", [always(Manifest, Remove(DIGEST))]).ask(Ask::Tag(SINGLE)));
    cases.push(case("F22-head", [always(Head, Remove(DIGEST))]).before(Before::Pulled).asked(Index, 1));

    let mut stock = (*Stock::usual()).clone();
    let other = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] }).to_string();
    let digest = stock.add(None, INDEX, other.clone());
    for (what, announced) in [("silent", Remove(DIGEST)), ("honest", set(DIGEST, digest))] {
        let answer = vec![body(other.clone()), announced];
        cases.push(
            case(format!("F23-index-{what}"), [always(Index, answer.clone())])
                .ask(Ask::Digest)
                .retries(1)
                .fails("digest-mismatch", &["was asked for"]),
        );
        let id = format!("F23-manifest-{what}");
        cases.push(case(id, [always(Manifest, answer)]).retries(1).fails("digest-mismatch", &["was asked for"]));
    }
    cases
}

/// F24, F25: the second pull asks by HEAD first.
fn heads() -> Vec<Case> {
    let of =
        |what: &str, faults: Vec<What>| case(format!("F24-head-{what}"), [always(Head, faults)]).before(Before::Pulled);
    let mut cases: Vec<_> = [400, 401, 403, 404, 405, 500, 501, 503]
        .into_iter()
        .map(|status| of(&status.to_string(), vec![Status(status)]).asked(Index, 1))
        .collect();
    let challenge = "Bearer realm=\"http://{registry}/token\",service=\"registry.test\"";
    let challenged = of("401-challenged", vec![Status(401), set("www-authenticate", challenge)]);
    cases.push(challenged.auth(Auth::Token).asked(Index, 1));
    cases.push(of("no-length", vec![What::Framing(Framing::Close)]).asked(Index, 1));
    cases.push(of("no-type", vec![Remove("content-type")]).asked(Index, 1));
    cases.push(of("text", vec![set("content-type", "text/html")]).asked(Index, 1));
    cases.push(of("reset", vec![HangUp(How::Reset)]).asked(Index, 1));
    cases.push(of("well", vec![set("x-well", "yes")]).asked(Index, 0).asked(Layer, 0));
    cases.push(
        case("F25-head", [always(Head, set(DIGEST, OTHER))]).before(Before::Pulled).asked(Index, 1).asked(Layer, 0),
    );
    let moved = vec![Remove(DIGEST), set("content-length-was", "0")];
    cases.push(case("F25-head-silent", [always(Head, moved)]).before(Before::Pulled).asked(Index, 1));
    cases
}

/// F26.
fn types() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, on, ask) in [("index", Index, "latest"), ("manifest", Manifest, "latest"), ("single", Manifest, SINGLE)]
    {
        for (what, declared) in [
            ("plain", "text/plain; charset=utf-8"),
            ("html", "text/html"),
            ("json", "application/json"),
            ("octets", "application/octet-stream"),
        ] {
            let id = format!("F26-{name}-{what}");
            cases.push(case(id, [always(on, set("content-type", declared))]).ask(Ask::Tag(ask)));
        }
        cases.push(case(format!("F26-{name}-absent"), [always(on, Remove("content-type"))]).ask(Ask::Tag(ask)));
    }
    let wrong = [("index", Index, MANIFEST), ("manifest", Manifest, INDEX)];
    for (name, on, declared) in wrong {
        let id = format!("F26-{name}-as-another");
        cases.push(case(id, [always(on, set("content-type", declared))]).retries(1).fails("invalid", &[]));
    }
    let mut stock = (*Stock::usual()).clone();
    let manifest: serde_json::Value = serde_json::from_slice(&stock.manifest().bytes).expect("it is JSON");
    let index: serde_json::Value = serde_json::from_slice(&stock.index().bytes).expect("it is JSON");
    let both = json!({
        "schemaVersion": 2, "config": manifest["config"], "layers": manifest["layers"], "manifests": index["manifests"],
    });
    stock.add(Some("both"), MANIFEST, both.to_string());
    let twice = format!("{{\"schemaVersion\":2,{}", &stock.manifest().bytes.escape_ascii().to_string()[1..]);
    stock.add(Some("twice"), MANIFEST, twice.replace("\\\"", "\""));
    for tag in ["both", "twice"] {
        for (what, faults) in [("told", vec![]), ("untold", vec![always(Manifest, Remove("content-type"))])] {
            let id = format!("F26-manifest-{tag}-{what}");
            cases.push(case(id, faults).stock(stock.clone()).ask(Ask::Tag(tag)).fails("invalid", &[]));
        }
    }
    cases
}

/// F27.
fn sizes() -> Vec<Case> {
    let mut stock = (*Stock::usual()).clone();
    let manifest = stock.manifest().clone();
    let large = [&manifest.bytes[..], &vec![b' '; 4 << 20]].concat();
    stock.add(Some("large"), MANIFEST, large);
    let entry = |at: usize| {
        let platform = json!({ "os": "linux", "architecture": "amd64" });
        json!({ "mediaType": MANIFEST, "digest": format!("sha256:{at:064x}"), "size": 7, "platform": platform })
    };
    let index = |entries: Vec<_>| json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    stock.add(Some("wide"), INDEX, index((0..2_000).map(entry).collect()));
    stock.add(Some("widest"), INDEX, index((0..100_000).map(entry).collect()));
    let nested = |digest: &str, size: usize| json!({ "mediaType": INDEX, "digest": digest, "size": size });
    let mut inner = stock.index().clone();
    for depth in 1..=100 {
        let text = index(vec![nested(&inner.digest, inner.bytes.len())]);
        let tag = ["depth-2", "depth-3", "depth-100"].into_iter().find(|tag| *tag == format!("depth-{}", depth + 1));
        let digest = stock.add(tag.filter(|_| depth < 3), INDEX, text);
        inner = stock.document(&digest).expect("it was just added").clone();
    }
    stock.add(Some("depth-100"), INDEX, inner.bytes.clone());
    // The same index twice, which is no cycle: by digest, there is none.
    let twice = nested(&stock.index().digest, stock.index().bytes.len());
    stock.add(Some("twice"), INDEX, index(vec![twice.clone(), twice]));
    // An entry that says it is small, and is not.
    let lying = json!({
        "mediaType": MANIFEST, "digest": manifest.digest, "size": 10,
        "platform": { "os": "linux", "architecture": "amd64" },
    });
    stock.add(Some("lying"), INDEX, index(vec![lying]));
    // A manifest whose config is said to be larger than any document.
    let text = String::from_utf8(manifest.bytes.to_vec()).expect("it is text");
    let config = format!("\"size\":{}", size(Config));
    stock.add(Some("vast-config"), MANIFEST, text.replacen(&config, "\"size\":99999999", 1));

    let of = |id: &str, tag| case(id, []).stock(stock.clone()).ask(Ask::Tag(tag)).retries(1);
    vec![
        of("F27-manifest-large", "large").fails("too-large", &["4194304"]).sent(Manifest, slack(4 << 20)),
        of("F27-index-wide", "wide").fails("invalid", &[]),
        of("F27-index-widest", "widest").fails("too-large", &["4194304"]).sent(Index, slack(4 << 20)),
        of("F27-index-depth-2", "depth-2").asked(Index, 2),
        of("F27-index-depth-3", "depth-3").asked(Index, 3),
        of("F27-index-depth-100", "depth-100").fails("invalid", &["deeper than"]),
        of("F27-index-twice", "twice").asked(Index, 2),
        of("F27-manifest-lying", "lying").fails("size-mismatch", &["promised"]).asked(Layer, 0),
        of("F27-config-vast", "vast-config").fails("too-large", &["config"]).asked(Config, 0),
    ]
}

/// F28.
fn codings() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, on) in objects(&GETS) {
        // Some stores say so of layers that were compressed before they were pushed. The bytes are right.
        cases.push(case(format!("F28-{name}-said"), [always(on, set("content-encoding", "gzip"))]));
        let code = if matches!(on, Config | Layer) { "invalid" } else { "digest-mismatch" };
        let really = vec![set("content-encoding", "gzip"), body(&b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff"[..])];
        cases.push(case(format!("F28-{name}-really"), [always(on, really)]).retries(1).fails(code, &[]));
    }
    let unknown = vec![set("content-encoding", "zstd"), Remove(DIGEST)];
    cases.push(case("F28-index-unannounced", [always(Index, unknown)]).retries(1).fails("invalid", &["compressed"]));
    cases
}

/// F46.
fn pages() -> Vec<Case> {
    let of = |what: &str, faults| case(format!("F46-tags-{what}"), faults).ask(Ask::AllTags).retries(1);
    let link = |target: &str| set("link", format!("<{target}>; rel=\"next\""));
    let list = "/v2/harbour/demo/tags/list";
    vec![
        of("well", vec![]).asked(Tags, 2),
        of("relative", vec![once(Tags, link("list?n=2&last=one"))]).asked(Tags, 2),
        of("absolute", vec![once(Tags, link(&format!("http://{{registry}}{list}?n=2&last=one")))]).asked(Tags, 2),
        of("parameters", vec![once(Tags, set("link", format!("<{list}?last=one>; title=\"a, b\"; REL=next")))]),
        of("without-n", vec![once(Tags, link(&format!("{list}?last=one")))]).asked(Tags, 2),
        of("loop", vec![always(Tags, link(&format!("{list}?n=2&last=one")))]).fails("invalid", &["circle"]).fires(&[2]),
        of("self", vec![always(Tags, link("list?n=1000"))]).fails("invalid", &["circle"]).fires(&[1]),
        of("other-host", vec![always(Tags, link(&format!("http://{{storage}}{list}")))])
            .fails("invalid", &["another origin"]),
        of("file", vec![always(Tags, link("file:///etc/passwd"))]).fails("invalid", &["next page"]),
        of("null", vec![once(Tags, body("{\"tags\":null}"))]).asked(Tags, 2),
        of("no-tag", vec![always(Tags, body("{\"tags\":[\"../../x\"]}"))]).fails("invalid", &["is not a tag"]),
        of("html", vec![always(Tags, body("<html>"))]).fails("invalid", &["not readable"]),
        of("missing", vec![always(Tags, Status(404))]).fails("not-found", &["no repository"]),
        of("token", vec![once(Tags, vec![]), once(Tags, Revoke)]).auth(Auth::Token).asked(Token, 2),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    [digests(), heads(), types(), sizes(), codings(), pages()].concat()
}
