//! The cases of containerd's suite for content stores (`core/content/testsuite`), under its names, over gRPC by its own
//! client, against wharf and against containerd, side by side (`suite`); and what else the service of content says.
//!
//! What the suite does through a writer of Go is done by messages here. Two of its cases are about the policy that isolates
//! namespaces: they run with servers that have it, and by the usual one.

mod client;
mod differences;
mod further;

use super::suite::{Case, compare, compare_isolated};
use client::{Client, Writer, message};
use containerd_client::services::v1::WriteAction::{Commit, Write};
use differences::{DIFFERENCES, ISOLATED_DIFFERENCES};
use wharf::demo::image::{digest, noise};

const CASES: &[Case<Client>] = &[
    ("Writer", writer),
    ("UpdateStatus", update_status),
    ("CommitExists", commit_exists),
    ("Resume", resume),
    ("ResumeTruncate", resume_truncate),
    ("ResumeDiscard", resume_discard),
    ("ResumeCopy", resume_copy),
    ("ResumeCopySeeker", resume_copy_seeker),
    ("ResumeCopyReaderAt", resume_copy_reader_at),
    ("SmallBlob", small_blob),
    ("Labels", labels),
    ("CommitErrorState", commit_error_state),
    ("CrossNamespaceAppend", cross_namespace_append),
    ("CrossNamespaceShare", cross_namespace_share),
    ("CrossNamespaceIsolate", cross_namespace_isolate),
    ("SharedNamespaceIsolate", shared_namespace_isolate),
    ("Locked", further::locked),
    ("Messages", further::messages),
    ("Abort", further::abort),
    ("Statuses", further::statuses),
    ("List", further::list),
    ("Delete", further::delete),
    ("Lease", further::lease),
];

#[test]
fn content_is_what_it_is_in_containerd() {
    compare(CASES, Client::new, DIFFERENCES);
}

#[test]
fn namespaces_are_isolated_as_in_containerd() {
    let cases: [Case<Client>; 2] =
        [("CrossNamespaceIsolate", cross_namespace_isolate), ("SharedNamespaceIsolate", shared_namespace_isolate)];
    compare_isolated(&cases, Client::new, ISOLATED_DIFFERENCES);
}

/// Bytes that no other case has, because namespaces share them, and what they hash to.
fn blob(seed: u64, len: usize) -> (Vec<u8>, String) {
    let bytes = noise(seed, len);
    let digest = digest(&bytes);
    (bytes, digest)
}

/// Writes a whole blob.
fn put(client: &mut Client, name: &str, bytes: &[u8]) {
    let writer = client.open(name, bytes.len(), &digest(bytes));
    let writer = client.write(writer, 0, bytes);
    client.commit(writer, bytes.len(), bytes.len(), &digest(bytes));
}

/// Writes on, in pieces.
fn pieces(client: &mut Client, mut writer: Option<Writer>, bytes: &[u8], from: usize, size: usize) -> Option<Writer> {
    for (number, piece) in bytes[from..].chunks(size).enumerate() {
        writer = client.write(writer, from + number * size, piece);
    }
    writer
}

fn writer(client: &mut Client) {
    for (seed, says_size, says_digest) in [(1, false, false), (2, true, false), (3, false, true), (4, true, true)] {
        let (bytes, hash) = blob(seed, 256);
        let (total, expected) = (if says_size { bytes.len() } else { 0 }, if says_digest { &*hash } else { "" });
        let name = format!("ref-{seed}");
        let writer = client.open(&name, total, expected);
        let writer = pieces(client, writer, &bytes, 0, 64);
        client.commit(writer, bytes.len(), total, expected);
        client.info(&hash);
        client.read(&hash, 0, 0);
        client.status(&name);
    }
    client.statuses(&[]);
}

fn update_status(client: &mut Client) {
    let (bytes, hash) = blob(10, 256);
    client.status("ref");
    let writer = client.open("ref", bytes.len(), &hash);
    client.status("ref");
    let writer = client.write(writer, 0, &bytes[..100]);
    client.status("ref");
    let writer = client.write(writer, 100, &bytes[100..]);
    client.status("ref");
    client.statuses(&[]);
    client.info(&hash);
    client.commit(writer, bytes.len(), bytes.len(), &hash);
    client.status("ref");
    client.info(&hash);
}

fn commit_exists(client: &mut Client) {
    let (bytes, hash) = blob(20, 256);
    put(client, "first", &bytes);
    let writer = client.open("silent", 0, "");
    let writer = client.write(writer, 0, &bytes);
    client.commit(writer, bytes.len(), 0, "");
    client.status("silent");
    let writer = client.open("late", 0, "");
    let writer = client.write(writer, 0, &bytes);
    client.commit(writer, bytes.len(), bytes.len(), &hash);
    client.status("late");
    let writer = client.open("early", bytes.len(), &hash);
    client.close(writer);
    let writer = client.open("early", 0, &hash);
    client.close(writer);
    client.status("early");
    put(client, "first", &bytes);
    client.info(&hash);
}

/// Leaves the first 100 bytes, and comes back.
fn come_back(client: &mut Client, bytes: &[u8]) -> Option<Writer> {
    let hash = digest(bytes);
    let writer = client.open("ref", bytes.len(), &hash);
    let writer = client.write(writer, 0, &bytes[..100]);
    client.close(writer);
    client.status("ref");
    client.open("ref", bytes.len(), &hash)
}

/// Commits what has come, and looks at it.
fn end(client: &mut Client, writer: Option<Writer>, bytes: &[u8]) {
    let hash = digest(bytes);
    client.commit(writer, bytes.len(), bytes.len(), &hash);
    client.info(&hash);
    client.read(&hash, 0, 0);
    client.status("ref");
}

fn resume(client: &mut Client) {
    let (bytes, _) = blob(30, 256);
    let writer = come_back(client, &bytes);
    let writer = client.write(writer, 100, &bytes[100..]);
    end(client, writer, &bytes);
}

fn resume_truncate(client: &mut Client) {
    let (bytes, _) = blob(31, 256);
    let writer = come_back(client, &bytes);
    let writer = client.write(writer, 0, &[]);
    let writer = client.write(writer, 0, &bytes[..50]);
    let writer = client.write(writer, 50, &bytes[50..]);
    end(client, writer, &bytes);
}

fn resume_discard(client: &mut Client) {
    let (bytes, _) = blob(32, 256);
    let writer = come_back(client, &bytes);
    // What it has once more and not from the beginning is refused, and the stream ends by that.
    let writer = client.write(writer, 50, &bytes[50..]);
    client.close(writer);
    let writer = client.open("ref", bytes.len(), &digest(&bytes));
    let writer = pieces(client, writer, &bytes, 100, 50);
    end(client, writer, &bytes);
}

fn resume_copy(client: &mut Client) {
    let (bytes, hash) = blob(33, 256);
    let writer = come_back(client, &bytes);
    client.close(writer);
    // Without asking first.
    let writer = client.begin(message(Write, "ref", 100, &bytes[100..], bytes.len(), &hash));
    end(client, writer, &bytes);
}

fn resume_copy_seeker(client: &mut Client) {
    let (bytes, hash) = blob(34, 256);
    let writer = come_back(client, &bytes);
    let writer = client.send(writer, message(Commit, "", 100, &bytes[100..], bytes.len(), &hash));
    client.close(writer);
    client.info(&hash);
    client.read(&hash, 0, 0);
}

fn resume_copy_reader_at(client: &mut Client) {
    let (bytes, _) = blob(35, 256);
    let writer = come_back(client, &bytes);
    // A gap is refused.
    let writer = client.write(writer, 150, &bytes[150..]);
    client.close(writer);
    let writer = client.open("ref", bytes.len(), &digest(&bytes));
    let writer = client.write(writer, 100, &bytes[100..]);
    end(client, writer, &bytes);
}

fn small_blob(client: &mut Client) {
    let (bytes, hash) = (b"foobar of the suite".to_vec(), digest(b"foobar of the suite"));
    let writer = client.begin(message(Commit, "ref", 0, &bytes, bytes.len(), &hash));
    client.close(writer);
    for (offset, size) in
        [(0, 0), (0, 6), (3, 2), (3, 0), (19, 0), (18, 1), (0, 100), (10, 100), (20, 0), (-1, 0), (0, -1)]
    {
        client.read(&hash, offset, size);
    }
    client.read(&digest(b"nobody has this"), 0, 0);
    client.read("sha256:0", 0, 0);
    client.read("", 0, 0);
    let (nothing, empty) = (Vec::new(), digest(b""));
    let writer = client.begin(message(Commit, "empty", 0, &nothing, 0, &empty));
    client.close(writer);
    client.info(&empty);
    client.read(&empty, 0, 0);
    let (large, hash) = blob(40, 3 << 20);
    put(client, "large", &large);
    client.read(&hash, 0, 0);
    client.read(&hash, 1 << 20, 1_500_000);
}

fn labels(client: &mut Client) {
    let (bytes, hash) = blob(50, 256);
    let mut first = message(Commit, "ref", 0, &bytes, bytes.len(), &hash);
    first.labels = [("k1", "v1"), ("k2", "v2")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let writer = client.begin(first);
    client.close(writer);
    client.info(&hash);
    client.update(&hash, &[("k1", "new"), ("k3", "v3")], &["labels.k1"]);
    client.update(&hash, &[("k3", "v3")], &["labels.k3", "labels.k2"]);
    client.update(&hash, &[("k4", "v4")], &["labels"]);
    client.update(&hash, &[("k5", "v5")], &[]);
    client.update(&hash, &[], &["labels"]);
    client.update(&hash, &[], &["size"]);
    client.update(&hash, &[], &["digest"]);
    client.update(&hash, &[], &["unknown"]);
    client.update(&hash, &[("long", &"x".repeat(5_000))], &["labels.long"]);
    client.update(&digest(b"nobody has this"), &[("a", "b")], &[]);
    client.update("sha256:0", &[("a", "b")], &[]);
    client.update("", &[("a", "b")], &[]);
    client.info(&hash);
    let (bytes, hash) = blob(51, 256);
    let mut first = message(Commit, "ref", 0, &bytes, bytes.len(), &hash);
    first.labels = [("long".to_owned(), "x".repeat(5_000))].into();
    let writer = client.begin(first);
    client.close(writer);
    client.info(&hash);
}

fn commit_error_state(client: &mut Client) {
    let other = digest(b"something else");
    // By what is wrong: what it hashes to and how much it is, said when the write begins, and when it ends.
    for (seed, name, total) in [(60, "hash", 256), (61, "less", 200), (62, "more", 300)] {
        let (bytes, hash) = blob(seed, 256);
        let expected = if name == "hash" { &other } else { &hash };
        let writer = client.open(name, total, expected);
        let writer = client.write(writer, 0, &bytes);
        client.commit(writer, bytes.len(), total, expected);
        client.status(name);
        let writer = client.open(name, total, expected);
        client.close(writer);
        client.abort(name);
        let name = format!("late-{name}");
        let writer = client.open(&name, 0, "");
        let writer = client.write(writer, 0, &bytes);
        client.commit(writer, bytes.len(), total, expected);
        client.status(&name);
        let writer = client.open(&name, 0, "");
        client.commit(writer, bytes.len(), 0, "");
        client.status(&name);
        client.info(&hash);
        client.abort(&name);
    }
    let (bytes, hash) = blob(63, 256);
    // What was said is not taken back.
    let writer = client.open("said", bytes.len(), &hash);
    let writer = client.send(writer, message(Write, "", 0, &bytes, 200, ""));
    client.close(writer);
    let writer = client.open("said", bytes.len(), &hash);
    let writer = client.send(writer, message(Write, "", 0, &bytes, 0, &other));
    client.close(writer);
    let writer = client.open("no digest", 0, "sha256:0");
    client.close(writer);
    let writer = client.open("no digest", 0, "");
    let writer = client.send(writer, message(Commit, "", 0, &bytes, 0, "sha256:0"));
    client.close(writer);
    client.statuses(&[]);
}

fn cross_namespace_append(client: &mut Client) {
    let (bytes, hash) = blob(70, 256);
    let longer = [&bytes[..], b"and more"].concat();
    put(client, "ref", &bytes);
    client.elsewhere(&[], |client| {
        client.info(&hash);
        let writer = client.open("ref", bytes.len(), &hash);
        let writer = client.write(writer, bytes.len(), b"and more");
        client.commit(writer, longer.len(), 0, "");
        client.info(&hash);
        client.info(&digest(&longer));
        let writer = client.open("total", longer.len(), &hash);
        let writer = client.write(writer, bytes.len(), b"and more");
        client.commit(writer, longer.len(), longer.len(), &digest(&longer));
        client.statuses(&[]);
    });
    client.list(&[]);
}

fn cross_namespace_share(client: &mut Client) {
    let (bytes, hash) = blob(71, 256);
    put(client, "ref", &bytes);
    client.update(&hash, &[("mine", "yes")], &["labels.mine"]);
    client.elsewhere(&[], |client| {
        let writer = client.open("ref", bytes.len(), &hash);
        client.status("ref");
        client.commit(writer, bytes.len(), bytes.len(), &hash);
        client.info(&hash);
        client.read(&hash, 0, 0);
        client.status("ref");
        client.statuses(&[]);
        client.delete(&hash);
        client.info(&hash);
        // Without saying how much it is, and at once.
        let writer = client.begin(message(Commit, "ref", 0, &[], 0, &hash));
        client.close(writer);
        client.info(&hash);
        client.delete(&hash);
        // All of it once more.
        let writer = client.open("again", bytes.len(), &hash);
        let writer = client.write(writer, 0, &bytes);
        client.commit(writer, bytes.len(), bytes.len(), &hash);
        client.info(&hash);
    });
    client.info(&hash);
    client.read(&hash, 0, 0);
}

/// Who does not say what it hashes to has to bring it, and whoever has it not sees nothing of it.
fn cross_namespace_isolate(client: &mut Client) {
    let (bytes, hash) = blob(72, 256);
    put(client, "ref", &bytes);
    client.elsewhere(&[], |client| {
        client.info(&hash);
        client.read(&hash, 0, 0);
        client.update(&hash, &[("a", "b")], &[]);
        client.delete(&hash);
        client.list(&[]);
        client.statuses(&[]);
        let writer = client.open("ref", bytes.len(), "");
        let writer = client.write(writer, 0, &bytes);
        client.commit(writer, bytes.len(), bytes.len(), &hash);
        client.info(&hash);
    });
    client.info(&hash);
}

fn shared_namespace_isolate(client: &mut Client) {
    let (bytes, hash) = blob(73, 256);
    client.label_namespace(&[("containerd.io/namespace.shareable", "true")]);
    put(client, "ref", &bytes);
    client.elsewhere(&[("containerd.io/namespace.shareable", "false")], |client| {
        client.info(&hash);
        let writer = client.open("ref", bytes.len(), &hash);
        client.commit(writer, bytes.len(), bytes.len(), &hash);
        client.info(&hash);
    });
}
