//! How trees are mounted: clients mount them by themselves, and name a snapshot by its mounts when they want a layer
//! applied or a difference. The component knows trees by their names alone; what a mount is of is found out here.

use super::{Services, status};
use crate::layers::Error;
use crate::layers::top::Mount;
use tonic::Status;
use wharf_containerd_api::types;

impl Services {
    /// Returns how a client mounts a tree.
    pub(super) async fn mounts_of(&self, tree: String) -> Result<Vec<types::Mount>, Status> {
        let layers = self.layers.clone();
        let found = tokio::task::spawn_blocking(move || layers.find_top(&tree)?.mounts()).await;
        let mounts = found.map_err(status::thread)?.map_err(failed)?;
        Ok(mounts.into_iter().map(Into::into).collect())
    }

    /// Returns the trees that may be mounted like this: views of one tree are mounted alike.
    pub(super) async fn trees_of(&self, mounts: Vec<types::Mount>) -> Result<Vec<String>, Status> {
        let [types::Mount { r#type, source, target, options }] = <[_; 1]>::try_from(mounts).map_err(|mounts| {
            let count = mounts.len();
            Status::invalid_argument(format!("every snapshot of this store is one mount, and here are {count}"))
        })?;
        if !target.is_empty() {
            return Err(Status::invalid_argument("a mount has a `target`, and is none of a snapshot of this store"));
        }
        let layers = self.layers.clone();
        let found = tokio::task::spawn_blocking(move || layers.tops_mounted_by(&r#type, &source, &options)).await;
        found.map_err(status::thread)?.map_err(failed)
    }
}

impl From<Mount> for types::Mount {
    fn from(Mount { kind, source, options }: Mount) -> Self {
        Self { r#type: kind.to_owned(), source, target: String::new(), options }
    }
}

/// The failure of the layer store, where the component has decided already.
fn failed(error: Error) -> Status {
    let message = format!("cannot tell how the snapshot is mounted: {error}");
    match error {
        Error::NotFound => Status::not_found(message),
        Error::Unsupported(_) => Status::unimplemented(message),
        _ => Status::internal(message),
    }
}
