//! The tables of other registry clients about registries: challenges, scopes,
//! schemes, mirrors, headers, errors and patience, against wharf's protocol.
//!
//! The rows that are about files, logins and sockets are checked where those
//! are, in the host's tests: [`ELSEWHERE`] says where. What the others say
//! about pushing, about servers, or as a policy of their own is named here row
//! by row, with the reason.

mod answers;
mod endpoints;
mod headers;
mod script;

use crate::{Report, vectors};
use serde_json::Value;
use std::collections::BTreeMap;

const PUSH: &str = "it is about pushing, which this release does not do";
const REFERRERS: &str = "it is about artifacts that are attached to images, which this release does not look for";
const SERVER: &str = "registries read this header, clients do not send it";
const FIRST_ONLY: &str =
    "containerd reads the first challenge of a header only, and RFC 9110 section 11.6.1 lets it have several";
const SPACES: &str =
    "containerd stops at spaces around `=`, which RFC 9110 section 11.2 allows; the rows of oras about them pass";
const OWN_SCOPES: &str = "wharf's own scope is for pulling alone; scopes for more belong to pushing";
const SCOPES: &str =
    "oras rewrites scopes; here they go to the token server as the registry wrote them, as in containerd";
const ANY_PORT: &str = "the token server of a registry without TLS may be on another port of the same host";
const LOOPBACK: &str = "loopback addresses are spoken to without TLS, as in docker, and not by TLS first";
const BELOW_LOCALHOST: &str = "names below `localhost` may be resolved elsewhere, so they are spoken to by TLS";
const PRIVATE: &str = "a private address is no reason to do without TLS: somebody has to ask for that";
const BARE_IPV6: &str = "an IPv6 address without brackets names no registry: RFC 3986 section 3.2.2";
const NO_REGISTRY: &str = "a name without a dot or a port is a namespace of docker.io, and no registry, as in docker";
const INSECURE_80: &str = "whoever is listed as insecure is asked by TLS first, on port 80 too, as in docker";
const EMPTY_PORT: &str = "an empty port is that of the scheme: RFC 3986 section 6.2.3";
const DEFAULT_PORT: &str = "with TLS, a host with and without port 443 is one origin, and a login goes to an origin";
const RESOLVED: &str = "a name is not resolved to find out whether it needs TLS: whoever answers for it would decide";
const SHOWN_QUERY: &str = "no part of a query is shown, whatever its name is: it may hold a signature";
const NO_LINK: &str = "what is no link is not followed, and no error: RFC 8288 appendix B.2";
const TWO_LENGTHS: &str = "a response that declares two lengths is refused: RFC 9112 section 6.3";
const NO_TYPE: &str = "a manifest that is declared as something that is no type is refused, and not guessed at";
const PROGRESS: &str = "whether a download goes on depends on whether bytes arrive, and not on how fast they did";
const BACK_OFF: &str = "these are oras' constants; wharf waits for a random time below 1 s · 2ⁿ, at most 30 s";
const OWN_LIMITS: &str = "limits are constants, one for each kind of document, and not chosen by callers";

/// The rows that are excluded, by table and index.
const EXCLUDED: [(&str, &[usize], &str); 30] = [
    ("push_permission_status", &[0, 1, 2, 3], PUSH),
    ("distribution_source_label", &[0, 1, 2, 3, 4, 5], PUSH),
    ("temporary_errors_ggcr", &[1, 2], PUSH),
    ("referrers_tag", &[0, 1, 2, 3, 4], REFERRERS),
    ("forwarded_header", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], SERVER),
    ("challenge_containerd_oracle", &[6, 24], SPACES),
    ("challenge_containerd_oracle", &[15], FIRST_ONLY),
    ("scope_repository", &[1, 2, 3, 4, 5], OWN_SCOPES),
    ("scope_clean", &[3, 4, 5, 8, 9], SCOPES),
    ("scope_clean_actions", &[0, 1, 3, 5, 7, 8, 9], SCOPES),
    ("realm_url_same_host", &[1], ANY_PORT),
    ("registry_scheme", &[0], BELOW_LOCALHOST),
    ("registry_scheme", &[9], BARE_IPV6),
    ("registry_scheme", &[12], PRIVATE),
    ("default_scheme_cri", &[4], BARE_IPV6),
    ("default_scheme_cri", &[6], NO_REGISTRY),
    ("http_fallback", &[3], INSECURE_80),
    ("http_fallback", &[6, 10, 11], LOOPBACK),
    ("http_fallback", &[12], BARE_IPV6),
    ("canonical_address", &[4], BARE_IPV6),
    ("match_localhost", &[10, 11], EMPTY_PORT),
    ("credential_scope_isolation_oras", &[3], DEFAULT_PORT),
    ("is_secure_index", &[8, 9], RESOLVED),
    ("url_sanitize_for_logs", &[1, 2, 4], SHOWN_QUERY),
    ("link_header", &[6, 7], NO_LINK),
    ("blob_size_headers", &[5], TWO_LENGTHS),
    ("content_type_simplify", &[8], NO_TYPE),
    ("body_reader_reconnect", &[3], PROGRESS),
    ("retry_backoff_oras", &[0, 1, 2, 3, 4, 5], BACK_OFF),
    ("limit_size_oras", &[0, 1, 2], OWN_LIMITS),
];

/// The rows that other tests check: by table and, where not all of them are
/// meant, index, with the file.
const ELSEWHERE: [(&str, Option<&[usize]>, &str); 20] = [
    ("auth_key_lookup_order", None, "tests/credentials/tables.rs"),
    ("authconfig_json", None, "tests/credentials/tables.rs"),
    ("credential_interop", None, "tests/credentials/tables.rs"),
    ("credential_scope_isolation_oras", None, "tests/credentials/tables.rs"),
    ("cri_parse_auth", None, "tests/credentials/tables.rs"),
    ("dockerconfig_keychain_paths", None, "tests/credentials/tables.rs"),
    ("token_body_podman", None, "tests/credentials/tables.rs"),
    ("scope_clean", None, "tests/credentials/scopes.rs"),
    ("scope_clean_actions", None, "tests/credentials/scopes.rs"),
    ("token_scopes", None, "tests/credentials/scopes.rs"),
    ("realm_url_same_host", None, "host/credentials/realm.rs"),
    ("cri_registry_endpoints", None, "tests/configuration/tables.rs"),
    ("insecure_registries", None, "tests/configuration/tables.rs"),
    ("is_secure_index", Some(&[0, 3, 6, 10, 11, 12, 13]), "tests/configuration/tables.rs"),
    ("mirror_validate", None, "tests/configuration/tables.rs"),
    ("mirror_rewrite", None, "tests/configuration/rewriting.rs"),
    ("foreign_layer_url", None, "tests/network/tables.rs"),
    ("is_rfc1918", None, "tests/network/tables.rs"),
    ("match_localhost", None, "tests/network/tables.rs"),
    ("realm_url_unspecified_addr", None, "tests/network/tables.rs"),
];

/// Checks `registry_client`.
pub(crate) fn registry_client(json: &str) -> Result<Report, String> {
    let mut report = Report::new("registry_client");
    for (table, rows) in vectors::<BTreeMap<String, Vec<Value>>>(json)? {
        for (index, value) in rows.into_iter().enumerate() {
            let name = format!("{table}[{index}]");
            let excluded = EXCLUDED.iter().find(|(other, rows, _)| *other == table && rows.contains(&index));
            let elsewhere = ELSEWHERE
                .iter()
                .find(|(other, rows, _)| *other == table && rows.is_none_or(|rows| rows.contains(&index)));
            match (excluded, elsewhere) {
                (Some((_, _, why)), _) => report.exclude(name, why),
                (None, Some((_, _, file))) => report.leave(name, file),
                (None, None) => report.count(name, check(&table, value)),
            }
        }
    }
    Ok(report)
}

fn check(table: &str, value: Value) -> Result<(), String> {
    match table {
        "blob_size_headers" => answers::blob_size(value),
        "body_reader_reconnect" => answers::reconnect(value),
        "canonical_address" => endpoints::canonical_address(value),
        "challenge_containerd_oracle" => headers::challenge_containerd(value),
        "challenge_oras" => headers::challenge_oras(value),
        "content_range_invalid" => headers::content_range_invalid(value),
        "content_range_valid" => headers::content_range_valid(value),
        "content_type_simplify" => headers::content_type(value),
        "default_scheme_cri" => endpoints::default_scheme(value),
        "error_responses" => answers::error(value),
        "http_fallback" => endpoints::fallback(value),
        "is_secure_index" => endpoints::secure_index(value),
        "limit_size_oras" => answers::limit(value),
        "link_header" => answers::link(value),
        "manifest_unknown_responses" => answers::manifest_unknown(value),
        "max_download_attempts" => answers::attempts(value),
        "mirror_prefix_match" | "mirror_subdomain_match" => endpoints::prefix(value),
        "mirror_rewrite_fail" => endpoints::rewrite_fail(value),
        "redirect_ssrf" => endpoints::redirect(value),
        "registry_scheme" => endpoints::registry_scheme(value),
        "scope_repository" => answers::scope(value),
        "temporary_errors_ggcr" => answers::temporary(value),
        "url_sanitize_for_logs" => headers::shown_url(value),
        "warning_header_containerd" | "warning_header_podman" => headers::warning(value),
        "warning_header_oras" => headers::warning_oras(value),
        _ => Err("there is no check for this table".to_owned()),
    }
}
