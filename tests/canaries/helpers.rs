//! Programs that keep logins, as docker's credential helpers do: what they say goes where a login goes, whatever they
//! say and however they end.

use super::case::Case;
use super::cast::{Cast, Who, unauthorized};
use Who::{Far, Other, Registry, Tokens};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use wharf::credentials::Document;
use wharf::credentials::helper::{Action, Helpers, Said};
use wharf::images::{AskedFor, Capabilities, Endpoint, Origin, Rule};
use zeroize::Zeroizing;

pub(crate) fn cases() -> Vec<Case> {
    [good(), bad()].into_iter().flatten().collect()
}

/// What a program says to who asks for the login of a registry.
type Talk = fn(&Cast, &str) -> Said;

/// The program, instead of those of the machine.
struct Program {
    talk: Box<dyn Fn(&str) -> Said + Send + Sync>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Program")
    }
}

impl Helpers for Program {
    fn run(&self, program: &str, action: Action, input: Zeroizing<Vec<u8>>) -> BoxFuture<'static, io::Result<Said>> {
        assert_eq!((program, action), ("docker-credential-vault", Action::Get), "a pull asks for logins");
        let said = (self.talk)(str::from_utf8(&input).expect("registries have names of text").trim());
        Box::pin(async move { Ok(said) })
    }
}

fn says(stdout: impl Into<Vec<u8>>) -> Said {
    Said { code: Some(0), stdout: Zeroizing::new(stdout.into()), stderr: Zeroizing::default() }
}

/// Says a user and a password of `server`.
fn login(server: &str, user: &str, secret: &str) -> Said {
    says(json!({ "ServerURL": server, "Username": user, "Secret": secret }).to_string())
}

/// Says the login of the registry.
fn tells(cast: &Cast, asked: &str) -> Said {
    login(asked, &cast.secrets.user.text, &cast.secrets.password.text)
}

/// A document that says who keeps the login.
fn kept(case: Case, document: fn(&Cast) -> Value, talk: Talk) -> Case {
    case.documents(move |cast| {
        vec![Document { label: "config.json".to_owned(), bytes: document(cast).to_string().into_bytes() }]
    })
    .helpers(move |cast| {
        let cast = cast.clone();
        Arc::new(Program { talk: Box::new(move |asked| talk(&cast, asked)) })
    })
}

/// The program keeps the login of the registry alone.
fn for_one(cast: &Cast) -> Value {
    json!({ "credHelpers": { cast.authority(Registry): "vault" } })
}

/// The program keeps every login.
fn for_all(cast: &Cast) -> Value {
    json!({ "auths": { cast.authority(Registry): {} }, "credsStore": "vault" })
}

fn good() -> Vec<Case> {
    /// Keeps another login for everybody else.
    fn knows_all(cast: &Cast, asked: &str) -> Said {
        if asked.contains(&cast.authority(Registry)) {
            return tells(cast, asked);
        }
        login(asked, "someone", &cast.secrets.stranger.text)
    }
    let mirrored = |case: Case| {
        case.access(|cast, access| {
            let endpoints = [Other, Registry].map(|who| Endpoint {
                origin: Origin { secure: false, authority: cast.authority(who) },
                base: "/v2".to_owned(),
                path: None,
                capabilities: Capabilities::RESOLVE | Capabilities::PULL,
                asked_for: AskedFor::All,
                mirror: who == Other,
                names_registry: false,
            });
            access.rules.push(Rule { prefix: cast.authority(Registry), blocked: false, endpoints: endpoints.to_vec() });
        })
        .at(Other, |_, _| Some(unauthorized("Basic realm=\"mirror\"")))
        .visits(&[Other])
    };
    vec![
        kept(Case::basic("a program has the password"), for_one, tells),
        kept(Case::bearer("a program has the password, for a token"), for_one, tells),
        kept(Case::bearer("a program has an identity token"), for_one, |cast, asked| {
            login(asked, "<token>", &cast.secrets.identity.text)
        }),
        kept(Case::basic("a program has every password"), for_all, knows_all),
        mirrored(kept(Case::basic("a program has the password, and a mirror wants one"), for_one, tells)),
        mirrored(kept(Case::basic("a program has every password, and a mirror wants one"), for_all, knows_all))
            .stranger_at(&[Other]),
    ]
}

fn bad() -> Vec<Case> {
    let silent = |name, document, talk| kept(Case::basic(name), document, talk).login_at(&[]).fails();
    vec![
        silent("a program tells the login of another registry", for_one, |cast, _| tells(cast, &cast.authority(Far))),
        silent("a program fails and traces what it does", for_one, |cast, asked| {
            let told = tells(cast, asked);
            let trace = [&b"+ echo '"[..], &told.stdout[..], &b"'\n+ false\n"[..]].concat();
            Said { code: Some(1), stderr: Zeroizing::new(trace), ..told }
        }),
        silent("a program says the password and no JSON", for_one, |cast, _| says(cast.secrets.password.text.clone())),
        silent("a program says the password where the name belongs", for_one, |cast, asked| {
            says(json!({ "ServerURL": asked, "Username": [cast.secrets.password.text], "Secret": 1 }).to_string())
        }),
        silent("a program is killed after it told the login", for_one, |cast, asked| Said {
            code: None,
            ..tells(cast, asked)
        }),
        silent("a program fails after it told the login", for_one, |cast, asked| Said {
            code: Some(2),
            ..tells(cast, asked)
        }),
        silent("a program has no such login", for_one, |_, _| Said {
            code: Some(1),
            ..says("credentials not found in native keychain\n")
        }),
        silent(
            "a program has the login of another registry",
            |cast| json!({ "credHelpers": { cast.authority(Far): "vault" } }),
            tells,
        ),
        silent(
            "a program is not there, and another place has the login of another",
            |cast| {
                json!({ "credHelpers": { cast.authority(Registry): "vault" },
                    "auths": { cast.authority(Tokens): cast.stranger() } })
            },
            |_, _| Said { code: Some(127), ..says("") },
        ),
    ]
}

#[test]
fn what_a_program_tells_goes_where_a_login_goes() {
    super::run::check(good());
}

#[test]
fn what_a_program_should_not_say_is_not_repeated() {
    super::run::check(bad());
}
