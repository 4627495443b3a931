//! Runs a case as a pull in this process, and looks for each secret wherever it could have gone.
//!
//! A secret may be at the listeners that the case names, and has to be there. It may be nowhere else: not with another
//! listener, in the component's memory, in the log, in what is told and printed, nor in any file of the store.

use super::case::{Case, Expected};
use super::cast::{Cast, Who};
use super::listener::Listener;
use super::log::Log;
use super::memory::linear_memories;
use super::scan::{Scanner, Secret};
use crate::network::certificate;
use crate::support;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use tokio_util::sync::CancellationToken;
use wharf::credentials::Credentials;
use wharf::engine::Services;
use wharf::images::{Access, Caller, Failure, Machine, PullOptions, Wanted, Wharf};
use wharf::network::resolver::Resolve;
use wharf::network::{self, Network};
use wharf::render;
use wharf::store::Store;

/// How often the marker stands in what the component is told about the machine.
const MARKERS: usize = 1000;

/// Runs the cases.
///
/// # Panics
///
/// If a secret was where it should not be, or was not where it should. Every such place of every case is told.
#[track_caller]
pub(crate) fn check(cases: Vec<Case>) {
    assert!(!cases.is_empty());
    let complaints: Vec<String> = cases.into_iter().flat_map(run).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn run(case: Case) -> Vec<String> {
    let case = Arc::new(case);
    let traces = pull(&case);
    let complaints = judge(&case.expected, &traces);
    let told = traces.told.lines().next().unwrap_or_default();
    complaints.into_iter().map(|complaint| format!("- {}: {complaint}\n      {told}", case.name)).collect()
}

/// What a pull left behind.
pub(crate) struct Traces {
    pub(crate) cast: Arc<Cast>,
    pub(crate) listeners: Vec<(Who, Listener)>,
    /// The linear memories of its calls, if they were in this process.
    pub(crate) memories: Option<Memories>,
    pub(crate) log: Vec<u8>,
    /// All that was told, as people and programs read it.
    pub(crate) told: String,
    /// The files of the store, by name.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) pulled: bool,
}

/// The linear memories of calls.
pub(crate) struct Memories {
    /// As each call left it.
    pub(crate) last: Vec<Vec<u8>>,
    /// What they were like while requests were under way.
    glimpses: Vec<Vec<u8>>,
}

/// Every name below `test` is this machine, and so is `localhost`.
#[derive(Debug)]
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let known = name == "localhost" || name.ends_with(".test");
        let answer =
            if known { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) } else { Err(std::io::ErrorKind::NotFound.into()) };
        Box::pin(async move { answer })
    }
}

/// Starts the servers of a case. `look` is called whenever one of them is asked something.
pub(crate) fn stage(
    case: &Arc<Case>,
    look: impl Fn() + Clone + Send + Sync + 'static,
) -> (Arc<Cast>, Vec<(Who, Listener)>) {
    let tls = case.secure.then(|| CERTIFICATE.0.clone());
    let far = if case.secure || case.named { "127.0.0.1" } else { "127.0.0.2" };
    let listeners = vec![
        (Who::Registry, Listener::bind("127.0.0.1", tls.clone())),
        (Who::Tokens, Listener::bind("127.0.0.1", tls.clone())),
        (Who::Other, Listener::bind("127.0.0.1", tls.clone())),
        (Who::Far, Listener::bind(far, tls)),
        (Who::Proxy, Listener::bind_proxy()),
    ];
    let places = listeners.iter().map(|(who, listener)| (*who, listener.address())).collect();
    let cast = Arc::new(Cast::new(case.secure, case.named, places));
    for (who, listener) in &listeners {
        let (case, cast, look, who) = (case.clone(), cast.clone(), look.clone(), *who);
        listener.behave(Box::new(move |request| {
            look();
            case.answer(&cast, who, request)
        }));
    }
    (cast, listeners)
}

/// The certificate of every server that speaks TLS.
static CERTIFICATE: LazyLock<(rustls::ServerConfig, Vec<u8>)> =
    LazyLock::new(|| certificate(&["registry.test", "*.registry.test", "cdn.test"]));

/// Pulls what the case says, among servers that behave as it says.
pub(crate) fn pull(case: &Arc<Case>) -> Traces {
    let marker = Secret::plain("marker");
    let (memories, glimpses, files) = <(Seen<_>, Seen<_>, Seen<_>)>::default();
    let (cast, listeners) = {
        let (glimpses, marker) = (glimpses.clone(), Arc::new(Scanner::new([&marker])));
        stage(case, move || glimpses.lock().expect("no listener panics").extend(own_memories(&marker)))
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = Log::default();
    let (runtime, _guard) = log.runtime();
    let observe = {
        let (memories, files) = (memories.clone(), files.clone());
        let (marker, store) = (Scanner::new([&marker]), directory.path().to_owned());
        move |_: &'static str, _: &_| {
            memories.lock().expect("no observer panics").extend(own_memories(&marker));
            read_files(&store, &mut files.lock().expect("no observer panics"));
        }
    };
    let (told, pulled) = runtime.block_on(async {
        let certificates = CERTIFICATE.1.clone();
        let mut settings = network::Settings { resolver: Some(Arc::new(Names)), certificates, ..Default::default() };
        case.network.iter().for_each(|change| change(&cast, &mut settings));
        let network = Network::new(settings).expect("the settings are good");
        let credentials = Credentials::new(case.credentials_settings(&cast), network.clone()).expect("good settings");
        let Store { content, layers, metadata } = support::store(directory.path());
        let services = Services { content, layers, metadata, credentials, network };
        let wharf = Wharf::new(services).expect("the component loads").with_observer(observe);
        ask(case, &cast, &wharf, &marker).await
    });
    drop(runtime);
    let mut files = taken(&files);
    read_files(directory.path(), &mut files);
    let memories = Some(Memories { last: taken(&memories), glimpses: taken(&glimpses) });
    Traces { cast, listeners, memories, log: log.bytes(), told, files, pulled }
}

/// What threads collect.
type Seen<T> = Arc<Mutex<Vec<T>>>;

fn taken<T>(seen: &Seen<T>) -> Vec<T> {
    std::mem::take(&mut *seen.lock().expect("no holder panics"))
}

/// Returns the memories that know the marker: other tests run beside this one.
fn own_memories(marker: &Scanner) -> Vec<Vec<u8>> {
    let mut memories = linear_memories();
    memories.retain(|memory| !marker.find(memory).is_empty());
    memories
}

/// Pulls and inspects. Returns all that was told, and whether the image is here.
async fn ask(case: &Case, cast: &Cast, wharf: &Wharf, marker: &Secret) -> (String, bool) {
    let machine = Machine {
        os: "linux".to_owned(),
        architecture: "x86_64".to_owned(),
        big_endian: false,
        amd64_level: 1,
        // Often enough that some of it survives in memory that was freed. The component reads it on ARM alone.
        cpuinfo: marker.text.repeat(MARKERS),
        uname: "x86_64".to_owned(),
    };
    let caller = Caller { namespace: marker.text.clone(), machine };
    let mut access =
        Access { plain_http: Vec::new(), rules: Vec::new(), aliases: Vec::new(), retries: 0, silence_ms: 10_000 };
    case.access.iter().for_each(|change| change(cast, &mut access));
    let (wanted, all_tags) = (Wanted::Machine, case.all_tags);
    let options = PullOptions { wanted, all_tags, concurrent_downloads: 2, unpack: false, retention: None, access };
    let reference = (case.reference)(cast);
    let mut events = String::new();
    let mut tell = |event| writeln!(events, "{event:?}").expect("memory is writable");
    let outcome = wharf.pull(&caller, &reference, &options, &CancellationToken::new(), &mut tell).await;
    let mut told = match &outcome {
        Ok(pulled) => render::pulled::json(pulled) + &render::pulled::talk(pulled),
        Err(Failure::Problem(problem)) => {
            let palette = render::palette::Palette::of(false);
            render::problem::json(problem) + &render::problem::text(problem, palette)
        }
        Err(_) => String::new(),
    };
    write!(told, "{outcome:?}\n{events}").expect("memory is writable");
    if outcome.is_ok() && !case.all_tags {
        let inspected = wharf.inspect(&caller, &reference, None, true, true).await.expect("it was pulled");
        told.push_str(&inspected);
    }
    (told, outcome.is_ok())
}

/// Adds what lies below `directory`, whatever it is.
pub(crate) fn read_files(directory: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(directory).expect("the store can be read").map_while(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            read_files(&path, files);
        } else if let Ok(bytes) = std::fs::read(&path) {
            files.push((path.display().to_string(), bytes));
        }
    }
}

/// Returns what is wrong.
pub(crate) fn judge(expected: &Expected, traces: &Traces) -> Vec<String> {
    let mut wrong = Vec::new();
    if traces.pulled != expected.pulled {
        wrong.push(format!("the pull {}", if traces.pulled { "succeeded" } else { "failed" }));
    }
    heard(expected, traces, &mut wrong);
    for who in &expected.visited {
        if requests(traces, *who) == 0 {
            wrong.push(format!("{who:?} was asked nothing"));
        }
    }
    for who in &expected.spared {
        if requests(traces, *who) > 0 {
            wrong.push(format!("{who:?} was asked something"));
        }
    }
    let count: usize = traces.listeners.iter().map(|(_, listener)| listener.requests().len()).sum();
    if count > expected.requests_max {
        wrong.push(format!("there were {count} requests, and {} are enough", expected.requests_max));
    }
    let all = Scanner::new(traces.cast.secrets.all());
    let mut silent = |place: &str, bytes: &[u8]| {
        for found in all.find(bytes) {
            wrong.push(format!("{found} is in {place}"));
        }
    };
    for memory in traces.memories.iter().flat_map(|memories| memories.last.iter().chain(&memories.glimpses)) {
        silent("the component's memory", memory);
    }
    silent("the log", &traces.log);
    silent("what was told", traces.told.as_bytes());
    for (name, bytes) in &traces.files {
        silent(name, bytes);
    }
    // Whoever finds nothing has to have looked at something.
    if traces.memories.as_ref().is_some_and(|memories| memories.last.is_empty()) {
        wrong.push("no memory was looked at".to_owned());
    }
    if !traces.files.iter().any(|(name, _)| name.contains("metadata.sqlite")) {
        wrong.push(format!("{} files were looked at", traces.files.len()));
    }
    let port = traces.cast.port(Who::Registry).to_string();
    if requests(traces, Who::Registry) > 0 && !String::from_utf8_lossy(&traces.log).contains(&port) {
        wrong.push("the log does not tell of the registry".to_owned());
    }
    wrong.sort_unstable();
    wrong.dedup();
    wrong
}

fn requests(traces: &Traces, who: Who) -> usize {
    traces.listeners.iter().filter(|(other, _)| *other == who).map(|(_, listener)| listener.requests().len()).sum()
}

/// Compares who heard which secret with who should have.
fn heard(expected: &Expected, traces: &Traces, wrong: &mut Vec<String>) {
    let secrets = &traces.cast.secrets;
    let groups = [
        ("the login", secrets.login().to_vec(), &expected.login_at),
        ("a token", secrets.tokens.iter().collect(), &expected.token_at),
        ("the login of another", vec![&secrets.stranger], &expected.stranger_at),
        ("the login for the proxy", vec![&secrets.proxy], &expected.proxy_at),
    ];
    for (what, secrets, allowed) in groups {
        let scanner = Scanner::new(secrets);
        let mut at = BTreeSet::new();
        for (who, listener) in &traces.listeners {
            if !scanner.find(&listener.rubbish()).is_empty() {
                at.insert(*who);
            }
            for request in listener.requests() {
                if scanner.find(&request.raw).is_empty() {
                    continue;
                }
                at.insert(*who);
                // The same server under another name is another origin.
                let host = request.header("host").unwrap_or_default();
                if *who != Who::Proxy && host != traces.cast.authority(*who) {
                    wrong.push(format!("{what} went to {who:?} by the name `{host}`"));
                }
                if let Some(word) = expected.bare.iter().find(|word| request.target.contains(**word)) {
                    wrong.push(format!("{what} went to `{word}`"));
                }
            }
        }
        if at != *allowed {
            wrong.push(format!("{what} was heard by {at:?}, and should be by {allowed:?}"));
        }
    }
    for word in &expected.bare {
        let mut requests = traces.listeners.iter().flat_map(|(_, listener)| listener.requests());
        if !requests.any(|request| request.target.contains(word)) {
            wrong.push(format!("nobody asked for `{word}`"));
        }
    }
}
