//! To which token servers a registry may send its clients.
//!
//! A registry names its token server in the challenge, and whoever can write that header could name his own. So a login
//! goes to the registry's own host, or to one that is known to serve it; nothing is learnt from the wire. Without a
//! login there is nothing to lose, and any server that TLS protects will do. Whether an address may be reached at all
//! is the network's question.

use super::Error;
use super::Origin;
use url::Url;

/// Registries whose token server is on another host. Both are reached by TLS on its own port.
const KNOWN: [(&str, &str); 5] = [
    ("registry-1.docker.io", "auth.docker.io"),
    ("index.docker.io", "auth.docker.io"),
    ("docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
    ("docker.elastic.co", "docker-auth.elastic.co"),
];

/// Who would send the token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visitor {
    /// Somebody with a login, which the request carries.
    LoggedIn,
    /// Somebody without: the request carries no secret.
    Anonymous,
}

/// The rule, with the pairs that a user added.
#[derive(Debug)]
pub(super) struct Realms {
    added: Vec<(Origin, Origin)>,
}

impl Realms {
    /// Takes pairs of a registry and a token server, each as in `registry.example.com` or `registry.example.com:5000`.
    ///
    /// Fails with [`Error::Settings`] if one is not a host with an optional port.
    pub(super) fn new(added: &[(String, String)]) -> Result<Self, Error> {
        let read = |authority: &String| {
            Origin::new(true, authority)
                .map_err(|error| Error::Settings { why: format!("a token server of a registry: {error}") })
        };
        let added =
            added.iter().map(|(registry, realm)| Ok((read(registry)?, read(realm)?))).collect::<Result<_, _>>()?;
        Ok(Self { added })
    }

    /// Returns the URL of the realm if `registry` may send its clients there: by `https` to its own host, whatever the
    /// port, or to one that is known to belong to it, and without a login anywhere; by `http` only to the same host,
    /// and only from a registry that is itself reached by `http`.
    ///
    /// Fails with [`Error::Denied`], or with [`Error::Challenge`] if it is not a URL.
    pub(super) fn check(&self, registry: &Origin, realm: &str, visitor: Visitor) -> Result<Url, Error> {
        let invalid = |why: &str| Error::Challenge { registry: registry.authority(), why: why.to_owned() };
        let mut url = Url::parse(realm).map_err(|_| invalid("the realm is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("the realm is not an HTTP URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("the realm carries a login"));
        }
        let server = Origin::of(&url).map_err(|_| invalid("the realm names no host"))?;
        let why = match visitor {
            _ if self.belongs(registry, &server) => None,
            _ if !server.is_secure() => Some("which is not reached by TLS".to_owned()),
            Visitor::Anonymous => None,
            Visitor::LoggedIn => Some(format!(
                "on another host, where the login for `{0}` is not sent; if the one belongs to the other, say so with \
                 `--token-server {0}={1}`; what is public can be pulled after `wharf logout {0}`",
                registry.authority(),
                server.authority()
            )),
        };
        if let Some(why) = why {
            return Err(Error::Denied { why: format!("`{registry}` names `{server}` as its token server, {why}") });
        }
        url.set_fragment(None);
        Ok(url)
    }

    fn belongs(&self, registry: &Origin, server: &Origin) -> bool {
        let same_host = registry.host() == server.host();
        if !server.is_secure() {
            return same_host && !registry.is_secure();
        }
        let known = |&(from, to): &(&str, &str)| registry.authority() == from && server.authority() == to;
        same_host
            || (registry.is_secure() && KNOWN.iter().any(known))
            || self.added.iter().any(|(from, to)| from == registry && to == server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The registry, the realm, and the URL that is asked or the beginning of the refusal.
    const ROWS: [(&str, &str, Result<&str, &str>); 33] = [
        ("https://registry.lan", "https://registry.lan/token", Ok("https://registry.lan/token")),
        ("https://registry.lan", "https://REGISTRY.lan:443/token", Ok("https://registry.lan/token")),
        ("https://registry.lan", "https://registry.lan:8443/token", Ok("https://registry.lan:8443/token")),
        ("https://registry.lan:5000", "https://registry.lan/token", Ok("https://registry.lan/token")),
        ("https://registry.lan", "https://registry.lan/token?a=b#c", Ok("https://registry.lan/token?a=b")),
        ("https://10.0.0.1", "https://10.0.0.1/auth", Ok("https://10.0.0.1/auth")),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", Ok("https://auth.docker.io/token")),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", Ok("https://gitlab.com/jwt/auth")),
        ("https://registry.example", "https://login.example/token", Ok("https://login.example/token")),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/auth", Ok("http://127.0.0.1:5000/auth")),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/auth", Ok("http://127.0.0.1:5001/auth")),
        ("http://127.0.0.1:5000", "http://0x7f.1:5001/auth", Ok("http://127.0.0.1:5001/auth")),
        ("http://127.0.0.1:5000", "https://127.0.0.1/auth", Ok("https://127.0.0.1/auth")),
        ("http://[::1]:5000", "http://[::1]:5000/auth", Ok("http://[::1]:5000/auth")),
        ("https://registry.lan", "http://registry.lan/token", Err("denied")),
        ("https://127.0.0.1:5000", "http://127.0.0.1:5000/auth", Err("denied")),
        ("https://registry.lan", "https://evil.lan/token", Err("denied")),
        ("https://registry.lan", "https://registry.lan.evil/token", Err("denied")),
        ("https://registry.lan", "https://sub.registry.lan/token", Err("denied")),
        ("https://sub.registry.lan", "https://registry.lan/token", Err("denied")),
        ("https://registry.lan", "https://registry.lan./token", Err("denied")),
        ("https://registry.example", "http://login.example/token", Err("denied")),
        ("https://registry.example", "https://login.example:8443/token", Err("denied")),
        ("https://other.example", "https://login.example/token", Err("denied")),
        ("https://registry.lan", "https://auth.docker.io/token", Err("denied")),
        ("http://registry-1.docker.io", "https://auth.docker.io/token", Err("denied")),
        ("https://registry-1.docker.io:8443", "https://auth.docker.io/token", Err("denied")),
        ("http://127.0.0.1:5000", "http://127.0.0.2:5000/auth", Err("denied")),
        ("https://registry.lan", "https://169.254.169.254/auth", Err("denied")),
        ("https://registry.lan", "https://ann:secret@registry.lan/token", Err("challenge")),
        ("https://registry.lan", "/token", Err("challenge")),
        ("https://registry.lan", "file:///etc/passwd", Err("challenge")),
        ("https://registry.lan", "https://", Err("challenge")),
    ];

    fn origin(registry: &str) -> Origin {
        let (scheme, authority) = registry.split_once("://").expect("a row has a URL");
        Origin::new(scheme == "https", authority).expect("a row has an authority")
    }

    #[test]
    fn a_registry_sends_logins_only_to_its_own_token_server() {
        let realms = Realms::new(&[("registry.example".to_owned(), "login.example".to_owned())]).expect("hosts");
        for (registry, realm, expected) in ROWS {
            let origin = origin(registry);
            match (realms.check(&origin, realm, Visitor::LoggedIn), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
                (Err(Error::Denied { why }), Err("denied")) => {
                    let host = Origin::of(&Url::parse(realm).expect("a URL")).expect("an origin").to_string();
                    assert!(why.contains(&host) && why.contains(registry), "{why}");
                }
                (Err(Error::Challenge { why, .. }), Err("challenge")) => assert!(!why.contains("secret"), "{why}"),
                (outcome, expected) => panic!("{registry} {realm}: {outcome:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn without_a_login_only_plain_http_to_another_host_is_refused() {
        let realms = Realms::new(&[]).expect("hosts");
        for (registry, realm, expected) in [
            ("https://registry.lan", "https://login.other/token", Some("https://login.other/token")),
            ("https://registry.lan", "https://sub.registry.lan:8443/a?b#c", Some("https://sub.registry.lan:8443/a?b")),
            ("http://127.0.0.1:5000", "https://login.other/token", Some("https://login.other/token")),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", Some("http://127.0.0.1:5001/token")),
            ("http://127.0.0.1:5000", "http://127.0.0.2:5000/token", None),
            ("https://registry.lan", "http://registry.lan/token", None),
            ("https://registry.lan", "http://login.other/token", None),
            ("https://registry.lan", "https://ann:secret@login.other/token", None),
            ("https://registry.lan", "ftp://login.other/token", None),
        ] {
            let outcome = realms.check(&origin(registry), realm, Visitor::Anonymous);
            assert_eq!(outcome.ok().as_ref().map(Url::as_str), expected, "{registry} {realm}");
        }
    }

    /// The name of a row of another project's table, and why it is not run.
    const EXCLUDED: [(&str, &str); 1] = [(
        "same loopback host but different port still blocked",
        "a registry without TLS may have its token server on another port: whoever trusts the wire to a host trusts it \
         for both",
    )];

    #[test]
    fn the_tables_of_other_projects_about_realms_hold() {
        let text = include_str!("../../tests/data/vectors/registry_client.json");
        let document: serde_json::Value = serde_json::from_str(text).expect("the tables are JSON");
        let table = |name: &str| document["vectors"][name].as_array().expect("the table is there").clone();
        let realms = Realms::new(&[]).expect("hosts");
        let text = |row: &serde_json::Value, field: &str| row[field].as_str().expect("a row has it").to_owned();
        let (mut run, mut left) = (0, 0);
        for row in table("realm_url_same_host") {
            let name = text(&row, "name");
            if EXCLUDED.iter().any(|(excluded, _)| name == *excluded) {
                left += 1;
                continue;
            }
            let registry = Origin::new(row["insecure"] != true, &text(&row, "registryHost")).expect("an authority");
            let outcome = realms.check(&registry, &text(&row, "realm"), Visitor::LoggedIn);
            assert_eq!(outcome.is_err(), row["wantErr"] == true, "{name}: {outcome:?}");
            run += 1;
        }
        assert_eq!((run, left), (6, EXCLUDED.len()));

        // The rows are about any registry. With a login it goes to none of them; without, the addresses are the
        // network's question, which `tests/credentials/realms.rs` asks.
        let registry = Origin::new(true, "registry.lan").expect("an authority");
        let rows = table("realm_url_unspecified_addr");
        for row in &rows {
            let realm = text(row, "realm");
            assert!(realms.check(&registry, &realm, Visitor::LoggedIn).is_err(), "{realm}");
            assert!(realms.check(&registry, &realm, Visitor::Anonymous).is_ok(), "{realm}");
        }
        assert_eq!(rows.len(), 8);
    }
}
