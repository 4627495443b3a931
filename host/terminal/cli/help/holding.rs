//! The same for the verbs about what takes space, what holds it, and what has happened to it.

macro_rules! df_examples {
    () => {
        "\
Examples:
  wharf df
  wharf df -v
  wharf df --format json | jq .content.reclaimable"
    };
}

/// `wharf df -h`.
pub(in crate::cli) const DF: &str = df_examples!();

/// `wharf df --help`.
pub(in crate::cli) const DF_LONG: &str = concat!(
    df_examples!(),
    "\n
What is measured:
  content       what came from registries: manifests, configs, and layers as they came, compressed
  unpacked      the same layers as trees of files
  written       what was written to snapshots, which goes with them (`wharf snapshot rm`)
  ingests       what has arrived of downloads that nobody has finished

Whose it is:
  unique        what one image alone needs, all images together
  shared        what several images need, each byte once
  others        what only other namespaces or leases need
  unneeded      what nothing needs: `wharf gc` frees it
  total         unique + shared + others + unneeded, to the byte; there is nothing else
  reclaimable   what `wharf prune --all` would free by now, the unneeded included: what is neither
                mounted, nor held, nor needed by something that is. It is a part of the total.

Of each image (-v):
  unique + shared is all that it needs. Summed over the images, unique is that of the first table;
  what is shared counts for each image that needs it. USED is when it was last pulled, mounted or
  tagged.

JSON:
  An object: content and unpacked {unique, shared, others, unneeded, total, reclaimable}, written
  and ingests {count, bytes}, images [{names, target, created, used, content {unique, shared}, unpacked
  {unique, shared}, mounted, leased}], notes. Sizes are in bytes, times as in 2026-01-31T12:00:00Z."
);

macro_rules! lease_examples {
    () => {
        "\
Examples:
  lease=$(wharf lease create --expires 24h --label for=ci alpine:3.20)
  wharf lease ls
  wharf lease rm $lease"
    };
}

/// `wharf lease -h`.
pub(in crate::cli) const LEASE: &str = lease_examples!();

/// `wharf lease --help`.
pub(in crate::cli) const LEASE_LONG: &str = concat!(
    lease_examples!(),
    "\n
What a lease does:
  It holds what it names now, with everything that this needs, whether or not a name points to it:
  no rm, prune or gc takes it. A name that moves takes no lease along.

JSON:
  An object, or of ls an array of them: id, created, expires, labels {KEY: VALUE}, holds (digests).
  Times are as in 2026-01-31T12:00:00Z; expires is null for a lease that never does."
);

macro_rules! ingest_examples {
    () => {
        "\
Examples:
  wharf ingest ls
  wharf ingest rm sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1
  wharf ingest rm $(wharf ingest ls -q)"
    };
}

/// `wharf ingest -h`.
pub(in crate::cli) const INGEST: &str = ingest_examples!();

/// `wharf ingest --help`.
pub(in crate::cli) const INGEST_LONG: &str = concat!(
    ingest_examples!(),
    "\n
What an unfinished download is:
  What has arrived of a blob whose pull was interrupted; the next pull continues there. `wharf gc`
  removes those that are old. One that is on its way is not removed. KEY may be the beginning of a
  key, of four digits or more.

JSON:
  Of ls an array of objects: key, name, size, age_s, held. The size is in bytes, age_s how many
  seconds ago something last arrived; name is null where it is not known."
);

macro_rules! label_examples {
    () => {
        "\
Examples:
  wharf label app:1 team=web
  wharf label app:1 team-
  wharf label app:1 containerd.io/gc.expire=2026-12-31T00:00:00Z
  wharf prune --all --filter label!=team=web"
    };
}

/// `wharf label -h`.
pub(in crate::cli) const LABEL: &str = label_examples!();

/// `wharf label --help`.
pub(in crate::cli) const LABEL_LONG: &str = concat!(
    label_examples!(),
    "\n
What labels are:
  They belong to the name here, and not to the image, which stays what it is.
  containerd.io/gc.expire says when the name goes with the next `wharf gc`;
  containerd.io/gc.ref.content.ANY names a digest that stays as long as the name.

Output:
  The labels that the name has now, one KEY=VALUE a line. With --format json an object of them."
);

macro_rules! events_examples {
    () => {
        "\
Examples:
  wharf events
  wharf events --since 10m --until 0s
  wharf events --filter event=pull --filter image=alpine
  wharf events --format json | jq -r .subject"
    };
}

/// `wharf events -h`.
pub(in crate::cli) const EVENTS: &str = events_examples!();

/// `wharf events --help`.
pub(in crate::cli) const EVENTS_LONG: &str = concat!(
    events_examples!(),
    "\n
What is told:
  What any process does to the images of the namespace, one line each: the time, what was done, to
  which name, and the digest: pull, push, load, tag, untag, delete, prune, label. What is done to a
  lease: lease, release, and expire once a collection takes it away. It is known for a day.
  Without --since it begins now, without --until it goes on until it is interrupted.

Filters:
  event=ACTION            as in `event=pull`
  image=ID                that of a lease
  image=NAME              as in `image=alpine` or `image=alpine:3.*`
  Filters of one key are alternatives; all keys have to match.

JSON:
  One object a line: time, action, subject, target. The time is as in
  2026-01-31T12:00:00.000000000Z; target is null where there is none."
);
