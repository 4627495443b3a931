//! `containerd.services.introspection.v1.Introspection`: what of containerd is here, by the names that it has there.

use super::Services;
use super::snapshots::SNAPSHOTTER;
use tonic::{Request, Response, Status};
use wharf_containerd_api::introspection::introspection_server::Introspection;
use wharf_containerd_api::introspection::{
    Plugin, PluginInfoRequest, PluginInfoResponse, PluginsRequest, PluginsResponse, ServerResponse,
};

/// Types and IDs. containerd, `docs/PLUGINS.md`.
const PLUGINS: [(&str, &str); 19] = [
    ("io.containerd.content.v1", "content"),
    ("io.containerd.differ.v1", "walking"),
    ("io.containerd.event.v1", "exchange"),
    ("io.containerd.grpc.v1", "containers"),
    ("io.containerd.grpc.v1", "content"),
    ("io.containerd.grpc.v1", "diff"),
    ("io.containerd.grpc.v1", "events"),
    ("io.containerd.grpc.v1", "healthcheck"),
    ("io.containerd.grpc.v1", "images"),
    ("io.containerd.grpc.v1", "introspection"),
    ("io.containerd.grpc.v1", "leases"),
    ("io.containerd.grpc.v1", "namespaces"),
    ("io.containerd.grpc.v1", "snapshots"),
    ("io.containerd.grpc.v1", "streaming"),
    ("io.containerd.grpc.v1", "transfer"),
    ("io.containerd.grpc.v1", "version"),
    ("io.containerd.snapshotter.v1", SNAPSHOTTER),
    ("io.containerd.streaming.v1", "manager"),
    ("io.containerd.transfer.v1", "local"),
];

fn plugin((kind, id): (&str, &str)) -> Plugin {
    Plugin { r#type: kind.to_owned(), id: id.to_owned(), ..Plugin::default() }
}

#[tonic::async_trait]
impl Introspection for Services {
    async fn plugins(&self, request: Request<PluginsRequest>) -> Result<Response<PluginsResponse>, Status> {
        let filters = request.into_inner().filters;
        let mut plugins = Vec::new();
        for (kind, id) in PLUGINS {
            let fields = [("type", kind), ("id", id)].map(|(path, value)| (path.to_owned(), value.to_owned()));
            if filters.is_empty() || self.passes(&filters, fields.into()).await? {
                plugins.push(plugin((kind, id)));
            }
        }
        Ok(Response::new(PluginsResponse { plugins }))
    }

    async fn server(&self, _: Request<()>) -> Result<Response<ServerResponse>, Status> {
        Ok(Response::new(ServerResponse {
            uuid: self.identity.uuid.clone(),
            pid: self.identity.process,
            pidns: self.identity.process_namespace,
            deprecations: Vec::new(),
        }))
    }

    async fn plugin_info(&self, request: Request<PluginInfoRequest>) -> Result<Response<PluginInfoResponse>, Status> {
        let PluginInfoRequest { r#type, id, .. } = request.into_inner();
        let found = PLUGINS.into_iter().find(|(kind, name)| *kind == r#type && *name == id);
        let found = found.ok_or_else(|| {
            Status::not_found(format!("there is no plugin `{}` of type `{}`", id.escape_debug(), r#type.escape_debug()))
        })?;
        Ok(Response::new(PluginInfoResponse { plugin: Some(plugin(found)), extra: None }))
    }
}
