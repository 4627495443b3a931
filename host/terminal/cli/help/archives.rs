//! The same for the verbs that put images in one file.

macro_rules! save_examples {
    () => {
        "\
Examples:
  wharf save alpine:3.20 -o alpine.tar
  wharf save app:1 app:2 | ssh host docker load
  wharf save --platform linux/arm64 postgres:17 -o postgres.tar
  wharf save --format oci-dir alpine:3.20 -o ./layout"
    };
}

/// `wharf save -h`.
pub(in crate::cli) const SAVE: &str = save_examples!();

/// `wharf save --help`.
pub(in crate::cli) const SAVE_LONG: &str = concat!(
    save_examples!(),
    "\n
What is saved:
  All platforms that are here, or those of --platform, as they came: layers stay compressed, and
  digests stay the same. Of an index of which not everything is here, the archive has what is left,
  under another digest, which is told. Images are called as they were asked for: by a name, or not
  at all if by an id or a digest.

Formats:
  docker-archive  an OCI image layout with docker's manifest.json and repositories beside it
  oci-archive     an OCI image layout in one file
  oci-dir         the same in a directory, which must be new or empty

  The same images make the same bytes, on every machine and at every time.

Output:
  The archive, and nothing else, on standard output or in FILE, which is there as a whole or not at
  all. Every blob is compared with its digest on the way: a damaged one ends the command."
);
