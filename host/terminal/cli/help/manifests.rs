//! The same for `manifest`.

macro_rules! manifest_examples {
    () => {
        "\
Examples:
  wharf manifest create registry.lan/app:1 app:1-amd64 app:1-arm64
  wharf manifest add registry.lan/app:1 app:1-riscv --variant rva22u64
  wharf manifest create --amend registry.lan/app:1 app:1-s390x
  wharf manifest annotate registry.lan/app:1 linux/arm64 --annotation org.example.build=7
  wharf manifest annotate registry.lan/app:1 --annotation org.opencontainers.image.version=1
  wharf manifest remove registry.lan/app:1 linux/riscv64
  wharf manifest inspect alpine:3.20
  wharf manifest push registry.lan/app:1"
    };
}

/// `wharf manifest -h`.
pub(in crate::cli) const MANIFEST: &str = manifest_examples!();

/// `wharf manifest --help`.
pub(in crate::cli) const MANIFEST_LONG: &str = concat!(
    manifest_examples!(),
    "\n
What an index lists:
  Images that are here, each under the platform that its own index or its config says. Of an image
  with several platforms all that are here are listed, or the one of --platform, as with podman;
  docker refuses such an image. What is not here is pulled first: an index is made of nothing
  else. It is an OCI index, and the same edits make the same bytes on every machine.

Changes:
  Each makes another index, and the name points to that; what the name pointed to before goes with
  the next `wharf gc` unless something needs it. The order, and everything that is not changed,
  stays, also what a pulled index lists and is not here. A manifest is named by its digest, by its
  platform, or by an image that is here. Without one `annotate` says something of the index itself.
  The last one cannot be removed; `wharf rm` removes the name. `create --amend` adds to an index that
  is here, and makes it otherwise.

inspect:
  The document of what is here, or else of the registry, laid out to be read; with --raw the bytes
  as they are. Nothing is kept of it.

push:
  The same as `wharf push`, with its options: manifests and blobs first, and the name last.

Output:
  The digest of the index; with --format json {name, target, before, manifests: [{media_type,
  digest, size, platform, annotations, here}]}."
);
