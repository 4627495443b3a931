//! The same for the verbs that bring images to a registry.

macro_rules! push_examples {
    () => {
        "\
Examples:
  wharf push alpine:3.20 registry.lan:5000/base/alpine:3.20
  wharf push registry.lan:5000/base/alpine:3.20
  wharf push --platform linux/arm64 ghcr.io/org/app:1.2
  wharf push --compress zstd:3 ghcr.io/org/app:1.2
  wharf push --referrers ghcr.io/org/app:1.2
  wharf push --all-tags --dry-run ghcr.io/org/app"
    };
}

/// `wharf push -h`.
pub(in crate::cli) const PUSH: &str = push_examples!();

/// `wharf push --help`.
pub(in crate::cli) const PUSH_LONG: &str = concat!(
    push_examples!(),
    "\n
What is pushed:
  What the name points to here, byte for byte: digests stay the same. An index goes with everything
  that it lists; if something of that is neither here nor in the registry, nothing is pushed, and it
  is said what is missing. --platform pushes the one manifest, under its own digest, which is told.
  Layers that registries need not hold are not sent.

What refers to it:
  --referrers pushes signatures, bills of materials and other artifacts that have the image, a
  manifest of it, or one of them as their subject: those that are here, and those that the
  repositories have by whose names the same image is known here. Which of these could not be asked is
  said. They are there before the name is. Where a registry does not say that it lists them, wharf
  lists them under a tag, as in sha256-4bcf…, beside what others have put there; that holds for any
  manifest with a subject.

How:
  The registry is asked for every blob, and gets only what it lacks. What another repository of the
  same registry should have, by the names that are here, is mounted from there, without being sent.
  Layers and configs go first, then manifests, and last the name, so that it never points to
  something that is not whole. An upload that breaks goes on where the registry has it. Nothing is
  ever pushed to a mirror.

Compression:
  --compress gzip[:1-9] or zstd[:1-19] compresses the layers on the way that are compressed in
  another way, several at once, and --force-compress also those that are compressed like that
  already. The image there has the same ID and the same DiffIDs; its layers, manifests and index are
  others, so that its digest is another one, which is told. Each is inflated and hashed again before
  it is sent. The same version of wharf makes the same bytes of the same layer. What is here stays as
  it is. Signatures and attestations are about the digest that they name, and do not follow.

Output:
  A line for each tag: the full name with the digest that it points to. With --format json an array
  of objects: name, target, reduced_from, referrers, sent_bytes, up_to_date, notes, and parts, each
  with its way (there, mounted, sent, elsewhere), from and sent_bytes."
);

macro_rules! copy_examples {
    () => {
        "\
Examples:
  wharf copy alpine:3.20 registry.lan:5000/base/alpine
  wharf copy --platform linux/arm64 postgres:17 registry.lan:5000/db/postgres:17-arm64
  wharf copy --referrers --dry-run ghcr.io/org/app:1.2 registry.lan:5000/team/app
  wharf copy --all-tags registry.lan:5000/app registry.example/team/app"
    };
}

/// `wharf copy -h`.
pub(in crate::cli) const COPY: &str = copy_examples!();

/// `wharf copy --help`.
pub(in crate::cli) const COPY_LONG: &str = concat!(
    copy_examples!(),
    "\n
What is copied:
  What the source points to, byte for byte: an index with everything that it lists, or the one
  manifest of --platform. Nothing of it is kept on this machine, and nothing here is needed for it.
  --referrers copies what the source has that refers to it, as in `wharf push`.

How:
  As `wharf push` does it, with blobs that go on as they come: what is there is not sent, and within
  one registry it is mounted. A copy that was broken off goes on with what is missing. Each blob is
  compared with its digest by the registry that takes it. --dry-run asks both registries, and says
  what would be sent, what would be mounted and what is there.

Output:
  As that of `wharf push`."
);
