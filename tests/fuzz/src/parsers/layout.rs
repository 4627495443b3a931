//! `index.json` of an image layout that other tools write too, through the portable store: the list, one commit, and the
//! list after it. It works on files, below the directory for temporary ones.

use super::{assert_harmless, choice, wait, written};
use std::cell::Cell;
use std::fs;
use wharf_component::host::Transaction as _;
use wharf_component::nouns::descriptor::Descriptor;
use wharf_component::nouns::digest::{Algorithm, Digest};
use wharf_component::nouns::problem::ErrorCode;
use wharf_component::nouns::record::{IMAGE_PREFIX, ImageRecord};
use wharf_component::nouns::reference::Reference;
use wharf_component::portable::{Ambient, Store};

const NS: &str = "default";
const NAME: &str = "image/docker.io/library/fuzz:1";
const MANIFEST: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

fn ambient() -> Ambient {
    let number = Cell::new(0);
    Ambient {
        sleep: Box::new(|_| Box::pin(std::future::ready(()))),
        random: Box::new(move || {
            number.set(number.get() + 1);
            number.get()
        }),
    }
}

/// The names with their records.
async fn list(store: &Store) -> Result<Vec<(String, Vec<u8>)>, ErrorCode> {
    let transaction = store.begin().await?;
    let mut entries = Vec::new();
    loop {
        let after = entries.last().map(|(name, _): &(String, _)| name.clone());
        let more = transaction.scan(NS, IMAGE_PREFIX, after.as_deref(), 1_000).await?;
        if more.is_empty() {
            return Ok(entries);
        }
        entries.extend(more);
    }
}

pub(super) fn index(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path();
    let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).expect("it is writable");
    fs::create_dir_all(root.join("blobs/sha256")).expect("it is writable");
    let digest = Digest::of(Algorithm::Sha256, MANIFEST);
    for blob in [MANIFEST, b"{}"] {
        write(&format!("blobs/sha256/{}", Digest::of(Algorithm::Sha256, blob).encoded()), blob);
    }
    let version: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
    // One in eight is about the other file of a layout.
    let (marker, index): (_, &[u8]) = if which % 8 == 7 { (bytes, b"{\"schemaVersion\":2}") } else { (version, bytes) };
    write("oci-layout", marker);
    write("index.json", index);

    let store = match wait(Store::open(root, ambient())) {
        Ok(store) => store,
        Err(refusal) => {
            assert_harmless(&refusal.to_string());
            assert_eq!(fs::read(root.join("index.json")).expect("it is there"), index, "what is refused is unchanged");
            return false;
        }
    };
    let Ok(before) = wait(list(&store)) else { return false };
    assert!(before.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, and no name twice");
    for (_, record) in &before {
        if let Err(error) = ImageRecord::decode(record) {
            assert_harmless(&error.to_string());
        }
    }
    let target = Descriptor::new("application/vnd.oci.image.manifest.v1+json", digest, MANIFEST.len() as u64);
    let record = ImageRecord { target, created: 1, updated: 2, size: 3, labels: [].into(), platforms: Vec::new() };
    let committed = wait(async {
        let transaction = store.begin().await?;
        transaction.get(NS, NAME).await?;
        transaction.put(NS, NAME, record.encode().expect("it is small"));
        transaction.commit().await
    });
    if committed.is_err() {
        return false;
    }
    let after = wait(list(&store)).expect("what was written can be read");
    assert!(after.iter().any(|(name, _)| name == NAME));
    // What has no name is listed by its digest or its place, which a commit may change.
    let others = |entries: &[(String, Vec<u8>)]| -> Vec<String> {
        let names = entries.iter().map(|(name, _)| name.strip_prefix(IMAGE_PREFIX).unwrap_or(name).to_owned());
        names
            .filter(|name| IMAGE_PREFIX.to_owned() + name != NAME && Reference::parse_canonical(name).is_ok())
            .collect()
    };
    assert_eq!(others(&after), others(&before), "a commit of one name is about no other");
    true
}

pub(super) fn indexes() -> Vec<Vec<u8>> {
    let digest = Digest::of(Algorithm::Sha256, MANIFEST);
    let entry = |annotations: &str| {
        let size = MANIFEST.len();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{size},"annotations":{annotations}}}"#
        )
    };
    let named = entry(r#"{"org.opencontainers.image.ref.name":"docker.io/library/alpine:3.20"}"#);
    let tagged =
        entry(r#"{"org.opencontainers.image.ref.name":"latest","io.containerd.image.name":"ghcr.io/a/b:latest"}"#);
    let whole =
        format!(r#"0{{"schemaVersion":2,"manifests":[{named},{tagged},{named},7,{{}}],"annotations":{{"x":"y"}}}}"#);
    let own = format!(r#"0{{"schemaVersion":2,"manifests":[{}]}}"#, named.replace("alpine:3.20", "fuzz:1"));
    written(&[
        &whole,
        &own,
        r#"0{"schemaVersion":2,"manifests":null}"#,
        r#"0{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
        r#"0{"schemaVersion":1,"manifests":[]}"#,
        "0{\"schemaVersion\":2,\"\\u001b\":1,\"Manifests\":[]}",
        r#"7{"imageLayoutVersion":"1.0.0"}"#,
        "0",
    ])
}
