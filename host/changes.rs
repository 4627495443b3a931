//! The verbs that change what is here, and those about what takes space, what holds it and what has happened to it. It
//! is a part of `main`, and takes no authority of its own: the files with plans are read and written by `ambient`.

use crate::ambient::write_plan;
use crate::watch::watch;
use crate::{Failed, is_read, now, open, print, talk};
use std::io::stderr;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use wharf::cli::{self, Cli, IngestCommand, LeaseCommand, PlanFile, exit};
use wharf::images::{Caller, Change, Changed, ErrorCode, Event, Failure, Problem, Wharf};
use wharf::render::palette::Palette;
use wharf::render::progress::{Reporter, Silent};
use wharf::scheduler::{self, Settings, Told};
use wharf::{answer, render};

/// What every verb here begins with.
pub(crate) struct Changes<'a> {
    wharf: Wharf,
    caller: &'a Caller,
    palette: Palette,
}

impl<'a> Changes<'a> {
    pub(crate) fn open(cli: &Cli, caller: &'a Caller, palette: Palette) -> Result<Self, Failed> {
        Ok(Self { wharf: open(cli)?, caller, palette })
    }

    /// `wharf retain`.
    pub(crate) async fn retain(&self, asked: &cli::Retain) -> Result<u8, Failed> {
        if let Some(change) = asked.change() {
            return self.change(&change, &asked.plan).await;
        }
        let usual = self.wharf.retain_by_default(self.caller, asked.usual()).await?;
        print(&answer::retention(asked.plan.format, usual));
        Ok(exit::DONE)
    }

    /// `wharf tag`, `retain`, `rm`, `prune` and `gc`.
    pub(crate) async fn change(&self, change: &Change, asked: &cli::Planning) -> Result<u8, Failed> {
        if asked.dry_run || asked.file().is_some() {
            return self.plan(change, asked).await;
        }
        let changed = watch(self.reporter(), what(change), async |stop, tell| {
            self.wharf.perform(self.caller, change, stop, tell).await
        });
        Ok(self.tell(changed.await.map_err(halfway)?, asked.quiet, asked.format))
    }

    async fn plan(&self, change: &Change, asked: &cli::Planning) -> Result<u8, Failed> {
        let plan = self.wharf.plan_change(self.caller, change).await?;
        save(asked.file(), &plan.document, || answer::plan(asked, &plan))?;
        Ok(exit::DONE)
    }

    /// `wharf apply`, of the plan of a change.
    pub(crate) async fn apply(&self, asked: &cli::Apply, document: &str) -> Result<u8, Failed> {
        let changed = watch(self.reporter(), "the plan", async |stop, tell| {
            self.wharf.apply(self.caller, document, stop, tell).await
        });
        Ok(self.tell(changed.await.map_err(halfway)?, asked.quiet, asked.format))
    }

    /// Tells what has changed and what has not, and returns the exit code.
    fn tell(&self, changed: Changed, quiet: bool, format: cli::TextFormat) -> u8 {
        print(&answer::changed(format, &changed));
        talk(&render::changes::failures(&changed, self.palette));
        if !quiet {
            talk(&render::changes::talk(&changed));
        }
        if render::changes::is_whole(&changed) { exit::DONE } else { exit::FAILED }
    }

    /// `wharf df`.
    pub(crate) async fn usage(&self, asked: &cli::Df) -> Result<u8, Failed> {
        let usage = self.wharf.disk_usage(self.caller).await?;
        print(&answer::usage(asked, &usage, now()));
        talk(&render::usage::talk(&usage));
        Ok(exit::DONE)
    }

    /// `wharf lease`.
    pub(crate) async fn lease(&self, asked: &cli::Lease) -> Result<u8, Failed> {
        match &asked.command {
            LeaseCommand::Ls(ls) => print(&answer::leases(ls, &self.wharf.leases(self.caller).await?, now())),
            LeaseCommand::Create(create) => {
                let (id, seconds) = (create.id.as_deref(), create.expires.map(|time| time.as_secs()));
                let lease = self.wharf.hold(self.caller, id, &create.references, seconds, &create.labels).await?;
                print(&answer::lease(create, &lease));
            }
            LeaseCommand::Rm(rm) => {
                self.wharf.release(self.caller, &rm.ids).await?;
                print(&render::lists::lines(&rm.ids));
            }
        }
        Ok(exit::DONE)
    }

    /// `wharf ingest`.
    pub(crate) async fn ingest(&self, asked: &cli::Ingest) -> Result<u8, Failed> {
        match &asked.command {
            IngestCommand::Ls(ls) => print(&answer::ingests(ls, &self.wharf.ingests(self.caller).await?)),
            IngestCommand::Rm(rm) => {
                let removed = self.wharf.discard(self.caller, &rm.which).await?;
                print(&render::ingests::keys(&removed));
                if !rm.quiet {
                    talk(&render::ingests::talk(&removed));
                }
            }
        }
        Ok(exit::DONE)
    }

    /// `wharf label`.
    pub(crate) async fn label(&self, asked: &cli::Label) -> Result<u8, Failed> {
        let labels = self.wharf.label(self.caller, &asked.reference, &asked.labels).await?;
        print(&answer::labels(asked, &labels));
        Ok(exit::DONE)
    }

    /// `wharf events`. Ctrl-C is how it usually ends, and nothing is told about it.
    pub(crate) async fn follow(&self, asked: &cli::Events) -> Result<u8, Failed> {
        let unread = CancellationToken::new();
        let told = watch(self.reporter(), "the list of events", async |stop, tell| {
            let (since, until) = (asked.since.as_deref(), asked.until.as_deref());
            let mut hear = |event: Event| match event {
                Event::Happened(happening) if !is_read(&answer::happening(asked, &happening)) => {
                    unread.cancel();
                    stop.cancel();
                }
                Event::Happened(_) => {}
                other => tell(other),
            };
            self.wharf.watch(self.caller, since, until, &asked.filters, stop, &mut hear).await?;
            // The component has ended as it was told to, and knows no reason.
            Ok(if stop.is_cancelled() { exit::INTERRUPTED } else { exit::DONE })
        });
        match told.await {
            _ if unread.is_cancelled() => Ok(exit::DONE),
            Err(failed) if failed.code == exit::INTERRUPTED => Ok(exit::INTERRUPTED),
            told => told,
        }
    }

    /// `wharf gc --scheduled`. It ends as `wharf events` does.
    pub(crate) async fn schedule(&self, asked: &cli::Gc) -> Result<u8, Failed> {
        let (unread, format) = (CancellationToken::new(), asked.plan.format);
        let done = watch(self.reporter(), "the collection", async |stop, tell| {
            let mut left = String::new();
            let mut hear = |told| match told {
                Told::Collected(changed) => {
                    if !is_read(&answer::collected(format, &changed, now())) {
                        unread.cancel();
                        stop.cancel();
                    }
                    talk(&render::changes::failures(&changed, self.palette));
                    // What stays, stays each time, and is told once.
                    let stays = render::changes::left(&changed);
                    if !asked.plan.quiet && stays != left {
                        talk(&stays);
                    }
                    left = stays;
                }
                Told::Event(event) => tell(event),
                Told::Failed { failure, wait } => talk(&self.later(failure, wait, format)),
            };
            let collecting = asked.collecting();
            scheduler::run(&self.wharf, self.caller, &collecting, settings(&asked.schedule), stop, &mut hear).await;
            Ok(exit::INTERRUPTED)
        });
        match done.await {
            _ if unread.is_cancelled() => Ok(exit::DONE),
            Err(failed) if failed.code == exit::INTERRUPTED => Ok(exit::INTERRUPTED),
            done => done,
        }
    }

    /// Says what has failed and is tried again after `wait`.
    fn later(&self, failure: Failure, wait: Duration, format: cli::TextFormat) -> String {
        let Failed { problem, .. } = failure.into();
        let again = format!("it is tried again in {}", render::age::duration(wait));
        let fix = problem.fix.map_or(again.clone(), |fix| format!("{fix}; {again}"));
        let problem = Problem { fix: Some(fix), ..problem };
        match format {
            cli::TextFormat::Json => render::problem::json(&problem),
            cli::TextFormat::Text => render::problem::text(&problem, self.palette),
        }
    }

    /// Warnings are shown while a change is made; the rest is told at its end.
    fn reporter(&self) -> Box<dyn Reporter + Send> {
        Box::new(Silent::new(stderr(), self.palette))
    }
}

/// Saves a plan if it is to be saved, and shows it unless it was printed instead.
pub(crate) fn save(file: Option<PlanFile<'_>>, document: &str, shown: impl FnOnce() -> String) -> Result<(), Problem> {
    match file {
        Some(PlanFile::Standard) => {
            print(&answer::document(document));
            return Ok(());
        }
        Some(PlanFile::Named(path)) => write_plan(path, &answer::document(document))?,
        None => {}
    }
    print(&shown());
    Ok(())
}

/// When `wharf gc --scheduled` collects.
fn settings(asked: &cli::Schedule) -> Settings {
    Settings {
        pause_share: asked.pause_threshold,
        mutations: asked.mutation_threshold,
        deletions: asked.deletion_threshold,
        delay: asked.delay,
        startup_delay: asked.startup_delay,
    }
}

/// What Ctrl-C interrupts.
fn what(change: &Change) -> &'static str {
    match change {
        Change::Tag(_) => "the tagging",
        Change::Retain(_) => "the change of what is kept",
        Change::Remove(_) => "the removal",
        Change::Prune(_) => "the prune",
        Change::Collect(_) => "the collection",
    }
}

/// Says what is left of a change that was interrupted.
fn halfway(failed: Failed) -> Failed {
    if !matches!(failed.problem.code, ErrorCode::Cancelled) {
        return failed;
    }
    let fix = "what is gone is gone, nothing else is harmed, and `wharf gc` frees what was to be freed";
    Failed { problem: Problem { fix: Some(fix.to_owned()), ..failed.problem }, ..failed }
}
