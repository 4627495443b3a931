//! What the help texts say below the options: examples first.
//!
//! No option is described here; that is done beside its declaration.

mod archives;
mod changes;
mod discovery;
mod holding;
mod manifests;
mod serve;
mod snapshots;
mod uploads;

pub(super) use archives::*;
pub(super) use changes::*;
pub(super) use discovery::*;
pub(super) use holding::*;
pub(super) use manifests::*;
pub(super) use serve::*;
pub(super) use snapshots::*;
pub(super) use uploads::*;

/// `wharf --help`.
pub(super) const WHARF: &str = "\
Examples:
  wharf pull alpine:3.20                     download an image for this machine
  wharf pull --dry-run postgres              what that would cost
  wharf images                               what is here
  wharf history alpine:3.20                  how it was made
  wharf explain alpine:3.20                  where a pull would ask, and why
  wharf search postgres                      what Docker Hub has of that name
  wharf save alpine:3.20 -o alpine.tar       one file, for docker load and others
  wharf import root.tar.gz base:1            an image of a root file system
  wharf push registry.lan/base/alpine:3.20   to a registry, by a name that `wharf tag` gave
  wharf prune --dry-run --all                what could go, and what that would free
  wharf df                                   how much space images take
  wharf serve                                for docker's clients, over their API
  wharf login ghcr.io                        for what is not public
  wharf inspect alpine:3.20 | jq '.[0].Config'

Output:
  Standard output is data; everything that is told to people goes to standard error.

Exit codes:
  0    everything was done
  1    something failed; standard error says what, why, and what to try
  2    the arguments are wrong
  130  interrupted; what has arrived is kept, and the next pull continues there";

/// `wharf --help`, where a stock WebAssembly runtime runs it.
pub(super) const PORTABLE: &str = "\
Examples:
  Where `wharf` is written, type `wasmtime run -Shttp --dir ./images::store wharf.wasm`.
  wharf pull alpine:3.20                     download an image
  wharf images                               what is here
  wharf fsck                                 look at everything again
  wharf prune --dry-run --all                what could go
  wharf --root other images                  with `--dir ./elsewhere::other`

What the runtime has to give:
  --dir DIR::store   the directory of images; an OCI image layout, which other tools read
  -Shttp             HTTP; without it wasmtime says that `wasi:http/types` is missing
  --env NAME=VALUE   variables: none of the machine's reaches the sandbox by itself

Starting at once:
  wasmtime compiles wharf.wasm at every start, which takes seconds. Do it once instead:
    wasmtime compile wharf.wasm
    wasmtime run --allow-precompiled -Shttp --dir ./images::store wharf.cwasm images
  The second file is for this machine and this version of wasmtime, and is trusted as a program is.

Logins:
  --auth-file FILE with FILE in a directory that was given, else the text in DOCKER_AUTH_CONFIG, else
  `config.json` in the directory of images. They are read inside the sandbox: unlike the native
  program, this one has no wall between secrets and what reads the answers of registries, and no
  rule about private addresses; give it no more than it needs. No program that keeps logins is
  started.

What it has not, because WASI has not:
  unpack, ls, cat, diff, export, import, mount, umount, mounts (owners, devices, mounts); login, logout, whoami
  (credential helpers); demo; files that configure registries; --limit-rate; push --compress; gc --scheduled.
  The native program has them. The processor is not told: WHARF_MACHINE says which platform to choose, or linux/amd64 is.
  Images in docker's own format (schema 2) are kept as they are, because another format is another
  digest; skopeo and podman look for OCI's format alone in a layout.

Output:
  Standard output is data; everything that is told to people goes to standard error.

Exit codes:
  0    everything was done
  1    something failed; standard error says what, why, and what to try
  What has arrived of a pull that is interrupted is kept, and the next pull continues there.";

macro_rules! pull_examples {
    () => {
        "\
Examples:
  wharf pull alpine:3.20
  wharf pull --platform linux/arm64,linux/amd64 ghcr.io/org/app
  wharf pull --dry-run postgres:17
  wharf pull --plan monday.json postgres:17 && wharf apply monday.json
  wharf pull --limit-rate 2M --timeout 2m registry.lan:5000/app
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

Keeping:
  --retain unpacked keeps the trees alone: the blobs of layers go once their trees make them again.
  --retain compressed keeps the blobs alone. The choice is recorded with the name, as by `wharf
  retain`, and carried out after the pull; without it a name keeps its choice, and a new one has that
  of `wharf retain --default`.

Planning:
  --dry-run shows the plan. --plan FILE saves it too, and `wharf apply FILE` carries out exactly that
  later: it refuses, and says what differs, if the name has another record here by then, points to
  something else, or if another manifest is chosen.

Output:
  The full name of the image, a line for each tag. With --format json an array of objects:
  name, familiar, repository, tag, id, target {media_type, digest, size}, created, updated,
  platforms, size, retention, fetched_bytes, up_to_date, transfers [{media_type, digest, size, endpoint,
  attempts, resumed_from, fetched_bytes, duration_ms, cached}], rate_limit {registry, limit,
  remaining, window_s}; endpoint is null for a blob that was here, rate_limit where the registry
  tells none. With --dry-run or --plan the plan: name, target,
  manifests [{platform, manifest}], blobs [{media_type, digest, size, received, state}],
  fetch_bytes, unpack_layers, up_to_date; a state is here, partial or missing. Sizes are in bytes, times as
  in 2026-01-31T12:00:00Z.

Progress as JSON:
  Each line on standard error is an object whose type is resolved, selected, progress,
  transferred, note, warning, summary or problem."
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
  label!=KEY[=VALUE]      the image does not have it
  before=IMAGE            built before that image
  since=IMAGE             built after that image
  until=TIME              built before that time, as in `2026-01-31T12:00:00Z`
  dangling=true|false     nobody has named it, or somebody has
  Filters of one key are alternatives, except labels, which all have to match.
  All keys have to match. NAME is a filter of the key reference.
  Expressions as ctr has them are filters too, as in name~=/alpine/,labels.team==web; the
  operators are ==, != and ~= (a regular expression), the fields name, target.digest,
  target.mediatype and labels.KEY. Of several expressions one has to match.

JSON:
  An array of objects: name, familiar, repository, tag, id, target {media_type, digest, size},
  created, updated, platforms, size, retention. Sizes are in bytes, times as in
  2026-01-31T12:00:00Z; retention is both, unpacked or compressed, see `wharf retain --help`;
  repository, tag and created are null where there is none."
);

/// `wharf inspect --help`.
pub(super) const INSPECT: &str = "\
Examples:
  wharf inspect alpine:3.20
  wharf inspect --manifests alpine:3.20
  wharf inspect --platform linux/arm64 alpine:3.20 | jq '.[0].Config.Env'
  wharf inspect --provenance alpine:3.20 | jq '.[0].Provenance'

Output:
  A JSON array with one object for each REF, in that order.";

/// `wharf fsck --help`.
pub(super) const FSCK: &str = "\
Examples:
  wharf fsck
  wharf fsck alpine:3.20
  wharf fsck --repair
  wharf fsck --repair --rebuild
  wharf fsck --format json | jq -r '.flaws[].subject'

What is looked at:
  The records, every byte of the blobs, and the extracted layers, which are compared with what they
  were when they were extracted. It downloads nothing without --repair.

What has no name:
  Versions whose tag has moved on, images of other namespaces, and everything if the records are
  lost. --rebuild records them: by the name that they say themselves, or as in
  localhost/recovered@sha256:4bcf…; pulling such an image by its own name then fetches documents only.

Output:
  For each flaw what it is, what follows from it and what to try. The exit code is 1 if there is one
  that is not repaired. With --format json an object: images, blobs, bytes, trees, flaws [{kind,
  subject, why, images, consequence, cure, repaired}], notes. kind is unreadable-record, missing-blob,
  damaged-blob, disputed-size (by a manifest), damaged-layer or damaged-snapshot.";

macro_rules! explain_examples {
    () => {
        "\
Examples:
  wharf explain alpine
  wharf explain --platform linux/arm64 ghcr.io/org/app:1.2
  wharf explain --format json alpine | jq -r '.endpoints[].url'"
    };
}

/// `wharf explain -h`.
pub(super) const EXPLAIN: &str = explain_examples!();

/// `wharf explain --help`.
pub(super) const EXPLAIN_LONG: &str = concat!(
    explain_examples!(),
    "\n
What is shown:
  The full name, and the alias that it came from, with its file. The file whose rule decides about
  the name. Each place that a pull would ask, in order: its URL, whether by TLS, whether it is a
  mirror, what it is used for, why it is asked or not, and where its login comes from, never the
  login. The platforms that are accepted of an image for several, the best first.
  Nothing is sent, so that nobody knows whether anybody would answer.

JSON:
  An object: name, alias, rule (the files, or null), blocked, endpoints [{url, secure, mirror,
  repository, capabilities, asked_for, source, login, skipped}], platforms. login and skipped are
  null where there is none."
);

/// `wharf tags --help`.
pub(super) const TAGS: &str = "\
Examples:
  wharf tags alpine
  wharf tags --format json ghcr.io/org/app | jq -r '.[-1]'

Output:
  One tag a line, in order. With --format json an array of strings.";

/// `wharf catalog --help`.
pub(super) const CATALOG: &str = "\
Examples:
  wharf catalog registry.lan:5000
  wharf catalog --format json localhost:5000 | jq length

Output:
  One repository a line, in order, without the registry. With --format json an array of strings.
  Most public registries list their repositories to nobody.";

/// `wharf login --help`.
pub(super) const LOGIN: &str = "\
Examples:
  wharf login
  wharf login ghcr.io -u ann
  pass show ghcr | wharf login ghcr.io -u ann --password-stdin

Where logins are kept:
  By the program that `credHelpers` or `credsStore` in the file names, or else in the file itself,
  unencrypted. The file is the one of --auth-file, or else docker's config.json. A login is stored
  when the registry has accepted it.";

/// `wharf logout --help`.
pub(super) const LOGOUT: &str = "\
Examples:
  wharf logout
  wharf logout ghcr.io
  wharf logout --all
  wharf logout --auth-file ~/.config/containers/auth.json quay.io

Whoever was not logged in is told so, and that is no failure.";

macro_rules! whoami_examples {
    () => {
        "\
Examples:
  wharf whoami
  wharf whoami ghcr.io
  wharf whoami --format json | jq -r '.[].registry'"
    };
}

/// `wharf whoami -h`.
pub(super) const WHOAMI: &str = whoami_examples!();

/// `wharf whoami --help`.
pub(super) const WHOAMI_LONG: &str = concat!(
    whoami_examples!(),
    "\n
Exit codes:
  1    not logged in to REGISTRY, or a file or a program with logins could not be asked

JSON:
  An array of objects: registry, user, kind, program, file, key. The kind is password,
  identity-token, registry-token or helper; user and program are null where there is none, or none
  is known. The password is never shown."
);

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

/// `wharf unpack --help`.
pub(super) const UNPACK: &str = "\
Examples:
  wharf pull --no-unpack alpine:3.20 && wharf unpack alpine:3.20

Output:
  The name of the snapshot, by convention the ChainID. With --format json an object: name,
  manifest, platform, snapshot, unpacked; snapshot is null for an image without layers, unpacked
  is how many layers had to be extracted.";

macro_rules! mount_examples {
    () => {
        "\
Examples:
  sudo wharf mount debian:12 /mnt && ls /mnt/etc && sudo wharf umount /mnt
  wharf mount debian:12 -- sh -c 'cat $WHARF_TREE/etc/os-release'"
    };
}

/// `wharf mount -h`.
pub(super) const MOUNT: &str = mount_examples!();

/// `wharf mount --help`.
pub(super) const MOUNT_LONG: &str = concat!(
    mount_examples!(),
    "\n
What is mounted:
  The tree of the image, read-only, by the kernel's overlay; nothing is copied. An image that is
  not extracted yet is extracted first. While it is mounted its layers cannot be removed.

Rights:
  Mounting on a directory takes root. With -- COMMAND anybody can: the command runs in a user and
  mount namespace of its own, where the caller is root and devices are empty files. The exit code
  is that of the command.

  The files belong to root there, whoever owns them in the image, and nobody else exists, unless
  newuidmap and newgidmap (of the package uidmap) are installed and /etc/subuid and /etc/subgid
  have ranges for the user: then files show the owners of the image, and a command can become
  another user, as with `setpriv --reuid 33`. Files of others than root are copied into memory
  for that; above 256 MiB of them they belong to root, with a warning."
);

/// `wharf ls --help`.
pub(super) const LS: &str = "\
Examples:
  wharf ls alpine:3.20
  wharf ls -R alpine:3.20 /etc
  wharf ls --format json alpine:3.20 /bin | jq -r '.[].path'

Output:
  Mode, owner, size, time and path; nothing is mounted and no rights are needed. With --format
  json an array of objects: path, type, mode, uid, gid, size, modified, target, device {major,
  minor}, xattrs; what an entry has not is null. A path that is no UTF-8 has escapes as in
  `\\xff`.";

/// `wharf cat --help`.
pub(super) const CAT: &str = "\
Examples:
  wharf cat alpine:3.20 /etc/os-release";

/// `wharf diff --help`.
pub(super) const DIFF: &str = "\
Examples:
  wharf diff alpine:3.19 alpine:3.20

Output:
  A line for each path that differs: A was added, C is another, D is gone. Times alone make no
  difference. With --format json an array of objects: change, path.";
