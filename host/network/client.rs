//! The connection pools: one for `http`, one for `https`, and one for each distinct way in which configuration wants
//! some origins to be reached.
//!
//! None follows redirects, decompresses, or reads the environment. The first two are apart because the root
//! certificates are only loaded for `https`: a pull from a registry on loopback does not wait for them. A pool is made
//! by the first request that needs it, so that a mistake in the configuration of one origin is met by requests to that
//! origin and by no other.

use super::policy::Policy;
use super::proxies::Gateways;
use super::resolver::{Guarded, Resolve};
use super::tls::{self, Roots, Special};
use super::{CONNECT_TIMEOUT, Error, Identity, Origin, Site};
use reqwest::{Client, redirect};
use rustls::ClientConfig;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long an idle connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// The pools.
#[derive(Debug)]
pub(super) struct Clients {
    gateways: Gateways,
    certificates: Arc<Vec<u8>>,
    resolver: Arc<Guarded>,
    roots: OnceCell<Roots>,
    plain: OnceCell<Client>,
    secure: OnceCell<Client>,
    /// The pools of configuration.
    profiles: Vec<Profile>,
    /// Which of them an origin has. Those that have none share the first two.
    sites: HashMap<Origin, usize>,
}

/// How some origins are reached.
struct Profile {
    way: Way,
    origins: Vec<Origin>,
    client: OnceCell<Client>,
}

/// Two sites share a pool if this is equal.
#[derive(PartialEq, Eq)]
struct Way {
    secure: bool,
    authorities: Vec<u8>,
    /// Certificates and key.
    identity: Option<(Vec<u8>, Vec<u8>)>,
    skip_verify: bool,
    connect_timeout: Option<Duration>,
}

/// Keys are secrets.
impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("origins", &self.origins).finish_non_exhaustive()
    }
}

impl Way {
    /// Returns how `site` is reached, if that is not how every other origin is.
    fn of(site: &Site) -> Option<Self> {
        let Site { origin, authorities, identity, skip_verify, headers: _, connect_timeout } = site;
        let mut way = Self {
            secure: origin.is_secure(),
            authorities: Vec::new(),
            identity: None,
            skip_verify: false,
            connect_timeout: *connect_timeout,
        };
        if way.secure {
            way.authorities.clone_from(authorities);
            way.identity = identity.clone().map(|Identity { certificates, key }| (certificates, key));
            way.skip_verify = *skip_verify;
        }
        let special = !way.authorities.is_empty() || way.identity.is_some() || way.skip_verify;
        (special || way.connect_timeout.is_some()).then_some(way)
    }
}

impl Clients {
    /// Takes the sites, of which only how they are reached matters here.
    pub(super) fn new(
        gateways: Gateways,
        certificates: Vec<u8>,
        policy: Arc<Policy>,
        resolver: Arc<dyn Resolve>,
        sites: &[Site],
    ) -> Self {
        let mut clients = Self {
            gateways,
            certificates: Arc::new(certificates),
            resolver: Arc::new(Guarded { policy, resolver }),
            roots: OnceCell::new(),
            plain: OnceCell::new(),
            secure: OnceCell::new(),
            profiles: Vec::new(),
            sites: HashMap::new(),
        };
        for site in sites {
            let Some(way) = Way::of(site) else { continue };
            let profiles = &mut clients.profiles;
            let index = profiles.iter().position(|profile| profile.way == way).unwrap_or_else(|| {
                profiles.push(Profile { way, origins: Vec::new(), client: OnceCell::new() });
                profiles.len() - 1
            });
            profiles[index].origins.push(site.origin.clone());
            clients.sites.insert(site.origin.clone(), index);
        }
        clients
    }

    /// Returns the proxies.
    pub(super) fn gateways(&self) -> &Gateways {
        &self.gateways
    }

    /// Returns the pool for `origin`.
    ///
    /// Fails with [`Error::Settings`] if what TLS needs cannot be read.
    pub(super) async fn for_origin(&self, origin: &Origin) -> Result<&Client, Error> {
        if let Some(index) = self.sites.get(origin) {
            let profile = &self.profiles[*index];
            return profile.client.get_or_try_init(|| self.make_special(profile, origin)).await;
        }
        if self.needs_tls(origin.is_secure()) {
            return self.secure.get_or_try_init(|| self.make_secure()).await;
        }
        self.plain.get_or_try_init(|| async { self.make(tls::unused(), CONNECT_TIMEOUT) }).await
    }

    /// A proxy that is itself reached by TLS needs the certificates whatever the destination is.
    fn needs_tls(&self, secure: bool) -> bool {
        secure || self.gateways.is_secure()
    }

    async fn roots(&self) -> Result<Roots, Error> {
        let load = || async {
            let certificates = self.certificates.clone();
            let roots = tokio::task::spawn_blocking(move || Roots::load(&certificates)).await;
            roots.expect("loading certificates does not panic, and nobody aborts it")
        };
        self.roots.get_or_try_init(load).await.cloned()
    }

    async fn make_secure(&self) -> Result<Client, Error> {
        let tls = tls::configuration(Some(self.roots().await?), &Special::default());
        self.make(tls.map_err(|why| Error::Settings { why })?, CONNECT_TIMEOUT)
    }

    async fn make_special(&self, profile: &Profile, origin: &Origin) -> Result<Client, Error> {
        let Profile { way, origins, .. } = profile;
        let timeout = way.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        if !self.needs_tls(way.secure) {
            return self.make(tls::unused(), timeout);
        }
        let identity = way.identity.clone().map(|(certificates, key)| Identity { certificates, key });
        let special = Special {
            hosts: origins.iter().map(Origin::host).collect(),
            authorities: &way.authorities,
            identity: identity.as_ref(),
            skip_verify: way.skip_verify,
        };
        let roots = match self.roots().await {
            Ok(roots) => Some(roots),
            // A machine without certificates can reach what has its own.
            Err(_) if way.skip_verify || !way.authorities.is_empty() => None,
            Err(error) => return Err(error),
        };
        let tls = tls::configuration(roots, &special)
            .map_err(|why| Error::Settings { why: format!("the settings for `{origin}`: {why}") })?;
        self.make(tls, timeout)
    }

    fn make(&self, tls: ClientConfig, connect_timeout: Duration) -> Result<Client, Error> {
        // `no_proxy` means: do not look into the environment.
        let builder = Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(tls)
            .dns_resolver(self.resolver.clone())
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT);
        let built = self.gateways.put_into(builder).build();
        built.map_err(|error| Error::Settings { why: format!("the HTTP client: {}", error.without_url()) })
    }
}
