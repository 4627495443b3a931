//! `containerd.services.images.v1.Images`: names, and what they point to.

use super::convert::{fields, image, needed};
use super::{Services, status};
use tonic::{Request, Response, Status};
use wharf_containerd_api::images::images_server::Images;
use wharf_containerd_api::images::{
    CreateImageRequest, CreateImageResponse, DeleteImageRequest, GetImageRequest, GetImageResponse, ListImagesRequest,
    ListImagesResponse, UpdateImageRequest, UpdateImageResponse,
};

#[tonic::async_trait]
impl Images for Services {
    async fn get(&self, request: Request<GetImageRequest>) -> Result<Response<GetImageResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let name = request.into_inner().name;
        let image =
            self.ask("get-image", async |accessor, records| records.call_get_image(accessor, caller, name).await);
        Ok(Response::new(GetImageResponse { image: Some(image.await?.into()) }))
    }

    async fn list(&self, request: Request<ListImagesRequest>) -> Result<Response<ListImagesResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let filters = request.into_inner().filters;
        let images = self
            .ask("list-images", async |accessor, records| records.call_list_images(accessor, caller, filters).await);
        Ok(Response::new(ListImagesResponse { images: images.await?.into_iter().map(Into::into).collect() }))
    }

    async fn create(&self, request: Request<CreateImageRequest>) -> Result<Response<CreateImageResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let wanted = image(needed(request.into_inner().image, "image")?);
        let made = self
            .ask("create-image", async |accessor, records| records.call_create_image(accessor, caller, wanted).await);
        let made = made.await.map_err(status::making)?;
        Ok(Response::new(CreateImageResponse { image: Some(made.into()) }))
    }

    async fn update(&self, request: Request<UpdateImageRequest>) -> Result<Response<UpdateImageResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let UpdateImageRequest { image: wanted, update_mask, .. } = request.into_inner();
        let (wanted, fields) = (image(needed(wanted, "image")?), fields(update_mask));
        let changed = self.ask("update-image", async |accessor, records| {
            records.call_update_image(accessor, caller, wanted, fields).await
        });
        Ok(Response::new(UpdateImageResponse { image: Some(changed.await?.into()) }))
    }

    async fn delete(&self, request: Request<DeleteImageRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let DeleteImageRequest { name, sync, target } = request.into_inner();
        let target = target.map(|target| target.digest);
        let gone = self.ask("delete-image", async |accessor, records| {
            records.call_delete_image(accessor, caller, name, target, sync).await
        });
        Ok(Response::new(gone.await?))
    }
}
