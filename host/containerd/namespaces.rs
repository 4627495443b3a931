//! `containerd.services.namespaces.v1.Namespaces`. A request is about the namespace that its message names.

use super::convert::{fields, namespace, needed};
use super::{Services, status};
use tonic::{Request, Response, Status};
use wharf_containerd_api::happenings::{NamespaceCreate, NamespaceDelete, NamespaceUpdate};
use wharf_containerd_api::namespaces::namespaces_server::Namespaces;
use wharf_containerd_api::namespaces::{
    CreateNamespaceRequest, CreateNamespaceResponse, DeleteNamespaceRequest, GetNamespaceRequest, GetNamespaceResponse,
    ListNamespacesRequest, ListNamespacesResponse, Namespace, UpdateNamespaceRequest, UpdateNamespaceResponse,
};

#[tonic::async_trait]
impl Namespaces for Services {
    async fn get(&self, request: Request<GetNamespaceRequest>) -> Result<Response<GetNamespaceResponse>, Status> {
        let (caller, name) = (self.caller.clone(), request.into_inner().name);
        let found = self
            .ask("get-namespace", async |accessor, records| records.call_get_namespace(accessor, caller, name).await);
        Ok(Response::new(GetNamespaceResponse { namespace: Some(found.await?.into()) }))
    }

    async fn list(&self, _: Request<ListNamespacesRequest>) -> Result<Response<ListNamespacesResponse>, Status> {
        let caller = self.caller.clone();
        let found =
            self.ask("list-namespaces", async |accessor, records| records.call_list_namespaces(accessor, caller).await);
        let namespaces = found.await?.into_iter().map(Into::into).collect();
        Ok(Response::new(ListNamespacesResponse { namespaces }))
    }

    async fn create(
        &self,
        request: Request<CreateNamespaceRequest>,
    ) -> Result<Response<CreateNamespaceResponse>, Status> {
        let caller = self.caller.clone();
        let wanted = namespace(needed(request.into_inner().namespace, "namespace")?);
        let made = self.ask("create-namespace", async |accessor, records| {
            records.call_create_namespace(accessor, caller, wanted).await
        });
        let made = Namespace::from(made.await.map_err(status::making)?);
        let told = NamespaceCreate { name: made.name.clone(), labels: made.labels.clone() };
        self.exchange.tell(&made.name, &told);
        Ok(Response::new(CreateNamespaceResponse { namespace: Some(made) }))
    }

    async fn update(
        &self,
        request: Request<UpdateNamespaceRequest>,
    ) -> Result<Response<UpdateNamespaceResponse>, Status> {
        let caller = self.caller.clone();
        let UpdateNamespaceRequest { namespace: wanted, update_mask } = request.into_inner();
        let (wanted, fields) = (namespace(needed(wanted, "namespace")?), fields(update_mask));
        let changed = self.ask("update-namespace", async |accessor, records| {
            records.call_update_namespace(accessor, caller, wanted, fields).await
        });
        let changed = Namespace::from(changed.await?);
        let told = NamespaceUpdate { name: changed.name.clone(), labels: changed.labels.clone() };
        self.exchange.tell(&changed.name, &told);
        Ok(Response::new(UpdateNamespaceResponse { namespace: Some(changed) }))
    }

    async fn delete(&self, request: Request<DeleteNamespaceRequest>) -> Result<Response<()>, Status> {
        let (caller, name) = (self.caller.clone(), request.into_inner().name);
        let told = NamespaceDelete { name: name.clone() };
        let gone = self.ask("delete-namespace", async |accessor, records| {
            records.call_delete_namespace(accessor, caller, name).await
        });
        gone.await?;
        self.exchange.tell(&told.name, &told);
        Ok(Response::new(()))
    }
}
