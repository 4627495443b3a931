//! The verbs `login`, `logout` and `whoami`. It is a part of `main`, and as such takes ambient authority: it asks at the
//! terminal, and writes the file with logins.
//!
//! Who keeps a login is decided in `host/credentials`, and whether it is a good one by the registry.

mod files;
mod programs;

use crate::ambient::{Configured, configured, documents, root, services};
use crate::{Failed, print, problem, talk};
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use wharf::cli::{self, Cli, TableFormat, exit};
use wharf::credentials::keep::{Forgotten, Kept, forget, keep};
use wharf::credentials::{self, Credentials, Login, Source};
use wharf::engine::Services;
use wharf::images::{Caller, ErrorCode, Problem, Wharf};
use wharf::network::{self, Network, Origin};
use wharf::render;
use wharf::render::escape;
use wharf::render::palette::Palette;
use zeroize::Zeroizing;

/// The most that is read of a password, in bytes.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// Returns what the credentials of a call are made with.
pub(crate) fn settings(access: &cli::Access) -> Result<credentials::Settings, Problem> {
    Ok(credentials::Settings { realms: access.token_servers(), ..stored(access.auth_file())? })
}

fn stored(named: Option<&Path>) -> Result<credentials::Settings, Problem> {
    let (documents, helpers) = (documents(named)?, Some(Arc::new(programs::Programs) as _));
    Ok(credentials::Settings { documents, helpers, ..Default::default() })
}

fn known(named: Option<&Path>) -> Result<Credentials, Problem> {
    let network = Network::new(network::Settings::default()).map_err(|error| problem("cannot start", &error))?;
    Credentials::new(stored(named)?, network).map_err(|error| problem("cannot use the logins", &error))
}

/// `wharf login`: asks the registry whether it accepts the login, and has it kept.
pub(crate) async fn log_in(cli: &Cli, login: &cli::Login, caller: &Caller, palette: Palette) -> Result<u8, Failed> {
    let registry = &login.registry;
    let what = format!("cannot log in to `{registry}`");
    let wrong = |error: credentials::Error| problem(&what, &error);
    if login.has_password() {
        let problem = Problem {
            code: ErrorCode::Invalid,
            fix: Some("leave `--password` out and be asked for it, or pipe it in with `--password-stdin`".to_owned()),
            ..problem("a password cannot be an argument", &"other users of the machine can read arguments")
        };
        return Err(Failed { problem, code: exit::USAGE });
    }
    // Before anybody types a password.
    let path = files::place(login.access.auth_file())?;
    let entered = entered(login, &what)?;

    let Configured { access, settings, .. } =
        configured(&login.access, &format!("{registry}/"), login.access.access())?;
    let network = Network::new(settings).map_err(|error| problem("cannot use the network", &error))?;
    let settings = credentials::Settings { realms: login.access.token_servers(), ..Default::default() };
    let services = services(&root(cli)?, network, settings)?;
    let credentials = services.credentials.with_login(registry, &entered).map_err(wrong)?;
    let wharf = Wharf::new(Services { credentials, ..services })?;
    let is_wanted = wharf.check_login(caller, registry, &access).await?;

    let document = files::read(&path)?;
    let helper = programs::Programs;
    let Kept { document, program } = keep(&document, Some(&helper), registry, &entered).await.map_err(wrong)?;
    files::write(&path, &document)?;

    let file = path.display().to_string();
    let keeper = match &program {
        Some(program) => format!("`{program}` keeps the login"),
        None => format!("the login is kept in `{file}`"),
    };
    talk(&format!("logged in to `{registry}` as `{}`; {}\n", escape::text(entered.user()), escape::text(&keeper)));
    let warn = |sentence: &str| talk(&render::problem::warning(sentence, palette));
    if !is_wanted {
        warn(&format!("`{registry}` asked for no login, so that it could not be checked"));
    }
    if program.is_none() {
        warn(&format!(
            "the password is stored unencrypted in `{file}`; a program that `credsStore` names there can keep it"
        ));
    }
    if login.access.auth_file().is_none()
        && let Some(other) = described(&known(None)?, registry).map_err(wrong)?
        && other.file != file
    {
        warn(&format!("another login for `{registry}` comes before it: that of {other}"));
    }
    Ok(exit::DONE)
}

/// `wharf logout`: takes the login away from where `wharf login` would have put it.
pub(crate) async fn log_out(logout: &cli::Logout, palette: Palette) -> Result<u8, Failed> {
    let registry = logout.registry();
    let whom = registry.map_or("all registries".to_owned(), |registry| format!("`{registry}`"));
    let wrong = |error: credentials::Error| problem(&format!("cannot log out of {whom}"), &error);
    let path = files::place(logout.file.path())?;
    let document = files::read(&path)?;
    let forgotten = forget(&document, Some(&programs::Programs), registry).await.map_err(wrong)?;
    let any = forgotten.any();
    let Forgotten { document, programs } = forgotten;
    if let Some(document) = &document {
        files::write(&path, document)?;
    }

    let file = path.display().to_string();
    let mut places: Vec<String> = programs.iter().map(|program| format!("`{program}`")).collect();
    if document.is_some() {
        places.push(format!("`{file}`"));
    }
    talk(&escape::text(&match (any, registry) {
        (true, _) => format!("logged out of {whom}: removed from {}", places.join(" and ")),
        (false, Some(_)) => format!("not logged in to {whom} by `{file}`"),
        (false, None) => format!("there are no logins in `{file}`"),
    }));
    talk("\n");
    if let Some(registry) = registry
        && logout.file.path().is_none()
        && let Some(other) = described(&known(None)?, registry).map_err(wrong)?
        && other.file != file
    {
        talk(&render::problem::warning(
            &format!(
                "a login for `{registry}` is left: that of {other}; take it away with `--auth-file {}`",
                other.file
            ),
            palette,
        ));
    }
    Ok(exit::DONE)
}

/// `wharf whoami`.
pub(crate) async fn tell_logins(whoami: &cli::Whoami, palette: Palette) -> Result<u8, Failed> {
    let credentials = known(whoami.file.path())?;
    let mut code = exit::DONE;
    let mut sources = Vec::new();
    match &whoami.registry {
        Some(registry) => {
            let what = format!("cannot tell who is logged in to `{registry}`");
            let (origin, repository) = parts(registry).map_err(|error| problem(&what, &error))?;
            let found = credentials.identify(&origin, repository).await.map_err(|error| problem(&what, &error))?;
            sources.push(found.ok_or_else(|| Problem {
                code: ErrorCode::NotFound,
                what: format!("not logged in to `{registry}`"),
                why: Vec::new(),
                fix: Some(format!("log in with `wharf login {}`", registry.split('/').next().unwrap_or_default())),
            })?);
        }
        None => {
            for entry in credentials.entries().await {
                match entry {
                    Ok(source) => sources.push(source),
                    Err(error) => {
                        talk(&render::problem::warning(&error.to_string(), palette));
                        // What was found is not all that there is.
                        code = exit::FAILED;
                    }
                }
            }
        }
    }
    print(&match whoami.format {
        TableFormat::Json => render::login::json(&sources),
        TableFormat::Table if sources.is_empty() => String::new(),
        TableFormat::Table => render::login::table(&sources),
    });
    if sources.is_empty() {
        talk("not logged in anywhere\n");
    }
    Ok(code)
}

/// Returns the login that was typed in or piped in.
fn entered(login: &cli::Login, what: &str) -> Result<Login, Problem> {
    let failed = |error: std::io::Error| problem(what, &error);
    let stdin = std::io::stdin();
    if !login.password_stdin && !stdin.is_terminal() {
        return Err(Problem {
            fix: Some("pipe the password in, with `--username USER --password-stdin`".to_owned()),
            ..problem(what, &"there is no terminal to ask for the password at")
        });
    }
    let user = match &login.username {
        Some(user) => user.clone(),
        None => {
            talk("Username: ");
            let mut line = String::new();
            stdin.lock().read_line(&mut line).map_err(failed)?;
            line.trim().to_owned()
        }
    };
    let password = if login.password_stdin {
        let mut bytes = Zeroizing::new(Vec::with_capacity(PASSWORD_BYTES_MAX as usize + 1));
        stdin.lock().take(PASSWORD_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > PASSWORD_BYTES_MAX {
            return Err(problem(what, &format!("the password has more than {PASSWORD_BYTES_MAX} bytes")));
        }
        let text = str::from_utf8(&bytes).map_err(|_| problem(what, &"the password is not UTF-8"))?;
        // One line break is `echo`'s, and not the password's.
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        Zeroizing::new(text.to_owned())
    } else {
        Zeroizing::new(rpassword::prompt_password("Password: ").map_err(failed)?)
    };
    Login::new(user, password).map_err(|error| problem(what, &error))
}

/// Returns where the login for a registry or a part of one is, as far as the files say.
fn described(credentials: &Credentials, registry: &str) -> Result<Option<Source>, credentials::Error> {
    match parts(registry) {
        Ok((origin, repository)) => credentials.describe(&origin, repository),
        Err(_) => Ok(None),
    }
}

/// Takes `registry.lan/team` apart.
fn parts(registry: &str) -> Result<(Origin, Option<&str>), network::Error> {
    let (authority, repository) =
        registry.split_once('/').map_or((registry, None), |(authority, rest)| (authority, Some(rest)));
    Ok((Origin::new(true, authority)?, repository))
}
