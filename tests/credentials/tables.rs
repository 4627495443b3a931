//! The tables of other projects about logins and tokens. Each row of a table is run, or stands below with the reason why
//! it is not. Which registries may name which token servers is in `host/credentials/realm.rs`.

use super::{bearer, clock, document, password, presented, registry, tokens, with_documents};
use crate::network::listener::{Listener, answer};
use crate::network::network;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use wharf::credentials::keep::keep;
use wharf::credentials::{Challenge, Credentials, Error, Login, Settings, Source, Visit};
use wharf::network::Origin;
use zeroize::Zeroizing;

/// The table, the name of a row, and why it is not run.
const EXCLUDED: [(&str, &str, &str); 1] = [(
    "credential_scope_isolation_oras",
    "missing port in registry",
    "with TLS `example.com` and `example.com:443` are one origin, and a login goes to an origin",
)];

fn table(name: &str) -> Vec<Value> {
    let text = include_str!("../data/vectors/registry_client.json");
    let document: Value = serde_json::from_str(text).expect("the tables are JSON");
    document["vectors"][name].as_array().expect("the table is there").clone()
}

/// Runs the rows of a table, and returns how many were run and how many were not.
async fn run(name: &str, mut check: impl AsyncFnMut(&Value)) -> (usize, usize) {
    let (mut done, mut left) = (0, 0);
    for row in table(name) {
        if EXCLUDED.iter().any(|(table, excluded, _)| *table == name && row["name"] == *excluded) {
            left += 1;
        } else {
            check(&row).await;
            done += 1;
        }
    }
    (done, left)
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{row} has no {field}"))
}

/// Returns the origin and the repository of a name as in `docker.io/library/alpine`.
fn parts(name: &str) -> (Origin, Option<&str>) {
    let (registry, repository) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let registry = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
    (Origin::new(true, registry).expect("a row has a registry"), repository)
}

fn described(json: &str, name: &str) -> Option<Source> {
    let credentials = with_documents(&network("registry.lan"), vec![document(json)]);
    let (registry, repository) = parts(name);
    credentials.describe(&registry, repository).expect("the document is good")
}

#[tokio::test]
async fn the_most_specific_key_is_looked_up_first() {
    let outcome = run("auth_key_lookup_order", async |row| {
        let keys: Vec<_> = row["expected"].as_array().expect("keys").iter().filter_map(Value::as_str).collect();
        for (at, expected) in keys.iter().enumerate() {
            let entries: Vec<_> = keys[at..].iter().map(|key| format!(r#""{key}":{}"#, password(key))).collect();
            let json = format!(r#"{{"auths":{{{}}}}}"#, entries.join(","));
            let found = described(&json, text(row, "input")).expect("there is one");
            assert_eq!((found.key.as_str(), found.user.as_deref()), (*expected, Some(*expected)), "{row}");
        }
    });
    assert_eq!(outcome.await, (5, 0));
}

#[tokio::test]
async fn what_was_stored_for_a_registry_is_found_for_what_is_in_it() {
    let outcome = run("credential_interop", async |row| {
        let login = Login::new("ann".to_owned(), Zeroizing::new("a".to_owned())).expect("a login");
        // Docker takes no registry for Docker Hub.
        let registry = Some(text(row, "loginKey")).filter(|key| !key.is_empty()).unwrap_or("docker.io");
        let kept = keep(&document("{}"), None, registry, &login).await.expect("it is kept");
        let json = str::from_utf8(&kept.document).expect("documents are text");
        let found = described(json, text(row, "queryKey")).expect("there is one");
        assert_eq!((found.registry.as_str(), found.user.as_deref()), (registry, Some("ann")), "{row}");
    });
    assert_eq!(outcome.await, (7, 0));
}

/// Returns what a login arrives as, for a registry that wants a password.
async fn basic(server: &Listener, json: &str, repository: Option<&str>) -> Result<String, Error> {
    let network = network(&server.authority());
    let credentials = with_documents(&network, vec![document(json)]).named(&[server.authority()]);
    let grant = credentials.authorize(&server.origin(), repository, &Challenge::Basic, Visit::WithLogin).await?;
    let arrived = presented(&network, server, &grant).await;
    let login = STANDARD.decode(arrived.strip_prefix("Basic ").expect("a basic login")).expect("base64");
    Ok(String::from_utf8(login).expect("text"))
}

#[tokio::test]
async fn an_entry_is_read_as_other_tools_read_it() {
    let server = registry();
    let network = network(&server.authority());
    let outcome = run("authconfig_json", async |row| {
        let json = format!(r#"{{"auths":{{"{}":{}}}}}"#, server.authority(), text(row, "json"));
        let want = &row["want"];
        let seen = basic(&server, &json, None).await;
        if text(row, "err").is_empty() {
            assert_eq!(seen, Ok(format!("{}:{}", text(want, "Username"), text(want, "Password"))), "{row}");
        } else {
            assert!(matches!(seen, Err(Error::Document { .. })), "{row}: {seen:?}");
        }
        // Both are there: the token that needs no request goes first.
        if let Some(token) = want["RegistryToken"].as_str().filter(|token| !token.is_empty()) {
            let credentials = with_documents(&network, vec![document(&json)]).named(&[server.authority()]);
            let challenge = bearer(&server, &[]);
            let grant = credentials.authorize(&server.origin(), None, &challenge, Visit::WithLogin).await;
            let arrived = presented(&network, &server, &grant.expect("a grant")).await;
            assert_eq!(arrived, format!("Bearer {token}"), "{row}");
        }
    });
    assert_eq!(outcome.await, (7, 0));
}

#[tokio::test]
async fn a_document_is_searched_as_other_tools_search_it() {
    let server = registry();
    let outcome = run("dockerconfig_keychain_paths", async |row| {
        let json = text(row, "content").replace("test.io", &server.authority());
        let seen = basic(&server, &json, row["target"]["repository"].as_str()).await;
        match row["cfg"].as_object() {
            Some(_) => {
                let want = &row["cfg"];
                assert_eq!(seen, Ok(format!("{}:{}", text(want, "Username"), text(want, "Password"))), "{row}");
            }
            None => assert!(matches!(seen, Err(Error::Document { .. })), "{row}: {seen:?}"),
        }
    });
    assert_eq!(outcome.await, (5, 0));
}

#[tokio::test]
async fn a_login_is_for_one_port() {
    let outcome = run("credential_scope_isolation_oras", async |row| {
        let json = format!(r#"{{"auths":{{"{}":{}}}}}"#, text(row, "registry"), password("ann"));
        let found = described(&json, text(row, "hostport"));
        assert_eq!(Some(found.is_some()), row["shouldMatch"].as_bool(), "{row}");
    });
    assert_eq!(outcome.await, (3, 1));
}

/// Times are counted from the arrival, so that only how long a token lives is taken from the row.
#[tokio::test]
async fn the_answer_of_a_token_server_is_read_as_podman_reads_it() {
    let outcome = run("token_body_podman", async |row| {
        let body = text(row, "input").to_owned();
        let issued: Option<jiff::Timestamp> = serde_json::from_str::<Value>(&body)
            .ok()
            .map(|body| text(&body, "issued_at").parse().expect("a row has a time"));
        let server = Listener::start(move |request| match request.line.contains("/token") {
            true => answer(200, &[], &body),
            false => answer(200, &[], request.header("authorization").unwrap_or_default()),
        });
        let network = network(&server.authority());
        let (clock, seconds) = clock();
        let credentials = Credentials::new(Settings { clock, ..Settings::default() }, network.clone());
        let credentials = credentials.expect("the settings are good");
        let ask = async || credentials.authorize(&server.origin(), None, &bearer(&server, &[]), Visit::WithLogin).await;
        let Some(expected) = row["expected"].as_object() else {
            let outcome = ask().await.map(|_| ());
            assert!(matches!(outcome, Err(Error::Unavailable { status: Some(200), .. })), "{row}: {outcome:?}");
            return;
        };
        let token = presented(&network, &server, &ask().await.expect("a grant")).await;
        assert_eq!(Some(token.as_str()), expected["token"].as_str().map(|token| format!("Bearer {token}")).as_deref());
        let expires: jiff::Timestamp = expected["expirationTime"].as_str().expect("a time").parse().expect("a time");
        let lives = expires.duration_since(issued.expect("a time")).as_secs();
        let lives = u64::try_from(lives).expect("it is later");
        // A token is replaced ten seconds before its end.
        for (now, requests) in [(lives - 11, 1), (lives - 10, 2)] {
            seconds.store(now, Ordering::SeqCst);
            ask().await.expect("a grant");
            assert_eq!(tokens(&server).len(), requests, "{row} after {now} s");
        }
    });
    assert_eq!(outcome.await, (4, 0));
}

#[tokio::test]
async fn a_login_of_kubernetes_is_one_of_a_document() {
    let outcome = run("cri_parse_auth", async |row| {
        let server = registry();
        let field = |name: &str| row["auth"][name].as_str().unwrap_or_default().to_owned();
        let entry = json!({
            "username": field("Username"),
            "password": field("Password"),
            "auth": field("Auth"),
            "identitytoken": field("IdentityToken"),
            "registrytoken": field("RegistryToken"),
        });
        let json = json!({ "auths": { server.authority(): entry } }).to_string();
        let (user, secret) = (text(row, "expectedUser"), text(row, "expectedSecret"));
        let seen = basic(&server, &json, None).await;
        match (row["expectErr"].as_bool(), user, secret) {
            (Some(true), ..) => assert!(matches!(seen, Err(Error::Document { .. })), "{row}: {seen:?}"),
            (_, "", "") => assert_eq!(seen, Err(Error::NotFound { registry: server.authority() }), "{row}"),
            // A secret without a user is an identity token.
            (_, "", token) => {
                let network = network(&server.authority());
                let credentials = with_documents(&network, vec![document(&json)]).named(&[server.authority()]);
                let challenge = bearer(&server, &[]);
                let grant = credentials.authorize(&server.origin(), None, &challenge, Visit::WithLogin).await;
                assert!(!grant.expect("a grant").anonymous());
                let body = String::from_utf8_lossy(&tokens(&server)[0].body).into_owned();
                assert!(body.contains(&format!("&refresh_token={token}&")), "{row}: {body}");
            }
            (_, user, secret) => assert_eq!(seen, Ok(format!("{user}:{secret}")), "{row}"),
        }
    });
    assert_eq!(outcome.await, (6, 0));
}

#[test]
fn what_is_excluded_is_there_and_says_why() {
    for (name, row, why) in EXCLUDED {
        assert!(table(name).iter().any(|known| known["name"] == row), "{name}: {row}");
        assert!(!why.is_empty(), "{name}: {row}");
    }
}
