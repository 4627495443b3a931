//! Where a login is put, and where it is taken from: the program that a document names, or the document.
//!
//! It writes no files; the caller has read the document and writes what becomes of it.

use super::document::{Keeper, Logins, Scope};
use super::helper::{self, Helpers};
use super::{Document, Error, Login, edit, failed, whole};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// A login that was put somewhere.
#[derive(Debug)]
pub struct Kept {
    /// What the document is to become.
    pub document: Zeroizing<Vec<u8>>,
    /// The program that has it, as in `docker-credential-desktop`. Without one it stands in the document, where whoever
    /// reads the file can read it.
    pub program: Option<String>,
}

/// Logins that were taken away.
#[derive(Debug)]
pub struct Forgotten {
    /// What the document is to become; none if it stays as it is.
    pub document: Option<Zeroizing<Vec<u8>>>,
    /// The programs that have forgotten one, as in `docker-credential-desktop`.
    pub programs: BTreeSet<String>,
}

impl Forgotten {
    /// Returns whether there was a login.
    pub fn any(&self) -> bool {
        self.document.is_some() || !self.programs.is_empty()
    }
}

/// Puts a login for the whole of `registry`, as in `docker.io` or `registry.lan:5000`, where `document` says that such
/// logins are kept.
///
/// Fails with [`Error::Document`], [`Error::Helper`], or [`Error::Settings`] if `registry` is no registry.
pub async fn keep(
    document: &Document,
    helpers: Option<&dyn Helpers>,
    registry: &str,
    login: &Login,
) -> Result<Kept, Error> {
    let scope = whole(registry)?;
    let file = &document.label;
    let logins = read(document)?;
    let own = logins.helpers.iter().find(|keeper| keeper.scope.is(&scope));
    let place = match (own, &logins.store) {
        (Some(keeper), _) => Some((keeper.helper.as_str(), keeper.key.clone())),
        (None, Some(store)) => Some((store.as_str(), scope.key())),
        (None, None) => None,
    };
    let in_document = if place.is_none() { Some(login) } else { None };
    // Before the program is asked: a document that cannot be changed is not to leave a login behind.
    let changed = edit::put(&document.bytes, &scope.key(), in_document).map_err(|why| broken(document, why))?;
    if let Some((program, key)) = &place {
        helper::store(helpers, program, key, login)
            .await
            .map_err(|why| failed(program, &scope.to_string(), file, why))?;
    }
    Ok(Kept { document: changed, program: place.map(|(program, _)| helper::program(program)) })
}

/// Takes away the login for `registry`, which may be a part of one, as in `registry.lan:5000/team`; without, every
/// login that the document or a program of it has.
///
/// Fails with [`Error::Document`], [`Error::Helper`], or [`Error::Settings`] if `registry` is no registry. Then some
/// programs may have forgotten theirs already.
pub async fn forget(
    document: &Document,
    helpers: Option<&dyn Helpers>,
    registry: Option<&str>,
) -> Result<Forgotten, Error> {
    let logins = read(document)?;
    let scope = registry.map(read_scope).transpose()?;
    let ours = |other: &Scope| scope.as_ref().is_none_or(|scope| scope.is(other));
    let changed = edit::remove(&document.bytes, ours).map_err(|why| broken(document, why))?;

    let own = logins.helpers.iter().filter(|keeper| ours(&keeper.scope));
    let mut places: BTreeSet<(String, String)> =
        own.map(|Keeper { key, helper, .. }| (helper.clone(), key.clone())).collect();
    if let Some(store) = &logins.store {
        let entries = logins.entries.iter().filter(|entry| ours(&entry.scope) && matches!(entry.login, Ok(None)));
        places.extend(entries.map(|entry| (store.clone(), entry.key.clone())));
        match &scope {
            Some(scope) => drop(places.insert((store.clone(), scope.key()))),
            None => {
                let names = helper::list(helpers, store).await;
                let names = names.map_err(|why| failed(store, "all registries", &document.label, why))?;
                places.extend(names.into_keys().map(|key| (store.clone(), key)));
            }
        }
    }
    let mut programs = BTreeSet::new();
    for (program, key) in places {
        let failed = |why| failed(&program, &key, &document.label, why);
        // Programs say different things about what they do not have.
        if helper::get(helpers, &program, &key).await.map_err(failed)?.is_some() {
            helper::erase(helpers, &program, &key).await.map_err(failed)?;
            programs.insert(helper::program(&program));
        }
    }
    Ok(Forgotten { document: changed, programs })
}

fn read(document: &Document) -> Result<Logins, Error> {
    Logins::read(&document.bytes).map_err(|why| broken(document, why))
}

fn read_scope(registry: &str) -> Result<Scope, Error> {
    let why = || format!("`{}` is not a registry", registry.escape_debug());
    Scope::read(registry).ok_or_else(|| Error::Settings { why: why() })
}

fn broken(document: &Document, why: String) -> Error {
    Error::Document { file: document.label.clone(), why }
}
