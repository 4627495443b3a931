//! What is to be kept: the images and leases of every namespace, and what the
//! labels of blobs say, as they are recorded at one moment. Blobs and trees belong
//! to no namespace, so whoever removes some has to know all of them.
//!
//! - `marks`: the labels of blobs, and what those of snapshots say of others. `shots`: the snapshots of clients.

mod marks;
mod shots;

use super::{
    contract::Caller,
    store::{Records, Uses},
};
use crate::{
    host::{Host, Transaction},
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
        record::{
            self, ContentRecord, EXPIRY_LABEL, FLAT_LABEL, ImageRecord, LeaseRecord, LeasedRecord, SnapshotRecord, View,
        },
        reference::Reference,
        time,
    },
    planted::{Bug, has},
    registry::Failure,
};
use marks::is_reference;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

pub(super) use marks::{Behind, Marks, is_tree};
pub(super) use shots::Shot;

/// What leases call ingests.
pub(super) const INGESTS: &str = "ingests";
/// What leases call names.
pub(super) const IMAGES: &str = "images";
/// What leases call snapshots; what makes them follows, and says nothing here.
pub(super) const SNAPSHOTS: &str = "snapshots/";

/// One name: a reference, or another text.
#[derive(Clone, Debug)]
pub(super) struct Root<N = Reference> {
    pub(super) namespace: String,
    pub(super) name: N,
    /// What the bytes of the record hash to.
    pub(super) mark: Digest,
    pub(super) record: ImageRecord,
    /// What says of itself that this name needs it.
    pub(super) behind: Behind,
}

/// One lease that holds something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) namespace: String,
    /// Manifests and indexes with everything that they need, and single blobs.
    pub(super) holds: Vec<Digest>,
    /// Whether it holds nothing but what it names.
    pub(super) is_flat: bool,
    /// Keys of snapshots in the namespace, and ChainIDs.
    pub(super) snapshots: BTreeSet<String>,
    /// Names that ingests have in the namespace.
    pub(super) ingests: BTreeSet<String>,
    /// Names of images in the namespace that stay when their time is over.
    pub(super) names: BTreeSet<String>,
}

/// Everything that is recorded.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// In order of namespace and name.
    pub(super) images: Vec<Root>,
    /// The names that are no references, but for those whose time is over. In the same order.
    pub(super) foreign: Vec<Root<String>>,
    pub(super) leases: Vec<Held>,
    /// The snapshots that clients have recorded. In order of namespace and key.
    pub(super) snapshots: Vec<Shot>,
    /// What the labels of blobs say.
    pub(super) marks: Marks,
    /// The namespaces that have a record of a blob.
    pub(super) recorded: BTreeMap<Digest, BTreeSet<String>>,
    /// The leases of the caller's namespace whose time is over, in order of ID.
    pub(super) expired: Vec<String>,
    /// When names of the caller's namespace were last used.
    pub(super) uses: Uses,
    /// Sentences about records that do not say what they need.
    pub(super) unreadable: Vec<String>,
}

/// Whether labels say that the time of what has them is over.
fn is_over(labels: &BTreeMap<String, String>, now: i64) -> bool {
    let expiry = labels.get(EXPIRY_LABEL).and_then(|text| time::parse(text));
    expiry.is_some_and(|expiry| expiry <= now)
}

impl<N> Root<N> {
    /// Whether its labels say that it is to go.
    pub(super) fn is_expired(&self, now: i64) -> bool {
        is_over(&self.record.labels, now)
    }

    /// The digests that its labels hold, and those that say themselves that it does.
    pub(super) fn labelled(&self) -> impl Iterator<Item = Digest> {
        let digests = self.record.labels.iter().filter(|(key, _)| is_reference(key));
        digests.filter_map(|(_, value)| value.parse().ok()).chain(self.behind.blobs.iter().cloned())
    }
}

/// Finds out what says that these names need it.
fn look_behind<N: ToString>(roots: &mut [Root<N>], marks: &Marks) {
    for root in roots {
        root.behind = marks.behind_name(&root.namespace, &root.name);
    }
}

/// Whether a lease keeps a name whose time is over.
fn is_kept(leases: &[Held], namespace: &str, name: &str) -> bool {
    leases.iter().any(|lease| lease.namespace == namespace && lease.names.contains(name))
}

/// Whether two lists have the same names with the same records.
fn are_alike<N: PartialEq>(these: &[Root<N>], those: &[Root<N>]) -> bool {
    let same = |(one, other): (&Root<N>, &Root<N>)| {
        one.mark == other.mark && one.name == other.name && one.namespace == other.namespace
    };
    these.len() == those.len() && these.iter().zip(those).all(same)
}

impl Roots {
    /// Whether the same is to be kept.
    pub(super) fn hold_the_same(&self, other: &Self) -> bool {
        are_alike(&self.images, &other.images)
            && are_alike(&self.foreign, &other.foreign)
            && self.leases == other.leases
            && self.snapshots == other.snapshots
            && self.marks == other.marks
            && self.unreadable == other.unreadable
    }

    /// What is recorded in one namespace. What labels of blobs say that others need is not told apart.
    pub(super) fn of(&self, namespace: &str) -> Self {
        let images = self.images.iter().filter(|root| root.namespace == namespace).cloned().collect();
        let foreign = self.foreign.iter().filter(|root| root.namespace == namespace).cloned().collect();
        let leases = self.leases.iter().filter(|lease| lease.namespace == namespace).cloned().collect();
        let snapshots = self.snapshots.iter().filter(|shot| shot.namespace == namespace).cloned().collect();
        Self { images, foreign, leases, snapshots, marks: self.marks.of(namespace), ..Self::default() }
    }

    /// Whether a name goes because its time is over, and no lease keeps it.
    pub(super) fn is_over(&self, root: &Root, now: i64) -> bool {
        root.is_expired(now) && !is_kept(&self.leases, &root.namespace, &root.name.to_string())
    }

    /// Whether a lease of their namespace holds an image that has these names, or
    /// one of its platforms.
    pub(super) fn is_leased(&self, names: &[&Root]) -> bool {
        let is_meant = |root: &&Root, held: &Digest| {
            *held == root.record.target.digest
                || root.record.platforms.iter().any(|present| present.manifest.digest == *held)
        };
        self.leases.iter().any(|lease| {
            let is_same = |root: &&&Root| root.namespace == lease.namespace;
            names.iter().filter(is_same).any(|root| lease.holds.iter().any(|held| is_meant(root, held)))
        })
    }

    /// Reads what is recorded now.
    pub(super) async fn load<H: Host>(host: &H, caller: &Caller) -> Result<Self, Failure> {
        Self::read(host, caller, &mut Records::begin(host, caller).await?).await
    }

    /// Reads what is recorded, in a transaction of the caller's namespace that goes on in another one.
    pub(super) async fn read<H: Host>(
        host: &H,
        caller: &Caller,
        records: &mut Records<'_, H::Transaction>,
    ) -> Result<Self, Failure> {
        let mut roots = Self { uses: records.uses().await?, ..Self::default() };
        for namespace in records.namespaces().await? {
            match records.turn_to(&namespace).await {
                Ok(()) => roots.add(records, &namespace, namespace == caller.namespace, host.now()).await?,
                Err(failure) if matches!(failure.code, ErrorCode::Invalid | ErrorCode::Unsupported) => {
                    roots.unreadable.push(format!(
                        "namespace `{}`: {}",
                        namespace.escape_debug(),
                        failure.why.join(": ")
                    ));
                }
                Err(failure) => return Err(failure),
            }
        }
        look_behind(&mut roots.images, &roots.marks);
        look_behind(&mut roots.foreign, &roots.marks);
        Ok(roots)
    }

    async fn add<T: Transaction>(
        &mut self,
        records: &Records<'_, T>,
        namespace: &str,
        is_own: bool,
        now: i64,
    ) -> Result<(), Failure> {
        let visit = |key: &str, value: &[u8]| match read(key, value) {
            Ok((name, mut view)) => {
                view.platforms.iter_mut().filter(|_| !is_own).for_each(|present| present.labels.clear());
                let (mark, namespace) = (Digest::of(Algorithm::Sha256, value), namespace.to_owned());
                self.images.push(Root { namespace, name, mark, record: (&view).into(), behind: Behind::default() });
            }
            Err(error) => self.unreadable.push(format!("`{}`: {error}", key.escape_debug())),
        };
        records.walk_values(visit).await?;
        // Before the names that go by themselves: a lease may keep them.
        self.add_leases(records, namespace, is_own, now).await?;
        let visit = |name: &str, value: &[u8]| match View::decode(value) {
            Ok(view) => {
                let (mark, namespace) = (Digest::of(Algorithm::Sha256, value), namespace.to_owned());
                let root =
                    Root { namespace, name: name.to_owned(), mark, record: (&view).into(), behind: Behind::default() };
                let is_here = !root.is_expired(now) || is_kept(&self.leases, &root.namespace, name);
                self.foreign.extend(is_here.then_some(root));
            }
            Err(error) => self.unreadable.push(format!("`{}`: {error}", name.escape_debug())),
        };
        records.walk_foreign_values(visit).await?;
        let visit = |key: &str, record: Result<SnapshotRecord, record::Error>| {
            match record {
                Ok(record) => {
                    self.marks.add_snapshot(namespace, key, &record.labels);
                    let (namespace, key) = (namespace.to_owned(), key.to_owned());
                    self.snapshots.push(Shot { namespace, key, record });
                }
                Err(error) => self.unreadable.push(format!("the snapshot `{}`: {error}", key.escape_debug())),
            }
            ControlFlow::Continue(())
        };
        records.walk_snapshots(None, visit).await?;
        let visit = |text: &str, content: Result<ContentRecord, record::Error>| {
            match (text.parse::<Digest>(), content) {
                (Ok(digest), Ok(content)) => {
                    self.marks.add(namespace, &digest, &content.labels, is_over(&content.labels, now));
                    self.recorded.entry(digest).or_default().insert(namespace.to_owned());
                }
                (_, Err(error)) => self.unreadable.push(format!("the labels of `{}`: {error}", text.escape_debug())),
                // What is called by no digest is about no blob.
                (Err(_), Ok(_)) => {}
            }
            ControlFlow::Continue(())
        };
        records.walk_contents(None, visit).await
    }

    async fn add_leases<T: Transaction>(
        &mut self,
        records: &Records<'_, T>,
        namespace: &str,
        is_own: bool,
        now: i64,
    ) -> Result<(), Failure> {
        let mut live: BTreeMap<String, Held> = BTreeMap::new();
        let visit = |id: &str, lease: Result<LeaseRecord, record::Error>| match lease {
            Ok(lease) if lease.is_live(now) && !has(Bug::LeaseIgnored) => {
                let is_flat = lease.labels.contains_key(FLAT_LABEL);
                let (snapshots, ingests, names) = Default::default();
                let namespace = namespace.to_owned();
                live.insert(id.to_owned(), Held { namespace, holds: lease.holds, is_flat, snapshots, ingests, names });
            }
            Ok(lease) if is_own && !lease.is_live(now) => self.expired.push(id.to_owned()),
            Ok(_) => {}
            Err(error) => self.unreadable.push(format!("lease `{}`: {error}", id.escape_debug())),
        };
        records.walk_leases(visit).await?;
        let visit = |id: &str, held: Result<LeasedRecord, record::Error>| match (live.get_mut(id), held) {
            (Some(lease), Ok(held)) if held.kind == INGESTS => drop(lease.ingests.insert(held.id)),
            (Some(lease), Ok(held)) if held.kind == IMAGES => drop(lease.names.insert(held.id)),
            (Some(lease), Ok(held)) if held.kind.starts_with(SNAPSHOTS) => drop(lease.snapshots.insert(held.id)),
            (_, Ok(_)) | (None, Err(_)) => {}
            (Some(_), Err(error)) => self.unreadable.push(format!("lease `{}`: {error}", id.escape_debug())),
        };
        records.walk_leased(None, visit).await?;
        self.leases.extend(live.into_values());
        Ok(())
    }
}

/// Reads a name and its record. What has no platform says as well what it needs: all that is here of its target.
fn read<'r>(name: &str, value: &'r [u8]) -> Result<(Reference, View<'r>), record::Error> {
    let record = View::decode(value)?;
    let name = Reference::parse_canonical(name).map_err(|error| record::Error::Damaged(error.to_string()))?;
    Ok((name, record))
}
