//! Why no whole response came, in cases that a caller can act on.
//!
//! No case holds a URL, a header or a piece of a body: URLs of redirects carry signatures. Texts of other crates are
//! used where they describe the wire.

mod tls;

use super::Origin;
use std::io;
use tls::{of_tls, of_tls_text};
use wharf_credentials::origin;

/// The longest text of another crate that an error repeats, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Why no whole response came. An authority is as in `registry-1.docker.io` or `127.0.0.1:5000`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name does not resolve.
    #[error("the name of `{authority}` does not resolve: {why}")]
    Name {
        /// Where the request went.
        authority: String,
        /// What the resolver said.
        why: String,
    },
    /// Nothing listens there.
    #[error("`{authority}` refuses connections")]
    Refused {
        /// Where the request went.
        authority: String,
    },
    /// No route leads there, or what answers broke the connection off before it was one.
    #[error("no connection to `{authority}`: {why}")]
    Connect {
        /// Where the request went.
        authority: String,
        /// What the system said.
        why: String,
    },
    /// The proxy on the way failed.
    #[error("no connection to `{authority}`: the proxy `{proxy}` {why}")]
    Proxy {
        /// Where the request went.
        authority: String,
        /// Host and port of the proxy, without its login.
        proxy: String,
        /// What it did, as in `refuses connections`.
        why: String,
    },
    /// The server's certificate is not acceptable.
    #[error("the certificate of `{authority}` is not acceptable: {why}")]
    Certificate {
        /// Where the request went.
        authority: String,
        /// What kind of wrong it is.
        flaw: Flaw,
        /// What is wrong with it.
        why: String,
    },
    /// The server lets in no client that it does not know.
    #[error("`{authority}` wants to know who the client is: {why}")]
    Client {
        /// Where the request went.
        authority: String,
        /// What it said.
        why: String,
    },
    /// The TLS handshake failed for another reason than the certificate.
    #[error("TLS with `{authority}` failed: {why}")]
    Tls {
        /// Where the request went.
        authority: String,
        /// What failed.
        why: String,
    },
    /// The policy forbids the destination, or the request.
    #[error("{why}")]
    Denied {
        /// What is forbidden.
        why: String,
    },
    /// Time ran out.
    #[error("`{authority}` did not answer in time: {stage}")]
    Timeout {
        /// Where the request went.
        authority: String,
        /// What was waited for.
        stage: Stage,
    },
    /// The connection broke, or the other end broke the protocol. A body that was cut short ends so.
    #[error("the connection to `{authority}` broke: {why}")]
    Broken {
        /// Where the request went.
        authority: String,
        /// What happened.
        why: String,
    },
    /// The body of the request ended with an error of its producer.
    #[error("the body of the request broke: {why}")]
    Upload {
        /// What its producer said.
        why: String,
    },
    /// The request breaks a rule of HTTP.
    #[error("{why}")]
    Invalid {
        /// Which rule.
        why: String,
    },
    /// The network cannot be set up.
    #[error("{why}")]
    Settings {
        /// Which setting, and what is wrong with it.
        why: String,
    },
}

impl From<origin::Error> for Error {
    fn from(error: origin::Error) -> Self {
        let why = error.to_string();
        match error {
            origin::Error::Invalid { .. } => Self::Invalid { why },
            origin::Error::Scheme { .. } => Self::Denied { why },
        }
    }
}

/// What kind of wrong there is about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Whoever signed it is not trusted.
    Authority,
    /// It is not valid yet, or not any more.
    Time,
    /// It is for another host.
    Name,
    /// Something else.
    Other,
}

/// What a request was waiting for when time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The connection, TLS included.
    Connection,
    /// The head of the response.
    Head,
    /// The next piece of the response's body.
    Body,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connection => "no connection",
            Self::Head => "no response",
            Self::Body => "the response stopped",
        })
    }
}

/// What there is to say of a connection that was gone before anything was on it, each time.
const TURNED_AWAY: &str =
    "it was closed before anything could be sent, as by a server that demands a certificate of the client";

/// Says why a request to `origin` got no response. `proxy` is the one on the way there.
pub(super) fn of_request(origin: &Origin, proxy: Option<&str>, error: reqwest::Error) -> Error {
    let authority = origin.authority();
    let (is_connect, is_timeout, is_dns) = (error.is_connect(), error.is_timeout(), error.is_dns());
    // Without a source it is itself the root, and would show the URL with its signature.
    let error = error.without_url();
    let layers = layers(&error);
    let by_proxy = proxy.filter(|_| is_connect && (is_timeout || is_by_proxy(origin, &layers)));
    for layer in &layers {
        // What the policy or the producer of a body said arrives wrapped in the errors of the layers between.
        if let Some(own) = layer.downcast_ref::<Error>() {
            return own.clone();
        }
    }
    // What took its time behind a proxy is not to be seen from here.
    if let Some(proxy) = by_proxy {
        let why = of_proxy(is_timeout, is_dns, &layers);
        return Error::Proxy { authority, proxy: proxy.to_owned(), why };
    }
    for layer in &layers {
        if let Some(tls) = layer.downcast_ref::<rustls::Error>() {
            return of_tls(authority, tls);
        }
        if is_connect && is_io(*layer, io::ErrorKind::ConnectionRefused) {
            return Error::Refused { authority };
        }
    }
    if is_unsent(&error) {
        return Error::Broken { authority, why: TURNED_AWAY.to_owned() };
    }
    let text = layers.last().map(ToString::to_string).unwrap_or_default();
    if let Some(error) = of_tls_text(&authority, &text) {
        return error;
    }
    let why = brief(&text);
    match (is_timeout, is_dns, is_connect) {
        (true, _, true) => Error::Timeout { authority, stage: Stage::Connection },
        (true, _, false) => Error::Timeout { authority, stage: Stage::Head },
        (false, true, _) => Error::Name { authority, why },
        (false, false, true) => Error::Connect { authority, why },
        (false, false, false) => Error::Broken { authority, why },
    }
}

/// Returns whether the connection was gone before anything of the request was on it. Why it went is not known here.
pub(super) fn is_unsent(error: &reqwest::Error) -> bool {
    layers(error).iter().any(|layer| layer.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

/// Says that a proxy answered in the place of the server, and wants a login.
pub(super) fn login_for_proxy(origin: &Origin, proxy: &str) -> Error {
    let why = "asks for a login, or for another one".to_owned();
    Error::Proxy { authority: origin.authority(), proxy: proxy.to_owned(), why }
}

type Layer<'a> = &'a (dyn std::error::Error + 'static);

/// Returns an error and its causes, outermost first.
fn layers(error: &reqwest::Error) -> Vec<Layer<'_>> {
    let mut layers: Vec<Layer<'_>> = vec![error];
    let mut layer: Layer<'_> = error;
    loop {
        // `source()` of an `io::Error` skips the error that it wraps.
        let inner = layer.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        match inner.map(|inner| inner as Layer<'_>).or_else(|| layer.source()) {
            Some(source) => {
                layers.push(source);
                layer = source;
            }
            None => return layers,
        }
    }
}

/// The texts that layers have which speak with a proxy. Their types have no public names.
const TUNNEL: &str = "tunnel error";
const SOCKS: [&str; 2] = ["error connecting to socks proxy", "SOCKS error"];
const SOCKS_RESOLVES: &str = "error resolving for socks proxy";

/// Returns whether a connection that failed was one to, or by, the proxy that is on the way to `origin`.
fn is_by_proxy(origin: &Origin, layers: &[Layer<'_>]) -> bool {
    let has = |text: &str| layers.iter().any(|layer| layer.to_string().starts_with(text));
    // Names of destinations are resolved here where the proxy does not do it.
    if has(SOCKS_RESOLVES) {
        return false;
    }
    // Plain HTTP is forwarded: every connection is one to the proxy. What is inside a tunnel is the server's.
    !origin.is_secure() || has(TUNNEL) || SOCKS.iter().any(|text| has(text))
}

fn of_proxy(is_timeout: bool, is_dns: bool, layers: &[Layer<'_>]) -> String {
    if is_timeout {
        return "gave no connection in time".to_owned();
    }
    if layers.iter().any(|layer| is_io(*layer, io::ErrorKind::ConnectionRefused)) {
        return "refuses connections".to_owned();
    }
    let root = layers.last().map(|root| brief(&root.to_string())).unwrap_or_default();
    let said = |text: &str| text.trim_start_matches("tunnel error: ").trim_start_matches("SOCKS error: ").to_owned();
    match said(&root).as_str() {
        why if is_dns => format!("has a name that does not resolve: {why}"),
        "proxy authorization required" | "credentials not accepted" => {
            "asks for a login, or for another one".to_owned()
        }
        "server does not support user/pass authentication" => "takes no login".to_owned(),
        "unsuccessful" => "does not let the connection through".to_owned(),
        "failed to create underlying connection" => "cannot be connected to".to_owned(),
        why => format!("failed: {why}"),
    }
}

fn is_io(layer: Layer<'_>, kind: io::ErrorKind) -> bool {
    layer.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == kind)
}

/// Says why a body did not arrive whole.
pub(super) fn of_body(origin: &Origin, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut root: &dyn std::error::Error = &error;
    while let Some(source) = root.source() {
        root = source;
    }
    Error::Broken { authority: origin.authority(), why: brief(&root.to_string()) }
}

/// Returns `text` on one line, cut to a length that fits into an error.
pub(super) fn brief(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().flat_map(char::escape_debug) {
        if line.len() + c.len_utf8() > TEXT_BYTES_MAX {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::ResponseBuilderExt;

    #[test]
    fn a_signature_in_a_url_is_in_no_text() {
        let origin = Origin::new(true, "blobs.example").expect("an authority");
        let of_request: fn(&Origin, reqwest::Error) -> Error = |origin, error| of_request(origin, None, error);
        for of in [of_request, of_body] {
            let url = "https://blobs.example/blob?signature=hunter2".parse().expect("a URL");
            let response = http::Response::builder().status(500).url(url).body("").expect("a response");
            let error = reqwest::Response::from(response).error_for_status().expect_err("500 is an error");
            assert!(error.to_string().contains("hunter2"), "{error}");
            let error = of(&origin, error);
            assert!(matches!(&error, Error::Broken { authority, .. } if authority == "blobs.example"), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn a_text_of_another_crate_is_one_short_line() {
        assert_eq!(brief("end\nof \u{1b}[31mfile"), "end\\nof \\u{1b}[31mfile");
        let long = brief(&"é".repeat(1000));
        assert_eq!(long.chars().filter(|c| *c == 'é').count(), TEXT_BYTES_MAX / 2);
        assert!(long.ends_with('…'));
    }
}
