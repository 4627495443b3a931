//! What is asked of which server, in which order, and what becomes of the
//! answers.

use super::*;
use crate::{
    host::HttpError,
    registry::script::{Reply, Script, broken, reply},
};

const V1: &str = r#"{"num_pages":1,"num_results":2,"page":1,"page_size":25,"query":"alpine","results":[
    {"name":"alpine","description":"A minimal image","star_count":10093,"is_official":true,"is_automated":false},
    {"name":"org/alpine","description":null,"star_count":3},{"description":"without a name"}]}"#;
const V2: &str = r#"{"count":2,"next":"https://hub.docker.com/v2/search/repositories/?page=2","previous":"","results":[
    {"repo_name":"alpine","short_description":"A minimal image","star_count":10093,"pull_count":9,"repo_owner":"",
     "is_automated":false,"is_official":true},
    {"repo_name":"org/alpine","short_description":"","star_count":3,"pull_count":9,"is_automated":false,
     "is_official":false}]}"#;

fn find(host: &Script, registry: &str, term: &str) -> Result<(Vec<Hit>, Source), Failure> {
    host.run(search(host, registry, term, 25, &Access::default()))
}

fn asked(host: &Script) -> Vec<String> {
    host.requests().into_iter().map(|request| format!("{}{}", request.origin.authority, request.path)).collect()
}

fn page(body: &str) -> Reply {
    reply(200).header("content-type", "application/json").body(body)
}

fn named(names: &[&str]) -> Vec<Hit> {
    names.iter().map(|name| Hit { path: (*name).to_owned(), ..Hit::default() }).collect()
}

fn alpines() -> Vec<Hit> {
    let first = Hit {
        path: "alpine".to_owned(),
        description: "A minimal image".to_owned(),
        stars: Some(10_093),
        is_official: true,
        is_automated: false,
    };
    vec![first, Hit { path: "org/alpine".to_owned(), stars: Some(3), ..Hit::default() }]
}

#[test]
fn docker_hub_is_searched_where_docker_searches_it() {
    let host = Script::new([page(V1)]);
    assert_eq!(find(&host, "docker.io", "al pine/&?ü"), Ok((alpines(), Source::Search)));
    assert_eq!(asked(&host), ["index.docker.io/v1/search?q=al%20pine%2F%26%3F%C3%BC&n=25"]);
    assert!(host.requests()[0].origin.secure);
}

#[test]
fn what_fails_at_one_address_of_docker_hub_is_asked_at_the_other() {
    for first in [
        reply(404),
        reply(410),
        reply(503),
        reply(429),
        reply(401).header("www-authenticate", "Basic realm=\"hub\""),
        page("<html>"),
        page("{}"),
        broken(HttpError::Connect("refused".to_owned())),
    ] {
        let host = Script::new([first, page(V2)]);
        host.log_in();
        assert_eq!(find(&host, "docker.io", "alpine"), Ok((alpines(), Source::Search)));
        let second = "hub.docker.com/v2/search/repositories/?query=alpine&page_size=25";
        assert_eq!(asked(&host), ["index.docker.io/v1/search?q=alpine&n=25", second]);
        assert_eq!((host.challenges().len(), host.grants_sent()), (0, vec![None, None]), "no login goes there");
    }
    let failure = find(&Script::new([reply(404), reply(403)]), "docker.io", "a").expect_err("nobody answers");
    let why = [
        "`https://index.docker.io`: `docker.io` does not answer searches there: \
         `index.docker.io` answered 404 Not Found to `GET /v1/search`",
        "`https://hub.docker.com`: `docker.io` does not answer searches there: \
         `hub.docker.com` answered 403 Forbidden to `GET /v2/search/repositories/`",
    ];
    assert_eq!(failure, Failure { code: ErrorCode::Unsupported, why: why.map(str::to_owned).into(), fix: None });
}

#[test]
fn another_registry_is_searched_by_its_own_login() {
    let challenge = r#"Bearer realm="https://login.example/token",scope="registry:catalog:search""#;
    let host = Script::new([reply(401).header("www-authenticate", challenge), page(V1)]);
    host.log_in();
    assert_eq!(find(&host, "registry.example", "alpine"), Ok((alpines(), Source::Search)));
    assert_eq!(asked(&host), ["registry.example/v1/search?q=alpine&n=25"; 2]);
    assert_eq!(host.grants_sent(), [None, Some("grant-1".to_owned())]);
}

#[test]
fn a_registry_without_a_search_is_searched_by_the_names_that_it_lists() {
    let catalog = || page(r#"{"repositories":["alpine","org/alpine-tools","org/busybox"]}"#);
    let expected = || Ok((named(&["alpine", "org/alpine-tools"]), Source::Catalog));
    for first in [reply(404), reply(405), reply(400), reply(500), reply(502), page("<html>"), page(r#"{"results":7}"#)]
    {
        let host = Script::new([first, catalog()]);
        assert_eq!(find(&host, "registry.example", "Alpine"), expected());
        assert_eq!(asked(&host), ["registry.example/v1/search?q=Alpine&n=25", "registry.example/v2/_catalog?n=1000"]);
    }
    // A page for everybody who is not logged in, and a list for everybody.
    let host = Script::new([reply(401).header("www-authenticate", "Basic realm=\"x\""), catalog()]);
    host.deny_logins(ErrorCode::NotFound);
    assert_eq!(find(&host, "registry.example", "alpine"), expected());
    let host = Script::new([reply(429).header("retry-after", "3"), page(V1)]);
    assert_eq!(find(&host, "registry.example", "alpine"), Ok((alpines(), Source::Search)), "it is waited for");
    assert_eq!(host.slept(), [3_000]);
}

#[test]
fn a_registry_that_lists_nothing_is_asked_for_the_very_name() {
    let host = Script::new([reply(404), reply(404), page(r#"{"tags":["1"]}"#)]);
    assert_eq!(find(&host, "registry.example", "org/app"), Ok((named(&["org/app"]), Source::Name)));
    assert_eq!(asked(&host)[2], "registry.example/v2/org/app/tags/list?n=1000");

    let why = |word: &str| format!("`registry.example` has no search, and no repository of the name `{word}`");
    for (word, last) in [("org/app", vec![reply(404)]), ("app", vec![page(r#"{"tags":null}"#)]), ("a b", vec![])] {
        let host = Script::new([reply(404), reply(405)].into_iter().chain(last));
        let failure = find(&host, "registry.example", word).expect_err("there is nothing to search by");
        assert_eq!((failure.code, &failure.why[0]), (ErrorCode::Unsupported, &why(word)));
        assert_eq!(
            failure.why[1..],
            [
                "`registry.example` does not list its repositories, as many registries do not",
                "`registry.example` answered 405 Method Not Allowed to `GET /v2/_catalog`"
            ]
        );
    }
}

/// The catalog that is not to be had was once told as if nothing were there.
#[test]
fn a_registry_that_does_not_answer_is_no_registry_without_a_search() {
    let down = || broken(HttpError::Connect("refused".to_owned()));
    let host = Script::new((0..20).map(|_| down()));
    let failure = find(&host, "registry.example", "app").expect_err("nobody answers");
    assert_eq!(failure.code, ErrorCode::Unavailable, "{failure:?} {:?}", asked(&host));
    assert!(asked(&host).iter().all(|asked| asked.starts_with("registry.example/v1/")), "{:?}", asked(&host));
    let cut = page(V1).cut_at(20);
    let host = Script::new([cut, page(V1)]);
    assert_eq!(
        find(&host, "registry.example", "alpine"),
        Ok((alpines(), Source::Search)),
        "half an answer is asked again"
    );
}

#[test]
fn what_the_configuration_blocks_is_not_searched() {
    let rule = crate::nouns::access::Rule { prefix: "docker.io".to_owned(), blocked: true, endpoints: Vec::new() };
    let access = Access { rules: vec![rule], ..Access::default() };
    let host = Script::new([]);
    let failure = host.run(search(&host, "docker.io", "alpine", 25, &access)).expect_err("it is blocked");
    assert_eq!(failure, Failure::new(ErrorCode::Denied, "the configuration of this machine blocks `docker.io`"));
}

#[test]
fn no_more_is_asked_for_than_a_page_has() {
    for (count, expected) in [(0, 1), (7, 7), (100, 100), (5_000, 100)] {
        assert_eq!(Api::V1.path("a", count), format!("/v1/search?q=a&n={expected}"));
    }
}
