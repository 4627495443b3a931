//! The same for the verbs about what registries have that nobody named.

macro_rules! search_examples {
    () => {
        "\
Examples:
  wharf search alpine
  wharf search --filter is-official=true --filter stars=100 --limit 5 postgres
  wharf search registry.lan:5000/app
  wharf search --format json nginx | jq -r '.[].name'"
    };
}

/// `wharf search -h`.
pub(in crate::cli) const SEARCH: &str = search_examples!();

/// `wharf search --help`.
pub(in crate::cli) const SEARCH_LONG: &str = concat!(
    search_examples!(),
    "\n
Where is searched:
  A word alone is searched for on Docker Hub, where docker search does it, and without a login. With
  a registry before it that registry is asked for its search; one that has none for the
  repositories that it lists, of which those count that have the word in their name; one that
  lists none for the repository of that very name. What was done is told on standard error.

Output:
  Name, description, stars, and [OK] for what the registry vouches for; most stars first. The name
  is what `wharf pull` takes; whoever owns the repository wrote the description.

JSON:
  An array of objects: name, description, stars, official, automated. stars is null where the
  registry counts none."
);

macro_rules! referrers_examples {
    () => {
        "\
Examples:
  wharf referrers ghcr.io/org/app:1
  wharf referrers --type application/spdx+json ghcr.io/org/app@sha256:4bcf…
  wharf referrers --format json registry.lan:5000/app | jq -r '.[].digest'"
    };
}

/// `wharf referrers -h`.
pub(in crate::cli) const REFERRERS: &str = referrers_examples!();

/// `wharf referrers --help`.
pub(in crate::cli) const REFERRERS_LONG: &str = concat!(
    referrers_examples!(),
    "\n
What is listed:
  The artifacts whose subject is what REF points to at its registry: signatures, bills of materials,
  attestations. Of an index that is the index, and not the manifest of a platform. A registry that
  keeps no such list is asked for the tag under which clients keep one, as in sha256-4bcf…, which
  is told. Mirrors are not asked, and nothing is verified or pulled.

Output:
  Digest, type, size and annotations, in the registry's order. `wharf pull NAME@DIGEST` pulls one.

JSON:
  An array of objects: digest, media_type, artifact_type, size, annotations. artifact_type is null
  where none is said."
);
