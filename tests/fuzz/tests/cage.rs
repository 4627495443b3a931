//! The cage sees what it is there to see. It needs root, as the cage does:
//! `cargo test --manifest-path tests/fuzz/Cargo.toml`.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use wharf_fuzz::cage::{enter, outside};

/// A target that sees nothing finds nothing.
#[test]
fn whatever_is_done_outside_is_seen() {
    let caged = std::thread::spawn(|| {
        enter();
        let acts: [fn() -> io::Result<()>; 7] = [
            || fs::write("/victim/hello", "HELLO"),
            || fs::set_permissions("/victim/deep", Permissions::from_mode(0o700)),
            || lchown("/link", Some(1), None),
            || fs::hard_link("/a", "/c"),
            || fs::remove_file("/b"),
            || fs::create_dir("/etc/d"),
            || Ok(rustix::fs::setxattr("/a", c"trusted.x", b"x", rustix::fs::XattrFlags::empty())?),
        ];
        for (at, act) in acts.into_iter().enumerate() {
            let before = outside();
            assert_eq!(outside(), before, "looking changes nothing");
            act().expect("the cage is writable");
            assert_ne!(outside(), before, "act {at}");
        }
    });
    caged.join().expect("everything was seen");
}
