//! `wharf serve`: sockets in front of the library's door. It is a part of `main`, and as such takes ambient authority:
//! `sockets` opens them, or takes those that systemd has opened; here the machine is asked what it is called. Clients of
//! containerd have a door of their own, on the same store.

mod file;
mod identity;
mod sockets;

pub(crate) use file::with_file;

use crate::ambient::{Configured, configured_for, proxies, root, services};
use crate::watch::Interrupts;
use crate::{Failed, problem, talk};
use sd_notify::NotifyState;
use sockets::Sockets;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::sync::CancellationToken;
use wharf::cli::{self, Cli, exit};
use wharf::containerd;
use wharf::door::{Bounds, Door, Settings, Station, Stopped};
use wharf::engine::Services;
use wharf::images::{Caller, Collecting, ErrorCode, Problem, Wharf};
use wharf::network::{self, Network, Proxies};
use wharf::scheduler::{self, Cause, Told};
use wharf::traces::Traces;

/// How long requests have to end after the first signal. The second one ends them.
const PATIENCE: Duration = Duration::from_secs(10);

/// After how long without a change what has arrived of a blob is given up, as by `wharf gc`.
const INGEST_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How long the last spans may take.
const TRACES_PATIENCE: Duration = Duration::from_secs(5);

/// Begins to gather spans, if somebody wants them.
pub(crate) fn traces(asked: &cli::Serve, runtime: &Handle) -> Result<Option<Traces>, Problem> {
    let Some(collector) = asked.otlp() else { return Ok(None) };
    Traces::start(collector, proxies(Proxies::default()), runtime.clone()).map(Some).map_err(|why| Problem {
        code: ErrorCode::Invalid,
        fix: Some("wharf serve --otlp http://127.0.0.1:4318".to_owned()),
        ..problem("cannot send spans to the collector that `--otlp` names", &why)
    })
}

/// Answers until a signal comes.
pub(crate) async fn serve(
    cli: &Cli,
    asked: &cli::Serve,
    caller: &Caller,
    traces: Option<Traces>,
) -> Result<u8, Failed> {
    let what = "cannot serve";
    let mut interrupts = Interrupts::listen().map_err(|error| problem(what, &error))?;
    let sockets = Sockets::plan(asked)?;
    let network = Network::new(network::Settings::default()).map_err(|error| problem(what, &error))?;
    let root = root(cli)?;
    let services = services(&root, network, Default::default())?;
    let silence = asked.client_timeout;
    let bounds = Bounds { silence, ..Bounds::default() };
    let prepare = prepare(asked.clone(), services.clone(), caller.clone());
    let door = Door::new(prepare.clone(), bounds)?;
    let (cause, causes) = mpsc::unbounded_channel();
    let gate = || {
        let identity = identity::identity(&root);
        let gate = containerd::Services::new(services.clone(), caller.clone(), identity, prepare.clone(), cause)?;
        Ok::<_, Failed>(match asked.sharing {
            cli::Sharing::Shared => gate,
            cli::Sharing::Isolated => gate.isolating(),
        })
    };
    let gate = asked.containerd().map(|_| gate()).transpose()?;
    let collector = match &gate {
        Some(_) if !asked.no_gc => Some(Wharf::new(services.clone())?),
        _ => None,
    };
    // The sockets come last: whoever finds one is answered.
    let (listeners, own) = sockets.open().await?;
    let other = socket_for_containerd(asked).await?;
    tell_systemd(NotifyState::Ready);
    let stop = CancellationToken::new();
    let (other, own_other) = other.unzip();
    let serving = async {
        let clients_of_containerd = async {
            match gate.zip(other) {
                Some((gate, listener)) => gate.serve(listener, &stop, PATIENCE).await,
                None => Ok(true),
            }
        };
        let collecting = async {
            if let Some(wharf) = collector {
                collect(&wharf, caller, causes, &stop).await;
            }
        };
        let (stopped, all_done, ()) =
            tokio::join!(door.serve(listeners, &stop, PATIENCE), clients_of_containerd, collecting);
        (stopped, all_done)
    };
    let signals = async {
        interrupts.next().await;
        tell_systemd(NotifyState::Stopping);
        stop.cancel();
        interrupts.next().await;
    };
    let stopped = tokio::select! { stopped = serving => Some(stopped), () = signals => None };
    // Another process may have bound it anew, and then there is nothing of ours to remove.
    own.into_iter().chain(own_other).for_each(|path| drop(fs::remove_file(path)));
    let is_all_done = match stopped {
        Some((Stopped { is_all_done }, all_done)) => is_all_done & all_done.map_err(|error| problem(what, &error))?,
        None => false,
    };
    if !is_all_done {
        talk("some requests were given up; what they have brought is kept\n");
    }
    if let Some(traces) = traces {
        // Who ends the program a second time does not wait for it.
        let sent = tokio::task::spawn_blocking(move || traces.stop(TRACES_PATIENCE));
        tokio::select! { _ = sent => {}, () = interrupts.next() => {} }
    }
    Ok(exit::DONE)
}

/// Collects what clients of containerd leave behind, as their own server does.
async fn collect(wharf: &Wharf, caller: &Caller, mut causes: UnboundedReceiver<Cause>, stop: &CancellationToken) {
    let collecting = Collecting { ingest_age_s: INGEST_AGE.as_secs() };
    let mut tell = |told| match told {
        Told::Failed { failure, wait } => {
            tracing::warn!(%failure, "nothing could be collected, which is tried again in {wait:?}");
        }
        Told::Collected(_) | Told::Event(_) => {}
    };
    let settings = scheduler::Settings::default();
    scheduler::run_hearing(wharf, caller, &collecting, settings, &mut causes, stop, &mut tell).await;
}

/// Opens the socket for clients of containerd, if there is to be one.
async fn socket_for_containerd(asked: &cli::Serve) -> Result<Option<(UnixListener, PathBuf)>, Failed> {
    let Some(path) = asked.containerd() else { return Ok(None) };
    let listener = sockets::bind(path).await?;
    talk(&format!("listening on unix://{} for clients of containerd\n", path.display()));
    Ok(Some((listener, path.to_owned())))
}

/// Tells whoever started this, if it wants to know.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("systemd cannot be told how this service gets on: {error}");
    }
}

/// Makes what a request works with. The configuration is read again each time, so that nobody has to start anew.
fn prepare(asked: cli::Serve, services: Services, caller: Caller) -> wharf::door::Prepare {
    let station = station();
    Arc::new(move |references| {
        let mut access = asked.access();
        let mut services = services.clone();
        if !references.is_empty() {
            let configured: Configured = configured_for(&asked.access, references, access)?;
            access = configured.access;
            let settings =
                network::Settings { bytes_per_second: asked.patience.bytes_per_second(), ..configured.settings };
            services.network = Network::new(settings).map_err(|error| problem("cannot use the network", &error))?;
        }
        let settings = Settings {
            caller: caller.clone(),
            access,
            unpack: !asked.no_unpack,
            concurrent_transfers: asked.max_concurrent_transfers,
            station: station.clone(),
        };
        Ok((services, settings))
    })
}

/// What the machine says of itself.
fn station() -> Station {
    let uname = rustix::system::uname();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let memory = rustix::system::sysinfo();
    Station {
        name: uname.nodename().to_string_lossy().into_owned(),
        system: system
            .map_or_else(|| uname.sysname().to_string_lossy().into_owned(), |name| name.trim_matches('"').to_owned()),
        kernel: uname.release().to_string_lossy().into_owned(),
        processors: std::thread::available_parallelism()
            .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
        memory_bytes: u64::from(memory.mem_unit) * memory.totalram,
    }
}
