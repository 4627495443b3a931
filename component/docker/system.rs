//! `/_ping`, `/version`, `/info`, `/system/df` and `/auth`: about whoever answers.

use super::{
    Context,
    client::Answer,
    list::{Summary, summaries},
    refusal::Refusal,
    version::Version,
};
use crate::{host::Host, nouns::access::Endpoint, verbs};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The largest body of a request that is read, in bytes.
const BODY_BYTES_MAX: u64 = 64 << 10;
/// What docker's clients call Docker Hub when they log in.
const HUB: &str = "https://index.docker.io/v1/";
/// wharf's own version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Says that somebody answers.
pub(super) fn ping() -> Answer {
    let Answer { head, body } = Answer::text(200, "OK");
    let head = head.with("cache-control", "no-cache, no-store, must-revalidate").with("pragma", "no-cache");
    Answer { head, body }
}

/// Says who answers.
pub(super) fn version<H>(context: &Context<'_, H>) -> Answer {
    let (os, architecture) = machine(context);
    let kernel = &context.settings.station.kernel;
    let versions = (Version::LATEST.to_string(), Version::OLDEST.to_string());
    let component = json!({
        "Name": "wharf",
        "Version": VERSION,
        "Details": {
            "ApiVersion": versions.0,
            "Arch": architecture,
            "KernelVersion": kernel,
            "MinAPIVersion": versions.1,
            "Os": os,
        },
    });
    Answer::json(
        200,
        &json!({
            "Platform": {"Name": "wharf"},
            "Components": [component],
            "Version": VERSION,
            "ApiVersion": versions.0,
            "MinAPIVersion": versions.1,
            "GitCommit": "",
            "GoVersion": "",
            "Os": os,
            "Arch": architecture,
            "KernelVersion": kernel,
        }),
    )
}

/// Says what the machine is like, and that there are images and nothing else.
pub(super) async fn info<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let settings = context.settings;
    let station = &settings.station;
    let images = verbs::entries(context.host, &settings.caller, &[]).await?.images;
    let (os, architecture) = machine(context);
    let plain: Vec<&String> = settings.access.plain_http.iter().collect();
    let mirrors: Vec<String> = mirrors(context);
    let index = |name: &str, mirrors: &[String], secure: bool| {
        let official = name == "docker.io";
        json!({"Name": name, "Mirrors": mirrors, "Secure": secure, "Official": official})
    };
    let mut registries = serde_json::Map::new();
    registries.insert("docker.io".to_owned(), index("docker.io", &mirrors, true));
    registries.extend(plain.iter().map(|name| ((*name).clone(), index(name, &[], false))));
    Ok(Answer::json(
        200,
        &json!({
            "ID": "",
            "Containers": 0,
            "ContainersRunning": 0,
            "ContainersPaused": 0,
            "ContainersStopped": 0,
            "Images": images.len(),
            "Driver": "wharf",
            "DriverStatus": [],
            "Plugins": {"Volume": [], "Network": [], "Authorization": [], "Log": []},
            "MemoryLimit": false,
            "SwapLimit": false,
            "NCPU": station.processors,
            "MemTotal": station.memory_bytes,
            "KernelVersion": station.kernel,
            "OperatingSystem": station.system,
            "OSVersion": "",
            "OSType": os,
            "Architecture": uname(&architecture),
            "IndexServerAddress": HUB,
            "RegistryConfig": {"InsecureRegistryCIDRs": [], "IndexConfigs": registries, "Mirrors": mirrors},
            "DockerRootDir": "",
            "HttpProxy": "",
            "HttpsProxy": "",
            "NoProxy": "",
            "Name": station.name,
            "Labels": [],
            "ExperimentalBuild": false,
            "ServerVersion": VERSION,
            "Runtimes": {},
            "DefaultRuntime": "",
            "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
            "LiveRestoreEnabled": false,
            "Isolation": "",
            "InitBinary": "",
            "SecurityOptions": [],
            "Warnings": ["wharf manages images and runs no containers"],
        }),
    ))
}

/// What the configuration says about Docker Hub.
fn mirrors<H>(context: &Context<'_, H>) -> Vec<String> {
    let rules = context.settings.access.rules.iter().filter(|rule| rule.prefix == "docker.io");
    let mirrors = rules.flat_map(|rule| &rule.endpoints).filter(|endpoint| endpoint.mirror);
    let address = |endpoint: &Endpoint| {
        let scheme = if endpoint.origin.secure { "https" } else { "http" };
        format!("{scheme}://{}/", endpoint.origin.authority)
    };
    mirrors.map(address).collect()
}

/// System and architecture, by Go's names.
fn machine<H>(context: &Context<'_, H>) -> (String, String) {
    let mut parts = context.settings.caller.machine.split('/').map(str::to_owned);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// As `uname -m` prints it, which is what docker tells here.
fn uname(architecture: &str) -> &str {
    match architecture {
        "386" => "i686",
        "amd64" => "x86_64",
        "arm" => "armv7l",
        "arm64" => "aarch64",
        other => other,
    }
}

/// The order of the fields is docker's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DiskUsage {
    layers_size: u64,
    images: Vec<Summary>,
    containers: [Value; 0],
    volumes: [Value; 0],
    build_cache: [Value; 0],
}

/// Says how much space everything takes.
pub(super) async fn disk_usage<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let usage = verbs::usage::disk_usage(context.host, &context.settings.caller).await?;
    let images = summaries(context, &[], true).await?;
    let sums = [&usage.content, &usage.unpacked];
    let layers_size =
        sums.iter().flat_map(|sum| [sum.unique, sum.shared, sum.others, sum.unneeded]).fold(0, u64::saturating_add);
    Ok(Answer::json(200, &DiskUsage { layers_size, images, containers: [], volumes: [], build_cache: [] }))
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
