//! Why there is no grant, no login, or no change of one.

/// Why there is no grant. No text holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The challenge needs a login, and there is none.
    #[error("there is no login for `{registry}`")]
    NotFound {
        /// As in `registry.lan:5000`.
        registry: String,
    },
    /// The program that keeps the login failed or is missing. Going on without it would be anonymous without saying so.
    #[error("`{program}`, which `{file}` names, failed for `{registry}`: {why}")]
    Helper {
        /// As in `docker-credential-desktop`.
        program: String,
        /// As in `registry.lan:5000`.
        registry: String,
        /// The document that names the program.
        file: String,
        /// What happened, or what it said.
        why: String,
    },
    /// A document with logins cannot be read. Going on without it would be anonymous without saying so.
    #[error("`{file}` cannot be used: {why}")]
    Document {
        /// Where it was found.
        file: String,
        /// What is wrong, by place and not by content.
        why: String,
    },
    /// The challenge breaks a rule of its format.
    #[error("the challenge of `{registry}` is invalid: {why}")]
    Challenge {
        /// As in `registry.lan:5000`.
        registry: String,
        /// Which rule.
        why: String,
    },
    /// The realm is not one that this registry's secrets may go to, or the network's policy forbids it.
    #[error("{why}")]
    Denied {
        /// What is forbidden.
        why: String,
    },
    /// The credentials cannot be set up.
    #[error("{why}")]
    Settings {
        /// Which setting, and what is wrong with it.
        why: String,
    },
    /// The token server rejected the login.
    #[error("`{server}` rejected the login for `{registry}` ({status})")]
    Rejected {
        /// The token server, as in `auth.docker.io`.
        server: String,
        /// As in `registry-1.docker.io`.
        registry: String,
        /// Its answer, as in 401.
        status: u16,
    },
    /// The token server failed. Trying again may succeed.
    #[error("the token server `{server}` failed: {why}")]
    Unavailable {
        /// The token server, as in `auth.docker.io`.
        server: String,
        /// Its answer, if it gave one, as in 503.
        status: Option<u16>,
        /// What happened.
        why: String,
    },
}
