//! `wharf save`: the pieces of an archive, one after the other. `wharf load`: an archive that is read on the spot.

use super::program::{offline, online_all, print, talk};
use super::screen::Screen;
use super::stream::Stream;
use crate::host::Blob;
use crate::nouns::problem::ErrorCode;
use crate::verbs;
use crate::verbs::contract::Caller;
use crate::verbs::save::Piece;
use std::fs::{File, remove_file, rename};
use std::io::{BufWriter, IsTerminal, Read, Write, stdin, stdout};
use std::path::Path;
use wharf_terminal::answer;
use wharf_terminal::cli::{self, PlanFile};
use wharf_terminal::render::palette::Palette;
use wharf_terminal::render::saved;
use wharf_vocabulary::types;
use wharf_vocabulary::vocabulary::Problem;

/// How many bytes of a blob are read at once.
const READ_BYTES: u64 = 1 << 20;

/// `wharf save`.
pub(super) async fn save(asked: &cli::Save, caller: &Caller, root: &Path) -> Result<(), Problem> {
    let mut host = offline(root).await?;
    let options = asked.options();
    if let Some(access) = &options.complete {
        let listing = verbs::images::entries(&host, caller, &[]).await?;
        let names: Vec<&str> = listing.images.iter().map(|image| &*image.name).collect();
        host = online_all(&asked.access, &names, access, root).await?;
    }
    let outcome = verbs::save(&host, caller, &asked.references, &options.into()).await;
    let (saved, pieces) = host.explained(outcome)?;
    let path = match asked.output() {
        PlanFile::Standard if stdout().is_terminal() => {
            return Err(refused("standard output is a terminal", "say where it is to go, as in `--output image.tar`"));
        }
        PlanFile::Standard => None,
        PlanFile::Named(path) => Some(path),
    };
    let written = match path {
        None => pour(pieces, stdout().lock()).await.map(drop),
        Some(path) => replace(pieces, path).await,
    };
    written.map_err(|error| Problem {
        fix: path
            .map(|_| "a file has to be in a directory that the runtime was given, as by `--dir ./archives`".into()),
        ..refused(&error.to_string(), "")
    })?;
    if !asked.quiet {
        talk(&saved::talk(&saved.into(), path.map(Path::to_string_lossy).as_deref()));
    }
    Ok(())
}

/// Makes a file that is there as a whole or not at all.
async fn replace<B: Blob>(pieces: Vec<Piece<B>>, path: &Path) -> Result<(), Error> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let fresh = path.with_file_name(format!(".{name}.wharf"));
    let written = async { Ok(pour(pieces, File::create(&fresh)?).await?.sync_all()?) };
    let written = written.await.and_then(|()| Ok(rename(&fresh, path)?));
    if written.is_err() {
        // What is wrong is told; that something is left behind as well is not worth it.
        let _ = remove_file(&fresh);
    }
    written
}

/// Why an archive is not whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the archive cannot be written: {0}")]
    Write(#[from] std::io::Error),
    #[error("a blob cannot be read, or is damaged: {0}")]
    Read(#[from] ErrorCode),
}

async fn pour<B: Blob, W: Write>(pieces: Vec<Piece<B>>, out: W) -> Result<W, Error> {
    let mut out = BufWriter::new(out);
    pour_each(pieces, async |bytes| Ok(out.write_all(&bytes)?)).await?;
    out.into_inner().map_err(|error| error.into_error().into())
}

/// Hands the bytes of an archive to `take`, one after the other.
pub(super) async fn pour_each<B: Blob>(
    pieces: Vec<Piece<B>>,
    mut take: impl AsyncFnMut(Vec<u8>) -> Result<(), Error>,
) -> Result<(), Error> {
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => take(bytes).await?,
            Piece::Blob(blob, size) => {
                blob.verify().await?;
                let mut offset = 0;
                while offset < size {
                    let bytes = blob.read(offset, READ_BYTES.min(size - offset)).await?;
                    if bytes.is_empty() {
                        return Err(ErrorCode::SizeMismatch(offset).into());
                    }
                    offset += bytes.len() as u64;
                    take(bytes).await?;
                }
            }
        }
    }
    Ok(())
}

/// `wharf load`.
pub(super) async fn load(asked: &cli::Load, caller: &Caller, root: &Path, palette: Palette) -> Result<(), Problem> {
    let unread = |why: &str, fix: &str| Problem { what: "cannot read the archive".to_owned(), ..refused(why, fix) };
    let file: Box<dyn Read> = match asked.input() {
        PlanFile::Standard if stdin().is_terminal() => {
            return Err(unread("standard input is a terminal", "say where it is, as in `--input image.tar`"));
        }
        PlanFile::Standard => Box::new(stdin()),
        PlanFile::Named(path) => Box::new(File::open(path).map_err(|error| {
            let fix = "a file has to be in a directory that the runtime was given, as by `--dir ./archives`";
            unread(&format!("`{}`: {error}", path.display()), fix)
        })?),
    };
    let host = offline(root).await?;
    let screen = Screen::of(asked.progress, asked.quiet, palette);
    let options = asked.options().into();
    let loaded = screen.watch(verbs::load(&host, caller, Stream::File(file), &options, &screen)).await?.into();
    if let Some(text) = answer::loaded_talk(asked, &loaded) {
        talk(&text);
    }
    print(&answer::loaded(asked, &loaded))
}

fn refused(why: &str, fix: &str) -> Problem {
    let code = types::ErrorCode::Other(why.to_owned());
    Problem { code, what: "cannot save these images".to_owned(), why: vec![why.to_owned()], fix: Some(fix.to_owned()) }
}
