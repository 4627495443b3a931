//! What a registry's answers are taken for, and how often it is asked: seen
//! from what a repository returns and the requests that it sends.

use super::endpoints::{itself, listing};
use super::script::{Reply, Script, run};
use crate::{equal, row};
use serde::Deserialize;
use serde_json::Value;
use wharf_component::host::Challenge;
use wharf_component::nouns::access::Access;
use wharf_component::nouns::descriptor::Descriptor;
use wharf_component::nouns::digest::{Algorithm, Digest};
use wharf_component::nouns::problem::ErrorCode;
use wharf_component::registry::{Failure, Phase, Sent, Watch};

const REGISTRY: &str = "registry.example";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const INDEX: &str = r#"{"schemaVersion":2,"manifests":[]}"#;

/// Does not care.
struct Nobody;

impl Watch for Nobody {
    fn progress(&self, _: Phase, _: u64) {}
    fn warning(&self, _: String) {}
}

fn patience(retries: u32) -> Access {
    Access { retries, ..Access::default() }
}

/// Downloads a blob of these bytes from a registry that answers so.
fn download(host: &Script, bytes: &[u8], access: &Access) -> Result<Result<Sent, Failure>, String> {
    let what = Descriptor::new(LAYER, Digest::of(Algorithm::Sha256, bytes), bytes.len() as u64);
    let repository = host.repository(REGISTRY, "app", access)?;
    Ok(run(repository.blob(&what, &Nobody, &|_| {})).map(|(_, sent)| sent))
}

fn manifest(host: &Script, which: &str) -> Result<Result<(), Failure>, String> {
    let repository = host.repository(REGISTRY, "app", &patience(1))?;
    Ok(run(repository.manifest(which)).map(|_| ()))
}

fn code(outcome: Result<(), Failure>) -> Option<ErrorCode> {
    outcome.err().map(|failure| failure.code)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {
    headers: Option<Vec<String>>,
    /// Negative if it is not known.
    expected: i64,
}

/// A size that is known and wrong is refused; of one that is not known the body
/// decides.
pub(super) fn blob_size(value: Value) -> Result<(), String> {
    let Sizes { headers, expected } = row(value)?;
    let reply = headers.iter().flatten().fold(Reply::status(200), |reply, size| reply.header("content-length", size));
    let host = Script::new([reply.body("bytes")]);
    let outcome = code(download(&host, b"bytes", &patience(0))?.map(|_| ()));
    equal("the failure", &outcome, &u64::try_from(expected).ok().map(ErrorCode::SizeMismatch))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Reconnect {
    #[serde(rename = "name")]
    _name: String,
    previous_retry: bool,
    current_offset: usize,
    /// How long it took is no question here.
    #[serde(rename = "currentTime")]
    _current_time: u64,
    expect_reconnect: bool,
}

pub(super) fn reconnect(value: Value) -> Result<(), String> {
    let Reconnect { previous_retry, current_offset, expect_reconnect, .. } = row(value)?;
    let before = usize::from(previous_retry);
    let bytes = vec![b'x'; before + current_offset + 1];
    let part = |first: usize, end: usize, last: usize| {
        let reply = match first {
            0 => Reply::status(200),
            _ => Reply::status(206).header("content-range", &format!("bytes {first}-{last}/{}", bytes.len())),
        };
        reply.body(&bytes[first..end])
    };
    let last = bytes.len() - 1;
    let mut replies = Vec::new();
    if previous_retry {
        replies.push(part(0, before, last).broken());
    }
    replies.push(part(before, last, last).broken());
    replies.push(part(last, bytes.len(), last));
    let requests = replies.len();
    let host = Script::new(replies);
    let outcome = download(&host, &bytes, &Access::default())?;
    equal("going on", &outcome.is_ok(), &expect_reconnect)?;
    equal("the requests", &host.requests().len(), &requests)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Attempts {
    #[serde(rename = "name")]
    _name: String,
    simulate_retries: u32,
    max_download_attempts: u32,
    expected_err: String,
}

pub(super) fn attempts(value: Value) -> Result<(), String> {
    let Attempts { simulate_retries, max_download_attempts, expected_err, .. } = row(value)?;
    let failures = (0..simulate_retries).map(|_| Reply::status(503));
    let host = Script::new(failures.chain([Reply::status(200).body("bytes")]));
    let outcome = download(&host, b"bytes", &patience(max_download_attempts - 1))?;
    equal("success", &outcome.is_ok(), &expected_err.is_empty())?;
    let requests = max_download_attempts.min(simulate_retries + 1);
    equal("the requests", &host.requests().len(), &(requests as usize))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoError {
    error: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Temporary {
    retry: bool,
    error: GoError,
}

/// Go-containerregistry judges by the code of the error document, wharf by the
/// status that goes with it. OCI distribution-spec, “Error Codes”.
pub(super) fn temporary(value: Value) -> Result<(), String> {
    let Temporary { retry, error: GoError { error } } = row(value)?;
    let reply = match error.trim_end_matches(": ") {
        "TOOMANYREQUESTS" => Reply::status(429).body(r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#),
        "UNAVAILABLE" => Reply::status(503).body(r#"{"errors":[{"code":"UNAVAILABLE"}]}"#),
        other => {
            let status = other.strip_prefix("unexpected status code ").and_then(|rest| rest.split(' ').next());
            Reply::status(status.and_then(|status| status.parse().ok()).ok_or("the row has no status")?)
        }
    };
    let host = Script::new([reply]);
    equal("success", &manifest(&host, "v1")?.is_ok(), &false)?;
    equal("trying again", &(host.requests().len() > 1), &retry)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorResponse {
    name: String,
    response: String,
    error_code: Option<GoError>,
}

/// podman names errors by the codes of its own library. Of those of the registry
/// nothing but the text counts here, which is shown; the status decides.
pub(super) fn error(value: Value) -> Result<(), String> {
    let ErrorResponse { name, response, error_code } = row(value)?;
    let expected = match error_code.as_ref().map(|code| code.error.as_str()) {
        None => ErrorCode::Invalid,
        Some("unauthorized" | "denied") => ErrorCode::Denied,
        Some("manifest unknown" | "unknown") => ErrorCode::NotFound,
        Some(other) => return Err(format!("nothing is known about `{other}`")),
    };
    let host = Script::new([Reply::parse(&response)?]);
    let outcome = match name.ends_with("/tags/list") {
        true => run(host.repository(REGISTRY, "app", &patience(1))?.tags()).map(|_| ()),
        false => manifest(&host, "v1")?,
    };
    let Err(failure) = outcome else { return Err("it was taken for success".to_owned()) };
    equal("the code", &failure.code, &expected)?;
    let shown = failure.why.join("\n");
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match serde_json::from_str::<Value>(body) {
        Ok(document) => {
            let message = document["errors"][0]["message"].as_str().unwrap_or_default();
            equal("showing what the registry says", &(!message.is_empty() && shown.contains(message)), &true)
        }
        Err(_) => equal("showing a page of HTML", &shown.contains('<'), &false),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unknown {
    #[serde(rename = "name")]
    _name: String,
    response: String,
}

pub(super) fn manifest_unknown(value: Value) -> Result<(), String> {
    let Unknown { response, .. } = row(value)?;
    let host = Script::new([Reply::parse(&response)?]);
    equal("the code", &code(manifest(&host, "v1")?), &Some(ErrorCode::NotFound))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Limit {
    #[serde(rename = "name")]
    _name: String,
    desc: Sized,
    #[serde(rename = "n")]
    _limit: u64,
    want_err: Option<GoError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sized {
    size: usize,
}

pub(super) fn limit(value: Value) -> Result<(), String> {
    let Limit { desc, want_err, .. } = row(value)?;
    let mut body = INDEX.as_bytes().to_vec();
    body.resize(desc.size, b' ');
    let host = Script::new([Reply::status(200).body(body)]);
    let expected = want_err.map(|_| ErrorCode::TooLarge(4 << 20));
    equal("the failure", &code(manifest(&host, "v1")?), &expected)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Link {
    #[serde(rename = "name")]
    _name: String,
    url: String,
    header: String,
    want: String,
    want_err: bool,
}

/// Every list is paged alike; here it is that of tags.
pub(super) fn link(value: Value) -> Result<(), String> {
    let Link { url, header, want, want_err, .. } = row(value)?;
    let authority = url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).ok_or("the row has no URL")?;
    let page = || Reply::status(200).body(r#"{"tags":["v1"]}"#);
    let host = Script::new([page().header("link", &header), page()]);
    let access = listing(authority, vec![itself(true, authority)]);
    let outcome = run(host.repository(authority, "hello-world", &access)?.tags());
    equal("the failure", &outcome.is_err(), &want_err)?;
    let url = |origin: &wharf_component::host::Origin, path: &str| {
        format!("{}://{}{path}", if origin.secure { "https" } else { "http" }, origin.authority)
    };
    let pages: Vec<_> = host.requests().iter().skip(1).map(|request| url(&request.origin, &request.path)).collect();
    equal("the next page", &pages, &Some(want).filter(|want| !want.is_empty()).into_iter().collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    #[serde(rename = "name")]
    _name: String,
    repository: String,
    actions: Option<Vec<String>>,
    want: String,
}

/// The scope that is asked for where the registry names none.
pub(super) fn scope(value: Value) -> Result<(), String> {
    let Scope { repository, actions, want, .. } = row(value)?;
    equal("the actions", &actions.as_deref(), &Some(["pull".to_owned()].as_slice()))?;
    let challenge = Reply::status(401).header("www-authenticate", r#"Bearer realm="https://auth.example/token""#);
    let host = Script::new([challenge, Reply::status(404)]);
    // Without a path there is no repository to ask for.
    if let Ok(repository) = host.repository(REGISTRY, &repository, &patience(0)) {
        run(repository.manifest("v1")).expect_err("there is none");
    }
    let scopes = host.challenges().into_iter().flat_map(|challenge| match challenge {
        Challenge::Bearer { scopes, .. } => scopes,
        Challenge::Basic => Vec::new(),
    });
    equal("the scopes", &scopes.collect(), &Some(want).filter(|want| !want.is_empty()).into_iter().collect::<Vec<_>>())
}
