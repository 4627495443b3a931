//! Tests of the choice of endpoints. The tables of podman and containerd run in
//! `tests/`.

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn reference(text: &str) -> Reference {
    Reference::parse_docker(text).unwrap()
}

fn plainly(hosts: &[&str]) -> Access {
    Access { plain_http: hosts.iter().map(|&host| host.to_owned()).collect(), ..Access::default() }
}

fn with_rules(rules: Vec<Rule>) -> Access {
    Access { rules, ..Access::default() }
}

fn rule(prefix: &str, endpoints: Vec<access::Endpoint>) -> Rule {
    Rule { prefix: prefix.to_owned(), blocked: false, endpoints }
}

/// A mirror as in `https://mirror.lan`.
fn mirror(url: &str) -> access::Endpoint {
    let (scheme, authority) = url.split_once("://").unwrap();
    access::Endpoint {
        origin: Origin { secure: scheme == "https", authority: authority.to_owned() },
        base: "/v2".to_owned(),
        path: None,
        capabilities: Capabilities::ALL,
        asked_for: AskedFor::All,
        mirror: true,
        names_registry: false,
    }
}

fn itself(url: &str) -> access::Endpoint {
    access::Endpoint { mirror: false, ..mirror(url) }
}

fn at(path: &str, endpoint: access::Endpoint) -> access::Endpoint {
    access::Endpoint { path: Some(path.to_owned()), ..endpoint }
}

/// Writes the endpoints that are asked, as `https://mirror.lan/v2/library/alpine`.
fn asked(text: &str, access: &Access) -> Vec<String> {
    let write = |Endpoint { origin, base, path, fallback, .. }: Endpoint| {
        let scheme = if origin.secure { "https" } else { "http" };
        let after = if fallback { " after TLS" } else { "" };
        format!("{scheme}://{}{base}/{path}{after}", origin.authority)
    };
    choose(&reference(text), access).endpoints.into_iter().map(write).collect()
}

#[test]
fn only_loopback_is_plain_without_being_listed() {
    for (host, secure) in [
        ("localhost", false),
        ("localhost:5000", false),
        ("localhost:443", true),
        ("LOCALHOST:5000", false),
        ("foo.svc.localhost:1234", true),
        ("127.0.0.1", false),
        ("127.23.34.52:5000", false),
        ("[::1]", false),
        ("[::1]:5000", false),
        ("127.0.0.1.evil.com", true),
        ("my127.0.0.1registry.io", true),
        ("127.256.0.1", true),
        ("10.2.3.4:5000", true),
        ("[2001:db8::1]:5000", true),
        ("registry.local", true),
    ] {
        let choice = choose(&reference(&format!("{host}/app")), &Access::default());
        let [endpoint] = &choice.endpoints[..] else { panic!("{host}: {choice:?}") };
        assert_eq!((endpoint.origin.secure, choice.rule, choice.blocked), (secure, None, false), "{host}");
    }
}

#[test]
fn a_listed_registry_is_plain_and_its_neighbours_are_not() {
    for (host, listed, secure) in [
        ("registry.lan:5000", "registry.lan:5000", false),
        ("Registry.lan:5000", "registry.LAN:5000", false),
        ("registry.lan", "registry.lan:5000", true),
        ("registry.lan:5001", "registry.lan:5000", true),
        ("sub.registry.lan:5000", "registry.lan:5000", true),
        ("localhost:443", "localhost:443", false),
    ] {
        let choice = choose(&reference(&format!("{host}/app")), &plainly(&[listed]));
        assert_eq!(choice.endpoints[0].origin.secure, secure, "{host}");
    }
}

#[test]
fn docker_io_answers_elsewhere() {
    let expected = Endpoint {
        registry: "docker.io".to_owned(),
        origin: Origin { secure: true, authority: "registry-1.docker.io".to_owned() },
        base: "/v2".to_owned(),
        path: "library/alpine".to_owned(),
        capabilities: Capabilities::ALL,
        asked_for: AskedFor::All,
        mirror: false,
        namespace: None,
        fallback: false,
    };
    assert_eq!(choose(&reference("alpine"), &Access::default()).endpoints, [expected]);
}

#[test]
fn a_prefix_ends_where_a_component_ends() {
    for (prefix, name, covered) in [
        ("", "docker.io/library/alpine", Some(0)),
        ("docker.io", "docker.io", Some(9)),
        ("docker.io", "DOCKER.io/library/alpine", Some(9)),
        ("docker.io/library", "docker.io/library/alpine:3", Some(17)),
        ("docker.io/library", "docker.io/libraryx/alpine", None),
        ("docker.io/library/", "docker.io/library/alpine", None),
        ("lan", "lan:5000/app", None),
        ("lan:5000", "lan:5000/app", Some(8)),
        ("lan:500", "lan:5000/app", None),
        ("lan/app:v1", "lan/app:v1", Some(10)),
        ("lan/app:v1", "lan/app:v12", None),
        ("lan/app", "lan/app@sha256:00", Some(7)),
        ("*.example.com", "a.b.example.com/app", Some(15)),
        ("*.example.com", "a.Example.com:5000/app", Some(13)),
        ("*.example.com", "example.com/app", None),
        ("*.example.com", "notexample.com/app", None),
        ("*.example.com", "lan/a.example.com", None),
        ("*.example.com:5000", "a.example.com:5000/app", Some(18)),
        ("*", "example.com/app", None),
        ("*example.com", "notexample.com/app", None),
        ("*.é", "é/app", None),
    ] {
        assert_eq!(fit(prefix, name), covered, "{prefix} {name}");
    }
}

#[test]
fn the_longest_prefix_decides_alone_and_among_equals_the_first() {
    let access = with_rules(vec![
        rule("", vec![mirror("https://every.lan")]),
        rule("docker.io/library", vec![itself("https://first.lan")]),
        rule("docker.io", vec![itself("https://docker.lan")]),
        rule("docker.io/library", vec![itself("https://second.lan")]),
    ]);
    for (name, rule, endpoints) in [
        ("alpine", 1, vec!["https://first.lan/v2/library/alpine"]),
        ("org/app", 2, vec!["https://docker.lan/v2/org/app"]),
        ("ghcr.io/org/app", 0, vec!["https://every.lan/v2/org/app", "https://ghcr.io/v2/org/app"]),
    ] {
        assert_eq!(choose(&reference(name), &access).rule, Some(rule), "{name}");
        assert_eq!(asked(name, &access), endpoints, "{name}");
    }
}

#[test]
fn the_registry_itself_comes_last_unless_it_is_listed() {
    let access = |endpoints| with_rules(vec![rule("docker.io", endpoints)]);
    let (lan, hub) = ("https://mirror.lan/v2/library/alpine", "https://registry-1.docker.io/v2/library/alpine");
    assert_eq!(asked("alpine", &access(vec![])), [hub]);
    assert_eq!(asked("alpine", &access(vec![mirror("https://mirror.lan")])), [lan, hub]);
    let listed = access(vec![itself("https://registry-1.docker.io"), mirror("https://mirror.lan")]);
    assert_eq!(asked("alpine", &listed), [hub, lan]);
    assert_eq!(asked("alpine", &access(vec![mirror("https://REGISTRY-1.docker.io")])), [hub]);
    // Another repository of the same registry is no stand-in for it.
    let beside = access(vec![at("copies", mirror("https://registry-1.docker.io"))]);
    let copy = "https://registry-1.docker.io/v2/copies/library/alpine";
    assert_eq!(asked("alpine", &beside), [copy, hub]);
}

#[test]
fn a_path_stands_instead_of_what_the_prefix_covers() {
    for (prefix, path, name, repository) in [
        ("docker.io", Some("proxy"), "alpine", "proxy/library/alpine"),
        ("docker.io/library", Some("proxy/docker"), "alpine", "proxy/docker/alpine"),
        ("docker.io/library", Some(""), "alpine", "alpine"),
        ("docker.io/library", None, "alpine", "library/alpine"),
        ("docker.io/library/alpine", Some("base/linux"), "alpine", "base/linux"),
        ("docker.io/library/alpine:3", Some("base"), "alpine:3", "base"),
        ("*.lan", Some("proxy"), "a.lan/org/app", "proxy/org/app"),
        ("", Some("proxy"), "r.lan/org/app", "proxy/org/app"),
    ] {
        let endpoint = access::Endpoint { path: path.map(str::to_owned), ..itself("https://m.lan") };
        let access = with_rules(vec![rule(prefix, vec![endpoint])]);
        assert_eq!(asked(name, &access), [format!("https://m.lan/v2/{repository}")], "{prefix} {name}");
    }
}

#[test]
fn an_endpoint_where_the_repository_would_have_no_name_is_skipped() {
    for (path, name) in [("", ""), ("path/", "path//"), ("UPPER", "UPPER"), ("a b", "a b"), ("x:y", "x:y")] {
        let prefix = if path == "path/" { "r.lan/org" } else { "r.lan/org/app" };
        let access = with_rules(vec![rule(prefix, vec![at(path, itself("https://m.lan"))])]);
        let survey = survey(&reference("r.lan/org/app"), &access);
        let name = if path == "path/" { "path//app" } else { name };
        let why = format!("the repository there would be `{name}`, which is no name");
        assert_eq!(survey.candidates[0].skipped.as_ref(), Some(&why), "{path}");
        assert_eq!(asked("r.lan/org/app", &access), [""; 0], "{path}");
    }
}

#[test]
fn a_blocked_reference_asks_nobody() {
    let blocked = Rule { blocked: true, ..rule("r.lan/evil", vec![mirror("https://m.lan")]) };
    let access = with_rules(vec![blocked]);
    let choice = choose(&reference("r.lan/evil/app"), &access);
    assert_eq!(choice, Choice { rule: Some(0), blocked: true, endpoints: Vec::new() });
    assert_eq!(asked("r.lan/good/app", &access), ["https://r.lan/v2/good/app"]);
}

#[test]
fn what_an_endpoint_is_for_decides_whether_it_is_asked() {
    let of = |asked_for, resolve, pull| access::Endpoint {
        asked_for,
        capabilities: Capabilities { resolve, pull, push: true },
        ..itself("https://m.lan")
    };
    let by_digest = format!("r.lan/app@{DIGEST}");
    for (endpoint, for_tags, for_digests) in [
        (of(AskedFor::All, true, true), None, None),
        (of(AskedFor::All, false, true), None, None),
        (of(AskedFor::All, true, false), None, Some("it is used only to find out what tags point to")),
        (
            of(AskedFor::All, false, false),
            Some("it is used neither to resolve nor to pull"),
            Some("it is used neither to resolve nor to pull"),
        ),
        (of(AskedFor::Digests, true, true), Some("it is asked for digests only"), None),
        (of(AskedFor::Tags, true, true), None, Some("it is asked for tags only")),
    ] {
        let access = with_rules(vec![rule("r.lan", vec![endpoint.clone()])]);
        for (name, expected) in [("r.lan/app", for_tags), ("r.lan/app:v1", for_tags), (&*by_digest, for_digests)] {
            let survey = survey(&reference(name), &access);
            assert_eq!(survey.candidates[0].skipped.as_deref(), expected, "{name} {endpoint:?}");
            assert_eq!(choose(&reference(name), &access).endpoints.len(), usize::from(expected.is_none()));
        }
    }
}

#[test]
fn plain_http_is_a_fallback_only_right_behind_its_twin() {
    let access = |endpoints| with_rules(vec![rule("lan:80", endpoints)]);
    let pair = access(vec![itself("https://lan:80"), itself("http://lan:80")]);
    assert_eq!(asked("lan:80/app", &pair), ["https://lan:80/v2/app", "http://lan:80/v2/app after TLS"]);
    let other = access(vec![itself("https://lan:80"), itself("https://m.lan"), itself("http://lan:80")]);
    assert_eq!(
        asked("lan:80/app", &other),
        ["https://lan:80/v2/app", "https://m.lan/v2/app", "http://lan:80/v2/app"],
        "configuration that names it by itself means it"
    );
    let skipped = access::Endpoint { asked_for: AskedFor::Digests, ..itself("https://lan:80") };
    assert_eq!(asked("lan:80/app", &access(vec![skipped, itself("http://lan:80")])), ["http://lan:80/v2/app"]);
    // Without TLS there is nothing to fall back from, and one request is enough.
    let plain = Access { plain_http: vec!["LAN:80".to_owned()], ..pair };
    assert_eq!(asked("lan:80/app", &plain), ["http://lan:80/v2/app"]);
}

#[test]
fn plain_http_reaches_what_rules_list_by_the_name_that_was_given() {
    let rules = vec![rule("docker.io", vec![mirror("https://m.lan:5000"), itself("https://registry-1.docker.io")])];
    for (plain, mirror, hub) in
        [("docker.io", "https", "http"), ("registry-1.docker.io", "https", "http"), ("m.lan:5000", "http", "https")]
    {
        let access = Access { rules: rules.clone(), ..plainly(&[plain]) };
        let expected =
            [format!("{mirror}://m.lan:5000/v2/org/app"), format!("{hub}://registry-1.docker.io/v2/org/app")];
        assert_eq!(asked("org/app", &access), expected, "{plain}");
    }
}

#[test]
fn logins_and_namespaces_go_by_who_the_endpoint_is() {
    let named = |endpoint| access::Endpoint { names_registry: true, ..endpoint };
    let endpoints = vec![named(mirror("https://M.lan:5000")), named(itself("https://registry-1.docker.io"))];
    let choice = choose(&reference("alpine"), &with_rules(vec![rule("docker.io", endpoints)]));
    let told: Vec<_> = choice.endpoints.iter().map(|one| (one.registry.as_str(), one.namespace.as_deref())).collect();
    assert_eq!(told, [("m.lan:5000", Some("docker.io")), ("docker.io", None)]);
}

/// `hosts.toml` is usually written so: `server` and a `[host]` are one address.
#[test]
fn a_push_goes_to_who_is_called_the_registry_and_never_to_a_mirror() {
    let (mirror, lan) = (mirror("http://mirror.lan"), mirror("http://lan:5000"));
    let reading = access::Endpoint { capabilities: Capabilities { push: false, ..Capabilities::ALL }, ..lan.clone() };
    for (listed, expected) in [
        (vec![lan.clone(), itself("http://lan:5000")], "http://lan:5000"),
        (vec![itself("http://lan:5000"), lan.clone()], "http://lan:5000"),
        (vec![mirror.clone(), lan, itself("http://lan:5000")], "http://lan:5000"),
        (vec![reading, itself("http://lan:5000")], "http://lan:5000"),
        (vec![mirror], "https://registry.lan"),
    ] {
        let home = choose_home(&reference("registry.lan/app"), &with_rules(vec![rule("registry.lan", listed)]));
        let origin = |Endpoint { origin: Origin { secure, authority }, .. }: &Endpoint| {
            format!("{}://{authority}", if *secure { "https" } else { "http" })
        };
        assert_eq!(home.endpoints.iter().map(origin).collect::<Vec<_>>(), [expected]);
    }
}
