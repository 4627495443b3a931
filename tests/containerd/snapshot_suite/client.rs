//! A client of the service of snapshots that writes down what it is answered.

use super::line;
use crate::containerd::peer::Mounted;
use crate::containerd::suite::Talk;
use crate::layers::stacks::comparable;
use crate::support::tree;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{
    CleanupRequest, CommitSnapshotRequest, Info, ListSnapshotsRequest, MountsRequest, PrepareSnapshotRequest,
    RemoveSnapshotRequest, StatSnapshotRequest, StatSnapshotResponse, UpdateSnapshotRequest, UpdateSnapshotResponse,
    UsageRequest, UsageResponse, ViewSnapshotRequest,
};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Response};
use containerd_client::types::Mount;
use prost_types::FieldMask;
use std::path::Path;

pub(super) use containerd_client::services::v1::snapshots::Kind;

const SNAPSHOTTER: &str = "overlayfs";

/// Who asks one server about the snapshots of one namespace.
pub(super) struct Client {
    snapshots: SnapshotsClient<Channel>,
    pub(super) talk: Talk,
}

impl AsMut<Talk> for Client {
    fn as_mut(&mut self) -> &mut Talk {
        &mut self.talk
    }
}

/// How a kind is written.
pub(super) fn told(kind: Kind) -> &'static str {
    match kind {
        Kind::Unknown => "unknown",
        Kind::View => "view",
        Kind::Active => "active",
        Kind::Committed => "committed",
    }
}

fn record(info: Info) -> String {
    line(&info.name, &info.parent, info.kind(), &info.labels.clone().into_iter().collect())
}

impl Client {
    pub(super) fn new(talk: Talk) -> Self {
        Self { snapshots: SnapshotsClient::new(talk.channel.clone()), talk }
    }

    /// Prepares, or makes a view.
    pub(super) fn make(&mut self, key: &str, parent: &str, writable: bool) -> Result<Vec<Mount>, Code> {
        let mut client = self.snapshots.clone();
        let (key, parent, snapshotter) = (key.to_owned(), parent.to_owned(), SNAPSHOTTER.to_owned());
        if writable {
            let what = format!("prepare {key} on `{parent}`");
            let request =
                self.talk.request(PrepareSnapshotRequest { snapshotter, key, parent, labels: Default::default() });
            let answer = self.talk.came(&what, async move { client.prepare(request).await }, |_| "done");
            return answer.map(|answer| answer.mounts);
        }
        let what = format!("view {key} on `{parent}`");
        let request = self.talk.request(ViewSnapshotRequest { snapshotter, key, parent, labels: Default::default() });
        self.talk.came(&what, async move { client.view(request).await }, |_| "done").map(|answer| answer.mounts)
    }

    /// Mounts what was told.
    #[track_caller]
    pub(super) fn mount(mounts: &[Mount]) -> Mounted {
        let [mount] = mounts else { panic!("{mounts:?}") };
        Mounted::new(&mount.r#type, &mount.source, &mount.options)
    }

    /// Prepares, and lets somebody write into a mount.
    #[track_caller]
    pub(super) fn fill(&mut self, key: &str, parent: &str, write: impl FnOnce(&Path)) {
        let mounts = self.make(key, parent, true).expect("a snapshot");
        write(Self::mount(&mounts).path());
    }

    /// Writes down what a view of a snapshot shows. Times are those of each server.
    #[track_caller]
    pub(super) fn show(&mut self, parent: &str) {
        let mounts = self.make("to be shown", parent, false).expect("a view");
        let tree = comparable(tree::read(Self::mount(&mounts).path()));
        for (path, node) in tree {
            let tree::Node { kind, mode, owner: (user, group), size, target, sha256, .. } = node;
            let content: String = sha256.iter().flatten().take(4).map(|byte| format!("{byte:02x}")).collect();
            let target = target.map(|target| target.display().to_string()).unwrap_or_default();
            let what = format!("  {}", path.display());
            self.talk.note(&what, &format!("{kind}{mode:o} {user}:{group} {size} {content}{target}"));
        }
        self.remove("to be shown");
    }

    pub(super) fn commit(&mut self, name: &str, key: &str) {
        let mut client = self.snapshots.clone();
        let request = self.talk.request(CommitSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
            ..CommitSnapshotRequest::default()
        });
        let what = format!("commit {key} as {name}");
        let _ = self.talk.came(&what, async move { client.commit(request).await }, |()| "done");
    }

    pub(super) fn mounts(&mut self, key: &str) {
        let mut client = self.snapshots.clone();
        let request = self.talk.request(MountsRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() });
        let _ = self.talk.came(&format!("mounts {key}"), async move { client.mounts(request).await }, |_| "done");
    }

    pub(super) fn remove(&mut self, key: &str) {
        let mut client = self.snapshots.clone();
        let request =
            self.talk.request(RemoveSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() });
        let _ = self.talk.came(&format!("remove {key}"), async move { client.remove(request).await }, |()| "done");
    }

    pub(super) fn stat(&mut self, key: &str) {
        let mut client = self.snapshots.clone();
        let request =
            self.talk.request(StatSnapshotRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() });
        let show = |answer: &StatSnapshotResponse| record(answer.info.clone().expect("a record"));
        let _ = self.talk.came(&format!("stat {key}"), async move { client.stat(request).await }, show);
    }

    pub(super) fn usage(&mut self, key: &str) {
        let mut client = self.snapshots.clone();
        let request = self.talk.request(UsageRequest { snapshotter: SNAPSHOTTER.to_owned(), key: key.to_owned() });
        let show = |answer: &UsageResponse| format!("{} bytes, {} inodes", answer.size, answer.inodes);
        let _ = self.talk.came(&format!("usage {key}"), async move { client.usage(request).await }, show);
    }

    pub(super) fn update(&mut self, key: &str, labels: &[(&str, &str)], paths: &[&str]) {
        let mut client = self.snapshots.clone();
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let paths: Vec<_> = paths.iter().map(|&path| path.to_owned()).collect();
        let what = format!("update {key} {}", paths.join(","));
        let request = self.talk.request(UpdateSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            info: Some(Info { name: key.to_owned(), labels, ..Info::default() }),
            update_mask: (!paths.is_empty()).then_some(FieldMask { paths }),
        });
        let show = |answer: &UpdateSnapshotResponse| record(answer.info.clone().expect("a record"));
        let _ = self.talk.came(&what, async move { client.update(request).await }, show);
    }

    /// Returns the keys, in order.
    pub(super) fn list(&mut self, filters: &[&str]) -> Vec<String> {
        let mut client = self.snapshots.clone();
        let filters: Vec<_> = filters.iter().map(|&filter| filter.to_owned()).collect();
        let what = format!("list {}", filters.join(" or "));
        let request = self.talk.request(ListSnapshotsRequest { snapshotter: SNAPSHOTTER.to_owned(), filters });
        let answer = async move {
            let mut messages = client.list(request).await?.into_inner();
            let mut infos = Vec::new();
            while let Some(message) = messages.message().await? {
                infos.extend(message.info);
            }
            // Neither promises an order.
            infos.sort_by(|one: &Info, other| one.name.cmp(&other.name));
            Ok(Response::new(infos))
        };
        let show = |infos: &Vec<Info>| infos.iter().cloned().map(record).collect::<Vec<_>>().join(", ");
        let found = self.talk.came(&what, answer, show);
        found.unwrap_or_default().into_iter().map(|info| info.name).collect()
    }

    pub(super) fn cleanup(&mut self) {
        let mut client = self.snapshots.clone();
        let request = self.talk.request(CleanupRequest { snapshotter: SNAPSHOTTER.to_owned() });
        let _ = self.talk.came("cleanup", async move { client.cleanup(request).await }, |()| "done");
    }
}
