//! Which registry a person means by a reference, so that the host can open what belongs to it and nothing else.
//!
//! It checks no grammar: the component does, with the same rules for what is a registry, what is a part of a path, and
//! what an alias stands for. A text that breaks them names a registry that does not exist.

use wharf_vocabulary::vocabulary::Access;

/// The registry of references that name none.
const DEFAULT: &str = "docker.io";
/// Another name of it.
const DEFAULT_ALIAS: &str = "index.docker.io";
/// Where it answers.
const DEFAULT_HOST: &str = "registry-1.docker.io";

/// Returns the hosts that a call about `reference` may reach by its name, with their ports: the registry itself, or the
/// one of what an alias stands for, and where the configuration sends it. Where a rule that may decide about another
/// registry leads to is not among them.
pub fn registries(reference: &str, access: &Access) -> Vec<String> {
    let registry = registry(reference, &access.aliases);
    let rules = access.rules.iter().filter(|rule| covers(&rule.prefix, registry));
    let mut hosts = vec![host(registry).to_owned()];
    for endpoint in rules.flat_map(|rule| &rule.endpoints) {
        let host = &endpoint.origin.authority;
        if !hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            hosts.push(host.clone());
        }
    }
    hosts
}

/// Returns the names of images that are here: of those that are listed, and of the sentences about records that cannot
/// be read, which begin with a name between backticks.
pub fn listed<'a>(images: impl Iterator<Item = &'a str>, damaged: &'a [String]) -> Vec<String> {
    let damaged = damaged.iter().filter_map(|sentence| sentence.strip_prefix('`')?.split('`').next());
    images.chain(damaged).map(str::to_owned).collect()
}

/// Returns the registry of `reference`, with its port if one is written, as in `registry.lan:5000`; `docker.io` if none
/// is. An alias counts if it is the whole name, as in `fedora` of `fedora:40`.
pub fn registry<'a>(reference: &'a str, aliases: &'a [(String, String)]) -> &'a str {
    match written(reference, aliases) {
        Some(DEFAULT_ALIAS) | None => DEFAULT,
        Some(registry) => registry,
    }
}

/// Returns the registry that is written in `reference`, or in what its alias stands for. Of a short name without an
/// alias there is none.
pub fn written<'a>(reference: &'a str, aliases: &'a [(String, String)]) -> Option<&'a str> {
    let name = without_version(reference);
    let first = name.split_once('/').map_or("", |(first, _)| first);
    let is_short = !first.contains(['.', ':']) && first != "localhost";
    let alias = aliases.iter().find(|(short, _)| is_short && short == name);
    let name = alias.map_or(reference, |(_, long)| long);
    name.split_once('/').map(|(first, _)| first).filter(|first| is_registry(first))
}

/// Returns a name in the registry that a search for `term` goes to: the one that is written in it, as docker reads it, or
/// Docker Hub. An alias counts for nothing.
pub fn searched(term: &str) -> String {
    let first = term.trim().split_once('/').map(|(first, _)| first);
    let registry = first.filter(|first| first.contains(['.', ':']) || *first == "localhost");
    // A registry alone would be read as a path in the default one.
    format!("{}/", registry.unwrap_or(DEFAULT))
}

/// Returns the scheme and the host of an address of the web, with its port if it has one; none if it is something else.
pub fn address(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some((scheme, &rest[..end]))
}

/// Returns the host that answers for a registry, with its port if it has one.
pub fn host(registry: &str) -> &str {
    if registry.eq_ignore_ascii_case(DEFAULT) || registry.eq_ignore_ascii_case(DEFAULT_ALIAS) {
        DEFAULT_HOST
    } else {
        registry
    }
}

/// Returns whether a rule with this prefix may decide about references of `registry`: all of them, or some.
pub fn covers(prefix: &str, registry: &str) -> bool {
    if let Some(domain) = prefix.strip_prefix('*') {
        let address = registry.rfind(']').unwrap_or(0);
        let end = registry[address..].find(':').map_or(registry.len(), |at| address + at);
        return domain.starts_with('.') && [&registry[..end], registry].iter().any(|name| ends_with(name, domain));
    }
    let wanted = prefix.split_once('/').map_or(prefix, |(wanted, _)| wanted);
    wanted.is_empty() || wanted.eq_ignore_ascii_case(registry)
}

fn ends_with(name: &str, end: &str) -> bool {
    let (name, end) = (name.as_bytes(), end.as_bytes());
    name.len() > end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end)
}

/// Cuts off `:tag` and `@digest`.
fn without_version(text: &str) -> &str {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

/// Tells `ghcr.io` of `ghcr.io/org/app` from `org` of `org/app`, which is a path in the default registry.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_vocabulary::types::Origin;
    use wharf_vocabulary::vocabulary::{AskedFor, Capabilities, Endpoint, Rule};

    fn aliases() -> Vec<(String, String)> {
        let aliases =
            [("fedora", "registry.fedoraproject.org/fedora"), ("org/app", "lan:5000/app"), ("host.lan/a", "x.lan/a")];
        aliases.map(|(short, long)| (short.to_owned(), long.to_owned())).to_vec()
    }

    #[test]
    fn an_address_has_a_scheme_of_the_web() {
        for (text, expected) in [
            ("https://example.com/a", Some(("https", "example.com"))),
            ("HTTP://lan:5000?a", Some(("HTTP", "lan:5000"))),
            ("http://[::1]:80", Some(("http", "[::1]:80"))),
            ("file:///etc/passwd", None),
            ("root.tar", None),
        ] {
            assert_eq!(address(text), expected, "{text}");
        }
    }

    #[test]
    fn a_reference_names_one_registry() {
        for (reference, expected) in [
            ("alpine", "docker.io"),
            ("alpine:3.20", "docker.io"),
            ("localhost", "docker.io"),
            ("foo/bar", "docker.io"),
            ("foo/evil.example/bar", "docker.io"),
            ("docker.io/library/alpine", "docker.io"),
            ("index.docker.io/alpine", "docker.io"),
            ("registry-1.docker.io/library/alpine", "registry-1.docker.io"),
            ("ghcr.io/org/app@sha256:00", "ghcr.io"),
            ("registry.lan:5000/app", "registry.lan:5000"),
            ("registry.lan:5000/", "registry.lan:5000"),
            ("registry:5000/app", "registry:5000"),
            ("localhost/app", "localhost"),
            ("localhost:5000/app", "localhost:5000"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000"),
            ("[::1]:5000/app", "[::1]:5000"),
            ("Host/app", "Host"),
            ("fedora", "registry.fedoraproject.org"),
            ("fedora:40", "registry.fedoraproject.org"),
            ("fedora:40@sha256:00", "registry.fedoraproject.org"),
            ("org/app:1", "lan:5000"),
            ("fedora/app", "docker.io"),
            ("fedora2", "docker.io"),
            ("docker.io/fedora", "docker.io"),
            ("host.lan/a", "host.lan"),
        ] {
            assert_eq!(registry(reference, &aliases()), expected, "{reference}");
        }
    }

    #[test]
    fn a_search_goes_to_the_registry_that_is_written_or_to_docker_hub() {
        for (term, expected) in [
            ("fedora", "docker.io/"),
            ("org/app", "docker.io/"),
            ("Host/app", "docker.io/"),
            ("", "docker.io/"),
            (" lan:5000/app ", "lan:5000/"),
            ("localhost/app", "localhost/"),
            ("ghcr.io/", "ghcr.io/"),
            ("ghcr.io", "docker.io/"),
        ] {
            assert_eq!(searched(term), expected, "{term}");
        }
    }

    #[test]
    fn a_rule_covers_registries_by_whole_names() {
        for (prefix, registry, expected) in [
            ("", "docker.io", true),
            ("docker.io", "docker.io", true),
            ("Docker.io", "docker.io", true),
            ("docker.io/library", "docker.io", true),
            ("docker.io", "registry-1.docker.io", false),
            ("lan", "lan:5000", false),
            ("lan:5000/app:v1", "lan:5000", true),
            ("lan:5000", "lan", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.EXAMPLE.com:5000", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "aexample.com", false),
            ("*.com", "example.com.evil.example", false),
            ("*", "docker.io", false),
            ("**.example.com", "a.example.com", false),
            ("example.com", "example.com.evil.example", false),
            ("*.5000", "[fe80::1]:5000", false),
        ] {
            assert_eq!(covers(prefix, registry), expected, "{prefix:?} of {registry}");
        }
    }

    fn rule(prefix: &str, hosts: &[&str]) -> Rule {
        let endpoint = |host: &&str| Endpoint {
            origin: Origin { secure: true, authority: (*host).to_owned() },
            base: "/v2".to_owned(),
            path: None,
            capabilities: Capabilities::PULL,
            asked_for: AskedFor::All,
            mirror: true,
            names_registry: false,
        };
        Rule { prefix: prefix.to_owned(), blocked: false, endpoints: hosts.iter().map(endpoint).collect() }
    }

    #[test]
    fn a_call_may_reach_the_mirrors_of_its_own_registry_alone() {
        let access = Access {
            plain_http: Vec::new(),
            rules: vec![
                rule("docker.io", &["mirror.lan:5000", "10.0.0.1"]),
                rule("docker.io/library", &["MIRROR.lan:5000", "library.lan"]),
                rule("ghcr.io", &["ghcr.lan"]),
                rule("*.example.com", &["example.lan"]),
                rule("lan:5000", &["registry-1.docker.io"]),
            ],
            aliases: aliases(),
            retries: 0,
            silence_ms: 0,
        };
        for (reference, expected) in [
            ("alpine", &["registry-1.docker.io", "mirror.lan:5000", "10.0.0.1", "library.lan"][..]),
            ("ghcr.io/mirror.lan/docker.io", &["ghcr.io", "ghcr.lan"]),
            ("quay.io/org/app", &["quay.io"]),
            ("a.example.com:5000/app", &["a.example.com:5000", "example.lan"]),
            ("org/app:1", &["lan:5000", "registry-1.docker.io"]),
            ("fedora", &["registry.fedoraproject.org"]),
            ("mirror.lan:5000/app", &["mirror.lan:5000"]),
        ] {
            assert_eq!(registries(reference, &access), expected, "{reference}");
        }
        let every = Access { rules: vec![rule("", &["mirror.lan"])], ..access };
        assert_eq!(registries("quay.io/org/app", &every), ["quay.io", "mirror.lan"]);
    }
}
