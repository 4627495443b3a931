//! The tables of other registry clients, each with who checks it: nothing in
//! the file is left over. The rows that are excluded, with the reasons, are in
//! `tests/vectors/registry_client.rs`; the sums over all of them are here.

use super::read;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use wharf_vectors::Report;

/// Rows of the file, in its 51 tables.
pub(super) const ROWS: usize = 468;
/// Rows that are excluded.
pub(super) const EXCLUDED: usize = 87;
/// Rows that need the host, and are checked in its tests.
pub(super) const ELSEWHERE: usize = 150;

/// The component's protocol: natively, and inside the sandbox.
const VECTORS: &str = "tests/vectors/registry_client.rs";
const LOGINS: &str = "tests/credentials/tables.rs";
const SCOPES: &str = "tests/credentials/scopes.rs";
const REALMS: &str = "host/credentials/realm.rs";
const FILES: &str = "tests/configuration/tables.rs";
const REWRITING: &str = "tests/configuration/rewriting.rs";
const SOCKETS: &str = "tests/network/tables.rs";

/// Each table: its rows, how many of them pass, how many are excluded, and where
/// the others are checked.
const TABLES: [(&str, usize, usize, usize, &str); 51] = [
    ("auth_key_lookup_order", 5, 5, 0, LOGINS),
    ("authconfig_json", 7, 7, 0, LOGINS),
    ("blob_size_headers", 8, 7, 1, VECTORS),
    ("body_reader_reconnect", 5, 4, 1, VECTORS),
    ("canonical_address", 8, 7, 1, VECTORS),
    ("challenge_containerd_oracle", 25, 22, 3, VECTORS),
    ("challenge_oras", 13, 13, 0, VECTORS),
    ("content_range_invalid", 12, 12, 0, VECTORS),
    ("content_range_valid", 3, 3, 0, VECTORS),
    ("content_type_simplify", 9, 8, 1, VECTORS),
    ("credential_interop", 7, 7, 0, LOGINS),
    ("credential_scope_isolation_oras", 4, 3, 1, LOGINS),
    ("cri_parse_auth", 6, 6, 0, LOGINS),
    ("cri_registry_endpoints", 6, 6, 0, FILES),
    ("default_scheme_cri", 9, 7, 2, VECTORS),
    ("distribution_source_label", 6, 0, 6, VECTORS),
    ("dockerconfig_keychain_paths", 5, 5, 0, LOGINS),
    ("error_responses", 6, 6, 0, VECTORS),
    ("foreign_layer_url", 10, 10, 0, SOCKETS),
    ("forwarded_header", 16, 0, 16, VECTORS),
    ("http_fallback", 13, 8, 5, VECTORS),
    ("insecure_registries", 11, 11, 0, FILES),
    ("is_rfc1918", 6, 6, 0, SOCKETS),
    // Five of the twelve are about loopback addresses, which are the component's.
    ("is_secure_index", 14, 12, 2, FILES),
    ("limit_size_oras", 6, 3, 3, VECTORS),
    ("link_header", 8, 6, 2, VECTORS),
    ("manifest_unknown_responses", 4, 4, 0, VECTORS),
    ("match_localhost", 13, 11, 2, SOCKETS),
    ("max_download_attempts", 4, 4, 0, VECTORS),
    ("mirror_prefix_match", 18, 18, 0, VECTORS),
    ("mirror_rewrite", 13, 13, 0, REWRITING),
    ("mirror_rewrite_fail", 12, 12, 0, VECTORS),
    ("mirror_subdomain_match", 16, 16, 0, VECTORS),
    ("mirror_validate", 21, 21, 0, FILES),
    ("push_permission_status", 4, 0, 4, VECTORS),
    ("realm_url_same_host", 7, 6, 1, REALMS),
    ("realm_url_unspecified_addr", 8, 8, 0, SOCKETS),
    ("redirect_ssrf", 4, 4, 0, VECTORS),
    ("referrers_tag", 5, 0, 5, VECTORS),
    ("registry_scheme", 13, 10, 3, VECTORS),
    ("retry_backoff_oras", 6, 0, 6, VECTORS),
    ("scope_clean", 10, 5, 5, SCOPES),
    ("scope_clean_actions", 10, 3, 7, SCOPES),
    ("scope_repository", 6, 1, 5, VECTORS),
    ("temporary_errors_ggcr", 6, 4, 2, VECTORS),
    ("token_body_podman", 4, 4, 0, LOGINS),
    ("token_scopes", 6, 6, 0, SCOPES),
    ("url_sanitize_for_logs", 5, 2, 3, VECTORS),
    ("warning_header_containerd", 24, 24, 0, VECTORS),
    ("warning_header_oras", 12, 12, 0, VECTORS),
    ("warning_header_podman", 9, 9, 0, VECTORS),
];

#[test]
fn every_table_has_somebody_who_checks_it() {
    let file: Value = serde_json::from_str(&read("registry_client")).expect("the file is JSON");
    let tables = file["vectors"].as_object().expect("the file has tables");
    let rows = |table: &Value| table.as_array().expect("a table has rows").len();
    let found: BTreeMap<_, _> = tables.iter().map(|(name, table)| (name.as_str(), rows(table))).collect();
    let listed: BTreeMap<_, _> = TABLES.iter().map(|(name, rows, ..)| (*name, *rows)).collect();
    assert_eq!(found, listed);
    for (name, rows, passed, excluded, file) in TABLES {
        assert_eq!(rows, passed + excluded, "{name}");
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("the test is there");
        assert!(text.contains(&format!("\"{name}\"")), "`{file}` does not mention {name}");
    }
    let sum = |count: fn(&(&str, usize, usize, usize, &str)) -> usize| TABLES.iter().map(count).sum::<usize>();
    assert_eq!((sum(|table| table.1), sum(|table| table.2), sum(|table| table.3)), (ROWS, ROWS - EXCLUDED, EXCLUDED));
}

#[test]
fn the_list_of_tables_says_what_the_report_says() {
    let report = wharf_vectors::run("registry_client", &read("registry_client")).expect("the file is a table");
    let Report { excluded, elsewhere, .. } = &report;
    assert_eq!((report.rows, excluded.len(), elsewhere.len()), (ROWS, EXCLUDED, ELSEWHERE));
    for (name, rows, _, left_out, file) in TABLES {
        let of_table = |list: &[(String, &'static str)]| -> Vec<&'static str> {
            list.iter().filter(|(row, _)| row.split('[').next() == Some(name)).map(|(_, text)| *text).collect()
        };
        assert_eq!(of_table(excluded).len(), left_out, "{name}");
        let left = of_table(elsewhere);
        assert_eq!(left.is_empty(), file == VECTORS, "{name}");
        assert!(left.iter().all(|other| *other == file), "{name}: {left:?}");
        assert!(left.len() + left_out <= rows, "{name}");
    }
}
