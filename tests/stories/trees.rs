//! The trees of images: extracted with a pull or later, mounted, listed, printed and compared, by root and by a user
//! without rights; and what is left of a pull that is killed. Mounting takes root.

use super::{json, open_registry, wharf};
use crate::layers::apply::write::{self, Entry, directory, file, symlink};
use crate::support::docker_registry::DockerRegistry;
use crate::support::proxy::Proxy;
use crate::support::push::large;
use crate::support::tree;
use crate::support::wharf::{Output, Wharf};
use serde_json::{Value, json as object};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wharf::demo::image::{Image, Layer, Variant, digest};

const WAIT: Duration = Duration::from_secs(60);

/// What [`base`] and [`top`] make together, as `ls -R` lists it.
const LISTED: [&str; 6] = [
    "drwxr-xr-x 0:0 - 2001-09-09T01:46:40Z /etc",
    "lrwxrwxrwx 0:0 - 2001-09-09T01:46:40Z /etc/absolute -> /etc/greeting",
    "-rw-r--r-- 0:0 6 2001-09-09T01:46:40Z /etc/greeting",
    "lrwxrwxrwx 0:0 - 2001-09-09T01:46:40Z /etc/link -> greeting",
    "-rw------- 0:0 4 2001-09-09T01:46:40Z /etc/new",
    "-rwsr-xr-x 1000:1000 3 2001-09-09T01:46:40Z /etc/tool",
];

pub(super) fn base() -> Vec<Entry> {
    vec![
        directory("etc"),
        file("etc/greeting", b"hello\n"),
        file("etc/old", b"old\n"),
        file("etc/tool", b"#!\n").mode(0o4755).owner(1000, 1000),
        symlink("etc/absolute", "/etc/greeting"),
        symlink("etc/link", "greeting"),
    ]
}

/// Removes one file of [`base`], and adds one.
fn top() -> Vec<Entry> {
    vec![directory("etc"), file("etc/.wh.old", b""), file("etc/new", b"new\n").mode(0o600)]
}

pub(super) fn image(layers: &[Vec<Entry>]) -> Image {
    of_bytes(layers.iter().map(|entries| write::layer(entries)).collect())
}

/// An image whose layers are these bytes, archives or not.
pub(super) fn of_bytes(layers: Vec<Vec<u8>>) -> Image {
    let layers = layers.into_iter().map(|bytes| Layer { bytes: bytes.into(), created_by: "COPY . /".to_owned() });
    Image::single(&Variant { os: "linux", architecture: "amd64", variant: None, layers: layers.collect() })
}

/// The ChainID of plain layers, whose digests are their DiffIDs. OCI image-spec, config.md.
fn chain_id(layers: &[Vec<Entry>]) -> String {
    let diff_ids = layers.iter().map(|entries| digest(&write::layer(entries)));
    let chain_id = diff_ids.reduce(|below, diff_id| digest(format!("{below} {diff_id}").as_bytes()));
    chain_id.expect("an image has a layer")
}

/// Pushes an image and returns its name.
pub(super) fn pushed(registry: &DockerRegistry, tag: &str, image: &Image) -> String {
    registry.push("app", tag, image);
    format!("{}/app:{tag}", registry.address())
}

/// What a directory of the store holds.
pub(super) fn kept(wharf: &Wharf, directory: &str) -> usize {
    fs::read_dir(wharf.store().join(directory)).expect("the store has this directory").count()
}

/// The lines of a table without its head, a blank between two columns.
fn rows(table: &str) -> Vec<String> {
    table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Why a command failed, and not by a signal or because of its arguments.
#[track_caller]
pub(super) fn refusal(output: Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}{}", output.stdout, output.stderr);
    output.failure()
}

/// Every entry below `root` with its content or target.
fn shown(root: &Path) -> Vec<String> {
    let entries = tree::read(root).into_iter().map(|(path, node)| {
        let content = match (node.kind, &node.target) {
            ('-', _) => fs::read_to_string(root.join(&path)).expect("a file can be read"),
            (_, Some(target)) => target.display().to_string(),
            _ => String::new(),
        };
        let (uid, gid) = node.owner;
        format!("{}{:04o} {uid}:{gid} /{} {content:?}", node.kind, node.mode, path.display())
    });
    entries.collect()
}

/// A directory to mount on. Whatever is mounted there goes with it.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new(directory: &Path) -> Self {
        let path = directory.canonicalize().expect("the temporary directory is there").join("mnt");
        fs::create_dir(&path).expect("the temporary directory is writable");
        Self(path)
    }

    pub(super) fn text(&self) -> &str {
        self.0.to_str().expect("temporary directories have plain names")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It fails where nothing is mounted any more.
        let _ = rustix::mount::unmount(self.0.as_path(), rustix::mount::UnmountFlags::DETACH);
    }
}

#[test]
fn an_image_is_mounted_read_only_until_it_is_unmounted() {
    let registry = open_registry();
    let layers = [base(), top()];
    let reference = pushed(&registry, "1", &image(&layers));
    let (directory, wharf) = wharf();
    let place = Place::new(directory.path());
    let mounts = || json(&wharf.run(&["mounts", "--format", "json"]).success());

    wharf.run(&["pull", "-q", &reference]).success();
    assert_eq!((kept(&wharf, "layers"), kept(&wharf, "extract")), (2, 0));
    assert_eq!(mounts(), object!([]));
    assert_eq!(rows(&wharf.run(&["mounts"]).success()), [""; 0]);

    assert_eq!(wharf.run(&["mount", &reference, place.text()]).success(), "");
    assert_eq!(
        shown(&place.0),
        [
            "d0755 0:0 / \"\"",
            "d0755 0:0 /etc \"\"",
            "l0777 0:0 /etc/absolute \"/etc/greeting\"",
            "-0644 0:0 /etc/greeting \"hello\\n\"",
            "l0777 0:0 /etc/link \"greeting\"",
            "-0600 0:0 /etc/new \"new\\n\"",
            "-4755 1000:1000 /etc/tool \"#!\\n\"",
        ]
    );
    let refused = fs::write(place.0.join("etc/more"), "").expect_err("the mount is read-only");
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let chain_id = chain_id(&layers);
    assert_eq!(mounts(), object!([{ "snapshot": chain_id, "directory": place.text() }]));
    let short = &chain_id["sha256:".len()..][..12];
    assert_eq!(rows(&wharf.run(&["mounts"]).success()), [format!("{short} {}", place.text())]);

    assert_eq!(wharf.run(&["umount", place.text()]).success(), "");
    assert_eq!(mounts(), object!([]));
    assert_eq!(shown(&place.0).len(), 1, "the directory is empty again");
}

#[test]
fn what_cannot_be_mounted_or_unmounted_is_said() {
    let registry = open_registry();
    let reference = pushed(&registry, "1", &image(&[base()]));
    let (directory, wharf) = wharf();
    let place = Place::new(directory.path());
    wharf.run(&["pull", "-q", &reference]).success();

    let error = refusal(wharf.run(&["umount", place.text()]));
    let expected =
        format!("error: cannot unmount `{}`\n  because: no image of this store is mounted there\n", place.text());
    assert!(error.starts_with(&expected), "{error}");
    wharf.run(&["mount", &reference, place.text()]).success();
    wharf.run(&["umount", place.text()]).success();
    assert_eq!(refusal(wharf.run(&["umount", place.text()])), error, "once is enough");

    let missing = format!("{}/missing", place.text());
    for (output, action) in [
        (wharf.run(&["mount", &reference, &missing]), format!("mount `{reference}` on")),
        (wharf.run(&["umount", &missing]), "unmount".to_owned()),
    ] {
        let error = refusal(output);
        assert!(error.starts_with(&format!("error: cannot {action} `{missing}`\n  because: ")), "{error}");
    }
    assert!(!Path::new(&missing).exists(), "nothing is made in its place");

    let file = format!("{}/file", place.text());
    fs::write(&file, "kept").expect("nothing is mounted there");
    let error = refusal(wharf.run(&["mount", &reference, &file]));
    assert!(error.starts_with(&format!("error: cannot mount `{reference}`")), "{error}");
    assert_eq!(fs::read_to_string(&file).expect("it is still a file"), "kept");
    assert_eq!(json(&wharf.run(&["mounts", "--format", "json"]).success()), object!([]));
}

#[test]
fn a_command_sees_the_tree_and_nothing_stays_mounted() {
    let registry = open_registry();
    let reference = pushed(&registry, "1", &image(&[base(), top()]));
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &reference]).success();
    let listed = wharf.run(&["mount", &reference, "--", "sh", "-c", "stat -c '%A %u:%g %n' etc/*"]).success();
    assert_eq!(
        listed.lines().collect::<Vec<_>>(),
        [
            "lrwxrwxrwx 0:0 etc/absolute",
            "-rw-r--r-- 0:0 etc/greeting",
            "lrwxrwxrwx 0:0 etc/link",
            "-rw------- 0:0 etc/new",
            "-rwsr-xr-x 1000:1000 etc/tool",
        ]
    );
    assert_eq!(json(&wharf.run(&["mounts", "--format", "json"]).success()), object!([]));
}

#[test]
fn an_image_is_listed_and_its_files_are_printed_without_mounting_it() {
    let registry = open_registry();
    let lower = pushed(&registry, "lower", &image(&[base()]));
    let reference = pushed(&registry, "1", &image(&[base(), top()]));
    let (_directory, wharf) = wharf();
    for name in [&lower, &reference] {
        wharf.run(&["pull", "-q", name]).success();
    }

    let list = |arguments: &[&str]| {
        let all: Vec<&str> = [&["ls"], arguments].concat();
        rows(&wharf.run(&all).success())
    };
    assert_eq!(list(&[&reference]), LISTED[..1]);
    assert_eq!(list(&[&reference, "/etc"]), LISTED[1..]);
    assert_eq!(list(&["-R", &reference]), LISTED);
    assert_eq!(list(&[&reference, "/etc/tool"]), LISTED[5..]);
    assert!(list(&[&lower, "/etc"]).contains(&"-rw-r--r-- 0:0 4 2001-09-09T01:46:40Z /etc/old".to_owned()));
    let listed = json(&wharf.run(&["ls", "--format", "json", &reference, "/etc/tool"]).success());
    assert_eq!(
        listed,
        object!([{
            "path": "/etc/tool", "type": "file", "mode": "4755", "uid": 1000, "gid": 1000, "size": 3,
            "modified": "2001-09-09T01:46:40Z", "target": null, "device": null, "xattrs": [],
        }])
    );

    for path in ["/etc/greeting", "etc/greeting", "/etc/link", "/etc/absolute"] {
        assert_eq!(wharf.run(&["cat", &reference, path]).success(), "hello\n", "{path}");
    }
    assert_eq!(wharf.run(&["cat", &lower, "/etc/old"]).success(), "old\n");
    let missing = "there is no such file or directory in the image";
    for (path, reason) in [
        ("/etc/old", missing),
        ("/etc/.wh.old", missing),
        ("/no/such", missing),
        ("/etc", "the entry `/etc` is no file"),
    ] {
        let error = refusal(wharf.run(&["cat", &reference, path]));
        let expected = format!("error: cannot print `{path}` of `{reference}`\n  because: {reason}\n");
        assert!(error.starts_with(&expected), "{error}");
    }
    let error = refusal(wharf.run(&["ls", &reference, "/etc/old"]));
    let expected = format!("error: cannot list `/etc/old` of `{reference}`\n  because: {missing}\n");
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn two_images_are_compared_path_by_path() {
    let registry = open_registry();
    let old = vec![
        directory("etc"),
        file("etc/content", b"one\n"),
        file("etc/kind", b"file\n"),
        symlink("etc/link", "content"),
        file("etc/mode", b"mode\n"),
        file("etc/owner", b"owner\n"),
        file("etc/time", b"time\n"),
        directory("gone"),
        file("gone/file", b"gone\n"),
    ];
    let new = vec![
        directory("etc"),
        file("etc/content", b"two\n"),
        directory("etc/kind"),
        file("etc/kind/fresh", b"fresh\n"),
        symlink("etc/link", "mode"),
        file("etc/mode", b"mode\n").mode(0o600),
        file("etc/owner", b"owner\n").owner(7, 0),
        file("etc/time", b"time\n").mtime("1234567890.5"),
        file("etc/.wh.not-there", b""),
        file(".wh.gone", b""),
    ];
    let from = pushed(&registry, "old", &image(std::slice::from_ref(&old)));
    let to = pushed(&registry, "new", &image(&[old, new]));
    let (_directory, wharf) = wharf();
    for name in [&from, &to] {
        wharf.run(&["pull", "-q", name]).success();
    }

    let expected = [
        ("C", "/etc/content"),
        ("C", "/etc/kind"),
        ("A", "/etc/kind/fresh"),
        ("C", "/etc/link"),
        ("C", "/etc/mode"),
        ("C", "/etc/owner"),
        ("D", "/gone"),
        ("D", "/gone/file"),
    ];
    let lines = |swap: bool| -> String {
        let letter = |letter: &'static str| match letter {
            "A" if swap => "D",
            "D" if swap => "A",
            letter => letter,
        };
        expected.iter().map(|(change, path)| format!("{} {path}\n", letter(change))).collect()
    };
    assert_eq!(wharf.run(&["diff", &from, &to]).success(), lines(false));
    assert_eq!(wharf.run(&["diff", &to, &from]).success(), lines(true));
    assert_eq!(wharf.run(&["diff", &from, &from]).success(), "");

    let objects = expected.map(|(change, path)| {
        let change = match change {
            "A" => "added",
            "C" => "changed",
            _ => "deleted",
        };
        object!({ "change": change, "path": path })
    });
    assert_eq!(json(&wharf.run(&["diff", "--format", "json", &from, &to]).success()), Value::from(objects.to_vec()));
}

#[test]
fn layers_are_extracted_when_they_are_asked_for() {
    let registry = open_registry();
    let layers = [base(), top()];
    let image = image(&layers);
    let reference = pushed(&registry, "1", &image);
    let (_directory, wharf) = wharf();
    let plan = || wharf.run(&["pull", "--dry-run", &reference]).success().lines().next_back().map(str::to_owned);

    wharf.run(&["pull", "-q", "--no-unpack", &reference]).success();
    assert_eq!((kept(&wharf, "layers"), kept(&wharf, "extract")), (0, 0));
    assert_eq!(plan().as_deref(), Some("2 layers to extract"));

    let snapshot = chain_id(&layers);
    assert_eq!(wharf.run(&["unpack", &reference]).success(), format!("{snapshot}\n"));
    assert_eq!((kept(&wharf, "layers"), kept(&wharf, "extract")), (2, 0));
    assert_eq!(plan().as_deref(), Some("up to date"));
    assert_eq!(wharf.run(&["unpack", &reference]).success(), format!("{snapshot}\n"));
    assert_eq!(
        json(&wharf.run(&["unpack", "--format", "json", &reference]).success()),
        object!({
            "name": reference, "manifest": image.root().digest, "platform": "linux/amd64",
            "snapshot": snapshot, "unpacked": 0,
        })
    );
}

#[test]
fn what_is_not_extracted_is_extracted_when_it_is_looked_at() {
    let registry = open_registry();
    let reference = pushed(&registry, "1", &image(&[base(), top()]));
    let (_directory, wharf) = wharf();
    wharf.run(&["pull", "-q", "--no-unpack", &reference]).success();
    assert_eq!(kept(&wharf, "layers"), 0);
    assert_eq!(rows(&wharf.run(&["ls", "-R", &reference]).success()), LISTED);
    assert_eq!((kept(&wharf, "layers"), kept(&wharf, "extract")), (2, 0));
}

#[test]
fn a_user_without_rights_has_the_tree_too() {
    let registry = open_registry();
    let reference = pushed(&registry, "1", &image(&[base(), top()]));
    let (directory, wharf) = wharf();
    let place = Place::new(directory.path());
    // Where a directory of the path cannot be read, what is not there is refused instead.
    let wharf = wharf.run_by_nobody().with("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");

    wharf.run(&["pull", "-q", &reference]).success();
    assert_eq!(rows(&wharf.run(&["ls", "-R", &reference]).success()), LISTED, "the owners are those of the image");
    assert_eq!(wharf.run(&["cat", &reference, "/etc/new"]).success(), "new\n");

    let error = refusal(wharf.run(&["mount", &reference, place.text()]));
    assert!(error.starts_with(&format!("error: cannot mount `{reference}`")), "{error}");
    assert!(error.ends_with(&format!("\nhint: wharf mount {reference} -- COMMAND\n")), "{error}");

    let run = |command: &[&str]| {
        let all: Vec<&str> = [&["mount", &*reference, "--"], command].concat();
        wharf.run(&all)
    };
    let output = run(&["cat", "etc/greeting"]);
    assert_eq!((output.status.code(), &*output.stdout, &*output.stderr), (Some(0), "hello\n", ""));
    let output = run(&["sh", "-c", "pwd; echo \"$WHARF_TREE\"; echo talk >&2; exit 7"]);
    assert_eq!((output.status.code(), &*output.stderr), (Some(7), "talk\n"));
    let [here, tree] = output.stdout.lines().collect::<Vec<_>>()[..] else { panic!("{}", output.stdout) };
    assert_eq!(here, tree, "it begins in the tree");
    let output = run(&["sh", "-c", "echo more > etc/more"]);
    assert!(!output.status.success() && output.stderr.contains("Read-only file system"), "{output:?}");

    let output = run(&["no-such-command"]);
    let expected =
        "error: cannot run `no-such-command` in a namespace of its own\n  because: there is no such program\n";
    assert_eq!((output.status.code(), &*output.stderr), (Some(127), expected));
    assert_eq!(json(&wharf.run(&["mounts", "--format", "json"]).success()), object!([]));
}

#[test]
fn a_pull_that_is_killed_while_it_extracts_is_done_by_the_next() {
    const LAYERS: usize = 2;
    const LAYER_BYTES: usize = 8 << 20;
    let registry = open_registry();
    registry.push("app", "1", &large(21, LAYERS, LAYER_BYTES));
    let proxy = Proxy::start(registry.address());
    let (_directory, wharf) = wharf();
    let reference = format!("{}/app:1", proxy.address());

    proxy.slow_down(4 << 20);
    let running = wharf.spawn(&["pull", "-q", &reference]);
    proxy.wait_for(LAYER_BYTES as u64 / 2, WAIT);
    running.kill();
    proxy.speed_up();
    assert_eq!(kept(&wharf, "layers"), 0, "no layer is whole");
    let debris = kept(&wharf, "extract");
    assert!((1..=LAYERS).contains(&debris), "{debris} layers were being extracted");

    assert_eq!(wharf.run(&["images", "-q"]).success(), "");
    assert!(kept(&wharf, "extract") <= debris);
    wharf.run(&["pull", "-q", &reference]).success();
    assert_eq!((kept(&wharf, "layers"), kept(&wharf, "extract")), (LAYERS, 0));
    let listed = json(&wharf.run(&["ls", "--format", "json", &reference, "/srv"]).success());
    let sizes: Vec<_> = listed.as_array().expect("an array").iter().map(|entry| &entry["size"]).collect();
    assert_eq!(sizes, [LAYER_BYTES; LAYERS]);
}
