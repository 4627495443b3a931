//! Servers that say what they were told: error pages and headers with the login or the token in them. What comes back
//! is read by the component and shown to people, who send it to others.

use super::case::Case;
use super::cast::{Cast, Who, redirect, unauthorized};
use super::listener::{Answer, Request};
use Who::{Far, Registry, Tokens};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use wharf::credentials::Document;

pub(crate) fn cases() -> Vec<Case> {
    [pages(), headers(), token_servers()].into_iter().flatten().collect()
}

/// What the request carried.
fn said(request: &Request) -> String {
    request.header("authorization").unwrap_or_default().to_owned()
}

/// An error in the form of registries. distribution-spec, “Error Codes”.
fn error(status: u16, message: &str) -> Answer {
    let error = json!({ "code": "DENIED", "message": message, "detail": message });
    Answer::new(status, json!({ "errors": [error] }).to_string()).with("content-type", "application/json")
}

fn pages() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, make) in [("basic", Case::basic as fn(&str) -> Case), ("bearer", Case::bearer)] {
        for status in [400, 403, 404, 500] {
            let name = format!("{kind}: an error {status} repeats the header");
            cases.push(make(&name).steers(move |_, request| Some(error(status, &said(request)))).fails());
        }
        cases.extend([
            make(&format!("{kind}: 401 repeats the header"))
                .steers(|_, request| {
                    let challenge = format!("Negotiate {}", said(request).replace(' ', "+"));
                    Some(error(401, &said(request)).with("www-authenticate", challenge))
                })
                .fails(),
            make(&format!("{kind}: a page of text repeats the request"))
                .steers(|_, request| Some(Answer::new(403, request.raw.clone()).with("content-type", "text/html")))
                .fails(),
        ]);
    }
    cases.push(
        Case::basic("an error repeats the password, decoded")
            .steers(|cast, _| Some(error(403, &format!("{}:{}", cast.secrets.user.text, cast.secrets.password.text))))
            .fails(),
    );
    cases
}

fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, make) in [("basic", Case::basic as fn(&str) -> Case), ("bearer", Case::bearer)] {
        cases.extend([
            make(&format!("{kind}: a warning repeats the header")).steers(|cast, request| {
                Some(cast.content(request).with("warning", format!("299 - \"{}\"", said(request))))
            }),
            make(&format!("{kind}: a redirect within the registry repeats the header"))
                .steers(|_, request| {
                    let again = format!("{}?again={}", request.target, said(request).replace(' ', "%20"));
                    (request.is_blob() && !request.target.contains("again")).then(|| redirect(307, again))
                })
                .fails(),
            make(&format!("{kind}: a redirect to another address repeats the header"))
                .steers(|cast, request| {
                    let there =
                        cast.url(Far, &format!("{}?again={}", request.target, said(request).replace(' ', "%20")));
                    request.is_blob().then(|| redirect(307, there))
                })
                .spares(&[Far])
                .fails(),
            make(&format!("{kind}: the headers of an answer repeat the request's")).steers(|cast, request| {
                let answer = cast.content(request).with("authorization", said(request));
                Some(
                    answer
                        .with("x-request-authorization", said(request))
                        .with("etag", format!("\"{}\"", said(request))),
                )
            }),
            make(&format!("{kind}: the digest of a manifest is the header")).steers(|cast, request| {
                let mut answer = cast.content(request);
                answer.headers.retain(|(name, _)| name != "docker-content-digest");
                request.is_manifest().then(|| answer.with("docker-content-digest", said(request)))
            }),
        ]);
    }
    cases
}

fn token_servers() -> Vec<Case> {
    let repeats = |name, answer: fn(&Request) -> Answer| {
        Case::bearer(name).at(Tokens, move |_, request| Some(answer(request))).token_at(&[]).fails()
    };
    let by_form = |case: Case| {
        case.documents(|cast: &Cast| -> Vec<Document> {
            vec![Cast::document(&cast.authority(Registry), &cast.identity())]
        })
    };
    vec![
        repeats("a token server's error 401 repeats the login", |request| error(401, &said(request))),
        repeats("a token server's error 403 repeats the login", |request| error(403, &said(request))),
        repeats("a token server's error 500 repeats the login", |request| error(500, &said(request))),
        repeats("a token server's answer repeats the login and has no token", |request| {
            Answer::new(200, json!({ "authorization": said(request) }).to_string())
        }),
        repeats("a token server's answer is not JSON and repeats the request", |request| {
            Answer::new(200, request.raw.clone())
        }),
        repeats("a token server's token is a list with the login", |request| {
            Answer::new(200, json!({ "token": [said(request)] }).to_string())
        }),
        repeats("a token server decodes the login", |request| {
            let pair = said(request).strip_prefix("Basic ").and_then(|pair| STANDARD.decode(pair).ok());
            error(401, &String::from_utf8_lossy(&pair.unwrap_or_default()))
        }),
        repeats("a token server's challenge repeats the login", |request| {
            unauthorized(&format!("Basic realm=\"{}\"", said(request)))
        }),
        by_form(repeats("a token server's error 400 repeats the identity token", |request| {
            error(400, &String::from_utf8_lossy(request.body()))
        })),
        by_form(repeats("a token server's error 500 repeats the identity token", |request| {
            error(500, &String::from_utf8_lossy(request.body()))
        })),
    ]
}

#[test]
fn an_error_page_that_repeats_a_login_is_not_repeated() {
    super::run::check(pages());
}

#[test]
fn a_header_that_repeats_a_login_is_not_repeated() {
    super::run::check(headers());
}

#[test]
fn a_token_server_that_repeats_a_login_is_not_repeated() {
    super::run::check(token_servers());
}
