//! `containerd.services.diff.v1.Diff`: layers into trees, and out of them. The bytes go between the stores of the host.

use super::convert::{needed, pairs, target};
use super::{Services, asked};
use tonic::{Request, Response, Status};
use wharf_containerd_api::diff::diff_server::Diff;
use wharf_containerd_api::diff::{ApplyRequest, ApplyResponse, DiffRequest, DiffResponse};
use wharf_containerd_api::happenings::ContentCreate;

#[tonic::async_trait]
impl Diff for Services {
    /// `sync_fs` asks for nothing more: what was applied is durable once it is committed.
    async fn apply(&self, request: Request<ApplyRequest>) -> Result<Response<ApplyResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let ApplyRequest { diff, mounts, payloads, sync_fs: _ } = request.into_inner();
        if let Some(media_type) = payloads.keys().next() {
            let media_type = media_type.escape_debug();
            let why = format!("wharf runs no programs on layers, and the request has a payload for `{media_type}`");
            return Err(Status::unimplemented(why));
        }
        let (layer, trees) = (target(needed(diff, "diff")?), self.trees_of(mounts).await?);
        let applied = self.ask_of_trees("apply-layer", async |accessor, snapshots| {
            snapshots.call_apply_layer(accessor, caller, layer, trees).await
        });
        Ok(Response::new(ApplyResponse { applied: Some(applied.await?.into()) }))
    }

    /// `ref` names an ingest of containerd's. Here nothing of it can be seen before it is a blob.
    async fn diff(&self, request: Request<DiffRequest>) -> Result<Response<DiffResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let lease = asked::lease(request.metadata())?;
        let DiffRequest { left, right, media_type, r#ref: _, labels, source_date_epoch } = request.into_inner();
        if source_date_epoch.is_some() {
            return Err(Status::unimplemented(
                "wharf leaves the times of files as they are: `source_date_epoch` is set",
            ));
        }
        let left = if left.is_empty() { None } else { Some(self.trees_of(left).await?) };
        let (right, labels) = (self.trees_of(right).await?, pairs(labels));
        let namespace = caller.namespace.clone();
        let made = self.ask_of_trees("diff-layer", async |accessor, snapshots| {
            snapshots.call_diff_layer(accessor, caller, left, right, media_type, labels, lease).await
        });
        let made = made.await?;
        self.exchange.tell(&namespace, &ContentCreate { digest: made.digest.clone(), size: made.size });
        Ok(Response::new(DiffResponse { diff: Some(made.into()) }))
    }
}
