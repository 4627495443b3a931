//! Strays: manifests and indexes among the blobs that no record names. They are
//! versions whose tag has moved on, images of other namespaces, those of a pull
//! that is under way, or all that is left when the records are lost. So they
//! become records only if somebody asks for that, as far as they tell what they
//! are. One is in memory at a time.

use super::{
    Look, REBUILD,
    needs::{Needs, readable},
};
use crate::{
    host::{Blob, Host},
    nouns::{
        config::Config,
        descriptor::Descriptor,
        digest::Digest,
        json::DOCUMENT_BYTES_MAX,
        manifest::{Document, Manifest},
        record::{Action, ImageRecord, Present, View, weight},
        reference::Reference,
    },
    planted::{Bug, has},
    registry::Failure,
    verbs::{
        choose,
        contract::Findings,
        documents,
        library::Library,
        store::{self, Records},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// The name of an image whose name is lost, without its digest.
const RECOVERED: &str = "localhost/recovered";
/// How many blobs are listed at once.
const PAGE_BLOBS: u32 = 1_000;
/// So many documents are remembered. More are left for the next call.
const STRAYS_MAX: usize = 10_000;
/// Where tools write the name of an image, the one that is surely whole first.
const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
/// What every JSON object begins with.
const OBJECT: u8 = b'{';

/// How many blobs are held at once: the host's table takes 3 072.
const HELD_MAX: usize = 2_000;

/// What an image needs, as long as this is there.
enum Held<B> {
    All(Vec<B>),
    TooMany,
    Gone,
}

/// A manifest or an index that no record names.
struct Stray {
    descriptor: Descriptor,
    name: Option<Reference>,
    /// What an index lists. A manifest lists nothing that could be an image.
    children: Vec<Descriptor>,
    is_index: bool,
}

impl<H: Host> Look<'_, H> {
    /// Finds images that no record names, and records them if that is asked for.
    pub(super) async fn strays(
        &self,
        library: &Library,
        needs: &Needs,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let strays = self.find(needs).await?;
        let listed: BTreeSet<&Digest> =
            strays.values().flat_map(|stray| &stray.children).map(|child| &child.digest).collect();
        let foreign = self.foreign().await?;
        let mut lost = 0u64;
        for (digest, stray) in &strays {
            if listed.contains(digest) || foreign.contains(digest) {
                continue;
            }
            let (platforms, blobs) = self.platforms(stray, library).await?;
            if platforms.is_empty() {
                continue;
            }
            if !self.rebuild {
                lost += 1;
                continue;
            }
            findings.notes.push(match self.hold(&blobs).await? {
                Held::All(held) => {
                    let name = self.record(stray, platforms, &blobs).await?;
                    drop(held);
                    format!("`{digest}` had no name, and is `{name}` now")
                }
                Held::TooMany => format!("`{digest}` has no name, and more than {HELD_MAX} blobs, and gets none"),
                // Somebody has collected it meanwhile, who looks for what no record needs.
                Held::Gone => continue,
            });
        }
        if lost > 0 {
            let noun = if lost == 1 { "image is" } else { "images are" };
            findings.notes.push(format!("{lost} {noun} here that no name reaches; `{REBUILD}` gives them one"));
        }
        Ok(())
    }

    /// What names point to that are no references: they are not among the images, and have what they need all the same.
    async fn foreign(&self) -> Result<BTreeSet<Digest>, Failure> {
        let mut targets = BTreeSet::new();
        let visit = |_: &str, value: &[u8]| {
            targets.extend(View::decode(value).ok().map(|view| Digest::from(&view.target.digest)));
        };
        Records::begin(self.host, self.caller).await?.walk_foreign_values(visit).await?;
        Ok(targets)
    }

    /// Reads every blob that may be a document and that no image needs.
    async fn find(&self, needs: &Needs) -> Result<BTreeMap<Digest, Stray>, Failure> {
        let mut strays = BTreeMap::new();
        let mut last: Option<Digest> = None;
        loop {
            let page = self.host.blobs(last.as_ref(), PAGE_BLOBS).await?;
            let Some((end, _)) = page.last() else { return Ok(strays) };
            last = Some(end.clone());
            for (digest, size) in page {
                if needs.blobs.contains_key(&digest) || size > DOCUMENT_BYTES_MAX as u64 {
                    continue;
                }
                if strays.len() == STRAYS_MAX {
                    return Ok(strays);
                }
                if let Some(stray) = readable(self.read(&digest, size).await)?.flatten() {
                    strays.insert(digest, stray);
                }
            }
        }
    }

    async fn read(&self, digest: &Digest, size: u64) -> Result<Option<Stray>, Failure> {
        let blob = self.host.open(digest).await?;
        // Most are layers and configs, of which the beginning tells enough.
        if blob.read(0, 1).await? != [OBJECT] {
            return Ok(None);
        }
        let bytes = documents::bytes(&Descriptor::new("", digest.clone(), size), &blob).await?;
        let Ok(document) = Document::parse(&bytes, None) else { return Ok(None) };
        let (annotations, children, is_index) = match &document {
            Document::Index(index) => (&index.annotations, index.manifests.clone(), true),
            Document::Manifest(manifest) => (&manifest.annotations, Vec::new(), false),
        };
        let name = NAMES.iter().find_map(|key| whole_name(annotations.get(*key)?));
        let bare = |child: Descriptor| Descriptor {
            platform: child.platform,
            ..Descriptor::new(child.media_type, child.digest, child.size)
        };
        let children = children.into_iter().map(bare).collect();
        Ok(Some(Stray {
            descriptor: Descriptor::new(document.media_type(), digest.clone(), size),
            name,
            children,
            is_index,
        }))
    }

    /// Returns the platforms of which everything is here, and their blobs.
    async fn platforms(&self, stray: &Stray, library: &Library) -> Result<(Vec<Present>, Vec<Descriptor>), Failure> {
        let own = [stray.descriptor.clone()];
        let manifests = if stray.is_index { stray.children.as_slice() } else { &own };
        let (mut platforms, mut blobs) = (Vec::new(), vec![stray.descriptor.clone()]);
        for what in manifests {
            if let Some((present, parts)) = readable(self.whole(what, library).await)?.flatten() {
                blobs.push(present.manifest.clone());
                blobs.extend(parts);
                platforms.push(present);
            }
        }
        Ok((platforms, blobs))
    }

    /// Reads a manifest, unless something of it is not here.
    async fn whole(&self, what: &Descriptor, library: &Library) -> Result<Option<(Present, Vec<Descriptor>)>, Failure> {
        let Some(blob) = documents::find(self.host, what).await? else { return Ok(None) };
        let held = documents::read(what, blob, documents::RECORD).await?;
        let Document::Manifest(manifest) = &held.document else { return Ok(None) };
        for part in manifest.layers.iter().chain([&manifest.config]) {
            if documents::find(self.host, part).await?.is_none() {
                return Ok(None);
            }
        }
        let config = self.config(manifest).await?;
        let of_config = config.as_ref().map(|config| config.platform().completed_on(&library.machine));
        let platform = choose::stated(what).cloned().or(of_config);
        let present = Present::new(&held.descriptor, manifest, config.as_ref(), platform.as_ref());
        Ok(Some((present, held.document.parts().cloned().collect())))
    }

    async fn config(&self, manifest: &Manifest) -> Result<Option<Config>, Failure> {
        if !manifest.is_image() {
            return Ok(None);
        }
        let Some(blob) = documents::find(self.host, &manifest.config).await? else { return Ok(None) };
        Ok(Config::parse(&documents::bytes(&manifest.config, &blob).await?).ok())
    }

    /// Holds what an image needs, so that no collection takes it before there is a record.
    async fn hold(&self, blobs: &[Descriptor]) -> Result<Held<H::Blob>, Failure> {
        if blobs.len() > HELD_MAX {
            return Ok(Held::TooMany);
        }
        let mut held = Vec::new();
        if has(Bug::StrayUnheld) {
            return Ok(Held::All(held));
        }
        for blob in blobs {
            match documents::find(self.host, blob).await? {
                Some(blob) => held.push(blob),
                None => return Ok(Held::Gone),
            }
        }
        Ok(Held::All(held))
    }

    /// Records an image under its name, unless something else has that name by
    /// now, and else under one that says that it was lost.
    async fn record(&self, stray: &Stray, platforms: Vec<Present>, blobs: &[Descriptor]) -> Result<Reference, Failure> {
        self.host.sync().await?;
        let digest = &stray.descriptor.digest;
        let recovered = Reference::parse_canonical(&format!("{RECOVERED}@{digest}"));
        let recovered = recovered.expect("a repository and a digest are a name");
        let now = self.host.now();
        let record = ImageRecord {
            target: stray.descriptor.clone(),
            created: now,
            updated: now,
            size: weight(blobs),
            labels: BTreeMap::new(),
            platforms,
        };
        store::change(self.host, self.caller, async |records| {
            let name = match &stray.name {
                Some(name) if records.get(name).await?.is_none() => name,
                _ => &recovered,
            };
            records.put(name, &record)?;
            records.tell(self.host, Action::Tag, name.to_string(), Some(digest));
            Ok(name.clone())
        })
        .await
    }
}

/// Reads a name that says its registry, as in `docker.io/library/alpine:3.20`.
/// `latest` alone is a tag, and not a name.
fn whole_name(text: &str) -> Option<Reference> {
    let name = Reference::parse_canonical(text).ok()?;
    name.domain().contains(['.', ':']).then_some(name)
}
