//! Where a login comes from, for people: everything about it but the secret.

use super::document::{Scope, Secrets};
use super::helper;
use std::fmt;

/// Where a login comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The registry, or the part of it, that the login is for, as in `docker.io` or `registry.lan:5000/team`.
    pub registry: String,
    /// The name under which it is kept, as in `https://index.docker.io/v1/`.
    pub key: String,
    /// The document that has it, or that names the program that has it.
    pub file: String,
    /// What it is, or who keeps it.
    pub kind: Kind,
    /// The user name, where there is one and it is known.
    pub user: Option<String>,
}

/// What a login is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user name and a password.
    Password,
    /// A refresh token of OAuth 2.0.
    IdentityToken,
    /// A token that goes to the registry as it is.
    RegistryToken,
    /// What a program keeps, as in `desktop` of `docker-credential-desktop`.
    Helper(String),
}

impl Source {
    pub(super) fn of_secrets(scope: &Scope, key: &str, file: &str, secrets: &Secrets) -> Self {
        let kind = match secrets {
            Secrets { registry: Some(_), .. } => Kind::RegistryToken,
            Secrets { identity: Some(_), .. } => Kind::IdentityToken,
            Secrets { .. } => Kind::Password,
        };
        let user = user(secrets);
        Self { registry: scope.to_string(), key: key.to_owned(), file: file.to_owned(), kind, user }
    }

    pub(super) fn of_helper(scope: &Scope, key: &str, file: &str, helper: &str) -> Self {
        let kind = Kind::Helper(helper.to_owned());
        Self { registry: scope.to_string(), key: key.to_owned(), file: file.to_owned(), kind, user: None }
    }
}

impl Source {
    /// Returns the program that keeps the login, as in `docker-credential-desktop`, if one does.
    pub fn program(&self) -> Option<String> {
        match &self.kind {
            Kind::Helper(helper) => Some(helper::program(helper)),
            Kind::Password | Kind::IdentityToken | Kind::RegistryToken => None,
        }
    }
}

/// Returns the user name of a login, if it has one.
pub(super) fn user(secrets: &Secrets) -> Option<String> {
    secrets.password.as_ref().map(|password| password.user.clone()).filter(|user| !user.is_empty())
}

/// The place alone, as in `/home/ann/.docker/config.json`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.program() {
            Some(program) => write!(f, "{program}, named by {}", self.file),
            None => f.write_str(&self.file),
        }
    }
}
