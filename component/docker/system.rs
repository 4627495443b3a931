//! `/_ping`, `/version` and `/auth`: about whoever answers.

use super::{Context, client::Answer, refusal::Refusal, version::Version};
use crate::{host::Host, verbs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest body of a request that is read, in bytes.
const BODY_BYTES_MAX: u64 = 64 << 10;
/// wharf's own version.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Says that somebody answers.
pub(super) fn ping() -> Answer {
    let Answer { head, body } = Answer::text(200, "OK");
    let head = head.with("cache-control", "no-cache, no-store, must-revalidate").with("pragma", "no-cache");
    Answer { head, body }
}

/// Who answers. The order of the fields is docker's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Engine {
    platform: Named,
    components: [Component; 1],
    version: &'static str,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    git_commit: &'static str,
    go_version: &'static str,
    os: String,
    arch: String,
    kernel_version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: &'static str,
}

/// A part of who answers. Docker sorts the details, because they are a map there.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: &'static str,
    version: &'static str,
    details: BTreeMap<&'static str, String>,
}

/// Says who answers.
pub(super) fn version<H>(context: &Context<'_, H>) -> Answer {
    let (os, arch) = machine(context);
    let kernel_version = context.settings.station.kernel.clone();
    let (api_version, min_api_version) = (Version::LATEST.to_string(), Version::OLDEST.to_string());
    let details = BTreeMap::from([
        ("ApiVersion", api_version.clone()),
        ("Arch", arch.clone()),
        ("KernelVersion", kernel_version.clone()),
        ("MinAPIVersion", min_api_version.clone()),
        ("Os", os.clone()),
    ]);
    let engine = Engine {
        platform: Named { name: "wharf" },
        components: [Component { name: "wharf", version: VERSION, details }],
        version: VERSION,
        api_version,
        min_api_version,
        // wharf is not written in Go.
        git_commit: "",
        go_version: "",
        os,
        arch,
        kernel_version,
    };
    Answer::json(200, &engine)
}

/// System and architecture, by Go's names.
pub(super) fn machine<H>(context: &Context<'_, H>) -> (String, String) {
    let mut parts = context.settings.caller.machine.split('/').map(str::to_owned);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Where somebody logs in, as in `docker.io`: nothing else of it gets here.
#[derive(Deserialize)]
struct Login {
    serveraddress: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LoggedIn {
    identity_token: &'static str,
    status: &'static str,
}

/// Asks a registry whether it accepts a login.
pub(super) async fn log_in<H: Host>(context: &Context<'_, H>, body: H::Stream) -> Result<Answer, Refusal> {
    let unread = |why: String| Refusal::new(400, format!("the body is no login: {why}"));
    let bytes = context.host.collect(body, BODY_BYTES_MAX).await.map_err(|error| unread(error.to_string()))?;
    let login: Login = serde_json::from_slice(&bytes).map_err(|error| unread(error.to_string()))?;
    verbs::check_login(context.host, &login.serveraddress, &context.settings.access).await?;
    Ok(Answer::json(200, &LoggedIn { identity_token: "", status: "Login Succeeded" }))
}
