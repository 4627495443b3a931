//! The file that logins are written to. It is a part of `main`, and as such takes ambient authority.
//!
//! It does not know what is in the file: see `host/credentials/keep.rs`.

use crate::ambient::variable;
use crate::problem;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use wharf::credentials::Document;
use wharf::images::{ErrorCode, Problem};

/// No file with logins is larger.
const BYTES_MAX: u64 = 1 << 20;

/// How many links one after the other are followed.
const LINKS_MAX: usize = 16;

/// Returns the file: the one that was `named`, or else docker's.
pub(super) fn place(named: Option<&Path>) -> Result<PathBuf, Problem> {
    // An empty or relative variable is as if there were none: the current directory does not choose.
    let directory = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let docker = || directory("DOCKER_CONFIG").or_else(|| Some(directory("HOME")?.join(".docker")));
    named.map(Path::to_owned).or_else(|| Some(docker()?.join("config.json"))).ok_or_else(|| Problem {
        code: ErrorCode::NotFound,
        what: "cannot tell where logins are kept".to_owned(),
        why: vec!["neither `DOCKER_CONFIG` nor `HOME` is an absolute path".to_owned()],
        fix: Some("name a file with `--auth-file FILE`".to_owned()),
    })
}

/// Reads the file. One that is not there is as if it were empty.
pub(super) fn read(path: &Path) -> Result<Document, Problem> {
    let label = path.display().to_string();
    let what = || format!("cannot read the logins in `{label}`");
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > BYTES_MAX => {
            Err(problem(&what(), &format!("the file is larger than {BYTES_MAX} bytes")))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(problem(&what(), &error)),
        Ok(_) | Err(_) => Ok(Document { label, bytes }),
    }
}

/// Replaces the file in one step: whoever reads it meanwhile sees the old one or the new one. A link stays one. Only the
/// user may read what is new.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    replace(path, bytes).map_err(|error| problem(&format!("cannot write the logins to `{}`", path.display()), &error))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = behind_links(path)?;
    let directory = match target.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let name = target.file_name().ok_or(ErrorKind::IsADirectory)?.to_string_lossy();
    let fresh = directory.join(format!(".{name}.{}", std::process::id()));
    let outcome = fill(&fresh, &target, bytes).and_then(|()| std::fs::rename(&fresh, &target));
    if outcome.is_err() {
        // What is wrong is told; that something is left behind as well is not worth it.
        let _ = std::fs::remove_file(&fresh);
        return outcome;
    }
    File::open(directory)?.sync_all()
}

fn fill(fresh: &Path, old: &Path, bytes: &[u8]) -> io::Result<()> {
    // A process with our number has died here before.
    if let Err(error) = std::fs::remove_file(fresh)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    if let Ok(old) = std::fs::metadata(old) {
        // As root in somebody's home. Nobody else may do it, and nobody else has to.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// Follows links to the file, which need not be there.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or(Path::new("")).join(link),
            // It is no link, or not there.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links"))
}
