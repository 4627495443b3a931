//! What people configure: certificates in `hosts.toml`, and logins that wharf keeps itself.

use super::{json, wharf};
use crate::canaries::{Listener, content};
use crate::network::authority::{Authority, Certified, Validity};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::wharf::Wharf;
use crate::support::{PASSWORD, USER, basic};
use std::fs;
use wharf::demo::image::demo;

/// A registry on loopback that speaks TLS.
fn by_tls(tls: rustls::ServerConfig) -> Listener {
    let listener = Listener::bind("127.0.0.1", Some(tls));
    let image = demo();
    listener.behave(Box::new(move |request| Some(content(&image, request))));
    listener
}

/// Writes `hosts.toml` for a registry, and files beside it. It is reached by TLS then, although it is on loopback.
fn configure(wharf: &Wharf, registry: &str, lines: &str, files: &[(&str, Vec<u8>)]) {
    let directory = wharf.home().join(".config/wharf/certs.d").join(registry);
    fs::create_dir_all(&directory).expect("the home can be written");
    for (name, bytes) in files {
        fs::write(directory.join(name), bytes).expect("the home can be written");
    }
    let text = format!("server = \"https://{registry}\"\n{lines}\n");
    fs::write(directory.join("hosts.toml"), text).expect("the home can be written");
}

fn pull(wharf: &Wharf, registry: &str) -> crate::support::wharf::Output {
    wharf.run(&["pull", "-q", "--retries", "0", &format!("{registry}/team/demo")])
}

#[test]
fn an_authority_in_hosts_toml_is_trusted_for_its_registry() {
    let authority = Authority::new("harbour");
    let registry = by_tls(authority.server(&["127.0.0.1", "localhost"]));
    let name = registry.address().to_string();
    let (_directory, wharf) = wharf();
    configure(&wharf, &name, "ca = \"ca.pem\"", &[("ca.pem", authority.pem())]);
    assert_eq!(pull(&wharf, &name).success(), format!("{name}/team/demo:latest\n"));

    // It is the same server, and another origin.
    let other = format!("localhost:{}", registry.address().port());
    configure(&wharf, &other, "", &[]);
    check_refusal(&wharf, &other, &["certificate"]);
}

/// The pull fails, with the name of the endpoint and these words.
#[track_caller]
fn check_refusal(wharf: &Wharf, registry: &str, words: &[&str]) {
    let output = pull(wharf, registry);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
    let error = output.failure();
    assert!(error.contains(&format!("error: cannot pull `{registry}/team/demo:latest`")), "{error}");
    let told = error.lines().any(|line| line.contains("because:") && line.contains(registry));
    assert!(told, "the endpoint is not named:\n{error}");
    for word in words {
        assert!(error.to_lowercase().contains(word), "`{word}` is not told:\n{error}");
    }
}

#[test]
fn a_certificate_that_is_not_good_is_told_with_what_is_wrong_with_it() {
    let (authority, stranger) = (Authority::new("harbour"), Authority::new("stranger"));
    let rows = [
        (authority.sign(&["other.test"], Validity::Now), "other.test"),
        (authority.sign(&["127.0.0.1"], Validity::Over), "expired"),
        (authority.sign(&["127.0.0.1"], Validity::NotYet), "valid"),
        (stranger.sign(&["127.0.0.1"], Validity::Now), "certificate"),
        (Certified::by_itself(&["127.0.0.1"], false), "certificate"),
    ];
    for (certified, word) in rows {
        let registry = by_tls(certified.server());
        let name = registry.address().to_string();
        let (_directory, wharf) = wharf();
        configure(&wharf, &name, "ca = \"ca.pem\"", &[("ca.pem", authority.pem())]);
        check_refusal(&wharf, &name, &["certificate", word]);
        assert!(registry.requests().is_empty(), "nothing was said to it");
        assert_eq!(wharf.run(&["images", "-q"]).success(), "", "nothing is here");
    }
}

#[test]
fn verification_can_be_left_out_for_one_registry() {
    let registries = [(); 2].map(|()| by_tls(Certified::by_itself(&["127.0.0.1"], false).server()));
    let [one, other] = registries.each_ref().map(|registry| registry.address().to_string());
    let (_directory, wharf) = wharf();
    configure(&wharf, &one, "skip_verify = true", &[]);
    configure(&wharf, &other, "", &[]);
    check_refusal(&wharf, &other, &["certificate"]);
    pull(&wharf, &one).success();
}

#[test]
fn a_registry_that_wants_to_know_its_clients_is_shown_the_certificate() {
    let (authority, clients) = (Authority::new("harbour"), Authority::new("crew"));
    let tls = authority.sign(&["127.0.0.1"], Validity::Now).server_for(&clients, rustls::DEFAULT_VERSIONS);
    let registry = by_tls(tls);
    let name = registry.address().to_string();
    let (_directory, wharf) = wharf();
    let ca = ("ca.pem", authority.pem());
    configure(&wharf, &name, "ca = \"ca.pem\"", std::slice::from_ref(&ca));
    check_refusal(&wharf, &name, &["certificate"]);

    let identity = clients.sign(&["ann"], Validity::Now).identity();
    let files = [ca, ("ann.cert", identity.certificates), ("ann.key", identity.key.clone())];
    configure(&wharf, &name, "ca = \"ca.pem\"\nclient = [[\"ann.cert\", \"ann.key\"]]", &files);
    let output = wharf.run(&["--log", "trace", "pull", "-q", &format!("{name}/team/demo")]);
    let key = String::from_utf8(identity.key).expect("PEM is text");
    for line in key.lines().filter(|line| !line.starts_with('-')) {
        assert!(!output.stderr.contains(line), "the key is in the log");
    }
    output.success();
}

/// Runs `wharf login`, the password by standard input.
fn log_in(wharf: &Wharf, registry: &str, password: &str) -> crate::support::wharf::Output {
    wharf.run_with(&["login", "--username", USER, "--password-stdin", registry], &format!("{password}\n"))
}

#[test]
fn a_login_is_checked_kept_used_told_and_forgotten() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("team/demo", "latest", &demo());
    let name = registry.address().to_string();
    let (_directory, wharf) = wharf();
    let secrets = [PASSWORD.to_owned(), basic(USER, PASSWORD)["Basic ".len()..].to_owned()];
    let silent = |texts: &[&str]| {
        for (text, secret) in texts.iter().flat_map(|text| secrets.iter().map(move |secret| (text, secret))) {
            assert!(!text.contains(secret), "{text}");
        }
    };
    check_refusal(&wharf, &name, &["login"]);

    let wrong = log_in(&wharf, &name, "wrong").failure();
    assert!(wrong.contains(&name) && !wrong.contains("`wrong`"), "{wrong}");
    check_refusal(&wharf, &name, &["login"]);

    let output = log_in(&wharf, &name, PASSWORD);
    silent(&[&output.stdout, &output.stderr]);
    output.success();
    let output = wharf.run(&["whoami", &name]);
    silent(&[&output.stdout, &output.stderr]);
    assert!(output.success().contains(USER));
    let output = wharf.run(&["--log", "trace", "pull", "--format", "json", &format!("{name}/team/demo")]);
    silent(&[&output.stdout, &output.stderr]);
    assert_eq!(json(&output.success())[0]["name"], format!("{name}/team/demo:latest"));

    wharf.run(&["logout", &name]).success();
    let output = wharf.run(&["whoami", &name]).failure();
    assert!(!output.contains(USER), "{output}");
    let error = wharf.run(&["pull", "-q", "--platform", "linux/arm64", &format!("{name}/team/demo")]).failure();
    assert!(error.contains("login"), "{error}");
}
