//! What configuration says about an origin, and that it says nothing about another.

use super::listener::{Listener, Request, answer};
use super::{Names, denied, fetch, get, network_with};
use http::HeaderMap;
use wharf::network::{Network, Origin, Settings, Site, empty};

const CANARY: &str = "Bearer site-canary";

fn headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
    rows.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
}

fn with_headers(origin: Origin, rows: &[(&'static str, &'static str)]) -> Site {
    Site { headers: headers(rows), ..Site::new(origin) }
}

fn values<'a>(request: &'a Request, name: &str) -> Vec<&'a str> {
    request.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn the_headers_of_a_site_are_sent_to_exactly_that_origin() {
    let other = Listener::start(|_| answer(200, &[], "other"));
    let location = format!("http://registry.lan:{}/blob", other.port());
    let server = Listener::start(move |_| answer(307, &[("location", &location)], ""));
    let names: &[(&'static str, &[&str])] = &[("registry.lan", &["127.0.0.1"]), ("other.lan", &["127.0.0.1"])];
    let origin = Origin::new(false, &format!("registry.lan:{}", server.port())).expect("an authority");
    let site = with_headers(
        origin,
        &[("authorization", CANARY), ("x-tenant", "a"), ("accept", "text/plain"), ("user-agent", "harbour/1")],
    );
    let settings = Settings { sites: vec![site], ..Names::settings(names, &["registry.lan", "other.lan"]) };
    assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
    let network = network_with(settings, "registry.lan");
    assert!(!format!("{network:?}").contains("canary"), "{network:?}");

    let request = |url: String| {
        let request = http::Request::get(url).header("accept", "application/json").header("user-agent", "guest/1");
        request.body(empty()).expect("a request")
    };
    let outcome = fetch(&network, request(format!("http://registry.lan:{}/", server.port()))).await;
    assert_eq!(outcome, Ok((307, String::new())));
    let seen = &server.requests()[0];
    assert_eq!(values(seen, "authorization"), [CANARY]);
    assert_eq!(values(seen, "x-tenant"), ["a"]);
    // What the protocol needs is not configuration's to change.
    assert_eq!(values(seen, "accept"), ["application/json"]);
    assert_eq!(values(seen, "user-agent"), ["harbour/1"]);

    // Where the redirect leads: the same host at another port. And another name of the same server.
    fetch(&network, request(format!("http://registry.lan:{}/blob", other.port()))).await.expect("an answer");
    fetch(&network, request(format!("http://other.lan:{}/", server.port()))).await.expect("an answer");
    for seen in [&other.requests()[0], &server.requests()[1]] {
        assert_eq!(values(seen, "authorization"), [""; 0]);
        assert_eq!(values(seen, "x-tenant"), [""; 0]);
        assert_eq!(values(seen, "user-agent"), ["guest/1"]);
    }
}

/// A component cannot send `authorization` where configuration does, either.
#[tokio::test]
async fn a_configured_authorization_is_not_the_components_to_replace() {
    let server = Listener::start(|_| answer(200, &[], ""));
    let site = with_headers(server.origin(), &[("authorization", CANARY)]);
    let network = network_with(Settings { sites: vec![site], ..Settings::default() }, &server.authority());
    let url = format!("http://{}/", server.authority());
    for name in ["authorization", "wharf-grant"] {
        let request = http::Request::get(&url).header(name, "forged").body(empty()).expect("a request");
        denied(fetch(&network, request).await, name);
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(fetch(&network, get(&url)).await, Ok((200, String::new())));
    assert_eq!(values(&server.requests()[0], "authorization"), [CANARY]);
}

#[tokio::test]
async fn a_site_is_asked_for_and_one_of_http_needs_no_tls() {
    let server = Listener::start(|_| answer(200, &[], "reached"));
    let names: &[(&'static str, &[&str])] = &[
        ("mirror.lan", &["127.0.0.1"]),
        ("split.lan", &["127.0.0.1 198.51.100.7"]),
        ("metadata.lan", &["169.254.169.254"]),
        ("other.lan", &["127.0.0.1"]),
    ];
    let port = server.port();
    let origin = |secure, host: &str| Origin::new(secure, &format!("{host}:{port}")).expect("an authority");
    let sites = vec![
        Site::new(origin(false, "mirror.lan")),
        Site::new(origin(false, "split.lan")),
        Site::new(origin(false, "metadata.lan")),
        Site::new(origin(true, "other.lan")),
    ];
    let settings = Settings { sites, ..Names::settings(names, &[]) };
    let network = Network::new(settings).expect("the settings are good");
    let get = |host: &str| get(&format!("http://{host}:{port}/"));
    for host in ["mirror.lan", "split.lan"] {
        assert_eq!(fetch(&network, get(host)).await, Ok((200, "reached".to_owned())), "{host}");
    }
    for (host, why) in [
        ("metadata.lan", "`metadata.lan` resolves to 169.254.169.254, which is a link-local address"),
        ("other.lan", "may only be reached by TLS"),
        // A name opens itself and nothing else.
        ("127.0.0.1", "127.0.0.1 is this machine, and was not asked for"),
    ] {
        let refusal = denied(fetch(&network, get(host)).await, host);
        assert!(refusal.contains(why), "{refusal}");
    }
}
