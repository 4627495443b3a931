//! HTTP for the component and for token requests: connections, TLS, one policy about where requests may
//! go, and the place where a grant becomes an `authorization` header.
//!
//! It does not follow redirects, decompress, retry or keep cookies: those decisions are made by the
//! caller. It knows neither the component's runtime nor what a registry is.
//!
//! ```text
//! request ─► rules of headers ─► policy: scheme, name, literal address ─► pool ─► resolver ─► socket
//!            wharf-grant ► authorization                                 │        └ policy: each address
//!            site ► headers                                              └ of the site, or of everybody
//! ```
//!
//! # Sites
//!
//! A [`Site`] is what configuration says about one origin: exactly that scheme, host and port. Its headers are sent
//! there and nowhere else, wherever that origin redirects to; a grant comes before an `authorization` among them. Its
//! authorities are trusted beside those of the system, its certificate is shown, and its certificate is not verified,
//! there and nowhere else. A site of `http` may be spoken to without TLS. One thing is wider than the origin: its host
//! counts as asked for. An origin that has no site is reached as ever.
//!
//! # Proxies
//!
//! `https` goes through an HTTP proxy by `CONNECT`, `http` is forwarded by it, and SOCKS carries both; `socks5h` and
//! `socks4a` leave names to the proxy, `socks5` and `socks4` do not. The login in a proxy's URL is sent to that proxy
//! alone. The policy judges literal addresses before a proxy is asked; a name that the proxy resolves can only be judged
//! as a name. A client certificate may be shown to a proxy that is itself reached by TLS, if it asks for one.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `policy` | which destinations are refused, and why |
//! | [`resolver`] | names to addresses, through the policy |
//! | `grants` | the ids in the ledger of rights that requests may use |
//! | `request` | which headers a request may carry |
//! | `sites` | what requests to configured origins carry |
//! | `client` | the pools |
//! | `tls` | whom they trust, and who they say they are |
//! | `proxies` | which proxy is on the way |
//! | `body` | bodies on their way, with deadlines |
//! | `echo` | secrets that an answer repeats are taken out of it |
//! | `rate` | the limit of bytes a second |
//! | [`error`] | why no whole response came |

mod body;
mod client;
#[cfg(test)]
mod destinations;
mod echo;
pub mod error;
mod grants;
mod policy;
mod proxies;
mod rate;
mod request;
pub mod resolver;
mod sites;
pub(crate) mod tls;

pub use body::{Incoming, Outgoing, empty};
pub use error::{Error, Flaw, Stage};
pub use wharf_credentials::grants::Grants;
pub use wharf_credentials::origin::Origin;

use body::{Arriving, Progress};
use bytes::Bytes;
use client::Clients;
use echo::Echo;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, SET_COOKIE};
use http_body_util::BodyExt;
use policy::Policy;
use proxies::Gateways;
use rate::Rate;
use request::Prepared;
use resolver::{Resolve, System};
use sites::Sites;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a connection may take, from the name to the end of the TLS handshake.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request that never left is sent again.
const UNSENT_MAX: usize = 3;

/// The response header of RFC 2965, which nobody should send any more.
const SET_COOKIE2: HeaderName = HeaderName::from_static("set-cookie2");

/// What a network is made with. Everything ambient (the environment, files) was read by the caller.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The proxies, as the environment names them.
    pub proxies: Proxies,
    /// Registries that may be spoken to without TLS, as in `registry.lan:5000`. The entry stands for the host, whatever
    /// the port: who trusts the wire to a host trusts it for its token server and its blob store as well. It counts as
    /// asked for, as by [`Network::allow`].
    pub plain_http: Vec<String>,
    /// Certificates in PEM that are trusted beside those of the system.
    pub certificates: Vec<u8>,
    /// Who turns names into addresses; the system if none is given.
    pub resolver: Option<Arc<dyn Resolve>>,
    /// What is special about single origins.
    pub sites: Vec<Site>,
    /// How many bytes of bodies arrive in a second, all responses together, and how many go out, all requests
    /// together; none for as many as there are. They pass evenly, and waiting for them is not counted as silence of
    /// the server.
    pub bytes_per_second: Option<NonZeroU64>,
}

/// What configuration says about one origin. Its host counts as asked for, as by [`Network::allow`].
#[derive(Clone)]
pub struct Site {
    /// Which one. Nothing of this applies to another port or scheme.
    pub origin: Origin,
    /// Certificates in PEM of authorities that are trusted for it, beside those of the system. A self-signed
    /// certificate that is listed here is trusted as the server's own as well.
    pub authorities: Vec<u8>,
    /// Who the client is, for servers that ask.
    pub identity: Option<Identity>,
    /// Whether any certificate will do. TLS is spoken all the same, and the server is told which name it is called by.
    pub skip_verify: bool,
    /// What every request to it carries, unless the request has a header of that name itself; `user-agent` is
    /// replaced. The values may be secrets.
    pub headers: HeaderMap,
    /// How long a connection may take; none for [`CONNECT_TIMEOUT`].
    pub connect_timeout: Option<Duration>,
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate of the client first.
    pub certificates: Vec<u8>,
    /// The key of the first one.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl Site {
    /// Returns a site about which nothing is special.
    pub fn new(origin: Origin) -> Self {
        Self {
            origin,
            authorities: Vec::new(),
            identity: None,
            skip_verify: false,
            headers: HeaderMap::new(),
            connect_timeout: None,
        }
    }
}

/// Headers and keys are secrets, so only their names are shown.
impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site")
            .field("origin", &self.origin)
            .field("identity", &self.identity.is_some())
            .field("skip_verify", &self.skip_verify)
            // The iterator over the names shows the values as well.
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Proxies in the conventional spelling of the environment, as in `http://proxy.lan:3128`. A missing scheme means
/// `http://`. Loopback destinations are never sent to a proxy.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http://` destinations: `HTTP_PROXY`.
    pub http: Option<String>,
    /// For `https://` destinations: `HTTPS_PROXY`.
    pub https: Option<String>,
    /// For what the other two leave: `ALL_PROXY`.
    pub all: Option<String>,
    /// Destinations that are reached directly: `NO_PROXY`.
    pub except: Option<String>,
}

/// A proxy's URL may hold a password, so only its presence is shown.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("all", &self.all.is_some())
            .field("except", &self.except)
            .finish()
    }
}

/// How long one request may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection. More than [`CONNECT_TIMEOUT`], or than the site's own, has no effect. The pool does not say when it has
    /// connected, so that this and `first_byte` make one deadline.
    pub connect: Duration,
    /// From the connection, or from the last piece of the request's body, until the head of the response.
    pub first_byte: Duration,
    /// Between two pieces of the response's body. Time in which the reader does not ask does not count.
    pub between_bytes: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: CONNECT_TIMEOUT, first_byte: Duration::from_secs(60), between_bytes: Duration::from_secs(60) }
    }
}

/// The network. Cheap to clone; clones share the pool, the policy and the grants.
#[derive(Clone, Debug)]
pub struct Network {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    policy: Arc<Policy>,
    sites: Sites,
    clients: Clients,
    grants: Grants,
    /// Of what arrives, and of what goes out.
    rates: Option<(Arc<Rate>, Arc<Rate>)>,
}

impl Network {
    /// Makes a network. Opens nothing and reads nothing: what TLS needs is loaded by the first request that needs it,
    /// and what is wrong with a site is told to the first request to it.
    ///
    /// Fails with [`Error::Settings`].
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { proxies, plain_http, certificates, resolver, sites, bytes_per_second } = settings;
        let gateways = Gateways::new(&proxies)?;
        let policy = Arc::new(Policy::new(&plain_http, &sites, gateways.hosts())?);
        let resolver = resolver.unwrap_or_else(|| Arc::new(System));
        let clients = Clients::new(gateways, certificates, policy.clone(), resolver, &sites);
        let rates = bytes_per_second.map(|rate| (Arc::new(Rate::new(rate)), Arc::new(Rate::new(rate))));
        let shared = Shared { policy, sites: Sites::new(&sites), clients, grants: Grants::new(grants::random), rates };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Notes that a person asked for the registry at `authority`, as in `registry.lan:5000`.
    ///
    /// From then on that host may be reached on this machine or in a private network, if that is where it is. Where
    /// `authority` says so itself, as `127.0.0.1:5000`, `localhost` and `10.0.0.1` do, everything on this machine, or
    /// in private networks, may be: its redirects and its token server. A name that merely resolves to such an address
    /// opens nothing else.
    ///
    /// Fails with [`Error::Invalid`] if it is not a host with an optional port.
    pub fn allow(&self, authority: &str) -> Result<(), Error> {
        self.shared.policy.allow(&Origin::new(true, authority)?);
        Ok(())
    }

    /// Returns the ledger of grants.
    pub(crate) fn grants(&self) -> &Grants {
        &self.shared.grants
    }

    /// Sends a request of the component, and returns the head of the response. The body follows on demand, and a body
    /// that is cut short ends with an error.
    ///
    /// A header `wharf-grant` is replaced by `authorization` if the grant is for exactly this origin. The body of a GET
    /// or HEAD is dropped unread.
    ///
    /// Fails with [`Error::Denied`] if the policy forbids the destination, a grant does not belong to it, or the request
    /// carries a header that is not the component's to set.
    pub async fn send(
        &self,
        request: http::Request<Outgoing>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Incoming>, Error> {
        let Prepared { destination, method, headers, body, grant } = request::prepare(request, &self.shared.grants)?;
        let response = self.dispatch(destination, method, headers, body, timeouts).await?;
        if response.status() == http::StatusCode::UNAUTHORIZED
            && let Some(grant) = grant
        {
            self.shared.grants.refused(&grant);
        }
        Ok(response)
    }

    /// Sends a request of the host itself, which may carry `authorization`. It has to have decided before that the
    /// secret may go there; the policy about destinations applies all the same.
    pub(crate) async fn exchange(
        &self,
        request: http::Request<Bytes>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Incoming>, Error> {
        let (parts, body) = request.into_parts();
        let destination = request::destination(&parts.uri)?;
        let body = (!body.is_empty()).then(|| request::Payload::Whole(body));
        self.dispatch(destination, parts.method, parts.headers, body, timeouts).await
    }

    async fn dispatch(
        &self,
        destination: reqwest::Url,
        method: http::Method,
        mut headers: HeaderMap,
        body: Option<request::Payload>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Incoming>, Error> {
        let Shared { policy, sites, clients, rates, .. } = &*self.shared;
        let (arriving, departing) = rates.clone().unzip();
        policy.check(&destination)?;
        let origin = Origin::of(&destination)?;
        sites.complete(&origin, &mut headers)?;
        let client = clients.for_origin(&origin).await?;
        let proxy = clients.gateways().on_the_way_to(&origin);
        let progress = Progress::new();
        let echo = Echo::of(&headers);
        let mut request = reqwest::Request::new(method, destination);
        *request.headers_mut() = headers;
        *request.body_mut() = body.map(|payload| payload.into_body(&progress, departing));

        let allowance = timeouts.connect.min(sites.connect_timeout(&origin)).saturating_add(timeouts.first_byte);
        let sending = send(client, request);
        tokio::pin!(sending);
        let response = loop {
            // An upload may take as long as it likes, as long as it moves: the deadline follows its last piece.
            let moved = progress.last();
            tokio::select! {
                response = &mut sending => break response.map_err(|error| error::of_request(&origin, proxy, error))?,
                () = tokio::time::sleep_until(later(moved, allowance)) => {
                    if progress.last() == moved {
                        return Err(Error::Timeout { authority: origin.authority(), stage: Stage::Head });
                    }
                }
            }
        };
        tracing::debug!(%origin, status = response.status().as_u16(), "response");
        if response.status() == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED
            && let Some(proxy) = proxy
        {
            return Err(error::login_for_proxy(&origin, proxy));
        }
        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let response = arrived(parts, Arriving::new(body, origin, timeouts.between_bytes, arriving));
        Ok(echo.take_out_of(response))
    }
}

/// Sends the request, and sends it again if the connection was gone before anything of it was on its way. That says
/// nothing of why: a server that turns a client away after its handshake may be told from one that died only by the
/// next connection.
async fn send(client: &reqwest::Client, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
    for _ in 0..UNSENT_MAX {
        // What has a body that comes as a stream can be sent once.
        let Some(copy) = request.try_clone() else { break };
        match client.execute(copy).await {
            Err(error) if error::is_unsent(&error) => {}
            done => return done,
        }
    }
    client.execute(request).await
}

/// Returns the response as the component may see it: without cookies, which are neither kept nor sent back.
fn arrived(parts: http::response::Parts, body: Arriving) -> http::Response<Incoming> {
    let mut seen = http::Response::new(body.boxed_unsync());
    *seen.status_mut() = parts.status;
    *seen.version_mut() = parts.version;
    *seen.headers_mut() = parts.headers;
    for name in [SET_COOKIE, SET_COOKIE2, COOKIE, AUTHORIZATION] {
        seen.headers_mut().remove(name);
    }
    seen
}

/// Returns `start + allowance`, or a time that never comes if that is beyond the clock.
fn later(start: Instant, allowance: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    start.checked_add(allowance).unwrap_or_else(|| start + NEVER)
}
