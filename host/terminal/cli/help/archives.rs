//! The same for the verbs that put images, or the files of one, in one file, or take them out.

macro_rules! save_examples {
    () => {
        "\
Examples:
  wharf save alpine:3.20 -o alpine.tar
  wharf save app:1 app:2 | ssh host docker load
  wharf save --platform linux/arm64 postgres:17 -o postgres.tar
  wharf save --complete postgres:17 -o postgres-all.tar
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
  under another digest, which is told. --complete fetches what is not here before, from the registry
  of the name and by digest: what the name points to stays, and what came stays here. If that fails,
  no archive is written. Images are called as they were asked for: by a name, or not at all if by an
  id or a digest.

Formats:
  docker-archive  an OCI image layout with docker's manifest.json and repositories beside it
  oci-archive     an OCI image layout in one file
  oci-dir         the same in a directory, which must be new or empty

  The same images make the same bytes, on every machine and at every time.

Output:
  The archive, and nothing else, on standard output or in FILE, which is there as a whole or not at
  all. Every blob is compared with its digest on the way: a damaged one ends the command."
);

macro_rules! load_examples {
    () => {
        "\
Examples:
  wharf load -i alpine.tar
  ssh host docker save app:1 | wharf load
  wharf load -i layout.tar.gz --tag registry.example/app:1
  wharf load -i ./layout --no-unpack"
    };
}

/// `wharf load -h`.
pub(in crate::cli) const LOAD: &str = load_examples!();

/// `wharf load --help`.
pub(in crate::cli) const LOAD_LONG: &str = concat!(
    load_examples!(),
    "\n
What is read:
  An OCI image layout in a tar or a directory, and what docker (every version), podman, skopeo,
  containerd, kaniko and buildkit write; as a whole compressed with gzip, zstd, bzip2 or xz, or
  not. It is read once, from its beginning to its end, so that a pipe will do. Every file that is
  called by a digest is compared with it, and every layer with the config.

Names:
  Those in the archive, all at once, and no others. A name that pointed to something else moves, and
  that is told; the other image stays until `wharf gc` if no name is left to it. An image without a
  name is called localhost/loaded@sha256:…; --tag names it, or gives it another name.

Manifests:
  Archives of docker before 25, podman and skopeo have none. Then an OCI manifest is made, always the
  same for the same archive, with the layers as they are. Of an index, what is not in the archive is
  told and left out.

Platforms:
  Everything that the archive has. --platform takes what it names of each image and leaves the rest;
  an image that has nothing for it ends the call, and then nothing of the archive is here.

Keeping:
  --retain says what is kept of the images from now on, as that of `wharf pull` does.

If something goes wrong:
  Nothing is left: no name, no blob and no tree. An archive that leads out of itself, has a file twice,
  was cut off or changed is refused.

Output:
  The full name of each image; with --format json {images: [{names, target, id, platforms, moved:
  [{name, target}]}], notes}. Progress and everything that is told goes to standard error."
);

macro_rules! import_examples {
    () => {
        "\
Examples:
  wharf import root.tar.gz base:1
  tar -C ./root -c . | wharf import - base:1 -c 'CMD [\"/bin/sh\"]'
  wharf import https://example.com/root.tar.xz base:1 --platform linux/arm64
  wharf import root.tar -c 'ENV PATH=/bin' -c 'WORKDIR /srv' -m 'from the build of today'"
    };
}

/// `wharf import -h`.
pub(in crate::cli) const IMPORT: &str = import_examples!();

/// `wharf import --help`.
pub(in crate::cli) const IMPORT_LONG: &str = concat!(
    import_examples!(),
    "\n
What is read:
  A tar with the files of a root file system, plain or compressed with gzip, zstd, bzip2 or xz;
  what it is, its bytes say and not its name. It is read once, so that a pipe will do. From an
  address, as a pull: the same addresses are refused, a download that breaks off goes on if the
  server has the same file still, and no login is sent. Images that docker or podman have saved
  are for `wharf load`.

What it becomes:
  An image of one layer, with an OCI manifest. The layer is the archive byte for byte; of bzip2
  and xz, which layers cannot have, it is the tar inside. docker and podman keep or compress it
  anew, so that digests differ. It is extracted, and what cannot be a layer is refused, as a hard
  link to nothing in it; a path that leads out of it stays below its root. With --created the same
  archive makes the same image everywhere.

Changes:
  CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR,
  as in a Dockerfile, one after the other: in brackets as words, else by /bin/sh -c; $NAME is what
  ENV has set before. Without changes the config says nothing but the platform.

Names:
  As in `wharf load`: a name that pointed to something else moves, and that is told. Without REF
  the image is called localhost/imported@sha256:…, so that `wharf tag` can name it.

If something goes wrong, or it is interrupted:
  Nothing is left: no name, no blob and no tree.

Output:
  The id of the image, as docker and podman print it; with --format json {name, target, id, layer,
  diff_id, platform, moved, notes}. Progress and everything that is told goes to standard error."
);

macro_rules! export_examples {
    () => {
        "\
Examples:
  wharf export alpine:3.20 -o root.tar
  wharf export --platform linux/arm64 debian:12 | ssh board tar -xpC /mnt
  wharf export app:1 | tar -t | grep etc/"
    };
}

/// `wharf export -h`.
pub(in crate::cli) const EXPORT: &str = export_examples!();

/// `wharf export --help`.
pub(in crate::cli) const EXPORT_LONG: &str = concat!(
    export_examples!(),
    "\n
What is exported:
  One tree: what `wharf mount` shows, with owners, modes, times, links, hard links, devices and
  extended attributes, in order of path, the root itself as ./ first. Nothing of the config and no
  history; `wharf save` writes images. An image that is not extracted yet is extracted first. The
  same tree makes the same bytes; a directory that no layer names has the time of its extraction,
  and so has the root if the last layer does not name it.

Output:
  A tar in the pax format, and nothing else, on standard output or in FILE, which is there as a
  whole or not at all. Whoever extracts it as root, as `tar --xattrs --xattrs-include='*' -xpf`
  does, has the tree as it was."
);
