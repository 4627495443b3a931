//! `containerd.services.introspection.v1.Introspection`: what of containerd is here, by the names that it has there.

use super::Services;
use tonic::{Request, Response, Status};
use wharf_containerd_api::introspection::introspection_server::Introspection;
use wharf_containerd_api::introspection::{
    Plugin, PluginInfoRequest, PluginInfoResponse, PluginsRequest, PluginsResponse, ServerResponse,
};

/// Types and IDs. containerd, `docs/PLUGINS.md`.
const PLUGINS: [(&str, &str); 8] = [
    ("io.containerd.content.v1", "content"),
    ("io.containerd.grpc.v1", "content"),
    ("io.containerd.grpc.v1", "healthcheck"),
    ("io.containerd.grpc.v1", "images"),
    ("io.containerd.grpc.v1", "introspection"),
    ("io.containerd.grpc.v1", "leases"),
    ("io.containerd.grpc.v1", "namespaces"),
    ("io.containerd.grpc.v1", "version"),
];

fn plugin((kind, id): (&str, &str)) -> Plugin {
    Plugin { r#type: kind.to_owned(), id: id.to_owned(), ..Plugin::default() }
}

#[tonic::async_trait]
impl Introspection for Services {
    async fn plugins(&self, request: Request<PluginsRequest>) -> Result<Response<PluginsResponse>, Status> {
        // Filters are read in the sandbox, and this is no record of it.
        if request.into_inner().filters.iter().any(|filter| !filter.is_empty()) {
            return Err(Status::unimplemented("wharf lists all its plugins, and takes no filters for them"));
        }
        Ok(Response::new(PluginsResponse { plugins: PLUGINS.map(plugin).into() }))
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
