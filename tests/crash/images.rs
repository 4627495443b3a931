//! The images that are pulled while something breaks: two versions of one that has all that is hard about layers (a
//! whiteout, an opaque directory, hard links within a layer and across two, directories that only layers below
//! describe), and one that has nothing to do with it.

use std::io::Write;
use tar::{Builder, EntryType, Header};
use wharf::demo::image::{Image, Layer, Variant, noise};
use wharf::demo::registry::Images;

/// The name that is pulled.
pub(crate) const NAME: &str = "registry.test/app:latest";
/// The name of the image that is always there before.
pub(crate) const BYSTANDER: &str = "registry.test/bystander:latest";
/// A name that the old version has besides.
pub(crate) const KEPT: &str = "registry.test/app:kept";
/// A name that nothing has at first.
pub(crate) const NEW_NAME: &str = "registry.test/copy:latest";

/// When all of it was made, in seconds since 1970.
const MTIME: u64 = 1_700_000_000;
/// The size of the largest file: the download of its layer is more than one write.
const LARGE_BYTES: usize = 400 << 10;

/// Which of two states a registry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Old,
    New,
}

/// What a registry serves in this state.
pub(crate) fn images(version: Version) -> Images {
    Images::new().with("app", "latest", &image(vec![base(), middle(version), top(version)])).with(
        "bystander",
        "latest",
        &other(),
    )
}

/// The digest that the other name points to.
pub(crate) fn bystander() -> String {
    other().root().digest.clone()
}

fn other() -> Image {
    image(vec![layer(&[("readme", Kind::File(0o644, b"nobody has touched this\n".to_vec()))])])
}

/// The digest that the name points to in this state.
pub(crate) fn target(version: Version) -> String {
    image(vec![base(), middle(version), top(version)]).root().digest.clone()
}

fn image(layers: Vec<Layer>) -> Image {
    Image::single(&Variant { os: "linux", architecture: architecture(), variant: None, layers })
}

/// As images name the machine that this runs on.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        other => other,
    }
}

enum Kind {
    /// Mode.
    Directory(u32),
    /// Mode and content.
    File(u32, Vec<u8>),
    /// What it points to.
    Symbolic(&'static str),
    /// The file that it is another name of.
    Hard(&'static str),
}

use Kind::{Directory, File, Hard, Symbolic};

fn base() -> Layer {
    let large = noise(1, LARGE_BYTES);
    let mut entries = vec![
        ("etc", Directory(0o755)),
        ("etc/os-release", File(0o644, b"ID=crash\n".to_vec())),
        ("etc/shadow", File(0o600, b"root:*::\n".to_vec())),
        ("etc/empty", File(0o644, Vec::new())),
        ("usr", Directory(0o755)),
        ("usr/bin", Directory(0o755)),
        ("usr/bin/tool", File(0o4755, noise(2, 9_000))),
        ("usr/bin/alias", Hard("usr/bin/tool")),
        ("usr/bin/link", Symbolic("tool")),
        ("usr/share", Directory(0o750)),
        ("usr/share/large", File(0o644, large)),
        ("var", Directory(0o1777)),
        ("var/cache", Directory(0o700)),
        ("var/cache/old", File(0o644, b"to be hidden\n".to_vec())),
        ("var/gone", File(0o644, b"to be removed\n".to_vec())),
    ];
    let many = ["a", "b", "c", "d", "e", "f"];
    let many = many.map(|name| (name, File(0o644, noise(u64::from(name.as_bytes()[0]), 3_000))));
    entries.extend(many);
    layer(&entries)
}

/// Nothing says here what `usr/share` looks like.
fn middle(version: Version) -> Layer {
    let seed = if version == Version::Old { 10 } else { 20 };
    layer(&[
        ("usr/share/doc/tool", File(0o644, noise(seed, 5_000))),
        ("usr/share/doc/version", File(0o644, format!("{version:?}\n").into_bytes())),
        ("opt/app/run", File(0o755, noise(seed + 1, 20_000))),
        ("opt/app/data", File(0o640, noise(seed + 2, 70_000))),
    ])
}

fn top(version: Version) -> Layer {
    let name = if version == Version::Old { "old" } else { "new" };
    layer(&[
        ("etc/os-release", File(0o644, format!("ID=crash\nVERSION={name}\n").into_bytes())),
        ("etc/tool", Hard("usr/bin/tool")),
        ("var/.wh.gone", File(0o644, Vec::new())),
        ("var/cache", Directory(0o700)),
        ("var/cache/.wh..wh..opq", File(0o644, Vec::new())),
        ("var/cache/new", File(0o644, format!("{name}\n").into_bytes())),
    ])
}

fn layer(entries: &[(&str, Kind)]) -> Layer {
    let mut tar = Builder::new(Vec::new());
    for (path, kind) in entries {
        let mut header = Header::new_ustar();
        let (kind, mode, bytes, target): (_, _, &[u8], _) = match kind {
            Directory(mode) => (EntryType::Directory, *mode, &[], None),
            File(mode, bytes) => (EntryType::Regular, *mode, bytes, None),
            Symbolic(target) => (EntryType::Symlink, 0o777, &[], Some(target)),
            Hard(target) => (EntryType::Link, 0o4755, &[], Some(target)),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(if mode == 0o640 { 1000 } else { 0 });
        header.set_gid(0);
        header.set_mtime(MTIME);
        header.set_size(bytes.len() as u64);
        if let Some(target) = target {
            header.set_link_name(target).expect("targets are short");
        }
        tar.append_data(&mut header, path, bytes).expect("paths are short");
    }
    let mut bytes = tar.into_inner().expect("writing to memory does not fail");
    bytes.flush().expect("writing to memory does not fail");
    Layer { bytes: bytes.into(), created_by: "COPY . /".to_owned() }
}
