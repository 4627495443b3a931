//! Which login is used, for which registry, and for which one none is.

use super::{auth, bearer, credentials, document, password, presented, registry, tokens, with_documents};
use crate::network::listener::Listener;
use crate::network::network;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wharf::credentials::{Challenge, Document, Error, Visit};
use wharf::network::Origin;

/// Registries that the user is logged in to, and that he did not ask for: the component may have been told of them by
/// the one that he did ask for.
#[tokio::test]
async fn a_login_is_used_for_the_registry_that_was_named_and_for_no_other() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let json = format!(r#"{{"auths":{{"{}":{}}}}}"#, server.authority(), password("ann"));
    let credentials = with_documents(&network, vec![document(&json)]);
    let challenge = bearer(&server, &["repository:a/b:pull"]);
    let elsewhere = format!("127.0.0.1:{}", server.port().wrapping_add(1));
    for (named, used) in [
        (Some(server.authority()), true),
        (Some(format!("0x7f.1:{}", server.port())), true),
        (Some(elsewhere), false),
        (Some("127.0.0.1".to_owned()), false),
        (Some(format!("localhost:{}", server.port())), false),
        (Some("registry-1.docker.io".to_owned()), false),
        (Some("not an authority".to_owned()), false),
        (None, false),
    ] {
        let credentials = named.as_deref().map_or(credentials.clone(), |named| credentials.named(&[named.to_owned()]));
        let basic = credentials
            .authorize(&origin, None, &Challenge::Basic, Visit::WithLogin)
            .await
            .map(|grant| grant.anonymous());
        let why = format!("`{origin}` wants a login, and was not asked for by name");
        assert_eq!(basic, if used { Ok(false) } else { Err(Error::Denied { why }) }, "{named:?}");
        let grant = credentials
            .authorize(&origin, None, &challenge, Visit::WithLogin)
            .await
            .expect("a token server gives tokens to anybody");
        assert_eq!(grant.anonymous(), !used, "{named:?}");
        // The token of one who has named the registry is not the token of one who has not.
        let token = if used { "Bearer token-1" } else { "Bearer token-2" };
        assert_eq!(presented(&network, &server, &grant).await, token, "{named:?}");
    }
    let logins: Vec<_> = tokens(&server).iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect();
    assert_eq!(logins, [Some(format!("Basic {}", auth("ann", super::CANARY))), None]);
}

/// A document that cannot be read, or a helper, is no business of a registry that nobody asked for.
#[tokio::test]
async fn no_login_is_looked_for_if_the_registry_was_not_named() {
    let server = registry();
    let network = network(&server.authority());
    for json in [format!(r#"{{"credHelpers":{{"{}":"gcr"}}}}"#, server.authority()), "{".to_owned()] {
        let credentials = with_documents(&network, vec![document(&json)]).named(&["registry.example".to_owned()]);
        let grant = credentials
            .authorize(&server.origin(), None, &bearer(&server, &[]), Visit::WithLogin)
            .await
            .expect("a grant");
        assert!(grant.anonymous(), "{json}");
    }
}

/// Authorizes a pull of `repository` and returns the user whose login went to the token server.
async fn user(documents: Vec<Document>, repository: &str, server: &Listener) -> Result<Option<String>, Error> {
    let network = network(&server.authority());
    let scope = format!("repository:{repository}:pull");
    let credentials = with_documents(&network, documents).named(&[server.authority()]);
    let outcome =
        credentials.authorize(&server.origin(), Some(repository), &bearer(server, &[&scope]), Visit::WithLogin).await;
    outcome.map(|_| {
        let asked = tokens(server).pop().expect("a token request");
        let login = asked.header("authorization")?.strip_prefix("Basic ")?.to_owned();
        let login = String::from_utf8(STANDARD.decode(login).expect("base64")).expect("text");
        Some(login.split_once(':').expect("a login").0.to_owned())
    })
}

#[tokio::test]
async fn the_most_specific_login_is_used() {
    let server = registry();
    let here = server.authority();
    for (keys, repository, expected) in [
        (&["{here}"][..], "team/app", Some("0")),
        (&["http://{here}"], "team/app", Some("0")),
        (&["https://{here}/v1/"], "team/app", Some("0")),
        (&["http://{here}/v2/"], "team/app", Some("0")),
        (&["{here}/v1/"], "team/app", Some("0")),
        (&["{here}/"], "team/app", Some("0")),
        (&["{here}", "{here}/team", "{here}/team/app"], "team/app", Some("2")),
        (&["{here}", "{here}/team", "{here}/team/app"], "team/other", Some("1")),
        (&["{here}", "{here}/team", "{here}/team/app"], "team/app/deep", Some("2")),
        (&["{here}", "{here}/team"], "teams/app", Some("0")),
        (&["{here}/team"], "other/app", None),
        (&["127.0.0.1"], "team/app", None),
        (&["127.0.0.1:1"], "team/app", None),
        (&["127.0.0.2"], "team/app", None),
        (&["{here}.evil", "evil.{here}", "@{here}", "", "/", "https://"], "team/app", None),
        (&["https://index.docker.io/v1/", "docker.io"], "team/app", None),
    ] {
        let entries: Vec<_> = keys
            .iter()
            .enumerate()
            .map(|(number, key)| format!(r#""{}":{}"#, key.replace("{here}", &here), password(&number.to_string())))
            .collect();
        let json = format!(r#"{{"auths":{{{}}}}}"#, entries.join(","));
        let seen = user(vec![document(&json)], repository, &server).await;
        assert_eq!(seen, Ok(expected.map(str::to_owned)), "{keys:?} {repository}");
    }
}

#[tokio::test]
async fn docker_hub_has_one_login_under_several_names() {
    let network = network("registry-1.docker.io");
    for key in
        ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io", "http://docker.io"]
    {
        let documents = vec![document(&format!(r#"{{"auths":{{"{key}":{}}}}}"#, password("ann")))];
        let credentials = with_documents(&network, documents);
        for authority in ["registry-1.docker.io", "registry-1.docker.io:443", "index.docker.io"] {
            let origin = Origin::new(true, authority).expect("an authority");
            assert!(
                credentials
                    .named(&[authority.to_owned()])
                    .authorize(&origin, None, &Challenge::Basic, Visit::WithLogin)
                    .await
                    .is_ok(),
                "{key} {authority}"
            );
        }
        for (secure, authority) in
            [(true, "registry-1.docker.io:8443"), (false, "docker.io:5000"), (true, "x.docker.io")]
        {
            let origin = Origin::new(secure, authority).expect("an authority");
            let outcome = credentials
                .named(&[authority.to_owned()])
                .authorize(&origin, None, &Challenge::Basic, Visit::WithLogin)
                .await
                .map(|_| ());
            assert_eq!(outcome, Err(Error::NotFound { registry: origin.authority() }), "{key} {authority}");
        }
    }
}

#[tokio::test]
async fn an_entry_is_read_in_all_its_forms() {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let broken = |why: &str| Error::Document {
        file: "config.json".to_owned(),
        why: format!("the entry `{}`: {why}", server.authority()),
    };
    let not_found = || Error::NotFound { registry: server.authority() };
    for (entry, expected) in [
        (r#"{"auth":"YW5uOmh1bnRlcjI="}"#, Ok("ann:hunter2")),
        (r#"{"auth":"YW5uOmh1bnRlcjI"}"#, Ok("ann:hunter2")),
        (r#"{"username":"ann","password":"hunter2"}"#, Ok("ann:hunter2")),
        (r#"{"auth":"YW5uOmh1bnRlcjI=","username":"eve","password":"other"}"#, Ok("ann:hunter2")),
        (r#"{"auth":"YW5uOmh1bnRlcjI=","email":"ann@example.com","unknown":{"a":[1]}}"#, Ok("ann:hunter2")),
        (r#"{"auth":"","username":"ann"}"#, Err(not_found())),
        ("{}", Err(not_found())),
        ("null", Err(not_found())),
        (r#"{"identitytoken":"hunter2"}"#, Err(not_found())),
        (r#"{"auth":"hunter2"}"#, Err(broken("`auth` is not base64 of `user:password`"))),
        (r#"{"auth":"!hunter2!"}"#, Err(broken("`auth` is not base64 of `user:password`"))),
    ] {
        match credentials(&network, &origin, Some(entry))
            .authorize(&origin, None, &Challenge::Basic, Visit::WithLogin)
            .await
        {
            Ok(grant) => {
                let arrived = presented(&network, &server, &grant).await;
                let login = STANDARD.decode(arrived.strip_prefix("Basic ").expect("a login")).expect("base64");
                assert_eq!(Ok(&*String::from_utf8_lossy(&login)), expected.as_ref().copied(), "{entry}");
            }
            Err(error) => assert_eq!(Err(error), expected, "{entry}"),
        }
    }
}

#[tokio::test]
async fn the_first_document_with_a_login_decides() {
    let server = registry();
    let here = server.authority();
    let with = |user: &str| document(&format!(r#"{{"auths":{{"{here}":{}}}}}"#, password(user)));
    let without = || document(r#"{"auths":{}}"#);
    let broken = || Document { label: "auth.json".to_owned(), bytes: br#"{"auths": "hunter2"}"#.to_vec() };
    let unreadable =
        Error::Document { file: "auth.json".to_owned(), why: "an unexpected value at line 1, column 19".to_owned() };
    assert_eq!(user(vec![with("ann"), with("eve")], "a/b", &server).await, Ok(Some("ann".to_owned())));
    assert_eq!(user(vec![without(), with("eve")], "a/b", &server).await, Ok(Some("eve".to_owned())));
    assert_eq!(user(vec![with("ann"), broken()], "a/b", &server).await, Ok(Some("ann".to_owned())));
    assert_eq!(user(vec![without(), broken(), with("eve")], "a/b", &server).await, Err(unreadable));
}
