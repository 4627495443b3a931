//! Documents before and after a login and a logout, and what the programs are told.

use super::helpers::{Programs, has, has_none};
use super::{CANARY, auth, document};
use std::collections::BTreeSet;
use std::sync::Mutex;
use wharf::credentials::helper::{Action, Helpers};
use wharf::credentials::keep::{Forgotten, Kept, forget, keep};
use wharf::credentials::{Error, Login};
use zeroize::Zeroizing;

fn login() -> Login {
    Login::new("ann".to_owned(), Zeroizing::new(CANARY.to_owned())).expect("a login")
}

async fn put(json: &str, registry: &str) -> Result<String, Error> {
    let Kept { document, program } = keep(&document(json), None, registry, &login()).await?;
    assert_eq!(program, None);
    Ok(String::from_utf8(document.to_vec()).expect("documents are text"))
}

async fn take(json: &str, registry: Option<&str>) -> Result<Option<String>, Error> {
    let Forgotten { document, programs } = forget(&document(json), None, registry).await?;
    assert_eq!(programs, BTreeSet::new());
    Ok(document.map(|document| String::from_utf8(document.to_vec()).expect("documents are text")))
}

/// The document before, the registry, and the document after. `AUTH` stands for the login.
#[tokio::test]
async fn a_login_is_put_into_a_document_and_nothing_else_changes() {
    let one = "{\n\t\"auths\": {\n\t\t\"registry.lan\": {\n\t\t\t\"auth\": \"AUTH\"\n\t\t}\n\t}\n}\n";
    for (before, registry, after) in [
        ("", "registry.lan", one),
        ("  \n", "registry.lan", one),
        ("{}", "registry.lan", one),
        ("{\"auths\":{}}", "registry.lan", one),
        ("{\"auths\":null}", "registry.lan", one),
        ("{}", "Registry.LAN", one),
        (
            "{}",
            "registry.lan:5000",
            "{\n\t\"auths\": {\n\t\t\"registry.lan:5000\": {\n\t\t\t\"auth\": \"AUTH\"\n\t\t}\n\t}\n}\n",
        ),
        (
            "{}",
            "docker.io",
            "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": \"AUTH\"\n\t\t}\n\t}\n}\n",
        ),
        // Other spellings of the registry go, and the first one's place is kept. What is below it stays.
        (
            r#"{"auths":{"a.lan":{"auth":"x"},"https://registry.lan/v1/":{"auth":"old"},"registry.lan/team":{"auth":"y"},
              "registry.lan:443":{"auth":"older"},"registry.lan:5000":{}}}"#,
            "registry.lan",
            "{\n\t\"auths\": {\n\t\t\"a.lan\": {\"auth\":\"x\"},\n\t\t\"registry.lan\": {\n\t\t\t\"auth\": \"AUTH\"\n\t\t},\n\
             \t\t\"registry.lan/team\": {\"auth\":\"y\"},\n\t\t\"registry.lan:5000\": {}\n\t}\n}\n",
        ),
        (
            r#"{"auths":{"docker.io":{"auth":"old"},"registry-1.docker.io":{}}}"#,
            "index.docker.io",
            "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": \"AUTH\"\n\t\t}\n\t}\n}\n",
        ),
        // What a login is goes, and what else an entry has stays.
        (
            r#"{"auths":{"registry.lan":{"email":"a@b","username":"x","password":"y","identitytoken":"z",
               "registrytoken":"t","auth":"old","more":[1]}}}"#,
            "registry.lan",
            "{\n\t\"auths\": {\n\t\t\"registry.lan\": {\n\t\t\t\"auth\": \"AUTH\",\n\t\t\t\"email\": \"a@b\",\n\
             \t\t\t\"more\": [1]\n\t\t}\n\t}\n}\n",
        ),
        // The order, unknown fields, numbers that no double holds, escapes and the way of indenting are the writer's.
        (
            "{\n  \"zebra\": 1.00000000000000000000001e400,\n  \"auths\": {\n    \"a.lan\": {\n      \"auth\": \"x\"\n    }\n  },\n\
             \n  \"HttpHeaders\": {\n    \"X\": \"\\u00e4\\/\"\n  },\n  \"apple\": [1,\n    2]\n}",
            "registry.lan",
            "{\n  \"zebra\": 1.00000000000000000000001e400,\n  \"auths\": {\n    \"a.lan\": {\n      \"auth\": \"x\"\n    },\n\
             \u{20}   \"registry.lan\": {\n      \"auth\": \"AUTH\"\n    }\n  },\n  \"HttpHeaders\": {\n    \"X\": \"\\u00e4\\/\"\n  },\n\
             \u{20} \"apple\": [1,\n    2]\n}\n",
        ),
        (
            "{\"credHelpers\": {\"gcr.io\": \"gcr\"}, \"psFormat\": \"table\"}",
            "registry.lan",
            "{\n\t\"credHelpers\": {\"gcr.io\": \"gcr\"},\n\t\"psFormat\": \"table\",\n\t\"auths\": {\n\
             \t\t\"registry.lan\": {\n\t\t\t\"auth\": \"AUTH\"\n\t\t}\n\t}\n}\n",
        ),
    ] {
        let written = put(before, registry).await.expect(before);
        assert_eq!(written, after.replace("AUTH", &auth("ann", CANARY)), "{before}");
        // Twice is once.
        assert_eq!(put(&written, registry).await.as_ref(), Ok(&written), "{before}");
        serde_json::from_str::<serde_json::Value>(&written.replace("e400", "")).expect("it is JSON still");
    }
}

#[tokio::test]
async fn a_logout_takes_one_login_and_nothing_else() {
    let three =
        r#"{"auths":{"a.lan":{"auth":"eDp5"},"https://b.lan/v2/":{"auth":"eDp5"},"b.lan/team":{"auth":"eDp5"}},"x":1}"#;
    let a = "\n\t\t\"a.lan\": {\"auth\":\"eDp5\"}";
    let b = "\n\t\t\"https://b.lan/v2/\": {\"auth\":\"eDp5\"}";
    let team = "\n\t\t\"b.lan/team\": {\"auth\":\"eDp5\"}";
    let with = |entries: &[&str]| Some(format!("{{\n\t\"auths\": {{{}\n\t}},\n\t\"x\": 1\n}}\n", entries.join(",")));
    for (before, registry, after) in [
        (three, Some("a.lan"), with(&[b, team])),
        (three, Some("b.lan"), with(&[a, team])),
        (three, Some("b.lan:443"), with(&[a, team])),
        (three, Some("b.lan/team"), with(&[a, b])),
        (three, None, Some("{\n\t\"auths\": {},\n\t\"x\": 1\n}\n".to_owned())),
        (three, Some("c.lan"), None),
        (three, Some("a.lan:5000"), None),
        (three, Some("docker.io"), None),
        (r#"{"auths":{"docker.io":{"auth":"eDp5"}}}"#, Some("docker.io"), Some("{\n\t\"auths\": {}\n}\n".to_owned())),
        ("{}", None, None),
        ("", Some("a.lan"), None),
    ] {
        assert_eq!(take(before, registry).await, Ok(after), "{before} {registry:?}");
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_not_written() {
    let programs = Programs::new(|_, _, server| has(server, "ann"));
    for (json, why) in [
        ("{", "a syntax error at line 1, column 1"),
        ("[]", "an unexpected value at line 1, column 0"),
        (r#"{"auths":"hunter2"}"#, "an unexpected value at line 1, column 18"),
        (r#"{"auths":{"registry.lan":"hunter2"},"credsStore":"all"}"#, "an unexpected value at line 1, column 34"),
        (r#"{"credsStore":"all","auths":{},"auths":{}}"#, "an unexpected value at line 1, column 38"),
        (r#"{"credsStore":"all"} {}"#, "a syntax error at line 1, column 22"),
    ] {
        let document = document(json);
        let error = Error::Document { file: "config.json".to_owned(), why: why.to_owned() };
        let kept = keep(&document, Some(&*programs), "registry.lan", &login()).await;
        assert_eq!(kept.map(|_| ()), Err(error.clone()), "{json}");
        assert_eq!(forget(&document, Some(&*programs), None).await.map(|_| ()), Err(error), "{json}");
    }
    assert_eq!(programs.calls(), <[String; 0]>::default());
}

#[tokio::test]
async fn what_is_no_registry_is_refused() {
    for (registry, error) in [
        ("https://registry.lan", "`https://registry.lan` is not a host with a port"),
        ("registry.lan/team", "`registry.lan/team` is not a host with a port"),
        ("", "`` is not a host with a port"),
        ("a b", "`a b` is not a host with a port"),
    ] {
        assert_eq!(put("{}", registry).await, Err(Error::Settings { why: error.to_owned() }));
    }
    let why = "`a b` is not a registry".to_owned();
    assert_eq!(take("{}", Some("a b")).await, Err(Error::Settings { why }));
}

#[tokio::test]
async fn a_program_gets_the_login_and_the_document_an_empty_entry() {
    let stored = |server: &str| format!(r#"{{"ServerURL":"{server}","Username":"ann","Secret":"{CANARY}"}}"#);
    let hub = "https://index.docker.io/v1/";
    for (json, registry, program, server, key) in [
        (r#"{"credsStore":"all"}"#, "registry.lan", "all", "registry.lan", "registry.lan"),
        (r#"{"credsStore":"all"}"#, "docker.io", "all", hub, hub),
        (
            r#"{"credsStore":"all","credHelpers":{"registry.lan":"own"}}"#,
            "registry.lan",
            "own",
            "registry.lan",
            "registry.lan",
        ),
        (r#"{"credHelpers":{"docker.io":"own"}}"#, "docker.io", "own", "docker.io", hub),
        (
            r#"{"credsStore":"all","auths":{"registry.lan":{"auth":"eDp5"}}}"#,
            "registry.lan",
            "all",
            "registry.lan",
            "registry.lan",
        ),
    ] {
        let programs = Programs::new(|_, _, _| Ok((0, String::new(), String::new())));
        let helpers: &dyn Helpers = &*programs;
        let kept = keep(&document(json), Some(helpers), registry, &login()).await.expect("it is kept");
        assert_eq!(kept.program, Some(format!("docker-credential-{program}")), "{json}");
        assert_eq!(programs.calls(), [format!("docker-credential-{program} store {}", stored(server))]);
        let text = String::from_utf8(kept.document.to_vec()).expect("documents are text");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value["auths"], serde_json::json!({ key: {} }), "{text}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_keep_a_login_is_named() {
    for (stdout, why) in [
        ("no keyring", "it ended with status 1 and said `no keyring`"),
        ("cannot keep hunter2", "it failed, and repeated the password"),
    ] {
        let programs = Programs::new(move |_, _, _| Ok((1, stdout.to_owned(), String::new())));
        let kept = keep(&document(r#"{"credsStore":"all"}"#), Some(&*programs), "docker.io", &login()).await;
        let error = Error::Helper {
            program: "docker-credential-all".to_owned(),
            registry: "docker.io".to_owned(),
            file: "config.json".to_owned(),
            why: why.to_owned(),
        };
        assert_eq!(kept.map(|_| ()), Err(error));
    }
}

/// Programs with the logins that a test gives them.
fn with(logins: &'static [(&'static str, &'static str)]) -> std::sync::Arc<Programs> {
    let left: Mutex<Vec<_>> = Mutex::new(logins.to_vec());
    Programs::new(move |program, action, server| {
        let mut left = left.lock().expect("no panic");
        let helper = program.strip_prefix("docker-credential-").expect("a helper");
        let at = left.iter().position(|login| *login == (helper, server));
        match (action, at) {
            (Action::Get, Some(_)) => has(server, "ann"),
            (Action::Erase, Some(at)) => {
                left.remove(at);
                Ok((0, String::new(), String::new()))
            }
            (Action::List, _) => {
                let ours = left.iter().filter(|(keeper, _)| *keeper == helper).map(|(_, server)| (*server, "ann"));
                let names: std::collections::BTreeMap<_, _> = ours.collect();
                Ok((0, serde_json::to_string(&names).expect("texts"), String::new()))
            }
            _ => has_none(),
        }
    })
}

#[tokio::test]
async fn a_logout_is_said_to_the_programs_that_have_the_login() {
    let json = r#"{"credsStore":"all","credHelpers":{"gcr.io":"own"},
        "auths":{"https://registry.lan/v1/":{},"gcr.io":{},"file.lan":{"auth":"eDp5"}}}"#;
    let logins: &[_] = &[
        ("all", "registry.lan"),
        ("all", "https://registry.lan/v1/"),
        ("all", "https://index.docker.io/v1/"),
        ("own", "gcr.io"),
    ];
    let all = ["docker-credential-all", "docker-credential-own"];
    for (registry, programs, document_changes, erased) in [
        (Some("registry.lan"), &all[..1], true, &["all erase https://registry.lan/v1/", "all erase registry.lan"][..]),
        (Some("docker.io"), &all[..1], false, &["all erase https://index.docker.io/v1/"]),
        (Some("gcr.io"), &all[1..], true, &["own erase gcr.io"]),
        (Some("file.lan"), &[], true, &[]),
        (Some("other.lan"), &[], false, &[]),
        (
            None,
            &all,
            true,
            &[
                "all erase https://index.docker.io/v1/",
                "all erase https://registry.lan/v1/",
                "all erase registry.lan",
                "own erase gcr.io",
            ],
        ),
    ] {
        let helpers = with(logins);
        let forgotten = forget(&document(json), Some(&*helpers), registry).await.expect("they work");
        let seen: Vec<_> = forgotten.programs.iter().map(String::as_str).collect();
        assert_eq!((&*seen, forgotten.document.is_some()), (programs, document_changes), "{registry:?}");
        assert_eq!(forgotten.any(), document_changes || !programs.is_empty(), "{registry:?}");
        let calls = helpers.calls();
        let calls: Vec<_> = calls.iter().filter_map(|call| call.strip_prefix("docker-credential-")).collect();
        let calls: Vec<_> = calls.into_iter().filter(|call| call.contains(" erase ")).collect();
        assert_eq!(calls, erased, "{registry:?}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_asked_leaves_the_document_alone() {
    let programs = Programs::new(|_, _, _| Ok((1, "locked".to_owned(), String::new())));
    for registry in [Some("registry.lan"), None] {
        let outcome = forget(&document(r#"{"credsStore":"all"}"#), Some(&*programs), registry).await;
        let error = Error::Helper {
            program: "docker-credential-all".to_owned(),
            registry: registry.unwrap_or("all registries").to_owned(),
            file: "config.json".to_owned(),
            why: "it ended with status 1 and said `locked`".to_owned(),
        };
        assert_eq!(outcome.map(|_| ()), Err(error));
    }
}
