//! Changing what is here: a change becomes a plan, which may be shown or saved,
//! and a plan is carried out. There is no other way to either.
//!
//! ```text
//! tag, remove, prune, collect, retain ─► plan ─┬─► show, as a document
//!                                      └─► carry out ─► one transaction ─► sweep
//!                       document ─► apply ──┘           names change       what nothing needs goes
//! ```
//!
//! - `draft`: what is here while a plan is made. `tag`, `remove`, `prune`,
//!   `collect`, `retain`: which names change, and why.
//! - `document`: a plan as JSON. `turn`: one prune at a time.

mod collect;
mod document;
mod draft;
mod prune;
mod remove;
mod retain;
mod tag;
mod turn;

use super::{
    contract::{Caller, Change, Changed, Collecting, Plan},
    failing::{fail, problem, try_this},
    filed::{self, AGAIN, Kind},
    listen::{Board, Listener, accompany},
    reach::Reader,
    records,
    store::{Records, forget},
    sweep::sweep,
};
use crate::{
    host::Host,
    nouns::{
        problem::{ErrorCode, Problem},
        record::{Action, ImageRecord},
        reference::Reference,
    },
    planted::{Bug, has},
    registry::Failure,
};
use document::{Draft, Step, Verb};
use draft::Desk;

/// How often a transaction is begun again because another one was faster.
const CONFLICTS_MAX: usize = 16;

/// Returns what a change would do. See `images.plan-change`.
pub async fn plan_change<H: Host>(host: &H, caller: &Caller, change: &Change) -> Result<Plan, Problem> {
    let plan = async { Ok(make(host, caller, change, &reader_for(host, change)).await?.plan()) };
    plan.await.map_err(problem(title(change)))
}

/// Carries a change out. See `images.perform`.
pub async fn perform<H: Host>(
    host: &H,
    caller: &Caller,
    change: &Change,
    listener: &impl Listener,
) -> Result<Changed, Problem> {
    let board = Board::default();
    let work = async {
        let reader = reader_for(host, change);
        let draft = make(host, caller, change, &reader).await?;
        carry_out(host, caller, &draft, false, &board).await
    };
    let work = async { accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped())) };
    let outcome = match change {
        // Its turn ends also if it is stopped.
        Change::Prune(pruning) => turn::alone(host, caller, &pruning.who, work).await,
        _ => work.await,
    };
    outcome.map_err(problem(title(change)))
}

/// Collects what nothing needs, but no ingests, for those who ask for it with something else.
pub(super) async fn collect_now<H: Host>(host: &H, caller: &Caller) -> Result<Changed, Failure> {
    let change = Change::Collect(Collecting { ingest_age_s: u64::MAX });
    let reader = reader_for(host, &change);
    let draft = make(host, caller, &change, &reader).await?;
    carry_out(host, caller, &draft, false, &Board::deaf()).await
}

/// Carries out a plan that was made earlier: exactly that, or nothing of it. See
/// `images.apply`.
pub async fn apply<H: Host>(
    host: &H,
    caller: &Caller,
    document: &str,
    listener: &impl Listener,
) -> Result<Changed, Problem> {
    let board = Board::default();
    let work = async {
        let draft: Draft = filed::read(document, caller, Kind::Change)?;
        carry_out(host, caller, &draft, true, &board).await
    };
    let outcome = accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped()));
    outcome.map_err(problem("cannot carry out the plan"))
}

/// Reads what is needed as somebody sees it who makes this change.
fn reader_for<'h, H: Host>(host: &'h H, change: &Change) -> Reader<'h, H> {
    match change {
        Change::Collect(_) => Reader::collecting(host),
        _ => Reader::new(host),
    }
}

fn stopped() -> Failure {
    fail(ErrorCode::Cancelled, "the caller stopped it; what nothing needs goes with the next `wharf gc`")
}

fn title(change: &Change) -> String {
    match change {
        Change::Tag(tagging) => format!("cannot tag `{}`", tagging.source.escape_debug()),
        Change::Remove(removal) => match removal.references.as_slice() {
            [one] => format!("cannot remove `{}`", one.escape_debug()),
            _ => "cannot remove these images".to_owned(),
        },
        Change::Prune(_) => "cannot prune".to_owned(),
        Change::Retain(retaining) => match retaining.references.as_slice() {
            [one] => format!("cannot change what is kept of `{}`", one.escape_debug()),
            _ => "cannot change what is kept of these images".to_owned(),
        },
        Change::Collect(_) => "cannot collect what nothing needs".to_owned(),
    }
}

async fn make<H: Host>(host: &H, caller: &Caller, change: &Change, reader: &Reader<'_, H>) -> Result<Draft, Failure> {
    let desk = Desk::lay(host, caller, reader).await?;
    match change {
        Change::Tag(tagging) => tag::draft(&desk, tagging),
        Change::Remove(removal) => remove::draft(&desk, removal).await,
        Change::Prune(pruning) => prune::draft(&desk, pruning).await,
        Change::Collect(collecting) => collect::draft(&desk, collecting).await,
        Change::Retain(retaining) => retain::draft(&desk, retaining).await,
    }
}

/// Changes the names in one transaction, and then sweeps. `is_strict` refuses
/// everything if one name is not as it was; else that one stays and is told.
async fn carry_out<H: Host>(
    host: &H,
    caller: &Caller,
    draft: &Draft,
    is_strict: bool,
    board: &Board,
) -> Result<Changed, Failure> {
    if has(Bug::CollectedEarly) {
        // Without a look at the records, which still need it.
        for (digest, _) in draft.garbage().blobs {
            host.remove(&digest).await.or_else(|code| if code == ErrorCode::InUse { Ok(()) } else { Err(code) })?;
        }
    }
    let stays = retain::prepare(host, caller, draft, board).await?;
    let mut changed = change_names(host, caller, draft, is_strict).await?;
    if draft.tidies() {
        records::tidy_snapshots(host, caller).await?;
    }
    if let Some(why) = &draft.blocked {
        changed.left.push(why.clone());
    } else if draft.frees() {
        // What is still recorded of snapshots by now is needed, whether something holds it or not.
        let swept = sweep(host, caller, &Reader::new(host), &draft.garbage()).await?;
        changed.removed = swept.removed;
        changed.left = swept.left;
    }
    changed.left.extend(stays);
    if draft.tidies() {
        records::tidy(host, caller).await?;
    }
    Ok(changed)
}

async fn change_names<H: Host>(host: &H, caller: &Caller, draft: &Draft, is_strict: bool) -> Result<Changed, Failure> {
    for _ in 0..CONFLICTS_MAX {
        let mut changed = Changed::default();
        let records = Records::begin(host, caller).await?;
        let mut is_written = false;
        for step in &draft.names {
            let name = Reference::parse_canonical(&step.name).map_err(super::failing::invalid)?;
            let found = look(&records, step, &name).await?;
            let (record, source) = match found {
                Ok(found) => found,
                Err(why) if is_strict => {
                    let failure = fail(ErrorCode::Conflict, format!("`{}` {why}", step.name));
                    return Err(try_this(failure, AGAIN));
                }
                Err(why) => {
                    changed.failed.push((step.name.clone(), why));
                    continue;
                }
            };
            let (action, target) = match (&step.verb, record, source) {
                (Verb::Untag, Some(record), _) => {
                    records.delete(&name)?;
                    (Action::Untag, record.target.digest)
                }
                (Verb::Shrink { manifests }, Some(record), _) => {
                    let shrunk = remove::shrunk(&record, manifests, host.now());
                    records.put(&name, &shrunk)?;
                    (Action::Untag, record.target.digest)
                }
                (Verb::Retain { retention }, Some(record), _) => {
                    let after = retain::retained(&record, *retention);
                    if after != record {
                        records.put(&name, &after)?;
                    }
                    (Action::Label, record.target.digest)
                }
                (Verb::Point { .. }, before, Some(source)) => {
                    let record = tag::pointed(before.as_ref(), &source, host.now());
                    records.put(&name, &record)?;
                    (Action::Tag, record.target.digest)
                }
                // `look` has found a source for each that has one, and a record for the others.
                _ => continue,
            };
            is_written = true;
            records.tell(host, action, name.to_string(), Some(&target));
            changed.names.push(step.change());
        }
        for id in &draft.leases {
            match records.lease(id).await? {
                Some(Ok(lease)) if !lease.is_live(host.now()) => {
                    records.delete_lease(host, id, Some(&lease), Action::Expire).await?;
                    changed.leases.push(id.clone());
                    is_written = true;
                }
                // Somebody was faster, and may have made another one of that ID.
                _ if is_strict => {
                    let failure =
                        fail(ErrorCode::Conflict, format!("the lease `{}` is another one", id.escape_debug()));
                    return Err(try_this(failure, AGAIN));
                }
                _ => {}
            }
        }
        for digest in draft.gone.iter().filter(|_| changed.failed.is_empty()) {
            records.tell(host, Action::Delete, digest.as_str(), Some(digest));
            changed.gone.push(digest.clone());
        }
        if draft.is_prune {
            is_written = true;
            records.tell(host, Action::Prune, caller.namespace.as_str(), None);
        }
        if !is_written {
            return Ok(changed);
        }
        match records.commit().await {
            Ok(()) => {
                forget(host, caller).await;
                return Ok(changed);
            }
            Err(ErrorCode::Conflict) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Err(fail(ErrorCode::Conflict, format!("the records changed {CONFLICTS_MAX} times while they were written")))
}

/// A record that is there, and that of the source.
type Found = (Option<ImageRecord>, Option<ImageRecord>);

/// Reads what a step is about, or says in which way it is not as it was.
async fn look<T: crate::host::Transaction>(
    records: &Records<'_, T>,
    step: &Step,
    name: &Reference,
) -> Result<Result<Found, String>, Failure> {
    let value = records.value(name).await?;
    if let Some(difference) = filed::difference(step.mark.as_ref(), filed::mark(value.as_deref()).as_ref()) {
        return Ok(Err(difference.to_owned()));
    }
    let record = value.and_then(|value| ImageRecord::decode(&value).ok());
    let Verb::Point { from, from_mark } = &step.verb else { return Ok(Ok((record, None))) };
    let source = Reference::parse_canonical(from).map_err(super::failing::invalid)?;
    let value = records.value(&source).await?;
    let is_same = filed::mark(value.as_deref()).as_ref() == Some(from_mark);
    match value.and_then(|value| ImageRecord::decode(&value).ok()).filter(|_| is_same) {
        Some(source) => Ok(Ok((record, Some(source)))),
        None => Ok(Err(format!("cannot be made: `{from}` is not what it was"))),
    }
}
