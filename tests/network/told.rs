//! What a person reads in the error of a pull when the network says no: the reason, and what to do about it.

use super::Names;
use super::authority::{Authority, Certified, Validity};
use super::listener::{Listener, answer};
use crate::support::services;
use rustls::version::TLS13;
use tokio_util::sync::CancellationToken;
use wharf::credentials::{self, Credentials};
use wharf::engine::Services;
use wharf::images::{Access, Caller, Failure, Problem, PullOptions, Wanted, Wharf};
use wharf::network::{Network, Origin, Proxies, Settings, Site};

/// Pulls from `https://registry.lan` at `server` and returns the problem.
async fn pull(server: &Listener, settings: impl FnOnce(Site) -> Settings) -> Problem {
    let (_directory, services) = services();
    let authority = format!("registry.lan:{}", server.port());
    let site = Site::new(Origin::new(true, &authority).expect("an authority"));
    let names = Names::settings(&[("registry.lan", &["127.0.0.1"])], &[]);
    let network = Network::new(Settings { resolver: names.resolver, ..settings(site) }).expect("the settings are good");
    let credentials = Credentials::new(credentials::Settings::default(), network.clone()).expect("there are none");
    let wharf = Wharf::new(Services { network, credentials, ..services }).expect("the component is loaded");
    let access =
        Access { plain_http: Vec::new(), rules: Vec::new(), aliases: Vec::new(), retries: 0, silence_ms: 60_000 };
    let wanted = Wanted::Machine;
    let options =
        PullOptions { wanted, all_tags: false, concurrent_downloads: 1, unpack: false, retention: None, access };
    let caller = Caller { namespace: "default".to_owned(), machine: wharf::machine::machine("") };
    let reference = format!("{authority}/app:1");
    match wharf.pull(&caller, &reference, &options, &CancellationToken::new(), &mut |_| {}).await {
        Err(Failure::Problem(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

fn says(problem: &Problem, why: &str, fix: Option<&str>) {
    assert!(problem.why.iter().any(|line| line.contains(why)), "{problem:?}, and not {why}");
    assert!(
        fix.is_none_or(|fix| problem.fix.as_deref().is_some_and(|said| said.contains(fix))),
        "{problem:?}, and not {fix:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_says_what_is_wrong_with_a_certificate_and_what_to_do() {
    let (ours, stranger) = (Authority::new("ours"), Authority::new("stranger"));
    for (shown, why, fix) in [
        (
            ours.sign(&["registry.lan"], Validity::Over),
            "is not acceptable: it expired at 2001-01-01T00:00:00Z",
            "have the certificate renewed, and check the clock of this machine",
        ),
        (
            ours.sign(&["other.lan"], Validity::Now),
            "is not acceptable: it is for `other.lan`, and not for `registry.lan`",
            "use a name that the certificate is for",
        ),
        (
            stranger.sign(&["registry.lan"], Validity::Now),
            "is not acceptable: it is signed by an authority that is not trusted here",
            "to `ca` in the `hosts.toml` of `registry.lan:",
        ),
        (
            Certified::by_itself(&["registry.lan"], true),
            "is not acceptable: it is self-signed, and not one that is trusted here",
            "or to the certificates of the system",
        ),
    ] {
        let server = Listener::start_tls(shown.server(), |_| answer(200, &[], ""));
        let site = |site| Settings { sites: vec![Site { authorities: ours.pem(), ..site }], ..Settings::default() };
        says(&pull(&server, site).await, why, Some(fix));
        assert!(server.requests().is_empty());
    }

    let known = ours.sign(&["registry.lan"], Validity::Now).server_for(&ours, &[&TLS13]);
    let server = Listener::start_tls(known, |_| answer(200, &[], ""));
    let site = |site| Settings { sites: vec![Site { authorities: ours.pem(), ..site }], ..Settings::default() };
    let problem = pull(&server, site).await;
    // The server's alert and its end of the connection race with the request. Who sees the end alone cannot know.
    says(&problem, "demands a certificate of the client", None);
    if problem.why.iter().any(|line| line.contains("wants to know who the client is")) {
        says(&problem, "demands a certificate of the client", Some("as `client` in the `hosts.toml`"));
    }

    let site = |site| Settings { sites: vec![Site { authorities: b"none".to_vec(), ..site }], ..Settings::default() };
    says(&pull(&server, site).await, "what is configured for it cannot be used", None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_blames_the_proxy_by_name() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let proxies = Proxies { all: Some(format!("http://ann:hunter2@{closed}")), ..Proxies::default() };
    let server = Listener::start(|_| answer(200, &[], ""));
    let problem = pull(&server, |_| Settings { proxies, ..Settings::default() }).await;
    says(&problem, &format!("the proxy `{closed}` refuses connections"), None);
    assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
}
