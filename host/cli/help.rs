//! What the help texts say below the options: examples first.
//!
//! No option is described here; that is done beside its declaration.

/// `wharf --help`.
pub(super) const WHARF: &str = "\
Examples:
  wharf pull alpine:3.20                     download an image for this machine
  wharf pull --dry-run postgres              what that would cost
  wharf images                               what is here
  wharf history alpine:3.20                  how it was made
  wharf inspect alpine:3.20 | jq '.[0].Config'

Output:
  Standard output is data; everything that is told to people goes to standard error.

Exit codes:
  0    everything was done
  1    something failed; standard error says what, why, and what to try
  2    the arguments are wrong
  130  interrupted; what has arrived is kept, and the next pull continues there";

macro_rules! pull_examples {
    () => {
        "\
Examples:
  wharf pull alpine:3.20
  wharf pull --platform linux/arm64,linux/amd64 ghcr.io/org/app
  wharf pull --dry-run postgres:17
  image=$(wharf pull -q alpine)"
    };
}

/// `wharf pull -h`.
pub(super) const PULL: &str = pull_examples!();

/// `wharf pull --help`.
pub(super) const PULL_LONG: &str = concat!(
    pull_examples!(),
    "\n
Interrupting:
  An interrupted pull keeps what has arrived. The next one continues there.

Output:
  The full name of the image, a line for each tag. With --format json an array of objects:
  name, familiar, repository, tag, id, target {media_type, digest, size}, created, updated,
  platforms, size, fetched_bytes, up_to_date. With --dry-run the plan: name, target,
  manifests [{platform, manifest}], blobs [{media_type, digest, size, received, state}],
  fetch_bytes, up_to_date; a state is here, partial or missing. Sizes are in bytes, times as
  in 2026-01-31T12:00:00Z.

Progress as JSON:
  Each line on standard error is an object whose type is resolved, selected, progress, warning,
  summary or problem."
);

macro_rules! images_examples {
    () => {
        "\
Examples:
  wharf images
  wharf images 'alpine:3.*'
  wharf images --filter since=alpine:3.19 --filter label=maintainer
  wharf images --format json | jq -r '.[].name'"
    };
}

/// `wharf images -h`.
pub(super) const IMAGES: &str = images_examples!();

/// `wharf images --help`.
pub(super) const IMAGES_LONG: &str = concat!(
    images_examples!(),
    "\n
Filters:
  reference=GLOB          the name matches, as in `alpine:3.*`
  label=KEY[=VALUE]       the image has this label
  before=IMAGE            built before that image
  since=IMAGE             built after that image
  until=TIME              built before that time, as in `2026-01-31T12:00:00Z`
  dangling=true|false     has no tag, or has one
  Filters of one key are alternatives, except labels, which all have to match.
  All keys have to match. NAME is a filter of the key reference.

JSON:
  An array of objects: name, familiar, repository, tag, id, target {media_type, digest, size},
  created, updated, platforms, size. Sizes are in bytes, times as in 2026-01-31T12:00:00Z;
  repository, tag and created are null where there is none."
);

/// `wharf inspect --help`.
pub(super) const INSPECT: &str = "\
Examples:
  wharf inspect alpine:3.20
  wharf inspect --manifests alpine:3.20
  wharf inspect --platform linux/arm64 alpine:3.20 | jq '.[0].Config.Env'

Output:
  A JSON array with one object for each REF, in that order.";

macro_rules! history_examples {
    () => {
        "\
Examples:
  wharf history alpine:3.20
  wharf history --no-trunc --platform linux/arm64 postgres"
    };
}

/// `wharf history -h`.
pub(super) const HISTORY: &str = history_examples!();

/// `wharf history --help`.
pub(super) const HISTORY_LONG: &str = concat!(
    history_examples!(),
    "\n
JSON:
  An array of objects, newest step first: layer, created, created_by, comment, size. The size is
  that of the layer as it is stored, in bytes; layer and created are null where there is none."
);

/// `wharf completion --help`.
pub(super) const COMPLETION: &str = "\
Examples:
  wharf completion bash > ~/.local/share/bash-completion/completions/wharf
  wharf completion fish > ~/.config/fish/completions/wharf.fish
  wharf completion zsh > ~/.zfunc/_wharf     with ~/.zfunc in fpath";
