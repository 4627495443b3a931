//! Images in one file, on a stock runtime.

use super::{open_registry, portable};
use crate::support::push::large;
use crate::support::wharf::Wharf;
use std::fs;
use wharf::demo::image::demo;

#[test]
fn both_hosts_write_the_same_archives() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    registry.push("app", "2", &large(5, 2, 100_000));
    let names = ["1", "2"].map(|tag| format!("{}/app:{tag}", registry.address()));
    let (directory, portable) = portable();
    let archives = directory.path().join("archives");
    fs::create_dir(&archives).expect("the temporary directory is writable");
    let portable = portable.give_directory(&archives, "archives");
    let native = Wharf::new(directory.path());
    for (name, platforms) in [(&names[0], "linux/amd64,linux/arm64"), (&names[1], "linux/amd64")] {
        portable.run(&["pull", "-q", "--platform", platforms, name]).success();
        native.run(&["pull", "-q", "--no-unpack", "--platform", platforms, name]).success();
    }
    let rows = [
        &["save", &names[0], &names[1]][..],
        &["save", "--format", "oci-archive", "--platform", "linux/arm64", &names[0]],
    ];
    for (at, row) in rows.into_iter().enumerate() {
        let [one, two] = ["portable", "native"].map(|host| archives.join(format!("{host}-{at}.tar")));
        let given = format!("archives/portable-{at}.tar");
        let told = portable.run(&[row, &["-o", &given]].concat());
        let native_told = native.run(&[row, &["-o", &two.to_string_lossy()]].concat());
        assert_eq!(told.stderr.replace(&given, ""), native_told.stderr.replace(&*two.to_string_lossy(), ""), "{row:?}");
        assert!(fs::read(one).expect("an archive") == fs::read(two).expect("an archive"), "{row:?}");
    }
    let blob =
        fs::read_dir(portable.images().join("blobs/sha256")).expect("blobs").map(|blob| blob.expect("a blob").path());
    let largest = blob.max_by_key(|path| fs::metadata(path).expect("a file").len()).expect("a blob");
    let mut bytes = fs::read(&largest).expect("a blob");
    bytes[1_000] ^= 1;
    fs::write(&largest, bytes).expect("a blob");
    let refused = portable.run(&["save", &names[0], &names[1], "-o", "archives/damaged.tar"]).failure();
    assert!(refused.contains("damaged"), "{refused}");
    let left = fs::read_dir(&archives).expect("a directory").count();
    assert_eq!(left, 4, "nothing of it is left");
    let refused = portable.run(&["save", &names[0], "-o", "nowhere/archive.tar"]).failure();
    assert!(refused.contains("--dir ./archives"), "{refused}");
}

#[test]
fn an_archive_is_loaded_on_both_hosts() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let name = format!("{}/app:1", registry.address());
    let (directory, portable) = portable();
    let archives = directory.path().join("archives");
    fs::create_dir(&archives).expect("the temporary directory is writable");
    let portable = portable.give_directory(&archives, "archives");
    let native = Wharf::new(directory.path());
    native.run(&["pull", "-q", "--no-unpack", "--all-platforms", &name]).success();
    let archive = archives.join("app.tar");
    native.run(&["save", "-q", &name, "-o", &archive.to_string_lossy()]).success();
    assert_eq!(portable.run(&["load", "-q", "--no-unpack", "-i", "archives/app.tar"]).success(), format!("{name}\n"));
    portable.run(&["save", "-q", &name, "-o", "archives/again.tar"]).success();
    assert!(fs::read(&archive).expect("an archive") == fs::read(archives.join("again.tar")).expect("an archive"));

    let bytes = fs::read(&archive).expect("an archive");
    fs::write(archives.join("cut.tar"), &bytes[..bytes.len() / 2]).expect("a file");
    fs::write(archives.join("app.tar.gz"), [&[0x1f, 0x8b][..], &bytes].concat()).expect("a file");
    let cut = portable.run(&["load", "--no-unpack", "--tag", "cut:1", "-i", "archives/cut.tar"]).failure();
    assert!(cut.contains("cut off"), "{cut}");
    let packed = portable.run(&["load", "--no-unpack", "-i", "archives/app.tar.gz"]).failure();
    assert!(packed.contains("hint: decompress it first, as by `gzip -d`"), "{packed}");
    let refused = portable.run(&["load", "-i", "archives/app.tar"]).failure();
    assert!(refused.contains("load it with `--no-unpack`"), "{refused}");
}
