//! Where requests may go: what is public, what a person typed, and nothing that a registry chose.

use super::listener::{Listener, answer};
use super::{Names, denied, fetch, get, network_with};
use wharf::network::Settings;

#[tokio::test]
async fn destinations_outside_the_policy_are_refused() {
    for (named, url, why) in [
        ("registry.example", "http://169.254.169.254/latest/meta-data/", "may only be reached by TLS"),
        ("registry.example", "https://169.254.169.254/", "169.254.169.254 is a link-local address"),
        ("169.254.169.254", "https://169.254.169.254/", "169.254.169.254 is a link-local address"),
        ("registry.example", "https://0xa9fea9fe/", "169.254.169.254 is a link-local address"),
        ("registry.example", "https://[fe80::1]/", "fe80::1 is a link-local address"),
        ("[fd00:ec2::254]", "https://[fd00:ec2::254]/", "fd00:ec2::254 is a cloud's metadata service"),
        ("registry.example", "https://[::ffff:169.254.169.254]/", "is a link-local address"),
        ("0.0.0.0", "https://0.0.0.0/", "0.0.0.0 is an unspecified address"),
        ("[::]", "https://[::]/", ":: is an unspecified address"),
        ("224.0.0.1", "https://224.0.0.1/", "224.0.0.1 is a multicast address"),
        ("255.255.255.255", "https://255.255.255.255/", "255.255.255.255 is a reserved address"),
        ("registry.example", "http://127.0.0.1:9999/creds", "127.0.0.1 is this machine"),
        ("registry.example", "http://2130706433/", "127.0.0.1 is this machine"),
        ("registry.example", "https://[::1]/internal", "::1 is this machine"),
        ("registry.example", "https://10.0.0.1/", "10.0.0.1 is a private address"),
        ("127.0.0.1:5000", "https://192.168.1.1/", "192.168.1.1 is a private address"),
        ("registry.example", "http://cdn.example/", "`cdn.example` may only be reached by TLS"),
        ("registry.example", "http://8.8.8.8/", "`8.8.8.8` may only be reached by TLS"),
        ("registry.example", "https://ann:secret@registry.example/", "the URL for `registry.example` carries a login"),
        ("registry.example", "ftp://registry.example/", "`ftp` is not a scheme for requests"),
    ] {
        let settings = Settings { resolver: Some(Names::new(&[])), ..Settings::default() };
        let refusal = denied(fetch(&network_with(settings, named), get(url)).await, url);
        assert!(refusal.contains(why), "{url}: {refusal}");
        assert!(!refusal.contains("secret"), "{url}: {refusal}");
    }
}

#[tokio::test]
async fn a_name_leads_only_where_its_addresses_may_be_reached() {
    let server = Listener::start(|_| answer(200, &[], "reached"));
    let names: &[(&'static str, &[&str])] = &[
        ("named.lan", &["127.0.0.1"]),
        ("loop.lan", &["127.0.0.1"]),
        ("private.lan", &["192.168.1.1"]),
        ("local.lan", &["169.254.169.254"]),
        ("mixed.lan", &["169.254.169.254 127.0.0.1"]),
        ("localhost", &["8.8.8.8"]),
        ("deep.localhost", &["127.0.0.1"]),
    ];
    for (named, host, expected) in [
        ("named.lan", "named.lan", Ok(())),
        ("named.lan:1", "named.lan", Ok(())),
        // What is nobody's registry is left out of the answer.
        ("mixed.lan", "mixed.lan", Ok(())),
        ("deep.localhost", "deep.localhost", Ok(())),
        ("public.lan", "loop.lan", Err("`loop.lan` resolves to 127.0.0.1, which is this machine")),
        ("public.lan", "private.lan", Err("`private.lan` resolves to 192.168.1.1, which is a private address")),
        ("local.lan", "local.lan", Err("`local.lan` resolves to 169.254.169.254, which is a link-local address")),
        ("public.lan", "mixed.lan", Err("`mixed.lan` resolves to 127.0.0.1, which is this machine")),
        ("localhost", "localhost", Err("`localhost` resolves to 8.8.8.8, which is not this machine")),
    ] {
        let network = network_with(Names::settings(names, &[named]), named);
        let before = server.connections();
        let scheme = if expected.is_ok() { "http" } else { "https" };
        let outcome = fetch(&network, get(&format!("{scheme}://{host}:{}/", server.port()))).await;
        match expected {
            Ok(()) => assert_eq!(outcome, Ok((200, "reached".to_owned())), "{named} {host}"),
            Err(why) => {
                let refusal = denied(outcome, host);
                assert!(refusal.starts_with(why), "{refusal}");
                assert_eq!(server.connections(), before, "{named} {host}");
            }
        }
    }
}

/// A registry on this machine keeps its blobs and its tokens on other ports of this machine.
#[tokio::test]
async fn what_a_registry_points_to_may_be_local_if_a_local_address_was_typed() {
    let blobs = Listener::start(|_| answer(200, &[], "blob"));
    let names: &[(&'static str, &[&str])] = &[("blobs.lan", &["127.0.0.1"]), ("localhost", &["127.0.0.1"])];
    let literal = format!("http://{}/", blobs.authority());
    let (by_name, localhost) =
        (format!("http://blobs.lan:{}/", blobs.port()), format!("http://localhost:{}/", blobs.port()));
    for (named, plain, reached) in [
        ("127.0.0.1:5000", &[][..], &[&literal, &localhost][..]),
        ("127.9.9.9", &[], &[&literal, &localhost]),
        ("[::1]:5000", &[], &[&literal, &localhost]),
        ("localhost:5000", &[], &[&literal, &localhost]),
        ("Deep.LocalHost", &[], &[&literal, &localhost]),
        ("registry.example", &["127.0.0.1:5000"], &[&literal, &localhost]),
        ("registry.example", &["localhost"], &[&literal, &localhost]),
        ("registry.example", &["blobs.lan:5000"], &[&by_name]),
        ("127.0.0.1", &["blobs.lan:5000"], &[&literal, &localhost, &by_name]),
        ("registry.example", &[], &[]),
        ("10.0.0.1:5000", &[], &[]),
        ("8.8.8.8", &["10.0.0.1"], &[]),
        // The name of a registry that turns out to be on this machine, which is for others to decide.
        ("blobs.lan", &[], &[]),
    ] {
        let network = network_with(Names::settings(names, plain), named);
        for url in [&literal, &localhost, &by_name] {
            let outcome = fetch(&network, get(url)).await;
            if reached.contains(&url) {
                assert_eq!(outcome, Ok((200, "blob".to_owned())), "{named} {plain:?} {url}");
            } else {
                denied(outcome, &format!("{named} {plain:?} {url}"));
            }
        }
    }
}

/// Whoever runs a registry writes its zone. He gave it the addresses 198.51.100.7 and 127.0.0.1, sent a redirect to
/// `http://127.0.0.1:2375` from the first, and had it followed because of the second.
#[tokio::test]
async fn a_name_that_resolves_to_this_machine_opens_nothing_else() {
    let docker = Listener::start(|_| answer(200, &[], "containers"));
    let registry = Listener::start(|_| answer(307, &[], "reached"));
    let names: &[(&'static str, &[&str])] = &[
        ("registry.lan", &["127.0.0.1"]),
        ("evil.example", &["198.51.100.7 127.0.0.1"]),
        ("turned.example", &["127.0.0.1 198.51.100.7"]),
        ("private.example", &["2001:4860:4860::8888 10.0.0.1"]),
        ("other.lan", &["127.0.0.1"]),
        ("inner.lan", &["10.0.0.1"]),
    ];
    let plain = ["registry.lan", "evil.example", "turned.example", "private.example"];
    for (named, expected) in [
        ("registry.lan", Ok((307, "reached".to_owned()))),
        (
            "evil.example",
            Err("`evil.example` resolves to 198.51.100.7, which is public, and to 127.0.0.1, which is local"),
        ),
        (
            "turned.example",
            Err("`turned.example` resolves to 198.51.100.7, which is public, and to 127.0.0.1, which is local"),
        ),
        (
            "private.example",
            Err("`private.example` resolves to 2001:4860:4860::8888, which is public, and to 10.0.0.1, which is local"),
        ),
    ] {
        let network = network_with(Names::settings(names, &plain), named);
        let outcome = fetch(&network, get(&format!("http://{named}:{}/", registry.port()))).await;
        match expected {
            Ok(expected) => assert_eq!(outcome, Ok(expected), "{named}"),
            Err(why) => assert_eq!(denied(outcome, named), why),
        }
        for (url, why) in [
            (format!("http://{}/", docker.authority()), "127.0.0.1 is this machine, and was not asked for"),
            (format!("https://[::1]:{}/", docker.port()), "::1 is this machine, and was not asked for"),
            (
                format!("https://other.lan:{}/", docker.port()),
                "`other.lan` resolves to 127.0.0.1, which is this machine, and was not asked for",
            ),
            ("https://10.0.0.1/".to_owned(), "10.0.0.1 is a private address, and was not asked for"),
            (
                "https://inner.lan/".to_owned(),
                "`inner.lan` resolves to 10.0.0.1, which is a private address, and was not asked for",
            ),
        ] {
            assert_eq!(denied(fetch(&network, get(&url)).await, &url), why, "{named}");
        }
    }
    assert_eq!((docker.connections(), registry.connections()), (0, 1));
}

/// A name that changes its address between the check and the connection is the classic way around such a policy. Here
/// the address that is judged is the one that is connected to, and each connection asks and judges anew.
#[tokio::test]
async fn a_name_that_changes_its_address_is_judged_again() {
    let server = Listener::start(|_| answer(200, &[], "first"));
    let victim = Listener::start(|_| answer(200, &[], "victim"));
    let names: &[(&'static str, &[&str])] =
        &[("turning.lan", &["127.0.0.1", "169.254.169.254"]), ("other.lan", &["127.0.0.1"])];
    let network = network_with(Names::settings(names, &["turning.lan"]), "turning.lan");
    let first = get(&format!("http://turning.lan:{}/", server.port()));
    assert_eq!(fetch(&network, first).await, Ok((200, "first".to_owned())));
    let second = get(&format!("http://turning.lan:{}/", victim.port()));
    let refusal = denied(fetch(&network, second).await, "the second address");
    assert_eq!(refusal, "`turning.lan` resolves to 169.254.169.254, which is a link-local address");
    assert_eq!(victim.connections(), 0);
}
