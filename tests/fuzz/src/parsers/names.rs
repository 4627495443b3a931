//! What people type: references and patterns of them, digests, platforms, filters and moments.

use super::{assert_harmless, choice, texts, written};
use wharf_component::nouns::config::{Config, Execution, Rootfs};
use wharf_component::nouns::digest::{Algorithm, Digest, Hash};
use wharf_component::nouns::filter::{Bounds, FILTER_SIZE_BYTES_MAX, FILTERS_MAX, Filters, Subject};
use wharf_component::nouns::instruction;
use wharf_component::nouns::media_type::OCI_INDEX;
use wharf_component::nouns::platform::{Facts, Matcher, Platform, SPECIFIER_BYTES_MAX, arm_version, best, detect};
use wharf_component::nouns::record::Labels;
use wharf_component::nouns::reference::{Pattern, Reference, parse_any, sort};
use wharf_component::nouns::time as moments;
use wharf_component::registry::endpoint;

/// 2020-01-02T03:04:05Z.
const NOW: i64 = 1_577_934_245;

/// What changes a config: read twice it is the same, and what it makes is a config that is read again.
pub(super) fn instruction(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let read = instruction::parse(text);
    assert_eq!(read, instruction::parse(text));
    let mut execution = Execution::default();
    let applied = read.and_then(|all| all.iter().try_for_each(|one| instruction::apply(&mut execution, one)));
    if let Err(error) = &applied {
        assert_harmless(&error.to_string());
    }
    let rootfs = Rootfs { kind: "layers".to_owned(), diff_ids: vec![Digest::of(Algorithm::Sha256, b"")] };
    let empty = |words: &Option<Vec<String>>| words.as_ref().is_none_or(Vec::is_empty);
    let (cmd, entrypoint) = (empty(&execution.cmd), empty(&execution.entrypoint));
    let made = Config::parse(br#"{"rootfs":{"type":"layers"}}"#).map(|config| Config { rootfs, execution, ..config });
    let made = made.expect("it is a config");
    // What has more than a config may have is refused by whoever reads it.
    if let Ok(again) = Config::parse(&made.write()) {
        assert_eq!((empty(&again.execution.cmd), empty(&again.execution.entrypoint)), (cmd, entrypoint));
        assert_eq!(again.execution.env, made.execution.env);
        assert_eq!(again.execution.labels, made.execution.labels);
    }
    applied.is_ok()
}

pub(super) fn instructions() -> Vec<Vec<u8>> {
    let mut seeds = texts(include_str!("../../../data/vectors/dockerfile_parse.json"));
    seeds.extend(written(&[
        "ENV a=b c=$a\nENV d=\"${a:-x}\" e='f g'",
        "HEALTHCHECK --interval=5s CMD [\"a\", \"b\"]",
        "EXPOSE 80-90/udp $p",
        "RUN make",
        "CMD [1]",
        "ENV a=${b:?}",
    ]));
    seeds
}

pub(super) fn reference(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let read = Reference::parse(text);
    assert_eq!(read, Reference::parse(text));
    assert_eq!(parse_any(text).ok().map(|any| any.to_string()), parse_any(text).ok().map(|any| any.to_string()));
    assert_eq!(sort(&[text]).len(), 1);
    let reference = match read {
        Ok(reference) => reference,
        Err(error) => {
            assert_harmless(&error.to_string());
            return false;
        }
    };
    let canonical = reference.to_string();
    assert!(canonical.len() <= text.len() + "docker.io/library/".len());
    assert!(canonical.is_ascii() && !canonical.contains(|c: char| c.is_ascii_control() || c == ' '));
    assert_eq!(Reference::parse(&canonical).as_ref(), Ok(&reference));
    assert_eq!(Reference::parse_canonical(&canonical).as_ref(), Ok(&reference));
    assert_eq!(Reference::parse(&reference.familiar()).as_ref(), Ok(&reference));
    // It becomes a part of URLs and of keys, and may never climb.
    for part in reference.path().split('/') {
        assert!(!part.is_empty() && !part.starts_with('.'), "{part}");
    }
    assert!(!reference.domain().is_empty() && !reference.domain().contains('/'));
    if let Ok(docker) = Reference::parse_docker(text) {
        assert!(docker.tag().is_some() != docker.digest().is_some());
        assert_eq!(Reference::parse_docker(&docker.to_string()).as_ref(), Ok(&docker));
    }
    // A rule for the whole name, for its registry, or for everything decides about it.
    for prefix in [reference.name().as_str(), reference.domain(), ""] {
        assert_eq!(endpoint::fit(prefix, &canonical), Some(prefix.len()), "{prefix}");
    }
    true
}

pub(super) fn references() -> Vec<Vec<u8>> {
    let tables = [
        texts(include_str!("../../../data/vectors/reference_tables.json")),
        texts(include_str!("../../../data/vectors/reference_parse.json")).into_iter().step_by(7).collect(),
    ];
    tables.concat()
}

pub(super) fn pattern(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    // The second line is what the first is compared with, or else a prefix of a rule.
    let (text, name) = text.split_once('\n').unwrap_or((text, "docker.io/library/alpine:3.20"));
    _ = endpoint::fit(text, name);
    let Ok(pattern) = Pattern::parse(text) else { return false };
    let Ok(name) = Reference::parse(name) else { return true };
    let matches = pattern.matches(&name);
    assert_eq!(matches, pattern.matches(&name));
    // A name is a pattern of itself, and so is a star for each of its parts.
    let own = Pattern::parse(&name.familiar()).expect("a name has no special characters");
    assert!(own.matches(&name));
    let parts = name.familiar_name().split('/').count();
    assert!(Pattern::parse(&vec!["*"; parts].join("/")).expect("stars are a pattern").matches(&name));
    true
}

pub(super) fn patterns() -> Vec<Vec<u8>> {
    written(&[
        "alpine:3.*",
        "*\nghcr.io/org/app:v1",
        "ghcr.io/*/*:v[0-9]\nghcr.io/org/app:v1",
        "[^a-z]*\nbusybox",
        "\\*?[a\\-z]",
        "[",
        "a[]",
        "[z-a]",
        "*********************a\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
        "*.example.com\nregistry.example.com:5000/a/b",
        "docker.io/library\ndocker.io/library/alpine",
    ])
}

pub(super) fn digest(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let own = Digest::of(Algorithm::Sha256, bytes);
    assert!(own.verify(bytes) && !own.verify(&[bytes, b"x"].concat()));
    match text.parse::<Digest>() {
        Ok(digest) => {
            assert_eq!((digest.as_str(), digest.to_string().as_str()), (text, text));
            let size = if digest.algorithm() == Algorithm::Sha256 { 64 } else { 128 };
            assert!(digest.encoded().len() == size && digest.encoded().bytes().all(|byte| byte.is_ascii_hexdigit()));
            // The host has a parser of its own, and both have to agree on what names a file.
            assert_eq!(text.parse::<crate::hash::Digest>().expect("the host takes it too").to_string(), text);
            true
        }
        Err(error) => {
            assert_harmless(&error.to_string());
            assert!(text.parse::<crate::hash::Digest>().is_err(), "the host takes what the component refuses");
            false
        }
    }
}

pub(super) fn digests() -> Vec<Vec<u8>> {
    texts(include_str!("../../../data/vectors/digest.json"))
}

pub(super) fn platform(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let host = [
        Platform::new("linux", "amd64"),
        Platform::new("linux", "arm64").with_variant("v8"),
        Platform::new("linux", "arm").with_variant("v7"),
        Platform { os_version: "10.0.20348.3091".to_owned(), ..Platform::new("windows", "amd64") },
    ]
    .into_iter()
    .cycle()
    .nth(which % 4)
    .expect("it has no end");
    _ = arm_version(text);
    let detected = detect(&Facts {
        os: "linux",
        architecture: "arm",
        big_endian: false,
        amd64_level: 0,
        cpuinfo: text,
        os_version: "",
        machine: text,
    });
    assert_eq!(detected.normalize(), detected.normalize().normalize());
    let platform = match Platform::parse(text, &host) {
        Ok(platform) => platform,
        Err(error) => {
            assert_harmless(&error.to_string());
            return false;
        }
    };
    assert!(text.len() <= SPECIFIER_BYTES_MAX && !platform.os.is_empty());
    let normal = platform.normalize();
    assert_eq!(normal, normal.normalize());
    let again = Platform::parse(&platform.format_all(), &host).expect("what was read is written as it can be read");
    let sorted = |mut platform: Platform| {
        platform.os_features.sort();
        platform
    };
    assert_eq!(
        sorted(again.normalize()),
        sorted(normal.clone()),
        "{platform:?} is written {:?}",
        platform.format_all()
    );
    for matcher in [
        Matcher::new(&platform),
        Matcher::only(&platform),
        Matcher::only_strict(&platform),
        Matcher::only_os(&platform),
    ] {
        assert_eq!(matcher.compare(&platform, &normal), matcher.compare(&normal, &platform).reverse());
        let candidates = [(&host, 0), (&platform, 1)];
        let chosen = best(&matcher, candidates);
        assert!(chosen.is_none_or(|at| matcher.matches(candidates[at].0)));
    }
    true
}

pub(super) fn platforms() -> Vec<Vec<u8>> {
    let tables = [
        include_str!("../../../data/vectors/platform_parse.json"),
        include_str!("../../../data/vectors/platform_tables.json"),
    ];
    let seeds = tables.into_iter().flat_map(texts);
    seeds.map(|text| [&[0], &text[..]].concat()).collect()
}

pub(super) fn filters(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let filters: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let read = Filters::parse(&filters, NOW);
    assert_eq!(read, Filters::parse(&filters, NOW));
    let Ok(read) = read else { return false };
    assert!(filters.len() <= FILTERS_MAX && filters.iter().all(|filter| filter.len() <= FILTER_SIZE_BYTES_MAX));
    let name = Reference::parse("ghcr.io/org/app:v1").expect("a name");
    let own = Labels::from([("a", "b"), ("maintainer", "ann")]);
    let (labels, digest) = ([&own], Hash::from(&Digest::of(Algorithm::Sha256, b"")));
    let image = Subject { name: &name, digest: &digest, media_type: OCI_INDEX, created: Some(NOW), labels: &labels };
    for (created, bounds) in [(None, Bounds::default()), (Some(NOW), Bounds { before: Some(NOW), since: Some(0) })] {
        let image = Subject { created, ..image };
        assert_eq!(read.pass(image, bounds), read.pass(image, bounds));
    }
    // Filters of one key are alternatives: one more of `reference` never takes away.
    let by_name = filters.iter().any(|filter| filter.starts_with("reference="));
    if filters.len() < FILTERS_MAX && by_name && read.pass(image, Bounds::default()) {
        let more = Filters::parse(&[&filters[..], &["reference=alpine".to_owned()]].concat(), NOW).expect("one more");
        assert!(more.pass(image, Bounds::default()));
    }
    true
}

pub(super) fn filter_seeds() -> Vec<Vec<u8>> {
    written(&[
        "reference=alpine:3.*",
        "name~=/app:v[0-9]$/,labels.maintainer!=bob",
        "labels.\"a\"==\"\\x62\"",
        "target.mediatype~=index",
        "label!=a=c",
        "label=maintainer\nlabel=a=b\ndangling=false",
        "before=alpine\nsince=busybox:1",
        "until=2024-03-01T12:00:00Z\nuntil=24h",
        "dangling=1\ndangling=0",
        "reference=docker.io/library/*\nreference=gh*/*/*",
        "name=x",
        "until=yesterday",
        "label=",
        "=",
    ])
}

pub(super) fn time(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let now = [NOW, 0, i64::MAX, i64::MIN][which % 4];
    let stable = |seconds: i64| {
        let text = moments::format(seconds);
        assert_harmless(&text);
        assert!(moments::parse(&text).is_none_or(|again| again == seconds), "{text}");
        assert!(moments::parse(&text).is_some() || text.parse() == Ok(seconds), "{text}");
    };
    if let Some(seconds) = moments::parse(text) {
        stable(seconds);
    }
    let Some(seconds) = moments::parse_moment(text, now) else { return false };
    stable(seconds);
    true
}

pub(super) fn times() -> Vec<Vec<u8>> {
    written(&[
        "02006-01-02T15:04:05.999999999+07:00",
        "12006-01-02",
        "21h30m",
        "31136073600.5",
        "0-9223372036854775808",
        "19999-12-31T23:59:60Z",
        "29223372036854775807h",
        "3-1.5h",
        "0yesterday",
        "02006-01-02-23:59",
    ])
}
