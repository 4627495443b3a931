//! `containerd.services.snapshots.v1.Snapshots`: trees by the keys of clients. There is one snapshotter, under the name
//! of the one that clients take if nobody tells them another.

use super::convert::{fields, needed, pairs, snapshot, unless_empty};
use super::{Answers, Services, asked, status};
use futures::stream::{self, StreamExt, TryStreamExt};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use wharf_containerd_api::happenings::{SnapshotCommit, SnapshotPrepare, SnapshotRemove};
use wharf_containerd_api::snapshots::snapshots_server::Snapshots;
use wharf_containerd_api::snapshots::{
    CleanupRequest, CommitSnapshotRequest, Info, ListSnapshotsRequest, ListSnapshotsResponse, MountsRequest,
    MountsResponse, PrepareSnapshotRequest, PrepareSnapshotResponse, RemoveSnapshotRequest, StatSnapshotRequest,
    StatSnapshotResponse, UpdateSnapshotRequest, UpdateSnapshotResponse, UsageRequest, UsageResponse,
    ViewSnapshotRequest, ViewSnapshotResponse,
};
use wharf_containerd_api::types::Mount;

/// containerd, `defaults.DefaultSnapshotter`.
pub(super) const SNAPSHOTTER: &str = "overlayfs";
/// How many snapshots one call of the component lists.
const PAGE_MAX: u32 = 1_000;
/// How many one message lists: as many as containerd's.
const LISTED_MAX: usize = 100;

#[tonic::async_trait]
impl Snapshots for Services {
    type ListStream = Answers<ListSnapshotsResponse>;

    async fn prepare(
        &self,
        request: Request<PrepareSnapshotRequest>,
    ) -> Result<Response<PrepareSnapshotResponse>, Status> {
        let (said, _, wanted) = request.into_parts();
        let mounts = self.make(&said, wanted, true).await?;
        Ok(Response::new(PrepareSnapshotResponse { mounts }))
    }

    async fn view(&self, request: Request<ViewSnapshotRequest>) -> Result<Response<ViewSnapshotResponse>, Status> {
        let (said, _, ViewSnapshotRequest { snapshotter, key, parent, labels }) = request.into_parts();
        let wanted = PrepareSnapshotRequest { snapshotter, key, parent, labels };
        let mounts = self.make(&said, wanted, false).await?;
        Ok(Response::new(ViewSnapshotResponse { mounts }))
    }

    async fn mounts(&self, request: Request<MountsRequest>) -> Result<Response<MountsResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let MountsRequest { snapshotter, key } = request.into_inner();
        is_here(&snapshotter)?;
        let tree = self
            .ask_of_trees("tree-of", async |accessor, snapshots| snapshots.call_tree_of(accessor, caller, key).await);
        let mounts = self.mounts_of(tree.await.map_err(status::of_kind)?).await?;
        Ok(Response::new(MountsResponse { mounts }))
    }

    async fn commit(&self, request: Request<CommitSnapshotRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let lease = asked::lease(request.metadata())?;
        let CommitSnapshotRequest { snapshotter, name, key, labels } = request.into_inner();
        is_here(&snapshotter)?;
        let (namespace, labels) = (caller.namespace.clone(), pairs(labels));
        let told = SnapshotCommit { key: key.clone(), name: name.clone(), snapshotter: SNAPSHOTTER.to_owned() };
        let committed = self.ask_of_trees("commit-snapshot", async |accessor, snapshots| {
            snapshots.call_commit_snapshot(accessor, caller, name, key, labels, lease).await
        });
        committed.await.map_err(status::making_of_kind)?;
        self.exchange.tell(&namespace, &told);
        Ok(Response::new(()))
    }

    async fn remove(&self, request: Request<RemoveSnapshotRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        let RemoveSnapshotRequest { snapshotter, key } = request.into_inner();
        is_here(&snapshotter)?;
        let namespace = caller.namespace.clone();
        let told = SnapshotRemove { key: key.clone(), snapshotter: SNAPSHOTTER.to_owned() };
        let gone = self.ask_of_trees("remove-snapshot", async |accessor, snapshots| {
            snapshots.call_remove_snapshot(accessor, caller, key).await
        });
        gone.await?;
        self.exchange.tell(&namespace, &told);
        Ok(Response::new(()))
    }

    async fn stat(&self, request: Request<StatSnapshotRequest>) -> Result<Response<StatSnapshotResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let StatSnapshotRequest { snapshotter, key } = request.into_inner();
        is_here(&snapshotter)?;
        let found = self.ask_of_trees("stat-snapshot", async |accessor, snapshots| {
            snapshots.call_stat_snapshot(accessor, caller, key).await
        });
        Ok(Response::new(StatSnapshotResponse { info: Some(found.await?.into()) }))
    }

    async fn update(
        &self,
        request: Request<UpdateSnapshotRequest>,
    ) -> Result<Response<UpdateSnapshotResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let UpdateSnapshotRequest { snapshotter, info, update_mask } = request.into_inner();
        is_here(&snapshotter)?;
        let (wanted, fields) = (snapshot(needed(info, "info")?), fields(update_mask));
        let changed = self.ask_of_trees("update-snapshot", async |accessor, snapshots| {
            snapshots.call_update_snapshot(accessor, caller, wanted, fields).await
        });
        Ok(Response::new(UpdateSnapshotResponse { info: Some(changed.await?.into()) }))
    }

    async fn list(&self, request: Request<ListSnapshotsRequest>) -> Result<Response<Self::ListStream>, Status> {
        let caller = self.asked(request.metadata())?;
        let ListSnapshotsRequest { snapshotter, filters } = request.into_inner();
        is_here(&snapshotter)?;
        let services = self.clone();
        let page = async move |after: Option<String>| {
            let (caller, filters) = (caller.clone(), filters.clone());
            let found = services.ask_of_trees("list-snapshots", async |accessor, snapshots| {
                snapshots.call_list_snapshots(accessor, caller, filters, after, PAGE_MAX).await
            });
            let info: Vec<Info> = found.await?.into_iter().map(Into::into).collect();
            Ok::<_, Status>(info)
        };
        // A failure of the first page is one of the request.
        let first = page(None).await?;
        let pages = stream::try_unfold(Some(first), move |page_now| {
            let page = page.clone();
            async move {
                let Some(info) = page_now.filter(|info| !info.is_empty()) else { return Ok::<_, Status>(None) };
                let next = page(info.last().map(|last| last.name.clone())).await?;
                Ok(Some((info, Some(next))))
            }
        });
        let messages = pages.map_ok(|info| {
            let parts = info.chunks(LISTED_MAX).map(|info| Ok(ListSnapshotsResponse { info: info.to_vec() }));
            stream::iter(parts.collect::<Vec<_>>())
        });
        Ok(Response::new(messages.try_flatten().boxed()))
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Result<Response<UsageResponse>, Status> {
        let caller = self.asked(request.metadata())?;
        let UsageRequest { snapshotter, key } = request.into_inner();
        is_here(&snapshotter)?;
        let used = self
            .ask_of_trees("usage-of", async |accessor, snapshots| snapshots.call_usage_of(accessor, caller, key).await);
        let (size, inodes) = used.await?;
        let count = |count| i64::try_from(count).unwrap_or(i64::MAX);
        Ok(Response::new(UsageResponse { size: count(size), inodes: count(inodes) }))
    }

    async fn cleanup(&self, request: Request<CleanupRequest>) -> Result<Response<()>, Status> {
        let caller = self.asked(request.metadata())?;
        is_here(&request.into_inner().snapshotter)?;
        let done = self.ask_of_trees("clean-snapshots", async |accessor, snapshots| {
            snapshots.call_clean_snapshots(accessor, caller).await
        });
        Ok(Response::new(done.await?))
    }
}

impl Services {
    /// Makes a snapshot to write to, or a view.
    async fn make(
        &self,
        said: &MetadataMap,
        wanted: PrepareSnapshotRequest,
        writable: bool,
    ) -> Result<Vec<Mount>, Status> {
        let (caller, lease) = (self.asked(said)?, asked::lease(said)?);
        let PrepareSnapshotRequest { snapshotter, key, parent, labels } = wanted;
        is_here(&snapshotter)?;
        let (same, labels) = (caller.clone(), pairs(labels));
        let told = SnapshotPrepare { key: key.clone(), parent: parent.clone(), snapshotter: SNAPSHOTTER.to_owned() };
        let parent = unless_empty(parent);
        let made = self.ask_of_trees("prepare-snapshot", async |accessor, snapshots| {
            snapshots.call_prepare_snapshot(accessor, caller, key, parent, writable, labels, lease).await
        });
        let tree = made.await.map_err(status::making)?;
        let (mounts, namespace) = (self.mounts_of(tree).await, same.namespace.clone());
        match &mounts {
            Ok(_) => self.exchange.tell(&namespace, &told),
            Err(_) => {
                // Nobody has heard of it, so that the next request may ask for the same key.
                let gone = self.ask_of_trees("remove-snapshot", async |accessor, snapshots| {
                    snapshots.call_remove_snapshot(accessor, same, told.key).await
                });
                if let Err(failure) = gone.await {
                    tracing::warn!(%failure, "a snapshot that cannot be mounted stays");
                }
            }
        }
        mounts
    }
}

/// Refuses requests that mean another snapshotter. One that names none means this one.
fn is_here(snapshotter: &str) -> Result<(), Status> {
    match snapshotter {
        "" | SNAPSHOTTER => Ok(()),
        other => Err(Status::invalid_argument(format!("snapshotter not loaded: {}", other.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn there_is_one_snapshotter() {
        assert!(is_here("overlayfs").is_ok() && is_here("").is_ok());
        for other in ["native", "overlay", "overlayfs "] {
            let refused = is_here(other).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{other}");
            assert_eq!(refused.message(), format!("snapshotter not loaded: {other}"));
        }
    }
}
