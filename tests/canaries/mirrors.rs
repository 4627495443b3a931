//! Mirrors: the login for a registry is not the login for its mirrors, nor the other way round.

use super::case::Case;
use super::cast::{Cast, ELSEWHERE, REPOSITORY, Who, redirect, unauthorized};
use super::listener::{Answer, Request};
use Who::{Far, Other, Registry, Tokens};
use wharf::images::{AskedFor, Capabilities, Endpoint, Origin, Rule};

pub(crate) fn cases() -> Vec<Case> {
    [unknown(), known(), between(), elsewhere()].into_iter().flatten().collect()
}

/// Where somebody answers, as configuration says it.
fn endpoint(cast: &Cast, who: Who) -> Endpoint {
    Endpoint {
        origin: Origin { secure: cast.url(who, "").starts_with("https:"), authority: cast.authority(who) },
        base: "/v2".to_owned(),
        path: None,
        capabilities: Capabilities::RESOLVE | Capabilities::PULL,
        asked_for: AskedFor::All,
        mirror: who != Registry,
        names_registry: false,
    }
}

/// The registry has these endpoints, in this order.
fn asks(case: Case, who: &'static [Who]) -> Case {
    case.access(move |cast, access| {
        let endpoints = who.iter().map(|who| endpoint(cast, *who)).collect();
        access.rules.push(Rule { prefix: cast.authority(Registry), blocked: false, endpoints });
    })
}

/// A registry with a mirror at another port.
fn mirrored(name: &str, make: fn(&str) -> Case) -> Case {
    asks(make(name), &[Other, Registry]).visits(&[Other])
}

/// A mirror that the user has no login for.
fn unknown() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, make) in [("basic", Case::basic as fn(&str) -> Case), ("bearer", Case::bearer)] {
        let wants = |name, challenge: fn(&Cast) -> String| {
            mirrored(&format!("{kind}: {name}"), make).at(Other, move |cast, _| Some(unauthorized(&challenge(cast))))
        };
        cases.extend([
            wants("a mirror wants a login", |_| "Basic realm=\"harbour\"".to_owned()),
            wants("a mirror has a token server at another address", |cast| cast.bearer(&cast.url(Far, "/token")))
                .spares(&[Far]),
            wants("a mirror has a token server of its own", |cast| cast.bearer(&cast.url(Other, "/token"))),
            wants("a mirror names the registry's token server", Cast::own_bearer),
            mirrored(&format!("{kind}: a mirror has manifests, and wants a login for blobs"), make)
                .at(Other, |_, request| request.is_blob().then(|| unauthorized("Basic realm=\"harbour\""))),
            mirrored(&format!("{kind}: a mirror forbids everything"), make)
                .at(Other, |_, _| Some(Answer::new(403, ""))),
            mirrored(&format!("{kind}: a mirror has nothing"), make).at(Other, |_, _| Some(Answer::new(404, ""))),
        ]);
    }
    let open = mirrored("a mirror has everything", Case::basic);
    cases.push(open.login_at(&[]).visits_only(&[Other]).spares(&[Registry]));
    cases
}

/// A mirror that the user has a login for.
fn known() -> Vec<Case> {
    let both = |case: Case| {
        case.documents(|cast| {
            vec![
                Cast::document(&cast.authority(Registry), &cast.password()),
                Cast::document(&cast.authority(Other), &cast.stranger()),
            ]
        })
    };
    /// Serves who has the login for the mirror.
    fn guarded(cast: &Cast, request: &Request) -> Answer {
        let expected = format!("Basic {}", cast.stranger()["auth"].as_str().expect("an entry has text"));
        match request.header("authorization") {
            Some(given) if given == expected => cast.content(request),
            _ => unauthorized("Basic realm=\"mirror\""),
        }
    }
    vec![
        both(mirrored("a mirror gets its own login", Case::basic))
            .at(Other, |cast, request| Some(guarded(cast, request)))
            .login_at(&[])
            .stranger_at(&[Other])
            .visits_only(&[Other])
            .spares(&[Registry]),
        both(mirrored("a mirror refuses its own login", Case::basic))
            .at(Other, |_, _| Some(unauthorized("Basic realm=\"mirror\"")))
            .stranger_at(&[Other]),
        both(mirrored("a mirror wants its own login for manifests and has no blobs", Case::bearer))
            .at(Other, |cast, request| {
                Some(if request.is_blob() { Answer::new(404, "") } else { guarded(cast, request) })
            })
            .stranger_at(&[Other]),
        both(mirrored("a mirror sends its own login to the registry's token server", Case::bearer))
            .at(Other, |cast, _| Some(unauthorized(&cast.own_bearer())))
            .stranger_at(&[Tokens]),
    ]
}

/// A mirror and the registry send to each other.
fn between() -> Vec<Case> {
    vec![
        mirrored("a mirror sends to the registry", Case::basic)
            .at(Other, |cast, request| Some(redirect(307, cast.url(Registry, &format!("{}?mirrored", request.target)))))
            .at(Registry, |cast, request| request.target.contains("mirrored").then(|| cast.content(request)))
            .login_at(&[])
            .bare("mirrored"),
        mirrored("a mirror sends to the registry, which wants a login", Case::basic)
            .at(Other, |cast, request| Some(redirect(307, cast.url(Registry, &format!("{}?mirrored", request.target)))))
            .bare("mirrored"),
        asks(Case::basic("a registry sends to its mirror"), &[Registry, Other])
            .steers(|cast, request| request.is_blob().then(|| redirect(307, cast.url(Other, &request.target))))
            .visits(&[Other]),
        mirrored("a mirror asks for the registry's name", Case::basic)
            .access(|_, access| access.rules[0].endpoints[0].names_registry = true)
            .login_at(&[])
            .visits_only(&[Other])
            .bare("ns="),
    ]
}

/// The name leads to another place, or nowhere.
fn elsewhere() -> Vec<Case> {
    vec![
        asks(Case::basic("the registry's name stands for another place, which wants a login"), &[Far])
            .access(|_, access| access.rules[0].endpoints[0].mirror = false)
            .at(Far, |_, _| Some(unauthorized("Basic realm=\"harbour\"")))
            .login_at(&[])
            .visits_only(&[Far])
            .fails(),
        Case::basic("the registry is blocked")
            .access(|cast, access| {
                access.rules.push(Rule { prefix: cast.authority(Registry), blocked: true, endpoints: Vec::new() });
            })
            .login_at(&[])
            .visits_only(&[])
            .fails(),
        Case::basic("a namespace has a mirror, and the login is for another namespace")
            .access(|cast, access| {
                let endpoints = vec![endpoint(cast, Other), endpoint(cast, Registry)];
                let prefix = format!("{}/quay", cast.authority(Registry));
                access.rules.push(Rule { prefix, blocked: false, endpoints });
            })
            .reference(|cast| format!("{}/{ELSEWHERE}", cast.authority(Registry)))
            .spares(&[Other]),
        mirrored("a namespace's login does not go to a mirror with the same path", Case::basic)
            .documents(|cast| {
                vec![Cast::document(&format!("{}/{REPOSITORY}", cast.authority(Registry)), &cast.password())]
            })
            .at(Other, |_, _| Some(unauthorized("Basic realm=\"harbour\""))),
    ]
}

#[test]
fn a_mirror_does_not_get_the_login_for_the_registry() {
    super::run::check(unknown());
}

#[test]
fn a_mirror_gets_the_login_for_itself_alone() {
    super::run::check(known());
    super::run::check(between());
    super::run::check(elsewhere());
}
