//! One verb, from its arguments to its text.

use super::archives;
use super::changes::{Changes, read_plan, save};
use super::given;
use super::plain::{Plain, now};
use super::screen::Screen;
use super::uploads;
use super::wire::{self, Wire};
use crate::edge::convert::each;
use crate::portable::Rights;
use crate::verbs;
use crate::verbs::contract::{self, Caller};
use std::ffi::OsString;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use wharf_terminal::cli::{self, Cli, ManifestCommand, Verb, exit, portable};
use wharf_terminal::render::palette::Palette;
use wharf_terminal::render::progress::{Checking, Silent};
use wharf_terminal::{answer, filed, named, render};
use wharf_vocabulary::types::ErrorCode;
use wharf_vocabulary::vocabulary::{Access, Explanation, Findings, Problem, PullPlans, Pulled};

/// Who prunes, for whoever tries the same meanwhile: WASI numbers no processes.
const WHO: &str = "another run of this component";

/// Runs the verb that the arguments name, and returns the exit code.
pub(super) async fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match portable::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads is no failure.
            let _ = error.print();
            return if error.exit_code() == i32::from(exit::DONE) { exit::DONE } else { exit::USAGE };
        }
    };
    let variable = |name: &str| std::env::var_os(name);
    let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
    let palette = Palette::of(cli.global.color.applies(stderr().is_terminal(), no_color.as_deref(), term.as_deref()));
    let json = cli.problem_is_json();
    match verb(&cli, palette).await {
        Ok(code) => code,
        Err(problem) => {
            talk(&if json { render::problem::json(&problem) } else { render::problem::text(&problem, palette) });
            exit::FAILED
        }
    }
}

async fn verb(cli: &Cli, palette: Palette) -> Result<u8, Problem> {
    if let Some(lacking) = portable::lacking(&cli.verb).or_else(|| portable::foreign(&cli.global.namespace)) {
        return Err(lacking);
    }
    let caller = Caller { namespace: cli.global.namespace.clone(), machine: given::machine() };
    let root = cli.global.root.clone().unwrap_or_else(|| PathBuf::from(portable::ROOT));
    let changes = async || Changes::open(&root, &caller, palette).await;
    match &cli.verb {
        Verb::Pull(asked) => pull(asked, &caller, &root, palette).await?,
        Verb::Push(asked) => uploads::push(asked, &caller, &root, palette).await?,
        Verb::Copy(asked) => uploads::copy(asked, &caller, &root, palette).await?,
        Verb::Images(asked) => {
            let host = offline(&root).await?;
            let found = verbs::images::entries(&host, &caller, &asked.filters()).await?;
            for sentence in &found.damaged {
                talk(&render::problem::warning(sentence, palette));
            }
            print(&answer::images(asked, &each(found.images), now()))?;
        }
        Verb::Tag(asked) => return changes().await?.change(asked.change(), &asked.plan).await,
        Verb::Manifest(asked) => manifest(asked, &caller, &root, palette).await?,
        Verb::Save(asked) => archives::save(asked, &caller, &root).await?,
        Verb::Load(asked) => archives::load(asked, &caller, &root, palette).await?,
        Verb::Rm(asked) => return changes().await?.change(asked.change(), &asked.plan).await,
        Verb::Prune(asked) => return changes().await?.change(asked.change(WHO.to_owned()), &asked.plan).await,
        Verb::Gc(asked) => return changes().await?.change(asked.change(), &asked.plan).await,
        Verb::Apply(asked) => return apply(asked, &caller, &root, palette).await,
        Verb::Df(asked) => changes().await?.usage(asked).await?,
        Verb::Lease(asked) => changes().await?.lease(asked).await?,
        Verb::Ingest(asked) => changes().await?.ingest(asked).await?,
        Verb::Label(asked) => changes().await?.label(asked).await?,
        Verb::Events(asked) => changes().await?.follow(asked).await?,
        Verb::Fsck(asked) => return fsck(asked, &caller, &root, palette).await,
        Verb::Inspect(asked) => {
            let host = offline(&root).await?;
            let mut objects = Vec::new();
            for reference in &asked.references {
                let platform = asked.platform.as_deref();
                let object =
                    verbs::inspect::inspect(&host, &caller, reference, platform, asked.manifests, asked.provenance);
                objects.push(object.await?);
            }
            print(&render::inspect::json(&objects))?;
        }
        Verb::History(asked) => {
            let host = offline(&root).await?;
            let steps = verbs::history::history(&host, &caller, &asked.reference, asked.platform.as_deref()).await?;
            print(&answer::history(asked, &each(steps), now()))?;
        }
        Verb::Explain(asked) => {
            let access = asked.access.access();
            let rights = rights(&asked.access, &asked.reference, &access, &root)?;
            let (wanted, access) = (asked.wanted().into(), access.into());
            let told: Explanation = verbs::explain::explain(&caller, &asked.reference, &wanted, &access)?.into();
            let login = |endpoint: &wharf_vocabulary::vocabulary::Candidate| {
                let origin = wharf_credentials::Origin::new(endpoint.origin.secure, &endpoint.origin.authority).ok()?;
                match rights.credentials().describe(&origin, Some(&endpoint.repository)) {
                    Ok(source) => source.map(|source| source.to_string()),
                    Err(error) => Some(format!("not to be read: {error}")),
                }
            };
            let logins: Vec<_> = told.endpoints.iter().map(login).collect();
            let sources = render::explain::Sources { logins: &logins, ..Default::default() };
            print(&answer::explanation(asked, &told, &sources))?;
        }
        Verb::Tags(cli::Tags { repository, asking }) => {
            let access = asking.access();
            let host = online(&asking.access, repository, &access, &root).await?;
            let names = verbs::tags::tags(&host, repository, &access.into()).await;
            print(&answer::list(asking.format, &host.explained(names)?))?;
        }
        Verb::Catalog(cli::Catalog { registry, asking }) => {
            let access = asking.access();
            // A registry alone would be read as a path in the default one.
            let host = online(&asking.access, &format!("{registry}/"), &access, &root).await?;
            let names = verbs::catalog::catalog(&host, registry, &access.into()).await;
            print(&answer::list(asking.format, &host.explained(names)?))?;
        }
        Verb::Search(asked) => {
            let access = asked.access();
            let host = online(&asked.access, &named::searched(&asked.term), &access, &root).await?;
            let found = verbs::search::search(&host, &asked.term, &asked.options().into(), &access.into()).await;
            let found = host.explained(found)?.into();
            talk(&render::found::talk(&found));
            print(&answer::found(asked, &found))?;
        }
        Verb::Referrers(asked) => {
            let access = asked.access();
            let host = online(&asked.access, &asked.reference, &access, &root).await?;
            let kind = asked.artifact_type.as_deref();
            let listed = verbs::referrers(&host, &asked.reference, kind, &access.into()).await;
            let listed = host.explained(listed)?.into();
            talk(&render::referrers::talk(&listed));
            print(&answer::referrers(asked, &listed))?;
        }
        Verb::Completion { shell } => print(&cli::completion(*shell))?,
        Verb::Man { directory } => manual(directory.as_deref())?,
        // `portable::lacking` has answered for all others.
        other => return Err(unknown(other)),
    }
    Ok(exit::DONE)
}

/// `wharf pull`.
async fn pull(asked: &cli::Pull, caller: &Caller, root: &Path, palette: Palette) -> Result<(), Problem> {
    let options = asked.options();
    let host = online(&asked.access, &asked.reference, &options.access, root).await?;
    let options = contract::PullOptions { unpack: false, ..options.into() };
    if asked.dry_run || asked.plan_file().is_some() {
        let plans = verbs::pull::plan_pull(&host, caller, &asked.reference, &options).await;
        let PullPlans { names, document } = host.explained(plans)?.into();
        return save(asked.plan_file(), &document, || answer::plans(asked, &names));
    }
    let screen = Screen::of(asked.progress, asked.quiet, palette);
    let outcome = screen.watch(verbs::pull::pull(&host, caller, &asked.reference, &options, &screen)).await;
    tell(asked.quiet, asked.progress, asked.format, &each(host.explained(outcome)?))
}

/// `wharf apply`.
async fn apply(asked: &cli::Apply, caller: &Caller, root: &Path, palette: Palette) -> Result<u8, Problem> {
    let document = read_plan(asked.file())?;
    let Some(planned) = filed::pull(&document) else {
        return Changes::open(root, caller, palette).await?.apply(asked, &document).await;
    };
    if let Some(problem) = portable::inexact(&planned) {
        return Err(problem);
    }
    let access = asked.patience.apply(asked.access.access());
    let host = online(&asked.access, &planned.reference, &access, root).await?;
    let screen = Screen::of(asked.progress, asked.quiet, palette);
    let access = access.into();
    let outcome = screen.watch(verbs::pull::pull_planned(&host, caller, &document, &access, &screen)).await;
    tell(asked.quiet, asked.progress, asked.format, &each(host.explained(outcome)?)).map(|()| exit::DONE)
}

/// Tells what was pulled.
fn tell(quiet: bool, progress: cli::Progress, format: cli::TextFormat, pulled: &[Pulled]) -> Result<(), Problem> {
    if let Some(text) = answer::pulled_talk(quiet, progress, pulled) {
        talk(&text);
    }
    print(&answer::pulled(format, pulled))
}

/// `wharf manifest`.
async fn manifest(asked: &cli::Manifest, caller: &Caller, root: &Path, palette: Palette) -> Result<(), Problem> {
    match &asked.command {
        ManifestCommand::Push(push) => uploads::push(push, caller, root, palette).await,
        ManifestCommand::Inspect(asked) => {
            let access = asked.access();
            let host = online(&asked.access, &asked.reference, &access, root).await?;
            let text = verbs::manifest(&host, caller, &asked.reference, &access.into()).await;
            print(&answer::manifest(asked, &host.explained(text)?))
        }
        command => {
            let (name, edit, format) = command.edit().expect("the others change an index");
            let host = offline(root).await?;
            let composed = verbs::compose(&host, caller, name, &edit.into()).await?;
            print(&answer::composed(format, &composed.into()))
        }
    }
}

/// `wharf fsck`.
async fn fsck(asked: &cli::Fsck, caller: &Caller, root: &Path, palette: Palette) -> Result<u8, Problem> {
    let repair = asked.repair();
    let host = match &repair {
        None => offline(root).await?,
        Some(access) => {
            let listing = verbs::images::entries(&offline(root).await?, caller, &[]).await?;
            let names = named::listed(listing.images.iter().map(|image| image.name.as_str()), &listing.damaged);
            let mut registries: Vec<_> = names.iter().flat_map(|name| named::registries(name, access)).collect();
            registries.sort();
            registries.dedup();
            let documents = given::logins(&asked.access, root)?;
            let rights = wire::rights(documents, asked.access.token_servers(), &registries);
            Plain::new(given::store(root).await?, rights.map_err(|error| unusable(&error))?)
        }
    };
    let screen = Screen::over(match asked.quiet {
        true => Box::new(Silent::new(stderr(), palette)),
        false => Box::new(Checking::new(stderr())),
    });
    let repair = repair.map(Into::into);
    let found = verbs::fsck::fsck(&host, caller, &asked.references, repair.as_ref(), asked.rebuild, &screen);
    let outcome = screen.watch(found).await;
    let found: Findings = host.explained(outcome)?.into();
    print(&answer::findings(asked, &found))?;
    if !asked.quiet {
        talk(&render::findings::talk(&found));
    }
    Ok(if render::findings::is_well(&found) { exit::DONE } else { exit::FAILED })
}

/// A host for verbs that ask nobody.
pub(super) async fn offline(root: &Path) -> Result<Plain, Problem> {
    let rights = wire::rights(Vec::new(), Vec::new(), &[]).map_err(|error| unusable(&error))?;
    Ok(Plain::new(given::store(root).await?, rights))
}

/// A host for a verb that asks the registry of `reference`.
pub(super) async fn online(
    options: &cli::Access,
    reference: &str,
    access: &Access,
    root: &Path,
) -> Result<Plain, Problem> {
    online_all(options, &[reference], access, root).await
}

/// The same for several references.
pub(super) async fn online_all(
    options: &cli::Access,
    references: &[&str],
    access: &Access,
    root: &Path,
) -> Result<Plain, Problem> {
    let registries: Vec<_> = references.iter().flat_map(|reference| named::registries(reference, access)).collect();
    let documents = given::logins(options, root)?;
    let rights = wire::rights(documents, options.token_servers(), &registries).map_err(|error| unusable(&error))?;
    Ok(Plain::new(given::store(root).await?, rights))
}

fn rights(options: &cli::Access, reference: &str, access: &Access, root: &Path) -> Result<Rights<Wire>, Problem> {
    let registries = named::registries(reference, access);
    let documents = given::logins(options, root)?;
    wire::rights(documents, options.token_servers(), &registries).map_err(|error| unusable(&error))
}

impl Plain {
    /// Adds to a failure what there is to say about logins.
    pub(super) fn explained<T>(&self, outcome: Result<T, crate::nouns::problem::Problem>) -> Result<T, Problem> {
        outcome.map_err(|problem| {
            let mut problem = Problem::from(problem);
            problem.why.extend(self.said());
            problem
        })
    }
}

fn unusable(error: &wharf_credentials::Error) -> Problem {
    let (what, why) = ("cannot use the logins".to_owned(), vec![error.to_string()]);
    Problem { code: ErrorCode::Invalid, what, why, fix: None }
}

fn unknown(verb: &Verb) -> Problem {
    let what = format!("this wharf has no such verb: {verb:?}");
    Problem { code: ErrorCode::Unsupported, what, why: Vec::new(), fix: Some("use the native program".to_owned()) }
}

fn manual(directory: Option<&Path>) -> Result<(), Problem> {
    let pages = cli::manual();
    let Some(directory) = directory else { return pages.first().map_or(Ok(()), |page| print(&page.text)) };
    for page in pages {
        let path = directory.join(&page.file);
        std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, &page.text)).map_err(|error| {
            let (what, why) = (format!("cannot write `{}`", path.display()), vec![error.to_string()]);
            Problem { code: ErrorCode::Other(String::new()), what, why, fix: None }
        })?;
    }
    Ok(())
}

/// Prints data. A reader that went away has read enough.
pub(super) fn print(text: &str) -> Result<(), Problem> {
    is_read(text).map(drop)
}

/// Prints data, and returns whether somebody may read more.
pub(super) fn is_read(text: &str) -> Result<bool, Problem> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            let what = "cannot write to standard output".to_owned();
            Err(Problem { code: ErrorCode::Other(String::new()), what, why: vec![error.to_string()], fix: None })
        }
    }
}

/// Writes talk. Where nobody can read it, nobody can be told so either.
pub(super) fn talk(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}
