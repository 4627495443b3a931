//! `wharf save`, `wharf export`, `wharf load` and `wharf import`: where an archive goes, and where it comes from. A file that is written is
//! there as a whole or not at all. It is a part of `main`, and as such takes ambient authority: files by path, and the
//! standard streams.

use crate::ambient::{proxies, root, services};
use crate::watch::{reporter, watch};
use crate::{Failed, connect_all, known, log, open, problem, report, talk};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use wharf::answer;
use wharf::cli::{self, ArchiveFormat, ArchivePlace, Cli, PlanFile, exit};
use wharf::images::{Caller, ErrorCode, Problem, Wharf};
use wharf::network::{self, Network, Proxies};
use wharf::render::palette::Palette;
use wharf::render::progress::Silent;
use wharf::render::saved;

/// How many bytes are written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What a directory with an image layout has. OCI image-spec, image-layout.md.
const LAYOUT: &str = "oci-layout";

/// Where an archive goes.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Standard,
    /// A file that is made, or replaced in one step.
    File(PathBuf),
    /// Something that is there and is no file, as a pipe is.
    Other(PathBuf),
    /// A directory that is made.
    Directory(PathBuf),
}

/// `wharf save`.
pub(crate) async fn save(cli: &Cli, asked: &cli::Save, caller: &Caller, palette: Palette) -> Result<u8, Failed> {
    let place = Place::of(asked.output(), asked.format == ArchiveFormat::OciDir)?;
    let mut options = asked.options();
    let (mut wharf, mut origins) = (open(cli)?, Vec::new());
    if let Some(access) = options.complete.take() {
        origins = known(cli, caller).await?;
        let (online, access) = connect_all(cli, &origins, &asked.access, &asked.patience, access)?;
        (wharf, options.complete) = (online, Some(access));
    }
    let silent = Box::new(Silent::new(io::stderr(), palette));
    let saved = watch(silent, "the saving", async |stop, _| {
        let place = place.clone();
        let write = move |_: &_, archive: &mut wharf::images::Archive| place.write(archive);
        wharf.save(caller, &asked.references, &origins, &options, stop, write).await
    });
    let saved = saved.await?;
    if !asked.quiet {
        talk(&saved::talk(&saved, place.path().map(|path| path.to_string_lossy()).as_deref()));
    }
    Ok(exit::DONE)
}

impl Place {
    /// Finds out what is there. `is_directory` says that the archive becomes one.
    pub(crate) fn of(output: PlanFile<'_>, is_directory: bool) -> Result<Self, Problem> {
        match output {
            PlanFile::Standard if is_directory || io::stdout().is_terminal() => Err(Problem {
                code: ErrorCode::Invalid,
                what: "cannot write an archive to standard output".to_owned(),
                why: vec![if is_directory { "a directory needs a place" } else { "it is a terminal" }.to_owned()],
                fix: Some("say where it is to go, as in `--output image.tar`".to_owned()),
            }),
            PlanFile::Standard => Ok(Self::Standard),
            PlanFile::Named(path) if is_directory => Ok(Self::Directory(path.to_owned())),
            PlanFile::Named(path) => match fs::metadata(path) {
                Ok(there) if there.is_dir() => Err(Problem {
                    fix: Some("name a file".to_owned()),
                    ..problem(&format!("cannot write an archive to `{}`", path.display()), &"it is a directory")
                }),
                Ok(there) if !there.is_file() => Ok(Self::Other(path.to_owned())),
                Ok(_) | Err(_) => Ok(Self::File(path.to_owned())),
            },
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Standard => None,
            Self::File(path) | Self::Other(path) | Self::Directory(path) => Some(path),
        }
    }

    fn write(&self, archive: &mut dyn Read) -> io::Result<()> {
        match self {
            Self::Standard | Self::Other(_) | Self::File(_) => self.fill(|out| io::copy(archive, out).map(drop)),
            Self::Directory(path) => {
                let fresh = beside(path)?;
                let written = (|| {
                    DirBuilder::new().create(&fresh)?;
                    let mut tar = tar::Archive::new(&mut *archive);
                    tar.set_preserve_mtime(false);
                    tar.unpack(&fresh)?;
                    // What follows the last entry.
                    io::copy(&mut tar.into_inner(), &mut io::sink())?;
                    rustix::fs::syncfs(File::open(&fresh)?)?;
                    // Only a directory that is empty is replaced.
                    fs::rename(&fresh, path)
                })();
                settle(written, || fs::remove_dir_all(&fresh), path)
            }
        }
    }
}

impl Place {
    /// Has the bytes of an archive written, which is to be no directory.
    pub(crate) fn fill<T, E: From<io::Error>>(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Standard => pour(write, io::stdout().lock()).map(|(done, _)| done),
            Self::Other(path) => pour(write, OpenOptions::new().write(true).open(path)?).map(|(done, _)| done),
            Self::File(path) | Self::Directory(path) => {
                // A link stays one.
                let target = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                let fresh = beside(&target)?;
                let written = (|| {
                    let file = OpenOptions::new().write(true).create_new(true).open(&fresh)?;
                    let (done, file) = pour(write, file)?;
                    file.sync_all()?;
                    fs::rename(&fresh, &target)?;
                    Ok(done)
                })();
                settle(written, || fs::remove_file(&fresh), &target)
            }
        }
    }
}

/// A name in the same directory that nobody else uses.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.{}", std::process::id()));
    // A process with our number has died here before.
    match fs::symlink_metadata(&fresh) {
        Ok(left) if left.is_dir() => fs::remove_dir_all(&fresh)?,
        Ok(_) => fs::remove_file(&fresh)?,
        Err(_) => {}
    }
    Ok(fresh)
}

/// Takes away what is not whole, and makes durable what is.
fn settle<T, E: From<io::Error>>(
    written: Result<T, E>,
    remove: impl FnOnce() -> io::Result<()>,
    path: &Path,
) -> Result<T, E> {
    if written.is_err() {
        // What is wrong is told; that something is left behind as well is not worth it.
        let _ = remove();
        return written;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    written
}

fn pour<T, E: From<io::Error>, W: Write>(
    write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    out: W,
) -> Result<(T, W), E> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let done = write(&mut out)?;
    Ok((done, out.into_inner().map_err(io::IntoInnerError::into_error)?))
}

/// `wharf load`.
pub(crate) async fn load(
    cli: &Cli,
    asked: &cli::Load,
    caller: &Caller,
    palette: Palette,
    screen: log::Screen,
) -> Result<u8, Failed> {
    let archive = source(asked)?;
    let wharf = open(cli)?;
    let options = asked.options();
    let reporter = reporter(asked.progress, asked.quiet, palette, screen);
    let loaded =
        watch(reporter, "the loading", async |stop, tell| wharf.load(caller, archive, &options, stop, tell).await);
    let loaded = loaded.await?;
    report(answer::loaded_talk(asked, &loaded).as_deref(), &answer::loaded(asked, &loaded));
    Ok(exit::DONE)
}

/// `wharf import`.
pub(crate) async fn import(
    cli: &Cli,
    asked: &cli::Import,
    caller: &Caller,
    palette: Palette,
    screen: log::Screen,
) -> Result<u8, Failed> {
    let options = asked.options();
    let imported = match asked.source() {
        ArchivePlace::Here(place) => {
            let archive = files(place)?;
            let wharf = open(cli)?;
            let reporter = reporter(asked.progress, asked.quiet, palette, screen);
            let call = watch(reporter, "the import", async |stop, tell| {
                wharf.import(caller, archive, &options, stop, tell).await
            });
            call.await?
        }
        ArchivePlace::There(url) => {
            let access = asked.access(url);
            let settings = network::Settings {
                proxies: proxies(Proxies::default()),
                plain_http: access.plain_http.clone(),
                bytes_per_second: asked.patience.bytes_per_second(),
                ..network::Settings::default()
            };
            let network = Network::new(settings).map_err(|error| problem("cannot use the network", &error))?;
            let wharf = Wharf::new(services(&root(cli)?, network, Default::default())?)?;
            let reporter = reporter(asked.progress, asked.quiet, palette, screen);
            let call = watch(reporter, "the import", async |stop, tell| {
                wharf.import_from(caller, url, &options, &access, stop, tell).await
            });
            call.await?
        }
    };
    report(answer::imported_talk(asked, &imported).as_deref(), &answer::imported(asked, &imported));
    Ok(exit::DONE)
}

/// Opens an archive of files.
fn files(place: PlanFile<'_>) -> Result<Box<dyn Read + Send>, Problem> {
    let PlanFile::Named(path) = place else {
        return standard("say where it is, as in `wharf import root.tar`");
    };
    let cannot = |error: io::Error| problem(&format!("cannot read `{}`", path.display()), &error);
    if fs::metadata(path).map_err(cannot)?.is_dir() {
        return Err(Problem {
            fix: Some(format!("`tar -C {} -c . | wharf import -`", path.display())),
            ..problem(&format!("cannot read `{}`", path.display()), &"it is a directory, and no archive")
        });
    }
    Ok(Box::new(File::open(path).map_err(cannot)?))
}

/// Standard input, unless a person would have to type the archive.
fn standard(fix: &str) -> Result<Box<dyn Read + Send>, Problem> {
    if io::stdin().is_terminal() {
        return Err(Problem {
            fix: Some(fix.to_owned()),
            ..problem("cannot read an archive from standard input", &"it is a terminal")
        });
    }
    Ok(Box::new(io::stdin()))
}

/// Opens what is to be loaded.
fn source(asked: &cli::Load) -> Result<Box<dyn Read + Send>, Problem> {
    let PlanFile::Named(path) = asked.input() else {
        return standard("say where it is, as in `--input image.tar`");
    };
    let cannot = |error: io::Error| problem(&format!("cannot read `{}`", path.display()), &error);
    if !fs::metadata(path).map_err(cannot)?.is_dir() {
        return Ok(Box::new(File::open(path).map_err(cannot)?));
    }
    if !path.join(LAYOUT).is_file() {
        return Err(Problem {
            fix: Some(format!("name the directory that has the file `{LAYOUT}`, or an archive")),
            ..problem(&format!("cannot read `{}`", path.display()), &"it is no OCI image layout")
        });
    }
    let (reader, writer) = io::pipe().map_err(cannot)?;
    let path = path.to_owned();
    let packing =
        thread::Builder::new().name("layout".to_owned()).spawn(move || pack(&path, writer)).map_err(cannot)?;
    Ok(Box::new(Packed { reader, packing: Some(packing) }))
}

/// A directory that another thread packs.
struct Packed {
    reader: PipeReader,
    packing: Option<JoinHandle<io::Result<()>>>,
}

impl Read for Packed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        if length == 0
            && let Some(packing) = self.packing.take()
        {
            packing.join().map_err(|_| io::Error::other("the directory cannot be packed"))??;
        }
        Ok(length)
    }
}

/// Writes an image layout as an archive: what is needed of it, and nothing that is a link.
fn pack(layout: &Path, out: impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::with_capacity(BUFFER_BYTES, out));
    tar.follow_symlinks(false);
    tar.mode(tar::HeaderMode::Deterministic);
    for document in [LAYOUT, "index.json", "manifest.json"] {
        let path = layout.join(document);
        if fs::symlink_metadata(&path).is_ok() {
            tar.append_path_with_name(path, document)?;
        }
    }
    let blobs = layout.join("blobs");
    for algorithm in fs::read_dir(&blobs)? {
        let algorithm = algorithm?;
        if !algorithm.file_type()?.is_dir() {
            continue;
        }
        for blob in fs::read_dir(algorithm.path())? {
            let blob = blob?;
            let name = Path::new("blobs").join(algorithm.file_name()).join(blob.file_name());
            tar.append_path_with_name(blob.path(), name)?;
        }
    }
    tar.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?.flush()
}
