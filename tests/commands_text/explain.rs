//! The answer of `wharf explain`: three configurations, as text and as JSON.

use super::{HARMLESS, HOSTILE};
use serde_json::json;
use wharf::images::{AskedFor, Candidate, Capabilities, Explanation, Origin};
use wharf::render::explain::{self, Sources};

const FILE: &str = "/etc/containerd/certs.d/docker.io/hosts.toml";

fn candidate(secure: bool, authority: &str, mirror: bool) -> Candidate {
    Candidate {
        origin: Origin { secure, authority: authority.to_owned() },
        path: "/v2/library/alpine".to_owned(),
        repository: "library/alpine".to_owned(),
        capabilities: Capabilities::RESOLVE | Capabilities::PULL | Capabilities::PUSH,
        asked_for: AskedFor::All,
        mirror,
        skipped: None,
    }
}

fn alpine(rule: Option<u32>, endpoints: Vec<Candidate>) -> Explanation {
    Explanation {
        name: "docker.io/library/alpine:latest".to_owned(),
        alias: None,
        rule,
        blocked: false,
        endpoints,
        platforms: vec!["linux/amd64".to_owned(), "linux/386".to_owned()],
    }
}

#[test]
fn without_configuration_the_name_says_it_all() {
    let explanation = alpine(None, vec![candidate(true, "registry-1.docker.io", false)]);
    assert_eq!(
        explain::text(&explanation, &Sources { logins: &[None], ..Sources::default() }),
        "docker.io/library/alpine:latest

rule: none; nothing is configured for this name
1. https://registry-1.docker.io/v2/library/alpine
   the registry itself; to resolve and pull; login: none
   because the name says so

platforms: linux/amd64, linux/386
"
    );
}

#[test]
fn what_takes_the_registrys_place_is_told_with_its_file() {
    let moved = Candidate {
        path: "/v2/proxy/alpine".to_owned(),
        repository: "proxy/alpine".to_owned(),
        ..candidate(true, "registry-1.docker.io", false)
    };
    for endpoint in [candidate(true, "up.lan", false), moved] {
        let url = format!("https://{}{}", endpoint.origin.authority, endpoint.path);
        let explanation = alpine(Some(0), vec![endpoint]);
        let sources = Sources { rules: &[FILE.to_owned()], ..Sources::default() };
        let expected =
            format!("1. {url}\n   in the registry's place; to resolve and pull\n   because {FILE} lists it\n");
        assert!(explain::text(&explanation, &sources).contains(&expected), "{expected}");
        assert!(explain::json(&explanation, &sources).contains(&format!("\"source\": \"{FILE}\"")), "{url}");
    }
}

#[test]
fn mirrors_are_told_with_their_file_and_the_reason_why_they_are_not_asked() {
    let digests = Candidate {
        asked_for: AskedFor::Digests,
        capabilities: Capabilities::PULL,
        skipped: Some("it is asked for digests only".to_owned()),
        ..candidate(true, "cache.lan", true)
    };
    let plain = candidate(false, "mirror.lan:5000", true);
    let explanation = alpine(Some(1), vec![digests, plain, candidate(true, "registry-1.docker.io", false)]);
    let (rules, login) = (["other".to_owned(), FILE.to_owned()], "/root/.docker/config.json".to_owned());
    let sources = Sources { rules: &rules, aliases: &[], logins: &[None, None, Some(login)] };
    assert_eq!(
        explain::text(&explanation, &sources),
        format!(
            "docker.io/library/alpine:latest

rule: {FILE}
1. https://cache.lan/v2/library/alpine
   a mirror; to pull; login: none
   because {FILE} lists it, but it is asked for digests only
2. http://mirror.lan:5000/v2/library/alpine
   a mirror; without TLS; to resolve and pull; login: none
   because {FILE} lists it
3. https://registry-1.docker.io/v2/library/alpine
   the registry itself; to resolve and pull; login: /root/.docker/config.json
   because the name says so

platforms: linux/amd64, linux/386
"
        )
    );
    let told: serde_json::Value = serde_json::from_str(&explain::json(&explanation, &sources)).expect("it is JSON");
    let endpoint = |url: &str, mirror: bool| {
        json!({
            "url": format!("{url}/v2/library/alpine"), "secure": url.starts_with("https"), "mirror": mirror,
            "repository": "library/alpine", "capabilities": ["resolve", "pull", "push"], "asked_for": "all",
            "source": mirror.then_some(FILE), "login": null, "skipped": null,
        })
    };
    let mut endpoints = [
        endpoint("https://cache.lan", true),
        endpoint("http://mirror.lan:5000", true),
        endpoint("https://registry-1.docker.io", false),
    ];
    endpoints[0]["capabilities"] = json!(["pull"]);
    endpoints[0]["asked_for"] = "digests".into();
    endpoints[0]["skipped"] = "it is asked for digests only".into();
    endpoints[2]["login"] = "/root/.docker/config.json".into();
    let expected = json!({
        "name": "docker.io/library/alpine:latest", "alias": null, "rule": FILE, "blocked": false,
        "endpoints": endpoints, "platforms": ["linux/amd64", "linux/386"],
    });
    assert_eq!(told, expected);
}

#[test]
fn a_registry_that_is_elsewhere_is_told_as_what_it_is() {
    let elsewhere = Candidate { path: "/v2/copies/alpine".to_owned(), ..candidate(true, "internal.lan", false) };
    let rules = ["/etc/registries.conf:3".to_owned()];
    let told = explain::text(&alpine(Some(0), vec![elsewhere]), &Sources { rules: &rules, ..Sources::default() });
    let expected = "1. https://internal.lan/v2/copies/alpine
   in the registry's place; to resolve and pull
   because /etc/registries.conf:3 lists it
";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_blocked_name_and_an_alias_are_told_with_their_files() {
    let explanation = Explanation {
        name: "registry.fedoraproject.org/fedora:40".to_owned(),
        alias: Some(0),
        blocked: true,
        platforms: Vec::new(),
        ..alpine(Some(0), Vec::new())
    };
    let (rules, aliases) = (["/etc/registries.conf".to_owned()], [HOSTILE.to_owned()]);
    let sources = Sources { rules: &rules, aliases: &aliases, logins: &[] };
    assert_eq!(
        explain::text(&explanation, &sources),
        format!(
            "registry.fedoraproject.org/fedora:40

alias: {HARMLESS}
rule: /etc/registries.conf
blocked: the rule forbids it, and nobody is asked
"
        )
    );
    let told: serde_json::Value = serde_json::from_str(&explain::json(&explanation, &sources)).expect("it is JSON");
    assert_eq!((&told["alias"], &told["blocked"], &told["endpoints"]), (&json!(HOSTILE), &json!(true), &json!([])));
}
