//! Leases: what holds images and blobs, whether or not a name does.

use super::{
    contract::{Caller, Lease},
    failing::{because, fail, invalid, problem, try_this},
    history::pull_again,
    library::{Library, Meant},
    plan::BLOBS_MAX,
    reach::Reader,
    roots::Roots,
    store::{self, Records},
};
use crate::{
    host::Host,
    nouns::{
        digest::Digest,
        label,
        problem::{ErrorCode, Problem},
        record::{Action, LeaseRecord, Present},
    },
    registry::Failure,
};
use std::collections::{BTreeMap, BTreeSet};

/// How often the names are read again because they have changed.
const ROUNDS_MAX: usize = 16;
/// What shows all of them.
const LIST: &str = "wharf lease ls";

/// Returns the leases, those included that hold no more. See `images.leases`.
pub async fn leases<H: Host>(host: &H, caller: &Caller) -> Result<Vec<Lease>, Problem> {
    let work = async {
        let mut leases = Vec::new();
        let read = |id: &str, record: Result<LeaseRecord, _>| {
            let unreadable = |error| {
                let why = format!("the record of the lease `{}` cannot be read: {error}", id.escape_debug());
                try_this(invalid(why), format!("wharf lease rm {id}"))
            };
            leases.push(record.map(|record| lease(id, record)).map_err(unreadable));
        };
        Records::begin(host, caller).await?.walk_leases(read).await?;
        leases.into_iter().collect::<Result<_, Failure>>()
    };
    work.await.map_err(problem("cannot list the leases"))
}

/// Holds images and blobs. See `images.hold`.
pub async fn hold<H: Host>(
    host: &H,
    caller: &Caller,
    id: Option<&str>,
    references: &[String],
    seconds: Option<u64>,
    labels: BTreeMap<String, String>,
) -> Result<Lease, Problem> {
    let work = async {
        let id = id.map_or_else(|| format!("{:016x}", host.random()), str::to_owned);
        check(&id, references, seconds, &labels)?;
        let hands = hands(host, caller, references).await?;
        // What was found may have been brought by somebody who died before making it durable.
        host.sync().await?;
        if !hands.snapshots.is_empty() {
            host.sync_layers().await?;
        }
        let created = host.now();
        let expires = seconds.map(|seconds| created.saturating_add_unsigned(seconds));
        let record = LeaseRecord { created, expires, labels, holds: hands.holds.iter().cloned().collect() };
        store::change(host, caller, async |records| {
            let there = records.lease(&id).await?;
            let is_taken = match &there {
                Some(Ok(there)) => there.is_live(created),
                Some(Err(_)) => true,
                None => false,
            };
            if is_taken {
                let failure = fail(ErrorCode::InUse, format!("there is a lease `{id}`"));
                return Err(try_this(failure, format!("choose another ID, or end that one: wharf lease rm {id}")));
            }
            if let Some(Ok(expired)) = &there {
                records.delete_lease(host, &id, Some(expired), Action::Expire).await?;
            }
            records.put_lease(host, &id, &record);
            Ok(())
        })
        .await?;
        // From here on the record holds it.
        drop(hands);
        Ok(lease(&id, record))
    };
    work.await.map_err(problem(match references {
        [one] => format!("cannot hold `{}`", one.escape_debug()),
        _ => "cannot hold these images".to_owned(),
    }))
}

/// Ends leases. See `images.release`.
pub async fn release<H: Host>(host: &H, caller: &Caller, ids: &[String]) -> Result<(), Problem> {
    let work = store::change(host, caller, async |records| {
        for id in ids {
            let there = if store::is_lease_id(id) { records.lease(id).await? } else { None };
            let Some(there) = there else {
                let failure = fail(ErrorCode::NotFound, format!("there is no lease `{}`", id.escape_debug()));
                return Err(try_this(failure, LIST));
            };
            records.delete_lease(host, id, there.as_ref().ok(), Action::Release).await?;
        }
        Ok(())
    });
    work.await.map_err(problem(match ids {
        [one] => format!("cannot end the lease `{}`", one.escape_debug()),
        _ => "cannot end these leases".to_owned(),
    }))
}

/// Takes everything in hand. What is not here because its name has changed
/// meanwhile, and it was collected, is looked for again.
async fn hands<'h, H: Host>(host: &'h H, caller: &Caller, references: &[String]) -> Result<Hands<'h, H>, Failure> {
    let mut rounds = 0;
    loop {
        let roots = Roots::load(host, caller).await?;
        let library = Library::load(host, caller).await?;
        let mut hands = Hands::new(host);
        let mut taken = Ok(());
        for reference in references {
            taken = hands.take(&library, reference).await;
            if taken.is_err() {
                break;
            }
        }
        rounds += 1;
        match taken {
            Ok(()) => return Ok(hands),
            Err(failure) if rounds == ROUNDS_MAX || Roots::load(host, caller).await?.hold_the_same(&roots) => {
                return Err(failure);
            }
            Err(_) => {}
        }
    }
}

fn check(
    id: &str,
    references: &[String],
    seconds: Option<u64>,
    labels: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    if !store::is_identifier(id) {
        let why = format!("`{}` is no ID of a lease", id.escape_debug());
        return Err(try_this(invalid(why), "use letters and digits, with single `-`, `_` and `.` between them"));
    }
    if references.is_empty() {
        return Err(invalid("a lease holds something, and nothing was named"));
    }
    if seconds == Some(0) {
        return Err(invalid("a lease of no time holds nothing"));
    }
    labels.iter().try_for_each(|(key, value)| label::check(key, value)).map_err(invalid)
}

fn lease(id: &str, record: LeaseRecord) -> Lease {
    let LeaseRecord { created, expires, labels, holds } = record;
    Lease { id: id.to_owned(), created, expires, labels: labels.into_iter().collect(), holds }
}

/// Takes whatever is here of all that a digest leads to: what a lease is about to hold stays then.
pub(super) async fn in_hand<'h, H: Host>(host: &'h H, digest: &Digest) -> Result<Hands<'h, H>, Failure> {
    let mut hands = Hands::new(host);
    if hands.blob(digest).await? {
        hands.reached(digest).await?;
        host.sync().await?;
    }
    if !hands.snapshots.is_empty() {
        host.sync_layers().await?;
    }
    Ok(hands)
}

/// What is to be held, and handles on all of it: nothing may be collected before
/// the record is committed.
pub(super) struct Hands<'h, H: Host> {
    host: &'h H,
    reader: Reader<'h, H>,
    /// What the record says.
    holds: BTreeSet<Digest>,
    blobs: BTreeMap<Digest, H::Blob>,
    snapshots: BTreeMap<Digest, H::Snapshot>,
}

impl<'h, H: Host> Hands<'h, H> {
    fn new(host: &'h H) -> Self {
        let (holds, blobs, snapshots) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { host, reader: Reader::new(host), holds, blobs, snapshots }
    }

    /// Takes an image that a text means, or the blob that it is the digest of.
    async fn take(&mut self, library: &Library, text: &str) -> Result<(), Failure> {
        let absent = match library.find(text) {
            Ok(meant) => return self.image(meant).await,
            Err(failure) => failure,
        };
        match text.parse::<Digest>() {
            Ok(digest) if absent.code == ErrorCode::NotFound && self.blob(&digest).await? => {
                self.reached(&digest).await?;
                self.holds.insert(digest);
                Ok(())
            }
            _ => Err(absent),
        }
    }

    /// Takes all that is recorded of an image, or one of its platforms.
    async fn image(&mut self, Meant { entry, present }: Meant<'_>) -> Result<(), Failure> {
        let whole = &entry.record.platforms;
        let (digest, platforms) = match present {
            Some(present) => (&present.manifest.digest, std::slice::from_ref(present)),
            None => (&entry.record.target.digest, whole.as_slice()),
        };
        if !self.blob(digest).await? {
            let lost = fail(ErrorCode::NotFound, format!("`{digest}` is gone"));
            return Err(try_this(lost, format!("wharf pull {}", entry.name.familiar())));
        }
        for present in platforms {
            self.platform(present).await.map_err(|failure| try_this(failure, pull_again(entry, present)))?;
        }
        // Of an index also what is here and not recorded.
        self.reached(digest).await?;
        self.holds.insert(digest.clone());
        Ok(())
    }

    /// Takes one platform, which has to be here as a whole.
    async fn platform(&mut self, present: &Present) -> Result<(), Failure> {
        let all = self.reader.of_digest(&present.manifest.digest).await?;
        for parts in &all {
            if let Some(why) = &parts.unreadable {
                return Err(invalid(why));
            }
        }
        let parts = all.iter().flat_map(|parts| &parts.blobs);
        for digest in parts.chain([&present.manifest.digest, &present.config]) {
            if !self.blob(digest).await? {
                return Err(because("the image is not whole")(fail(
                    ErrorCode::NotFound,
                    format!("`{digest}`, which it needs, is gone"),
                )));
            }
        }
        Ok(())
    }

    /// Takes whatever is here of all that a digest leads to.
    async fn reached(&mut self, digest: &Digest) -> Result<(), Failure> {
        for parts in self.reader.of_digest(digest).await? {
            for digest in &parts.blobs {
                self.blob(digest).await?;
            }
            self.tree(&parts.snapshots).await?;
        }
        Ok(())
    }

    /// Takes a blob. Returns whether it is here.
    async fn blob(&mut self, digest: &Digest) -> Result<bool, Failure> {
        if self.blobs.contains_key(digest) {
            return Ok(true);
        }
        let blob = match self.host.open(digest).await {
            Ok(blob) => blob,
            Err(ErrorCode::NotFound) => return Ok(false),
            Err(other) => return Err(other.into()),
        };
        self.check_room()?;
        self.blobs.insert(digest.clone(), blob);
        Ok(true)
    }

    /// Takes as much of a tree as there is: what stands on top keeps what it
    /// stands on.
    async fn tree(&mut self, chain_ids: &[Digest]) -> Result<(), Failure> {
        for name in chain_ids.iter().rev() {
            if self.snapshots.contains_key(name) {
                return Ok(());
            }
            match self.host.snapshot(name).await {
                Ok(snapshot) => {
                    self.check_room()?;
                    self.snapshots.insert(name.clone(), snapshot);
                    return Ok(());
                }
                // A host without trees has none to hold.
                Err(ErrorCode::NotFound | ErrorCode::Unsupported) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Ok(())
    }

    /// Refuses more handles than there may be.
    fn check_room(&self) -> Result<(), Failure> {
        if self.blobs.len() + self.snapshots.len() < BLOBS_MAX {
            return Ok(());
        }
        let why = format!("these images have more than {BLOBS_MAX} blobs and trees together");
        Err(try_this(fail(ErrorCode::TooLarge(BLOBS_MAX as u64), why), "make one lease for each image"))
    }
}
