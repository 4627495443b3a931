//! Registries that ask who is there.

use super::{json, wharf};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::token_server::{Policy, TokenServer};
use crate::support::wharf::Wharf;
use crate::support::{PASSWORD, USER, basic};
use serde_json::json as object;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;
use wharf::demo::image::demo;

/// Puts a login into docker's `config.json` in wharf's home.
fn log_in(wharf: &Wharf, registry: SocketAddr, password: &str) {
    let encoded = basic(USER, password);
    let encoded = encoded.strip_prefix("Basic ").expect("it is a basic login");
    let config = object!({ "auths": { registry.to_string(): { "auth": encoded } } });
    let directory = wharf.home().join(".docker");
    fs::create_dir_all(&directory).expect("the home can be written");
    fs::write(directory.join("config.json"), config.to_string()).expect("the home can be written");
}

/// No text that wharf wrote or keeps has the secret in it.
fn check_secret(wharf: &Wharf, texts: &[&str]) {
    let encoded = basic(USER, PASSWORD);
    let encoded = encoded.strip_prefix("Basic ").expect("it is a basic login");
    for text in texts {
        assert!(!text.contains(PASSWORD) && !text.contains(encoded), "{text}");
    }
    let mut files = 0;
    let mut directories = vec![wharf.store()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the store can be read") {
            let entry = entry.expect("the store can be read");
            if entry.file_type().expect("it is there").is_dir() {
                directories.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).expect("the store can be read");
            let found = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found(PASSWORD) && !found(encoded), "{}", entry.path().display());
            files += 1;
        }
    }
    assert!(files > 2, "the store was searched");
}

#[test]
fn basic_authentication_needs_the_right_login_and_says_so() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("private/demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/private/demo", registry.address());

    let error = wharf.run(&["pull", "-q", &reference]).failure();
    assert!(error.contains(&format!("error: cannot pull `{reference}:latest`")), "{error}");
    assert!(error.contains("login") && error.contains("config.json"), "it says where logins are read from: {error}");

    log_in(&wharf, registry.address(), "wrong");
    let error = wharf.run(&["pull", "-q", &reference]).failure();
    assert!(error.contains("rejected") || error.contains("denied"), "{error}");

    log_in(&wharf, registry.address(), PASSWORD);
    let pulled = wharf.run(&["--log", "trace", "pull", &reference]);
    assert_eq!(pulled.clone().success(), format!("{reference}:latest\n"));
    check_secret(&wharf, &[&pulled.stdout, &pulled.stderr]);
}

#[test]
fn a_token_server_is_asked_once_for_a_pull_without_a_login() {
    let tokens = TokenServer::start(Policy { anonymous: true, lifetime: Duration::from_secs(300) });
    let registry = DockerRegistry::start(Access::Token(&tokens));
    registry.push("public/demo", "latest", &demo());
    let before = tokens.requests().len();
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "--all-platforms", &format!("{}/public/demo", registry.address())]).success();
    let requests = tokens.requests();
    assert_eq!(requests.len(), before + 1, "{requests:#?}");
    let last = requests.last().expect("there is one");
    assert_eq!((last.authorization.as_deref(), last.status), (None, 200));
    assert!(
        last.query.contains("scope=repository") && last.query.contains("public%2Fdemo%3Apull")
            || last.query.contains("public/demo:pull"),
        "{}",
        last.query
    );
}

#[test]
fn a_token_server_gets_the_login_and_the_registry_gets_the_token() {
    let tokens = TokenServer::start(Policy { anonymous: false, lifetime: Duration::from_secs(300) });
    let registry = DockerRegistry::start(Access::Token(&tokens));
    registry.push("private/demo", "latest", &demo());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/private/demo", registry.address());

    let error = wharf.run(&["pull", "-q", &reference]).failure();
    assert!(error.contains("login"), "{error}");

    log_in(&wharf, registry.address(), PASSWORD);
    let pulled = wharf.run(&["--log", "trace", "pull", "--format", "json", &reference]);
    let object = json(&pulled.clone().success());
    assert_eq!(object[0]["up_to_date"], object!(false));
    let last = tokens.requests().pop().expect("it was asked");
    assert_eq!((last.authorization, last.status), (Some(basic(USER, PASSWORD)), 200));
    check_secret(&wharf, &[&pulled.stdout, &pulled.stderr]);
}

#[test]
fn a_login_that_another_program_keeps_is_named_and_not_skipped() {
    let registry = DockerRegistry::start(Access::Login);
    let (_directory, wharf) = wharf();
    let directory = wharf.home().join(".docker");
    fs::create_dir_all(&directory).expect("the home can be written");
    let config = object!({ "credHelpers": { registry.address().to_string(): "vault" } });
    fs::write(directory.join("config.json"), config.to_string()).expect("the home can be written");
    let output = wharf.run(&["pull", "-q", &format!("{}/private/demo", registry.address())]);
    assert!(output.stderr.contains("docker-credential-vault"), "{}", output.stderr);
    output.failure();
}
