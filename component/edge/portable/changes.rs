//! The verbs that change what is here, and those about what takes space, what holds it and what has happened to it.

use super::plain::{Plain, now};
use super::program::{is_read, offline, print, talk};
use super::screen::Screen;
use crate::edge::convert::each;
use crate::nouns::problem::Problem as Refusal;
use crate::verbs;
use crate::verbs::contract::{self, Caller};
use crate::verbs::listen::Listener;
use std::cell::RefCell;
use std::io::{Read, stderr, stdin};
use std::path::Path;
use wharf_terminal::cli::{self, IngestCommand, LeaseCommand, PlanFile, TextFormat, exit};
use wharf_terminal::render::palette::Palette;
use wharf_terminal::render::progress::Silent;
use wharf_terminal::{answer, render};
use wharf_vocabulary::changes::{Change, Changed, Plan};
use wharf_vocabulary::types::ErrorCode;
use wharf_vocabulary::vocabulary::{Event, Problem};

/// No plan is larger.
const PLAN_BYTES_MAX: u64 = 32 << 20;

/// What every verb here begins with.
pub(super) struct Changes<'a> {
    host: Plain,
    caller: &'a Caller,
    palette: Palette,
}

impl<'a> Changes<'a> {
    pub(super) async fn open(root: &Path, caller: &'a Caller, palette: Palette) -> Result<Self, Problem> {
        Ok(Self { host: offline(root).await?, caller, palette })
    }

    /// `wharf tag`, `rm`, `prune` and `gc`.
    pub(super) async fn change(&self, change: Change, asked: &cli::Planning) -> Result<u8, Problem> {
        let change = change.into();
        if asked.dry_run || asked.file().is_some() {
            let plan: Plan = verbs::change::plan_change(&self.host, self.caller, &change).await?.into();
            return save(asked.file(), &plan.document, || answer::plan(asked, &plan)).map(|()| exit::DONE);
        }
        let screen = self.screen();
        let changed = screen.watch(verbs::change::perform(&self.host, self.caller, &change, &screen)).await;
        self.tell(changed, asked.quiet, asked.format)
    }

    /// `wharf apply`, of the plan of a change.
    pub(super) async fn apply(&self, asked: &cli::Apply, document: &str) -> Result<u8, Problem> {
        let screen = self.screen();
        let changed = screen.watch(verbs::change::apply(&self.host, self.caller, document, &screen)).await;
        self.tell(changed, asked.quiet, asked.format)
    }

    /// Tells what has changed and what has not, and returns the exit code.
    fn tell(
        &self,
        changed: Result<contract::Changed, Refusal>,
        quiet: bool,
        format: TextFormat,
    ) -> Result<u8, Problem> {
        let changed: Changed = changed?.into();
        print(&answer::changed(format, &changed))?;
        talk(&render::changes::failures(&changed, self.palette));
        if !quiet {
            talk(&render::changes::talk(&changed));
        }
        Ok(if render::changes::is_whole(&changed) { exit::DONE } else { exit::FAILED })
    }

    /// `wharf df`.
    pub(super) async fn usage(&self, asked: &cli::Df) -> Result<(), Problem> {
        let usage = verbs::usage::disk_usage(&self.host, self.caller).await?.into();
        print(&answer::usage(asked, &usage, now()))?;
        talk(&render::usage::talk(&usage));
        Ok(())
    }

    /// `wharf lease`.
    pub(super) async fn lease(&self, asked: &cli::Lease) -> Result<(), Problem> {
        match &asked.command {
            LeaseCommand::Ls(ls) => {
                let leases = verbs::leases::leases(&self.host, self.caller).await?;
                print(&answer::leases(ls, &each(leases), now()))
            }
            LeaseCommand::Create(create) => {
                let (id, seconds) = (create.id.as_deref(), create.expires.map(|time| time.as_secs()));
                let labels = create.labels.iter().cloned().collect();
                let lease = verbs::leases::hold(&self.host, self.caller, id, &create.references, seconds, labels);
                print(&answer::lease(create, &lease.await?.into()))
            }
            LeaseCommand::Rm(rm) => {
                verbs::leases::release(&self.host, self.caller, &rm.ids).await?;
                print(&render::lists::lines(&rm.ids))
            }
        }
    }

    /// `wharf ingest`.
    pub(super) async fn ingest(&self, asked: &cli::Ingest) -> Result<(), Problem> {
        match &asked.command {
            IngestCommand::Ls(ls) => print(&answer::ingests(ls, &each(verbs::ingests::ingests(&self.host).await?))),
            IngestCommand::Rm(rm) => {
                let removed = each(verbs::ingests::discard(&self.host, &rm.which).await?);
                print(&render::ingests::keys(&removed))?;
                if !rm.quiet {
                    talk(&render::ingests::talk(&removed));
                }
                Ok(())
            }
        }
    }

    /// `wharf label`.
    pub(super) async fn label(&self, asked: &cli::Label) -> Result<(), Problem> {
        let labels = verbs::label::label(&self.host, self.caller, &asked.reference, &asked.labels).await?;
        print(&answer::labels(asked, &labels.into_iter().collect::<Vec<_>>()))
    }

    /// `wharf events`.
    pub(super) async fn follow(&self, asked: &cli::Events) -> Result<(), Problem> {
        let crier = Crier { asked, palette: self.palette, end: RefCell::new(None) };
        let (since, until) = (asked.since.as_deref(), asked.until.as_deref());
        let told = verbs::watch::watch(&self.host, self.caller, since, until, &asked.filters, &crier).await;
        match crier.end.into_inner() {
            Some(end) => end,
            None => told.map_err(Into::into),
        }
    }

    /// Warnings are shown while a change is made; the rest is told at its end.
    fn screen(&self) -> Screen {
        Screen::over(Box::new(Silent::new(stderr(), self.palette)))
    }
}

/// Prints what happens, as it happens.
struct Crier<'a> {
    asked: &'a cli::Events,
    palette: Palette,
    /// How it ended, if nobody reads any more or nothing can be written.
    end: RefCell<Option<Result<(), Problem>>>,
}

impl Listener for Crier<'_> {
    async fn hear(&self, events: Vec<contract::Event>) -> bool {
        for event in events {
            let end = match event.into() {
                Event::Happened(happening) => match is_read(&answer::happening(self.asked, &happening)) {
                    Ok(true) => continue,
                    Ok(false) => Ok(()),
                    Err(problem) => Err(problem),
                },
                Event::Warning(sentence) => {
                    talk(&render::problem::warning(&sentence, self.palette));
                    continue;
                }
                _ => continue,
            };
            *self.end.borrow_mut() = Some(end);
            return false;
        }
        true
    }
}

/// Saves a plan if it is to be saved, and shows it unless it was printed instead.
pub(super) fn save(file: Option<PlanFile<'_>>, document: &str, shown: impl FnOnce() -> String) -> Result<(), Problem> {
    match file {
        Some(PlanFile::Standard) => return print(&answer::document(document)),
        Some(PlanFile::Named(path)) => std::fs::write(path, answer::document(document))
            .map_err(|error| unusable(format!("cannot write the plan to `{}`", path.display()), error.to_string()))?,
        None => {}
    }
    print(&shown())
}

/// Reads a plan that a person has saved.
pub(super) fn read_plan(file: PlanFile<'_>) -> Result<String, Problem> {
    let (what, source): (_, std::io::Result<Box<dyn Read>>) = match file {
        PlanFile::Standard => ("cannot read the plan from standard input".to_owned(), Ok(Box::new(stdin()))),
        PlanFile::Named(path) => {
            let opened = std::fs::File::open(path).map(|file| Box::new(file) as Box<dyn Read>);
            (format!("cannot read the plan in `{}`", path.display()), opened)
        }
    };
    let mut document = String::new();
    match source.and_then(|source| source.take(PLAN_BYTES_MAX + 1).read_to_string(&mut document)) {
        Ok(_) if document.len() as u64 > PLAN_BYTES_MAX => {
            Err(Problem { fix: None, ..unusable(what, format!("it is larger than {PLAN_BYTES_MAX} bytes")) })
        }
        Ok(_) => Ok(document),
        Err(error) => Err(unusable(what, error.to_string())),
    }
}

fn unusable(what: String, why: String) -> Problem {
    let fix = "a file has to be in a directory that the runtime was given, as by `--dir ./plans`".to_owned();
    Problem { code: ErrorCode::Other(String::new()), what, why: vec![why], fix: Some(fix) }
}
