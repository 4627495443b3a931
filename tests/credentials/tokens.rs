//! Token requests by form, refresh tokens, servers that want to be left alone, and who shares a token with whom.

use super::{CANARY, auth, bearer, credentials, document, password, presented, registry, tokens};
use crate::network::listener::{Listener, Request, answer};
use crate::network::network;
use std::sync::atomic::{AtomicUsize, Ordering};
use wharf::credentials::{Credentials, Error, Login, Settings, Visit};
use zeroize::Zeroizing;

fn forms(server: &Listener) -> Vec<String> {
    let asked = tokens(server).into_iter();
    asked
        .map(|Request { line, body, .. }| match line.split(' ').next() {
            Some("POST") => String::from_utf8(body).expect("a form is text"),
            _ => "GET".to_owned(),
        })
        .collect()
}

/// The status of an answer to GET, and of one to POST, and what is asked.
#[tokio::test]
async fn a_server_without_get_is_asked_by_form() {
    let password_form = format!(
        "grant_type=password&client_id=wharf&username=ann&password={CANARY}&service=registry.test&scope=a%3Ax%3Apull"
    );
    let rejected = |status| Err((Some(status), true));
    for (get, post, asked, expected) in [
        (200, 500, vec!["GET"], Ok(())),
        (404, 200, vec!["GET", &password_form], Ok(())),
        (405, 200, vec!["GET", &password_form], Ok(())),
        (404, 400, vec!["GET", &password_form], rejected(400)),
        (405, 401, vec!["GET", &password_form], rejected(401)),
        (404, 404, vec!["GET", &password_form], Err((Some(404), false))),
        (401, 200, vec!["GET"], rejected(401)),
        (403, 200, vec!["GET"], rejected(403)),
        (400, 200, vec!["GET"], Err((Some(400), false))),
        (500, 200, vec!["GET"], Err((Some(500), false))),
    ] {
        let server = Listener::start(move |request| match request.line.starts_with("GET") {
            true => answer(get, &[], r#"{"token":"a"}"#),
            false => answer(post, &[], r#"{"access_token":"b"}"#),
        });
        let (network, origin) = (network(&server.authority()), server.origin());
        let credentials = credentials(&network, &origin, Some(&password("ann")));
        let outcome = credentials.authorize(&origin, None, &bearer(&server, &["a:x:pull"]), Visit::WithLogin).await;
        let outcome = outcome.map(|_| ()).map_err(|error| match error {
            Error::Rejected { status, .. } => (Some(status), true),
            Error::Unavailable { status, .. } => (status, false),
            other => panic!("{get} {post}: {other:?}"),
        });
        assert_eq!((forms(&server), outcome), (asked.iter().map(|&form| form.to_owned()).collect(), expected));
        let login = format!("Basic {}", auth("ann", CANARY));
        let sent: Vec<_> = tokens(&server).iter().map(|asked| asked.header("authorization") == Some(&*login)).collect();
        assert_eq!(sent, if sent.len() == 1 { vec![true] } else { vec![true, false] }, "a form has the login itself");
    }
}

#[tokio::test]
async fn without_a_login_there_is_no_form() {
    let server = Listener::start(|_| answer(404, &[], ""));
    let (network, origin) = (network(&server.authority()), server.origin());
    let outcome =
        credentials(&network, &origin, None).authorize(&origin, None, &bearer(&server, &[]), Visit::WithLogin).await;
    let why = "it answered 404".to_owned();
    let expected = Error::Unavailable { server: server.authority(), status: Some(404), why };
    assert_eq!((outcome.map(|_| ()), forms(&server).len()), (Err(expected), 1));
}

/// What the server gave for the next time is used for the next time, until the server does not take it any more.
#[tokio::test]
async fn a_refresh_token_stands_for_the_login() {
    let refusals = AtomicUsize::new(0);
    let server = Listener::start(move |request| {
        let body = String::from_utf8_lossy(&request.body);
        match (request.line.starts_with("GET"), body.contains("refresh_token=r1")) {
            (true, _) => answer(200, &[], r#"{"token":"first","refresh_token":"r1"}"#),
            (false, true) if refusals.fetch_add(1, Ordering::SeqCst) == 0 => {
                answer(200, &[], r#"{"access_token":"second"}"#)
            }
            _ => answer(400, &[], r#"{"error":"invalid_grant"}"#),
        }
    });
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, Some(&password("ann")));
    for scope in ["a", "b", "c"] {
        let grant = credentials.authorize(&origin, None, &bearer(&server, &[scope]), Visit::WithLogin).await;
        assert!(!grant.expect("a grant").anonymous());
    }
    // Another user does not get it, nor does somebody without a login.
    let login = Login::new("eve".to_owned(), Zeroizing::new(CANARY.to_owned())).expect("a login");
    let other = credentials.with_login(&server.authority(), &login).expect("an authority");
    other.authorize(&origin, None, &bearer(&server, &["d"]), Visit::WithLogin).await.expect("a grant");
    credentials.authorize(&origin, None, &bearer(&server, &["e"]), Visit::Anonymous).await.expect("a grant");
    let refresh = |scope| {
        format!("grant_type=refresh_token&client_id=wharf&refresh_token=r1&service=registry.test&scope={scope}")
    };
    let get = || "GET".to_owned();
    assert_eq!(forms(&server), [get(), refresh("b"), refresh("c"), get(), get(), get()]);
}

#[tokio::test]
async fn a_token_with_a_login_is_not_one_without() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let credentials = credentials(&network, &origin, Some(&password("ann")));
    let challenge = bearer(&server, &["repository:a:pull"]);
    for (visit, token, anonymous) in [
        (Visit::WithLogin, "Bearer token-1", false),
        (Visit::Anonymous, "Bearer token-2", true),
        (Visit::WithLogin, "Bearer token-1", false),
        (Visit::Anonymous, "Bearer token-2", true),
    ] {
        let grant = credentials.authorize(&origin, None, &challenge, visit).await.expect("a grant");
        assert_eq!((presented(&network, &server, &grant).await.as_str(), grant.anonymous()), (token, anonymous));
    }
    let logins: Vec<_> = tokens(&server).iter().map(|asked| asked.header("authorization").is_some()).collect();
    assert_eq!(logins, [true, false]);
    // A registry that takes no tokens has nothing for somebody without a login.
    let basic = credentials.authorize(&origin, None, &wharf::credentials::Challenge::Basic, Visit::Anonymous).await;
    assert_eq!(basic.map(|_| ()), Err(Error::NotFound { registry: server.authority() }));
}

/// The two have a login each, and the scope names neither: it is the registry's word.
#[tokio::test]
async fn each_part_of_a_registry_has_its_own_token() {
    let server = registry();
    let network = network(&server.authority());
    let here = server.authority();
    let json = format!(
        r#"{{"auths":{{"{here}/team":{},"{here}/other":{},"{here}":{}}}}}"#,
        password("team"),
        password("other"),
        password("all")
    );
    let credentials = super::with_documents(&network, vec![document(&json)]).named(&[here]);
    let challenge = bearer(&server, &["repository:elsewhere/app:pull"]);
    for (repository, requests) in
        [(Some("team/app"), 1), (Some("team/b"), 1), (Some("other/app"), 2), (Some("elsewhere/app"), 3), (None, 3)]
    {
        credentials.authorize(&server.origin(), repository, &challenge, Visit::WithLogin).await.expect("a grant");
        assert_eq!(tokens(&server).len(), requests, "{repository:?}");
    }
    let sent: Vec<_> = tokens(&server).iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect();
    let login = |user| Some(format!("Basic {}", auth(user, CANARY)));
    assert_eq!(sent, [login("team"), login("other"), login("all")]);
}

#[tokio::test]
async fn a_login_for_a_part_of_a_registry_is_used_for_basic_too() {
    let server = registry();
    let network = network(&server.authority());
    let here = server.authority();
    let json = format!(r#"{{"auths":{{"{here}/team":{}}}}}"#, password("team"));
    let credentials = super::with_documents(&network, vec![document(&json)]).named(&[here]);
    let basic = &wharf::credentials::Challenge::Basic;
    for (repository, expected) in [(Some("team/app"), true), (Some("teams/app"), false), (None, false)] {
        let outcome = credentials.authorize(&server.origin(), repository, basic, Visit::WithLogin).await;
        assert_eq!(outcome.is_ok(), expected, "{repository:?}");
    }
}

/// A login that is about to be stored is tried first: it wins, and leaves no token behind for others.
#[tokio::test]
async fn a_login_that_was_added_wins_for_its_registry() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let stored = credentials(&network, &origin, Some(&password("ann")));
    let login = Login::new("eve".to_owned(), Zeroizing::new("other".to_owned())).expect("a login");
    let challenge = bearer(&server, &[]);
    for (registry, token) in [
        (server.authority(), "Bearer token-1"),
        (format!("localhost:{}", server.port()), "Bearer token-2"),
        (server.authority(), "Bearer token-3"),
    ] {
        let added = stored.with_login(&registry, &login).expect("an authority");
        let grant = added.authorize(&origin, Some("a/b"), &challenge, Visit::WithLogin).await.expect("a grant");
        assert_eq!(presented(&network, &server, &grant).await, token, "{registry}");
    }
    let eve = Some(format!("Basic {}", auth("eve", "other")));
    let ann = Some(format!("Basic {}", auth("ann", CANARY)));
    let sent: Vec<_> = tokens(&server).iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [eve.clone(), ann, eve]);
    for registry in ["https://registry.lan", "registry.lan/team", ""] {
        let why = format!("`{registry}` is not a host with a port");
        assert_eq!(stored.with_login(registry, &login).map(|_| ()), Err(Error::Settings { why }));
    }
}

#[test]
fn a_login_that_nobody_can_send_is_none() {
    for (user, password, why) in [
        ("", "a", "a login needs a user name"),
        ("ann", "", "a login needs a password"),
        ("a:b", "a", "a user name cannot have a colon"),
        ("a\nb", "a", "a user name cannot have control characters"),
    ] {
        let outcome = Login::new(user.to_owned(), Zeroizing::new(password.to_owned())).map(|_| ());
        assert_eq!(outcome, Err(Error::Settings { why: why.to_owned() }));
    }
    let login = Login::new("ann".to_owned(), Zeroizing::new(CANARY.to_owned())).expect("a login");
    assert_eq!(format!("{login:?}"), "Login { user: \"ann\", .. }");
}

/// The headers of an answer, how often it is given, and how many requests there are.
#[tokio::test]
async fn a_server_that_says_when_is_asked_again_then() {
    for (status, after, refusals, requests, expected) in [
        (429, Some("0"), 1, 2, Ok(())),
        (503, Some("0"), 2, 3, Ok(())),
        (429, Some("0"), 9, 3, Err("it answered 429, and asks to wait 0 s")),
        (429, Some("31"), 1, 1, Err("it answered 429, and asks to wait 31 s")),
        (429, Some("99999999999999999999999"), 1, 1, Err("it answered 429")),
        (429, Some("-1"), 1, 1, Err("it answered 429")),
        (429, Some("soon"), 1, 1, Err("it answered 429")),
        (429, None, 1, 1, Err("it answered 429")),
        (500, Some("0"), 1, 1, Err("it answered 500")),
    ] {
        let count = AtomicUsize::new(0);
        let server = Listener::start(move |_| {
            let headers: Vec<_> = after.map(|after| ("retry-after", after)).into_iter().collect();
            match count.fetch_add(1, Ordering::SeqCst) < refusals {
                true => answer(status, &headers, ""),
                false => answer(200, &[], r#"{"token":"a"}"#),
            }
        });
        let (network, origin) = (network(&server.authority()), server.origin());
        let credentials = Credentials::new(Settings::default(), network).expect("the settings are good");
        let outcome = credentials.authorize(&origin, None, &bearer(&server, &[]), Visit::WithLogin).await.map(|_| ());
        let expected = expected.map_err(|why| Error::Unavailable {
            server: server.authority(),
            status: Some(status),
            why: why.to_owned(),
        });
        assert_eq!((outcome, server.requests().len()), (expected, requests), "{status} {after:?}");
    }
}
