//! The tables of other projects about scopes, against what a token server is asked for.

use super::{bearer, credentials, registry, tokens};
use crate::network::network;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use wharf::credentials::Visit;

/// What oras does with scopes, and wharf does not: a scope goes to the token server as the registry wrote it.
const CLEANED: [(&str, &[usize]); 2] =
    [("scope_clean", &[3, 4, 5, 8, 9]), ("scope_clean_actions", &[0, 1, 3, 5, 7, 8, 9])];

fn table<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let text = include_str!("../data/vectors/registry_client.json");
    let mut file: serde_json::Value = serde_json::from_str(text).expect("the file is JSON");
    serde_json::from_value(file["vectors"][name].take()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns the scopes that are asked for when a challenge has these.
async fn asked(scopes: &[String]) -> Vec<String> {
    let server = registry();
    let (network, origin) = (network(&server.authority()), server.origin());
    let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
    let credentials = credentials(&network, &origin, None);
    let grant = credentials.authorize(&origin, None, &bearer(&server, &scopes), Visit::WithLogin).await;
    assert!(grant.expect("a grant").anonymous());
    let requests = tokens(&server);
    let [request] = &requests[..] else { panic!("{requests:?}") };
    let query = request.line.split(['?', ' ']).nth(2).unwrap_or_default();
    let scope = |pair: &str| Some(pair.strip_prefix("scope=")?.to_owned());
    let decoded = |text: String| text.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",").replace("%2A", "*");
    query.split('&').filter_map(scope).map(decoded).collect()
}

/// Compares the rows that are not excluded, and shows that the others do differ.
async fn compare(name: &str, rows: impl IntoIterator<Item = (Vec<String>, Vec<String>)>) -> (usize, usize) {
    let excluded = CLEANED.iter().find(|(other, _)| *other == name).map_or(&[][..], |(_, rows)| rows);
    let (mut compared, mut left) = (0, 0);
    for (index, (scopes, expected)) in rows.into_iter().enumerate() {
        let found = asked(&scopes).await;
        if excluded.contains(&index) {
            assert_ne!(found, expected, "{name}[{index}] needs no exception");
            left += 1;
        } else {
            assert_eq!(found, expected, "{name}[{index}]");
            compared += 1;
        }
    }
    (compared, left)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Merged {
    scopes_in_ctx: Option<Vec<String>>,
    common_scopes: Option<Vec<String>>,
    expected: Option<Vec<String>>,
}

#[tokio::test]
async fn each_scope_is_asked_for_once_and_in_order_as_by_containerd() {
    let rows = table::<Merged>("token_scopes").into_iter().map(|row| {
        let scopes = row.scopes_in_ctx.into_iter().chain(row.common_scopes).flatten().collect();
        (scopes, row.expected.unwrap_or_default())
    });
    assert_eq!(compare("token_scopes", rows).await, (6, 0));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cleaned {
    #[serde(rename = "name")]
    _name: String,
    #[serde(alias = "actions")]
    scopes: Option<Vec<String>>,
    want: Option<Vec<String>>,
}

#[tokio::test]
async fn scopes_that_need_no_cleaning_are_asked_for_as_by_oras() {
    let rows = table::<Cleaned>("scope_clean")
        .into_iter()
        .map(|row| (row.scopes.unwrap_or_default(), row.want.unwrap_or_default()));
    assert_eq!(compare("scope_clean", rows).await, (5, 5));

    // Actions are part of a scope; without any, oras has no scope.
    let scope = |actions: Vec<String>| format!("repository:foo:{}", actions.join(","));
    let rows = table::<Cleaned>("scope_clean_actions").into_iter().map(|row| {
        let want = row.want.filter(|actions| !actions.is_empty());
        (vec![scope(row.scopes.unwrap_or_default())], want.into_iter().map(scope).collect())
    });
    assert_eq!(compare("scope_clean_actions", rows).await, (3, 7));
}
