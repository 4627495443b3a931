//! Pull: a reference becomes an image on this machine.
//!
//! ```text
//! reference ─► resolve ─► choose ─► plan ──► fetch ───────────► remember
//!              HEAD/GET   manifests  what is  blobs, at most N   one transaction
//!                                    here?    trees: extracted   a name
//!                                      │      while they arrive
//!                                      └────► or show it, or save it, and change nothing
//! ```
//!
//! - `planned`: a plan that was saved, carried out later.

mod planned;

use super::{
    choose::{self, Wishes},
    contract::{Access, Allowance, Caller, Event, PullOptions, PullPlans, Pulled, Wanted},
    expected::Expected,
    failing::{because, fail, invalid, problem, try_this},
    fetch, filed, given_up,
    library::{Entry, picture},
    listen::{Board, Listener, accompany},
    plan::{self, Before, Part, Plan},
    remember, resolve,
    store::Records,
    transfers,
};
use crate::{
    host::Host,
    nouns::{
        platform::Platform,
        problem::{ErrorCode, Problem},
        record::ImageRecord,
        reference::Reference,
        retention::Retention,
    },
    planted::{Bug, has},
    registry::{Failure, Limit, Repository},
};

use planned::Draft;
pub use planned::pull_planned;

/// More blobs than this are never on their way at once, whatever is asked for.
const CONCURRENT_DOWNLOADS_MAX: u32 = 64;
/// How many blobs are on their way at once where nobody says how many.
const COMPLETING_DOWNLOADS: u32 = 6;
/// How many blobs the plans of one call may name together: what a call that
/// answers all at once can answer with.
const PLANNED_BLOBS_MAX: usize = 20_000;
/// After this many tags in a row the registry is taken to be down.
const UNAVAILABLE_TAGS_MAX: usize = 2;
/// How many tags a message lists.
const LISTED_MAX: usize = 20;

/// Brings the image that `reference` names into the content store, verified,
/// and records its name: one entry a name. See `images.pull`.
///
/// Stops with [`ErrorCode::Cancelled`] when `listener` hears no more; what has
/// arrived is kept, and the next pull continues there.
pub async fn pull<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    options: &PullOptions,
    listener: &impl Listener,
) -> Result<Vec<Pulled>, Problem> {
    let board = Board::default();
    let (reference, alias) = resolve::expand(reference, &options.access.aliases);
    let reference = &*reference;
    if let Some((short, long)) = alias.map(|at| &options.access.aliases[at]) {
        board.note(format!("`{short}` stands for `{long}` by an alias of this machine"));
    }
    let work = async {
        let call = Call::new(host, caller, reference, options, &board)?;
        let pulled = match options.all_tags {
            true => call.pull_each(call.tags().await?.into_iter().map(|name| (name, None)).collect()).await?,
            false => vec![call.pull(call.name.clone(), None).await?],
        };
        call.allowance().iter().for_each(|allowance| board.note(transfers::sentence(allowance)));
        Ok(pulled)
    };
    accompany(host, listener, &board, work).await.unwrap_or_else(|| Err(stopped())).map_err(problem(title(reference)))
}

/// Brings what is not here of the image that a name points to here, for these platforms.
/// What it points to stays, whatever it is in the registry by now. Asks nobody if all of it
/// is here.
pub(super) async fn complete<H: Host>(
    host: &H,
    caller: &Caller,
    name: &Reference,
    wanted: Wanted,
    access: &Access,
) -> Result<(), Failure> {
    let options = PullOptions {
        wanted,
        all_tags: false,
        concurrent_downloads: COMPLETING_DOWNLOADS,
        unpack: false,
        retention: None,
        access: access.clone(),
    };
    let board = Board::deaf();
    let call = Call { stays: true, ..Call::new(host, caller, &name.to_string(), &options, &board)? };
    call.pull(name.clone(), None).await.map(drop)
}

fn stopped() -> Failure {
    let failure = fail(ErrorCode::Cancelled, "the caller stopped the pull; what has arrived is kept");
    try_this(failure, "the same command continues where it stopped")
}

/// Returns what [`pull`] would do: one entry a name, and a document for
/// [`pull_planned`]. Reads manifests, and changes nothing. See `images.plan-pull`.
pub async fn plan_pull<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    options: &PullOptions,
) -> Result<PullPlans, Problem> {
    let board = Board::deaf();
    let (reference, _) = resolve::expand(reference, &options.access.aliases);
    let reference = &*reference;
    let plan = async {
        let call = Call::new(host, caller, reference, options, &board)?;
        let names = if options.all_tags { call.tags().await? } else { vec![call.name.clone()] };
        let (mut plans, mut blobs, mut draft) = (Vec::new(), 0, Draft::new(&call, options));
        for name in names {
            let why = format!("`{}` cannot be planned", name.familiar());
            let plan = async {
                let plan = call.plan(name, None, &board).await?;
                draft.add(&plan);
                plan.show(host).await
            };
            let plan = plan.await.map_err(|failure| if options.all_tags { because(why)(failure) } else { failure })?;
            blobs += plan.blobs.len();
            if blobs > PLANNED_BLOBS_MAX {
                let why = format!("they have more than {PLANNED_BLOBS_MAX} blobs");
                let failure = because("too many tags to plan at once; plan them one by one");
                return Err(failure(fail(ErrorCode::TooLarge(PLANNED_BLOBS_MAX as u64), why)));
            }
            plans.push(plan);
        }
        Ok(PullPlans { names: plans, document: draft.document() })
    };
    plan.await.map_err(problem(title(reference)))
}

/// As people will read it: in full if the reference is one.
fn title(reference: &str) -> String {
    match Reference::parse_docker(reference) {
        Ok(name) => format!("cannot pull `{name}`"),
        Err(_) => format!("cannot pull `{}`", reference.escape_debug()),
    }
}

/// One call with its arguments read.
struct Call<'h, H: Host> {
    host: &'h H,
    caller: &'h Caller,
    machine: Platform,
    wishes: Wishes,
    at_once: usize,
    unpack: bool,
    /// What is to be kept, if that was asked for.
    retention: Option<Retention>,
    /// Without tag and digest if all tags are wanted.
    name: Reference,
    repository: Repository<'h, H>,
    /// Whether what is recorded of a name is wanted, and not what it points to by now.
    stays: bool,
    board: &'h Board,
}

impl<'h, H: Host> Call<'h, H> {
    fn new(
        host: &'h H,
        caller: &'h Caller,
        reference: &str,
        options: &PullOptions,
        board: &'h Board,
    ) -> Result<Self, Failure> {
        let machine = choose::machine(&caller.machine)?;
        if options.concurrent_downloads == 0 {
            return Err(invalid("at least 1 blob has to be on its way at once"));
        }
        given_up::check(options.retention, options.unpack)?;
        let name = match options.all_tags {
            true => resolve::repository(reference, "wharf pull --all-tags")?,
            false => resolve::name(reference, board)?,
        };
        Ok(Self {
            host,
            caller,
            wishes: Wishes::parse(&options.wanted, &machine)?,
            machine,
            at_once: options.concurrent_downloads.min(CONCURRENT_DOWNLOADS_MAX) as usize,
            unpack: options.unpack,
            retention: options.retention,
            repository: Repository::open(host, &name, &options.access)?.with_voice(|text| board.warn(text)),
            name,
            stays: false,
            board,
        })
    }

    /// Pulls one name, as it is expected if something is.
    async fn pull(&self, name: Reference, expected: Option<&Expected>) -> Result<Pulled, Failure> {
        let mut plan = self.plan(name, expected, self.board).await?;
        if plan.is_up_to_date()
            && let Some(record) = &plan.record
            && let Some(image) = picture(&plan.name, &record.into(), &self.machine)
        {
            // Whoever brought something of it again, or extracted it, may have died before this.
            if !has(Bug::UpToDateUnsynced) {
                self.host.sync().await?;
                if !plan.trees.is_empty() {
                    self.host.sync_layers().await?;
                }
            }
            let transfers: Vec<_> = plan.parts.iter().map(Part::transfer).collect();
            transfers.iter().for_each(|transfer| self.board.tell(Event::Transferred(transfer.clone())));
            let (entry, fetched_bytes) = (Entry { name: plan.name.clone(), record: record.clone() }, plan.fetched);
            drop(plan);
            // What was to go may be here again, or still.
            if self.retention.is_some() {
                self.keep(&entry).await;
            }
            return Ok(Pulled { image, fetched_bytes, up_to_date: true, transfers, allowance: self.allowance() });
        }
        let (host, wishes, board) = (self.host, &self.wishes, self.board);
        let transfers = fetch::fetch(host, &self.repository, &mut plan, wishes, self.at_once, board).await?;
        let record = remember::remember(host, &self.repository, self.caller, &plan, &transfers, board).await?;
        let image =
            picture(&plan.name, &(&record).into(), &self.machine).expect("`choose` chose at least one manifest");
        let entry = Entry { name: plan.name.clone(), record };
        // What it holds could not be given up.
        drop(plan);
        let is_lean = self.unpack && Retention::of(&entry.record.labels) == Retention::Unpacked;
        if is_lean || self.retention.is_some() {
            self.keep(&entry).await;
        }
        let fetched_bytes = transfers.iter().map(|transfer| transfer.fetched_bytes).sum();
        Ok(Pulled { image, fetched_bytes, up_to_date: false, transfers, allowance: self.allowance() })
    }

    /// Takes away what is not to be kept of a name.
    async fn keep(&self, entry: &Entry) {
        match given_up::carry_out(self.host, self.caller, entry, &self.machine, self.board).await {
            Ok(stays) => stays.into_iter().for_each(|sentence| self.board.note(sentence)),
            // The image is here and whole; a later pull or collection goes on.
            Err(failure) => self.board.note(format!("what is not kept stays: {}", failure.why.join(": "))),
        }
    }

    /// Returns what the registry said last about its limit.
    fn allowance(&self) -> Option<Allowance> {
        let Limit { registry, limit, remaining, window_s } = self.repository.limit()?;
        Some(Allowance { registry, limit, remaining, window_s })
    }

    /// Makes the plan of one name, and holds it against what is expected.
    async fn plan(&self, name: Reference, expected: Option<&Expected>, board: &Board) -> Result<Plan<H>, Failure> {
        let records = Records::begin(self.host, self.caller).await?;
        let value = records.value(&name).await?;
        let mark = filed::mark(value.as_deref());
        expected.map_or(Ok(()), |expected| expected.check_record(mark.as_ref()))?;
        let record = value.and_then(|value| ImageRecord::decode(&value).ok());
        let retention = records.retention_of(self.retention, record.as_ref()).await?;
        let (expected, stays) = (expected.cloned(), self.stays);
        let before = Before { record, mark, expected, stays, asked: self.retention, retention };
        plan::make(self.host, &self.repository, name, before, &self.wishes, self.unpack, board).await
    }

    /// Returns a name for each tag of the repository, in order.
    async fn tags(&self) -> Result<Vec<Reference>, Failure> {
        let mut tags = self.repository.tags().await?;
        if tags.is_empty() {
            return Err(fail(ErrorCode::NotFound, "the repository has no tags"));
        }
        tags.sort();
        let name = |tag: String| self.name.clone().with_tag(&tag).map_err(invalid);
        tags.into_iter().map(name).collect()
    }

    /// Pulls every tag, also after one has failed, unless the others would fail
    /// in the same way.
    async fn pull_each(&self, names: Vec<(Reference, Option<&Expected>)>) -> Result<Vec<Pulled>, Failure> {
        let mut names = names.into_iter();
        let (mut pulled, mut failed) = (Vec::new(), Vec::new());
        let (mut unavailable, mut end) = (0, None);
        for (name, expected) in names.by_ref() {
            let tag = name.tag().unwrap_or_default().to_owned();
            match self.pull(name, expected).await {
                Ok(one) => {
                    unavailable = 0;
                    pulled.push((tag, one));
                }
                Err(failure) => {
                    unavailable = if failure.code == ErrorCode::Unavailable { unavailable + 1 } else { 0 };
                    let is_over = unavailable == UNAVAILABLE_TAGS_MAX || concerns_all(&failure.code);
                    end = is_over.then(|| (failure.code.clone(), failure.fix.clone()));
                    failed.push((tag, failure));
                    if is_over {
                        break;
                    }
                }
            }
        }
        let Some((_, first)) = failed.first() else {
            return Ok(pulled.into_iter().map(|(_, one)| one).collect());
        };
        let (code, fix) = end.unwrap_or_else(|| {
            let fix = failed.iter().find_map(|(_, failure)| failure.fix.clone());
            (first.code.clone(), fix)
        });
        let total = pulled.len() + failed.len() + names.len();
        let mut why = vec![format!(
            "{} of {total} tags were pulled, {} failed, and {} were not tried",
            pulled.len(),
            failed.len(),
            names.len()
        )];
        why.extend(failed.iter().take(LISTED_MAX).map(|(tag, failure)| format!("`{tag}`: {}", failure.why.join(": "))));
        if !pulled.is_empty() {
            why.push(format!("pulled: {}", list(pulled.iter().map(|(tag, _)| tag.as_str()))));
        }
        Err(Failure { code, why, fix })
    }
}

/// Whether what one tag failed of is no matter of that tag.
fn concerns_all(code: &ErrorCode) -> bool {
    matches!(code, ErrorCode::NoSpace | ErrorCode::Denied | ErrorCode::Unsupported | ErrorCode::Cancelled)
}

fn list<'t>(tags: impl ExactSizeIterator<Item = &'t str>) -> String {
    let more = tags.len().saturating_sub(LISTED_MAX);
    let mut listed = tags.take(LISTED_MAX).map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(", ");
    if more > 0 {
        listed.push_str(&format!(" and {more} more"));
    }
    listed
}
