//! Proxies: which one a destination goes through, and how it is called in an error.
//!
//! It opens no connections; the pool does. It never repeats the login that the URL of a proxy may hold.

use super::{Error, Origin, Proxies};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{NoProxy, Proxy, Url};
use std::collections::HashSet;

/// Destinations that no proxy is asked for, as other tools do it: they mean this machine, and the proxy is another.
const NEVER_BY_PROXY: &str = "localhost,127.0.0.0/8,::1";

/// The schemes of proxies. The `h` and the `a` of SOCKS let the proxy resolve names.
const PROXY_SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The port of SOCKS where none is named. RFC 1928 section 3.
const SOCKS_PORT: u16 = 1080;

/// Proxies that were read, in the order in which they are asked whether they are for a destination.
#[derive(Debug, Default)]
pub(super) struct Gateways {
    list: Vec<Gateway>,
}

struct Gateway {
    /// As the pool takes it.
    proxy: Proxy,
    /// What the pool makes of it. It does not say so itself, and an error has to name the proxy.
    matcher: Matcher,
    host: String,
    /// Host and port, without a login.
    name: String,
    secure: bool,
}

/// The pool's own text shows the login.
impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gateway").field(&self.name).finish()
    }
}

impl Gateways {
    /// Reads the settings of proxies.
    ///
    /// Fails with [`Error::Settings`], without repeating the value, which may hold a password.
    pub(super) fn new(settings: &Proxies) -> Result<Self, Error> {
        let except = match &settings.except {
            Some(except) => format!("{except},{NEVER_BY_PROXY}"),
            None => NEVER_BY_PROXY.to_owned(),
        };
        type Make = fn(Url) -> reqwest::Result<Proxy>;
        // The first one that fits is used.
        let rows: [(&str, &Option<String>, Make); 3] = [
            ("HTTP destinations", &settings.http, Proxy::http),
            ("HTTPS destinations", &settings.https, Proxy::https),
            ("all destinations", &settings.all, Proxy::all),
        ];
        let mut list = Vec::new();
        for (what, value, make) in rows {
            let Some(value) = value.as_deref().map(str::trim).filter(|value| !value.is_empty()) else { continue };
            let wrong = |why: &str| Error::Settings { why: format!("the proxy for {what} {why}") };
            let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
            let url = Url::parse(&text).map_err(|_| wrong("is not a URL"))?;
            if !PROXY_SCHEMES.contains(&url.scheme()) {
                return Err(wrong(&format!("has the scheme `{}`, which is none of a proxy", url.scheme())));
            }
            let host = url.host_str().ok_or_else(|| wrong("names no host"))?.to_owned();
            let port = url.port_or_known_default().unwrap_or(SOCKS_PORT);
            let builder = Matcher::builder().no(except.as_str());
            let matcher = match what {
                "HTTP destinations" => builder.http(url.as_str()),
                "HTTPS destinations" => builder.https(url.as_str()),
                _ => builder.all(url.as_str()),
            };
            list.push(Gateway {
                matcher: matcher.build(),
                name: format!("{host}:{port}"),
                host,
                secure: url.scheme() == "https",
                proxy: make(url).map_err(|_| wrong("is not usable"))?.no_proxy(NoProxy::from_string(&except)),
            });
        }
        Ok(Self { list })
    }

    /// Returns the hosts of the proxies.
    pub(super) fn hosts(&self) -> HashSet<String> {
        self.list.iter().map(|gateway| gateway.host.clone()).collect()
    }

    /// Returns whether one of them is itself reached by TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.list.iter().any(|gateway| gateway.secure)
    }

    /// Returns host and port of the proxy that requests to `origin` go through, if there is one.
    pub(super) fn on_the_way_to(&self, origin: &Origin) -> Option<&str> {
        let destination: http::Uri = origin.to_string().parse().ok()?;
        let gateway = self.list.iter().find(|gateway| gateway.matcher.intercept(&destination).is_some())?;
        Some(&gateway.name)
    }

    /// Gives them to a pool.
    pub(super) fn put_into(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        self.list.iter().fold(builder, |builder, gateway| builder.proxy(gateway.proxy.clone()))
    }
}
