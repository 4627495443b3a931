//! Logins, tokens and grants as their callers see them, against token servers on loopback: what is asked, how often, and
//! where a secret goes and where it never goes.

mod helpers;
mod keeping;
mod logins;
mod realms;
mod scopes;
mod sources;
mod tables;
mod tokens;

use crate::network::listener::{Listener, Request, answer};
use crate::network::{certificate, fetch, get, network, network_with};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wharf::credentials::{Bearer, Challenge, Clock, Credentials, Document, Error, Grant, Settings, Visit};
use wharf::network::{self, Network, Origin, Timeouts, empty};

/// The word that is in every secret of these tests and must be nowhere else.
const CANARY: &str = "hunter2";

fn document(json: &str) -> Document {
    Document { label: "config.json".to_owned(), bytes: json.as_bytes().to_vec() }
}

fn auth(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

/// Returns credentials that know this login for `registry`, or none.
fn credentials(network: &Network, registry: &Origin, entry: Option<&str>) -> Credentials {
    let documents = entry.map(|entry| document(&format!(r#"{{"auths":{{"{}":{entry}}}}}"#, registry.authority())));
    with_documents(network, documents.into_iter().collect()).named(&[registry.authority()])
}

/// Returns credentials of somebody who has named no registry yet.
fn with_documents(network: &Network, documents: Vec<Document>) -> Credentials {
    Credentials::new(Settings { documents, ..Settings::default() }, network.clone()).expect("the settings are good")
}

fn password(user: &str) -> String {
    format!(r#"{{"auth":"{}"}}"#, auth(user, CANARY))
}

fn bearer(server: &Listener, scopes: &[&str]) -> Challenge {
    Challenge::Bearer(Bearer {
        realm: format!("{}/token", server.origin()),
        service: Some("registry.test".to_owned()),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    })
}

/// A registry and its token server in one, which counts: the tokens it gives are `token-1`, `token-2` and so on.
fn registry() -> Listener {
    let count = AtomicU64::new(0);
    Listener::start(move |request| match request.line.starts_with("GET /token") || request.line.starts_with("POST ") {
        true => answer(200, &[], &format!(r#"{{"token":"token-{}"}}"#, count.fetch_add(1, Ordering::SeqCst) + 1)),
        false => answer(200, &[], request.header("authorization").unwrap_or("nothing")),
    })
}

fn tokens(server: &Listener) -> Vec<Request> {
    server.requests().into_iter().filter(|request| request.line.contains("/token")).collect()
}

/// Sends a request with the grant, and returns what `authorization` arrived.
async fn presented(network: &Network, server: &Listener, grant: &Grant) -> String {
    fetch(network, with_grant(&format!("{}/v2/", server.origin()), grant)).await.expect("an answer").1
}

fn with_grant(url: &str, grant: &Grant) -> http::Request<network::Outgoing> {
    http::Request::get(url).header("wharf-grant", grant.id()).body(empty()).expect("a test has a URL")
}

#[tokio::test]
async fn a_basic_challenge_is_answered_with_the_login() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let grant = credentials(&network, &origin, Some(&password("ann")))
        .authorize(&origin, None, &Challenge::Basic, Visit::WithLogin)
        .await;
    let grant = grant.expect("a grant");
    assert!(!grant.anonymous());
    assert_eq!(presented(&network, &server, &grant).await, format!("Basic {}", auth("ann", CANARY)));
    assert_eq!(tokens(&server), []);
    assert_eq!(server.requests()[0].header("wharf-grant"), None);

    let none = credentials(&network, &origin, None)
        .authorize(&origin, None, &Challenge::Basic, Visit::WithLogin)
        .await
        .map(|_| ());
    assert_eq!(none, Err(Error::NotFound { registry: server.authority() }));
}

#[tokio::test]
async fn a_token_is_asked_for_without_a_login() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let challenge = bearer(&server, &["repository:library/alpine:pull", "repository:a/b:pull"]);
    let grant = credentials(&network, &origin, None)
        .authorize(&origin, None, &challenge, Visit::WithLogin)
        .await
        .expect("a grant");
    assert!(grant.anonymous());
    assert_eq!(presented(&network, &server, &grant).await, "Bearer token-1");
    let asked = tokens(&server);
    assert_eq!(
        asked[0].line,
        "GET /token?service=registry.test&scope=repository%3Aa%2Fb%3Apull&scope=repository%3Alibrary%2Falpine%3Apull \
         HTTP/1.1"
    );
    assert_eq!(asked[0].header("authorization"), None);
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn a_token_is_asked_for_with_the_login() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, Some(&password("ann")));
    let challenge = Challenge::Bearer(Bearer {
        realm: format!("{origin}/token?account=x#part"),
        service: None,
        scopes: Vec::new(),
    });
    let grant = credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await.expect("a grant");
    assert!(!grant.anonymous());
    assert_eq!(presented(&network, &server, &grant).await, "Bearer token-1");
    assert_eq!(tokens(&server)[0].line, "GET /token?account=x HTTP/1.1");
    assert_eq!(tokens(&server)[0].header("authorization"), Some(&*format!("Basic {}", auth("ann", CANARY))));
}

#[tokio::test]
async fn an_identity_token_is_sent_in_a_form() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let entry = format!(r#"{{"auth":"{}","identitytoken":"{CANARY}+&="}}"#, auth("00000000", ""));
    let credentials = credentials(&network, &origin, Some(&entry));
    let grant = credentials
        .authorize(&origin, None, &bearer(&server, &["b:y:pull", "a:x:pull"]), Visit::WithLogin)
        .await
        .expect("a grant");
    assert_eq!(presented(&network, &server, &grant).await, "Bearer token-1");
    let asked = &tokens(&server)[0];
    assert_eq!(asked.line, "POST /token HTTP/1.1");
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(
        String::from_utf8_lossy(&asked.body),
        "grant_type=refresh_token&client_id=wharf&refresh_token=hunter2%2B%26%3D&service=registry.test\
         &scope=a%3Ax%3Apull+b%3Ay%3Apull"
    );
}

#[tokio::test]
async fn a_registry_token_takes_the_place_of_a_request() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, Some(r#"{"registrytoken":"ready-made"}"#));
    let grant = credentials.authorize(&origin, None, &bearer(&server, &[]), Visit::WithLogin).await.expect("a grant");
    assert!(!grant.anonymous());
    assert_eq!(presented(&network, &server, &grant).await, "Bearer ready-made");
    assert_eq!(tokens(&server), []);
}

/// A clock that stands still until the test moves it.
fn clock() -> (Clock, Arc<AtomicU64>) {
    let (start, seconds) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let read = seconds.clone();
    (Clock::new(move || start + Duration::from_secs(read.load(Ordering::SeqCst))), seconds)
}

#[tokio::test]
async fn a_token_is_used_until_it_expires() {
    for (said, good_until) in
        [("", 49), (r#","expires_in":300"#, 289), (r#","expires_in":0"#, 49), (r#","expires_in":-5"#, 49)]
    {
        let body = format!(r#"{{"token":"a"{said},"issued_at":"2999-01-01T00:00:00Z"}}"#);
        let server = Listener::start(move |_| answer(200, &[], &body));
        let (network, origin) = (network(&server.authority()), server.origin());
        let (clock, seconds) = clock();
        let settings = Settings { clock, ..Settings::default() };
        let credentials = Credentials::new(settings, network).expect("the settings are good");
        let challenge = bearer(&server, &["repository:a:pull"]);
        for (now, requests) in [(0, 1), (1, 1), (good_until, 1), (good_until + 1, 2), (good_until + 2, 2)] {
            seconds.store(now, Ordering::SeqCst);
            credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await.expect("a grant");
            assert_eq!(server.requests().len(), requests, "{said} after {now} s");
        }
    }
}

#[tokio::test]
async fn equal_wishes_share_a_token_and_different_ones_do_not() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, None);
    let asked = |scopes: &'static [&'static str]| (credentials.clone(), bearer(&server, scopes));
    for (scopes, requests) in [
        (&["repository:a:pull", "repository:b:pull"][..], 1),
        (&["repository:b:pull", "repository:a:pull"], 1),
        (&["repository:b:pull", "repository:a:pull", "repository:a:pull"], 1),
        (&["repository:a:pull"], 2),
        (&["repository:a:pull,push"], 3),
        (&[], 4),
    ] {
        let (credentials, challenge) = asked(scopes);
        credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await.expect("a grant");
        assert_eq!(tokens(&server).len(), requests, "{scopes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_wishes_at_the_same_time_make_one_request() {
    for (status, body) in [(200, r#"{"token":"one"}"#), (500, "")] {
        let server = Listener::start(move |_| {
            std::thread::sleep(Duration::from_millis(200));
            answer(status, &[], body)
        });
        let (network, origin) = (network(&server.authority()), server.origin());
        let credentials = credentials(&network, &origin, None);
        let challenge = bearer(&server, &["repository:a:pull"]);
        let wishes = (0..10).map(|_| {
            let (credentials, origin, challenge) = (credentials.clone(), origin.clone(), challenge.clone());
            tokio::spawn(async move { credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await })
        });
        let outcomes: Vec<_> =
            futures::future::join_all(wishes).await.into_iter().map(|joined| joined.expect("no panic")).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok() == (status == 200)).count(), 10);
        assert_eq!(server.requests().len(), 1, "{status}");
        // A failure is for those who waited for it, not for those who come later.
        let _ = credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await;
        assert_eq!(server.requests().len(), if status == 200 { 1 } else { 2 });
    }
}

#[tokio::test]
async fn who_gives_up_leaves_the_request_to_the_next() {
    let first = AtomicUsize::new(0);
    let server = Listener::start(move |_| {
        if first.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_secs(20));
        }
        answer(200, &[], r#"{"token":"one"}"#)
    });
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, None);
    let challenge = bearer(&server, &[]);
    let wish = tokio::time::timeout(
        Duration::from_millis(100),
        credentials.authorize(&origin, None, &challenge, Visit::WithLogin),
    )
    .await;
    assert!(wish.is_err());
    assert!(credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await.is_ok());
}

/// A registry restarts with new keys, or a token is revoked: the cache is wrong long before the token expires.
#[tokio::test]
async fn a_token_that_the_registry_refused_is_not_used_again() {
    let count = AtomicU64::new(0);
    let server = Listener::start(move |request| match request.header("authorization") {
        None => answer(200, &[], &format!(r#"{{"token":"token-{}"}}"#, count.fetch_add(1, Ordering::SeqCst) + 1)),
        Some("Bearer token-1") => answer(401, &[], "refused"),
        Some(other) => answer(200, &[], other),
    });
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, None);
    let challenge = bearer(&server, &["repository:a:pull"]);
    let first = credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await.expect("a grant");
    let second = credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await.expect("a grant");
    assert_ne!(first.id(), second.id());
    assert_eq!(tokens(&server).len(), 1);
    assert_eq!(presented(&network, &server, &second).await, "refused");
    let third = credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await.expect("a grant");
    assert_eq!(presented(&network, &server, &third).await, "Bearer token-2");
    assert_eq!(tokens(&server).len(), 2);
}

#[tokio::test]
async fn a_grant_goes_to_its_own_origin_and_nowhere_else() {
    let (tls, pem) = certificate(&["127.0.0.1"]);
    let secure = Listener::start_tls(tls, |_| answer(200, &[], "ok"));
    let (server, canary) = (registry(), Listener::start(|_| answer(200, &[], "")));
    let settings = network::Settings { certificates: pem, ..network::Settings::default() };
    let network = network_with(settings, "127.0.0.1");
    network.allow("localhost").expect("a host");
    let origin = server.origin();
    let credentials = credentials(&network, &origin, Some(&password("ann")));
    let grant = credentials.authorize(&origin, None, &Challenge::Basic, Visit::WithLogin).await.expect("a grant");
    let (here, there) = (server.port(), canary.port());
    for url in [
        format!("http://127.0.0.1:{there}/"),
        format!("https://127.0.0.1:{}/", secure.port()),
        format!("https://127.0.0.1:{here}/"),
        format!("http://localhost:{here}/"),
        format!("http://127.0.0.2:{here}/"),
        format!("http://127.0.0.1.evil:{here}/"),
        format!("http://[::ffff:127.0.0.1]:{here}/"),
    ] {
        match network.send(with_grant(&url, &grant), Timeouts::default()).await {
            Err(network::Error::Denied { why }) => {
                assert!(why.starts_with("the grant of this request is not for"), "{why}")
            }
            other => panic!("{url}: {other:?}"),
        }
    }
    assert_eq!((canary.connections(), secure.connections(), server.connections()), (0, 0, 0));
    // Another spelling of the same origin is the same origin.
    let spelled = format!("http://0x7f.1:{here}/");
    let outcome = fetch(&network, with_grant(&spelled, &grant)).await;
    assert_eq!(outcome, Ok((200, format!("Basic {}", auth("ann", CANARY)))));
}

#[tokio::test]
async fn a_grant_ends_when_it_is_dropped() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, Some(&password("ann")));
    let grant = credentials.authorize(&origin, None, &Challenge::Basic, Visit::WithLogin).await.expect("a grant");
    let request = with_grant(&format!("{origin}/"), &grant);
    drop(grant);
    let outcome = fetch(&network, request).await;
    assert!(matches!(outcome, Err(network::Error::Denied { .. })), "{outcome:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_takes_no_login_along() {
    let other = Listener::start(|_| answer(200, &[], ""));
    let location = format!("{}/blob", other.origin());
    let server = Listener::start(move |_| answer(307, &[("location", &location)], ""));
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, Some(&password("ann")));
    let grant = credentials.authorize(&origin, None, &Challenge::Basic, Visit::WithLogin).await.expect("a grant");
    let response = network.send(with_grant(&format!("{origin}/"), &grant), Timeouts::default()).await.expect("a head");
    assert_eq!(response.status(), 307);
    assert_eq!(other.connections(), 0);
    let location = response.headers()["location"].to_str().expect("text").to_owned();
    response.into_body().collect().await.expect("a body");
    assert_eq!(fetch(&network, get(&location)).await, Ok((200, String::new())));
    assert_eq!(other.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_token_server_that_fails_says_how() {
    let large = format!(r#"{{"token":"{}"}}"#, "a".repeat(64 * 1024));
    let unavailable = |status: u16, why: &str| (Some(status), why.to_owned());
    for (status, body, with_login, expected) in [
        (401, "", true, None),
        (403, CANARY, true, None),
        (401, "", false, None),
        (400, "", true, Some(unavailable(400, "it answered 400"))),
        (302, "", true, Some(unavailable(302, "it answered 302"))),
        (429, "", false, Some(unavailable(429, "it answered 429"))),
        (500, "", true, Some(unavailable(500, "it answered 500"))),
        (200, &large, false, Some(unavailable(200, "its answer has more than 65536 bytes"))),
        (200, "<html>", false, Some(unavailable(200, "its answer is not the JSON of a token"))),
        (200, r#"{"token":""}"#, false, Some(unavailable(200, "its answer has no token"))),
        (200, r#"{"token":"hunter2\n"}"#, false, Some(unavailable(200, "its token has characters that no token has"))),
    ] {
        let text = body.to_owned();
        let server = Listener::start(move |_| answer(status, &[("location", "http://evil.example/")], &text));
        let (network, origin) = (network(&server.authority()), server.origin());
        let entry = with_login.then(|| password("ann"));
        let credentials = credentials(&network, &origin, entry.as_deref());
        let outcome = credentials.authorize(&origin, None, &bearer(&server, &[]), Visit::WithLogin).await.map(|_| ());
        let (authority, registry) = (server.authority(), server.authority());
        let expected = match (expected, with_login) {
            (Some((status, why)), _) => Error::Unavailable { server: authority, status, why },
            (None, true) => Error::Rejected { server: authority, registry, status },
            (None, false) => Error::NotFound { registry },
        };
        assert_eq!(outcome, Err(expected), "{status} {with_login}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_no_token() {
    let server = Listener::start(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"token\":\"a\"}".to_vec());
    let (network, origin) = (network(&server.authority()), server.origin());
    let outcome = credentials(&network, &origin, None)
        .authorize(&origin, None, &bearer(&server, &[]), Visit::WithLogin)
        .await
        .map(|_| ());
    let why = "its answer was cut short".to_owned();
    assert_eq!(outcome, Err(Error::Unavailable { server: server.authority(), status: Some(200), why }));
}

#[tokio::test]
async fn an_identity_token_that_is_refused_is_a_rejected_login() {
    let server = Listener::start(|_| answer(400, &[], r#"{"error":"invalid_grant"}"#));
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, Some(r#"{"identitytoken":"hunter2"}"#));
    let outcome = credentials.authorize(&origin, None, &bearer(&server, &[]), Visit::WithLogin).await.map(|_| ());
    let (authority, registry) = (server.authority(), server.authority());
    assert_eq!(outcome, Err(Error::Rejected { server: authority, registry, status: 400 }));
}

#[tokio::test]
async fn a_challenge_without_measure_is_refused() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, None);
    let realm = format!("{origin}/token");
    let bearer = Bearer { realm: realm.clone(), service: None, scopes: Vec::new() };
    for (bearer, expected) in [
        (Bearer { scopes: vec!["a:b:c".to_owned(); 33], ..bearer.clone() }, "it has 33 scopes, and 32 is the limit"),
        (
            Bearer { scopes: vec!["a".repeat(2049)], ..bearer.clone() },
            "a parameter has 2049 bytes, and 2048 is the limit",
        ),
        (
            Bearer { service: Some("a".repeat(2049)), ..bearer.clone() },
            "a parameter has 2049 bytes, and 2048 is the limit",
        ),
        (Bearer { realm: "not a URL".to_owned(), ..bearer }, "the realm is not a URL"),
    ] {
        let outcome =
            credentials.authorize(&origin, None, &Challenge::Bearer(bearer), Visit::WithLogin).await.map(|_| ());
        let why = expected.to_owned();
        assert_eq!(outcome, Err(Error::Challenge { registry: server.authority(), why }));
    }
    assert_eq!(server.connections(), 0);
}

/// Every way to look at a secret's neighbours, and at every failure, searched for the secret.
#[tokio::test]
async fn no_text_contains_a_secret() {
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let note = |text: String| seen.lock().expect("no test panics while it holds the lock").push(text);
    for (status, body) in [(200, r#"{"token":"hunter2-token"}"#), (200, r#"{"hunter2":"#), (401, CANARY), (500, CANARY)]
    {
        let server = Listener::start(move |_| answer(status, &[("x-echo", CANARY)], body));
        let (network, origin) = (network(&server.authority()), server.origin());
        for entry in [
            password("ann"),
            format!(r#"{{"username":"ann","password":"{CANARY}"}}"#),
            format!(r#"{{"identitytoken":"{CANARY}"}}"#),
            format!(r#"{{"registrytoken":"{CANARY}"}}"#),
            format!(r#"{{"registrytoken":"{CANARY}\n"}}"#),
            format!(r#"{{"auth":"{CANARY}"}}"#),
            format!(r#"{{"auth":["{CANARY}"]}}"#),
        ] {
            let text = format!(r#"{{"auths":{{"{}":{entry}}}}}"#, server.authority());
            note(format!("{:?}", Settings { documents: vec![document(&text)], ..Settings::default() }));
            let credentials = with_documents(&network, vec![document(&text)]).named(&[server.authority()]);
            note(format!("{credentials:?}"));
            for challenge in [Challenge::Basic, bearer(&server, &[])] {
                match credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await {
                    Ok(grant) => note(format!("{grant:?} {} {network:?} {credentials:?}", grant.id())),
                    Err(error) => note(format!("{error} {error:?}")),
                }
            }
        }
    }
    let seen = seen.lock().expect("no test panics while it holds the lock");
    assert_eq!(seen.len(), 4 * 7 * 4);
    let encoded = auth("ann", CANARY);
    for text in seen.iter() {
        assert!(!text.contains(CANARY) && !text.contains(&encoded), "{text}");
    }
}
