//! Where `wharf serve` listens: on a socket of its own, on those that systemd has opened for it, and on addresses. An
//! address that others reach takes TLS, and clients that say who they are.

use crate::ambient::variable;
use crate::{problem, talk};
use rustix::fs::Mode;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use wharf::cli;
use wharf::door::{Listener, Papers, Tls};
use wharf::images::{ErrorCode, Problem};

/// Who may speak to the socket: its owner and the group.
const SOCKET_MODE: u32 = 0o660;
/// No file with a certificate or a key is larger.
const PAPER_BYTES_MAX: u64 = 1 << 20;

/// What is to be opened. Everything that can be wrong without a socket is known by then.
pub(super) struct Sockets<'a> {
    asked: &'a cli::Serve,
    tls: Option<Tls>,
    passed: Vec<Passed>,
    /// That of this process.
    own: Option<PathBuf>,
}

/// What systemd has opened.
enum Passed {
    Unix(UnixListener, String),
    Tcp(TcpListener, SocketAddr),
}

impl<'a> Sockets<'a> {
    pub(super) fn plan(asked: &'a cli::Serve) -> Result<Self, Problem> {
        let tls = asked.papers().map(tls).transpose()?;
        let passed = passed()?;
        // Whoever passes sockets has said where they are.
        let own = if passed.is_empty() || asked.unix().is_some() { Some(place(asked)?) } else { None };
        let others = passed.iter().filter_map(|passed| match passed {
            Passed::Tcp(_, address) => Some(*address),
            Passed::Unix(..) => None,
        });
        let addresses: Vec<SocketAddr> = asked.tcp.into_iter().chain(others).collect();
        if tls.is_none() {
            addresses.iter().try_for_each(|address| near(*address))?;
        } else if addresses.is_empty() {
            return Err(Problem {
                code: ErrorCode::Invalid,
                fix: Some("say where, as in `--tcp 0.0.0.0:2376`".to_owned()),
                ..problem("cannot serve", &"there are certificates, and no address that they are for")
            });
        }
        if let Some(address) = asked.metrics.filter(|address| !address.ip().is_loopback()) {
            return Err(Problem {
                code: ErrorCode::Denied,
                what: format!("cannot listen on `{address}`"),
                why: vec![
                    "the names of images are among what is counted, and it is not of this machine alone".to_owned(),
                ],
                fix: Some("wharf serve --metrics 127.0.0.1:9323, with a proxy that asks who it is".to_owned()),
            });
        }
        Ok(Self { asked, tls, passed, own })
    }

    /// Opens them, and returns the socket that is to be removed at the end.
    pub(super) async fn open(self) -> Result<(Vec<Listener>, Option<PathBuf>), Problem> {
        let Self { asked, tls, passed, own } = self;
        let tcp = |listener| match &tls {
            Some(tls) => Listener::Tls(listener, tls.clone()),
            None => Listener::Tcp(listener),
        };
        let mut listeners = Vec::new();
        if let Some(address) = asked.tcp {
            listeners.push(tcp(listen(address, "tcp://", "").await?));
        }
        if let Some(address) = asked.metrics {
            listeners.push(Listener::Metrics(listen(address, "http://", "/metrics").await?));
        }
        for socket in passed {
            listeners.push(match socket {
                Passed::Unix(listener, path) => {
                    talk(&format!("listening on unix://{path}, which was passed\n"));
                    Listener::Unix(listener)
                }
                Passed::Tcp(listener, address) => {
                    talk(&format!("listening on tcp://{address}, which was passed\n"));
                    tcp(listener)
                }
            });
        }
        if let Some(path) = &own {
            listeners.push(Listener::Unix(bind(path).await?));
            talk(&format!("listening on unix://{}\n", path.display()));
        }
        Ok((listeners, own))
    }
}

/// Refuses an address that others reach.
fn near(address: SocketAddr) -> Result<(), Problem> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(Problem {
        code: ErrorCode::Denied,
        what: format!("cannot listen on `{address}`"),
        why: vec!["whoever reaches it could do everything, and it is not of this machine alone".to_owned()],
        fix: Some(
            "let clients say who they are by `--tls-cert`, `--tls-key` and `--client-ca`, or listen on 127.0.0.1"
                .to_owned(),
        ),
    })
}

/// Listens on an address, and says so.
async fn listen(address: SocketAddr, scheme: &str, path: &str) -> Result<TcpListener, Problem> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| problem(&format!("cannot listen on `{address}`"), &error))?;
    // Port 0 is whichever is free.
    talk(&format!("listening on {scheme}{}{path}\n", listener.local_addr().unwrap_or(address)));
    Ok(listener)
}

/// Takes the sockets that whoever started this has opened: sd_listen_fds(3).
fn passed() -> Result<Vec<Passed>, Problem> {
    let what = "cannot take the sockets that were passed";
    let numbers = sd_notify::listen_fds().map_err(|error| problem(what, &error))?;
    let take = |number| {
        // SAFETY: whoever started this says that the descriptor is this process's own, which was looked at just now, and
        // this is called once.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        taken(descriptor).map_err(|error| problem(what, &format!("descriptor {number} cannot be listened on: {error}")))
    };
    numbers.map(take).collect()
}

fn taken(descriptor: OwnedFd) -> io::Result<Passed> {
    let unix = std::os::unix::net::UnixListener::from(descriptor);
    if let Ok(address) = unix.local_addr() {
        unix.set_nonblocking(true)?;
        let path = address.as_pathname().map_or_else(String::new, |path| path.display().to_string());
        return Ok(Passed::Unix(UnixListener::from_std(unix)?, path));
    }
    let tcp = std::net::TcpListener::from(OwnedFd::from(unix));
    let address = tcp.local_addr()?;
    tcp.set_nonblocking(true)?;
    Ok(Passed::Tcp(TcpListener::from_std(tcp)?, address))
}

/// Reads the files of TLS.
fn tls(papers: cli::Papers<'_>) -> Result<Tls, Problem> {
    let what = "cannot speak TLS";
    let read = |option: &str, path: &Path| {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(PAPER_BYTES_MAX + 1).read_to_end(&mut bytes));
        let wrong = |why: &dyn std::fmt::Display| Problem {
            fix: Some(format!("name a file in PEM by `{option}`")),
            ..problem(what, &format!("cannot read `{}`: {why}", path.display()))
        };
        match read {
            Ok(_) if bytes.len() as u64 > PAPER_BYTES_MAX => Err(wrong(&"it is too large")),
            Ok(_) => Ok(bytes),
            Err(error) => Err(wrong(&error)),
        }
    };
    let papers = Papers {
        certificate: read("--tls-cert", papers.certificate)?,
        key: read("--tls-key", papers.key)?,
        clients: read("--client-ca", papers.clients)?,
    };
    Tls::new(&papers).map_err(|error| Problem {
        code: ErrorCode::Invalid,
        fix: Some(
            "`--tls-cert` and `--tls-key` are the certificate and the key of this machine, `--client-ca` is the authority \
             that signs those of clients, each in PEM"
                .to_owned(),
        ),
        ..problem(what, &error)
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

/// Makes a socket. One that nobody listens on is left of a process that was killed.
pub(super) async fn bind(path: &Path) -> Result<UnixListener, Problem> {
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
    // From the first moment on: whoever started this may let everybody write to what it makes.
    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.map_err(wrong)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(wrong)?;
    Ok(listener)
}
