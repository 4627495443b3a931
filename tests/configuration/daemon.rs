//! docker's `daemon.json`.

use super::{Memory, rules, sites};

const FILE: &str = "/etc/docker/daemon.json";

fn daemon(text: &str) -> Memory {
    Memory::of(&[(FILE, text)])
}

#[test]
fn mirrors_are_of_docker_io_alone() {
    let files = daemon(
        r#"{"registry-mirrors": ["https://mirror.lan", "http://plain.lan:5000/", "https://a.lan/docker/", "https://mirror.lan/"],
            "storage-driver": "overlay2", "log-opts": {"max-size": "10m"}}"#,
    );
    let excerpt = files.about("alpine").expect("the file is well");
    assert_eq!(
        rules(&excerpt),
        [
            r#""docker.io": /etc/docker/daemon.json (`registry-mirrors`)"#,
            "mirror https://mirror.lan/v2 rp",
            "mirror http://plain.lan:5000/v2 rp",
            "mirror https://a.lan/docker/v2 rp",
        ]
    );
    assert_eq!(sites(&excerpt), ["http://plain.lan:5000"]);
    assert_eq!(excerpt.warnings, [""; 0]);
    for other in ["ghcr.io/org/app", "registry-1.docker.io/library/alpine", "mirror.lan/app"] {
        assert_eq!(rules(&files.about(other).expect("the file is well")), [""; 0], "{other}");
    }
}

#[test]
fn an_insecure_registry_is_tried_by_tls_and_then_without() {
    let files = daemon(
        r#"{"insecure-registries": ["lan:5000", "http://Old.lan", "10.0.0.0/8", "2001:db8::/32", "docker.io", "mirror.lan"],
            "registry-mirrors": ["https://mirror.lan", "https://10.1.2.3", "https://good.lan"]}"#,
    );
    let source = "/etc/docker/daemon.json (`insecure-registries`)";
    for (reference, registry) in [
        ("lan:5000/app", "lan:5000"),
        ("old.lan/app", "old.lan"),
        ("10.20.30.40:5000/app", "10.20.30.40:5000"),
        ("10.0.0.1/app", "10.0.0.1"),
        ("[2001:db8::5]:5000/app", "[2001:db8::5]:5000"),
    ] {
        let excerpt = files.about(reference).expect("the file is well");
        let expected = [
            format!("{registry:?}: {source}"),
            format!("self https://{registry}/v2 rpP"),
            format!("self http://{registry}/v2 rpP"),
        ];
        assert_eq!(rules(&excerpt), expected, "{reference}");
        assert_eq!(sites(&excerpt), [format!("http://{registry}"), format!("https://{registry} unverified")]);
    }
    for verified in ["a.lan/app", "lan:5001/app", "11.0.0.1/app", "10.lan/app", "[2001:db9::5]/app", "a.old.lan/app"] {
        let excerpt = files.about(verified).expect("the file is well");
        assert_eq!((rules(&excerpt), sites(&excerpt)), (vec![], vec![]), "{verified}");
    }
    let excerpt = files.about("alpine").expect("the file is well");
    assert_eq!(sites(&excerpt), ["https://10.1.2.3 unverified", "https://mirror.lan unverified"], "docker.io is not");
    assert_eq!(
        files.read().expect("the file is well").warnings,
        ["`/etc/docker/daemon.json`: an insecure registry has no scheme, so that it is left out"]
    );
}

#[test]
fn proxies_are_read_and_not_shown() {
    let files = daemon(
        r#"{"proxies": {"http-proxy": "http://ann:canary@proxy.lan:3128", "https-proxy": "", "no-proxy": "lan,10.0.0.0/8"}}"#,
    );
    let configuration = files.read().expect("the file is well");
    let proxies = configuration.proxies.as_ref().expect("there are some");
    assert_eq!(proxies.http.as_deref(), Some("http://ann:canary@proxy.lan:3128"));
    assert_eq!((&proxies.https, &proxies.all, proxies.except.as_deref()), (&None, &None, Some("lan,10.0.0.0/8")));
    assert!(!format!("{configuration:?}").contains("canary"));
    assert!(daemon("{}").read().expect("the file is well").proxies.is_none());
}

#[test]
fn what_is_wrong_is_told() {
    for (text, expected) in [
        ("{\n  \"a\": canary\n}", ", line 2, column 8: it is not JSON"),
        ("{\"registry-mirrors\": [", ", line 1, column 22: it is not JSON"),
        ("[]", ": it has to be an object"),
        (r#"{"registry-mirrors": "https://a.lan"}"#, ": `registry-mirrors` has to be a list of texts"),
        (r#"{"registry-mirrors": [1]}"#, ": `registry-mirrors` has to be a list of texts"),
        (
            r#"{"registry-mirrors": ["a.lan"]}"#,
            ": `registry-mirrors`: `a.lan` has no scheme, as in `https://mirror.example.com`",
        ),
        (
            r#"{"registry-mirrors": ["https://ann:canary@a.lan"]}"#,
            ": `registry-mirrors`: an address carries no login; `wharf login` keeps those",
        ),
        (r#"{"insecure-registries": {}}"#, ": `insecure-registries` has to be a list of texts"),
        (r#"{"insecure-registries": ["a b"]}"#, ": `insecure-registries`: `a b` is not a host with an optional port"),
        (
            r#"{"insecure-registries": ["lan/app"]}"#,
            ": `insecure-registries`: `lan/app` is not a host with an optional port",
        ),
        (
            r#"{"insecure-registries": ["10.0.0.0/33"]}"#,
            ": `insecure-registries`: `10.0.0.0/33` is not a host with an optional port",
        ),
        (
            r#"{"insecure-registries": ["ann:canary@lan"]}"#,
            ": `insecure-registries`: a host with a port carries no login",
        ),
        (r#"{"proxies": "http://ann:canary@proxy.lan"}"#, ": `proxies` has to be an object"),
        (r#"{"proxies": {"http-proxy": ["canary"]}}"#, ": `http-proxy` of `proxies` has to be a text"),
    ] {
        let refusal = daemon(text).refusal("alpine");
        assert_eq!(refusal, format!("`{FILE}`{expected}"));
        assert!(!refusal.contains("canary"));
    }
}

#[test]
fn an_empty_file_and_one_that_may_not_be_read_say_nothing() {
    assert!(rules(&daemon(" \n").about("alpine").expect("it is empty")).is_empty());
    let denied = daemon("[]").deny(FILE);
    assert_eq!(
        denied.read().expect("it is left out").warnings,
        ["`/etc/docker/daemon.json` may not be read, and is left out"]
    );
}
