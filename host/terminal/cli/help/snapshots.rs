//! What the help of `wharf snapshot` says below the options.

macro_rules! snapshot_examples {
    () => {
        "\
Examples:
  wharf snapshot prepare work alpine:3.20
  wharf snapshot mount work -- sh -c 'echo hello >etc/motd'
  wharf snapshot diff work
  wharf snapshot commit work hello:1 --change 'CMD [\"cat\", \"/etc/motd\"]'
  wharf snapshot rm work"
    };
}

/// `wharf snapshot -h`.
pub(in crate::cli) const SNAPSHOT: &str = snapshot_examples!();

/// `wharf snapshot --help`.
pub(in crate::cli) const SNAPSHOT_LONG: &str = concat!(
    snapshot_examples!(),
    "\n
What a snapshot is:
  A tree of files on top of the layers of an image, which stay as they are: docker's read-write layer,
  containerd's active snapshot. It is on disk until it is removed, mounted or not, and keeps the image
  that it stands on. Clients of containerd see it by the same name.

What a commit is:
  An image of the layers below and of one more, with everything that was written. The snapshot stays.
  What is written while the commit reads is in it or not, so let nothing write meanwhile.

JSON:
  Of ls an array of objects: name, parent, kind (view, active, committed), labels {KEY: VALUE},
  created, updated. Of diff the same as of `wharf diff`, of commit the same as of `wharf import`."
);
