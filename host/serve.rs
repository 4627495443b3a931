//! `wharf serve`: sockets in front of the library's door. It is a part of `main`, and as such takes ambient authority:
//! it opens the sockets, and reads what the machine is called.

use crate::ambient::{Configured, configured_for, root, services, variable};
use crate::watch::Interrupts;
use crate::{Failed, problem, talk};
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use wharf::cli::{self, Cli, exit};
use wharf::door::{Door, Listener, Settings, Station, Stopped};
use wharf::engine::Services;
use wharf::images::{Caller, ErrorCode, Problem};
use wharf::network::{self, Network};

/// How long requests have to end after the first signal. The second one ends them.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who may speak to the socket: its owner and the group.
const SOCKET_MODE: u32 = 0o660;

/// Answers until a signal comes.
pub(crate) async fn serve(cli: &Cli, asked: &cli::Serve, caller: &Caller) -> Result<u8, Failed> {
    let what = "cannot serve";
    let mut interrupts = Interrupts::listen().map_err(|error| problem(what, &error))?;
    let path = place(asked)?;
    let network = Network::new(network::Settings::default()).map_err(|error| problem(what, &error))?;
    let services = services(&root(cli)?, network, Default::default())?;
    let door = Door::new(prepare(asked.clone(), services, caller.clone()))?;
    // The socket comes last: whoever finds it is answered.
    let tcp = match asked.tcp {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let unix = bind(&path).await?;
    talk(&format!("listening on unix://{}\n", path.display()));
    let listeners = std::iter::once(Listener::Unix(unix)).chain(tcp.map(Listener::Tcp)).collect();
    let stop = CancellationToken::new();
    let serving = door.serve(listeners, &stop, PATIENCE);
    let signals = async {
        interrupts.next().await;
        stop.cancel();
        interrupts.next().await;
    };
    let stopped = tokio::select! { stopped = serving => Some(stopped), () = signals => None };
    // Another process may have bound it anew, and then there is nothing of ours to remove.
    let _ = fs::remove_file(&path);
    if stopped != Some(Stopped { is_all_done: true }) {
        talk("some requests were given up; what they have brought is kept\n");
    }
    Ok(exit::DONE)
}

/// Listens on an address of the machine itself.
async fn listen(address: SocketAddr) -> Result<TcpListener, Problem> {
    let what = format!("cannot listen on `{address}`");
    if !address.ip().is_loopback() {
        return Err(Problem {
            code: ErrorCode::Denied,
            what,
            why: vec!["whoever reaches it could do everything, and it is not of this machine alone".to_owned()],
            fix: Some("wharf serve --tcp 127.0.0.1:2375, with `ssh -L` in front of it".to_owned()),
        });
    }
    let listener = TcpListener::bind(address).await.map_err(|error| problem(&what, &error))?;
    // Port 0 is whichever is free.
    talk(&format!("listening on tcp://{}\n", listener.local_addr().unwrap_or(address)));
    Ok(listener)
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

/// Where the socket is.
fn place(asked: &cli::Serve) -> Result<PathBuf, Problem> {
    if let Some(path) = asked.unix() {
        return Ok(path.to_owned());
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/run/wharf/docker.sock"));
    }
    match variable("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty()) {
        Some(directory) => Ok(Path::new(&directory).join("wharf/docker.sock")),
        None => Err(Problem {
            code: ErrorCode::Invalid,
            what: "cannot serve".to_owned(),
            why: vec!["nobody says where the socket is to be: `XDG_RUNTIME_DIR` is not set".to_owned()],
            fix: Some("wharf serve --unix ~/wharf.sock".to_owned()),
        }),
    }
}

/// Makes the socket. One that nobody listens on is left of a process that was killed.
async fn bind(path: &Path) -> Result<UnixListener, Problem> {
    let what = || format!("cannot listen on `{}`", path.display());
    let wrong = |error: std::io::Error| problem(&what(), &error);
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(wrong)?;
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(problem(&what(), &"there is something else of this name"));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(Problem {
                code: ErrorCode::InUse,
                fix: Some("end the other one, or choose another socket by `--unix`".to_owned()),
                ..problem(&what(), &"somebody listens there")
            });
        }
        Ok(_) => fs::remove_file(path).map_err(wrong)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(wrong(error)),
    }
    let listener = UnixListener::bind(path).map_err(wrong)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(wrong)?;
    Ok(listener)
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
