//! The repositories of a registry. It does not sort them.
//!
//! Distribution's HTTP API V2, “Catalog”: `GET /v2/_catalog?n=1000`, paged as
//! tags are. It is no part of the distribution specification, and most public
//! registries have none, or show it to nobody.

use super::{Failure, Repository, pages::List, refusal::Subject};
use crate::{
    host::Host,
    nouns::{access::Access, reference},
};

#[derive(serde::Deserialize)]
struct Page {
    /// Some registries write null for none.
    repositories: Option<Vec<String>>,
}

/// An entry that is no name ends it: what is listed is all there is, or
/// nothing.
pub(super) const REPOSITORIES: List = List {
    path: "_catalog",
    subject: Subject::Catalog,
    entries: "repositories",
    entry: "the name of a repository",
    read: |bytes| serde_json::from_slice(bytes).map(|page: Page| page.repositories.unwrap_or_default()),
    is_entry: reference::is_path,
};

/// Fetches the names of all repositories of `registry`, as in
/// `registry.lan:5000`, each once, in the registry's order. Mirrors are not
/// asked.
///
/// Fails with [`ErrorCode::Unsupported`] if it does not list them, with
/// [`ErrorCode::Denied`] if the configuration blocks it.
///
/// [`ErrorCode::Unsupported`]: crate::nouns::problem::ErrorCode::Unsupported
/// [`ErrorCode::Denied`]: crate::nouns::problem::ErrorCode::Denied
pub(crate) async fn catalog<H: Host>(host: &H, registry: &str, access: &Access) -> Result<Vec<String>, Failure> {
    Repository::whole(host, registry, access)?.listed().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::Challenge,
        nouns::{
            access::{AskedFor, Capabilities, Endpoint, Origin, Rule},
            problem::ErrorCode,
        },
        registry::script::{Reply, Script, reply},
    };

    fn list(host: &Script) -> Result<Vec<String>, Failure> {
        host.run(catalog(host, "registry.example", &Access::default()))
    }

    fn page(repositories: &str, link: &str) -> Reply {
        reply(200).header("link", link).body(format!(r#"{{"repositories":{repositories}}}"#))
    }

    fn rule(blocked: bool) -> Access {
        let mirror = Endpoint {
            origin: Origin { secure: true, authority: "mirror.lan".to_owned() },
            base: "/v2".to_owned(),
            path: None,
            capabilities: Capabilities::ALL,
            asked_for: AskedFor::All,
            mirror: true,
            names_registry: true,
        };
        let rules = vec![Rule { prefix: "registry.example".to_owned(), blocked, endpoints: vec![mirror] }];
        Access { rules, ..Access::default() }
    }

    #[test]
    fn repositories_are_listed_page_by_page() {
        let host = Script::new([
            page(r#"["org/b","a"]"#, "</v2/_catalog?last=a&n=2>; rel=\"next\""),
            page(r#"["a","c__d/e"]"#, ""),
        ]);
        assert_eq!(list(&host), Ok(["org/b", "a", "c__d/e"].map(str::to_owned).to_vec()));
        let paths: Vec<_> = host.requests().into_iter().map(|request| request.path).collect();
        assert_eq!(paths, ["/v2/_catalog?n=1000", "/v2/_catalog?last=a&n=2"]);
        assert_eq!(list(&Script::new([page("null", "")])), Ok(Vec::new()));
    }

    #[test]
    fn pages_without_end_and_pages_elsewhere_are_refused() {
        let next = |to: &str| page("[]", &format!("<{to}>; rel=next"));
        let circle = "the pages of `registry.example` go round in a circle";
        let elsewhere = "the next page of `registry.example` is `//evil.example/v2/`: it is on another origin";
        let endless = "`registry.example` lists more than 100000 repositories or 100 pages";
        for (replies, code, why) in [
            (vec![next("/v2/_catalog?n=1000")], ErrorCode::Invalid, circle),
            (vec![next("//evil.example/v2/")], ErrorCode::Invalid, elsewhere),
            ((0..100).map(|at| next(&format!("?at={at}"))).collect(), ErrorCode::TooLarge(100_000), endless),
        ] {
            assert_eq!(list(&Script::new(replies)), Err(Failure::new(code, why)));
        }
    }

    #[test]
    fn what_is_no_list_of_repositories_is_refused() {
        for (body, why) in [
            (r#"{"repositories":["a","../\u001b[31mb"]}"#, "`../b` is not the name of a repository"),
            (r#"{"repositories":["Upper"]}"#, "`Upper` is not the name of a repository"),
            (
                "<html>",
                "the list of repositories of `registry.example` is not readable: expected value at line 1 column 1",
            ),
        ] {
            assert_eq!(list(&Script::new([reply(200).body(body)])), Err(Failure::new(ErrorCode::Invalid, why)));
        }
    }

    #[test]
    fn the_right_to_list_is_asked_for_and_no_repository_is_named() {
        for (said, expected) in
            [("", "registry:catalog:*"), (r#",scope="registry:catalog:list""#, "registry:catalog:list")]
        {
            let challenge = format!(r#"Bearer realm="https://login.example/token",service="s"{said}"#);
            let host = Script::new([reply(401).header("www-authenticate", &challenge), page(r#"["a"]"#, "")]);
            host.log_in();
            assert_eq!(list(&host), Ok(vec!["a".to_owned()]));
            let [(_, Challenge::Bearer { scopes, .. })] = &host.challenges()[..] else {
                panic!("one challenge was answered: {:?}", host.challenges())
            };
            assert_eq!(*scopes, [expected]);
            assert_eq!(host.grants_sent(), [None, Some("grant-1".to_owned())]);
        }
    }

    #[test]
    fn a_registry_without_a_catalog_is_told_as_one() {
        let why = "`registry.example` does not list its repositories, as many registries do not";
        for (status, said) in [(403, "403 Forbidden"), (404, "404 Not Found"), (405, "405 Method Not Allowed")] {
            let told = format!("`registry.example` answered {said} to `GET /v2/_catalog`");
            let failure = Failure { code: ErrorCode::Unsupported, why: vec![why.to_owned(), told], fix: None };
            assert_eq!(list(&Script::new([reply(status)])), Err(failure));
        }
    }

    /// Docker Hub answers so, whoever asks.
    #[test]
    fn a_registry_that_shows_its_catalog_to_nobody_is_told_as_one() {
        let challenge = r#"Bearer realm="https://login.example/token",scope="registry:catalog:*""#;
        let refusal = || reply(401).header("www-authenticate", challenge);
        let host = Script::new([refusal(), refusal()]);
        let failure = list(&host).expect_err("nobody may");
        assert_eq!(failure.code, ErrorCode::Denied);
        assert_eq!(failure.why[0], "`registry.example` does not list its repositories to this user");
    }

    #[test]
    fn mirrors_know_no_catalog_and_a_block_holds_for_it() {
        let host = Script::new([page(r#"["a"]"#, "")]);
        let found = host.run(catalog(&host, "registry.example", &rule(false)));
        assert_eq!(found, Ok(vec!["a".to_owned()]));
        assert_eq!(host.requests()[0].origin.authority, "registry.example");

        let host = Script::new([]);
        let why = "the configuration of this machine blocks `registry.example`";
        let found = host.run(catalog(&host, "registry.example", &rule(true)));
        assert_eq!(found, Err(Failure::new(ErrorCode::Denied, why)));
        for name in ["registry.example/app", "", "a/b", "registry.example:1/x:y"] {
            let why = format!("`{name}` is no registry, as `registry.lan:5000` is");
            let found = host.run(catalog(&host, name, &Access::default()));
            assert_eq!(found, Err(Failure::new(ErrorCode::Invalid, why)));
        }
    }
}
