//! The connection pools, TLS and proxies.
//!
//! There are two pools, because the root certificates are only loaded for `https`: a pull from a registry on loopback
//! does not wait for them. Neither follows redirects, decompresses, or reads the environment.

use super::policy::Policy;
use super::resolver::{Guarded, Resolve};
use super::{CONNECT_TIMEOUT, Error, Origin, Proxies};
use reqwest::{Client, NoProxy, Proxy, Url, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long an idle connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Destinations that no proxy is asked for, as other tools do it: they mean this machine, and the proxy is another.
const NEVER_BY_PROXY: &str = "localhost,127.0.0.0/8,::1";

/// The schemes of proxies. The `h` and the `a` of SOCKS let the proxy resolve names.
const PROXY_SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The pools, made by the first request that needs them.
#[derive(Debug)]
pub(super) struct Clients {
    proxies: Gateways,
    certificates: Arc<Vec<u8>>,
    resolver: Arc<Guarded>,
    plain: OnceCell<Client>,
    secure: OnceCell<Client>,
}

/// Proxies that were read.
#[derive(Debug)]
pub(super) struct Gateways {
    list: Vec<Proxy>,
    hosts: HashSet<String>,
    secure: bool,
}

impl Gateways {
    /// Returns the hosts of the proxies.
    pub(super) fn hosts(&self) -> HashSet<String> {
        self.hosts.clone()
    }
}

/// Reads the settings of proxies.
///
/// Fails with [`Error::Settings`], without repeating the value, which may hold a password.
pub(super) fn proxies(settings: &Proxies) -> Result<Gateways, Error> {
    let except = match &settings.except {
        Some(except) => format!("{except},{NEVER_BY_PROXY}"),
        None => NEVER_BY_PROXY.to_owned(),
    };
    let mut gateways = Gateways { list: Vec::new(), hosts: HashSet::new(), secure: false };
    type Make = fn(Url) -> reqwest::Result<Proxy>;
    // The first one that fits is used.
    let rows: [(&str, &Option<String>, Make); 3] = [
        ("HTTP destinations", &settings.http, Proxy::http),
        ("HTTPS destinations", &settings.https, Proxy::https),
        ("all destinations", &settings.all, Proxy::all),
    ];
    for (what, value, make) in rows {
        let Some(value) = value.as_deref().map(str::trim).filter(|value| !value.is_empty()) else { continue };
        let wrong = |why: &str| Error::Settings { why: format!("the proxy for {what} {why}") };
        let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let url = Url::parse(&text).map_err(|_| wrong("is not a URL"))?;
        if !PROXY_SCHEMES.contains(&url.scheme()) {
            return Err(wrong(&format!("has the scheme `{}`, which is none of a proxy", url.scheme())));
        }
        let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
        gateways.hosts.insert(host.to_owned());
        gateways.secure |= url.scheme() == "https";
        let proxy = make(url).map_err(|_| wrong("is not usable"))?;
        gateways.list.push(proxy.no_proxy(NoProxy::from_string(&except)));
    }
    Ok(gateways)
}

impl Clients {
    pub(super) fn new(
        proxies: Gateways,
        certificates: Vec<u8>,
        policy: Arc<Policy>,
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        Self {
            proxies,
            certificates: Arc::new(certificates),
            resolver: Arc::new(Guarded { policy, resolver }),
            plain: OnceCell::new(),
            secure: OnceCell::new(),
        }
    }

    /// Returns the pool for `origin`.
    pub(super) async fn for_origin(&self, origin: &Origin) -> Result<&Client, Error> {
        // A proxy that is itself reached by TLS needs the certificates whatever the destination is.
        if origin.is_secure() || self.proxies.secure {
            return self.secure.get_or_try_init(|| self.make_secure()).await;
        }
        self.plain.get_or_try_init(|| async { self.make(without_roots()) }).await
    }

    async fn make_secure(&self) -> Result<Client, Error> {
        let certificates = self.certificates.clone();
        // Hundreds of certificates are read from files and parsed.
        let tls = tokio::task::spawn_blocking(move || with_roots(&certificates)).await;
        self.make(tls.expect("loading certificates does not panic, and nobody aborts it")?)
    }

    fn make(&self, tls: ClientConfig) -> Result<Client, Error> {
        // `no_proxy` means: do not look into the environment.
        let mut builder = Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(tls)
            .dns_resolver(self.resolver.clone())
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT);
        for proxy in &self.proxies.list {
            builder = builder.proxy(proxy.clone());
        }
        builder.build().map_err(|error| Error::Settings { why: format!("the HTTP client: {}", error.without_url()) })
    }
}

/// The cryptography is chosen here and not for the whole process, which belongs to whoever embeds this library.
fn versions() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers what TLS 1.2 and 1.3 need")
}

/// TLS that trusts nobody, for a pool that never uses it.
fn without_roots() -> ClientConfig {
    versions().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

/// TLS that trusts whom the system trusts, and the certificates in `pem`.
fn with_roots(pem: &[u8]) -> Result<ClientConfig, Error> {
    let extra = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Settings { why: format!("the trusted certificates: {error}") })?;
    let builder = versions();
    let verifier = Verifier::new_with_extra_roots(extra, builder.crypto_provider().clone())
        .map_err(|error| Error::Settings { why: format!("the trusted certificates: {error}") })?;
    let mut tls = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}
