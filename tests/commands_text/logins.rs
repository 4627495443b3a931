//! The verbs about logins: their arguments, and what they print.

use super::{HARMLESS, HOSTILE};
use std::ffi::OsString;
use wharf::cli::{self, Cli, Login, Logout, Verb, Whoami};
use wharf::credentials::{Kind, Source};
use wharf::render;

fn parse(words: &str) -> Result<Cli, clap::Error> {
    cli::parse(std::iter::once("wharf").chain(words.split_whitespace()).map(OsString::from))
}

fn login(words: &str) -> Login {
    match parse(words).expect("the arguments are right").verb {
        Verb::Login(login) => login,
        other => panic!("{other:?}"),
    }
}

fn logout(words: &str) -> Logout {
    match parse(words).expect("the arguments are right").verb {
        Verb::Logout(logout) => logout,
        other => panic!("{other:?}"),
    }
}

fn whoami(words: &str) -> Whoami {
    match parse(words).expect("the arguments are right").verb {
        Verb::Whoami(whoami) => whoami,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_registry_is_docker_hub_unless_one_is_named() {
    assert_eq!(login("login").registry, "docker.io");
    let named = login("login registry.lan:5000 -u ann --password-stdin --auth-file a.json");
    assert_eq!((named.registry.as_str(), named.username.as_deref()), ("registry.lan:5000", Some("ann")));
    assert!(named.password_stdin && !named.has_password());
    assert_eq!(named.access.auth_file().and_then(|path| path.to_str()), Some("a.json"));

    assert_eq!(logout("logout").registry(), Some("docker.io"));
    assert_eq!(logout("logout quay.io/team").registry(), Some("quay.io/team"));
    assert_eq!(logout("logout --all").registry(), None);

    assert_eq!(whoami("whoami").registry, None);
    assert_eq!(whoami("whoami quay.io --auth-file a.json").registry.as_deref(), Some("quay.io"));
}

#[test]
fn what_is_no_registry_is_told() {
    let registry = "expected a registry and nothing else, as in `ghcr.io` or `registry.lan:5000`";
    let place = "expected a registry or a part of one, as in `ghcr.io` or `registry.lan:5000/team`";
    for (words, expected) in [
        ("login https://ghcr.io", registry),
        ("login ghcr.io/org", registry),
        ("login ann@ghcr.io", registry),
        ("logout https://ghcr.io/v2/", place),
        ("logout /team", place),
        ("logout ghcr.io/", place),
        ("whoami a,b", registry),
        ("logout --all ghcr.io", "cannot be used with"),
        ("login --password-stdin", "--username <USER>"),
        ("login -u", "a value is required"),
    ] {
        let error = parse(words).expect_err(words).to_string();
        assert!(error.contains(expected), "{words}: {error}");
    }
}

#[test]
fn a_password_in_the_arguments_is_not_kept() {
    for words in ["login -p hunter2", "login --password hunter2", "login -phunter2 ghcr.io"] {
        let login = login(words);
        assert!(login.has_password() && !format!("{login:?}").contains("hunter2"), "{login:?}");
    }
}

#[test]
fn a_token_server_is_named_with_its_registry() {
    let pair = |registry: &str, server: &str| (registry.to_owned(), server.to_owned());
    let login = login("login --token-server a.lan=b.lan:8443,c.lan:5000=d.lan --token-server e.lan=f.lan");
    let expected = [pair("a.lan", "b.lan:8443"), pair("c.lan:5000", "d.lan"), pair("e.lan", "f.lan")];
    assert_eq!(login.access.token_servers(), expected);
    for words in ["a.lan", "a.lan=", "=b.lan", "a.lan=https://b.lan", "a.lan=b.lan/token", "a=b=c"] {
        let error = parse(&format!("login --token-server {words}")).expect_err(words).to_string();
        assert!(error.contains("expected a registry and a host, as in `registry.lan=login.lan`"), "{words}: {error}");
    }
}

fn sources() -> Vec<Source> {
    let source = |registry: &str, key: &str, file: &str, kind, user: Option<&str>| Source {
        registry: registry.to_owned(),
        key: key.to_owned(),
        file: file.to_owned(),
        kind,
        user: user.map(str::to_owned),
    };
    let config = "/home/ann/.docker/config.json";
    vec![
        source("docker.io", "https://index.docker.io/v1/", config, Kind::Helper("pass".to_owned()), Some("ann")),
        source("quay.io/team", "quay.io/team", "/run/auth.json", Kind::Password, Some(HOSTILE)),
        source("ghcr.io", "ghcr.io", config, Kind::IdentityToken, None),
        source("r.lan", "r.lan", config, Kind::RegistryToken, None),
    ]
}

#[test]
fn logins_are_a_table() {
    let table = render::login::table(&sources());
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    let config = "/home/ann/.docker/config.json";
    let program = format!("docker-credential-pass, named by {config}");
    assert_eq!(
        rows,
        [
            vec!["REGISTRY", "USER", "KIND", "SOURCE"],
            vec!["docker.io", "ann", "helper", &program],
            vec!["quay.io/team", HARMLESS, "password", "/run/auth.json"],
            vec!["ghcr.io", "-", "identity-token", config],
            vec!["r.lan", "-", "registry-token", config],
        ]
    );
}

#[test]
fn logins_are_json() {
    let text = render::login::json(&sources());
    let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(
        value[0],
        serde_json::json!({
            "registry": "docker.io",
            "user": "ann",
            "kind": "helper",
            "program": "docker-credential-pass",
            "file": "/home/ann/.docker/config.json",
            "key": "https://index.docker.io/v1/",
        })
    );
    let of = |field: &str| value.as_array().expect("a list").iter().map(|row| row[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("program")[1..], [serde_json::Value::Null, serde_json::Value::Null, serde_json::Value::Null]);
    assert_eq!(of("kind")[1..], ["password", "identity-token", "registry-token"]);
    assert_eq!(of("user")[1], HOSTILE);
    assert!(!text.contains('\u{1b}'));
}
