//! The documents in order, and where the login for a registry may be.
//!
//! It keeps nothing but what it was given, writes nothing, and asks no program.
//!
//! | a document's | asked | why |
//! | --- | --- | --- |
//! | `credHelpers` | first | somebody wrote down who keeps this registry's login |
//! | `credsStore` | next, if there is no such entry | docker puts every login there |
//! | `auths` | last, the longest namespace first | what the document holds itself |

use super::Origin;
use super::document::{Logins, Scope, Secrets};
use super::{Document, Error};
use std::cmp::Reverse;
use std::sync::Arc;

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

/// One place where a login is, or may be.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) file: &'a str,
    /// As the document or the program spells it.
    pub(super) key: String,
    pub(super) scope: Scope,
    pub(super) keeper: Keeper<'a>,
}

/// Who has it.
#[derive(Debug)]
pub(super) enum Keeper<'a> {
    /// The document. The numbers are those of the document and of the entry: no two logins have the same.
    Entry(&'a Arc<Secrets>, (usize, usize)),
    /// A program, as in `desktop`.
    Helper(&'a str),
}

impl Store {
    pub(super) fn new(documents: Vec<Document>) -> Self {
        let read = |document: Document| Read { file: document.label.clone(), logins: Logins::read(&document.bytes) };
        Self { documents: documents.into_iter().map(read).collect() }
    }

    /// Returns where the login for `repository` may be, the first place first. The first document with a login decides,
    /// so what comes behind it is not looked at, however broken.
    ///
    /// An item is [`Error::Document`] if a document or an entry on the way cannot be read.
    pub(super) fn steps<'a>(
        &'a self,
        registry: &Origin,
        repository: Option<&str>,
    ) -> impl Iterator<Item = Result<Step<'a>, Error>> {
        self.documents.iter().enumerate().flat_map(move |(number, document)| {
            document.steps(number, registry, repository).unwrap_or_else(|error| vec![Err(error)])
        })
    }

    /// Returns every place that the documents name. One in `credsStore` is there as often as there are entries for it.
    pub(super) fn all(&self) -> impl Iterator<Item = Result<Step<'_>, Error>> {
        self.documents
            .iter()
            .enumerate()
            .flat_map(|(number, document)| document.all(number).unwrap_or_else(|error| vec![Err(error)]))
    }

    /// Returns the programs that keep whatever has no place of its own, and the files that name them.
    pub(super) fn stores(&self) -> impl Iterator<Item = (&str, &str)> {
        let readable = self.documents.iter().filter_map(|read| Some((read.logins.as_ref().ok()?, read.file.as_str())));
        readable.filter_map(|(logins, file)| Some((logins.store.as_deref()?, file)))
    }
}

type Steps<'a> = Vec<Result<Step<'a>, Error>>;

impl Read {
    fn steps(&self, number: usize, registry: &Origin, repository: Option<&str>) -> Result<Steps<'_>, Error> {
        let logins = self.logins()?;
        let mut steps = Vec::new();
        let mut helpers: Vec<_> = logins
            .helpers
            .iter()
            .filter_map(|keeper| Some((keeper.scope.fits(registry, repository)?, keeper)))
            .collect();
        helpers.sort_by_key(|(length, _)| Reverse(*length));
        let mut fitting: Vec<_> = logins
            .entries
            .iter()
            .enumerate()
            .filter_map(|(place, entry)| Some((entry.scope.fits(registry, repository)?, place, entry)))
            .collect();
        // Of several spellings docker's own is the one that was written last.
        fitting.sort_by_key(|(length, place, entry)| (Reverse(*length), entry.key != entry.scope.key(), *place));

        match (helpers.first(), &logins.store) {
            (Some((_, keeper)), _) => {
                let (key, scope) = (keeper.key.clone(), keeper.scope.clone());
                steps.push(Ok(Step { file: &self.file, key, scope, keeper: Keeper::Helper(&keeper.helper) }));
            }
            (None, Some(helper)) => {
                // An empty entry says that the user has logged in, and under which name.
                let named = fitting.iter().find(|(_, _, entry)| matches!(entry.login, Ok(None)));
                let (key, scope) = match named {
                    Some((_, _, entry)) => (entry.key.clone(), entry.scope.clone()),
                    None => {
                        let scope = Scope::of(registry);
                        (scope.key(), scope)
                    }
                };
                steps.push(Ok(Step { file: &self.file, key, scope, keeper: Keeper::Helper(helper) }));
            }
            (None, None) => {}
        }
        for (_, place, entry) in fitting {
            let (key, scope) = (entry.key.clone(), entry.scope.clone());
            match &entry.login {
                Ok(Some(secrets)) => {
                    let keeper = Keeper::Entry(secrets, (number, place));
                    steps.push(Ok(Step { file: &self.file, key, scope, keeper }));
                }
                Ok(None) => {}
                Err(why) => steps.push(Err(self.broken(why))),
            }
        }
        Ok(steps)
    }

    fn all(&self, number: usize) -> Result<Steps<'_>, Error> {
        let logins = self.logins()?;
        let file = &self.file;
        let helpers = logins.helpers.iter().map(|keeper| {
            let (key, scope) = (keeper.key.clone(), keeper.scope.clone());
            Ok(Step { file, key, scope, keeper: Keeper::Helper(&keeper.helper) })
        });
        let entries = logins.entries.iter().enumerate().filter_map(|(place, entry)| {
            let keeper = match (&entry.login, &logins.store) {
                (Ok(Some(secrets)), _) => Keeper::Entry(secrets, (number, place)),
                (Ok(None), Some(helper)) => Keeper::Helper(helper),
                (Ok(None), None) => return None,
                (Err(why), _) => return Some(Err(self.broken(why))),
            };
            // Docker leaves an empty entry behind for a registry whose login a helper of its own keeps.
            let elsewhere = logins.helpers.iter().any(|helper| helper.scope.is(&entry.scope));
            let shown = !(elsewhere && matches!(entry.login, Ok(None)));
            shown.then(|| Ok(Step { file, key: entry.key.clone(), scope: entry.scope.clone(), keeper }))
        });
        Ok(helpers.chain(entries).collect())
    }

    fn logins(&self) -> Result<&Logins, Error> {
        self.logins.as_ref().map_err(|why| self.broken(why))
    }

    fn broken(&self, why: &str) -> Error {
        Error::Document { file: self.file.clone(), why: why.to_owned() }
    }
}
