//! What the runtime gives to the component: a directory of images, variables,
//! and files with logins. Nothing here is decided about images.

use super::plain;
use crate::portable::{Refusal, Store};
use std::io::ErrorKind;
use std::path::Path;
use wharf_credentials::Document;
use wharf_terminal::cli::{self, portable};
use wharf_vocabulary::{types::ErrorCode, vocabulary::Problem};

/// No file with logins is larger.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Opens the directory of images.
pub(super) async fn store(root: &Path) -> Result<Store, Problem> {
    let what = format!("cannot open the directory of images `{}`", root.display());
    if let Err(error) = std::fs::metadata(root) {
        let name = root.display();
        return Err(Problem {
            code: ErrorCode::NotFound,
            what,
            why: vec![format!("the runtime gave no such directory: {error}")],
            fix: Some(format!(
                "`wasmtime run --dir ./images::{name} -Shttp wharf.wasm …`, where `./images` is any directory"
            )),
        });
    }
    Store::open(root, plain::ambient()).await.map_err(|refusal| {
        let fix = match refusal {
            Refusal::Disk(_) => "give a directory that the runtime may write to",
            _ => "give an empty directory, or one with an OCI image layout",
        };
        Problem { code: ErrorCode::Invalid, what, why: vec![refusal.to_string()], fix: Some(fix.to_owned()) }
    })
}

/// Returns the documents with logins, those to be asked first at the front: the
/// file that was named alone, or else the variable, or else `config.json` in the
/// directory of images.
pub(super) fn logins(access: &cli::Access, root: &Path) -> Result<Vec<Document>, Problem> {
    if let Some(file) = access.auth_file() {
        let missing = || ErrorKind::NotFound.into();
        return read(file).and_then(|document| document.ok_or_else(missing)).map(|document| vec![document]).map_err(
            |error: std::io::Error| Problem {
                code: ErrorCode::NotFound,
                what: format!("cannot read the logins in `{}`", file.display()),
                why: vec![error.to_string()],
                fix: Some(
                    "the file has to be in a directory that the runtime was given, as by `--dir ./logins`".to_owned(),
                ),
            },
        );
    }
    if let Some(text) = std::env::var(portable::LOGINS_VARIABLE).ok().filter(|text| !text.is_empty()) {
        return Ok(vec![Document { label: portable::LOGINS_VARIABLE.to_owned(), bytes: text.into_bytes() }]);
    }
    let file = root.join("config.json");
    read(&file).map(|document| document.into_iter().collect()).map_err(|error| Problem {
        code: ErrorCode::Other(String::new()),
        what: format!("cannot read the logins in `{}`", file.display()),
        why: vec![error.to_string()],
        fix: None,
    })
}

/// Reads a file with logins, if it is there.
fn read(file: &Path) -> std::io::Result<Option<Document>> {
    let length = match std::fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found?.len(),
    };
    if length > DOCUMENT_BYTES_MAX {
        return Err(std::io::Error::other(format!("the file is larger than {DOCUMENT_BYTES_MAX} bytes")));
    }
    Ok(Some(Document { label: file.display().to_string(), bytes: std::fs::read(file)? }))
}

/// Returns the platform that the machine is taken for.
pub(super) fn machine() -> String {
    let named = std::env::var(portable::MACHINE_VARIABLE).ok().filter(|text| !text.is_empty());
    named.unwrap_or_else(|| portable::MACHINE.to_owned())
}
