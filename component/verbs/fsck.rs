//! Fsck: everything that is here is looked at again, and what is not as it
//! should be is told with what it costs and what helps, or is made so again.
//!
//! ```text
//! records ──► what images need ──► blobs, hashed ──► layers and snapshots ──► documents of no image
//!    │              ▲                  │                   │                        │
//!    pull again     └─ a manifest ◄─── fetch again         extract, stack again     a record
//! ```
//!
//! Nothing is changed unless that is asked for. Only what does not hash to its
//! name is removed: a size is a claim of whoever wrote a manifest. One thing that
//! cannot be repaired says why, and the rest goes on.

mod blobs;
mod needs;
mod records;
mod strays;
mod trees;

use super::{
    contract::{Caller, Findings, Flaw, FlawKind},
    failing::{fail, problem},
    library::{Entry, Library},
    listen::{Board, Listener, accompany},
};
use crate::{
    host::Host,
    nouns::{
        access::Access,
        problem::{ErrorCode, Problem},
        record::ImageRecord,
    },
    registry::Failure,
};
use needs::Needs;
use std::collections::{BTreeMap, BTreeSet};

/// What repairs whatever can be repaired.
const REPAIR: &str = "wharf fsck --repair";
/// What follows from a flaw of something that no image of the namespace needs.
const UNNEEDED: &str = "no image of this namespace needs it, and it takes space";
/// What records every image that is here.
const REBUILD: &str = "wharf fsck --rebuild";
/// How many blobs are on their way when an image is pulled again.
const DOWNLOADS_AT_ONCE: u32 = 3;

/// Looks at everything again, repairs it with `repair`, and records what no
/// record names with `rebuild`. See `images.fsck`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more; what was
/// repaired by then stays so.
pub async fn fsck<H: Host>(
    host: &H,
    caller: &Caller,
    references: &[String],
    repair: Option<&Access>,
    rebuild: bool,
    listener: &impl Listener,
) -> Result<Findings, Problem> {
    let board = Board::default();
    let work = async { Look { host, caller, repair, rebuild, board: &board }.all(references).await };
    let stopped = || fail(ErrorCode::Cancelled, "the caller stopped it");
    let outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    outcome.map_err(problem(match references {
        [] => "cannot check what is here".to_owned(),
        [reference] => format!("cannot check `{}`", reference.escape_debug()),
        [..] => "cannot check these images".to_owned(),
    }))
}

/// One call.
struct Look<'l, H: Host> {
    host: &'l H,
    caller: &'l Caller,
    /// How registries are spoken to, if something is to be repaired.
    repair: Option<&'l Access>,
    /// Whether images that no record names get one.
    rebuild: bool,
    board: &'l Board,
}

impl<H: Host> Look<'_, H> {
    async fn all(&self, references: &[String]) -> Result<Findings, Failure> {
        let mut findings = Findings::default();
        let mut library = Library::load(self.host, self.caller).await?;
        if references.is_empty() && !library.damaged.is_empty() {
            self.records(&library, &mut findings).await;
            library = Library::load(self.host, self.caller).await?;
        }
        if references.is_empty() {
            self.other_records(&mut findings).await?;
        }
        let images = named(&library, references)?;
        findings.images = images.len() as u64;
        let mut needs = Needs::default();
        self.blobs(&images, references.is_empty(), &mut needs, &mut findings).await?;
        self.trees(&images, references.is_empty(), &library.machine, &needs, &mut findings).await?;
        if references.is_empty() {
            self.strays(&library, &needs, &mut findings).await?;
        }
        self.take_back(&library, &mut findings).await?;
        Ok(findings)
    }

    /// Takes back what was told of images that were removed or replaced meanwhile:
    /// what they needed may have been collected.
    async fn take_back(&self, library: &Library, findings: &mut Findings) -> Result<(), Failure> {
        let is_told = |flaw: &Flaw| flaw.repaired.is_none() && flaw.kind != FlawKind::UnreadableRecord;
        if !findings.flaws.iter().any(is_told) {
            return Ok(());
        }
        let records = |library: &Library| -> BTreeMap<String, ImageRecord> {
            library.entries.iter().map(|entry| (entry.name.to_string(), entry.record.clone())).collect()
        };
        let (before, now) = (records(library), records(&Library::load(self.host, self.caller).await?));
        findings.flaws.retain_mut(|flaw| {
            let is_of_images = is_told(flaw) && !flaw.images.is_empty();
            flaw.images.retain(|name| !is_of_images || before.get(name) == now.get(name));
            !is_of_images || !flaw.images.is_empty()
        });
        Ok(())
    }
}

/// The images that are meant, each once, in order of name.
fn named<'l>(library: &'l Library, references: &[String]) -> Result<Vec<&'l Entry>, Failure> {
    if references.is_empty() {
        return Ok(library.entries.iter().collect());
    }
    let mut names = BTreeSet::new();
    for reference in references {
        names.insert(library.find(reference)?.entry.name.to_string());
    }
    Ok(library.entries.iter().filter(|entry| names.contains(&entry.name.to_string())).collect())
}

/// As in `` `a`, `b` and 3 more ``.
fn several(images: &[String]) -> String {
    match images {
        [] => "no image".to_owned(),
        [one] => format!("`{one}`"),
        [one, other] => format!("`{one}` and `{other}`"),
        [one, other, more @ ..] => format!("`{one}`, `{other}` and {} more", more.len()),
    }
}

/// Hears nothing, and never goes: what a pull tells belongs to that pull.
struct Nobody;

impl Listener for Nobody {
    async fn hear(&self, _: Vec<super::contract::Event>) -> bool {
        true
    }
}
