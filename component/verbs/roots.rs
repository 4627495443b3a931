//! What is to be kept: the images and leases of every namespace, as they are
//! recorded at one moment. Blobs and trees belong to no namespace, so whoever
//! removes some has to know all of them.

use super::{
    contract::Caller,
    library,
    store::{Records, Uses},
};
use crate::{
    host::{Host, Transaction},
    nouns::{
        digest::{Algorithm, Digest},
        problem::ErrorCode,
        record::{self, ImageRecord, LeaseRecord, View},
        reference::Reference,
        time,
    },
    planted::{Bug, has},
    registry::Failure,
};

/// A label of a record: a digest that is kept as long as it. containerd,
/// docs/garbage-collection.md.
const REFERENCE_LABEL: &str = "containerd.io/gc.ref.content";
/// A label of a record: when its name goes with the next collection.
const EXPIRY_LABEL: &str = "containerd.io/gc.expire";

/// One name.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) namespace: String,
    pub(super) name: Reference,
    /// What the bytes of the record hash to.
    pub(super) mark: Digest,
    pub(super) record: ImageRecord,
}

/// One lease that holds something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) namespace: String,
    pub(super) holds: Vec<Digest>,
}

/// Everything that is recorded.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// In order of namespace and name.
    pub(super) images: Vec<Root>,
    pub(super) leases: Vec<Held>,
    /// The leases of the caller's namespace whose time is over, in order of ID.
    pub(super) expired: Vec<String>,
    /// When names of the caller's namespace were last used.
    pub(super) uses: Uses,
    /// Sentences about records that do not say what they need.
    pub(super) unreadable: Vec<String>,
}

impl Root {
    /// Whether its labels say that it is to go.
    pub(super) fn is_expired(&self, now: i64) -> bool {
        let expiry = self.record.labels.get(EXPIRY_LABEL).and_then(|text| time::parse(text));
        expiry.is_some_and(|expiry| expiry <= now)
    }

    /// The digests that its labels hold.
    pub(super) fn labelled(&self) -> impl Iterator<Item = Digest> {
        let is_reference = |key: &&String| {
            key.strip_prefix(REFERENCE_LABEL).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
        };
        let digests = self.record.labels.iter().filter(move |(key, _)| is_reference(key));
        digests.filter_map(|(_, value)| value.parse().ok())
    }
}

impl Roots {
    /// Whether the same is to be kept.
    pub(super) fn hold_the_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&Root, &Root)| {
            one.mark == other.mark && one.name == other.name && one.namespace == other.namespace
        };
        self.images.len() == other.images.len()
            && self.images.iter().zip(&other.images).all(same)
            && self.leases == other.leases
            && self.unreadable == other.unreadable
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
        let mut roots = Self::default();
        let mut records = Records::begin(host, caller).await?;
        roots.uses = records.uses().await?;
        for namespace in records.namespaces().await? {
            match records.turn_to(&namespace).await {
                Ok(()) => roots.add(&records, &namespace, namespace == caller.namespace, host.now()).await?,
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
        Ok(roots)
    }

    async fn add<T: Transaction>(
        &mut self,
        records: &Records<'_, T>,
        namespace: &str,
        is_own: bool,
        now: i64,
    ) -> Result<(), Failure> {
        let visit = |key: &str, value: &[u8]| match library::check(key, View::decode(value)) {
            Ok((name, mut view)) => {
                view.platforms.iter_mut().filter(|_| !is_own).for_each(|present| present.labels.clear());
                let (mark, namespace) = (Digest::of(Algorithm::Sha256, value), namespace.to_owned());
                self.images.push(Root { namespace, name, mark, record: (&view).into() });
            }
            Err(error) => self.unreadable.push(format!("`{}`: {error}", key.escape_debug())),
        };
        records.walk_values(visit).await?;
        let visit = |id: &str, lease: Result<LeaseRecord, record::Error>| match lease {
            Ok(lease) if lease.is_live(now) && !has(Bug::LeaseIgnored) => {
                self.leases.push(Held { namespace: namespace.to_owned(), holds: lease.holds });
            }
            Ok(lease) if is_own && !lease.is_live(now) => self.expired.push(id.to_owned()),
            Ok(_) => {}
            Err(error) => self.unreadable.push(format!("lease `{}`: {error}", id.escape_debug())),
        };
        records.walk_leases(visit).await
    }
}
