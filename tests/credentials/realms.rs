//! To which token servers the wish for a token goes, with a login and without.

use super::{CANARY, auth, credentials, document, password, presented, registry};
use crate::network::listener::{Listener, answer};
use crate::network::{certificate, network, network_with};
use wharf::credentials::{Bearer, Challenge, Credentials, Error, Settings, Visit};
use wharf::network::{self, Origin};

#[tokio::test]
async fn a_realm_that_belongs_to_another_gets_no_login() {
    let (tls, pem) = certificate(&["127.0.0.1", "localhost"]);
    let attacker = Listener::start_tls(tls, |_| answer(200, &[], r#"{"token":"theirs"}"#));
    let server = registry();
    let settings = network::Settings { certificates: pem, ..network::Settings::default() };
    let network = network_with(settings, "127.0.0.1");
    network.allow("localhost").expect("a host");
    let origin = server.origin();
    let realm = format!("https://localhost:{}/token", attacker.port());
    let challenge = Challenge::Bearer(Bearer { realm, service: None, scopes: Vec::new() });
    let outcome = credentials(&network, &origin, Some(&password("ann")))
        .authorize(&origin, None, &challenge, Visit::WithLogin)
        .await;
    let (here, there) = (server.authority(), attacker.port());
    let why = format!(
        "`{origin}` names `https://localhost:{there}` as its token server, on another host, where the login for \
         `{here}` is not sent; if the one belongs to the other, say so with `--token-server {here}=localhost:{there}`; \
         what is public can be pulled after `wharf logout {here}`"
    );
    assert_eq!(outcome.map(|_| ()), Err(Error::Denied { why }));
    assert_eq!(attacker.connections(), 0);

    // A user who knows better may say so.
    let login = document(&format!(r#"{{"auths":{{"127.0.0.1:{}":{}}}}}"#, attacker.port(), password("ann")));
    let registry = attacker.origin();
    let token_server = format!("localhost:{}", attacker.port());
    let settings = Settings {
        documents: vec![login],
        realms: vec![(registry.authority(), token_server.clone())],
        ..Settings::default()
    };
    let credentials =
        Credentials::new(settings, network).expect("the settings are good").named(&[registry.authority()]);
    let realm = format!("https://{token_server}/token");
    let challenge = Challenge::Bearer(Bearer { realm, service: None, scopes: Vec::new() });
    assert!(!credentials.authorize(&registry, None, &challenge, Visit::WithLogin).await.expect("a grant").anonymous());
    assert_eq!(attacker.requests()[0].header("authorization"), Some(&*format!("Basic {}", auth("ann", CANARY))));
}

/// Many registries have their token server on another host. Without a login there is no secret that could go astray.
#[tokio::test]
async fn a_realm_on_another_host_is_asked_without_a_login() {
    let (tls, pem) = certificate(&["127.0.0.1", "localhost"]);
    let secure = Listener::start_tls(tls, |_| answer(200, &[], r#"{"token":"theirs"}"#));
    let plain = Listener::start(|_| answer(200, &[], r#"{"token":"theirs"}"#));
    let server = registry();
    let settings = network::Settings { certificates: pem, ..network::Settings::default() };
    let network = network_with(settings, "127.0.0.1");
    let origin = server.origin();
    let credentials = credentials(&network, &origin, None);
    for (realm, expected) in [
        (format!("https://localhost:{}/token", secure.port()), Ok(())),
        (
            format!("http://localhost:{}/token", plain.port()),
            Err(format!(
                "`{origin}` names `http://localhost:{}` as its token server, which is not reached by TLS",
                plain.port()
            )),
        ),
        (
            "https://169.254.169.254/token".to_owned(),
            Err("the token server `169.254.169.254`: 169.254.169.254 is a link-local address".to_owned()),
        ),
        (
            "https://10.0.0.1/token".to_owned(),
            Err("the token server `10.0.0.1`: 10.0.0.1 is a private address, and was not asked for".to_owned()),
        ),
    ] {
        let challenge = Challenge::Bearer(Bearer { realm, service: None, scopes: Vec::new() });
        match credentials.authorize(&origin, None, &challenge, Visit::WithLogin).await {
            Ok(grant) => {
                assert_eq!(expected, Ok(()));
                assert!(grant.anonymous());
                assert_eq!(presented(&network, &server, &grant).await, "Bearer theirs");
            }
            Err(error) => assert_eq!(Err(error), expected.map_err(|why| Error::Denied { why })),
        }
    }
    assert_eq!((secure.requests().len(), plain.connections()), (1, 0));
    assert_eq!(secure.requests()[0].header("authorization"), None);
}

#[test]
fn a_token_server_that_is_no_host_is_refused() {
    let realms = vec![("registry.example".to_owned(), "https://login.example/token".to_owned())];
    let outcome = Credentials::new(Settings { realms, ..Settings::default() }, network("registry.example"));
    let why = "a token server of a registry: `https://login.example/token` is not a host with a port";
    assert_eq!(outcome.map(|_| ()), Err(Error::Settings { why: why.to_owned() }));
}

/// What the realm rule lets pass without a login, the network refuses by its address. The proxy is there so that what
/// is not refused goes nowhere.
#[tokio::test]
async fn a_realm_at_an_address_that_nobody_asked_for_is_refused() {
    let text = include_str!("../data/vectors/registry_client.json");
    let document: serde_json::Value = serde_json::from_str(text).expect("the tables are JSON");
    let rows = document["vectors"]["realm_url_unspecified_addr"].as_array().expect("the table is there");
    let proxy = Listener::start(|_| answer(403, &[], ""));
    let registry = Origin::new(true, "registry.lan").expect("an authority");
    let proxies = network::Proxies { https: Some(proxy.authority()), ..network::Proxies::default() };
    let network = network_with(network::Settings { proxies, ..network::Settings::default() }, "registry.lan");
    let credentials = credentials(&network, &registry, None);
    for row in rows {
        let realm = row["realm"].as_str().expect("a row has a realm").to_owned();
        let challenge = Challenge::Bearer(Bearer { realm: realm.clone(), service: None, scopes: Vec::new() });
        let outcome = credentials.authorize(&registry, None, &challenge, Visit::WithLogin).await.map(|_| ());
        let denied = matches!(outcome, Err(Error::Denied { .. }));
        assert_eq!(denied, row["wantErr"] == true, "{realm}: {outcome:?}");
    }
    let asked: Vec<_> = proxy.requests().iter().map(|request| request.line.clone()).collect();
    assert_eq!(asked, ["CONNECT 8.8.8.8:443 HTTP/1.1", "CONNECT registry.example.com:443 HTTP/1.1"]);
    assert_eq!(rows.len(), 8);
}
