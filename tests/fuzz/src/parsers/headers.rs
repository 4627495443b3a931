//! Headers and error documents of registries.

use super::{assert_harmless, choice, texts, written};
use wharf_component::host::{Challenge, Origin};
use wharf_component::registry::location::{LOCATION_BYTES_MAX, Target, resolve, same_origin, without_secrets};
use wharf_component::registry::{self, Limit, range as ranged, retry};

/// RFC 9110 section 5.6.7 has this moment as an example: 1994-11-06T08:49:37Z.
const NOW: i64 = 784_111_777;

fn tables() -> Vec<Vec<u8>> {
    texts(include_str!("../../../data/vectors/registry_client.json"))
}

pub(super) fn challenge(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let headers = || text.split('\n');
    for header in headers() {
        let offers = registry::challenge::parse(header);
        assert_eq!(offers, registry::challenge::parse(header));
        let size: usize =
            offers.iter().flat_map(|offer| &offer.parameters).map(|(name, value)| name.len() + value.len()).sum();
        assert!(size <= header.len(), "{size} bytes of {}", header.len());
        for offer in &offers {
            assert!(offer.parameters.len() <= 32 && !offer.scheme.is_empty());
            assert!(!offer.scheme.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_whitespace()));
        }
    }
    let chosen = registry::challenge::choose(headers(), Some("repository:a/b:pull"));
    let Ok(chosen) = chosen else { return false };
    if let Challenge::Bearer { realm, scopes, .. } = &chosen {
        assert!(!realm.is_empty() && (1..=16).contains(&scopes.len()));
        if let Some(Challenge::Bearer { scopes: wider, .. }) = registry::challenge::wider(headers(), &chosen) {
            assert!(wider.len() > scopes.len() && wider.len() <= 16 && wider.starts_with(scopes));
        }
    }
    true
}

pub(super) fn challenges() -> Vec<Vec<u8>> {
    let mut seeds = tables();
    seeds.retain(|seed| seed.windows(5).any(|window| window.eq_ignore_ascii_case(b"realm")));
    seeds.extend(written(&[
        "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\"",
        "Negotiate, Basic realm=\"a, b\"\nBearer realm=https://x.example/t, error=\"insufficient_scope\", scope=\"a b c\"",
        "Digest qop=\"auth\", nonce=\"=\\\"\"",
        "Basic",
        "",
    ]));
    seeds
}

pub(super) fn location(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let shown = without_secrets(text);
    assert_harmless(&shown);
    assert!(!shown.contains(['?', '#']), "{shown}");
    let (secure, authority) = [(true, "registry.example"), (false, "127.0.0.1:5000"), (true, "[::1]:5000")][which % 3];
    let base = Target {
        origin: Origin { secure, authority: authority.to_owned() },
        path: "/v2/a/b/blobs/uploads/1?state=x".to_owned(),
    };
    let resolved = resolve(&base, text);
    assert_eq!(resolved, resolve(&base, text));
    let Ok(target) = resolved else { return false };
    assert!(target.origin.secure || !base.origin.secure, "it leads from TLS to plain HTTP");
    assert!(!target.origin.authority.contains(['@', '/', '?', '#', '\\', ' ']), "{target}");
    assert!(target.path.starts_with('/') && target.path.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
    assert!(target.to_string().len() <= 3 * LOCATION_BYTES_MAX + 64);
    if same_origin(&target.origin, &base.origin) {
        assert_eq!(target.origin, base.origin);
    }
    // What was resolved leads to the same place wherever it is read. Resolving once escapes, and may make it too long.
    match resolve(&target, &target.to_string()) {
        Ok(again) => assert_eq!(again, target),
        Err(error) => assert!(target.to_string().len() > LOCATION_BYTES_MAX, "{target}: {error}"),
    }
    true
}

pub(super) fn locations() -> Vec<Vec<u8>> {
    let mut seeds = tables();
    seeds.retain(|seed| seed.len() < 512 && (seed.starts_with(b"/") || seed.windows(3).any(|window| window == b"://")));
    seeds.extend(written(&[
        "https://cdn.example/data?sig=a%2Fb#f",
        "//other.example/x",
        "?n=2",
        "../../../../x",
        "http://user:secret@evil.example/",
        "https://[fe80::1%25eth0]/",
        "ftp://a/",
        "https://a\u{e4}.example/\u{fc} b",
    ]));
    seeds.into_iter().map(|seed| [b"0", &seed[..]].concat()).collect()
}

pub(super) fn link(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(next) = registry::link::next(text) else { return false };
    let begin = next.as_ptr() as usize - text.as_ptr() as usize;
    assert!(text[..begin].ends_with('<') && text[begin + next.len()..].starts_with('>'));
    let again = format!("<{next}>; rel=\"next\"");
    assert_eq!(registry::link::next(&again), Some(next));
    true
}

pub(super) fn links() -> Vec<Vec<u8>> {
    let mut seeds = tables();
    seeds.retain(|seed| seed.windows(3).any(|window| window == b"rel"));
    seeds.extend(written(&[
        "</v2/a/tags/list?last=x&n=2>; rel=\"next\"",
        "<a>; rel=prev, <b>; title=\"x;y,z\"; REL=\"last next\"",
        "<a>;;;,<b>;rel=next",
        "<a",
        "",
    ]));
    seeds
}

pub(super) fn range(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if let Some(total) = ranged::unsatisfied_total(text) {
        assert_eq!(ranged::unsatisfied_total(&format!("bytes */{total}")), Some(total));
        assert_eq!(ranged::parse(text), None);
    }
    let headers =
        [("ratelimit-limit".to_owned(), text.to_owned()), ("ratelimit-remaining".to_owned(), text.to_owned())];
    if let Some(limit) = Limit::read("docker.io", &headers) {
        assert_eq!(limit.limit, limit.remaining);
    }
    let Some(range) = ranged::parse(text) else { return ranged::unsatisfied_total(text).is_some() };
    assert!(range.first <= range.last && range.total.is_none_or(|total| range.last < total));
    let total = range.total.map_or("*".to_owned(), |total| total.to_string());
    assert_eq!(ranged::parse(&format!("bytes {}-{}/{total}", range.first, range.last)), Some(range));
    true
}

pub(super) fn ranges() -> Vec<Vec<u8>> {
    written(&[
        "bytes 0-9/10",
        "BYTES 5-18446744073709551615/*",
        "bytes */1234",
        "bytes 9-0/10",
        "bytes 0-10/10",
        "bytes=0-9",
        "100;w=21600",
        "bytes +1-2/3",
    ])
}

pub(super) fn retry_after(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(ms) = retry::retry_after_ms(text, NOW) else { return false };
    assert!((1..=300_000).contains(&ms) && ms % 1_000 == 0);
    // Later, the same date is nearer; a number of seconds stays.
    let later = retry::retry_after_ms(text, NOW + 60);
    assert!(later.is_none_or(|later| later <= ms), "{later:?}");
    true
}

pub(super) fn waits() -> Vec<Vec<u8>> {
    written(&[
        "120",
        "0",
        "18446744073709551616",
        "Sun, 06 Nov 1994 08:50:37 GMT",
        "Sunday, 06-Nov-94 08:50:37 GMT",
        "Sun Nov  6 08:50:37 1994",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "-1",
        "Fri, 31 Dec 9999 23:59:60 GMT",
    ])
}

pub(super) fn warning(bytes: &[u8]) -> bool {
    let found = registry::warning::texts(bytes);
    // A byte that is no text becomes the three of U+FFFD.
    assert!(found.iter().map(String::len).sum::<usize>() <= 3 * bytes.len());
    for text in &found {
        let shown = registry::shown(text);
        assert_harmless(&shown);
        assert!(shown.len() <= 2_048 && !shown.contains('\n'));
    }
    !found.is_empty()
}

pub(super) fn warnings() -> Vec<Vec<u8>> {
    let mut seeds = tables();
    seeds.retain(|seed| seed.starts_with(b"299 ") || seed.starts_with(b"199 "));
    seeds.extend(written(&[
        "299 - \"old\", 299 - \"a \\\"quoted\\\" %41 word\"",
        "299 - \"\u{1b}[31mred\"",
        "299 agent \"x\"",
        "299 - \"unclosed",
    ]));
    seeds
}

pub(super) fn refusal(bytes: &[u8]) -> bool {
    let lines = registry::told(bytes);
    assert_eq!(lines, registry::told(bytes));
    assert!(lines.len() <= 4 && lines.iter().map(String::len).sum::<usize>() <= 2_048 + 4 * 40);
    for line in &lines {
        assert_harmless(line);
        assert!(!line.contains('\n'));
    }
    let text = String::from_utf8_lossy(bytes);
    let shown = registry::shown(&text);
    assert_harmless(&shown);
    assert!(shown.len() <= 2_048 && !shown.contains('\n'));
    if !shown.ends_with('…') {
        assert_eq!(registry::shown(&shown), shown, "what was made harmless stays as it is");
    }
    !lines.is_empty()
}

pub(super) fn refusals() -> Vec<Vec<u8>> {
    let mut seeds = written(&[
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
        "{\"errors\":[{\"code\":404,\"message\":\"\\u001b[31mred\"},7]}",
        r#"{"message":"no such thing"}"#,
        "<html><body>x</body></html>",
        "Not found\r\n",
        "\u{1b}]0;title\u{7}\u{202e}abc\u{9b}1m",
        "",
    ]);
    seeds.push(b"caf\xe9".to_vec());
    seeds
}
