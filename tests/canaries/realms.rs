//! Token servers: where a registry may send the login, and what a token server may do with it. CVE-2026-48978,
//! CVE-2026-33540.

use super::case::Case;
use super::cast::{Cast, ELSEWHERE, REPOSITORY, Who, redirect, unauthorized};
use super::listener::Answer;
use Who::{Far, Other, Registry, Tokens};
use serde_json::json;
use wharf::credentials::Document;

pub(crate) fn cases() -> Vec<Case> {
    [accepted(), refused(), secure(), scopes(), servers()].into_iter().flatten().collect()
}

/// A registry that names its token server like this.
fn realm(name: &str, realm: impl Fn(&Cast) -> String + Send + Sync + 'static) -> Case {
    Case::bearer(name).challenges(move |cast| cast.bearer(&realm(cast)))
}

fn accepted() -> Vec<Case> {
    let itself = |cast: &Cast, request: &super::listener::Request| {
        request.target.starts_with("/token").then(|| cast.token(request))
    };
    vec![
        Case::bearer("the token server is at another port"),
        realm("the token server is the registry itself", |cast| cast.url(Registry, "/token"))
            .at(Registry, itself)
            .login_at(&[Registry]),
        realm("the realm has a backslash, which URLs take for a slash", |cast| {
            // Once more for the quoted string that it stands in.
            format!("{}\\\\@{}/token", cast.url(Tokens, ""), cast.authority(Far))
        })
        .spares(&[Far]),
        realm("the realm has a fragment with another host", |cast| {
            format!("{}#@{}/token", cast.url(Tokens, "/token"), cast.authority(Far))
        })
        .spares(&[Far]),
        Case::bearer("the challenge is for the service of another registry")
            .challenges(|cast| cast.own_bearer().replace("harbour", "registry.docker.io")),
        Case::bearer("the challenge names two realms, its own first")
            .challenges(|cast| {
                cast.own_bearer().replace(",service", &format!(",realm=\"{}\",service", cast.url(Far, "/token")))
            })
            .spares(&[Far]),
        Case::bearer("there are two challenges, its own first")
            .challenges(|cast| format!("{}, {}", cast.own_bearer(), cast.bearer(&cast.url(Far, "/token"))))
            .spares(&[Far]),
        Case::bearer("the identity token goes to the token server").documents(identity),
    ]
}

fn identity(cast: &Cast) -> Vec<Document> {
    vec![Cast::document(&cast.authority(Registry), &cast.identity())]
}

fn refused() -> Vec<Case> {
    let refused = |name, which: fn(&Cast) -> String| {
        realm(name, which).login_at(&[]).token_at(&[]).spares(&[Tokens, Other, Far]).fails()
    };
    let mut cases = vec![
        refused("the token server is at another address", |cast| cast.url(Far, "/token")),
        refused("the token server is at another name of this machine", |cast| {
            format!("http://localhost:{}/token", cast.port(Tokens))
        }),
        refused("the token server is at another address, by TLS", |cast| {
            cast.url(Far, "/token").replace("http:", "https:")
        }),
        refused("the realm has a user", |cast| format!("http://ann@{}/token", cast.authority(Tokens))),
        refused("the realm has the registry as its user", |cast| {
            format!("http://{}@{}/token", cast.authority(Tokens), cast.authority(Far))
        }),
        refused("the realm is a path", |_| "/token".to_owned()),
        refused("the realm is a file", |_| "file:///etc/passwd".to_owned()),
        refused("the realm is of another protocol", |cast| format!("ftp://{}/token", cast.authority(Tokens))),
        refused("the realm is the metadata of a cloud", |_| "http://169.254.169.254/token".to_owned()),
        refused("the realm has no end", |cast| format!("{}?{}", cast.url(Tokens, "/token"), "x".repeat(4000))),
        refused("the realm is empty", |_| String::new()),
    ];
    let identity = refused("the token server of the identity token is at another address", |cast| cast.url(Far, "/t"));
    cases.push(identity.documents(identity_of_registry));
    let never = |name, challenge: fn(&Cast) -> String| {
        Case::bearer(name).challenges(challenge).login_at(&[]).token_at(&[]).spares(&[Far]).fails()
    };
    cases.extend([
        never("the challenge names two realms, another first", |cast| {
            let own = format!("realm=\"{}\",realm", cast.url(Far, "/token"));
            cast.own_bearer().replacen("realm", &own, 1)
        }),
        never("the challenge has no end", |cast| cast.url(Far, "/token").replacen("http", "Bearer realm=\"http", 1)),
    ]);
    cases
}

fn identity_of_registry(cast: &Cast) -> Vec<Document> {
    identity(cast)
}

/// A registry that is reached by TLS.
fn secure() -> Vec<Case> {
    let refused = |name, which: fn(&Cast) -> String| {
        realm(name, which).secure().login_at(&[]).token_at(&[]).spares(&[Tokens, Other, Far]).fails()
    };
    let open_far = |case: Case| case.network(|_, settings| settings.plain_http.push("cdn.test".to_owned()));
    vec![
        Case::bearer("by TLS, the token server is at another port").secure(),
        refused("by TLS, the token server is without it", |cast| cast.url(Tokens, "/token").replace("https:", "http:")),
        // He is asked without the login, which what is public does not need.
        open_far(realm("by TLS, the token server is at another host", |cast| cast.url(Far, "/token")))
            .secure()
            .at(Far, |_, _| Some(Answer::new(401, "")))
            .login_at(&[])
            .token_at(&[])
            .visits(&[Far])
            .fails(),
        refused("by TLS, the token server is below the registry's name", |cast| {
            format!("https://a.registry.test:{}/token", cast.port(Tokens))
        }),
        refused("by TLS, the token server's name ends with the registry's", |cast| {
            format!("https://xregistry.test:{}/token", cast.port(Tokens))
        }),
        refused("by TLS, the token server's name begins with the registry's", |cast| {
            format!("https://registry.test.evil.test:{}/token", cast.port(Far))
        }),
        open_far(realm("by TLS, the token server is at another host that a person allowed", |cast| {
            cast.url(Far, "/token")
        }))
        .secure()
        .at(Far, |cast, request| Some(cast.token(request)))
        .credentials(|cast, settings| settings.realms.push((cast.authority(Registry), cast.authority(Far))))
        .login_at(&[Far]),
        open_far(realm("by TLS, the token server at another host is asked by who has no login", |cast| {
            cast.url(Far, "/token")
        }))
        .secure()
        .documents(|_| Vec::new())
        .at(Far, |cast, _| Some(cast.issue()))
        .login_at(&[])
        .visits(&[Far]),
    ]
}

/// A challenge that names something else than what is pulled.
fn scopes() -> Vec<Case> {
    let namespaced = |name, scope: &'static str| {
        Case::bearer(name)
            .challenges(move |cast| cast.own_bearer().replace(&format!("repository:{REPOSITORY}:pull"), scope))
            .documents(|cast| {
                let registry = cast.authority(Registry);
                vec![
                    Cast::document(&format!("{registry}/quay"), &cast.password()),
                    Cast::document(&format!("{registry}/pier"), &cast.stranger()),
                ]
            })
    };
    vec![
        namespaced("the scope is of another namespace", "repository:pier/demo:pull"),
        namespaced("the first scope is of another namespace", "repository:pier/demo:pull repository:quay/demo:pull"),
        namespaced("the scope is of the whole registry", "registry:catalog:*"),
        namespaced("the scope climbs out of its namespace", "repository:pier/../quay/demo:pull"),
        namespaced("there is a login for another namespace alone", "repository:pier/demo:pull")
            .documents(|cast| vec![Cast::document(&format!("{}/pier", cast.authority(Registry)), &cast.stranger())])
            .reference(|cast| format!("{}/{REPOSITORY}", cast.authority(Registry)))
            .login_at(&[])
            .token_at(&[])
            .fails(),
        namespaced("the pull is from the other namespace", "repository:pier/demo:pull")
            .reference(|cast| format!("{}/{ELSEWHERE}", cast.authority(Registry)))
            .login_at(&[])
            .token_at(&[])
            .stranger_at(&[Tokens])
            .fails(),
    ]
}

/// What a token server may answer.
fn servers() -> Vec<Case> {
    let answers = |name, answer: fn(&Cast) -> Answer| {
        Case::bearer(name).at(Tokens, move |cast, _| Some(answer(cast))).token_at(&[]).fails().requests_max(20)
    };
    let mut cases = Vec::new();
    for status in [301, 302, 303, 307, 308] {
        let name = format!("the token server sends to another address, {status}");
        let case = Case::bearer(&name).at(Tokens, move |cast, _| Some(redirect(status, cast.url(Far, "/token"))));
        cases.push(case.token_at(&[]).spares(&[Far]).fails());
    }
    for status in [307, 308] {
        let name = format!("the token server sends the identity token to another address, {status}");
        let case = Case::bearer(&name).at(Tokens, move |cast, _| Some(redirect(status, cast.url(Far, "/token"))));
        cases.push(case.documents(identity).token_at(&[]).spares(&[Far]).fails());
    }
    cases.extend([
        answers("the token server asks for a login again", |_| unauthorized("Basic realm=\"harbour\"")),
        answers("the token server has a token server", |cast| unauthorized(&cast.bearer(&cast.url(Far, "/token"))))
            .spares(&[Far]),
        answers("the token server is a proxy", |_| {
            Answer::new(407, "").with("proxy-authenticate", "Basic realm=\"harbour\"")
        }),
        answers("the token server's token has two lines", |_| {
            Answer::new(200, json!({ "token": "a\r\nx-evil: b" }).to_string())
        }),
        answers("the token server says nothing that makes sense", |_| Answer::new(200, "<html>")),
    ]);
    cases
}

#[test]
fn a_login_goes_to_the_registrys_own_token_server() {
    super::run::check(accepted());
    super::run::check(secure());
}

#[test]
fn a_login_goes_to_no_other_token_server() {
    super::run::check(refused());
    super::run::check(scopes());
    super::run::check(servers());
}
