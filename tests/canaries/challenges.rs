//! Challenges in the middle of a pull, challenges without end, and what looks like one.

use super::case::Case;
use super::cast::{Cast, Who, unauthorized};
use super::listener::{Answer, Request};
use Who::{Far, Other, Registry, Tokens};

/// A registry that answers so many requests of a case before it may give up.
const STORM_MAX: usize = 60;

pub(crate) fn cases() -> Vec<Case> {
    [later(), storms(), oddities()].into_iter().flatten().collect()
}

/// Whether the request carries this token.
fn carries(request: &Request, token: &super::scan::Secret) -> bool {
    request.header("authorization") == Some(&format!("Bearer {}", token.text))
}

/// The first token is stale when blobs are asked for, and the registry says `challenge` to it.
fn stale(name: &'static str, challenge: fn(&Cast) -> String) -> Case {
    Case::bearer(name).at(Registry, move |cast, request| {
        let stale = request.is_blob() && carries(request, &cast.secrets.tokens[0]);
        stale.then(|| unauthorized(&challenge(cast)))
    })
}

fn later() -> Vec<Case> {
    vec![
        stale("a token is stale, and a new one is asked for", Cast::own_bearer),
        stale("a token is stale, and the token server is at another address now", |cast| {
            cast.bearer(&cast.url(Far, "/token"))
        })
        .spares(&[Far])
        .fails(),
        stale("a token is stale, and the token server is at another name now", |cast| {
            cast.bearer(&format!("http://localhost:{}/token", cast.port(Other)))
        })
        .spares(&[Other])
        .fails(),
        stale("a token is stale, and the login itself is wanted now", |_| "Basic realm=\"harbour\"".to_owned())
            .login_at(&[Registry, Tokens]),
        Case::basic("a login is good for manifests, and blobs want a token of another address")
            .steers(|cast, request| request.is_blob().then(|| unauthorized(&cast.bearer(&cast.url(Far, "/token")))))
            .spares(&[Far])
            .fails(),
        Case::basic("a login is good for manifests, and blobs want a token")
            .steers(|cast, request| {
                let token = cast.secrets.tokens.iter().any(|token| carries(request, token));
                (request.is_blob() && !token).then(|| unauthorized(&cast.own_bearer()))
            })
            .login_at(&[Registry, Tokens])
            .token_at(&[Registry]),
        Case::bearer("a token lacks a scope, and one with it is asked for").at(Registry, |cast, request| {
            let first = request.is_blob() && carries(request, &cast.secrets.tokens[0]);
            let challenge = format!("{},error=\"insufficient_scope\"", cast.own_bearer());
            first.then(|| unauthorized(&challenge))
        }),
    ]
}

fn storms() -> Vec<Case> {
    let always = |case: Case| {
        case.steers(|cast, request| {
            let basic = request.header("authorization").is_some_and(|value| value.starts_with("Basic "));
            Some(unauthorized(&if basic { "Basic realm=\"harbour\"".to_owned() } else { cast.own_bearer() }))
        })
        .fails()
        .requests_max(STORM_MAX)
    };
    let blobs = |case: Case| {
        case.steers(|cast, request| request.is_blob().then(|| unauthorized(&cast.own_bearer())))
            .fails()
            .requests_max(STORM_MAX)
    };
    vec![
        always(Case::basic("no login is good enough")),
        always(Case::bearer("no token is good enough")),
        blobs(Case::bearer("no token is good enough for blobs")),
        Case::basic("403 to everything").steers(|_, _| Some(Answer::new(403, ""))).fails().requests_max(STORM_MAX),
        Case::bearer("403 to every token, with a challenge of another address")
            .steers(|cast, _| {
                let challenge = cast.bearer(&cast.url(Far, "/token"));
                Some(Answer::new(403, "").with("www-authenticate", challenge))
            })
            .spares(&[Far])
            .fails()
            .requests_max(STORM_MAX),
    ]
}

fn oddities() -> Vec<Case> {
    let offers = |name, challenge: &'static str| Case::basic(name).challenges(move |_| challenge.to_owned());
    let nothing = |name, challenge: &'static str| offers(name, challenge).login_at(&[]).fails();
    vec![
        nothing("only `negotiate` is offered", "Negotiate"),
        nothing("only `digest` is offered", "Digest realm=\"harbour\", nonce=\"x\""),
        nothing("a bearer challenge has no realm", "Bearer service=\"harbour\""),
        nothing("the challenge is no challenge", "\"Basic\", ===, realm=\"Basic\""),
        offers("`digest` and `negotiate` come first", "Digest realm=\"a, Basic\", Negotiate, Basic realm=\"harbour\""),
        Case::basic("another port answers a request for a proxy's login")
            .at(Registry, |_, _| Some(Answer::new(407, "").with("proxy-authenticate", "Basic realm=\"harbour\"")))
            .login_at(&[])
            .fails(),
        Case::basic("a challenge in an answer that is good")
            .at(Registry, |cast, request| {
                Some(cast.content(request).with("www-authenticate", cast.bearer(&cast.url(Far, "/token"))))
            })
            .login_at(&[])
            .spares(&[Far]),
        Case::basic("a link to another address in an answer that is good")
            .steers(|cast, request| {
                let link = format!("<{}>; rel=\"preload\", <{0}>; rel=\"next\"", cast.url(Far, "/v2/"));
                Some(cast.content(request).with("link", link.clone()).with("refresh", format!("0; url={link}")))
            })
            .spares(&[Far]),
        Case::basic("a place that another header names")
            .steers(|cast, request| {
                let far = cast.url(Far, &request.target);
                Some(cast.content(request).with("content-location", far.clone()).with("location", far))
            })
            .spares(&[Far]),
        Case::basic("a cookie is not kept and not sent").steers(|cast, request| {
            let cookie = format!("login={}; Domain=127.0.0.1; Path=/", cast.secrets.proxy.text);
            Some(cast.content(request).with("set-cookie", cookie))
        }),
    ]
}

#[test]
fn a_new_challenge_is_judged_like_the_first_one() {
    super::run::check(later());
}

#[test]
fn challenges_without_end_have_one() {
    super::run::check(storms());
}

#[test]
fn what_is_no_challenge_is_not_answered() {
    super::run::check(oddities());
}
