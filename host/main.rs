//! The program `wharf`: arguments, one call of the library, text.
//!
//! It is the only place that takes ambient authority: it opens the store's
//! directory by path, reads the environment and the files with logins and
//! configuration (`ambient`), and hands on what it found. It decides nothing
//! about images.

#![allow(clippy::disallowed_methods, reason = "here, and only here, ambient authority is taken")]

mod ambient;
mod log;
mod logins;

use ambient::{Configured, configured, root, services, temporary_directory, variable};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::env;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use wharf::cli::{self, Cli, TableFormat, TextFormat, Verb, exit};
use wharf::credentials::Credentials;
use wharf::images::{Caller, Candidate, ErrorCode, Event, Failure, Problem, Wharf};
use wharf::network::Network;
use wharf::render::palette::Palette;
use wharf::render::progress::{End, Lines, Plain, Reporter, Silent, TICK, Terminal};
use wharf::render::{self, images::ImagesStyle};
use wharf::{demo, machine, network};

/// After Ctrl-C, how long the component may take to stop by itself.
const STOP_MAX: Duration = Duration::from_millis(600);
/// How long the program may take to say goodbye after that: standard error may
/// be a pipe that nobody reads.
const FAREWELL_MAX: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    let cli = match cli::parse(env::args_os()) {
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
    let json = matches!(&cli.verb, Verb::Pull(pull) if pull.problem_is_json());
    let form = if json { log::Form::Json } else { log::Form::Text { colored } };
    let screen = match log::start(&cli.global.log, form) {
        Ok(screen) => screen,
        Err(why) => return tell(&log_problem(&cli.global.log, why), palette, false, exit::USAGE),
    };
    allow_many_files();
    // Threads cost a start more than a verb that only reads records takes.
    let runtime = match &cli.verb {
        Verb::Pull(_) | Verb::Demo => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
        }
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tell(&problem("cannot start", &error), palette, false, exit::FAILED),
    };
    let outcome = runtime.block_on(run(cli, palette, screen));
    // Blocking threads may still hold a batch of a call that was stopped.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(Failed { problem, code }) => tell(&problem, palette, json, code),
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

async fn run(cli: Cli, palette: Palette, screen: log::Screen) -> Result<u8, Failed> {
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
        Verb::Pull(pull) => return pull_images(&cli, pull, &caller, palette, screen).await,
        Verb::Images(images) => {
            let listing = open(&cli)?.entries(&caller, &images.filters()).await?;
            for sentence in &listing.damaged {
                talk(&render::problem::warning(sentence, palette));
            }
            let found = listing.images;
            print(&match (images.quiet, images.format) {
                (true, _) => render::images::ids(&found, images.no_trunc),
                (false, TableFormat::Json) => render::images::json(&found),
                (false, TableFormat::Table) => {
                    let style = ImagesStyle { digests: images.digests, whole: images.no_trunc };
                    render::images::table(&found, style, now())
                }
            });
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
            print(&match explain.format {
                TextFormat::Json => render::explain::json(&told, &sources),
                TextFormat::Text => render::explain::text(&told, &sources),
            });
        }
        Verb::History(history) => {
            let steps = open(&cli)?.history(&caller, &history.reference, history.platform.as_deref()).await?;
            print(&match (history.quiet, history.format) {
                (true, _) => render::history::layers(&steps, history.no_trunc),
                (false, TableFormat::Json) => render::history::json(&steps),
                (false, TableFormat::Table) => render::history::table(&steps, history.no_trunc, now()),
            });
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

/// `wharf pull`.
async fn pull_images(
    cli: &Cli,
    pull: &cli::Pull,
    caller: &Caller,
    palette: Palette,
    screen: log::Screen,
) -> Result<u8, Failed> {
    let mut options = pull.options();
    let Configured { access, settings, .. } = configured(&pull.access, &pull.reference, options.access)?;
    options.access = access;
    let settings = network::Settings { bytes_per_second: pull.patience.bytes_per_second(), ..settings };
    let network = Network::new(settings).map_err(|error| problem("cannot use the network", &error))?;
    let root = root(cli)?;
    let wharf = Wharf::new(services(&root, network, logins::settings(&pull.access)?)?)?;
    if pull.dry_run {
        let plans = wharf.plan_pull(caller, &pull.reference, &options).await?;
        print(&match pull.format {
            TextFormat::Json => render::plan::json(&plans),
            TextFormat::Text => render::plan::table(&plans),
        });
        return Ok(exit::DONE);
    }

    let stop = CancellationToken::new();
    let begin = Instant::now();
    let reporter = Mutex::new(reporter(pull, palette, screen));
    let report = |what: &dyn Fn(&mut dyn Reporter, Duration) -> std::io::Result<()>| {
        let mut reporter = reporter.lock().unwrap_or_else(PoisonError::into_inner);
        // Progress that cannot be shown is no reason to end a pull.
        let _ = what(reporter.as_mut(), begin.elapsed());
    };
    let mut tell = |event: Event| report(&|reporter, now| reporter.event(&event, now));
    let outcome = {
        let pulling = wharf.pull(caller, &pull.reference, &options, &stop, &mut tell);
        tokio::pin!(pulling);
        tokio::spawn(stop_when_interrupted(stop.clone()));
        let mut tick = tokio::time::interval(TICK);
        let mut deadline = std::pin::pin!(stopped_for_long(&stop));
        loop {
            tokio::select! {
                outcome = &mut pulling => break outcome.map_err(Failed::from),
                () = &mut deadline => break Err(interrupted(&pull.reference).into()),
                _ = tick.tick() => report(&|reporter, now| reporter.tick(now)),
            }
        }
    };
    let end = match &outcome {
        Ok(_) => End::Done,
        Err(_) if stop.is_cancelled() => End::Interrupted,
        Err(_) => End::Failed,
    };
    report(&|reporter, now| reporter.finish(end, now));
    let pulled = outcome?;
    // Whoever reads JSON there reads nothing else.
    if !pull.quiet && pull.progress != cli::Progress::Json {
        talk(&render::pulled::talk(&pulled));
    }
    print(&match pull.format {
        TextFormat::Json => render::pulled::json(&pulled),
        TextFormat::Text => render::pulled::names(&pulled),
    });
    Ok(exit::DONE)
}

/// Waits for Ctrl-C and its like, and stops the pull. It has a task of its own, because the one that pulls may be
/// blocked in a write to the terminal; then it ends the process, which loses nothing either.
async fn stop_when_interrupted(stop: CancellationToken) {
    let Ok(mut interrupts) = Interrupts::listen() else { return };
    interrupts.next().await;
    stop.cancel();
    tokio::select! {
        () = interrupts.next() => (),
        () = tokio::time::sleep(STOP_MAX + FAREWELL_MAX) => (),
    }
    std::process::exit(i32::from(exit::INTERRUPTED));
}

/// The signals by which people end a program.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => (), _ = self.terminate.recv() => () }
    }
}

async fn stopped_for_long(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_MAX).await;
}

/// The component did not say it in time, so it is said for it.
fn interrupted(reference: &str) -> Problem {
    let fix = "what has arrived is kept, and the same command continues where it stopped".to_owned();
    Problem { fix: Some(fix), ..cancelled(&format!("the pull of `{reference}` was interrupted")) }
}

fn cancelled(what: &str) -> Problem {
    Problem { code: ErrorCode::Cancelled, what: what.to_owned(), why: Vec::new(), fix: None }
}

fn reporter(pull: &cli::Pull, palette: Palette, screen: log::Screen) -> Box<dyn Reporter + Send> {
    let stderr = std::io::stderr();
    let progress = pull.progress.resolve(stderr.is_terminal(), variable("TERM").as_deref());
    match progress {
        _ if pull.quiet => Box::new(Silent::new(stderr, palette)),
        cli::Progress::None => Box::new(Silent::new(stderr, palette)),
        cli::Progress::Json => Box::new(Lines::new(stderr)),
        cli::Progress::Tty => {
            let terminal = Terminal::new(palette);
            screen.share(terminal.screen());
            Box::new(terminal)
        }
        cli::Progress::Plain | cli::Progress::Auto => Box::new(Plain::new(stderr, palette)),
    }
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
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        talk(&format!("error: cannot write to standard output: {error}\n"));
        std::process::exit(i32::from(exit::FAILED));
    }
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
