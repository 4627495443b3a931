//! `containerd.services.version.v1.Version`.

use super::Services;
use tonic::{Request, Response, Status};
use wharf_containerd_api::version::VersionResponse;
use wharf_containerd_api::version::version_server::Version;

#[tonic::async_trait]
impl Version for Services {
    async fn version(&self, _: Request<()>) -> Result<Response<VersionResponse>, Status> {
        let version = concat!("wharf ", env!("CARGO_PKG_VERSION")).to_owned();
        Ok(Response::new(VersionResponse { version, revision: String::new() }))
    }
}
