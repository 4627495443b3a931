//! Proxies: what they carry, what they are told, and how they are blamed.

use super::authority::Authority;
use super::gateway::{Asked, Gateway, Manner};
use super::listener::{Listener, answer};
use super::{Names, denied, fetch, get, network_with};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use std::net::TcpListener;
use std::time::Duration;
use wharf::network::{Error, Network, Origin, Proxies, Settings, Site};

const NAMES: &[(&str, &[&str])] = &[
    ("secure.example", &["198.51.100.7"]),
    ("plain.example", &["198.51.100.8"]),
    ("metadata.example", &["169.254.169.254"]),
    ("local.example", &["127.0.0.1"]),
];

/// A login whose password is also looked for in errors.
const LOGIN: &str = "ann:hunter2";

fn everywhere(proxy: &str) -> Proxies {
    Proxies { all: Some(proxy.to_owned()), ..Proxies::default() }
}

/// Two servers: `https://secure.example` and `http://plain.example`, neither of which is where its name says.
struct Servers {
    authority: Authority,
    secure: Listener,
    plain: Listener,
}

impl Servers {
    fn start() -> Self {
        let authority = Authority::new("ours");
        let secure = Listener::start_tls(authority.server(&["secure.example"]), |_| answer(200, &[], "secure"));
        Self { authority, secure, plain: Listener::start(|_| answer(200, &[], "plain")) }
    }

    fn settings(&self, proxies: Proxies) -> Settings {
        let origin = |secure, authority| Origin::new(secure, authority).expect("an authority");
        let mut secure = Site::new(origin(true, "secure.example"));
        secure.authorities = self.authority.pem();
        secure.headers.insert("x-site", HeaderValue::from_static("canary"));
        let plain = Site::new(origin(false, "plain.example"));
        Settings { proxies, sites: vec![secure, plain], ..Names::settings(NAMES, &[]) }
    }

    fn network(&self, proxies: Proxies) -> Network {
        network_with(self.settings(proxies), "secure.example")
    }
}

#[tokio::test]
async fn every_kind_of_proxy_carries_both_schemes() {
    let servers = Servers::start();
    let basic = format!("Basic {}", STANDARD.encode(LOGIN));
    let raw = LOGIN.to_owned();
    for (scheme, secure, plain, login) in [
        ("http", ("CONNECT", "secure.example:443"), ("GET", "http://plain.example/v2/"), &basic),
        ("socks5h", ("SOCKS5", "secure.example:443"), ("SOCKS5", "plain.example:80"), &raw),
        ("socks5", ("SOCKS5", "198.51.100.7:443"), ("SOCKS5", "198.51.100.8:80"), &raw),
    ] {
        for login in [None, Some(login)] {
            let user = if login.is_some() { format!("{LOGIN}@") } else { String::new() };
            let by_tls = Gateway::start(Manner::Lets, &servers.secure.authority());
            let network = servers.network(everywhere(&format!("{scheme}://{user}{}", by_tls.authority())));
            let outcome = fetch(&network, get("https://secure.example/v2/")).await;
            assert_eq!(outcome, Ok((200, "secure".to_owned())), "{scheme}");

            let forwarding = Gateway::start(Manner::Lets, &servers.plain.authority());
            let network = servers.network(everywhere(&format!("{scheme}://{user}{}", forwarding.authority())));
            let outcome = fetch(&network, get("http://plain.example/v2/")).await;
            assert_eq!(outcome, Ok((200, "plain".to_owned())), "{scheme}");

            for (gateway, (how, target)) in [(&by_tls, secure), (&forwarding, plain)] {
                let [asked] = &gateway.asked()[..] else { panic!("{scheme}: {:?}", gateway.asked()) };
                assert_eq!((asked.how.as_str(), asked.target.as_str()), (how, target), "{scheme}");
                assert_eq!(asked.login.as_ref(), login, "{scheme}");
            }
            // What is for the server is not for the proxy.
            let [Asked { headers, .. }] = &by_tls.asked()[..] else { panic!("{scheme}") };
            assert!(!headers.iter().any(|name| ["x-site", "authorization"].contains(&name.as_str())), "{headers:?}");
        }
    }
    // And what is for the proxy is not for the server.
    let (secure, plain) = (servers.secure.requests(), servers.plain.requests());
    assert_eq!((secure.len(), plain.len()), (6, 6));
    for request in secure.iter().chain(&plain) {
        assert_eq!(request.header("proxy-authorization"), None);
        assert!(!format!("{request:?}").contains("hunter2"));
    }
    assert!(secure.iter().all(|request| request.header("x-site") == Some("canary")));
}

#[tokio::test]
async fn what_is_excepted_is_reached_directly_and_without_the_login() {
    let server = Listener::start(|_| answer(200, &[], "direct"));
    let gateway = Gateway::start(Manner::Lets, &server.authority());
    for (except, host, direct) in [
        ("local.example", "local.example", true),
        (".example", "local.example", true),
        ("other.example,local.example", "local.example", true),
        ("*", "local.example", true),
        ("127.0.0.0/8", "local.example", false),
        ("cal.example", "local.example", false),
        ("", "local.example", false),
        ("", "127.0.0.1", true),
        ("", "localhost", true),
    ] {
        let proxies =
            Proxies { except: Some(except.to_owned()), ..everywhere(&format!("{LOGIN}@{}", gateway.authority())) };
        let names: &[(&'static str, &[&str])] = &[("local.example", &["127.0.0.1"]), ("localhost", &["127.0.0.1"])];
        let settings = Settings { proxies, ..Names::settings(names, &["local.example"]) };
        let network = network_with(settings, "127.0.0.1");
        let before = (gateway.asked().len(), server.requests().len());
        let outcome = fetch(&network, get(&format!("http://{host}:{}/", server.port()))).await;
        assert_eq!(outcome, Ok((200, "direct".to_owned())), "{except} {host}");
        let asked = gateway.asked().len() - before.0;
        assert_eq!((asked, server.requests().len() - before.1), (usize::from(!direct), 1), "{except} {host}");
    }
    assert!(server.requests().iter().all(|request| request.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn a_proxy_that_fails_is_named_without_its_password() {
    let servers = Servers::start();
    // Of an address that no other test has: a port of the usual one could be somebody else's by now.
    let closed = TcpListener::bind("127.0.0.77:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let login = "asks for a login, or for another one";
    for (manner, scheme, url, expected) in [
        (Manner::WantsLogin, "http", "https://secure.example/", login),
        (Manner::WantsLogin, "http", "http://plain.example/", login),
        (Manner::WantsLogin, "socks5h", "https://secure.example/", login),
        (Manner::Forbids, "http", "https://secure.example/", "does not let the connection through"),
        (Manner::Forbids, "socks5h", "https://secure.example/", "failed: "),
        (Manner::Forbids, "socks5h", "http://plain.example/", "failed: "),
        (Manner::Closes, "http", "https://secure.example/", "failed: "),
        (Manner::Closes, "socks5h", "https://secure.example/", "failed: "),
        (Manner::Silent, "http", "https://secure.example/", "gave no connection in time"),
        (Manner::Silent, "socks5h", "http://plain.example/", "gave no connection in time"),
    ] {
        let gateway = Gateway::start(manner, &servers.secure.authority());
        let mut settings = servers.settings(everywhere(&format!("{scheme}://{LOGIN}@{}", gateway.authority())));
        settings.sites.iter_mut().for_each(|site| site.connect_timeout = Some(Duration::from_millis(300)));
        blamed(settings, url, &gateway.authority(), expected, &format!("{manner:?} {scheme} {url}")).await;
    }
    for (proxy, name, expected) in [
        (format!("http://{LOGIN}@{closed}"), closed.to_string(), "refuses connections"),
        (format!("socks5://{LOGIN}@{closed}"), closed.to_string(), "cannot be connected to"),
        (
            format!("http://{LOGIN}@nowhere.example:3128"),
            "nowhere.example:3128".to_owned(),
            "has a name that does not resolve",
        ),
        (
            format!("http://{LOGIN}@nowhere.example"),
            "nowhere.example:80".to_owned(),
            "has a name that does not resolve",
        ),
    ] {
        for url in ["https://secure.example/", "http://plain.example/"] {
            blamed(servers.settings(everywhere(&proxy)), url, &name, expected, &format!("{proxy} {url}")).await;
        }
    }
    assert_eq!((servers.secure.connections(), servers.plain.connections()), (0, 0));
}

async fn blamed(settings: Settings, url: &str, name: &str, expected: &str, row: &str) {
    let network = network_with(settings, "secure.example");
    let error = fetch(&network, get(url)).await.expect_err(row);
    let text = format!("{error} {error:?} {network:?}");
    assert!(!text.contains("hunter2") && !text.contains("canary"), "{row}: {text}");
    match error {
        Error::Proxy { proxy, why, .. } => assert!(proxy == name && why.starts_with(expected), "{row}: {proxy} {why}"),
        other => panic!("{row}: {other:?}"),
    }
}

/// What is wrong behind the proxy is not the proxy's fault.
#[tokio::test]
async fn a_certificate_is_judged_through_a_proxy() {
    let servers = Servers::start();
    for scheme in ["http", "socks5", "socks5h"] {
        let gateway = Gateway::start(Manner::Lets, &servers.secure.authority());
        let mut settings = servers.settings(everywhere(&format!("{scheme}://{}", gateway.authority())));
        settings.sites[0].authorities = Authority::new("stranger").pem();
        let outcome = fetch(&network_with(settings, "secure.example"), get("https://secure.example/")).await;
        let named = matches!(&outcome, Err(Error::Certificate { authority, .. }) if authority == "secure.example");
        assert!(named, "{scheme}: {outcome:?}");
    }
    assert!(servers.secure.requests().is_empty());
}

/// A proxy that is itself reached by TLS is met by the pool of the site, and must not profit from it.
#[tokio::test]
async fn a_site_that_is_not_verified_does_not_excuse_its_proxy() {
    let (trusted, stranger) = (Authority::new("trusted"), Authority::new("stranger"));
    for (authority, expected) in [(&trusted, true), (&stranger, false)] {
        let proxy = Listener::start_tls(authority.server(&["127.0.0.1"]), |_| answer(200, &[], "by proxy"));
        let origin = |secure, host| Origin::new(secure, host).expect("an authority");
        let special =
            |origin| Site { skip_verify: true, connect_timeout: Some(Duration::from_secs(20)), ..Site::new(origin) };
        let settings = Settings {
            sites: vec![special(origin(true, "secure.example")), special(origin(false, "plain.example"))],
            certificates: trusted.pem(),
            proxies: everywhere(&format!("https://{}", proxy.authority())),
            ..Names::settings(NAMES, &[])
        };
        let network = network_with(settings, "secure.example");
        let plain = fetch(&network, get("http://plain.example/")).await;
        let secure = fetch(&network, get("https://secure.example/")).await;
        if expected {
            assert_eq!(plain, Ok((200, "by proxy".to_owned())));
            // It lets the tunnel through and then does not speak TLS in it.
            assert!(!matches!(secure, Err(Error::Proxy { .. })), "{secure:?}");
            assert_eq!(proxy.requests()[1].line, "CONNECT secure.example:443 HTTP/1.1");
        } else {
            for outcome in [plain, secure] {
                assert!(matches!(outcome, Err(Error::Proxy { .. })), "{outcome:?}");
            }
            assert!(proxy.requests().is_empty());
        }
    }
}

/// A proxy connects to wherever it is told, so what can be judged is judged before it is asked.
#[tokio::test]
async fn the_policy_holds_through_a_proxy() {
    let server = Listener::start(|_| answer(200, &[], "reached"));
    let gateway = Gateway::start(Manner::Lets, &server.authority());
    for scheme in ["http", "socks5", "socks5h"] {
        for url in [
            "https://169.254.169.254/",
            "https://0xa9fea9fe/",
            "https://[fd00:ec2::254]/",
            "https://[::ffff:169.254.169.254]/",
            "https://10.0.0.1/",
            "https://0.0.0.0/",
            "http://8.8.8.8/",
            "http://metadata.example/",
            "https://ann:secret@secure.example/",
        ] {
            let settings = Settings {
                proxies: everywhere(&format!("{scheme}://{}", gateway.authority())),
                ..Names::settings(NAMES, &[])
            };
            denied(fetch(&network_with(settings, "secure.example"), get(url)).await, &format!("{scheme} {url}"));
        }
    }
    assert_eq!(gateway.asked(), []);

    // A name is judged where it is resolved, and that is here for `socks5` alone.
    for (scheme, resolved_here) in [("http", false), ("socks5", true), ("socks5h", false)] {
        let names = Names::new(NAMES);
        let settings = Settings {
            proxies: everywhere(&format!("{scheme}://{}", gateway.authority())),
            plain_http: vec!["metadata.example".to_owned()],
            resolver: Some(names.clone()),
            ..Settings::default()
        };
        let before = gateway.asked().len();
        let outcome = fetch(&network_with(settings, "metadata.example"), get("http://metadata.example/")).await;
        if resolved_here {
            let refusal = denied(outcome, scheme);
            assert_eq!(refusal, "`metadata.example` resolves to 169.254.169.254, which is a link-local address");
        } else {
            assert_eq!(outcome, Ok((200, "reached".to_owned())), "{scheme}");
        }
        assert_eq!(gateway.asked().len() - before, usize::from(!resolved_here), "{scheme}");
        assert_eq!(names.questions(), usize::from(resolved_here), "{scheme}");
    }
}
