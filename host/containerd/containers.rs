//! `containerd.services.containers.v1.Containers`: there are none. Clients that look for images that nobody uses ask for
//! those that run, as `ctr images prune` does.

use super::Services;
use tonic::{Request, Response, Status};
use wharf_containerd_api::containers::containers_server::Containers;
use wharf_containerd_api::containers::{
    GetContainerRequest, GetContainerResponse, ListContainersRequest, ListContainersResponse,
};

#[tonic::async_trait]
impl Containers for Services {
    async fn get(&self, request: Request<GetContainerRequest>) -> Result<Response<GetContainerResponse>, Status> {
        self.asked(request.metadata())?;
        let id = request.into_inner().id;
        Err(Status::not_found(format!("container `{}`: not found: wharf runs none", id.escape_debug())))
    }

    async fn list(&self, request: Request<ListContainersRequest>) -> Result<Response<ListContainersResponse>, Status> {
        self.asked(request.metadata())?;
        Ok(Response::new(ListContainersResponse { containers: Vec::new() }))
    }
}
