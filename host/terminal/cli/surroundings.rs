//! Where the store is, if nobody said so.
//!
//! It does not look: `main` hands in what it found, so that the rule can be
//! tested.

use std::path::{Path, PathBuf};
use wharf_vocabulary::types::ErrorCode;
use wharf_vocabulary::vocabulary::Problem;

/// Where root keeps images.
const ROOT_OF_SUPERUSER: &str = "/var/lib/wharf";

/// What is known about who runs the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether the effective user is root.
    pub superuser: bool,
    /// The value of `HOME`.
    pub home: Option<PathBuf>,
    /// The value of `XDG_DATA_HOME`.
    pub data_home: Option<PathBuf>,
}

impl Surroundings {
    /// Returns the directory of the store: the one that was `given`, or else the
    /// usual one. A relative `XDG_DATA_HOME` does not count (XDG Base Directory
    /// Specification, “Basics”).
    pub fn root(&self, given: Option<&Path>) -> Result<PathBuf, Problem> {
        if let Some(given) = given {
            return Ok(given.to_owned());
        }
        if self.superuser {
            return Ok(PathBuf::from(ROOT_OF_SUPERUSER));
        }
        let data_home = self.data_home.as_ref().filter(|path| path.is_absolute()).cloned();
        let home = || Some(self.home.as_ref().filter(|path| path.is_absolute())?.join(".local/share"));
        match data_home.or_else(home) {
            Some(directory) => Ok(directory.join("wharf")),
            None => Err(Problem {
                code: ErrorCode::NotFound,
                what: "cannot tell where images are kept".to_owned(),
                why: vec!["neither `XDG_DATA_HOME` nor `HOME` is an absolute path".to_owned()],
                fix: Some("name a directory with `--root DIR` or `WHARF_ROOT`".to_owned()),
            }),
        }
    }
}
