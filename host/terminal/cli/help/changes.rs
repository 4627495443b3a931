//! The same for the verbs that change what is here.

/// What all of them print.
macro_rules! output {
    () => {
        "  With --format json an object: names [{name, before, after, platforms, why}], gone, removed {blobs
  [{digest, size}], layers [{digest, size}], snapshots [{name, size}], ingests [{key, size}],
  bytes}, failed [{name, why}], left. after is null for a name that went, before for one that came;
  gone are the digests that no name points to any more; left are sentences about what had to stay."
    };
}

/// What all of them do with `--dry-run` and `--plan`.
macro_rules! planning {
    () => {
        "\
Planning:
  --dry-run shows the names that would change and why, what would be freed, counting only what
  nothing else needs, and what is at risk. --plan FILE saves the same, and `wharf apply FILE`
  carries out exactly that later, or refuses and says what has changed. With --format json both
  print an object as above, with garbage in the place of removed, and risks in that of failed and
  left."
    };
}

macro_rules! tag_examples {
    () => {
        "\
Examples:
  wharf tag alpine:3.20 registry.lan:5000/base:1
  wharf tag 4bcff63911fc app:stable app:1.2
  wharf tag --dry-run app:1.3 app:stable"
    };
}

/// `wharf tag -h`.
pub(in crate::cli) const TAG: &str = tag_examples!();

/// `wharf tag --help`.
pub(in crate::cli) const TAG_LONG: &str = concat!(
    tag_examples!(),
    "\n
What a name points to:
  What SRC points to, with the platforms of it that are here. A name that is there is moved; if what
  it pointed to has no other, it stays here without a name until `wharf gc`. All names change at
  once; one that somebody else changes meanwhile stays as it is, and is told.

Output:
  A line for each name: tagged NAME.
",
    output!(),
    "\n\n",
    planning!()
);

macro_rules! retain_examples {
    () => {
        "\
Examples:
  wharf retain --dry-run unpacked python:3.13
  wharf retain unpacked python:3.13
  wharf retain compressed 4bcff63911fc
  wharf retain both python:3.13 && wharf pull python:3.13
  wharf retain --default unpacked"
    };
}

/// `wharf retain -h`.
pub(in crate::cli) const RETAIN: &str = retain_examples!();

/// `wharf retain --help`.
pub(in crate::cli) const RETAIN_LONG: &str = concat!(
    retain_examples!(),
    "\n
What is kept:
  both          Blobs as they came, and trees. This is what every image begins with.
  unpacked      Trees, which are made if they are not there. For each layer a recipe is written, which
                makes its uncompressed tar again from the tree: that is done once, and hashed, before
                the blob goes. A blob whose recipe would have more bytes stays, and it is said.
  compressed    Blobs. The trees go, and `wharf unpack` and `wharf mount` make them again.

  What another name, a lease or a mount needs, stays. The choice belongs to the name, as the label
  wharf.retain, comes along with `wharf tag`, and goes on through later pulls: a pull does not fetch
  what is kept unpacked, and does not extract what is kept compressed. Blobs that are gone cannot be
  made again, because another compressor makes other bytes: with both, a pull fetches them, and
  until then the image cannot be saved or copied as it came.

Names that come:
  --default says what is kept of names that `wharf pull` and `wharf load` bring from now on, in this
  namespace. --retain of these says otherwise, and so does a name that is here: it keeps its choice.
  Without arguments the default is told.

Output:
  A line for each name, keeping WHAT of NAME. What was freed, and what had to stay, is told on
  standard error. Of the default the word, or {default} with --format json.
",
    output!(),
    " Each of names
  has retention.\n\n",
    planning!()
);

macro_rules! rm_examples {
    () => {
        "\
Examples:
  wharf rm alpine:3.19
  wharf rm --force 4bcff63911fc
  wharf rm --platform linux/arm64 postgres:17
  wharf rm --dry-run $(wharf images -q app)"
    };
}

/// `wharf rm -h`.
pub(in crate::cli) const RM: &str = rm_examples!();

/// `wharf rm --help`.
pub(in crate::cli) const RM_LONG: &str = concat!(
    rm_examples!(),
    "\n
What is removed:
  A name goes alone; an image goes with its last name, and with it what no other image needs. An id,
  or the beginning of one, and a digest mean the image with its names; a digest with a repository
  means the names in that one. If names are in several repositories, or if the image is mounted, it
  stays unless --force is given; a tree stays as long as it is mounted. What a lease holds, or a
  pull needs, stays here in any case; only the name goes.

Output:
  A line for each name, untagged NAME, and for each image, deleted DIGEST. What was freed, and what
  had to stay, is told on standard error. The exit code is 1 if a name stayed.
",
    output!(),
    "\n\n",
    planning!()
);

macro_rules! prune_examples {
    () => {
        "\
Examples:
  wharf prune
  wharf prune --all --filter unused-for=30d
  wharf prune --all --filter label!=keep --keep-storage 20GB
  wharf prune --all --plan monday.json && wharf apply monday.json"
    };
}

/// `wharf prune -h`.
pub(in crate::cli) const PRUNE: &str = prune_examples!();

/// `wharf prune --help`.
pub(in crate::cli) const PRUNE_LONG: &str = concat!(
    prune_examples!(),
    "\n
What is removed:
  Images that nobody has named, as localhost/imported@sha256:…, localhost/loaded@… and
  localhost/committed@…; with --all, --keep-storage or unused-for all others too. Without a filter also
  what no name leads to. What is mounted, held by a lease, or being pulled never goes. It asks nothing:
  --dry-run shows first what would go. Another prune at the same time is refused, with who runs it.
  What fails for one image is told, and the rest goes on.

Filters:
  until=TIME              built before that time, as in `24h` (ago) or `2026-01-31T12:00:00Z`
  unused-for=DURATION     neither pulled, mounted nor tagged for so long, as in `12h` or `30d`
  dangling=true|false     false is the same as --all
  Those of `wharf images` are there too (label, label!, reference, before, since, and expressions),
  and go together as there.

Output:
  As for `wharf rm`: lines with untagged NAME and deleted DIGEST.
",
    output!(),
    "\n\n",
    planning!()
);

macro_rules! gc_examples {
    () => {
        "\
Examples:
  wharf gc
  wharf gc --dry-run --ingest-age 1h
  wharf gc --scheduled --deletion-threshold 10 --delay 5s"
    };
}

/// `wharf gc -h`.
pub(in crate::cli) const GC: &str = gc_examples!();

/// `wharf gc --help`.
pub(in crate::cli) const GC_LONG: &str = concat!(
    gc_examples!(),
    "\n
What is removed:
  Blobs, layers and snapshots that no image of any namespace and no lease needs, as after `rm
  --no-prune` or a pull that was given up; names whose label containerd.io/gc.expire is past; and
  downloads to which nothing came for --ingest-age. What somebody uses stays. It runs beside pulls.

Collecting again and again:
  With --scheduled it collects once, goes on running, and hears what any process does to images of
  the namespace. It collects after a removal, and after --mutation-threshold changes (pulls, tags,
  labels, removals), but pauses in between for so long that collections take no more than
  --pause-threshold of the time. --deletion-threshold removals end that pause. Without any of these
  it collects once a day, for what gets old by itself. A collection that fails is told and tried
  again, later each time. Several of these at once do no harm.

  As a service of systemd:
    [Service]
    ExecStart=/usr/local/bin/wharf gc --scheduled
    SuccessExitStatus=130

Output:
  Names and images as for `wharf rm`. What was freed is told on standard error. With --scheduled
  lines on standard output, each with its time, for each collection that has changed something;
  with --format json an object on one line, as below and with time.
",
    output!(),
    "\n\n",
    planning!()
);

macro_rules! apply_examples {
    () => {
        "\
Examples:
  wharf prune --all --plan monday.json
  wharf apply monday.json
  wharf pull --plan - app:2 > app.json && wharf apply --limit-rate 2M app.json
  wharf rm --plan - app:1 | ssh store.lan wharf apply -"
    };
}

/// `wharf apply -h`.
pub(in crate::cli) const APPLY: &str = apply_examples!();

/// `wharf apply --help`.
pub(in crate::cli) const APPLY_LONG: &str = concat!(
    apply_examples!(),
    "\n
What is done:
  What the plan says, and nothing else. If a name is not as it was when the plan was made, nothing
  is done, and the name is told: make the plan again. What nothing needed then and something needs
  now stays.

  The plan of a pull is refused too if a name points to something else now, or if another manifest
  is chosen of it. Of several names nothing is done if one differs; then they are pulled one after
  the other, and what was pulled stays if another one fails.

The file:
  An object: wharf-plan (its version, 1), namespace, verb, no-prune, is-prune, names [{name, mark,
  do, before, after, platforms, why}], garbage {blobs, layers, snapshots, ingests: each [name,
  bytes]}, gone, risks, blocked. mark is the SHA-256 of the record that the name had, null if there
  was none; do is untag, shrink (by manifests), or point (to what the name from has, whose record
  has from-mark). blocked is why nothing is to be freed, or null.

  Of a pull: wharf-plan, namespace, verb (pull), reference (the full name), wanted (machine, all, or
  an array of platforms), all-tags, unpack, concurrent-downloads, names [{name, mark, target,
  manifests}]. It says nothing of how to speak to registries: the options for that, configuration
  and logins are those of this call. The registry of the reference may be asked, as if it were typed.

Output:
  As for the verb that made the plan. Of a change:
",
    output!()
);
