//! What is told about logins: where they come from, whose they are, and never what they are.

use super::helpers::{Programs, credentials, has, has_none};
use super::{CANARY, password, registry};
use wharf::credentials::helper::Action;
use wharf::credentials::{Error, Kind, Source};
use wharf::network::Origin;

fn source(registry: &str, key: &str, kind: Kind, user: Option<&str>) -> Source {
    let file = "config.json".to_owned();
    Source { registry: registry.to_owned(), key: key.to_owned(), file, kind, user: user.map(str::to_owned) }
}

fn helper(name: &str) -> Kind {
    Kind::Helper(name.to_owned())
}

#[tokio::test]
async fn a_source_is_described_without_asking_and_identified_by_asking() {
    let server = registry();
    let ann = password("ann");
    let hub = "https://index.docker.io/v1/";
    for (json, registry, repository, described, identified) in [
        (
            format!(r#"{{"auths":{{"registry.lan":{ann},"registry.lan/team":{ann}}}}}"#),
            "registry.lan",
            Some("team/app"),
            Some(source("registry.lan/team", "registry.lan/team", Kind::Password, Some("ann"))),
            Some(source("registry.lan/team", "registry.lan/team", Kind::Password, Some("ann"))),
        ),
        (
            format!(r#"{{"auths":{{"{hub}":{{"identitytoken":"{CANARY}"}}}}}}"#),
            "registry-1.docker.io",
            None,
            Some(source("docker.io", hub, Kind::IdentityToken, None)),
            Some(source("docker.io", hub, Kind::IdentityToken, None)),
        ),
        (
            format!(r#"{{"auths":{{"https://registry.lan/v1/":{{"registrytoken":"{CANARY}"}}}}}}"#),
            "registry.lan",
            Some("a"),
            Some(source("registry.lan", "https://registry.lan/v1/", Kind::RegistryToken, None)),
            Some(source("registry.lan", "https://registry.lan/v1/", Kind::RegistryToken, None)),
        ),
        (
            r#"{"credsStore":"has"}"#.to_owned(),
            "registry-1.docker.io",
            None,
            Some(source("docker.io", hub, helper("has"), None)),
            Some(source("docker.io", hub, helper("has"), Some("eve"))),
        ),
        (
            format!(r#"{{"credsStore":"lacks","auths":{{"registry.lan":{ann}}}}}"#),
            "registry.lan",
            None,
            Some(source("registry.lan", "registry.lan", helper("lacks"), None)),
            Some(source("registry.lan", "registry.lan", Kind::Password, Some("ann"))),
        ),
        (format!(r#"{{"auths":{{"registry.lan":{ann}}}}}"#), "registry.lan:5000", None, None, None),
    ] {
        let programs = Programs::new(|program, _, server| match program {
            "docker-credential-has" => has(server, "eve"),
            _ => has_none(),
        });
        let credentials = credentials(&json, &programs, &server);
        let origin = Origin::new(true, registry).expect("an authority");
        let seen = credentials.describe(&origin, repository);
        assert_eq!(seen, Ok(described), "{json}");
        assert_eq!(programs.calls(), <[String; 0]>::default(), "{json}");
        let seen = credentials.identify(&origin, repository).await;
        assert!(!format!("{seen:?}").contains(CANARY));
        assert_eq!(seen, Ok(identified), "{json}");
    }
}

#[test]
fn a_source_is_shown_as_a_place() {
    let file = source("registry.lan", "registry.lan", Kind::Password, Some("ann"));
    assert_eq!((file.to_string(), file.program()), ("config.json".to_owned(), None));
    let program = source("registry.lan", "registry.lan", helper("pass"), None);
    assert_eq!(program.to_string(), "docker-credential-pass, named by config.json");
    assert_eq!(program.program().as_deref(), Some("docker-credential-pass"));
}

#[tokio::test]
async fn every_login_is_listed_once() {
    let server = registry();
    let ann = password("ann");
    let json = format!(
        r#"{{
            "auths": {{
                "registry.lan": {ann},
                "registry.lan/team": {{"auth": "hunter2"}},
                "https://index.docker.io/v1/": {{}},
                "gone.example": {{}},
                "gcr.io": {{}}
            }},
            "credHelpers": {{"gcr.io": "own", "broken.example": "broken"}},
            "credsStore": "all"
        }}"#
    );
    let programs = Programs::new(|program, action, server| match (program, action, server) {
        ("docker-credential-own", Action::Get, _) => has(server, "google"),
        ("docker-credential-all", Action::Get, "https://index.docker.io/v1/") => has(server, "eve"),
        ("docker-credential-all", Action::List, "") => {
            let names = r#"{"https://index.docker.io/v1/":"eve","extra.example":"max","a b":"x"}"#;
            Ok((0, names.to_owned(), String::new()))
        }
        ("docker-credential-all", ..) => has_none(),
        _ => Ok((1, "no".to_owned(), String::new())),
    });
    let broken = |program: &str| Error::Helper {
        program: format!("docker-credential-{program}"),
        registry: "broken.example".to_owned(),
        file: "config.json".to_owned(),
        why: "it ended with status 1 and said `no`".to_owned(),
    };
    let unreadable = Error::Document {
        file: "config.json".to_owned(),
        why: "the entry `registry.lan/team`: `auth` is not base64 of `user:password`".to_owned(),
    };
    let hub = "https://index.docker.io/v1/";
    assert_eq!(
        credentials(&json, &programs, &server).entries().await,
        [
            Err(broken("broken")),
            Ok(source("gcr.io", "gcr.io", helper("own"), Some("google"))),
            Ok(source("docker.io", hub, helper("all"), Some("eve"))),
            Ok(source("registry.lan", "registry.lan", Kind::Password, Some("ann"))),
            Err(unreadable),
            Ok(source("extra.example", "extra.example", helper("all"), Some("max"))),
        ]
    );
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_told() {
    let server = registry();
    let programs = Programs::new(|_, _, _| has_none());
    let credentials = credentials("{", &programs, &server);
    let why = "a syntax error at line 1, column 1".to_owned();
    let error = Error::Document { file: "config.json".to_owned(), why };
    assert_eq!(credentials.describe(&server.origin(), None), Err(error.clone()));
    assert_eq!(credentials.identify(&server.origin(), None).await, Err(error.clone()));
    assert_eq!(credentials.entries().await, [Err(error)]);
}
