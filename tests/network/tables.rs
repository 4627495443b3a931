//! The tables of other registry clients about where requests may go (`tests/data/vectors/registry_client.json`).
//!
//! Public destinations are not on this machine: every request goes through a proxy of the test, which is asked for what
//! the policy lets through and for nothing else, and makes no tunnels.

use super::gateway::{Gateway, Manner};
use super::listener::{Listener, answer};
use super::{Names, get, network_with};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wharf::network::{Error, Proxies, Settings, Timeouts};

/// Rows of the tables below that say something else than wharf does, and why.
const EXCLUDED: &[(&str, &str)] = &[
    ("[::1]:", "an empty port is the scheme's own (RFC 3986 section 6.2.3), and not an error of the host"),
    ("127.0.1.1:", "an empty port is the scheme's own (RFC 3986 section 6.2.3), and not an error of the host"),
];

fn table<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vectors/registry_client.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file: serde_json::Value = serde_json::from_str(&text).expect("the file is JSON");
    serde_json::from_value(file["vectors"][name].take()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Where everything leads that is let through.
struct World {
    _server: Listener,
    gateway: Gateway,
}

impl World {
    fn new() -> Self {
        let server = Listener::start(|_| answer(200, &[], "reached"));
        Self { gateway: Gateway::start(Manner::Forbids, &server.authority()), _server: server }
    }

    /// Asks for `url` in a network whose caller named a public registry, and returns whether it was let through, or why
    /// it was not.
    async fn ask(&self, url: &str, plain_http: &[&str]) -> Result<(), String> {
        let before = self.gateway.asked().len();
        let proxy = self.gateway.authority().replace("127.0.0.1", "http://proxy.test");
        let proxies = Proxies { all: Some(proxy), ..Proxies::default() };
        let names: &[(&'static str, &[&str])] = &[("localhost", &["127.0.0.1"]), ("proxy.test", &["127.0.0.1"])];
        let settings = Settings { proxies, ..Names::settings(names, plain_http) };
        let network = network_with(settings, "registry.example.com");
        let outcome = network.send(get(url), Timeouts::default()).await.map(|response| response.status());
        let asked = self.gateway.asked().len() - before;
        match outcome {
            Err(Error::Denied { why } | Error::Invalid { why }) => {
                assert_eq!(asked, 0, "{url}: {why}");
                Err(why)
            }
            outcome => {
                assert_eq!(asked, 1, "{url}: {outcome:?}");
                Ok(())
            }
        }
    }
}

#[derive(Deserialize)]
struct Redirect {
    orig: String,
    dest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    url: String,
    insecure: bool,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Realm {
    realm: String,
    want_err: bool,
}

#[derive(Deserialize)]
struct Private {
    reg: String,
    result: bool,
}

#[derive(Deserialize)]
struct Localhost {
    host: String,
    r#match: bool,
}

#[tokio::test]
async fn redirects_and_foreign_layers_and_realms_are_judged_as_others_do() {
    let world = World::new();
    let mut rows = 0;
    for Redirect { orig, dest } in table("redirect_ssrf") {
        assert_eq!(orig, "registry.example.com");
        assert!(world.ask(&dest, &[]).await.is_err(), "{dest}");
        rows += 1;
    }
    for Layer { url, insecure, want_err } in table("foreign_layer_url") {
        // There the whole registry is insecure, here a host is.
        let plain = ["cdn.example.com"];
        if url.starts_with("file:") {
            // Not even a URL of a request: the host never sees it.
            assert!(want_err && http::Request::get(&url).body(()).is_err(), "{url}");
        } else {
            let outcome = world.ask(&url, if insecure { &plain } else { &[] }).await;
            assert_eq!(outcome.is_err(), want_err, "{url} {insecure}: {outcome:?}");
        }
        rows += 1;
    }
    for Realm { realm, want_err } in table("realm_url_unspecified_addr") {
        let outcome = world.ask(&realm, &[]).await;
        assert_eq!(outcome.is_err(), want_err, "{realm}: {outcome:?}");
        rows += 1;
    }
    assert_eq!((rows, world.gateway.asked().len()), (22, 4));
}

#[tokio::test]
async fn private_and_loopback_hosts_are_told_as_others_tell_them() {
    let world = World::new();
    let mut rows = 0;
    for Private { reg, result } in table("is_rfc1918") {
        let outcome = world.ask(&format!("https://{reg}/v2/"), &[]).await;
        let private = outcome.as_ref().is_err_and(|why| why.contains("is a private address"));
        assert_eq!(private, result, "{reg}: {outcome:?}");
        rows += 1;
    }
    // There a host of this machine is spoken to without TLS; here as well, but only if somebody asked for it.
    for Localhost { host, r#match } in table("match_localhost") {
        if EXCLUDED.iter().any(|(excluded, _)| *excluded == host) {
            continue;
        }
        rows += 1;
        let url = format!("http://{host}/v2/");
        let local = match http::Uri::try_from(&url) {
            Ok(_) => world.ask(&url, &[]).await.expect_err(&host).contains("is this machine"),
            Err(_) => false,
        };
        assert_eq!(local, r#match, "{host}");
    }
    assert_eq!((rows, EXCLUDED.len()), (17, 2));
}
