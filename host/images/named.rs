//! Which registry a person means by a reference, so that the host can open what belongs to it and nothing else.
//!
//! It checks no grammar: the component does, with the same rule for what is a registry and what is a part of a path.
//! A text that breaks it names a registry that does not exist.

/// Where the registry of references answers that name none, or name it by one of its other names.
const DEFAULT: &str = "registry-1.docker.io";
const DEFAULT_NAMES: [&str; 2] = ["docker.io", "index.docker.io"];

/// Returns the host that answers for the registry of `reference`, with its port if one is written, as in
/// `registry.lan:5000`.
pub(super) fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if is_registry(first) && !DEFAULT_NAMES.contains(&first) => first,
        _ => DEFAULT,
    }
}

/// Tells `ghcr.io` of `ghcr.io/org/app` from `org` of `org/app`, which is a path in the default registry.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_one_registry() {
        for (reference, expected) in [
            ("alpine", "registry-1.docker.io"),
            ("alpine:3.20", "registry-1.docker.io"),
            ("localhost", "registry-1.docker.io"),
            ("foo/bar", "registry-1.docker.io"),
            ("foo/evil.example/bar", "registry-1.docker.io"),
            ("docker.io/library/alpine", "registry-1.docker.io"),
            ("index.docker.io/alpine", "registry-1.docker.io"),
            ("registry-1.docker.io/library/alpine", "registry-1.docker.io"),
            ("ghcr.io/org/app@sha256:00", "ghcr.io"),
            ("registry.lan:5000/app", "registry.lan:5000"),
            ("registry:5000/app", "registry:5000"),
            ("localhost/app", "localhost"),
            ("localhost:5000/app", "localhost:5000"),
            ("127.0.0.1:5000/app", "127.0.0.1:5000"),
            ("[::1]:5000/app", "[::1]:5000"),
            ("Host/app", "Host"),
        ] {
            assert_eq!(registry(reference), expected, "{reference}");
        }
    }
}
