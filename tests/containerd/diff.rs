//! `Diff` and the mounts of `Snapshots`, by a client in Rust: what a tree changes is the same layer each time, and
//! makes the same tree again; what was not handed out by the server is not written to. Needs root.

use super::ctr_snapshots::seen;
use super::peer::{Mounted, OPTIONS_BYTES_MAX};
use super::{Door, asked};
use crate::layers::stacks::NOW;
use crate::support::tree::{self, Node, Tree};
use crate::support::wait;
use containerd_client::services::v1::diff_client::DiffClient;
use containerd_client::services::v1::snapshots::snapshots_client::SnapshotsClient;
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, MountsRequest, PrepareSnapshotRequest, ViewSnapshotRequest,
};
use containerd_client::services::v1::{ApplyRequest, DiffRequest};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Status};
use containerd_client::types::{Descriptor, Mount};
use prost_types::Any;
use rustix::fs::{XattrFlags, setxattr};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use wharf::demo::image::digest;

const SNAPSHOTTER: &str = "overlayfs";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// How many levels containerd's suite has.
const LEVELS: usize = 128;

/// Who asks for snapshots, and for layers of them.
struct Client {
    snapshots: SnapshotsClient<Channel>,
    diffs: DiffClient<Channel>,
}

impl Client {
    fn new(door: &Door) -> Self {
        let channel = door.channel();
        Self { snapshots: SnapshotsClient::new(channel.clone()), diffs: DiffClient::new(channel) }
    }

    #[track_caller]
    fn prepare(&self, key: &str, parent: &str) -> Vec<Mount> {
        let (mut client, snapshotter) = (self.snapshots.clone(), SNAPSHOTTER.to_owned());
        let (key, parent) = (key.to_owned(), parent.to_owned());
        let request = asked(PrepareSnapshotRequest { snapshotter, key, parent, labels: kept() });
        wait(async move { client.prepare(request).await }).expect("a snapshot").into_inner().mounts
    }

    #[track_caller]
    fn view(&self, key: &str, parent: &str) -> Vec<Mount> {
        let (mut client, snapshotter) = (self.snapshots.clone(), SNAPSHOTTER.to_owned());
        let (key, parent) = (key.to_owned(), parent.to_owned());
        let request = asked(ViewSnapshotRequest { snapshotter, key, parent, labels: kept() });
        wait(async move { client.view(request).await }).expect("a view").into_inner().mounts
    }

    #[track_caller]
    fn mounts(&self, key: &str) -> Vec<Mount> {
        let (mut client, snapshotter) = (self.snapshots.clone(), SNAPSHOTTER.to_owned());
        let request = asked(MountsRequest { snapshotter, key: key.to_owned() });
        wait(async move { client.mounts(request).await }).expect("mounts").into_inner().mounts
    }

    #[track_caller]
    fn commit(&self, key: &str, name: &str) {
        let mut client = self.snapshots.clone();
        let (snapshotter, key, name) = (SNAPSHOTTER.to_owned(), key.to_owned(), name.to_owned());
        let request = asked(CommitSnapshotRequest { snapshotter, name, key, labels: kept() });
        wait(async move { client.commit(request).await }).expect("a snapshot");
    }

    #[track_caller]
    fn diff(&self, left: &[Mount], right: &[Mount], media_type: &str) -> Descriptor {
        let (mut client, media_type) = (self.diffs.clone(), media_type.to_owned());
        let (left, right) = (left.to_vec(), right.to_vec());
        let request = asked(DiffRequest { left, right, media_type, labels: kept(), ..DiffRequest::default() });
        wait(async move { client.diff(request).await }).expect("a layer").into_inner().diff.expect("a descriptor")
    }

    fn apply(&self, layer: &Descriptor, mounts: &[Mount]) -> Result<Descriptor, Status> {
        self.ask_to_apply(ApplyRequest {
            diff: Some(layer.clone()),
            mounts: mounts.to_vec(),
            ..ApplyRequest::default()
        })
    }

    fn ask_to_apply(&self, request: ApplyRequest) -> Result<Descriptor, Status> {
        let mut client = self.diffs.clone();
        let answer = wait(async move { client.apply(asked(request)).await });
        answer.map(|answer| answer.into_inner().applied.expect("a descriptor"))
    }
}

/// Labels of what no collection takes.
fn kept() -> HashMap<String, String> {
    [("containerd.io/gc.root".to_owned(), "yes".to_owned())].into()
}

/// Says how two trees differ. What no archive names has the time at which it was made.
fn differences(left: &Tree, right: &Tree) -> Vec<String> {
    tree::differences(left, right, |_, left, right| {
        let is_young = [left, right].iter().any(|node| node.kind == 'd' && node.mtime.0 > NOW);
        is_young && Node { mtime: right.mtime, ..left.clone() } == *right
    })
}

/// Mounts what was told.
#[track_caller]
fn mounted(mounts: &[Mount]) -> Mounted {
    let [mount] = mounts else { panic!("{mounts:?}") };
    Mounted::new(&mount.r#type, &mount.source, &mount.options)
}

#[track_caller]
fn shown(mounts: &[Mount]) -> Tree {
    seen(mounted(mounts).path())
}

fn put(tree: &Path, path: &str, text: &str, mode: u32) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().expect("a directory")).expect("directories");
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
}

/// A snapshot that is frozen, and one on it in which something of each kind has changed.
fn changed(client: &Client) -> (Vec<Mount>, Vec<Mount>) {
    let below = client.prepare("below", "");
    let tree = mounted(&below);
    for path in ["kept", "gone", "written", "modes", "deep/er/inner", "deep/er/gone", "replaced/old"] {
        put(tree.path(), path, path, 0o644);
    }
    drop(tree);
    client.commit("below", "base");
    let right = client.prepare("right", "base");
    let tree = mounted(&right);
    let at = |path: &str| tree.path().join(path);
    put(tree.path(), "written", "other bytes", 0o644);
    put(tree.path(), "new/file", "new", 0o4755);
    fs::set_permissions(at("modes"), Permissions::from_mode(0o600)).expect("a mode");
    setxattr(at("new/file"), "user.team", b"web", XattrFlags::empty()).expect("an attribute");
    fs::hard_link(at("new/file"), at("new/same")).expect("a second name");
    std::os::unix::fs::symlink("../kept", at("new/link")).expect("a link");
    fs::remove_file(at("gone")).expect("it is there");
    fs::remove_file(at("deep/er/gone")).expect("it is there");
    fs::remove_dir_all(at("replaced")).expect("it is there");
    put(tree.path(), "replaced/fresh", "fresh", 0o640);
    drop(tree);
    (client.view("left", "base"), right)
}

#[test]
fn a_change_is_the_same_layer_each_time_and_makes_the_same_tree_however_it_is_compressed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let client = Client::new(&door);
    let (left, right) = changed(&client);
    let expected = shown(&right);
    let has = |path: &str| expected.contains_key(Path::new(path));
    assert!(has("new/same") && has("replaced/fresh") && !has("gone") && !has("deep/er/gone") && !has("replaced/old"));
    let attributes = &expected[Path::new("new/file")].xattrs;
    assert_eq!(attributes.get(&b"user.team"[..]), Some(&b"web".to_vec()));
    let mut diff_ids = BTreeSet::new();
    for (number, compression) in ["", "+gzip", "+zstd"].into_iter().enumerate() {
        let media_type = format!("{LAYER}{compression}");
        let layer = client.diff(&left, &right, &media_type);
        assert_eq!(layer, client.diff(&left, &right, &media_type), "another time makes another layer");
        assert_eq!(layer.media_type, media_type);
        let target = client.prepare(&format!("target-{number}"), "base");
        let applied = client.apply(&layer, &target).expect("it is applied");
        assert_eq!(applied.media_type, LAYER);
        if compression.is_empty() {
            assert_eq!((&applied.digest, applied.size), (&layer.digest, layer.size), "it is what it is uncompressed");
        }
        let table = door.ctr_tells(&["content", "ls"]);
        let told = format!("containerd.io/uncompressed={}", applied.digest);
        let line = table.lines().find(|line| line.starts_with(&layer.digest));
        assert!(line.is_some_and(|line| line.contains(&told)), "{told} is not in:\n{table}");
        diff_ids.insert(applied.digest);
        let differences = differences(&expected, &shown(&target));
        assert!(differences.is_empty(), "{media_type}: {}", differences.join("\n"));
    }
    assert_eq!(diff_ids.len(), 1, "{diff_ids:?}");
    door.wharf(&["fsck"]);
}

#[test]
fn a_layer_goes_only_into_what_the_server_has_handed_out_to_be_written_to() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let client = Client::new(&door);
    let (left, right) = changed(&client);
    let layer = client.diff(&left, &right, LAYER);
    let target = client.prepare("target", "base");
    let before = shown(&target);
    let foreign = tempfile::tempdir().expect("a temporary directory");
    let source = foreign.path().to_str().expect("a text").to_owned();
    let bind = Mount {
        r#type: "bind".to_owned(),
        source,
        target: String::new(),
        options: ["rw", "rbind"].map(str::to_owned).to_vec(),
    };
    let [own] = <[Mount; 1]>::try_from(target.clone()).expect("one mount");
    let mut elsewhere = own.clone();
    for option in &mut elsewhere.options {
        if option.starts_with("upperdir=") {
            *option = format!("upperdir={}", foreign.path().display());
        }
    }
    assert_ne!(own, elsewhere);
    let rows: [(&str, Vec<Mount>); 8] = [
        ("a directory of somebody else", vec![bind.clone()]),
        ("an upper directory of somebody else", vec![elsewhere]),
        ("another kind", vec![Mount { r#type: "bind".to_owned(), ..own.clone() }]),
        ("a target", vec![Mount { target: "etc".to_owned(), ..own.clone() }]),
        ("two mounts", vec![own.clone(), own.clone()]),
        ("another one beside it", vec![own.clone(), bind]),
        ("none", Vec::new()),
        ("a view", left.clone()),
    ];
    for (what, mounts) in rows {
        let refused = client.apply(&layer, &mounts).map_err(|status| status.code());
        assert_eq!(refused, Err(Code::InvalidArgument), "{what}");
    }
    let rows = [
        (
            "a digest that nobody has",
            Descriptor { digest: digest(b"nobody has this"), ..layer.clone() },
            Code::NotFound,
        ),
        ("a digest that is none", Descriptor { digest: "sha256:0".to_owned(), ..layer.clone() }, Code::InvalidArgument),
        ("another size", Descriptor { size: layer.size + 1, ..layer.clone() }, Code::InvalidArgument),
        ("a size below zero", Descriptor { size: -1, ..layer.clone() }, Code::InvalidArgument),
        ("no layer", Descriptor { media_type: "text/plain".to_owned(), ..layer.clone() }, Code::InvalidArgument),
    ];
    for (what, wrong, code) in rows {
        let refused = client.apply(&wrong, &target).map_err(|status| status.code());
        assert_eq!(refused, Err(code), "{what}");
    }
    let payloads = [(LAYER.to_owned(), Any::default())].into();
    let (diff, mounts) = (Some(layer.clone()), target.clone());
    let refused = client.ask_to_apply(ApplyRequest { diff, mounts, payloads, ..ApplyRequest::default() });
    assert_eq!(refused.map_err(|status| status.code()), Err(Code::Unimplemented));
    assert_eq!(fs::read_dir(foreign.path()).expect("a directory").count(), 0);
    assert!(differences(&before, &shown(&target)).is_empty(), "nothing was written");
    client.apply(&layer, &target).expect("it is what the server has handed out");
}

/// A client that does not change its directory, as containerd's does for longer options, mounts them as they are.
#[test]
fn a_hundred_and_twenty_eight_levels_are_mounted_by_a_page_of_options() {
    // The path of the store has no more than 20 bytes.
    let directory = tempfile::Builder::new().prefix("w").tempdir_in("/tmp").expect("a temporary directory");
    let door = Door::open(directory.path());
    assert!(door.store().as_os_str().len() <= 20, "{}", door.store().display());
    let client = Client::new(&door);
    let fits = |mounts: &[Mount]| {
        let [mount] = mounts else { panic!("{mounts:?}") };
        let length = mount.options.join(",").len();
        assert!(length < OPTIONS_BYTES_MAX, "{length} bytes");
    };
    let mut parent = String::new();
    for level in 0..LEVELS {
        let mounts = client.prepare("active", &parent);
        fits(&mounts);
        put(mounted(&mounts).path(), &format!("file-{level}"), "", 0o644);
        parent = format!("level-{level}");
        client.commit("active", &parent);
    }
    let (writable, view) = (client.prepare("top", &parent), client.view("look", &parent));
    for (key, mounts) in [("top", writable), ("look", view)] {
        fits(&mounts);
        assert_eq!(client.mounts(key), mounts, "they are told again alike");
        let tree = mounted(&mounts);
        assert_eq!(fs::read_dir(tree.path()).expect("a directory").count(), LEVELS);
    }
}
