//! What is here while a plan is made: every name of every namespace, what each
//! needs, and what is mounted. From it comes what nothing needs afterwards.

use super::{
    document::{Draft, Step, Things, Verb},
    retain,
};
use crate::{
    host::{Host, Snapshot},
    nouns::{digest::Digest, problem::ErrorCode, reference::Reference},
    registry::Failure,
    verbs::{
        contract::Caller,
        library::Library,
        reach::{Parts, Reach, Reader, sizes, weight},
        roots::{Root, Roots},
        sweep::{refuse_unreadable, unreadable},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Everything that a plan depends on.
pub(super) struct Desk<'d, H: Host> {
    pub(super) host: &'d H,
    pub(super) caller: &'d Caller,
    pub(super) reader: &'d Reader<'d, H>,
    pub(super) library: Library,
    pub(super) roots: Roots,
    pub(super) mounted: BTreeSet<String>,
}

/// All names of one target, in the caller's namespace.
pub(super) struct Image<'d> {
    pub(super) target: Digest,
    pub(super) names: Vec<&'d Root>,
}

impl<'d, H: Host> Desk<'d, H> {
    pub(super) async fn lay(host: &'d H, caller: &'d Caller, reader: &'d Reader<'d, H>) -> Result<Self, Failure> {
        let library = Library::load(host, caller).await?;
        let (roots, _) = reader.survey(caller).await?;
        let mounted = host.mounted().await?.into_iter().collect();
        Ok(Self { host, caller, reader, library, roots, mounted })
    }

    /// The names of the caller's namespace.
    pub(super) fn own(&self) -> impl Iterator<Item = &Root> {
        self.roots.images.iter().filter(|root| root.namespace == self.caller.namespace)
    }

    pub(super) fn root(&self, name: &Reference) -> Option<&Root> {
        self.own().find(|root| root.name == *name)
    }

    /// The images of the caller's namespace, in order of target.
    pub(super) fn images(&self) -> Vec<Image<'_>> {
        let mut images: BTreeMap<&Digest, Vec<&Root>> = BTreeMap::new();
        for root in self.own() {
            images.entry(&root.record.target.digest).or_default().push(root);
        }
        images.into_iter().map(|(target, names)| Image { target: target.clone(), names }).collect()
    }

    /// Whether a tree of one of these names is mounted.
    pub(super) async fn is_mounted(&self, names: &[&Root]) -> Result<bool, Failure> {
        if self.mounted.is_empty() {
            return Ok(false);
        }
        for root in names {
            let parts = self.reader.of_root(root).await?;
            if parts.iter().any(|parts| parts.is_mounted(&self.mounted)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a lease holds an image, or one of its platforms.
    pub(super) fn is_leased(&self, names: &[&Root]) -> bool {
        self.roots.is_leased(names)
    }

    /// When a name was last used, in seconds since 1970.
    pub(super) fn used(&self, root: &Root) -> i64 {
        self.roots.uses.last(&root.name.to_string(), root.record.updated)
    }

    /// What a name needs.
    pub(super) async fn reach(&self, root: &Root) -> Result<Reach, Failure> {
        let mut reach = Reach::default();
        self.reader.of_root(root).await?.iter().for_each(|parts| reach.add(parts));
        Ok(reach)
    }

    /// The step by which a name goes.
    pub(super) fn untag(root: &Root, why: &str) -> Step {
        Step {
            name: root.name.to_string(),
            mark: Some(root.mark.clone()),
            verb: Verb::Untag,
            before: Some(root.record.target.digest.clone()),
            after: None,
            platforms: root.record.platforms.iter().filter_map(|present| present.platform.clone()).collect(),
            why: why.to_owned(),
        }
    }

    /// Adds to a plan what nothing needs once its names have changed, as far as
    /// they needed it, and which targets are gone then.
    pub(super) async fn settle(&self, draft: &mut Draft) -> Result<(), Failure> {
        let steps: BTreeMap<&str, &Step> = draft.names.iter().map(|step| (step.name.as_str(), step)).collect();
        let step = |root: &Root| match root.namespace == self.caller.namespace {
            true => steps.get(root.name.to_string().as_str()).copied(),
            false => None,
        };
        let mut needed = self.reader.all(&self.roots, |root| step(root).is_some()).await?;
        let (mut before, mut gone, mut staying) = (Reach::default(), BTreeSet::new(), BTreeSet::new());
        for root in self.own() {
            let Some(step) = step(root) else {
                staying.insert(&root.record.target.digest);
                continue;
            };
            for parts in self.reader.of_root(root).await? {
                before.add(&parts);
            }
            match &step.verb {
                Verb::Untag | Verb::Point { .. } => drop(gone.insert(&root.record.target.digest)),
                Verb::Retain { retention } => {
                    staying.insert(&root.record.target.digest);
                    for parts in retain::rest(self, root, *retention).await? {
                        needed.add(&parts);
                    }
                }
                Verb::Shrink { manifests } => {
                    staying.insert(&root.record.target.digest);
                    for parts in self.rest(root, manifests).await? {
                        needed.add(&parts);
                    }
                }
            }
        }
        // A name that is no reference is a name of the image as well.
        let foreign = self.roots.foreign.iter().filter(|root| root.namespace == self.caller.namespace);
        staying.extend(foreign.map(|root| &root.record.target.digest));
        draft.gone = gone.difference(&staying).map(|digest| (*digest).clone()).collect();
        draft.garbage = match needed.unreadable.is_empty() {
            true => self.things(&before, &needed).await?,
            false => Things::default(),
        };
        draft.blocked = unreadable(&needed);
        Ok(())
    }

    /// What a name needs without these manifests.
    async fn rest(&self, root: &Root, manifests: &[Digest]) -> Result<Vec<Rc<Parts>>, Failure> {
        let mut root = root.clone();
        root.record.platforms.retain(|present| !manifests.contains(&present.manifest.digest));
        self.reader.of_root(&root).await
    }

    /// What is of `before` and not of `needed`, with sizes, as far as it is here.
    async fn things(&self, before: &Reach, needed: &Reach) -> Result<Things, Failure> {
        let blobs: BTreeSet<Digest> = before.blobs.difference(&needed.blobs).cloned().collect();
        let mut things = Things { blobs: sizes(self.host, &blobs).await?.into_iter().collect(), ..Things::default() };
        for name in before.layers.difference(&needed.layers) {
            if let Some(layer) = absent(self.host.layer(name).await)? {
                things.layers.push((name.clone(), weight(&layer).await?));
            }
        }
        for name in before.snapshots.difference(&needed.snapshots) {
            if let Some(snapshot) = absent(self.host.snapshot(name).await)? {
                things.snapshots.push((name.to_string(), snapshot.usage().0));
            }
        }
        Ok(things)
    }

    /// Adds to a plan everything that nothing needs now.
    pub(super) async fn unneeded(&self, draft: &mut Draft) -> Result<(), Failure> {
        let steps: BTreeSet<&str> = draft.names.iter().map(|step| step.name.as_str()).collect();
        let is_going =
            |root: &Root| root.namespace == self.caller.namespace && steps.contains(root.name.to_string().as_str());
        let needed = self.reader.all(&self.roots, is_going).await?;
        refuse_unreadable(&needed)?;
        let mut things = Things::default();
        let mut last: Option<Digest> = None;
        loop {
            let page = self.host.blobs(last.as_ref(), PAGE_BLOBS).await?;
            let Some((end, _)) = page.last() else { break };
            last = Some(end.clone());
            things.blobs.extend(page.into_iter().filter(|(digest, _)| !needed.blobs.contains(digest)));
        }
        let mut last: Option<Digest> = None;
        while let Some(page) = listed(self.host.layers(last.as_ref(), PAGE_TREES).await)? {
            last = page.last().cloned();
            for name in page.into_iter().filter(|name| !needed.layers.contains(name)) {
                let size = match absent(self.host.layer(&name).await)? {
                    Some(layer) => weight(&layer).await?,
                    None => 0,
                };
                things.layers.push((name, size));
            }
        }
        let mut last: Option<String> = None;
        while let Some(page) = listed(self.host.snapshots(last.as_deref(), PAGE_TREES).await)? {
            last = page.last().cloned();
            for text in page {
                // What has another name was not made by wharf's verbs.
                let Ok(name) = text.parse::<Digest>() else { continue };
                if !needed.snapshots.contains(&name) {
                    let size = absent(self.host.snapshot(&name).await)?.map_or(0, |snapshot| snapshot.usage().0);
                    things.snapshots.push((text, size));
                }
            }
        }
        draft.garbage = things;
        Ok(())
    }
}

/// How many blobs are listed at once.
const PAGE_BLOBS: u32 = 10_000;
/// How many layers or snapshots are listed at once.
const PAGE_TREES: u32 = 1_000;

/// What is not here is none.
fn absent<T>(found: Result<T, ErrorCode>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ErrorCode::NotFound | ErrorCode::Unsupported) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// A page, unless it is the end. A host without trees has none.
fn listed<T>(page: Result<Vec<T>, ErrorCode>) -> Result<Option<Vec<T>>, Failure> {
    Ok(absent(page)?.filter(|page| !page.is_empty()))
}
