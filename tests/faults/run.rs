//! Runs cases and holds them to what they say, and all of them to what is always so:
//!
//! - a right is shown to nobody but the registry that it is for;
//! - every blob that can be seen hashes to its name, and a pull that failed recorded nothing;
//! - every pull ends;
//! - after a failure the next pull from a healthy registry succeeds, and fetches what is missing and no more.

use super::case::{Ask, Before, Case, End, Login, Mirror};
use super::engines::{Engine, Pulled, Sandbox};
use crate::native::Native;
use crate::support::fault_registry::{
    Auth, Fault, FaultRegistry, Object, Place, REPOSITORY, Seen, Stock, Times, Untrusted, WRONG_PASSWORD,
};
use crate::support::{self, PASSWORD, USER, basic};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wharf::credentials::{self, Credentials, Document};
use wharf::engine::Services;
use wharf::hash;
use wharf::network::{self, Network};
use wharf::store::Store;
use wharf_component::nouns::access::{Access, AskedFor, Capabilities, Endpoint, Origin, Rule};
use wharf_component::nouns::problem::{ErrorCode, Problem};

/// Nothing here takes so long unless it hangs.
pub(super) const HANG: Duration = Duration::from_secs(90);
/// What the connections of the pull before had under way, a piece each, is counted by the server a moment late.
const LATE_BYTES_MAX: u64 = 64 << 10;
/// No text is longer, in bytes: 2 KiB of the registry's words, and what is said about them.
const TEXT_BYTES_MAX: usize = 3 << 10;
/// So many cases run at once: they mostly wait.
const AT_ONCE: usize = 24;

/// Where the component runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Sandbox,
    Native,
}

/// Runs cases in the sandbox, many at once.
///
/// # Panics
///
/// If any of them does not end as it says, with all that do not.
#[track_caller]
pub(super) fn check(cases: Vec<Case>) {
    let (queue, complaints) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no holder panics").next();
                    let Some(case) = next else { return };
                    // Not in the line below: there the lock would be held while the case runs.
                    let found = run(case, Where::Sandbox, HANG);
                    complaints.lock().expect("no holder panics").extend(found);
                }
            });
        }
    });
    let mut complaints = complaints.into_inner().expect("no holder panics");
    complaints.sort();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Runs one case on this thread, where a pull that takes longer than `patience` hangs. Returns what is not as it says, each with its id.
pub(super) fn run(case: &Case, place: Where, patience: Duration) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let complaints = runtime.block_on(async {
        let world = World::new(case);
        match place {
            Where::Sandbox => story(case, &world, &Sandbox::new(&world.services), patience).await,
            Where::Native => story(case, &world, &world.native(), patience).await,
        }
    });
    // What a pull left behind on a blocking thread has nothing more to say.
    runtime.shutdown_background();
    complaints.into_iter().map(|complaint| format!("{}: {complaint}", case.id)).collect()
}

/// A registry, perhaps a mirror, and an empty store.
pub(super) struct World {
    pub(super) registry: FaultRegistry,
    mirror: Option<FaultRegistry>,
    untrusted: Option<Untrusted>,
    directory: TempDir,
    pub(super) services: Services,
}

impl World {
    pub(super) fn new(case: &Case) -> Self {
        let registry = FaultRegistry::start(case.options.clone(), case.faults.clone());
        let (mirror, untrusted) = match &case.mirror {
            None => (None, None),
            Some(Mirror::Registry(options, faults)) => {
                (Some(FaultRegistry::start(options.clone(), faults.clone())), None)
            }
            Some(Mirror::Untrusted) => (None, Some(Untrusted::start())),
        };
        let directory = tempfile::tempdir().expect("a temporary directory");
        let Store { content, layers, metadata } = support::store(directory.path());
        let network = Network::new(network::Settings::default()).expect("nothing is wrong with the defaults");
        let settings = credentials::Settings { documents: documents(case.login, &registry), ..Default::default() };
        let credentials = Credentials::new(settings, network.clone()).expect("nothing is wrong with the settings");
        let services = Services { content, layers, metadata, credentials, network };
        Self { registry, mirror, untrusted, directory, services }
    }

    /// The same code natively, for somebody who typed the registry, and configured the mirror.
    pub(super) fn native(&self) -> Native {
        Native::new(&self.services, &self.registries())
    }

    fn registries(&self) -> Vec<String> {
        let mirror = self.mirror.as_ref().map(FaultRegistry::authority);
        let untrusted = self.untrusted.as_ref().map(Untrusted::authority);
        [Some(self.registry.authority()), mirror, untrusted].into_iter().flatten().collect()
    }

    /// The case's access, with a rule for the mirror if there is one.
    pub(super) fn access(&self, access: &Access) -> Access {
        let of = |secure, authority, mirror| Endpoint {
            origin: Origin { secure, authority },
            base: "/v2".to_owned(),
            path: None,
            capabilities: Capabilities::ALL,
            asked_for: AskedFor::All,
            mirror,
            names_registry: false,
        };
        let mirror = match (&self.mirror, &self.untrusted) {
            (Some(mirror), _) => of(false, mirror.authority(), true),
            (None, Some(untrusted)) => of(true, untrusted.authority(), true),
            (None, None) => return access.clone(),
        };
        let endpoints = vec![mirror, of(false, self.registry.authority(), false)];
        let rule = Rule { prefix: self.registry.authority(), blocked: false, endpoints };
        Access { rules: vec![rule], ..access.clone() }
    }

    pub(super) fn reference(&self, ask: &Ask, case: &Case) -> String {
        let name = format!("{}/{REPOSITORY}", self.registry.authority());
        match ask {
            Ask::Tag(tag) => format!("{name}:{tag}"),
            Ask::Digest => format!("{name}@{}", case.options.stock.index().digest),
            Ask::AllTags => name,
        }
    }

    fn servers(&self) -> impl Iterator<Item = &FaultRegistry> {
        std::iter::once(&self.registry).chain(&self.mirror)
    }

    /// Bytes of blobs that were sent so far, by everybody.
    fn sent(&self) -> u64 {
        let blobs = [Object::Config, Object::Layer, Object::Small, Object::Stored];
        self.servers().flat_map(|server| blobs.map(|object| server.sent(object))).sum()
    }

    /// Bytes of the image's blobs that are not here, counted without what ingests have.
    fn missing(&self, case: &Case) -> u64 {
        let here: BTreeSet<String> = self.blobs().into_iter().map(|(name, _)| name).collect();
        let ingests = self.services.content.ingests(None, 100).expect("the store can be read");
        let begun = |digest: &str| {
            let found = ingests.iter().find(|ingest| ingest.name.as_deref() == Some(digest));
            found.map_or(0, |ingest| ingest.bytes)
        };
        let blobs = [Object::Config, Object::Layer, Object::Small].map(|object| case.options.stock.of(object));
        let absent = blobs.into_iter().filter(|(digest, _)| !here.contains(*digest));
        absent.map(|(digest, bytes)| (bytes.len() as u64).saturating_sub(begun(digest))).sum()
    }

    /// Names and bytes of all blobs that can be seen.
    fn blobs(&self) -> Vec<(String, Vec<u8>)> {
        let mut blobs = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let directory = self.directory.path().join("blobs").join(algorithm);
            for entry in std::fs::read_dir(directory).expect("the store has this directory") {
                let entry = entry.expect("the directory can be read");
                let name = format!("{algorithm}:{}", entry.file_name().to_string_lossy());
                blobs.push((name, std::fs::read(entry.path()).expect("a blob can be read")));
            }
        }
        blobs
    }
}

/// The documents with logins.
fn documents(login: Login, registry: &FaultRegistry) -> Vec<Document> {
    let password = match login {
        Login::None => return Vec::new(),
        Login::Right => PASSWORD,
        Login::Wrong => WRONG_PASSWORD,
    };
    let login = basic(USER, password).trim_start_matches("Basic ").to_owned();
    let logins = serde_json::json!({ "auths": { registry.authority(): { "auth": login } } });
    vec![Document { label: "config.json".to_owned(), bytes: logins.to_string().into_bytes() }]
}

/// One pull, with what it told.
async fn pull(
    engine: &impl Engine,
    reference: &str,
    all_tags: bool,
    access: &Access,
    patience: Duration,
) -> (Option<Result<Vec<Pulled>, Problem>>, Vec<String>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let ear = told.clone();
    let mut tell = move |text| ear.lock().expect("no holder panics").push(text);
    let stop = CancellationToken::new();
    let pulled = tokio::time::timeout(patience, engine.pull(reference, all_tags, access, &stop, &mut tell)).await;
    let told = told.lock().expect("no holder panics").clone();
    (pulled.ok(), told)
}

async fn story(case: &Case, world: &World, engine: &impl Engine, patience: Duration) -> Vec<String> {
    let mut wrong = Vec::new();
    let reference = world.reference(&case.ask, case);
    let all_tags = matches!(case.ask, Ask::AllTags);
    let access = world.access(&case.access);
    if let Err(why) = prepare(case, world, engine).await {
        return vec![why];
    }
    let (names, past) = (engine.names().await, world.registry.seen().len());

    let (end, told) = pull(engine, &reference, all_tags, &access, patience).await;
    let Some(end) = end else { return vec![format!("the pull hangs; it said {told:?}")] };
    wrong.extend(judge(&end, &case.end));
    for (text, times) in &case.says {
        let found = told.iter().filter(|said| said.contains(text)).count();
        if found != *times {
            wrong.push(format!("`{text}` was said {found} times, and not {times}: {told:#?}"));
        }
    }
    wrong.extend(words(&end, &told));
    wrong.extend(counts(case, world, past));
    wrong.extend(rights(world));
    wrong.extend(damage(world));

    let recorded = engine.names().await;
    if end.is_err() {
        if recorded != names {
            wrong.push(format!("the pull failed, and the records are {recorded:?} after {names:?}"));
        }
        let wants_more = case.options.auth == Auth::Basic && case.login != Login::Right;
        if !wants_more {
            wrong.extend(recover(case, world, engine, &reference).await);
        }
    } else if !all_tags && !recorded.iter().any(|(name, _)| *name == reference) {
        wrong.push(format!("the pull succeeded, and `{reference}` is not among {recorded:?}"));
    }
    wrong
}

/// Brings the store into the state before.
async fn prepare(case: &Case, world: &World, engine: &impl Engine) -> Result<(), String> {
    match case.before {
        Before::Nothing => {}
        Before::Pulled => {
            // The faults are those of HEAD requests, which only a second pull makes.
            let access = world.access(&Access::default());
            let (end, _) = pull(engine, &world.reference(&case.ask, case), false, &access, HANG).await;
            end.is_some_and(|end| end.is_ok()).then_some(()).ok_or("the first pull failed")?;
        }
        Before::Junk(object, bytes) => {
            let digest = case.options.stock.of(object).0;
            let ingest = world.services.content.ingest(digest).map_err(|error| error.to_string())?;
            ingest.append(&vec![0x55; bytes]).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// The end of a pull against what it should be.
fn judge(end: &Result<Vec<Pulled>, Problem>, expected: &End) -> Option<String> {
    match (end, expected) {
        (Ok(_), End::Pulled) => None,
        (Ok(_), End::Failed(code, _)) => Some(format!("the pull succeeded, and should fail with `{code}`")),
        (Err(problem), End::Pulled) => Some(format!("the pull failed: {problem:?}")),
        (Err(problem), End::Failed(code, texts)) => {
            let text = format!("{} {}", problem.why.join(": "), problem.fix.as_deref().unwrap_or_default());
            let lacking: Vec<_> = texts.iter().filter(|wanted| !text.contains(**wanted)).collect();
            let right = name(&problem.code) == *code && lacking.is_empty();
            (!right).then(|| format!("the failure should be `{code}` with {lacking:?}: {problem:?}"))
        }
    }
}

/// Texts that could steer a terminal, or fill it.
fn words(end: &Result<Vec<Pulled>, Problem>, told: &[String]) -> Option<String> {
    let why = end.as_ref().err().map_or(&[][..], |problem| &problem.why);
    let steers = |text: &String| text.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
    let wrong = told.iter().chain(why).find(|text| steers(text) || text.len() > TEXT_BYTES_MAX)?;
    Some(format!("a text is not fit to be shown: {wrong:?}"))
}

fn name(code: &ErrorCode) -> &'static str {
    match code {
        ErrorCode::NotFound => "not-found",
        ErrorCode::Denied => "denied",
        ErrorCode::Invalid => "invalid",
        ErrorCode::DigestMismatch(_) => "digest-mismatch",
        ErrorCode::SizeMismatch(_) => "size-mismatch",
        ErrorCode::TooLarge(_) => "too-large",
        ErrorCode::InUse => "in-use",
        ErrorCode::Conflict => "conflict",
        ErrorCode::NoSpace => "no-space",
        ErrorCode::Unavailable => "unavailable",
        ErrorCode::Unsupported => "unsupported",
        ErrorCode::Cancelled => "cancelled",
        ErrorCode::Other(_) => "other",
    }
}

/// What the servers counted. `past` requests are none of the case's.
fn counts(case: &Case, world: &World, past: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut fired = |who: &str, fired: Vec<u32>, faults: &[Fault], exactly: &[u32]| {
        let right =
            fired.iter().zip(faults).enumerate().all(|(at, (fired, fault))| match (exactly.get(at), fault.times) {
                (Some(times), _) => fired == times,
                (None, Times::First(times)) => *fired == times,
                (None, Times::Always) => *fired > 0,
            });
        if !right {
            wrong.push(format!("the faults of {who} struck {fired:?} times, not {exactly:?}: {faults:?}"));
        }
    };
    fired("the registry", world.registry.fired(), &case.faults, &case.fires);
    if let (Some(mirror), Some(Mirror::Registry(_, faults))) = (&world.mirror, &case.mirror) {
        fired("the mirror", mirror.fired(), faults, &case.mirror_fires);
    }
    let sent = case.sent.iter().map(|&(object, most)| (&world.registry, object, most));
    let mirrored = case.mirror_sent.iter().filter_map(|&(object, most)| Some((world.mirror.as_ref()?, object, most)));
    for (server, object, most) in sent.chain(mirrored) {
        let sent = server.sent(object);
        if sent > most {
            wrong.push(format!("{sent} bytes of {object:?} were sent by {}, over {most}", server.authority()));
        }
    }
    let seen = world.registry.seen();
    for &(object, times) in &case.asked {
        let asked = seen[past..].iter().filter(|seen| seen.on == Some(object)).count();
        if asked != times {
            wrong.push(format!("{object:?} was asked for {asked} times, not {times}"));
        }
    }
    let least = Duration::from_millis(case.apart_ms);
    for (at, struck) in seen.iter().enumerate().filter(|(_, seen)| seen.fault.is_some()) {
        let again =
            seen[at + 1..].iter().find(|next| next.on == struck.on && next.request.target == struck.request.target);
        if again.is_some_and(|again| again.at.duration_since(struck.at) < least) {
            wrong.push(format!("{:?} was asked for again within {least:?}", struck.on));
        }
    }
    if world.untrusted.as_ref().is_some_and(|untrusted| untrusted.connections() != (1, 0)) {
        wrong.push("the server with the bad certificate was not asked by TLS, once".to_owned());
    }
    wrong
}

/// Who was shown what.
fn rights(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    for server in world.servers() {
        for Seen { place, request, .. } in server.seen() {
            if let Some(shown) = request.header("authorization") {
                let is_own = place == Place::Registry && server.knows(shown);
                let login = server.authority() != world.registry.authority() && shown == basic(USER, PASSWORD);
                if !is_own || login {
                    wrong.push(format!("{place:?} of {} was shown `{shown}`", server.authority()));
                }
            }
            for name in ["wharf-grant", "cookie", "proxy-authorization"] {
                if request.header(name).is_some() {
                    wrong.push(format!("`{name}` was sent to {}", server.authority()));
                }
            }
        }
    }
    wrong
}

/// Blobs that are not what their names say.
fn damage(world: &World) -> Vec<String> {
    let blobs = world.blobs().into_iter();
    let wrong = blobs.filter(|(name, bytes)| {
        let digest: hash::Digest = name.parse().expect("a blob is named by its digest");
        hash::Digest::of(digest.algorithm(), bytes) != digest
    });
    wrong.map(|(name, _)| format!("the blob `{name}` is visible and does not hash to its name")).collect()
}

/// The next pull, when all is well again.
async fn recover(case: &Case, world: &World, engine: &impl Engine, reference: &str) -> Vec<String> {
    world.servers().for_each(FaultRegistry::heal);
    let (missing, before) = (world.missing(case), world.sent());
    // What was asked for may be nothing that can be pulled; the usual image can.
    let reference = match &case.ask {
        Ask::Tag(tag) if Stock::usual().document(tag).is_none() => world.reference(&Ask::Tag("latest"), case),
        _ => reference.to_owned(),
    };
    let access = world.access(&Access::default());
    let (end, _) = pull(engine, &reference, matches!(case.ask, Ask::AllTags), &access, HANG).await;
    let fetched = world.sent() - before;
    let mut wrong = damage(world);
    match end {
        Some(Ok(_)) if fetched <= missing + LATE_BYTES_MAX => {}
        Some(Ok(_)) => {
            wrong.push(format!("the next pull fetched {fetched} bytes of blobs, and {missing} were missing"))
        }
        Some(Err(problem)) => wrong.push(format!("the next pull failed: {problem:?}")),
        None => wrong.push("the next pull hangs".to_owned()),
    }
    wrong
}
