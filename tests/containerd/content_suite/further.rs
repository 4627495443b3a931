//! What containerd's suite does not ask of a store of content: names that are held, messages that contradict each other,
//! what is listed, and what goes.

use super::client::{Client, message};
use super::{blob, put};
use containerd_client::services::v1::WriteAction::{Commit, Stat, Write};

pub(super) fn locked(client: &mut Client) {
    let (bytes, hash) = blob(80, 256);
    let first = client.open("ref", bytes.len(), &hash);
    let first = client.write(first, 0, &bytes[..100]);
    let second = client.open("ref", bytes.len(), &hash);
    client.close(second);
    // Another name for the same bytes is another write.
    let second = client.open("other", bytes.len(), &hash);
    let second = client.write(second, 0, &bytes);
    client.elsewhere(&[], |client| {
        let third = client.open("ref", bytes.len(), &hash);
        client.close(third);
        client.statuses(&[]);
    });
    client.statuses(&[]);
    client.commit(second, bytes.len(), bytes.len(), &hash);
    let first = client.write(first, 100, &bytes[100..]);
    client.commit(first, bytes.len(), bytes.len(), &hash);
    client.info(&hash);
    client.statuses(&[]);
}

/// What a stream has to say, and may not say.
pub(super) fn messages(client: &mut Client) {
    let (bytes, hash) = blob(81, 256);
    let nameless = client.begin(message(Write, "", 0, &bytes, 0, ""));
    client.close(nameless);
    let writer = client.begin(message(Write, "ref", 100, &bytes, 0, ""));
    client.close(writer);
    let writer = client.open("ref", bytes.len(), &hash);
    let writer = client.send(writer, message(Stat, "", 7, &[], 0, ""));
    let writer = client.send(writer, message(Write, "ref", 0, &bytes[..10], 0, ""));
    let writer = client.send(writer, message(Write, "another", 10, &bytes[10..20], 0, ""));
    client.close(writer);
    client.statuses(&[]);
    let mut unknown = message(Write, "unknown", 0, &bytes, 0, "");
    unknown.action = 7;
    let writer = client.begin(unknown);
    client.close(writer);
    let mut negative = message(Write, "negative", 0, &bytes, 0, "");
    negative.offset = -1;
    let writer = client.begin(negative);
    client.close(writer);
    // After the end nothing is written.
    let writer = client.begin(message(Commit, "whole", 0, &bytes, bytes.len(), &hash));
    let writer = client.send(writer, message(Write, "whole", 0, &bytes, 0, ""));
    client.close(writer);
    client.info(&hash);
}

pub(super) fn abort(client: &mut Client) {
    let (bytes, hash) = blob(82, 256);
    client.abort("nothing");
    client.abort("");
    let writer = client.open("ref", bytes.len(), &hash);
    let writer = client.write(writer, 0, &bytes[..100]);
    client.close(writer);
    client.abort("ref");
    client.status("ref");
    client.abort("ref");
    put(client, "ref", &bytes);
    client.abort("ref");
    client.info(&hash);
}

pub(super) fn statuses(client: &mut Client) {
    for (seed, name) in [(90, "one-a"), (91, "one-b"), (92, "two")] {
        let (bytes, hash) = blob(seed, 256);
        let expected = if name == "two" { "" } else { &*hash };
        let writer = client.open(name, if name == "one-b" { 0 } else { 256 }, expected);
        let writer = client.write(writer, 0, &bytes[..(seed as usize)]);
        client.close(writer);
    }
    for filters in
        [&[][..], &["ref==two"], &["ref~=^one"], &["ref!=two", "ref==two"], &["one"], &["ref=="], &["unknown==a"]]
    {
        client.statuses(filters);
    }
    client.status("");
}

pub(super) fn list(client: &mut Client) {
    client.list(&[]);
    let mut hashes = Vec::new();
    for (seed, len) in [(100, 100), (101, 200), (102, 300)] {
        let (bytes, hash) = blob(seed, len);
        put(client, &format!("ref-{seed}"), &bytes);
        hashes.push(hash);
    }
    client.update(&hashes[0], &[("team", "web")], &[]);
    client.update(&hashes[1], &[("team", "db"), ("a.b/c", "d")], &[]);
    client.list(&[]);
    let by_digest = format!("digest=={}", hashes[2]);
    for filters in [
        &["labels.team==web"][..],
        &["labels.team"],
        &["labels.team!=web"],
        &["labels.\"a.b/c\"==d"],
        &["labels.team~=^d", &by_digest],
        &[&by_digest],
        &["size==200"],
        &["size==200,labels.team==db"],
        &["unknown==a"],
        &["labels.team=="],
        &["labels.team==web,"],
        &[""],
    ] {
        client.list(filters);
    }
}

pub(super) fn delete(client: &mut Client) {
    let (bytes, hash) = blob(110, 256);
    put(client, "ref", &bytes);
    client.delete(&hash);
    client.info(&hash);
    client.read(&hash, 0, 0);
    client.delete(&hash);
    client.delete("sha256:0");
    client.delete("");
    client.info("sha256:0");
    client.info("");
    // It may be written again.
    put(client, "ref", &bytes);
    client.info(&hash);
}

/// What a lease holds goes with it, unless something else leads there.
pub(super) fn lease(client: &mut Client) {
    let ((root, root_hash), (leaf, leaf_hash), (loose, loose_hash)) = (blob(120, 256), blob(121, 256), blob(122, 256));
    for (name, bytes) in [("root", &root), ("leaf", &leaf), ("loose", &loose)] {
        put(client, name, bytes);
    }
    client.update(
        &root_hash,
        &[("containerd.io/gc.root", "1"), ("containerd.io/gc.ref.content.leaf", &leaf_hash)],
        &[],
    );
    let (bytes, hash) = blob(123, 256);
    let writer = client.open("begun", bytes.len(), &hash);
    let writer = client.write(writer, 0, &bytes[..100]);
    client.close(writer);
    client.release();
    for hash in [&root_hash, &leaf_hash, &loose_hash] {
        client.info(hash);
    }
    client.statuses(&[]);
}
