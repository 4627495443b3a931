//! The Docker Engine routes about images, over [`Host`]: what a client of docker
//! asks for by HTTP becomes a verb, and what comes of it becomes what docker
//! would answer. Nothing is decided about images here.
//!
//! ```text
//! request ─► version ─► route ─► query ─► a verb ─► an answer, or lines as it gets on
//! ```
//!
//! - `version`: which version of the API a client speaks. `query`: what stands behind `?`.
//! - `client`: where an answer goes. `lines`: an answer that grows while a verb runs.
//! - `refusal`: statuses and messages of what does not work. `note`: what is told for whoever counts.
//! - one file a family of routes: `list`, `inspect` (with `manifests`), `create` (`pull` and `import`), `push`,
//!   `change`, `archive`, `discovery`, `events`, `system`, `info` and `usage`.
//!
//! No router stands before them: names of images have slashes in them, as in
//! `/images/{name}/json`, and a list of segments is matched with what stands
//! around the name. Docker Engine API 1.24 to 1.52.

mod archive;
mod change;
mod client;
mod create;
mod discovery;
mod events;
#[cfg(test)]
mod gates;
mod import;
mod info;
mod inspect;
mod lines;
mod list;
mod manifests;
mod note;
mod pull;
mod push;
mod query;
mod refusal;
mod system;
mod usage;
mod version;

pub use client::{Body, Client, Head};
pub use note::{Note, Pulled};
pub use refusal::Refusal;
pub use version::Version;

use crate::{
    host::Host,
    verbs::contract::{Access, Caller},
};
use client::Answer;
use query::Query;

/// The longest path with its query, in bytes.
const TARGET_BYTES_MAX: usize = 16 << 10;

/// How requests are answered. See `serving.settings`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In whose name.
    pub caller: Caller,
    /// How registries are spoken to.
    pub access: Access,
    /// Extract the layers of what runs on the machine.
    pub unpack: bool,
    /// How many blobs are on their way at once, at least 1.
    pub concurrent_transfers: u32,
    /// The machine, as a person knows it.
    pub station: Station,
    /// Who is told what comes of the request.
    pub note: fn(Note),
}

/// See `serving.station`.
#[derive(Clone, Debug, Default)]
pub struct Station {
    /// As in `build-7`.
    pub name: String,
    /// As in `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
    /// As in `6.1.0-18-amd64`.
    pub kernel: String,
    /// How many there are.
    pub processors: u32,
    /// In bytes.
    pub memory_bytes: u64,
}

/// What is asked, but for the body.
#[derive(Clone, Debug)]
pub struct Ask {
    /// As in `GET`.
    pub method: String,
    /// Path and query, as in `/v1.41/images/json?all=1`.
    pub target: String,
    /// The values of `Accept`, with commas between; empty if there are none.
    pub accept: String,
}

/// What every route gets.
struct Context<'c, H> {
    host: &'c H,
    settings: &'c Settings,
    version: Version,
    query: Query,
    accept: &'c str,
}

/// Answers one request.
pub async fn serve<H: Host, C: Client<Blob = H::Blob>>(
    host: &H,
    settings: &Settings,
    ask: &Ask,
    body: H::Stream,
    client: C,
) {
    let path = match Path::read(&ask.target) {
        Ok(path) => path,
        Err(refusal) => return client::send(client, refusal.into()).await,
    };
    let context = Context { host, settings, version: path.version, query: path.query, accept: &ask.accept };
    let segments: Vec<&str> = path.text.split('/').skip(1).collect();
    (settings.note)(Note::Route(note::route(&segments)));
    // Whatever comes of an answer that grows is told where it grows.
    let answer = match (ask.method.as_str(), segments.as_slice()) {
        ("POST", ["images", "create"]) => return create::create(&context, body, client).await,
        ("POST", ["images", "load"]) => return archive::load(&context, body, client).await,
        ("POST", ["images", name @ .., "push"]) if !name.is_empty() => {
            return push::push(&context, &name.join("/"), client).await;
        }
        ("GET", ["images", "get"]) => return archive::save(&context, context.query.all("names"), client).await,
        ("GET", ["images", name @ .., "get"]) if !name.is_empty() => {
            return archive::save(&context, vec![name.join("/")], client).await;
        }
        ("GET", ["events"]) => return events::follow(&context, client).await,
        (method, segments) => route(&context, method, segments, body).await,
    };
    let mut answer = answer.unwrap_or_else(Answer::from);
    if ask.method == "HEAD" {
        answer.body.clear();
    }
    client::send(client, answer).await;
}

/// Answers a request that nothing comes of.
pub async fn refuse<C: Client>(refusal: Refusal, client: C) {
    client::send(client, refusal.into()).await;
}

/// Answers what has its whole answer at once.
async fn route<H: Host>(
    context: &Context<'_, H>,
    method: &str,
    segments: &[&str],
    body: H::Stream,
) -> Result<Answer, Refusal> {
    match (method, segments) {
        ("GET" | "HEAD", ["_ping"]) => Ok(system::ping()),
        ("GET", ["version"]) => Ok(system::version(context)),
        ("GET", ["info"]) => info::info(context).await,
        ("GET", ["system", "df"]) => usage::disk_usage(context).await,
        ("POST", ["auth"]) => system::log_in(context, body).await,
        ("GET", ["images", "json"]) => list::list(context).await,
        ("GET", ["images", "search"]) => discovery::search(context).await,
        ("POST", ["images", "prune"]) => change::prune(context).await,
        ("GET", ["images", name @ .., "json"]) if !name.is_empty() => inspect::inspect(context, &name.join("/")).await,
        ("GET", ["images", name @ .., "history"]) if !name.is_empty() => {
            inspect::history(context, &name.join("/")).await
        }
        ("POST", ["images", name @ .., "tag"]) if !name.is_empty() => change::tag(context, &name.join("/")).await,
        ("DELETE", ["images", name @ ..]) if !name.is_empty() => change::remove(context, &name.join("/")).await,
        ("GET", ["distribution", name @ .., "json"]) if !name.is_empty() => {
            discovery::distribution(context, &name.join("/")).await
        }
        _ => Err(Refusal::elsewhere(method, segments)),
    }
}

/// What stands behind the method.
struct Path {
    version: Version,
    /// Decoded, without the version.
    text: String,
    query: Query,
}

impl Path {
    fn read(target: &str) -> Result<Self, Refusal> {
        if target.len() > TARGET_BYTES_MAX {
            return Err(Refusal::new(414, format!("the address has more than {TARGET_BYTES_MAX} bytes")));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = percent_encoding::percent_decode_str(path).decode_utf8();
        let path = path.map_err(|_| Refusal::new(400, "the path is no UTF-8".to_owned()))?;
        let (version, text) = Version::split(&path)?;
        Ok(Self { version, text: text.to_owned(), query: Query::read(query) })
    }
}
