//! A registry on loopback that answers well, except where a test says otherwise: it breaks connections, lies about
//! lengths, stays silent, repeats itself without end. It counts how often each fault struck, what it was asked, and how
//! many bytes of bodies it sent.
//!
//! It serves one small image (see [`Stock`]) over the pull half of the distribution specification, with `Range`, HEAD,
//! pages of tags, tokens, logins, and a second listener as the storage host that blobs are redirected to. It is HTTP/1.1
//! by hand, because no library breaks its own protocol. It takes no uploads, and speaks no TLS.
//!
//! ```text
//! request ─► log ─► right answer ─► the first fault on its object that still strikes ─► wire
//! ```

mod fault;
mod right;
mod stock;
mod tls;
mod wire;

pub(crate) use fault::{At, Fault, Framing, How, Object, Times, What, always, body, first, once, redirect, set};
pub(crate) use stock::{REPOSITORY, SINGLE, Stock, TAGS};
pub(crate) use tls::Untrusted;
pub(crate) use wire::Request;

use super::{PASSWORD, RUNTIME, USER, basic};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use wire::{Ending, Reply};

/// A body without end has so many bytes: more than anybody may read.
pub(crate) const ENDLESS_BYTES: u64 = 32 << 20;

/// So much of an answer may be on its way before anybody reads it: little, so that what is sent is what was wanted.
const SEND_BUFFER_BYTES: u32 = 64 << 10;

/// A password of [`USER`] that the registry does not accept.
pub(crate) const WRONG_PASSWORD: &str = "searchlight";

/// What the registry wants to see before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Nothing.
    #[default]
    Open,
    /// The login of [`USER`].
    Basic,
    /// A token, which anybody gets.
    Token,
    /// A token, which [`USER`] gets.
    TokenForLogin,
}

/// What is special about a registry.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) auth: Auth,
    /// Whether blobs are at the storage host.
    pub(crate) storage: bool,
    /// The values of `www-authenticate`, instead of the usual one.
    pub(crate) challenges: Vec<String>,
    /// Whether nothing listens.
    pub(crate) closed: bool,
    /// How many tags a page has.
    pub(crate) page_tags: usize,
    pub(crate) stock: Arc<Stock>,
}

impl Default for Options {
    fn default() -> Self {
        let (auth, stock) = (Auth::default(), Stock::usual());
        Self { auth, storage: false, challenges: Vec::new(), closed: false, page_tags: 2, stock }
    }
}

/// One of the two listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Registry,
    Storage,
}

/// A request, and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) place: Place,
    pub(crate) on: Option<Object>,
    pub(crate) request: Request,
    pub(crate) at: Instant,
    /// The fault that struck.
    pub(crate) fault: Option<usize>,
}

/// The registry. It listens until it is dropped.
#[derive(Debug)]
pub(crate) struct FaultRegistry {
    shared: Arc<Shared>,
    /// Set while nothing listens.
    closed: Mutex<Option<TcpSocket>>,
    serving: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    registry: SocketAddr,
    storage: SocketAddr,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    options: Options,
    faults: Vec<Fault>,
    /// How often each fault struck.
    fired: Vec<u32>,
    seen: Vec<Seen>,
    sent: BTreeMap<Object, u64>,
    /// Tokens that are good.
    tokens: BTreeSet<String>,
    /// How many tokens there ever were.
    issued: usize,
}

/// What is done about a request.
enum Act {
    Silence,
    HangUp(How),
    Answer(Reply),
}

impl FaultRegistry {
    /// Starts on free ports.
    pub(crate) fn start(options: Options, faults: Vec<Fault>) -> Self {
        let _runtime = RUNTIME.enter();
        let (socket, storage) = (bound(), bound());
        let address = |socket: &TcpSocket| socket.local_addr().expect("it is bound");
        let fired = vec![0; faults.len()];
        let closed = options.closed;
        let (seen, sent, tokens) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        let log = Log { options, faults, fired, seen, sent, tokens, issued: 0 };
        let shared = Shared { registry: address(&socket), storage: address(&storage), log: Mutex::new(log) };
        let this = Self { shared: Arc::new(shared), closed: Mutex::default(), serving: Mutex::default() };
        this.listen(storage, Place::Storage);
        if closed {
            *this.closed.lock().expect("no holder panics") = Some(socket);
        } else {
            this.listen(socket, Place::Registry);
        }
        this
    }

    fn listen(&self, socket: TcpSocket, place: Place) {
        let _runtime = RUNTIME.enter();
        let listener = socket.listen(64).expect("a bound socket can listen");
        let serving = RUNTIME.spawn(accept(listener, place, self.shared.clone()));
        self.serving.lock().expect("no holder panics").push(serving);
    }

    /// From here on everything is answered well. What struck so far stays counted.
    pub(crate) fn heal(&self) {
        let mut log = self.shared.log();
        log.options.challenges.clear();
        log.faults.clear();
        drop(log);
        if let Some(socket) = self.closed.lock().expect("no holder panics").take() {
            self.listen(socket, Place::Registry);
        }
    }

    /// Where it listens, as in `127.0.0.1:40123`.
    pub(crate) fn authority(&self) -> String {
        self.shared.registry.to_string()
    }

    /// How often each fault struck.
    pub(crate) fn fired(&self) -> Vec<u32> {
        self.shared.log().fired.clone()
    }

    /// Bytes of bodies that were sent for an object.
    pub(crate) fn sent(&self, object: Object) -> u64 {
        self.shared.log().sent.get(&object).copied().unwrap_or_default()
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.log().seen.clone()
    }

    /// Whether this value of `Authorization` is one that this registry may see.
    pub(crate) fn knows(&self, authorization: &str) -> bool {
        let issued = self.shared.log().issued;
        let is_token = |text: &str| (1..=issued).any(|number| self.shared.token(number) == text);
        let logins = [PASSWORD, WRONG_PASSWORD].map(|password| basic(USER, password));
        logins.iter().any(|login| login == authorization) || authorization.strip_prefix("Bearer ").is_some_and(is_token)
    }
}

impl Drop for FaultRegistry {
    fn drop(&mut self) {
        self.serving.lock().expect("no holder panics").iter().for_each(JoinHandle::abort);
    }
}

fn bound() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("the machine has sockets");
    socket.set_send_buffer_size(SEND_BUFFER_BYTES).expect("a socket takes this option");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("the machine has a free port");
    socket
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no holder panics")
    }

    fn token(&self, number: usize) -> String {
        format!("token-{}-{number}", self.registry.port())
    }

    /// Notes a request and decides what is done about it.
    fn decide(&self, place: Place, request: &Request) -> (Option<Object>, Act) {
        let mut log = self.log();
        let (on, mut reply) = self.right(&mut log, place, request);
        let strikes = |log: &Log, at: usize| match log.faults[at].times {
            Times::First(times) => log.fired[at] < times,
            Times::Always => true,
        };
        let fault = (0..log.faults.len()).find(|&at| Some(log.faults[at].on) == on && strikes(&log, at));
        log.seen.push(Seen { place, on, request: request.clone(), at: Instant::now(), fault });
        let Some(fault) = fault else { return (on, Act::Answer(reply)) };
        log.fired[fault] += 1;
        for what in log.faults[fault].what.clone() {
            match what {
                What::Silence => return (on, Act::Silence),
                What::HangUp(how) => return (on, Act::HangUp(how)),
                What::Revoke => {
                    log.tokens.clear();
                    reply = self.challenge(&log);
                }
                What::RevokeAfter => log.tokens.clear(),
                What::WholeRange => {
                    let headers = request.headers.iter().filter(|(name, _)| name != "range").cloned().collect();
                    reply = self.right(&mut log, place, &Request { headers, ..request.clone() }).1;
                }
                other => self.spoil(&log, &mut reply, other),
            }
        }
        (on, Act::Answer(reply))
    }

    /// Does one thing to an answer.
    fn spoil(&self, log: &Log, reply: &mut Reply, what: What) {
        let length = reply.body.len();
        match what {
            What::Status(status) => *reply = Reply::new(status),
            What::Set(name, value) => {
                reply.headers.retain(|(known, _)| known != name);
                reply.headers.push((name.to_owned(), self.fill(log, &value)));
            }
            What::Add(name, value) => reply.headers.push((name.to_owned(), self.fill(log, &value))),
            What::Remove(name) => reply.headers.retain(|(known, _)| known != name),
            What::Body(bytes) => {
                reply.body = match String::from_utf8(bytes.to_vec()) {
                    Ok(text) => self.fill(log, &text).into(),
                    Err(_) => bytes,
                }
            }
            What::Truncate(at) => reply.body.truncate(at.of(length)),
            What::Extend(more) => reply.body = [&reply.body[..], &vec![b' '; more]].concat().into(),
            What::Flip(at) => {
                let mut bytes = reply.body.to_vec();
                if let Some(byte) = bytes.get_mut(at.of(length.saturating_sub(1))) {
                    *byte ^= 1;
                }
                reply.body = bytes.into();
            }
            What::Framing(framing) => reply.framing = framing,
            What::Endless => {
                reply.ending = Ending::Endless;
                if matches!(reply.framing, Framing::Length) {
                    reply.framing = Framing::Chunked;
                }
            }
            What::Cut(at, how) => reply.ending = Ending::Cut(at.of(length), how),
            What::Stall(at) => reply.ending = Ending::Stall(at.of(length)),
            What::DripHead(ms) => reply.drip_head = Some(std::time::Duration::from_millis(ms)),
            What::DripBody(ms) => reply.drip_body = Some(std::time::Duration::from_millis(ms)),
            What::Silence | What::HangUp(_) | What::Revoke | What::RevokeAfter | What::WholeRange => {
                unreachable!("the caller does these")
            }
        }
    }

    /// Fills a template in.
    fn fill(&self, log: &Log, template: &str) -> String {
        let date = |seconds: i64| {
            let moment = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
        };
        template
            .replace("{registry}", &self.registry.to_string())
            .replace("{storage}", &self.storage.to_string())
            .replace("{layer}", log.options.stock.of(Object::Layer).0)
            .replace("{token}", &self.token(log.issued))
            .replace("{soon}", &date(2))
            .replace("{past}", &date(-86_400))
    }
}

async fn accept(listener: TcpListener, place: Place, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(converse(socket, place, shared.clone()));
    }
}

async fn converse(mut stream: TcpStream, place: Place, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut rest = Vec::new();
    while let Some(request) = wire::read(&mut stream, &mut rest).await {
        let (on, act) = shared.decide(place, &request);
        let done = match act {
            Act::Silence => {
                wire::wait_for_the_end(&mut stream).await;
                None
            }
            Act::HangUp(how) => {
                wire::hang_up(&stream, how);
                None
            }
            Act::Answer(reply) => {
                let count = |bytes: usize| {
                    if let Some(on) = on {
                        *shared.log().sent.entry(on).or_default() += bytes as u64;
                    }
                };
                wire::write(&mut stream, &reply, request.method != "HEAD", count).await
            }
        };
        if done.is_none() {
            return;
        }
    }
}
