//! docker-registry behind a token server, as a company runs it: logins, tokens that expire, identity tokens.

use super::{json, open_registry, wharf};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::proxy::Proxy;
use crate::support::push::large;
use crate::support::token_server::{IDENTITY, Policy, TokenServer};
use crate::support::wharf::Wharf;
use crate::support::{PASSWORD, USER, basic};
use serde_json::{Value, json as object};
use std::fs;
use std::time::Duration;
use wharf::demo::image::demo;

const LAYER_BYTES: usize = 6 << 20;
/// distribution accepts a token for so long after its end.
const LEEWAY: Duration = Duration::from_secs(60);

/// Puts an entry into docker's `config.json` in wharf's home.
fn remember(wharf: &Wharf, registry: &DockerRegistry, entry: &Value) {
    let directory = wharf.home().join(".docker");
    fs::create_dir_all(&directory).expect("the home can be written");
    let config = object!({ "auths": { registry.address().to_string(): entry } });
    fs::write(directory.join("config.json"), config.to_string()).expect("the home can be written");
}

fn password(password: &str) -> Value {
    let login = basic(USER, password);
    object!({ "auth": login.strip_prefix("Basic ").expect("it is a basic login") })
}

fn started(policy: Policy) -> (TokenServer, DockerRegistry) {
    let tokens = TokenServer::start(policy);
    let registry = DockerRegistry::start(Access::Token(&tokens));
    registry.push("team/demo", "latest", &demo());
    (tokens, registry)
}

#[test]
fn what_is_public_is_pulled_without_a_login() {
    let (tokens, registry) = started(Policy { anonymous: true, ..Policy::default() });
    let (_directory, wharf) = wharf();
    let reference = format!("{}/team/demo", registry.address());
    assert_eq!(wharf.run(&["pull", &reference]).success(), format!("{reference}:latest\n"));
    let requests = tokens.requests();
    assert!(requests.iter().all(|request| request.authorization.is_none() && request.status == 200), "{requests:?}");
    assert_eq!(requests.len(), 1, "{requests:?}");
}

#[test]
fn a_wrong_password_is_told_with_the_name_of_who_refused_it() {
    let (tokens, registry) = started(Policy::default());
    let (_directory, wharf) = wharf();
    remember(&wharf, &registry, &password("wrong-password"));
    let reference = format!("{}/team/demo", registry.address());
    let output = wharf.run(&["pull", "-q", "--log", "warn", &reference]);
    assert_eq!(output.status.code(), Some(1));
    let error = output.failure();
    assert!(error.contains("rejected"), "{error}");
    assert!(error.contains(&registry.address().to_string()), "{error}");
    assert!(!error.contains("wrong-password") && !error.contains(&basic(USER, "wrong-password")[6..]), "{error}");
    let requests = tokens.requests();
    let refused = requests.iter().filter(|request| request.status == 401).count();
    // Once with the login, and perhaps once without.
    assert!((1..=2).contains(&refused) && refused == requests.len(), "{requests:?}");
}

#[test]
fn a_wrong_password_does_not_lock_out_of_what_is_public() {
    let (tokens, registry) = started(Policy { anonymous: true, ..Policy::default() });
    let (_directory, wharf) = wharf();
    remember(&wharf, &registry, &password("wrong-password"));
    let reference = format!("{}/team/demo", registry.address());
    let output = wharf.run(&["pull", "-q", &reference]);
    let talk = output.stderr.clone();
    assert_eq!(output.success(), format!("{reference}:latest\n"));
    assert!(talk.contains("warning:") && talk.contains("login"), "{talk}");
    let statuses: Vec<_> = tokens.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [401, 200]);
}

#[test]
fn a_login_gets_one_token_for_a_whole_pull() {
    let (tokens, registry) = started(Policy::default());
    let (_directory, wharf) = wharf();
    remember(&wharf, &registry, &password(PASSWORD));
    wharf.run(&["pull", "--all-platforms", &format!("{}/team/demo", registry.address())]).success();
    let requests = tokens.requests();
    let [request] = &requests[..] else { panic!("one is enough: {requests:?}") };
    assert_eq!((request.authorization.as_deref(), request.status), (Some(&*basic(USER, PASSWORD)), 200));
}

/// Tokens live for two seconds, and the pull takes three.
#[test]
fn a_token_that_expires_in_the_middle_of_a_pull_is_renewed() {
    let tokens = TokenServer::start(Policy { lifetime: Duration::from_secs(120), ..Policy::default() });
    let registry = DockerRegistry::start(Access::Token(&tokens));
    registry.push("team/app", "latest", &large(21, 4, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    let directory = wharf.home().join(".docker");
    fs::create_dir_all(&directory).expect("the home can be written");
    let config = object!({ "auths": { proxy.address().to_string(): password(PASSWORD) } });
    fs::write(directory.join("config.json"), config.to_string()).expect("the home can be written");

    tokens.age(Duration::from_secs(120) + LEEWAY - Duration::from_secs(2));
    proxy.slow_down(8 << 20);
    let reference = format!("{}/team/app", proxy.address());
    wharf.run(&["pull", "-q", "--max-concurrent-downloads", "1", &reference]).success();
    assert!(tokens.requests().len() >= 2, "{:?}", tokens.requests());
    let stale = registry.accesses(" 401 ").into_iter().filter(|line| line.contains("/blobs/")).count();
    assert!(stale >= 1, "a blob was asked for with the stale token");
    assert!(proxy.sent_bytes() <= 5 * LAYER_BYTES as u64, "nothing was fetched twice");
}

/// F34 of a push: the right ends between two layers, and what was sent counts.
#[test]
fn a_token_that_expires_in_the_middle_of_a_push_is_renewed() {
    let source = open_registry();
    source.push("app", "1", &large(22, 4, LAYER_BYTES));
    let tokens = TokenServer::start(Policy { lifetime: Duration::from_secs(120), ..Policy::default() });
    let registry = DockerRegistry::start(Access::Token(&tokens));
    let (_directory, wharf) = wharf();
    remember(&wharf, &registry, &password(PASSWORD));
    let (from, to) = (format!("{}/app:1", source.address()), format!("{}/team/app:1", registry.address()));
    wharf.run(&["pull", "-q", "--no-unpack", &from]).success();
    wharf.run(&["tag", &from, &to]).success();
    tokens.age(Duration::from_secs(120) + LEEWAY - Duration::from_secs(2));
    let pushed = wharf.run(&["push", "--format", "json", "--max-concurrent-uploads", "1", "--limit-rate", "8M", &to]);
    let pushed = json(&pushed.success());
    let layers = 4 * LAYER_BYTES as u64;
    let sent = pushed[0]["sent_bytes"].as_u64().expect("a number");
    assert!((layers..layers + LAYER_BYTES as u64).contains(&sent), "no layer was sent twice: {sent}");
    let granted = tokens.requests().iter().filter(|request| request.query.contains("pull%2Cpush")).count();
    assert!(granted >= 2, "{:?}", tokens.requests());
    let stale = registry.accesses(" 401 ").into_iter().filter(|line| !line.contains("\"GET /v2/ ")).count();
    assert!(stale >= 2, "the first request, and one with the stale token");
    let (_other, second) = super::wharf();
    remember(&second, &registry, &password(PASSWORD));
    tokens.age(Duration::ZERO);
    second.run(&["pull", "-q", "--no-unpack", &to]).success();
}

#[test]
fn an_identity_token_is_exchanged_by_oauth_2() {
    let (tokens, registry) = started(Policy::default());
    let (_directory, wharf) = wharf();
    let nobody = basic("00000000-0000-0000-0000-000000000000", "");
    let entry = object!({ "auth": nobody.strip_prefix("Basic ").expect("it is basic"), "identitytoken": IDENTITY });
    remember(&wharf, &registry, &entry);
    let reference = format!("{}/team/demo", registry.address());
    let output = wharf.run(&["--log", "trace", "pull", "--format", "json", &reference]);
    assert!(!output.stderr.contains(IDENTITY) && !output.stdout.contains(IDENTITY));
    assert_eq!(json(&output.success())[0]["name"], format!("{reference}:latest"));
    let requests = tokens.requests();
    let [request] = &requests[..] else { panic!("one is enough: {requests:?}") };
    assert_eq!((&request.authorization, request.status), (&None, 200));
    assert!(request.query.contains("scope=repository%3Ateam%2Fdemo%3Apull"), "{}", request.query);

    remember(&wharf, &registry, &object!({ "identitytoken": "lantern" }));
    let other = wharf.run(&["pull", "-q", "--platform", "linux/arm64", &reference]).failure();
    assert!(other.contains("rejected") && !other.contains("lantern"), "{other}");
}

#[test]
fn a_catalog_takes_the_right_to_list_and_no_repository() {
    let (tokens, registry) = started(Policy::default());
    let (_directory, wharf) = wharf();
    let address = registry.address().to_string();
    let told = wharf.run(&["catalog", &address]).failure();
    assert!(told.contains(&format!("wharf login {address}")), "{told}");
    remember(&wharf, &registry, &password(PASSWORD));
    assert_eq!(wharf.run(&["catalog", &address]).success(), "team/demo\n");
    assert_eq!(wharf.run(&["tags", &format!("{address}/team/demo")]).success(), "latest\n");
    let requests = tokens.requests();
    let asked: Vec<_> = requests.iter().filter(|request| request.status == 200).map(|request| &request.query).collect();
    let decoded = |query: &str| query.replace("%3A", ":").replace("%2A", "*").replace("%2F", "/");
    let [catalog, tags] = &asked[..] else { panic!("one token each: {requests:?}") };
    assert!(decoded(catalog).contains("scope=registry:catalog:*"), "{catalog}");
    assert!(decoded(tags).contains("scope=repository:team/demo:pull"), "{tags}");
}
