//! The program `wharf`: arguments, one call of the library, text.
//!
//! It is the only place that takes ambient authority: it opens the store's
//! directory by path, reads the environment and the files with logins and
//! configuration (`ambient`), and hands on what it found. It decides nothing
//! about images.

#![allow(clippy::disallowed_methods, reason = "here, and only here, ambient authority is taken")]

mod ambient;
mod archives;
mod changes;
mod log;
mod logins;
mod pulls;
mod pushes;
mod serve;
mod trees;
mod watch;

use ambient::{Configured, check_store, configured, configured_for, root, services, temporary_directory, variable};
use archives::{import, load, save};
use changes::Changes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::env;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trees::Trees;
use watch::{Interrupts, cancelled, watch};
use wharf::cli::{self, Cli, ManifestCommand, Verb, exit};
use wharf::credentials::Credentials;
use wharf::images::{Access, Caller, Candidate, ErrorCode, Failure, Problem, Wharf, listed};
use wharf::network::Network;
use wharf::render::palette::Palette;
use wharf::render::progress::{Checking, Reporter, Silent};
use wharf::traces::Traces;
use wharf::{answer, demo, machine, network, render};

fn main() -> ExitCode {
    #[cfg(feature = "planted")]
    if let Some(name) = variable("WHARF_PLANTED").and_then(|name| name.into_string().ok()) {
        assert!(wharf::planted::plant(&name), "`{name}` is no fault that can be planted");
    }
    let arguments = match serve::with_file(env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("error: {why}\n\nFor more information, try 'wharf serve --help'.");
            return ExitCode::from(exit::USAGE);
        }
    };
    let cli = match cli::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    let colored = cli.global.color.applies(
        std::io::stderr().is_terminal(),
        variable("NO_COLOR").as_deref(),
        variable("TERM").as_deref(),
    );
    let palette = Palette::of(colored);
    let json = cli.problem_is_json();
    let form = if json { log::Form::Json } else { log::Form::Text { colored } };
    allow_many_files();
    // Threads cost a start more than a verb that only reads records takes.
    let several = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match &cli.verb {
        Verb::Pull(_)
        | Verb::Push(_)
        | Verb::Copy(_)
        | Verb::Unpack(_)
        | Verb::Fsck(_)
        | Verb::Save(_)
        | Verb::Load(_)
        | Verb::Serve(_)
        | Verb::Import(_)
        | Verb::Manifest(_)
        | Verb::Demo => several(),
        Verb::Rm(_) | Verb::Retain(_) | Verb::Prune(_) | Verb::Gc(_) | Verb::Apply(_) => several(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tell(&problem("cannot start", &error), palette, false, exit::FAILED),
    };
    let traces = match &cli.verb {
        Verb::Serve(asked) => serve::traces(asked, runtime.handle()),
        _ => Ok(None),
    };
    let traces = match traces {
        Ok(traces) => traces,
        Err(problem) => return tell(&problem, palette, json, exit::FAILED),
    };
    let screen = match log::start(&cli.global.log, form, traces.as_ref()) {
        Ok(screen) => screen,
        Err(why) => return tell(&log_problem(&cli.global.log, why), palette, false, exit::USAGE),
    };
    let namespace = cli.global.named_namespace().map(str::to_owned);
    let outcome = runtime.block_on(run(cli, palette, screen, traces));
    // Blocking threads may still hold a batch of a call that was stopped.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(Failed { problem, code }) => match namespace {
            Some(namespace) => tell(&render::problem::in_namespace(problem, &namespace), palette, json, code),
            None => tell(&problem, palette, json, code),
        },
    }
}

/// What ended the program: something to tell, and the exit code.
struct Failed {
    problem: Problem,
    code: u8,
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        let code = if matches!(problem.code, ErrorCode::Cancelled) { exit::INTERRUPTED } else { exit::FAILED };
        Self { problem, code }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Problem(problem) => problem.into(),
            Failure::Sandbox(error) => Problem {
                code: ErrorCode::Other(String::new()),
                what: "the sandbox stopped the call".to_owned(),
                why: vec![format!("{error:#}")],
                fix: Some("this is a bug in wharf; run again with `--log debug` and report what it says".to_owned()),
            }
            .into(),
        }
    }
}

async fn run(cli: Cli, palette: Palette, screen: log::Screen, traces: Option<Traces>) -> Result<u8, Failed> {
    let Cli { global, verb } = &cli;
    let caller = global.caller(machine::machine(&cpuinfo()));
    match verb {
        Verb::Completion { shell } => print(&cli::completion(*shell)),
        Verb::Man { directory } => manual(directory.as_deref())?,
        Verb::Demo => {
            let directory = temporary_directory(&format!("wharf-demo-{}-{:x}", std::process::id(), now()))
                .map_err(|error| problem("cannot run the demo", &error))?;
            let mut interrupts = Interrupts::listen().map_err(|error| problem("cannot run the demo", &error))?;
            let story = async {
                let network = Network::new(network::Settings::default())
                    .map_err(|error| problem("cannot run the demo", &error))?;
                let services = services(&directory, network, Default::default())?;
                demo::story::run(services, &caller, now(), &mut |text| print(text)).await.map_err(Failed::from)
            };
            let outcome = tokio::select! {
                outcome = story => outcome,
                () = interrupts.next() => Err(cancelled("the demo was interrupted").into()),
            };
            // The directory is the demo's own, and what fails to go is only temporary.
            let _ = std::fs::remove_dir_all(&directory);
            outcome?;
        }
        Verb::Pull(asked) => return pulls::pull(&cli, asked, &caller, palette, screen).await,
        Verb::Push(asked) => return pushes::push(&cli, asked, &caller, palette, screen).await,
        Verb::Copy(asked) => return pushes::copy(&cli, asked, &caller, palette, screen).await,
        Verb::Images(images) => {
            let listing = open(&cli)?.entries(&caller, &images.filters()).await?;
            for sentence in &listing.damaged {
                talk(&render::problem::warning(sentence, palette));
            }
            print(&answer::images(images, &listing.images, now()));
        }
        Verb::Inspect(inspect) => {
            let wharf = open(&cli)?;
            let mut objects = Vec::new();
            for reference in &inspect.references {
                let platform = inspect.platform.as_deref();
                objects.push(wharf.inspect(&caller, reference, platform, inspect.manifests, inspect.provenance).await?);
            }
            print(&render::inspect::json(&objects));
        }
        Verb::Snapshot(asked) => return Trees::open(&cli, &caller, palette, screen)?.snapshots(asked).await,
        Verb::Tag(tag) => return Changes::open(&cli, &caller, palette)?.change(&tag.change(), &tag.plan).await,
        Verb::Retain(retain) => return Changes::open(&cli, &caller, palette)?.retain(retain).await,
        Verb::Save(asked) => return save(&cli, asked, &caller, palette).await,
        Verb::Load(asked) => return load(&cli, asked, &caller, palette, screen).await,
        Verb::Manifest(asked) => return manifest(&cli, asked, &caller, palette, screen).await,
        Verb::Import(asked) => return import(&cli, asked, &caller, palette, screen).await,
        Verb::Rm(rm) => return Changes::open(&cli, &caller, palette)?.change(&rm.change(), &rm.plan).await,
        Verb::Prune(prune) => {
            let change = prune.change(format!("process {}", std::process::id()));
            return Changes::open(&cli, &caller, palette)?.change(&change, &prune.plan).await;
        }
        Verb::Gc(gc) if gc.schedule.scheduled => return Changes::open(&cli, &caller, palette)?.schedule(gc).await,
        Verb::Gc(gc) => return Changes::open(&cli, &caller, palette)?.change(&gc.change(), &gc.plan).await,
        Verb::Apply(asked) => return pulls::apply(&cli, asked, &caller, palette, screen).await,
        Verb::Df(df) => return Changes::open(&cli, &caller, palette)?.usage(df).await,
        Verb::Lease(lease) => return Changes::open(&cli, &caller, palette)?.lease(lease).await,
        Verb::Ingest(ingest) => return Changes::open(&cli, &caller, palette)?.ingest(ingest).await,
        Verb::Label(label) => return Changes::open(&cli, &caller, palette)?.label(label).await,
        Verb::Events(events) => return Changes::open(&cli, &caller, palette)?.follow(events).await,
        Verb::Serve(asked) => return serve::serve(&cli, asked, &caller, traces).await,
        Verb::Fsck(asked) => return fsck(&cli, asked, &caller, palette).await,
        Verb::Unpack(unpack) => return Trees::open(&cli, &caller, palette, screen)?.unpack(unpack).await,
        Verb::Ls(ls) => return Trees::open(&cli, &caller, palette, screen)?.list(ls).await,
        Verb::Cat(cat) => return Trees::open(&cli, &caller, palette, screen)?.cat(cat).await,
        Verb::Export(export) => return Trees::open(&cli, &caller, palette, screen)?.export(export).await,
        Verb::Diff(diff) => return Trees::open(&cli, &caller, palette, screen)?.diff(diff).await,
        Verb::Tags(cli::Tags { repository, asking }) => {
            let (wharf, access) = connect(&cli, repository, &asking.access, &asking.patience, asking.access())?;
            print(&answer::list(asking.format, &wharf.tags(&caller, repository, &access).await?));
        }
        Verb::Catalog(cli::Catalog { registry, asking }) => {
            // A registry alone would be read as a path in the default one.
            let any = format!("{registry}/");
            let (wharf, access) = connect(&cli, &any, &asking.access, &asking.patience, asking.access())?;
            print(&answer::list(asking.format, &wharf.catalog(&caller, registry, &access).await?));
        }
        Verb::Search(asked) => {
            let reference = wharf::images::searched(&asked.term);
            let (wharf, access) = connect(&cli, &reference, &asked.access, &asked.patience, asked.access())?;
            let found = wharf.search(&caller, &asked.term, &asked.options(), &access).await?;
            talk(&render::found::talk(&found));
            print(&answer::found(asked, &found));
        }
        Verb::Referrers(asked) => {
            let (wharf, access) = connect(&cli, &asked.reference, &asked.access, &asked.patience, asked.access())?;
            let listed = wharf.referrers(&caller, &asked.reference, asked.artifact_type.as_deref(), &access).await?;
            talk(&render::referrers::talk(&listed));
            print(&answer::referrers(asked, &listed));
        }
        Verb::Mount(mount) => return Trees::open(&cli, &caller, palette, screen)?.mount(mount).await,
        Verb::Umount(umount) => return Trees::open(&cli, &caller, palette, screen)?.unmount(umount),
        Verb::Mounts(mounts) => return Trees::open(&cli, &caller, palette, screen)?.mounts(mounts),
        Verb::Login(login) => return logins::log_in(&cli, login, &caller, palette).await,
        Verb::Logout(logout) => return logins::log_out(logout, palette).await,
        Verb::Whoami(whoami) => return logins::tell_logins(whoami, palette).await,
        Verb::Explain(explain) => {
            let Configured { access, sources, alias_sources, .. } =
                configured(&explain.access, &explain.reference, explain.access.access())?;
            let network =
                Network::new(network::Settings::default()).map_err(|error| problem("cannot start", &error))?;
            let services = services(&root(&cli)?, network, logins::settings(&explain.access)?)?;
            let credentials = services.credentials.clone();
            let wharf = Wharf::new(services)?;
            let told = wharf.explain(&caller, &explain.reference, &explain.wanted(), &access).await?;
            let logins: Vec<_> = told.endpoints.iter().map(|endpoint| login_source(&credentials, endpoint)).collect();
            let sources = render::explain::Sources { rules: &sources, aliases: &alias_sources, logins: &logins };
            print(&answer::explanation(explain, &told, &sources));
        }
        Verb::History(history) => {
            let steps = open(&cli)?.history(&caller, &history.reference, history.platform.as_deref()).await?;
            print(&answer::history(history, &steps, now()));
        }
    }
    Ok(exit::DONE)
}

/// Says where the login for an endpoint is kept, if there is one, or why nobody can tell.
fn login_source(credentials: &Credentials, endpoint: &Candidate) -> Option<String> {
    // The component makes no endpoint that is no origin.
    let origin = network::Origin::new(endpoint.origin.secure, &endpoint.origin.authority).ok()?;
    match credentials.describe(&origin, Some(&endpoint.repository)) {
        Ok(source) => source.map(|source| source.to_string()),
        Err(error) => Some(format!("not to be read: {error}")),
    }
}

/// `wharf manifest`.
async fn manifest(
    cli: &Cli,
    asked: &cli::Manifest,
    caller: &Caller,
    palette: Palette,
    screen: log::Screen,
) -> Result<u8, Failed> {
    match &asked.command {
        ManifestCommand::Push(push) => return pushes::push(cli, push, caller, palette, screen).await,
        ManifestCommand::Inspect(asked) => {
            let (wharf, access) = connect(cli, &asked.reference, &asked.access, &asked.patience, asked.access())?;
            print(&answer::manifest(asked, &wharf.manifest(caller, &asked.reference, &access).await?));
        }
        command => {
            let (name, edit, format) = command.edit().expect("the others change an index");
            print(&answer::composed(format, &open(cli)?.compose(caller, name, &edit).await?));
        }
    }
    Ok(exit::DONE)
}

/// `wharf fsck`.
async fn fsck(cli: &Cli, asked: &cli::Fsck, caller: &Caller, palette: Palette) -> Result<u8, Failed> {
    let done = check_store(&root(cli)?, asked.repair)?;
    let mut wharf = open(cli)?;
    let (mut names, mut repair) = (Vec::new(), None);
    if let Some(access) = asked.repair() {
        names = known(cli, caller).await?;
        let Configured { access, settings, .. } = configured_for(&asked.access, &names, access)?;
        let network = Network::new(settings).map_err(|error| problem("cannot use the network", &error))?;
        wharf = Wharf::new(services(&root(cli)?, network, logins::settings(&asked.access)?)?)?;
        repair = Some(access);
    }
    let reporter: Box<dyn Reporter + Send> = match asked.quiet {
        true => Box::new(Silent::new(std::io::stderr(), palette)),
        false => Box::new(Checking::new(std::io::stderr())),
    };
    let repair = repair.as_ref().map(|access| (access, &*names));
    let found = watch(reporter, "the check", async |stop, tell| {
        wharf.fsck(caller, &asked.references, repair, asked.rebuild, stop, tell).await
    });
    let mut found = found.await?;
    found.notes.splice(0..0, done);
    print(&answer::findings(asked, &found));
    if !asked.quiet {
        talk(&render::findings::talk(&found));
    }
    Ok(if render::findings::is_well(&found) { exit::DONE } else { exit::FAILED })
}

/// Opens the store for a verb that asks the registry of `reference`, and adds to `access` what is configured for it.
fn connect(
    cli: &Cli,
    reference: &str,
    options: &cli::Access,
    patience: &cli::Patience,
    access: Access,
) -> Result<(Wharf, Access), Failed> {
    connect_all(cli, &[reference.to_owned()], options, patience, access)
}

/// The same for several registries.
fn connect_all(
    cli: &Cli,
    references: &[String],
    options: &cli::Access,
    patience: &cli::Patience,
    access: Access,
) -> Result<(Wharf, Access), Failed> {
    let Configured { access, settings, .. } = configured_for(options, references, access)?;
    let settings = network::Settings { bytes_per_second: patience.bytes_per_second(), ..settings };
    let network = Network::new(settings).map_err(|error| problem("cannot use the network", &error))?;
    Ok((Wharf::new(services(&root(cli)?, network, logins::settings(options)?)?)?, access))
}

/// Returns the names of everything that is here.
async fn known(cli: &Cli, caller: &Caller) -> Result<Vec<String>, Failed> {
    let listing = open(cli)?.entries(caller, &[]).await?;
    Ok(listed(listing.images.iter().map(|image| &*image.name), &listing.damaged))
}

/// Opens the store for a verb that does not use the network.
fn open(cli: &Cli) -> Result<Wharf, Failed> {
    let network = Network::new(network::Settings::default()).map_err(|error| problem("cannot start", &error))?;
    Ok(Wharf::new(services(&root(cli)?, network, Default::default())?)?)
}

fn manual(directory: Option<&Path>) -> Result<(), Problem> {
    let pages = cli::manual();
    let Some(directory) = directory else {
        print(&pages.first().expect("the manual has a first page").text);
        return Ok(());
    };
    for page in pages {
        let path = directory.join(&page.file);
        std::fs::create_dir_all(directory)
            .and_then(|()| std::fs::write(&path, &page.text))
            .map_err(|error| problem(&format!("cannot write `{}`", path.display()), &error))?;
    }
    Ok(())
}

/// The description of the processors, where it tells which ARM this is.
fn cpuinfo() -> String {
    if cfg!(any(target_arch = "arm", target_arch = "aarch64")) {
        std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
    } else {
        String::new()
    }
}

/// A pull holds each blob that it needs open. The usual limit of 1 024 files is there for programs that use `select`.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, the limit that there is has to do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn problem(what: &str, why: &dyn std::fmt::Display) -> Problem {
    Problem { code: ErrorCode::Other(String::new()), what: what.to_owned(), why: vec![why.to_string()], fix: None }
}

fn log_problem(filter: &str, why: String) -> Problem {
    Problem {
        code: ErrorCode::Invalid,
        what: format!("`{filter}` is no log filter"),
        why: vec![why],
        fix: Some("use `error`, `warn`, `info`, `debug` or `trace`, as in `--log debug`".to_owned()),
    }
}

/// Prints data. A reader that went away has read enough.
fn print(text: &str) {
    is_read(text);
}

/// Prints data, and returns whether somebody may read more.
fn is_read(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => false,
        Err(error) => {
            talk(&format!("error: cannot write to standard output: {error}\n"));
            std::process::exit(i32::from(exit::FAILED));
        }
    }
}

/// Prints what came of a verb: what is told of it first, and then the data.
fn report(told: Option<&str>, data: &str) {
    if let Some(text) = told {
        talk(text);
    }
    print(data);
}

/// Writes talk. Where nobody can read it, nobody can be told so either.
fn talk(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn tell(problem: &Problem, palette: Palette, json: bool, code: u8) -> ExitCode {
    let text = if json { render::problem::json(problem) } else { render::problem::text(problem, palette) };
    talk(&text);
    ExitCode::from(code)
}
