//! What the server says about itself: that it is well, which services it knows, which of them want a namespace, and
//! which plugins of containerd it stands for.

use super::contract::Contract;
use super::{Door, asked};
use crate::support::wait;
use bytes::Bytes;
use containerd_client::services::v1::introspection_client::IntrospectionClient;
use containerd_client::services::v1::{PluginInfoRequest, PluginsRequest};
use containerd_client::tonic::body::Body;
use containerd_client::tonic::client::GrpcService;
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Status};
use futures::stream;
use http::{Request, Version};
use http_body_util::Full;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What is served beside health and reflection.
const SERVICES: [&str; 12] = [
    "containerd.services.containers.v1.Containers",
    "containerd.services.content.v1.Content",
    "containerd.services.diff.v1.Diff",
    "containerd.services.events.v1.Events",
    "containerd.services.images.v1.Images",
    "containerd.services.introspection.v1.Introspection",
    "containerd.services.leases.v1.Leases",
    "containerd.services.namespaces.v1.Namespaces",
    "containerd.services.snapshots.v1.Snapshots",
    "containerd.services.streaming.v1.Streaming",
    "containerd.services.transfer.v1.Transfer",
    "containerd.services.version.v1.Version",
];

/// What works without a namespace. In containerd too: whoever forwards an event says the namespace in its envelope, and
/// whoever subscribes hears of every namespace (`core/events/exchange`).
const EVERYWHERE: [&str; 6] =
    [".Namespaces/", ".Version/", ".Introspection/", ".Health/", ".Events/Forward", ".Events/Subscribe"];

/// An empty store that is served.
fn served() -> (TempDir, Door, Channel) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let channel = door.channel();
    (directory, door, channel)
}

#[test]
fn every_service_says_that_it_is_well() {
    let (_directory, _door, channel) = served();
    let unknown = "containerd.services.tasks.v1.Tasks";
    let said = wait(async move {
        let (mut health, mut said) = (HealthClient::new(channel), Vec::new());
        // Without a name it is the server.
        for service in std::iter::once("").chain(SERVICES).chain([unknown]) {
            let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await;
            let answer = answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code());
            said.push((service, answer));
        }
        said
    });
    let well = std::iter::once("").chain(SERVICES).map(|service| (service, Ok(ServingStatus::Serving)));
    assert_eq!(said, well.chain([(unknown, Err(Code::NotFound))]).collect::<Vec<_>>());
}

/// Asks one version of the service of reflection for the services, and in which file each of those is that are given.
macro_rules! reflected {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::ServerReflectionRequest;
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        let asked = |wanted| ServerReflectionRequest { host: String::new(), message_request: Some(wanted) };
        let symbols = SERVICES.map(|service| asked(MessageRequest::FileContainingSymbol(service.to_owned())));
        let list = asked(MessageRequest::ListServices(String::new()));
        let requests = stream::iter(symbols.into_iter().chain([list]));
        let mut client = ServerReflectionClient::new($channel);
        let mut answers = client.server_reflection_info(requests).await.expect("a stream").into_inner();
        let (mut files, mut names) = (0, BTreeSet::new());
        while let Some(answer) = timeout(TIMEOUT, answers.message()).await.expect("it ends").expect("it is whole") {
            match answer.message_response {
                Some(MessageResponse::FileDescriptorResponse(file)) => files += file.file_descriptor_proto.len(),
                Some(MessageResponse::ListServicesResponse(list)) => {
                    names.extend(list.service.into_iter().map(|service| service.name));
                }
                other => panic!("{other:?}"),
            }
        }
        (files, names)
    }};
}

#[test]
fn every_service_can_be_asked_what_it_is() {
    let (_directory, _door, channel) = served();
    let (first, second) = wait(async move { (reflected!(v1, channel.clone()), reflected!(v1alpha, channel.clone())) });
    for ((files, names), version) in [(first, "v1"), (second, "v1alpha")] {
        let expected = SERVICES.into_iter().map(str::to_owned);
        let itself = format!("grpc.reflection.{version}.ServerReflection");
        assert_eq!(names, expected.chain([itself]).collect::<BTreeSet<_>>());
        assert_eq!(files, SERVICES.len(), "{version}: each is in a file");
    }
}

/// Sends an empty message to a method, and returns how it was refused, if it was before any answer.
async fn refused(channel: &mut Channel, method: &str, namespace: Option<&'static str>) -> Option<Status> {
    // No compression, and no bytes.
    let message = Body::new(Full::new(Bytes::from_static(&[0; 5])));
    let mut request = Request::post(format!("/{method}")).version(Version::HTTP_2);
    request = request.header("content-type", "application/grpc").header("te", "trailers");
    if let Some(namespace) = namespace {
        request = request.header("containerd-namespace", namespace);
    }
    let request = request.body(message).expect("a request");
    poll_fn(|cx| <Channel as GrpcService<Body>>::poll_ready(channel, cx)).await.expect("somebody listens");
    let answer = timeout(TIMEOUT, <Channel as GrpcService<Body>>::call(channel, request)).await;
    Status::from_header_map(answer.expect("it is answered").expect("it is HTTP").headers())
}

#[test]
fn every_method_wants_a_namespace_but_for_those_that_are_about_all() {
    let (_directory, _door, channel) = served();
    let methods = Contract::load().services.into_iter().chain(["grpc.health.v1.Health/Check".to_owned()]);
    let methods: Vec<_> = methods.collect();
    let asked = methods.clone();
    let answers = wait(async move {
        let (mut channel, mut answers) = (channel, Vec::new());
        for method in asked {
            for namespace in [None, Some("")] {
                answers.push((method.clone(), refused(&mut channel, &method, namespace).await));
            }
        }
        answers
    });
    assert_eq!(answers.len(), 2 * methods.len());
    let wants = |status: &Option<Status>| {
        let status = status.as_ref();
        status.is_some_and(|status| {
            status.code() == Code::FailedPrecondition && status.message().starts_with("namespace is required")
        })
    };
    let is_everywhere = |method: &str| EVERYWHERE.iter().any(|part| method.contains(part));
    let wrong: Vec<_> = answers.into_iter().filter(|(method, status)| wants(status) == is_everywhere(method)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(EVERYWHERE.iter().all(|part| methods.iter().any(|method| method.contains(part))));
}

#[test]
fn plugins_are_found_by_filters_and_one_that_is_absent_is_not() {
    let (_directory, _door, channel) = served();
    type Found = Result<&'static [&'static str], Code>;
    let rows: [(&[&str], Found); 6] = [
        (&["type==io.containerd.snapshotter.v1,id==overlayfs"], Ok(&["io.containerd.snapshotter.v1 overlayfs"])),
        (
            &["id==overlayfs", "type~=^io.containerd.differ"],
            Ok(&["io.containerd.differ.v1 walking", "io.containerd.snapshotter.v1 overlayfs"]),
        ),
        (&["type==io.containerd.snapshotter.v1,id==native"], Ok(&[])),
        (&["type==io.containerd.runtime.v2"], Ok(&[])),
        (&["id=="], Err(Code::InvalidArgument)),
        (&["id=overlayfs"], Err(Code::InvalidArgument)),
    ];
    for (kind, id, is_there) in [
        ("io.containerd.snapshotter.v1", "overlayfs", true),
        ("io.containerd.snapshotter.v1", "native", false),
        ("io.containerd.content.v1", "overlayfs", false),
    ] {
        let mut client = IntrospectionClient::new(channel.clone());
        let request = asked(PluginInfoRequest { r#type: kind.to_owned(), id: id.to_owned(), options: None });
        let found = wait(async move { client.plugin_info(request).await });
        let found = found.map(|found| found.into_inner().plugin.map(|plugin| (plugin.r#type, plugin.id)));
        let expected = if is_there { Ok(Some((kind.to_owned(), id.to_owned()))) } else { Err(Code::NotFound) };
        assert_eq!(found.map_err(|status| status.code()), expected);
    }
    for (filters, expected) in rows {
        let mut client = IntrospectionClient::new(channel.clone());
        let request = PluginsRequest { filters: filters.iter().map(|&filter| filter.to_owned()).collect() };
        let found = wait(async move { client.plugins(request).await });
        let found = found.map(|found| {
            let plugins = found.into_inner().plugins.into_iter();
            plugins.map(|plugin| format!("{} {}", plugin.r#type, plugin.id)).collect::<Vec<_>>()
        });
        let expected = expected.map(|plugins| plugins.iter().map(|&plugin| plugin.to_owned()).collect::<Vec<_>>());
        assert_eq!(found.map_err(|status| status.code()), expected, "{filters:?}");
    }
}
