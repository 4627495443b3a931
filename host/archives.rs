//! `wharf save`: where an archive goes. A file is there as a whole or not at all. It is a part of `main`, and as such
//! takes ambient authority: files by path, and standard output.

use crate::watch::watch;
use crate::{Failed, open, problem, talk};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use wharf::cli::{self, ArchiveFormat, Cli, PlanFile, exit};
use wharf::images::{Caller, ErrorCode, Problem};
use wharf::render::palette::Palette;
use wharf::render::progress::Silent;
use wharf::render::saved;

/// How many bytes are written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Where an archive goes.
#[derive(Clone, Debug)]
enum Place {
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
    let place = Place::of(asked)?;
    let wharf = open(cli)?;
    let options = asked.options();
    let silent = Box::new(Silent::new(io::stderr(), palette));
    let saved = watch(silent, "the saving", async |stop, _| {
        let place = place.clone();
        let write = move |_: &_, archive: &mut wharf::images::Archive| place.write(archive);
        wharf.save(caller, &asked.references, &options, stop, write).await
    });
    let saved = saved.await?;
    if !asked.quiet {
        talk(&saved::talk(&saved, place.path().map(|path| path.to_string_lossy()).as_deref()));
    }
    Ok(exit::DONE)
}

impl Place {
    fn of(asked: &cli::Save) -> Result<Self, Problem> {
        let is_directory = asked.format == ArchiveFormat::OciDir;
        match asked.output() {
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
                    fix: Some("name a file, or choose `--format oci-dir`".to_owned()),
                    ..problem(&format!("cannot write an archive to `{}`", path.display()), &"it is a directory")
                }),
                Ok(there) if !there.is_file() => Ok(Self::Other(path.to_owned())),
                Ok(_) | Err(_) => Ok(Self::File(path.to_owned())),
            },
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Standard => None,
            Self::File(path) | Self::Other(path) | Self::Directory(path) => Some(path),
        }
    }

    fn write(&self, archive: &mut dyn Read) -> io::Result<()> {
        match self {
            Self::Standard => pour(archive, io::stdout().lock()).map(drop),
            Self::Other(path) => pour(archive, OpenOptions::new().write(true).open(path)?).map(drop),
            Self::File(path) => {
                // A link stays one.
                let target = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                let fresh = beside(&target)?;
                let written = (|| {
                    let file = OpenOptions::new().write(true).create_new(true).open(&fresh)?;
                    pour(archive, file)?.sync_all()?;
                    fs::rename(&fresh, &target)
                })();
                settle(written, || fs::remove_file(&fresh), &target)
            }
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
fn settle(written: io::Result<()>, remove: impl FnOnce() -> io::Result<()>, path: &Path) -> io::Result<()> {
    if let Err(error) = written {
        // What is wrong is told; that something is left behind as well is not worth it.
        let _ = remove();
        return Err(error);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn pour<W: Write>(archive: &mut dyn Read, out: W) -> io::Result<W> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    io::copy(archive, &mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}
