//! The documents in order, and which login fits a registry.
//!
//! It keeps nothing but what it was given, and writes nothing.

use super::document::{Login, Logins};
use super::{Document, Error};
use crate::network::Origin;
use zeroize::Zeroizing;

/// Documents that were read, the most important first.
#[derive(Debug)]
pub(super) struct Store {
    documents: Vec<Read>,
}

#[derive(Debug)]
struct Read {
    file: String,
    logins: Result<Logins, String>,
}

/// A login, and where it was found.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) login: &'a Login,
    pub(super) file: &'a str,
    /// The numbers of the document and of the entry: no two logins of one store have the same.
    pub(super) place: (usize, usize),
}

impl Store {
    pub(super) fn new(documents: Vec<Document>) -> Self {
        let read = |Document { label, bytes }| Read { file: label, logins: Logins::read(&Zeroizing::new(bytes)) };
        Self { documents: documents.into_iter().map(read).collect() }
    }

    /// Finds the login for `registry`: in the first document that has one, the entry with the longest namespace that
    /// contains `repository`.
    ///
    /// Fails with [`Error::Document`] if a document or an entry on the way cannot be read, and with
    /// [`Error::HelperUnsupported`] if the login is kept by a helper.
    pub(super) fn find(&self, registry: &Origin, repository: Option<&str>) -> Result<Option<Found<'_>>, Error> {
        for (number, document) in self.documents.iter().enumerate() {
            if let Some(found) = document.find(number, registry, repository)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Read {
    fn find(&self, number: usize, registry: &Origin, repository: Option<&str>) -> Result<Option<Found<'_>>, Error> {
        let broken = |why: &String| Error::Document { file: self.file.clone(), why: why.clone() };
        let unsupported = |helper: &String| Error::HelperUnsupported {
            helper: helper.escape_debug().to_string(),
            registry: registry.authority(),
            file: self.file.clone(),
        };
        let logins = self.logins.as_ref().map_err(broken)?;
        if let Some((_, helper)) = logins.helpers.iter().find(|(scope, _)| scope.fits(registry, repository).is_some()) {
            return Err(unsupported(helper));
        }
        let mut fitting: Vec<_> = logins
            .entries
            .iter()
            .enumerate()
            .filter_map(|(place, entry)| Some((entry.scope.fits(registry, repository)?, place, entry)))
            .collect();
        fitting.sort_by_key(|(length, place, _)| (std::cmp::Reverse(*length), *place));
        for (_, place, entry) in fitting {
            match (entry.login.as_ref().map_err(broken)?, &logins.store) {
                (Some(login), _) => return Ok(Some(Found { login, file: &self.file, place: (number, place) })),
                // The entry says that the user has logged in, and the store has what he entered.
                (None, Some(helper)) => return Err(unsupported(helper)),
                (None, None) => {}
            }
        }
        Ok(None)
    }
}
