//! What credentials are made with. Everything ambient (files, programs, the time) is the caller's.

use super::Error;
use super::helper::Helpers;
use std::sync::Arc;
use std::time::Instant;
use zeroize::{Zeroize, Zeroizing};

/// What the credentials are made with.
#[derive(Debug, Default)]
pub struct Settings {
    /// The documents with logins, the most important first.
    pub documents: Vec<Document>,
    /// Token servers that get the login for a registry although they are on another host: pairs of the registry's host
    /// and the token server's, as in `registry.example.com` and `gitlab.example.com`. The usual ones are known.
    pub realms: Vec<(String, String)>,
    /// Who runs the programs that keep logins. Without one a login that a program keeps is an error.
    pub helpers: Option<Arc<dyn Helpers>>,
    /// What time it is.
    pub clock: Clock,
}

/// The bytes of docker's `config.json` or podman's `auth.json`. They are wiped when it is dropped.
pub struct Document {
    /// Where it was found, for error messages, as in `/home/ann/.docker/config.json`.
    pub label: String,
    /// What it contains.
    pub bytes: Vec<u8>,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// The bytes are secrets, so only their number is shown.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document").field("label", &self.label).field("bytes", &self.bytes.len()).finish()
    }
}

/// A clock that only goes forward. Tokens expire by it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// Makes a clock of a function, which must never go back.
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(super) fn now(&self) -> Instant {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Instant::now)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// A user name and a password, as somebody has typed them.
pub struct Login {
    pub(super) user: String,
    pub(super) password: Zeroizing<String>,
}

impl Login {
    /// Takes a user name and a password.
    ///
    /// Fails with [`Error::Settings`] if one of them is empty, or the user name has a colon, which basic authentication
    /// cannot send (RFC 7617 section 2), or a character that cannot be seen.
    pub fn new(user: String, password: Zeroizing<String>) -> Result<Self, Error> {
        let why = match () {
            () if user.is_empty() => "a login needs a user name",
            () if user.contains(':') => "a user name cannot have a colon",
            () if user.contains(char::is_control) => "a user name cannot have control characters",
            () if password.is_empty() => "a login needs a password",
            () => return Ok(Self { user, password }),
        };
        Err(Error::Settings { why: why.to_owned() })
    }

    /// Returns the user name.
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// The password is not shown.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}
