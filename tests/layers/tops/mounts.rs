//! How a top is mounted: what clients are told, what fits into a page, what is in use, and short names.

use super::super::shelf::{self, Shelf};
use super::super::view::nasty;
use super::{Client, PAGE_BYTES, made, names, place, prepare, read, remove, shown, write};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use wharf::layers::top::Mount;
use wharf::layers::{Error, Mounted, Top};

/// A mount by wharf itself, until it is dropped.
struct Own(tempfile::TempDir);

impl Own {
    fn new(top: &Top) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        top.mount(fs::File::open(directory.path()).expect("a directory").as_fd()).expect("a mount");
        Self(directory)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::empty());
    }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn only(top: &Top) -> Mount {
    let mut mounts = top.mounts().expect("options");
    assert_eq!(mounts.len(), 1);
    mounts.remove(0)
}

#[test]
fn what_is_told_depends_on_what_is_below() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b"]);
    let root = shelf.directory.path().canonicalize().expect("a path");
    for (name, writable, parent, lower) in [
        ("nothing", true, None, 1),
        ("one", true, Some(&stack[0]), 2),
        ("two", true, Some(&stack[1]), 3),
        ("a view of two", false, Some(&stack[1]), 2),
    ] {
        let top = shelf.layers.prepare(name, writable, parent).expect("a top");
        let mount = only(&top);
        assert_eq!((mount.kind, mount.options.contains(&"ro".to_owned())), ("overlay", !writable), "{name}");
        assert!(mount.source.starts_with("wharf:"), "{}", mount.source);
        let option = |key: &str| mount.options.iter().find_map(|option| option.strip_prefix(key));
        let lowers: Vec<_> = option("lowerdir=").expect("an option").split(':').collect();
        assert_eq!(lowers.len(), lower, "{name}");
        for path in lowers {
            assert!(fs::metadata(path).expect("it leads somewhere").is_dir(), "{path}");
            assert_eq!(path.len(), root.as_os_str().len() + "/l/12345".len(), "{path}");
        }
        for (key, directory) in [("upperdir=", "tree"), ("workdir=", "work")] {
            assert_eq!(option(key).map(Path::new), writable.then(|| place(&shelf, name).join(directory)).as_deref());
        }
        assert_eq!(only(&top), mount, "it is the same every time");
    }
    let view = |name: &str, parent| only(&shelf.layers.prepare(name, false, parent).expect("a view"));
    let one = view("a view of one", Some(&stack[0]));
    let tree = format!("{}/layers/{}/tree", root.display(), shelf::id("a").encoded());
    assert_eq!((one.kind, one.source, one.options), ("bind", tree, vec!["ro".to_owned(), "bind".to_owned()]));
    let nothing = view("a view of nothing", None);
    assert_eq!((nothing.kind, Path::new(&nothing.source)), ("bind", &*place(&shelf, "a view of nothing").join("tree")));
}

#[test]
fn what_is_written_is_there_at_the_next_mount_and_nowhere_else() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b"]);
    let (one, two) = (prepare(&shelf, "one", Some(&stack[1])), prepare(&shelf, "two", Some(&stack[1])));
    let client = Client::of(&one);
    write(client.join("a"), "changed");
    write(client.join("new"), "new");
    fs::remove_file(client.join("b")).expect("it is there");
    drop(client);
    let (client, own) = (Client::of(&two), Own::new(&prepare(&shelf, "three", Some(&stack[1]))));
    for other in [client.path(), own.0.path()] {
        assert_eq!(names(other), ["a", "b"]);
    }
    drop((client, own));
    let client = Client::of(&one);
    assert_eq!((names(client.path()), read(client.join("a"))), (vec!["a".into(), "new".into()], "changed".to_owned()));
    drop(client);
    let own = Own::new(&one);
    write(own.0.path().join("by wharf"), "1");
    assert_eq!(names(own.0.path()), ["a", "by wharf", "new"]);
    drop(own);
    assert_eq!(names(Client::of(&one).path()), ["a", "by wharf", "new"]);
}

#[test]
fn nothing_can_be_written_into_a_view_whatever_it_is_of() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b"]);
    for (name, parent) in [("nothing", None), ("one", Some(&stack[0])), ("two", Some(&stack[1]))] {
        let view = shelf.layers.prepare(name, false, parent).expect("a view");
        let (client, own) = (Client::of(&view), Own::new(&view));
        for at in [client.path(), own.0.path()] {
            let refused = fs::write(at.join("new"), "").expect_err("it is read-only");
            assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{name}");
        }
        let expected = &["a", "b"][..parent.map_or(0, |parent| parent.height() as usize)];
        assert_eq!((names(client.path()), names(own.0.path())), (texts(expected), texts(expected)), "{name}");
    }
}

#[test]
fn a_view_shows_what_the_snapshot_is() {
    let shelf = Shelf::new();
    for snapshot in nasty(&shelf).iter().skip(1) {
        let mount = super::super::mount::Mount::new(&shelf, snapshot);
        let expected = super::comparable(super::tree::read(mount.path()));
        super::same(snapshot.name(), &shown(&shelf, snapshot), &expected);
    }
}

#[test]
fn a_hundred_and_twenty_eight_layers_fit_into_a_page() {
    let shelf = Shelf::new();
    let names_of: Vec<_> = (0..128).map(|number| number.to_string()).collect();
    let stack = shelf.stack(&names_of.iter().map(String::as_str).collect::<Vec<_>>());
    let top = prepare(&shelf, "top", stack.last());
    let mount = only(&top);
    let length = mount.options.join(",").len();
    // The store of this test is in a directory of 15 bytes; 20 are to be enough.
    let root = shelf.directory.path().canonicalize().expect("a path").as_os_str().len();
    let lowers = 129 + 2;
    assert!(length + lowers * 20_usize.saturating_sub(root) < PAGE_BYTES, "{length} bytes, with a root of {root}");
    let client = Client::new(&[mount]);
    assert_eq!(names(client.path()).len(), 128);
    write(client.join("0"), "changed");
    assert_eq!((read(client.join("0")), read(client.join("127"))), ("changed".to_owned(), "127".to_owned()));
}

#[test]
fn five_hundred_layers_are_mounted_and_written_to() {
    let shelf = Shelf::new();
    let names_of: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    let stack = shelf.stack(&names_of.iter().map(String::as_str).collect::<Vec<_>>());
    let top = prepare(&shelf, "top", stack.last());
    let own = Own::new(&top);
    write(own.0.path().join("0"), "changed");
    assert_eq!((names(own.0.path()).len(), read(own.0.path().join("499"))), (500, "499".to_owned()));
    let expected = Mounted { at: own.0.path().to_owned(), snapshot: Some("top".to_owned()) };
    assert_eq!(shelf.layers.mounts().expect("mounts"), [expected]);
    assert!(shelf.layers.mounted().expect("a list").is_empty(), "it is no snapshot");
    shelf.layers.unmount(own.0.path()).expect("nobody is in it");
    let refused = top.commit("too high");
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    shelf.layers.find_top("top").expect("it is still there");
}

#[test]
fn what_is_mounted_is_in_use_however_it_was_mounted() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b"]);
    let other = shelf.again("this boot");
    for (writable, parent) in
        [(true, None), (true, Some(&stack[1])), (false, None), (false, Some(&stack[0])), (false, Some(&stack[1]))]
    {
        let what = format!("{writable} {:?}", parent.map(wharf::layers::Snapshot::name));
        let top = shelf.layers.prepare("top", writable, parent).expect("a top");
        let mounts = top.mounts().expect("options");
        let client = Client::new(&mounts);
        drop(top);
        assert!(matches!(other.remove_top("top"), Err(Error::InUse)), "{what}");
        drop(client);
        let own = Own::new(&shelf.layers.find_top("top").expect("a top"));
        assert!(matches!(other.remove_top("top"), Err(Error::InUse)), "{what}");
        drop(own);
        if writable {
            // Somebody who does not pass the source on.
            let stranger = Client::new(&[Mount { source: "overlay".to_owned(), ..mounts[0].clone() }]);
            assert!(matches!(other.remove_top("top"), Err(Error::InUse)), "{what}");
            drop(stranger);
        }
        remove(&other, "top");
    }
    assert!(shelf.layers.mounts().expect("mounts").is_empty());
}

#[test]
fn a_bind_of_another_store_is_none_of_its_business() {
    if shelf::runs_elsewhere() {
        return;
    }
    let (shelf, other) = (Shelf::new(), Shelf::new());
    let view = |shelf: &Shelf| shelf.layers.prepare("v", false, Some(&shelf.stack(&["a"])[0])).expect("a view");
    let client = Client::of(&view(&shelf));
    drop(view(&other));
    remove(&other.layers, "v");
    assert!(matches!(shelf.layers.remove_top("v"), Err(Error::InUse)));
    drop(client);
}

#[test]
fn short_names_are_made_again_and_go_with_what_they_lead_to() {
    if shelf::runs_elsewhere() {
        return;
    }
    let shelf = Shelf::new();
    let mut stack = shelf.stack(&["a", "b", "c"]);
    let top = prepare(&shelf, "top", stack.last());
    assert!(shelf.names("l").is_empty());
    let mounts = top.mounts().expect("options");
    let all = shelf.names("l");
    assert_eq!(all.len(), 4);
    // A power cut has taken one, and a stranger its place.
    fs::remove_file(shelf.path("l").join(&all[0])).expect("it is there");
    fs::remove_file(shelf.path("l").join(&all[1])).expect("it is there");
    std::os::unix::fs::symlink("../nowhere", shelf.path("l").join(&all[1])).expect("a link");
    assert_eq!(names(Client::new(&top.mounts().expect("options")).path()), ["a", "b", "c"]);
    assert_eq!(shelf.names("l").len(), 5);
    drop((top, mounts));
    remove(&shelf.layers, "top");
    stack.clear();
    assert_eq!(shelf.names("l").len(), 4);
    shelf.layers.remove("snapshot c").expect("nobody uses it");
    assert_eq!(shelf.names("l").len(), 3);
    let names_left = ["a", "b"].map(|name| format!("snapshot {name}"));
    let claim = shelf.layers.claim(&names_left, &["a", "b"].map(shelf::id)).expect("a claim");
    assert_eq!(shelf.names("l").len(), 2, "what leads nowhere goes with a sweep");
    claim.remove(&names_left, &["a", "b"].map(shelf::id)).expect("removed");
    assert!(shelf.names("l").is_empty());
}

/// A client says how it has mounted something, and by nothing else what it means.
#[test]
fn what_is_mounted_is_found_by_how_it_is_mounted() {
    let shelf = Shelf::new();
    let stack = shelf.stack(&["a", "b"]);
    let plan = [
        ("active", true, Some(&stack[1])),
        ("other", true, Some(&stack[1])),
        ("alone", true, None),
        ("high", false, Some(&stack[1])),
        ("low", false, Some(&stack[0])),
        ("low again", false, Some(&stack[0])),
        ("empty", false, None),
    ];
    let tops = plan.map(|(name, writable, parent)| shelf.layers.prepare(name, writable, parent).expect("a top"));
    let found = |mount: &Mount| {
        let mut found = shelf.layers.tops_mounted_by(mount.kind, &mount.source, &mount.options).expect("a list");
        found.sort();
        found
    };
    for top in &tops {
        let alike = if top.name().starts_with("low") { texts(&["low", "low again"]) } else { texts(&[top.name()]) };
        assert_eq!(found(&only(top)), alike);
    }
    // Everything has to be said as it was told.
    let told = only(&tops[0]);
    for strange in [
        Mount { kind: "bind", ..told.clone() },
        Mount { source: "overlay".to_owned(), ..told.clone() },
        Mount { source: only(&tops[1]).source, ..told.clone() },
        Mount { options: [&told.options[..], &texts(&["ro"])].concat(), ..told.clone() },
        Mount { options: told.options[1..].to_vec(), ..told.clone() },
        Mount { source: "/".to_owned(), ..only(&tops[4]) },
        Mount { options: texts(&["bind"]), ..only(&tops[4]) },
    ] {
        assert_eq!(found(&strange), texts(&[]), "{strange:?}");
    }
    drop(tops);
    remove(&shelf.layers, "active");
    assert_eq!(found(&told), texts(&[]));
}

#[test]
fn a_store_whose_path_mounts_cannot_have_is_told_and_mounts_by_itself() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let path = parent.path().join("with,a comma");
    fs::create_dir(&path).expect("a directory");
    let layers = shelf::open(&path, "this boot");
    let top = layers.prepare("top", true, None).expect("a top");
    assert!(matches!(top.mounts(), Err(Error::Unsupported(_))));
    let own = Own::new(&top);
    write(own.0.path().join("f"), "1");
    assert_eq!(names(path.join("tops").join(shelf::id("top").encoded()).join("tree")), ["f"]);
}

#[test]
fn a_mount_of_a_snapshot_that_was_a_top_is_like_any_other() {
    let shelf = Shelf::new();
    let base = made(&shelf, "base", None, |tree| write(tree.join("below"), "1"));
    let frozen = made(&shelf, "frozen", Some(&base), |tree| {
        fs::remove_file(tree.join("below")).expect("it is there");
        write(tree.join("above"), "2");
    });
    let mount = super::super::mount::Mount::new(&shelf, &frozen);
    assert_eq!(names(mount.path()), ["above"]);
    let view = wharf::layers::View::new(&shelf.layers, &frozen).expect("a view");
    assert_eq!(super::super::view::viewed(&view), super::super::view::mounted(mount.path()));
}
