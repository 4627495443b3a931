//! `containerd.services.leases.v1.Leases`: what is kept although no name needs it.

use super::convert::{needed, pairs, resource};
use super::{Services, status};
use tonic::{Request, Response, Status};
use wharf_containerd_api::leases::leases_server::Leases;
use wharf_containerd_api::leases::{
    AddResourceRequest, CreateRequest, CreateResponse, DeleteRequest, DeleteResourceRequest, ListRequest,
    ListResourcesRequest, ListResourcesResponse, ListResponse,
};

#[tonic::async_trait]
impl Leases for Services {
    async fn create(&self, request: Request<CreateRequest>) -> Result<Response<CreateResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let CreateRequest { id, labels } = request.into_inner();
        let (id, labels) = (Some(id).filter(|id| !id.is_empty()), pairs(labels));
        let made = self.ask("create-lease", async |accessor, records| {
            records.call_create_lease(accessor, caller, id, labels).await
        });
        let made = made.await.map_err(status::making)?;
        Ok(Response::new(CreateResponse { lease: Some(made.into()) }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let DeleteRequest { id, sync } = request.into_inner();
        let gone = self
            .ask("delete-lease", async |accessor, records| records.call_delete_lease(accessor, caller, id, sync).await);
        Ok(Response::new(gone.await?))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let filters = request.into_inner().filters;
        let found = self
            .ask("list-leases", async |accessor, records| records.call_list_leases(accessor, caller, filters).await);
        Ok(Response::new(ListResponse { leases: found.await?.into_iter().map(Into::into).collect() }))
    }

    async fn add_resource(&self, request: Request<AddResourceRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let AddResourceRequest { id, resource: held } = request.into_inner();
        let held = resource(needed(held, "resource")?);
        let added = self
            .ask("add-resource", async |accessor, records| records.call_add_resource(accessor, caller, id, held).await);
        Ok(Response::new(added.await?))
    }

    async fn delete_resource(&self, request: Request<DeleteResourceRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let DeleteResourceRequest { id, resource: held } = request.into_inner();
        let held = resource(needed(held, "resource")?);
        let gone = self.ask("delete-resource", async |accessor, records| {
            records.call_delete_resource(accessor, caller, id, held).await
        });
        Ok(Response::new(gone.await?))
    }

    async fn list_resources(
        &self,
        request: Request<ListResourcesRequest>,
    ) -> Result<Response<ListResourcesResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let id = request.into_inner().id;
        let held = self
            .ask("list-resources", async |accessor, records| records.call_list_resources(accessor, caller, id).await);
        Ok(Response::new(ListResourcesResponse { resources: held.await?.into_iter().map(Into::into).collect() }))
    }
}
