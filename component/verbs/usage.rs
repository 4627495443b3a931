//! How much space everything takes, and what could be freed. What is needed is
//! read from the records every time: nothing is counted that could drift.
//!
//! An image is a target with its names in the caller's namespace. What other
//! namespaces need is shared with them.

mod ledger;

use super::{
    contract::{Caller, ImageUsage, Usage},
    failing::problem,
    ingests::unfinished,
    reach::{Parts, Reach, Reader, weight},
    roots::{Root, Roots},
};
use crate::{
    host::{Host, Snapshot, Top},
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
    },
    registry::Failure,
};
use ledger::{Ledger, share, together};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// How many blobs are listed at once.
const PAGE_BLOBS: u32 = 10_000;
/// How many layers or snapshots are listed at once.
const PAGE_TREES: u32 = 1_000;

/// Returns how much space everything takes. See `images.disk-usage`.
pub async fn disk_usage<H: Host>(host: &H, caller: &Caller) -> Result<Usage, Problem> {
    usage(host, caller).await.map_err(problem("cannot tell how much space is used"))
}

async fn usage<H: Host>(host: &H, caller: &Caller) -> Result<Usage, Failure> {
    let reader = Reader::collecting(host);
    let (roots, _) = reader.survey(caller).await?;
    let mut disk = Disk::look(host).await?;
    let mut unreadable: BTreeSet<String> = roots.unreadable.iter().cloned().collect();
    let mut images = Vec::new();
    for names in own(&roots, caller) {
        let mut parts = Vec::new();
        for root in &names {
            parts.extend(reader.of_root(root).await?);
        }
        unreadable.extend(parts.iter().filter_map(|parts| parts.unreadable.clone()));
        let is_mounted = parts.iter().any(|parts| parts.is_mounted(&disk.mounted));
        images.push(disk.image(&roots, &names, &parts, is_mounted));
    }
    for root in roots.images.iter().filter(|root| root.namespace != caller.namespace) {
        for parts in reader.of_root(root).await? {
            unreadable.extend(parts.unreadable.clone());
            disk.blobs.others(&parts.blobs);
            disk.layers.others(&parts.layers);
            disk.snapshots.others(&parts.snapshots);
        }
    }
    for digest in roots.leases.iter().filter(|lease| !lease.is_flat).flat_map(|lease| &lease.holds) {
        for parts in reader.of_digest(digest).await? {
            unreadable.extend(parts.unreadable.clone());
            disk.blobs.lease(&parts.blobs);
            disk.layers.lease(&parts.layers);
            disk.snapshots.lease(&parts.snapshots);
        }
    }
    let mut rest = Reach::default();
    for root in &roots.images {
        reader.of_root(root).await?.iter().for_each(|parts| rest.add(parts));
    }
    let images_need = rest.clone();
    reader.add_rest(&roots, &mut rest).await?;
    // What else is held: by names that are no references, and by labels. What images need as well is counted with them.
    disk.blobs.lease(rest.blobs.difference(&images_need.blobs));
    disk.layers.lease(rest.layers.difference(&images_need.layers));
    disk.snapshots.lease(rest.snapshots.difference(&images_need.snapshots));
    let ingests = unfinished(host).await?;
    let ingests = (ingests.len() as u64, ingests.iter().map(|ingest| ingest.size).fold(0, u64::saturating_add));
    let mut usage = disk.close(images);
    usage.ingests = ingests;
    usage.written = written(host).await?;
    if let Some(first) = unreadable.first() {
        // Whatever frees space refuses to, too.
        (usage.content.reclaimable, usage.unpacked.reclaimable) = (0, 0);
        let more = match unreadable.len() {
            1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        let why = format!("nothing can be freed: {first}{more}, so that nobody knows what it needs");
        usage.notes.push(format!("{why}; `wharf fsck` tells more"));
    }
    Ok(usage)
}

/// Returns how many bytes the trees have that are here of what a manifest needs.
pub(super) async fn unpacked<H: Host>(host: &H, reader: &Reader<'_, H>, manifest: &Digest) -> Result<u64, Failure> {
    let (mut layers, mut snapshots) = (BTreeSet::new(), BTreeSet::new());
    for parts in reader.of_digest(manifest).await? {
        layers.extend(parts.layers.iter().cloned());
        snapshots.extend(parts.snapshots.iter().cloned());
    }
    let mut bytes = 0u64;
    for layer in &layers {
        if let Some(layer) = found(host.layer(layer).await)? {
            bytes = bytes.saturating_add(weight(&layer).await?);
        }
    }
    for snapshot in &snapshots {
        if let Some(snapshot) = found(host.snapshot(snapshot).await)? {
            bytes = bytes.saturating_add(snapshot.usage().0);
        }
    }
    Ok(bytes)
}

/// The names of the caller's namespace, by what they point to.
fn own<'r>(roots: &'r Roots, caller: &Caller) -> Vec<Vec<&'r Root>> {
    let mut images: BTreeMap<&Digest, Vec<&Root>> = BTreeMap::new();
    for root in roots.images.iter().filter(|root| root.namespace == caller.namespace) {
        images.entry(&root.record.target.digest).or_default().push(root);
    }
    images.into_values().collect()
}

/// An image, and what it takes in all.
struct Counted {
    usage: ImageUsage,
    content: u64,
    unpacked: u64,
}

/// What is on the disk.
struct Disk {
    blobs: Ledger,
    layers: Ledger,
    snapshots: Ledger,
    mounted: BTreeSet<String>,
    /// How many images were counted.
    images: u32,
    notes: Vec<String>,
}

impl Disk {
    async fn look<H: Host>(host: &H) -> Result<Self, Failure> {
        let mut blobs = Vec::new();
        let mut last: Option<Digest> = None;
        loop {
            let page = host.blobs(last.as_ref(), PAGE_BLOBS).await?;
            let Some((end, _)) = page.last() else { break };
            last = Some(end.clone());
            blobs.extend(page);
        }
        let (mut layers, mut lost) = (Vec::new(), 0u64);
        let mut last: Option<Digest> = None;
        while let Some(page) = listed(host.layers(last.as_ref(), PAGE_TREES).await)? {
            last = page.last().cloned();
            for diff_id in page {
                match found(host.layer(&diff_id).await)? {
                    Some(layer) => layers.push((diff_id, weight(&layer).await?)),
                    None => lost += 1,
                }
            }
        }
        let mut snapshots = Vec::new();
        let mut last: Option<String> = None;
        while let Some(page) = listed(host.snapshots(last.as_deref(), PAGE_TREES).await)? {
            last = page.last().cloned();
            for name in page {
                // What has another name was not made by wharf's verbs.
                let Ok(name) = name.parse::<Digest>() else {
                    lost += 1;
                    continue;
                };
                match found(host.snapshot(&name).await)? {
                    Some(snapshot) => snapshots.push((name, snapshot.usage().0)),
                    None => lost += 1,
                }
            }
        }
        let mounted = listed(host.mounted().await)?.into_iter().flatten().collect();
        let mut notes = Vec::new();
        if lost > 0 {
            let what = if lost == 1 { "1 tree is".to_owned() } else { format!("{lost} trees are") };
            notes.push(format!("{what} not counted, because nobody knows how large they are; `wharf fsck` tells more"));
        }
        let (blobs, layers, snapshots) = (Ledger::new(blobs), Ledger::new(layers), Ledger::new(snapshots));
        Ok(Self { blobs, layers, snapshots, mounted, images: 0, notes })
    }

    /// Enters an image with all its names.
    fn image(&mut self, roots: &Roots, names: &[&Root], parts: &[Rc<Parts>], mounted: bool) -> Counted {
        let at = self.images;
        self.images += 1;
        let leased = roots.is_leased(names);
        let is_used = mounted || leased;
        let layers = self.layers.image(at, is_used, parts.iter().flat_map(|parts| &parts.layers));
        let snapshots = self.snapshots.image(at, is_used, parts.iter().flat_map(|parts| &parts.snapshots));
        let mut texts: Vec<String> = names.iter().map(|root| root.name.to_string()).collect();
        texts.sort();
        let created = names.iter().map(|root| root.record.created).min();
        let used = names.iter().map(|root| roots.uses.last(&root.name.to_string(), root.record.updated)).max();
        let empty = "an image has at least the name by which it was found";
        let usage = ImageUsage {
            names: texts,
            target: names.first().expect(empty).record.target.digest.clone(),
            created: created.expect(empty),
            used: used.expect(empty),
            content: share(0, 0),
            unpacked: share(0, 0),
            mounted,
            leased,
        };
        let content = self.blobs.image(at, is_used, parts.iter().flat_map(|parts| &parts.blobs));
        Counted { usage, content, unpacked: layers.saturating_add(snapshots) }
    }

    /// Adds everything up.
    fn close(self, images: Vec<Counted>) -> Usage {
        let (mut content, mut unpacked) = (vec![0; images.len()], vec![0; images.len()]);
        let content_sum = self.blobs.close(&mut content);
        let unpacked_sum = together(self.layers.close(&mut unpacked), self.snapshots.close(&mut unpacked));
        let shares = content.into_iter().zip(unpacked);
        let mut images: Vec<ImageUsage> = images
            .into_iter()
            .zip(shares)
            .map(|(image, (content, unpacked))| ImageUsage {
                content: share(image.content, content),
                unpacked: share(image.unpacked, unpacked),
                ..image.usage
            })
            .collect();
        let unique = |image: &ImageUsage| image.content.unique.saturating_add(image.unpacked.unique);
        // They are in order of target, and equals stay so.
        images.sort_by_key(|image| Reverse(unique(image)));
        Usage { images, content: content_sum, unpacked: unpacked_sum, notes: self.notes, ..Usage::default() }
    }
}

/// How many trees are written to or viewed, and the bytes of what was written. It goes with them, and no image needs it.
async fn written<H: Host>(host: &H) -> Result<(u64, u64), Failure> {
    let (mut count, mut bytes) = (0, 0u64);
    let mut last: Option<String> = None;
    while let Some(page) = listed(host.tops(last.as_deref(), PAGE_TREES).await)? {
        last = page.last().cloned();
        for name in page {
            if let Some(top) = found(host.top(&name).await)? {
                count += 1;
                bytes = bytes.saturating_add(top.usage().await?.0);
            }
        }
    }
    Ok((count, bytes))
}

/// What is gone by now, or damaged, is none. A host without trees has none.
fn found<T>(result: Result<T, ErrorCode>) -> Result<Option<T>, Failure> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(ErrorCode::NotFound | ErrorCode::Unsupported) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// A page, unless it is the end.
fn listed<T>(page: Result<Vec<T>, ErrorCode>) -> Result<Option<Vec<T>>, Failure> {
    Ok(found(page)?.filter(|page| !page.is_empty()))
}
