//! Leases, labels and ingests. What a lease holds is here as long as it lives.

use super::super::clock;
use super::super::failed::Failed;
use super::super::history::{Fact, Moment};
use super::super::world::Dice;
use super::{Facts, Worker, digest};

/// A lease of this process.
pub(super) struct Held {
    id: String,
    target: String,
    blobs: Vec<String>,
    /// When it was there for sure.
    since: Moment,
}

/// How long a lease lives that nobody releases: its process may be killed.
const LEASE_S: u64 = 20;
/// So long it lives for sure, in nanoseconds.
const LEASE_SURE_NS: u64 = 10 * 1_000_000_000;
/// The label that says nothing.
const LABEL: &str = "race";
/// The label by which a name goes with the next collection. containerd, docs/garbage-collection.md.
const EXPIRY: &str = "containerd.io/gc.expire";
/// A moment that is over.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

impl Worker<'_> {
    pub(super) async fn lease(&mut self, name: &str) -> Facts {
        let lease = self.wharf.hold(&self.caller, None, &[self.reference(name)], Some(LEASE_S), &[]).await?;
        let since = clock();
        let [target] = &lease.holds[..] else {
            return Ok(vec![Fact::Wrong(format!("a lease on `{name}` holds {:?}", lease.holds))]);
        };
        let mut facts = vec![Fact::Read { name: name.to_owned(), digest: Some(target.clone()) }];
        // One platform is here as a whole. Of another one there may be a manifest that somebody left without its layers: what
        // is here of that stays as well, and what is not was not promised.
        let is_whole = |platform: &str| Ok::<_, Failed>(self.half(target, &[platform.to_owned()])?.is_none());
        if !is_whole("linux/amd64")? && !is_whole("linux/arm64")? {
            facts.push(Fact::Wrong(format!("a lease on `{name}` holds `{target}`, of which nothing is whole")));
        }
        let mut blobs = self.whole(target)?;
        blobs.retain(|blob| self.services.content.blob(&digest(blob)).is_ok());
        self.lease = Some(Held { id: lease.id, target: target.clone(), blobs, since });
        Ok(facts)
    }

    pub(super) async fn release(&mut self) -> Facts {
        let Held { id, target, blobs, since } = self.lease.take().expect("a release is drawn only if there is a lease");
        let mut facts = Vec::new();
        let listed = self.wharf.leases(&self.caller).await?;
        if !listed.iter().any(|lease| lease.id == id && lease.holds == [target.clone()]) {
            facts.push(Fact::Wrong(format!("the lease `{id}` is not listed")));
        }
        let gone = blobs.iter().find(|blob| self.services.content.blob(&digest(blob)).is_err());
        let until = clock();
        if until - since < LEASE_SURE_NS {
            facts.extend(gone.map(|blob| Fact::Wrong(format!("`{blob}` is not here, and the lease `{id}` holds it"))));
            facts.push(Fact::Leased { target, blobs, from: since, until });
        }
        self.wharf.release(&self.caller, &[id]).await?;
        Ok(facts)
    }

    pub(super) async fn label(&self, name: &str, value: Option<&str>) -> Facts {
        let reference = self.reference(name);
        let wanted = value.map(|value| (LABEL.to_owned(), Some(value.to_owned())));
        let all = self.wharf.label(&self.caller, &reference, wanted.as_slice()).await?;
        let found = all.into_iter().find(|(key, _)| key == LABEL).map(|(_, value)| value);
        let name = name.to_owned();
        Ok(vec![match value {
            Some(value) if found.as_deref() == Some(value) => Fact::Labelled { name, value: value.to_owned() },
            Some(value) => Fact::Wrong(format!("`{name}` has the label {found:?} after it got {value:?}")),
            None => Fact::Label { name, value: found },
        }])
    }

    pub(super) async fn expire(&self, name: &str) -> Facts {
        let expiry = (EXPIRY.to_owned(), Some(LONG_AGO.to_owned()));
        self.wharf.label(&self.caller, &self.reference(name), &[expiry]).await?;
        Ok(Vec::new())
    }

    pub(super) async fn ingests(&self) -> Facts {
        let listed = self.wharf.ingests(&self.caller).await?;
        let is_right = listed.windows(2).all(|pair| pair[0].key < pair[1].key);
        Ok(if is_right { Vec::new() } else { vec![Fact::Wrong("ingests are listed twice, or in no order".to_owned())] })
    }

    pub(super) async fn discard(&self, dice: &mut Dice) -> Facts {
        let listed = self.wharf.ingests(&self.caller).await?;
        if !listed.is_empty() {
            let key = dice.choose(&listed).key.clone();
            self.wharf.discard(&self.caller, &[key]).await?;
        }
        Ok(Vec::new())
    }
}
