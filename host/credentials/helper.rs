//! Docker's credential helpers: programs that keep logins, one call of a program an act.
//!
//! ```text
//! docker-credential-desktop get   ◄─ https://index.docker.io/v1/       ─► {"ServerURL": …, "Username": …, "Secret": …}
//! docker-credential-desktop store ◄─ {"ServerURL": …, "Username": …, "Secret": …}
//! docker-credential-desktop erase ◄─ https://index.docker.io/v1/
//! docker-credential-desktop list                                       ─► {"https://index.docker.io/v1/": "ann"}
//! ```
//!
//! It starts nothing itself: whoever made the credentials says by [`Helpers`] how programs are run. What a program
//! answers is believed only about the registry that it was asked for, and what it says when it fails is shown only
//! where it can hold no secret.

use super::Login;
use super::document::{Password, Scope, Secrets};
use super::secret::Secret;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

/// How long a program may take. It may have to ask a person for a passphrase.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The most that a program may write, to either output, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// The longest name of a helper, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The most that is shown of what a program said, in characters.
const SHOWN_CHARS_MAX: usize = 300;

/// What every helper says if it has no such login: the protocol knows no other sign.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The user name that stands for none: the secret is an identity token.
const IDENTITY: &str = "<token>";

/// What a helper is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Say the login for a registry.
    Get,
    /// Keep a login.
    Store,
    /// Forget the login for a registry.
    Erase,
    /// Say for which registries there are logins.
    List,
}

impl Action {
    /// Returns the argument that stands for it, as in `get`.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Store => "store",
            Self::Erase => "erase",
            Self::List => "list",
        }
    }
}

/// What a program left behind.
pub struct Said {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output, at most [`OUTPUT_BYTES_MAX`].
    pub stdout: Zeroizing<Vec<u8>>,
    /// What it wrote to standard error, at most [`OUTPUT_BYTES_MAX`].
    pub stderr: Zeroizing<Vec<u8>>,
}

/// The output is a secret, so only its length is shown.
impl Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Said").field("code", &self.code).field("stdout", &self.stdout.len()).finish_non_exhaustive()
    }
}

/// Who runs the programs.
pub trait Helpers: Debug + Send + Sync {
    /// Runs `program`, as in `docker-credential-desktop`, with the argument that stands for `action`, writes `input`
    /// to its standard input, and waits for its end. Dropping the future ends the program.
    ///
    /// Fails if it cannot be started, or writes more than [`OUTPUT_BYTES_MAX`].
    fn run(&self, program: &str, action: Action, input: Zeroizing<Vec<u8>>) -> BoxFuture<'static, io::Result<Said>>;
}

/// What `get` answers and `store` takes.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credential<T> {
    #[serde(default, rename = "ServerURL")]
    server: String,
    username: String,
    secret: T,
}

/// The logins that programs have told, as long as the process lives. Also that there is none, and why none was told, so
/// that a person is not asked for a passphrase once a request.
#[derive(Debug, Default)]
pub(super) struct Told {
    helpers: Option<Arc<dyn Helpers>>,
    answers: Mutex<HashMap<Question, Arc<OnceCell<Answer>>>>,
}

/// The program, and the name under which it knows the login.
type Question = (String, String);
type Answer = Result<Option<Arc<Secrets>>, String>;

impl Told {
    pub(super) fn new(helpers: Option<Arc<dyn Helpers>>) -> Self {
        Self { helpers, answers: Mutex::default() }
    }

    pub(super) fn helpers(&self) -> Option<&dyn Helpers> {
        self.helpers.as_deref()
    }

    /// Returns the login that `helper` keeps under `key`, if there is one. The error says what went wrong.
    pub(super) async fn get(&self, helper: &str, key: &str) -> Answer {
        let cell = {
            let mut answers = self.answers.lock().expect("nothing panics while it holds the lock");
            answers.entry((helper.to_owned(), key.to_owned())).or_default().clone()
        };
        let asking = async { get(self.helpers(), helper, key).await.map(|secrets| secrets.map(Arc::new)) };
        cell.get_or_init(|| asking).await.clone()
    }
}

/// Returns the program that a helper is, as in `docker-credential-desktop`, for people.
pub(super) fn program(helper: &str) -> String {
    format!("docker-credential-{}", helper.escape_debug())
}

/// Asks for a login. The error says what went wrong; so it is below.
pub(super) async fn get(helpers: Option<&dyn Helpers>, helper: &str, key: &str) -> Result<Option<Secrets>, String> {
    let said = run(helpers, helper, Action::Get, Zeroizing::new(key.as_bytes().to_vec())).await?;
    if is_not_found(&said) {
        return Ok(None);
    }
    // The parser's message would repeat what it found.
    let answer: Credential<Secret> =
        serde_json::from_slice(succeeded(said)?.as_slice()).map_err(|_| "its answer is not the JSON of a login")?;
    if !is_about(&answer.server, key) {
        return Err("its answer is the login of another registry".to_owned());
    }
    let Credential { username, secret, .. } = answer;
    Ok(match username.as_str() {
        _ if secret.is_empty() => None,
        IDENTITY => Some(Secrets { password: None, identity: Some(secret), registry: None }),
        _ => Some(Secrets {
            password: Some(Password { user: username, password: secret }),
            identity: None,
            registry: None,
        }),
    })
}

/// Has a login kept.
pub(super) async fn store(helpers: Option<&dyn Helpers>, helper: &str, key: &str, login: &Login) -> Result<(), String> {
    let credential =
        Credential { server: key.to_owned(), username: login.user.clone(), secret: login.password.as_str() };
    // Written into a buffer of the right size: one that grows leaves copies behind.
    let size = 64 + 6 * (key.len() + login.user.len() + login.password.len());
    let mut input = Zeroizing::new(Vec::with_capacity(size));
    serde_json::to_writer(&mut *input, &credential).expect("a record of texts can be written");
    let outcome = succeeded(run(helpers, helper, Action::Store, input).await?).map(drop);
    outcome.map_err(|why| match why.contains(login.password.as_str()) {
        true => "it failed, and repeated the password".to_owned(),
        false => why,
    })
}

/// Has a login forgotten; there need not be one.
pub(super) async fn erase(helpers: Option<&dyn Helpers>, helper: &str, key: &str) -> Result<(), String> {
    let said = run(helpers, helper, Action::Erase, Zeroizing::new(key.as_bytes().to_vec())).await?;
    if is_not_found(&said) { Ok(()) } else { succeeded(said).map(drop) }
}

/// Asks for all registries and user names.
pub(super) async fn list(helpers: Option<&dyn Helpers>, helper: &str) -> Result<BTreeMap<String, String>, String> {
    let said = succeeded(run(helpers, helper, Action::List, Zeroizing::default()).await?)?;
    let names: Option<BTreeMap<String, String>> =
        serde_json::from_slice(&said).map_err(|_| "its answer is not the JSON of a list of logins")?;
    Ok(names.unwrap_or_default())
}

async fn run(
    helpers: Option<&dyn Helpers>,
    helper: &str,
    action: Action,
    input: Zeroizing<Vec<u8>>,
) -> Result<Said, String> {
    // It becomes a part of a program's name, and of nothing else.
    let is_name = !helper.is_empty()
        && helper.len() <= NAME_BYTES_MAX
        && helper.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    if !is_name {
        return Err("that is no name of a program".to_owned());
    }
    let helpers = helpers.ok_or("nobody runs programs here")?;
    let running = helpers.run(&format!("docker-credential-{helper}"), action, input);
    let said = match in_time(running).await {
        Some(Ok(said)) => said,
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err("there is no such program in `PATH`".to_owned());
        }
        Some(Err(error)) => return Err(format!("it cannot be run: {error}")),
        None => return Err(format!("it did not end within {} s", TIMEOUT.as_secs())),
    };
    let longest = said.stdout.len().max(said.stderr.len());
    if longest > OUTPUT_BYTES_MAX {
        return Err(format!("it wrote more than {OUTPUT_BYTES_MAX} bytes"));
    }
    Ok(said)
}

/// Returns what a program left behind, or none if it did not end within [`TIMEOUT`].
#[cfg(not(target_family = "wasm"))]
async fn in_time<T>(running: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(TIMEOUT, running).await.ok()
}

/// WASI starts no programs: who says that it has run one has it done already.
#[cfg(target_family = "wasm")]
async fn in_time<T>(running: impl Future<Output = T>) -> Option<T> {
    Some(running.await)
}

fn is_not_found(said: &Said) -> bool {
    said.code != Some(0) && said.stdout.trim_ascii() == NOT_FOUND.as_bytes()
}

fn succeeded(said: Said) -> Result<Zeroizing<Vec<u8>>, String> {
    let how = match said.code {
        Some(0) => return Ok(said.stdout),
        Some(code) => format!("it ended with status {code}"),
        None => "a signal ended it".to_owned(),
    };
    // Helpers tell their errors on standard output, where the logins go as well.
    let said = [&said.stdout, &said.stderr].map(|output| shown(output));
    let texts: Vec<_> = said.into_iter().flatten().collect();
    Err(if texts.is_empty() { how } else { format!("{how} and said `{}`", texts.join("; ")) })
}

/// Returns output on one line, shortened and harmless, unless it is empty or could be a login.
fn shown(output: &[u8]) -> Option<String> {
    let text = Zeroizing::new(String::from_utf8_lossy(output).into_owned());
    if text.contains('{') || text.to_ascii_lowercase().contains("\"secret\"") {
        return Some("(what may hold a secret is not shown)".to_owned());
    }
    let words: Vec<_> = text.split_whitespace().collect();
    let mut line = String::new();
    for c in words.join(" ").chars().take(SHOWN_CHARS_MAX) {
        if matches!(c, '\'' | '"' | '\\') { line.push(c) } else { line.extend(c.escape_debug()) }
    }
    (!line.is_empty()).then_some(line)
}

/// Returns whether an answer about `server` is one to the question about `key`. Some programs leave the server out.
fn is_about(server: &str, key: &str) -> bool {
    server.is_empty()
        || server == key
        || Scope::read(server).zip(Scope::read(key)).is_some_and(|(answered, asked)| answered.is_at(&asked))
}
