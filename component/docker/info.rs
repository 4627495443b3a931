//! `GET /info`: what the machine is like, and that there are images and nothing
//! else. What is about containers is told all the same, as what there is not:
//! clients read it.

use super::{
    Context,
    client::Answer,
    refusal::Refusal,
    system::{VERSION, machine},
};
use crate::{
    host::Host,
    nouns::{access::Endpoint, time},
    verbs,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// What docker's clients call Docker Hub when they log in.
const HUB: &str = "https://index.docker.io/v1/";

/// A list of what wharf has not.
type Nothing = [(); 0];

/// The order of the fields is docker's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(rename = "ID")]
    id: &'static str,
    containers: u64,
    containers_running: u64,
    containers_paused: u64,
    containers_stopped: u64,
    images: usize,
    driver: &'static str,
    driver_status: Nothing,
    plugins: Plugins,
    memory_limit: bool,
    swap_limit: bool,
    /// Gone from API 1.42.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_memory: Option<bool>,
    cpu_cfs_period: bool,
    cpu_cfs_quota: bool,
    #[serde(rename = "CPUShares")]
    cpu_shares: bool,
    #[serde(rename = "CPUSet")]
    cpu_set: bool,
    pids_limit: bool,
    #[serde(rename = "IPv4Forwarding")]
    ipv4_forwarding: bool,
    /// Gone from API 1.50, as the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge_nf_iptables: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge_nf_ip6tables: Option<bool>,
    debug: bool,
    #[serde(rename = "NFd")]
    n_fd: u64,
    oom_kill_disable: bool,
    #[serde(rename = "NGoroutines")]
    n_goroutines: u64,
    system_time: String,
    logging_driver: &'static str,
    cgroup_driver: &'static str,
    #[serde(rename = "NEventsListener")]
    n_events_listener: u64,
    kernel_version: String,
    operating_system: String,
    #[serde(rename = "OSVersion")]
    os_version: &'static str,
    #[serde(rename = "OSType")]
    os_type: String,
    architecture: String,
    index_server_address: &'static str,
    registry_config: Registries,
    #[serde(rename = "NCPU")]
    ncpu: u32,
    mem_total: u64,
    generic_resources: Option<()>,
    docker_root_dir: &'static str,
    http_proxy: &'static str,
    https_proxy: &'static str,
    no_proxy: &'static str,
    name: String,
    labels: Nothing,
    experimental_build: bool,
    server_version: &'static str,
    runtimes: BTreeMap<&'static str, ()>,
    default_runtime: &'static str,
    swarm: Swarm,
    live_restore_enabled: bool,
    isolation: &'static str,
    init_binary: &'static str,
    containerd_commit: Commit,
    runc_commit: Commit,
    init_commit: Commit,
    security_options: Nothing,
    warnings: [&'static str; 1],
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Plugins {
    volume: Nothing,
    network: Nothing,
    authorization: Nothing,
    log: Nothing,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Registries {
    /// Gone from API 1.49, as the next.
    #[serde(rename = "AllowNondistributableArtifactsCIDRs", skip_serializing_if = "Option::is_none")]
    pushed_networks: Option<Nothing>,
    #[serde(rename = "AllowNondistributableArtifactsHostnames", skip_serializing_if = "Option::is_none")]
    pushed_hosts: Option<Nothing>,
    #[serde(rename = "InsecureRegistryCIDRs")]
    /// wharf asks registries on the same machine without TLS as well.
    insecure_networks: [&'static str; 2],
    index_configs: BTreeMap<String, Index>,
    mirrors: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    name: String,
    mirrors: Vec<String>,
    secure: bool,
    official: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Swarm {
    #[serde(rename = "NodeID")]
    node_id: &'static str,
    node_addr: &'static str,
    local_node_state: &'static str,
    control_available: bool,
    error: &'static str,
    remote_managers: Option<()>,
}

#[derive(Clone, Copy, Serialize)]
struct Commit {
    #[serde(rename = "ID")]
    id: &'static str,
    /// Gone from API 1.49.
    #[serde(rename = "Expected", skip_serializing_if = "Option::is_none")]
    expected: Option<&'static str>,
}

/// Answers.
pub(super) async fn info<H: Host>(context: &Context<'_, H>) -> Result<Answer, Refusal> {
    let Context { host, settings, .. } = context;
    let images = verbs::entries(*host, &settings.caller, &[]).await?.images.len();
    Ok(Answer::json(200, &told(context, images)))
}

pub(super) fn told<H: Host>(context: &Context<'_, H>, images: usize) -> impl Serialize + use<H> {
    let Context { host, settings, version, .. } = context;
    let station = &settings.station;
    let (os_type, architecture) = machine(context);
    let commit = Commit { id: "", expected: (!version.since(49)).then_some("") };
    Info {
        id: "",
        containers: 0,
        containers_running: 0,
        containers_paused: 0,
        containers_stopped: 0,
        images,
        driver: "wharf",
        driver_status: [],
        plugins: Plugins::default(),
        memory_limit: false,
        swap_limit: false,
        kernel_memory: (!version.since(42)).then_some(false),
        cpu_cfs_period: false,
        cpu_cfs_quota: false,
        cpu_shares: false,
        cpu_set: false,
        pids_limit: false,
        ipv4_forwarding: false,
        bridge_nf_iptables: (!version.since(50)).then_some(false),
        bridge_nf_ip6tables: (!version.since(50)).then_some(false),
        debug: false,
        n_fd: 0,
        oom_kill_disable: false,
        n_goroutines: 0,
        system_time: time::format(host.now()),
        logging_driver: "",
        cgroup_driver: "none",
        n_events_listener: 0,
        kernel_version: station.kernel.clone(),
        operating_system: station.system.clone(),
        os_version: "",
        os_type,
        architecture: uname(&architecture).to_owned(),
        index_server_address: HUB,
        registry_config: registries(context),
        ncpu: station.processors,
        mem_total: station.memory_bytes,
        generic_resources: None,
        docker_root_dir: "",
        http_proxy: "",
        https_proxy: "",
        no_proxy: "",
        name: station.name.clone(),
        labels: [],
        experimental_build: false,
        server_version: VERSION,
        runtimes: BTreeMap::new(),
        default_runtime: "",
        swarm: Swarm {
            node_id: "",
            node_addr: "",
            local_node_state: "inactive",
            control_available: false,
            error: "",
            remote_managers: None,
        },
        live_restore_enabled: false,
        isolation: "",
        init_binary: "",
        containerd_commit: commit,
        runc_commit: commit,
        init_commit: commit,
        security_options: [],
        warnings: ["wharf manages images and runs no containers"],
    }
}

/// How the registries are spoken to that somebody has said something about.
fn registries<H>(context: &Context<'_, H>) -> Registries {
    let mirrors = mirrors(context);
    let index = |name: &str, mirrors: &[String], secure: bool| {
        let (name, mirrors) = (name.to_owned(), mirrors.to_vec());
        Index { official: name == "docker.io", name, mirrors, secure }
    };
    let plain = &context.settings.access.plain_http;
    let index_configs = plain.iter().map(|name| (name.clone(), index(name, &[], false)));
    let hub = ("docker.io".to_owned(), index("docker.io", &mirrors, true));
    let pushed = (!context.version.since(49)).then_some([]);
    Registries {
        pushed_networks: pushed,
        pushed_hosts: pushed,
        insecure_networks: ["::1/128", "127.0.0.0/8"],
        index_configs: std::iter::once(hub).chain(index_configs).collect(),
        mirrors,
    }
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
