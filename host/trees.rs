//! The verbs that use the tree of an image: `unpack`, `ls`, `cat`, `diff`, `export`, `mount` and its like. It is a part of `main`,
//! and as such takes ambient authority: it mounts, and runs what a person wants to run in a tree.
//!
//! Which snapshot an image has is decided by the component, which also has it extracted where it is not.

mod command;
mod snapshots;
mod subordinate;

use crate::ambient::{root, services};
use crate::archives::Place;
use crate::watch::{cancelled, reporter, watch};
use crate::{Failed, log, print, problem, talk};
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use wharf::cli::{self, Cli, TableFormat, TextFormat, exit};
use wharf::images::{self, Caller, ErrorCode, Problem, Tree, Wharf};
use wharf::layers::view::{ArchiveError, Archived, Entry, Kind, View};
use wharf::layers::{self, Layers, Snapshot};
use wharf::network::{self, Network};
use wharf::render;
use wharf::render::palette::Palette;
use wharf::render::progress::Silent;

/// What every verb here begins with.
pub(crate) struct Trees<'a> {
    root: PathBuf,
    layers: Layers,
    wharf: Wharf,
    caller: &'a Caller,
    palette: Palette,
    screen: log::Screen,
}

impl<'a> Trees<'a> {
    pub(crate) fn open(cli: &Cli, caller: &'a Caller, palette: Palette, screen: log::Screen) -> Result<Self, Failed> {
        let network = Network::new(network::Settings::default()).map_err(|error| problem("cannot start", &error))?;
        let root = root(cli)?;
        let services = services(&root, network, Default::default())?;
        Ok(Self { root, layers: services.layers.clone(), wharf: Wharf::new(services)?, caller, palette, screen })
    }

    /// `wharf unpack`.
    pub(crate) async fn unpack(&self, unpack: &cli::Unpack) -> Result<u8, Failed> {
        let tree = self.tree(&unpack.which, cli::Progress::Auto).await?;
        print(&match unpack.format {
            TextFormat::Json => render::tree::snapshot_json(&tree),
            TextFormat::Text => render::tree::snapshot(&tree),
        });
        Ok(exit::DONE)
    }

    /// `wharf ls`.
    pub(crate) async fn list(&self, ls: &cli::Ls) -> Result<u8, Failed> {
        let what = format!("cannot list `{}` of `{}`", ls.path.display(), ls.which.reference);
        let view = self.view(&ls.which, &what).await?;
        let path = absolute(ls.path.as_bytes());
        let entries = entries(&view, &path, ls.recursive).map_err(|error| wrong(&what, error))?;
        print(&match ls.format {
            TableFormat::Json => render::tree::entries_json(&entries),
            TableFormat::Table => render::tree::entries(&entries),
        });
        Ok(exit::DONE)
    }

    /// `wharf cat`.
    pub(crate) async fn cat(&self, cat: &cli::Cat) -> Result<u8, Failed> {
        let what = format!("cannot print `{}` of `{}`", cat.path.display(), cat.which.reference);
        let view = self.view(&cat.which, &what).await?;
        let mut file = view.read(cat.path.as_bytes()).map_err(|error| wrong(&what, error))?;
        match std::io::copy(&mut file, &mut std::io::stdout().lock()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(problem(&what, &error).into()),
            // A reader that went away has read enough.
            _ => Ok(exit::DONE),
        }
    }

    /// `wharf diff`.
    pub(crate) async fn diff(&self, diff: &cli::Diff) -> Result<u8, Failed> {
        let which = |reference: &String| cli::Which { reference: reference.clone(), platform: diff.platform.clone() };
        let what = format!("cannot compare `{}` with `{}`", diff.from, diff.to);
        let from = self.view(&which(&diff.from), &what).await?;
        let to = self.view(&which(&diff.to), &what).await?;
        let absolute = |(change, path): (_, Vec<u8>)| (change, [b"/", path.as_slice()].concat());
        let changes: Result<Vec<_>, _> = from.difference(&to).map(|change| change.map(absolute)).collect();
        let changes = changes.map_err(|error| wrong(&what, error))?;
        print(&match diff.format {
            TextFormat::Json => render::tree::changes_json(&changes),
            TextFormat::Text => render::tree::changes(&changes),
        });
        Ok(exit::DONE)
    }

    /// `wharf export`.
    pub(crate) async fn export(&self, export: &cli::Export) -> Result<u8, Failed> {
        let place = Place::of(export.output(), false)?;
        let what = format!("cannot export `{}`", export.which.reference);
        let view = self.view(&export.which, &what).await?;
        let archived = self.write(place.clone(), &what, "the export", move |out| view.archive(out)).await?;
        if !export.quiet {
            let place = place.path().map(|path| path.to_string_lossy());
            talk(&render::tree::exported(&export.which.reference, place.as_deref(), archived.entries, archived.bytes));
        }
        Ok(exit::DONE)
    }

    /// Has an archive written, and says what is not in it. `call` is what Ctrl-C stops.
    async fn write(
        &self,
        place: Place,
        what: &str,
        call: &str,
        write: impl FnOnce(Stoppable<&mut dyn Write>) -> Result<Archived, ArchiveError> + Send + 'static,
    ) -> Result<Archived, Failed> {
        let silent = Box::new(Silent::new(std::io::stderr(), self.palette));
        let archived = watch(silent, call, async |stop, _| {
            let stopped = stop.clone();
            let write = move || place.fill(|out| write(Stoppable { out, stop: stopped }));
            // A thread that panics has a bug, and says so itself.
            let written = tokio::task::spawn_blocking(write).await.expect("the thread ends by itself");
            written
                .map_err(|error| match stop.is_cancelled() {
                    true => cancelled(&format!("{what}: it was stopped, and nothing is left of it")),
                    false => unwritten(what, error),
                })
                .map_err(images::Failure::Problem)
        });
        let archived = archived.await?;
        for path in &archived.left_out {
            let path = render::escape::line(&path.to_string_lossy());
            talk(&format!("`/{path}` is a socket, which no archive can have; it is left out\n"));
        }
        Ok(archived)
    }

    /// `wharf mount`.
    pub(crate) async fn mount(&self, mount: &cli::Mount) -> Result<u8, Failed> {
        let what = format!("cannot mount `{}`", mount.which.reference);
        let snapshot = self.snapshot(&mount.which, &what).await?;
        let Some(at) = &mount.directory else { return self.enter(&snapshot, &mount.command, &what).await };
        let what = format!("{what} on `{}`", at.display());
        let directory = self.place(at, &what)?;
        self.layers.mount(&snapshot, directory.as_fd()).map_err(|error| {
            let command = format!("wharf mount {} -- COMMAND", mount.which.reference);
            let fix = matches!(error, layers::Error::Unsupported(_)).then_some(command);
            Problem { fix, ..wrong(&what, error) }
        })?;
        Ok(exit::DONE)
    }

    /// Opens the directory that something is to be mounted on.
    fn place(&self, at: &Path, what: &str) -> Result<File, Problem> {
        let opened = at.canonicalize().and_then(|path| Ok((File::open(&path)?, path)));
        let (directory, path) = opened.map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Problem { fix: Some(format!("mkdir {}", at.display())), ..problem(what, &"there is no such directory") }
            }
            _ => problem(what, &error),
        })?;
        if !path.is_dir() {
            return Err(problem(what, &"it is no directory"));
        }
        // The next call could not open the store, and this mount could not be taken away by wharf.
        let root = self.root.canonicalize().map_err(|error| problem(what, &error))?;
        if path.starts_with(&root) || root.starts_with(&path) {
            return Err(problem(what, &"it would hide the store of wharf, or a part of it"));
        }
        Ok(directory)
    }

    /// Runs a command that sees the snapshot, and returns its exit code.
    async fn enter(&self, snapshot: &Snapshot, command: &[OsString], what: &str) -> Result<u8, Failed> {
        let at = self.inside(what)?;
        let prepared = match subordinate::subordinate() {
            Some(ids) => self.layers.entrance_with(snapshot, &at, ids).map(|(entrance, waiting, warnings)| {
                warnings.iter().for_each(|sentence| tracing::warn!("{sentence}"));
                (entrance, Some(waiting))
            }),
            None => self.layers.entrance(snapshot, &at).map(|entrance| (entrance, None)),
        };
        let (entrance, waiting) = prepared.map_err(|error| wrong(what, error))?;
        command::run(entrance, waiting, &at, command, what).await
    }

    /// Returns where a command in a mount namespace of its own sees a tree.
    fn inside(&self, what: &str) -> Result<PathBuf, Problem> {
        let at = self.root.join("mnt");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&at).and_then(|()| at.canonicalize());
        made.map_err(|error| problem(what, &error))
    }

    /// `wharf umount`.
    pub(crate) fn unmount(&self, umount: &cli::Umount) -> Result<u8, Failed> {
        for at in &umount.directories {
            let what = format!("cannot unmount `{}`", at.display());
            let at = at.canonicalize().map_err(|error| match error.kind() {
                ErrorKind::NotFound => problem(&what, &"there is no such directory"),
                _ => problem(&what, &error),
            })?;
            self.layers.unmount(&at).map_err(|error| match error {
                layers::Error::NotFound => Problem {
                    fix: Some("`wharf mounts` lists what is mounted".to_owned()),
                    ..problem(&what, &"no image of this store is mounted there")
                },
                layers::Error::InUse => problem(&what, &"a program works in it, or has a file of it open"),
                other => wrong(&what, other),
            })?;
        }
        Ok(exit::DONE)
    }

    /// `wharf mounts`.
    pub(crate) fn mounts(&self, mounts: &cli::Mounts) -> Result<u8, Failed> {
        let mounted = self.layers.mounts().map_err(|error| wrong("cannot list the mounts", error))?;
        print(&match mounts.format {
            TableFormat::Json => render::tree::mounts_json(&mounted),
            TableFormat::Table => render::tree::mounts(&mounted),
        });
        Ok(exit::DONE)
    }

    /// Has the image extracted, if it is not.
    async fn tree(&self, which: &cli::Which, progress: cli::Progress) -> Result<Tree, Failed> {
        let reporter = reporter(progress, false, self.palette, self.screen.clone());
        let what = format!("unpacking `{}`", which.reference);
        watch(reporter, &what, async |stop, tell| {
            self.wharf.unpack(self.caller, &which.reference, which.platform.as_deref(), stop, tell).await
        })
        .await
    }

    /// Returns the snapshot of an image. `what` is what fails if there is none.
    async fn snapshot(&self, which: &cli::Which, what: &str) -> Result<Snapshot, Failed> {
        let tree = self
            .tree(which, cli::Progress::None)
            .await
            .map_err(|failed| Failed { problem: Problem { what: what.to_owned(), ..failed.problem }, ..failed })?;
        match &tree.snapshot {
            Some(name) => Ok(self.layers.snapshot(name).map_err(|error| wrong(what, error))?),
            None => Err(problem(what, &"the image has no layers, and so it has no files").into()),
        }
    }

    async fn view(&self, which: &cli::Which, what: &str) -> Result<View, Failed> {
        let snapshot = self.snapshot(which, what).await?;
        Ok(View::new(&self.layers, &snapshot).map_err(|error| wrong(what, error))?)
    }
}

/// Writes until somebody stops it.
struct Stoppable<W> {
    out: W,
    stop: CancellationToken,
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.stop.is_cancelled() { Err(std::io::Error::other("it was stopped")) } else { self.out.write(bytes) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Lists a directory, or a file as itself; with everything below it if `recursive`. Paths begin at the root.
fn entries(view: &View, path: &[u8], recursive: bool) -> Result<Vec<(Vec<u8>, Entry)>, layers::Error> {
    let listed = match view.list(path) {
        Ok(listed) => listed,
        // No directory. Whatever it is, it is listed as itself.
        Err(layers::Error::NotFound) => return Ok(vec![(path.to_vec(), view.entry(path)?)]),
        Err(error) => return Err(error),
    };
    let above = path.strip_suffix(b"/").unwrap_or(path);
    let mut entries = Vec::new();
    for (name, entry) in listed {
        let path = [above, b"/", &name].concat();
        let is_directory = entry.kind == Kind::Directory;
        entries.push((path.clone(), entry));
        if recursive && is_directory {
            entries.extend(self::entries(view, &path, recursive)?);
        }
    }
    Ok(entries)
}

/// Returns a path as it begins at the root, without what leads nowhere else.
fn absolute(path: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    [b"/".as_slice(), &names.join(&b'/')].concat()
}

/// Says why a tree cannot be used.
fn wrong(what: &str, error: layers::Error) -> Problem {
    let code = match &error {
        layers::Error::NotFound => ErrorCode::NotFound,
        layers::Error::InUse => ErrorCode::InUse,
        layers::Error::Unsupported(_) => ErrorCode::Unsupported,
        layers::Error::NoSpace => ErrorCode::NoSpace,
        other => ErrorCode::Other(other.to_string()),
    };
    let why = match error {
        layers::Error::NotFound => "there is no such file or directory in the image".to_owned(),
        other => other.to_string(),
    };
    Problem { code, ..problem(what, &why) }
}

/// Says why there is no archive.
fn unwritten(what: &str, error: ArchiveError) -> Problem {
    match error {
        ArchiveError::View(error) => wrong(what, error),
        ArchiveError::Write(error) => {
            let code = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ErrorCode::NoSpace,
                _ => ErrorCode::Other(error.to_string()),
            };
            Problem { code, ..problem(what, &format!("the archive cannot be written: {error}")) }
        }
    }
}
