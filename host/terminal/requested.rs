//! Which images a request of the Docker Engine API is about, so that the host can open the registries that whoever asks
//! has named, and no others. What the request means besides is the component's matter.

use percent_encoding::percent_decode_str;

/// Where docker's clients log in if they name no registry.
const HUB: &str = "docker.io";

/// Returns the references, or registries with a slash at the end, that a request for `target` names, as in
/// `/v1.41/images/create?fromImage=alpine&tag=3.20`. Those that only mean what is here are among them.
pub fn references(target: &str) -> Vec<String> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Ok(path) = percent_decode_str(path).decode_utf8() else { return Vec::new() };
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let segments = match segments.as_slice() {
        [version, rest @ ..] if version.starts_with('v') && version.contains('.') => rest,
        all => all,
    };
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find_map(|(key, value)| (key == name && !value.is_empty()).then(|| value.into_owned()))
    };
    match segments {
        // Clients that want every tag may send the name with an empty one.
        ["images", "create"] => {
            value("fromImage").map(|name| name.strip_suffix(':').unwrap_or(&name).to_owned()).into_iter().collect()
        }
        ["images", "search"] => value("term").map(|term| crate::named::searched(&term)).into_iter().collect(),
        ["images", name @ .., "push"] | ["distribution", name @ .., "json"] => vec![name.join("/")],
        _ => Vec::new(),
    }
}

/// Returns the authority of an archive that a request has fetched, as in `files.lan:8080`.
pub fn authority(target: &str) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    let path = percent_decode_str(path).decode_utf8().ok()?;
    if !path.ends_with("/images/create") {
        return None;
    }
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, address) = pairs.find(|(key, value)| key == "fromSrc" && !value.is_empty())?;
    Some(crate::named::address(&address)?.1.to_owned())
}

/// Returns the registry that the address of a login means, as in `docker.io` or `registry.lan:5000`.
pub fn registry(address: &str) -> &str {
    let address = address.trim();
    let address = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    match address.split('/').next() {
        None | Some("" | "index.docker.io") => HUB,
        Some(authority) => authority,
    }
}

/// Whether a request asks to log in: then its body is a login.
pub fn is_login(target: &str) -> bool {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    // The component reads it decoded, and so what is decided here has to be.
    let Ok(path) = percent_decode_str(path).decode_utf8() else { return false };
    path.strip_suffix("/auth").is_some_and(|version| version.is_empty() || version.starts_with("/v"))
}

/// Whether the answer to a request may have no end: whoever asks follows what happens.
pub fn is_endless(target: &str) -> bool {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    // As for logins: a follower must not have the turn of another request.
    let Ok(path) = percent_decode_str(path).decode_utf8() else { return false };
    path.strip_suffix("/events").is_some_and(|version| version.is_empty() || version.starts_with("/v"))
}

/// Returns the body of such a request without what is secret of it.
pub fn login_shown(registry: &str) -> String {
    serde_json::json!({ "serveraddress": registry }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_what_it_brings() {
        let rows: [(&str, &[&str]); 11] = [
            ("/v1.41/images/create?fromImage=alpine&tag=3.20", &["alpine"]),
            ("/images/create?fromImage=registry.lan%3A5000%2Fapp%3A", &["registry.lan:5000/app"]),
            ("/images/create?fromImage=alpine:&tag=3.20", &["alpine"]),
            ("/images/create?fromImage=registry.lan%3A5000%2Fapp", &["registry.lan:5000/app"]),
            ("/images/create?fromSrc=-", &[]),
            ("/v1.41/images/registry.lan:5000/org/app/push?tag=1", &["registry.lan:5000/org/app"]),
            ("/v1.41/images/registry.lan%3A5000%2Fapp/push", &["registry.lan:5000/app"]),
            ("/distribution/ghcr.io/org/app:1/json", &["ghcr.io/org/app:1"]),
            ("/images/search?term=registry.lan:5000/app", &["registry.lan:5000/"]),
            ("/images/alpine/json", &[]),
            ("/v1.41/images/json?filters=%7B%7D", &[]),
        ];
        for (target, expected) in rows {
            assert_eq!(references(target), expected, "{target}");
        }
    }

    #[test]
    fn an_archive_may_come_from_an_address() {
        let found = |query: &str| authority(&format!("/v1.41/images/create?{query}"));
        assert_eq!(found("fromSrc=http%3A%2F%2Ffiles.lan%3A8080%2Froot.tar"), Some("files.lan:8080".to_owned()));
        assert_eq!(found("fromSrc=-"), None);
        assert_eq!(authority("/images/json?fromSrc=http%3A%2F%2Ffiles.lan"), None);
    }

    #[test]
    fn an_address_of_a_login_means_a_registry() {
        let rows = [
            ("", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry.lan:5000", "registry.lan:5000"),
            ("https://ghcr.io/v2/", "ghcr.io"),
        ];
        for (address, expected) in rows {
            assert_eq!(registry(address), expected, "{address}");
        }
    }

    #[test]
    fn only_events_have_no_end() {
        let rows = [
            ("/events", true),
            ("/v1.41/events", true),
            ("/v1.41/events?since=1h", true),
            ("/event%73", true),
            ("/v1%2E41/%65vents?since=1h", true),
            ("/images/events", false),
            ("/events%3F", false),
        ];
        for (target, expected) in rows {
            assert_eq!(is_endless(target), expected, "{target}");
        }
    }

    #[test]
    fn only_the_route_of_logins_has_a_body_of_secrets() {
        let rows = [
            ("/auth", true),
            ("/v1.41/auth", true),
            ("/v1.41/auth?x", true),
            ("/v1.41/%61uth", true),
            ("/images/auth", false),
        ];
        for (target, expected) in rows {
            assert_eq!(is_login(target), expected, "{target}");
        }
    }
}
