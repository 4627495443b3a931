//! The verbs that look at images: what is listed is here as a whole, and a tree is that of its manifest.

use super::super::clock;
use super::super::failed::Failed;
use super::super::history::{Fact, Operation};
use super::super::world::{self, TEXT};
use super::{Facts, Worker, access, digest};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use wharf::images::Findings;
use wharf::layers;
use wharf::layers::view::View;
use wharf_vocabulary::vocabulary::FlawKind;

impl Worker<'_> {
    pub(super) async fn images(&self) -> Facts {
        let from = clock();
        let listing = self.wharf.entries(&self.caller, &[]).await?;
        let mut facts: Vec<Fact> = listing.damaged.into_iter().map(Fact::Wrong).collect();
        for name in world::all_names() {
            let found = listing.images.iter().find(|image| self.short(&image.name) == name);
            let digest = found.map(|image| image.target.digest.clone());
            if let Some(image) = found
                && let Some(why) = self.half(&image.target.digest, &image.platforms)?
            {
                facts.push(Fact::Lost { name: name.clone(), why, from, until: clock() });
            }
            facts.push(Fact::Read { name, digest });
        }
        Ok(facts)
    }

    /// Says what is missing of an image that is listed with these platforms, if anything is. An index that was made here may
    /// have several images for one platform, of which one is here then.
    pub(super) fn half(&self, target: &str, platforms: &[String]) -> Result<Option<String>, Failed> {
        let document = match self.services.content.blob(&digest(target)) {
            Ok(blob) => blob.read(0, 1 << 20)?,
            Err(why) => return Ok(Some(format!("its blob `{target}` is not here: {why}"))),
        };
        let Ok(object) = serde_json::from_slice::<serde_json::Value>(&document) else {
            return Ok(Some(format!("its document `{target}` is no JSON")));
        };
        for platform in platforms {
            let mut missing = None;
            for part in parts(&object, platform) {
                missing = self.half(&part, &[])?;
                if missing.is_none() {
                    break;
                }
            }
            if missing.is_some() {
                return Ok(missing);
            }
        }
        let layers = object["layers"].as_array().into_iter().flatten().enumerate();
        for (part, at) in layers.map(|(at, layer)| (layer, Some(at))).chain(object.get("config").map(|it| (it, None))) {
            if let Err(why) = self.services.content.blob(&digest(&digest_of(part)))
                && !at.is_some_and(|at| self.is_rebuilt(&object, at))
            {
                return Ok(Some(format!("its blob `{}` is not here: {why}", digest_of(part))));
            }
        }
        Ok(None)
    }

    /// Whether the blob of a layer was given up for a tree that has a recipe. Whether that is right is for the referee.
    fn is_rebuilt(&self, manifest: &serde_json::Value, at: usize) -> bool {
        let diff_id = || {
            let config = self.services.content.blob(&digest(&digest_of(&manifest["config"]))).ok()?;
            let config: serde_json::Value = serde_json::from_slice(&config.read(0, 1 << 20).ok()?).ok()?;
            config["rootfs"]["diff_ids"][at].as_str().map(digest)
        };
        let layer = diff_id().and_then(|diff_id| self.services.layers.layer(&diff_id).ok());
        layer.is_some_and(|layer| layer.recipe().is_ok_and(|recipe| recipe.is_some()))
    }

    /// The digests of everything that is here of what a digest leads to. Somebody holds it.
    pub(super) fn whole(&self, target: &str) -> Result<Vec<String>, Failed> {
        let (mut all, mut pending) = (Vec::new(), vec![target.to_owned()]);
        while let Some(at) = pending.pop() {
            // Of an index what was not wanted is not here.
            let Ok(blob) = self.services.content.blob(&digest(&at)) else { continue };
            let object: serde_json::Value = serde_json::from_slice(&blob.read(0, 1 << 20)?).unwrap_or_default();
            pending.extend(object["manifests"].as_array().into_iter().flatten().map(digest_of));
            all.push(at);
            all.extend(object["layers"].as_array().into_iter().flatten().chain(object.get("config")).map(digest_of));
        }
        Ok(all)
    }

    /// Has an image extracted, and returns its manifest and its snapshot.
    pub(super) async fn snapshot(&self, name: &str) -> Result<(String, layers::Snapshot), Failed> {
        let stop = CancellationToken::new();
        let tree = self.wharf.unpack(&self.caller, &self.reference(name), None, &stop, &mut |_| {}).await?;
        let snapshot = tree.snapshot.expect("every image here has layers");
        match self.services.layers.snapshot(&snapshot) {
            Ok(snapshot) => Ok((tree.manifest, snapshot)),
            Err(error) => {
                Err(Failed { code: "vanished".to_owned(), why: format!("the snapshot that was unpacked: {error}") })
            }
        }
    }

    pub(super) fn tree(&self, name: &str, manifest: String, view: &View) -> Result<Fact, Failed> {
        let mut text = String::new();
        view.read(TEXT.as_bytes())?.read_to_string(&mut text)?;
        Ok(Fact::Tree { name: name.to_owned(), manifest, text })
    }

    /// Has the tree written as one archive, and reads that again: every entry, to the end.
    pub(super) async fn export(&self, name: &str) -> Facts {
        let (tree, snapshot) = self.snapshot(name).await?;
        let mut archive = Vec::new();
        let archived = View::new(&self.services.layers, &snapshot)?.archive(&mut archive)?;
        let (mut text, mut paths) = (String::new(), Vec::new());
        for entry in tar::Archive::new(archive.as_slice()).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            if path == TEXT {
                entry.read_to_string(&mut text)?;
            }
            paths.push(path);
        }
        let mut facts = vec![Fact::Tree { name: name.to_owned(), manifest: tree, text }];
        let is_told = archived.entries == paths.len() as u64 && archived.bytes == archive.len() as u64;
        if paths != ["./", "etc/", TEXT, "srv/", "srv/cargo"] || !is_told {
            facts.push(Fact::Wrong(format!("`{name}` was exported as {paths:?}, and told as {archived:?}")));
        }
        Ok(facts)
    }

    pub(super) async fn compare(&self, from: &str, to: &str) -> Facts {
        // Two readings of names are two moments: the trees alone are judged, by what they have in common.
        let (_, one) = self.snapshot(from).await?;
        let (_, other) = self.snapshot(to).await?;
        let (one, other) = (View::new(&self.services.layers, &one)?, View::new(&self.services.layers, &other)?);
        let changes: Result<Vec<_>, _> = one.difference(&other).collect();
        let odd = changes?
            .into_iter()
            .find(|(_, path)| ![TEXT.as_bytes(), b"etc", b"srv", b"srv/cargo"].contains(&&path[..]));
        Ok(odd.map(|(_, path)| Fact::Wrong(format!("`{from}` and `{to}` differ in {path:?}"))).into_iter().collect())
    }

    pub(super) async fn mount(&self, name: &str, ms: u64) -> Facts {
        let at = self.assignment.mount_point();
        fs::create_dir_all(&at)?;
        // Who was here before may have been killed while it was mounted.
        let layers = &self.services.layers;
        while layers.mounts()?.iter().any(|mounted| mounted.at == at) {
            layers.unmount(&at)?;
        }
        let (manifest, snapshot) = self.snapshot(name).await?;
        layers.mount(&snapshot, File::open(&at)?.as_fd())?;
        let from = clock();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let text = fs::read_to_string(at.join(TEXT))?;
        let until = clock();
        let listed = layers.mounts()?.into_iter().find(|mounted| mounted.at == at);
        layers.unmount(&at)?;
        let mut facts = vec![
            Fact::Mounted { text: text.clone(), from, until },
            Fact::Tree { name: name.to_owned(), manifest, text },
        ];
        if listed.and_then(|mounted| mounted.snapshot).as_deref() != Some(snapshot.name()) {
            facts.push(Fact::Wrong(format!("the mount of `{name}` is not listed")));
        }
        Ok(facts)
    }

    pub(super) async fn fsck(&self, name: Option<&str>, repair: bool) -> Facts {
        let references: Vec<String> = name.map(|name| self.reference(name)).into_iter().collect();
        let (stop, from) = (CancellationToken::new(), clock());
        let (access, registries) = (access(), [format!("{}/", self.assignment.registry)]);
        let repair = repair.then_some((&access, registries.as_slice()));
        let found = self.wharf.fsck(&self.caller, &references, repair, false, &stop, &mut |_| {}).await?;
        let Findings { flaws, .. } = found;
        let mut facts = Vec::new();
        for flaw in flaws {
            let why = format!("`{}` is found wrong: {}", flaw.subject, flaw.why);
            // What was removed while all blobs were gone through.
            let is_gone = flaw.kind == FlawKind::MissingBlob;
            if flaw.images.is_empty() && !is_gone && !self.is_of_the_victim(&flaw.subject) {
                facts.push(Fact::Wrong(why.clone()));
            }
            let images = flaw.images.iter().map(|image| self.short(image)).filter(|image| image != Operation::VICTIM);
            facts.extend(images.map(|name| Fact::Lost { name, why: why.clone(), from, until: clock() }));
        }
        Ok(facts)
    }

    fn is_of_the_victim(&self, blob: &str) -> bool {
        let (image, _) = world::image(Operation::VICTIM, 1);
        image.blobs.contains_key(blob) || image.documents.iter().any(|document| document.digest == blob)
    }
}

/// The manifests that an index lists for a platform.
fn parts(index: &serde_json::Value, wanted: &str) -> Vec<String> {
    let is_wanted = |entry: &&serde_json::Value| {
        let part = |key: &str| entry["platform"][key].as_str().unwrap_or_default().to_owned();
        let platform = format!("{}/{}", part("os"), part("architecture"));
        wanted == platform || wanted.starts_with(&format!("{platform}/"))
    };
    index["manifests"].as_array().into_iter().flatten().filter(is_wanted).map(digest_of).collect()
}

fn digest_of(entry: &serde_json::Value) -> String {
    entry["digest"].as_str().unwrap_or_default().to_owned()
}
