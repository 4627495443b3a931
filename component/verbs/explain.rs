//! What a pull of a reference would ask, in which order, and why. It sends
//! nothing, and does not know whether anybody would answer.

use super::{
    choose::{self, Wishes},
    contract::{Access, Caller, Candidate, Explanation, Wanted},
    failing::problem,
    listen::Board,
    resolve,
};
use crate::{
    nouns::problem::Problem,
    registry::{
        Failure,
        endpoint::{self, Endpoint, Survey},
    },
};

/// What stands beside plain HTTP behind its TLS twin.
const FALLBACK: &str = "it is asked only if TLS does not work there";

/// Returns what a pull would ask for `reference`. See `images.explain`.
pub fn explain(caller: &Caller, reference: &str, wanted: &Wanted, access: &Access) -> Result<Explanation, Problem> {
    let explanation = || -> Result<Explanation, Failure> {
        let machine = choose::machine(&caller.machine)?;
        let platforms = Wishes::parse(wanted, &machine)?.accepted();
        let (typed, alias) = resolve::expand(reference, &access.aliases);
        let name = resolve::name(&typed, &Board::deaf())?;
        let Survey { rule, blocked, candidates } = endpoint::survey(&name, access);
        let candidate = |endpoint::Candidate { endpoint, skipped }| show(endpoint, skipped);
        let endpoints = if blocked { Vec::new() } else { candidates.into_iter().map(candidate).collect() };
        Ok(Explanation { name: name.to_string(), alias, rule, blocked, endpoints, platforms })
    };
    explanation().map_err(problem(format!("cannot explain `{}`", reference.escape_debug())))
}

fn show(endpoint: Endpoint, skipped: Option<String>) -> Candidate {
    let Endpoint { origin, base, path, capabilities, asked_for, mirror, fallback, .. } = endpoint;
    let skipped = skipped.or_else(|| fallback.then(|| FALLBACK.to_owned()));
    Candidate { origin, path: format!("{base}/{path}"), repository: path, capabilities, asked_for, mirror, skipped }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::{
        access::{self, AskedFor, Capabilities, Origin, Rule},
        problem::ErrorCode,
    };

    fn caller(machine: &str) -> Caller {
        Caller { namespace: "default".to_owned(), machine: machine.to_owned() }
    }

    fn told(reference: &str, access: &Access) -> Explanation {
        explain(&caller("linux/amd64/v2"), reference, &Wanted::Machine, access).unwrap()
    }

    fn endpoint(secure: bool, authority: &str, asked_for: AskedFor) -> access::Endpoint {
        access::Endpoint {
            origin: Origin { secure, authority: authority.to_owned() },
            base: "/v2".to_owned(),
            path: None,
            capabilities: Capabilities::ALL,
            asked_for,
            mirror: authority != "registry-1.docker.io",
            names_registry: true,
        }
    }

    #[test]
    fn without_configuration_the_registry_itself_is_asked() {
        let expected = Explanation {
            name: "docker.io/library/alpine:latest".to_owned(),
            alias: None,
            rule: None,
            blocked: false,
            endpoints: vec![Candidate {
                origin: Origin { secure: true, authority: "registry-1.docker.io".to_owned() },
                path: "/v2/library/alpine".to_owned(),
                repository: "library/alpine".to_owned(),
                capabilities: Capabilities::ALL,
                asked_for: AskedFor::All,
                mirror: false,
                skipped: None,
            }],
            platforms: vec!["linux/amd64/v2".to_owned(), "linux/amd64".to_owned(), "linux/386".to_owned()],
        };
        assert_eq!(told("alpine", &Access::default()), expected);
    }

    #[test]
    fn an_endpoint_that_is_not_asked_is_shown_with_the_reason() {
        let endpoints = vec![
            endpoint(true, "digests.lan", AskedFor::Digests),
            endpoint(true, "m.lan", AskedFor::All),
            endpoint(false, "m.lan", AskedFor::All),
        ];
        let rules = vec![Rule { prefix: "docker.io".to_owned(), blocked: false, endpoints }];
        let explanation = told("alpine:3", &Access { rules, ..Access::default() });
        let listed: Vec<_> = explanation
            .endpoints
            .iter()
            .map(|one| (one.origin.authority.as_str(), one.mirror, one.skipped.as_deref()))
            .collect();
        assert_eq!(explanation.rule, Some(0));
        assert_eq!(
            listed,
            [
                ("digests.lan", true, Some("it is asked for digests only")),
                ("m.lan", true, None),
                ("m.lan", true, Some(FALLBACK)),
                ("registry-1.docker.io", false, None),
            ]
        );
    }

    #[test]
    fn what_is_blocked_has_no_endpoints() {
        let endpoints = vec![endpoint(true, "m.lan", AskedFor::All)];
        let rules = vec![Rule { prefix: "docker.io/library".to_owned(), blocked: true, endpoints }];
        let explanation = told("alpine", &Access { rules, ..Access::default() });
        assert_eq!((explanation.rule, explanation.blocked, explanation.endpoints), (Some(0), true, Vec::new()));
    }

    #[test]
    fn an_alias_is_named_and_its_registry_is_asked() {
        let aliases = [("app", "ghcr.io/org/app"), ("fedora", "registry.fedoraproject.org/fedora")];
        let aliases = aliases.map(|(short, long)| (short.to_owned(), long.to_owned())).to_vec();
        let explanation = told("fedora:40", &Access { aliases, ..Access::default() });
        assert_eq!(explanation.name, "registry.fedoraproject.org/fedora:40");
        assert_eq!(explanation.alias, Some(1));
        assert_eq!(explanation.endpoints[0].origin.authority, "registry.fedoraproject.org");
    }

    #[test]
    fn platforms_are_those_that_are_wanted() {
        let platforms = |wanted| {
            explain(&caller("linux/arm64"), "alpine", &wanted, &Access::default()).map(|told| told.platforms).unwrap()
        };
        let these = |texts: &[&str]| Wanted::These(texts.iter().map(|&text| text.to_owned()).collect());
        assert_eq!(
            platforms(Wanted::Machine),
            ["linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]
        );
        assert_eq!(platforms(these(&["linux/s390x", "amd64"])), ["linux/s390x", "linux/amd64", "linux/386"]);
        assert_eq!(platforms(these(&["linux/amd64", "linux/386"])), ["linux/amd64", "linux/386"]);
        assert_eq!(platforms(Wanted::All), [""; 0]);
    }

    #[test]
    fn a_name_that_is_none_is_a_problem() {
        let problem = explain(&caller("linux/amd64"), "Alpine", &Wanted::All, &Access::default()).unwrap_err();
        assert_eq!((problem.code, problem.what.as_str()), (ErrorCode::Invalid, "cannot explain `Alpine`"));
    }
}
