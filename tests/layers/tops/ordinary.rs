//! Tops in the store of an ordinary user, who mounts in a user namespace. The tests run as root and start themselves again
//! as somebody else.

use super::super::apply::write::{character, directory, file, layer, link};
use super::super::namespace::{DIRECTORY, as_a_user};
use super::super::shelf;
use super::{Client, apply};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use wharf::hash::{Algorithm, Digest};
use wharf::layers::apply::Budget;
use wharf::layers::view::Kind;
use wharf::layers::{Error, Layer, Layers, Rights, View, unpack};

const NAME: &str = "layers::tops::ordinary::";

fn extracted(layers: &Layers, archive: &[u8]) -> Layer {
    let unpacked = unpack(layers, archive, &Budget::default(), &AtomicBool::new(false)).expect("a layer");
    unpacked.publish(&Digest::of(Algorithm::Sha256, archive)).expect("a layer")
}

fn store(test: &str) -> Option<Layers> {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        as_a_user(&format!("{NAME}{test}"));
        return None;
    };
    let layers = shelf::open(Path::new(&directory), "this boot");
    assert_eq!(layers.rights(), Rights::User);
    Some(layers)
}

/// Becomes root of a user namespace and a mount namespace, as a program does that mounts for a user.
fn enter() {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER | nix::sched::CloneFlags::CLONE_NEWNS)
        .expect("a user namespace");
    fs::write("/proc/self/setgroups", "deny").expect("the map of groups");
    fs::write("/proc/self/gid_map", format!("0 {group} 1")).expect("the map of groups");
    fs::write("/proc/self/uid_map", format!("0 {user} 1")).expect("the map of users");
}

#[test]
fn what_a_user_applies_is_what_a_users_layers_are() {
    let Some(layers) = store("what_a_user_applies_is_what_a_users_layers_are") else { return };
    let base = layer(&[
        directory("./").owner(3, 4),
        directory("d").owner(5, 6).mode(0o711),
        file("d/shadow", b"1").owner(0, 42).mode(0o4640),
        file("gone", b"").owner(1, 1),
        character("null", 1, 3),
    ]);
    let top_layer = layer(&[
        file("d/new", b"2").owner(7, 7),
        link("second", "d/shadow").owner(0, 42).mode(0o4640),
        file(".wh.gone", b""),
        file("null", b"a file"),
    ]);
    let (one, two) = (extracted(&layers, &base), extracted(&layers, &top_layer));
    let below = layers.stack("one", None, &one).expect("a snapshot");
    let stacked = layers.stack("two", Some(&below), &two).expect("a snapshot");
    let top = layers.prepare("top", true, None).expect("a top");
    apply(&top, &base).expect("it is written");
    apply(&top, &top_layer).expect("it is written");
    let written = top.commit("written").expect("a snapshot");
    let top = layers.prepare("top", true, Some(&below)).expect("a top");
    top.adopt(&two).expect("it is adopted");
    let adopted = top.commit("adopted").expect("a snapshot");
    let seen = |snapshot| {
        let view = View::new(&layers, snapshot).expect("a view");
        let walk = view.walk().map(|step| step.expect("a step"));
        walk.map(|(path, entry)| (path, (entry.kind, entry.owner, entry.mode, entry.size, entry.device)))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let expected = seen(&stacked);
    assert_eq!(expected[&b"d/shadow".to_vec()], (Kind::File, (0, 42), 0o4640, 1, None));
    assert_eq!((seen(&written), seen(&adopted)), (expected.clone(), expected));
    written.verify(&|| false).expect("it is whole");
    let mut bytes = Vec::new();
    layers.diff(&written, &mut bytes).expect("an archive");
    assert!(layers.find_top("top").is_err());
}

#[test]
fn a_user_mounts_and_writes_in_a_namespace() {
    let Some(layers) = store("a_user_mounts_and_writes_in_a_namespace") else { return };
    let below = layers.stack("below", None, &extracted(&layers, &layer(&[file("a", b"1"), file("d/f", b"1")])));
    let below = below.expect("a snapshot");
    let top = layers.prepare("top", true, Some(&below)).expect("a top");
    let mounts = top.mounts().expect("options");
    assert!(mounts[0].options.contains(&"userxattr".to_owned()));
    let at = tempfile::tempdir().expect("a temporary directory");
    assert!(matches!(
        top.mount(std::os::fd::AsFd::as_fd(&fs::File::open(at.path()).expect("a directory"))),
        Err(Error::Unsupported(_))
    ));
    let directory = std::env::var_os(DIRECTORY).expect("it was told");
    drop((top, below, layers));
    // The namespace is this thread's alone, and a process with several threads cannot make one.
    let status = unsafe { libc::fork() };
    if status == 0 {
        enter();
        let layers = shelf::open(Path::new(&directory), "this boot");
        let client = Client::new(&mounts);
        fs::write(client.join("new"), "2").expect("a file");
        fs::remove_file(client.join("a")).expect("it is there");
        fs::remove_dir_all(client.join("d")).expect("it is there");
        fs::create_dir(client.join("d")).expect("a directory");
        fs::write(client.join("d/g"), "2").expect("a file");
        drop((client, layers));
        std::process::exit(0);
    }
    let mut code = 0;
    assert_eq!(unsafe { libc::waitpid(status, &raw mut code, 0) }, status);
    assert_eq!(code, 0);
    let layers = shelf::open(Path::new(&directory), "this boot");
    let top = layers.find_top("top").expect("a top");
    let mut bytes = Vec::new();
    top.diff(&mut bytes).expect("an archive");
    let entries: Vec<_> = tar::Archive::new(&*bytes)
        .entries()
        .expect("an archive")
        .map(|entry| String::from_utf8(entry.expect("an entry").path_bytes().into_owned()).expect("UTF-8"))
        .collect();
    assert_eq!(entries, ["./", ".wh.a", "d/", "d/.wh..wh..opq", "d/g", "new"]);
    let snapshot = top.commit("snapshot").expect("a snapshot");
    let view = View::new(&layers, &snapshot).expect("a view");
    let paths: Vec<_> = view.walk().map(|step| String::from_utf8(step.expect("a step").0).expect("UTF-8")).collect();
    assert_eq!(paths, ["", "d", "d/g", "new"]);
}
