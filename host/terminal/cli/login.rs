//! `wharf login`, `wharf logout` and `wharf whoami`: their arguments.
//!
//! A password is none of them: whoever may list the processes of a machine reads
//! their arguments.

use super::{Access, TableFormat, authority, help};
use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use std::path::{Path, PathBuf};

/// The registry of those who name none.
const DEFAULT: &str = "docker.io";

/// Which file with logins.
#[derive(Args, Clone, Debug)]
pub struct AuthFile {
    /// Keep logins in this file, and in no other; an empty value is as if there were none
    #[arg(long, env = "REGISTRY_AUTH_FILE", hide_env_values = true, value_name = "FILE",
          value_hint = ValueHint::FilePath, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    auth_file: Option<PathBuf>,
}

/// The arguments of `wharf login`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf login [OPTIONS] [REGISTRY]", after_help = help::LOGIN)]
pub struct Login {
    /// The registry, as in `ghcr.io` or `registry.lan:5000`
    #[arg(default_value = DEFAULT, value_parser = registry)]
    pub registry: String,

    /// The user name; asked for if there is none
    #[arg(short, long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub username: Option<String>,

    /// Read the password from standard input, to its end
    #[arg(long, requires = "username")]
    pub password_stdin: bool,

    /// What other programs take. Here it is read away and not kept, so that somebody can be told what to do instead.
    #[arg(short, long, hide = true, value_parser = read_away)]
    password: Option<Password>,

    /// Which registries are spoken to how, and where logins are kept.
    #[command(flatten)]
    pub access: Access,
}

/// The arguments of `wharf logout`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf logout [OPTIONS] [REGISTRY]", after_help = help::LOGOUT)]
pub struct Logout {
    /// The registry, or a part of one, as in `ghcr.io` or `registry.lan:5000/team`
    #[arg(default_value = DEFAULT, value_parser = place, conflicts_with = "all")]
    registry: String,

    /// Log out of all registries
    #[arg(long)]
    all: bool,

    /// Which file.
    #[command(flatten)]
    pub file: AuthFile,
}

/// The arguments of `wharf whoami`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf whoami [OPTIONS] [REGISTRY]", after_help = help::WHOAMI, after_long_help = help::WHOAMI_LONG)]
pub struct Whoami {
    /// A registry, or a part of one, as in `ghcr.io` or `registry.lan:5000/team`; without, all of them
    #[arg(value_parser = place)]
    pub registry: Option<String>,

    /// How to print the logins
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,

    /// Which file.
    #[command(flatten)]
    pub file: AuthFile,
}

/// A password that stood in the arguments.
#[derive(Clone, Copy, Debug)]
struct Password;

impl AuthFile {
    /// Returns the file that was named, if one was.
    pub fn path(&self) -> Option<&Path> {
        self.auth_file.as_deref().filter(|path| !path.as_os_str().is_empty())
    }
}

impl Login {
    /// Returns whether there is a password in the arguments, which is refused.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

impl Logout {
    /// Returns the registry to log out of; none stands for all of them.
    pub fn registry(&self) -> Option<&str> {
        (!self.all).then_some(self.registry.as_str())
    }
}

/// Reads a registry.
fn registry(text: &str) -> Result<String, String> {
    match authority(text) {
        // What ends in a colon is the scheme of a URL.
        Ok(registry) if !registry.is_empty() && !registry.ends_with(':') => Ok(registry),
        _ => Err("expected a registry and nothing else, as in `ghcr.io` or `registry.lan:5000`".to_owned()),
    }
}

/// Reads a registry, or a part of one.
fn place(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        None => registry(text),
        Some((first, rest)) if !rest.is_empty() && registry(first).is_ok() => Ok(text.to_owned()),
        Some(_) => Err("expected a registry or a part of one, as in `ghcr.io` or `registry.lan:5000/team`".to_owned()),
    }
}

/// Takes any text. An error of a parser would be shown with the text.
fn read_away(_: &str) -> Result<Password, String> {
    Ok(Password)
}
