//! Why no whole response came, in cases that a caller can act on.
//!
//! No case holds a URL, a header or a piece of a body: URLs of redirects carry signatures. Texts of other crates are
//! used where they describe the wire.

use super::Origin;
use std::io;

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
    /// No route leads there, or the proxy on the way failed.
    #[error("no connection to `{authority}`: {why}")]
    Connect {
        /// Where the request went.
        authority: String,
        /// What the system said.
        why: String,
    },
    /// The server's certificate is not acceptable.
    #[error("the certificate of `{authority}` is not acceptable: {why}")]
    Certificate {
        /// Where the request went.
        authority: String,
        /// What is wrong with it.
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

/// Says why a request got no response.
pub(super) fn of_request(origin: &Origin, error: reqwest::Error) -> Error {
    let authority = origin.authority();
    let (is_connect, is_timeout, is_dns) = (error.is_connect(), error.is_timeout(), error.is_dns());
    // Without a source it is itself the root, and would show the URL with its signature.
    let error = error.without_url();
    let mut root: &(dyn std::error::Error + 'static) = &error;
    loop {
        // What the policy or the producer of a body said arrives wrapped in the errors of the layers between.
        if let Some(own) = root.downcast_ref::<Error>() {
            return own.clone();
        }
        if let Some(tls) = root.downcast_ref::<rustls::Error>() {
            return of_tls(authority, tls);
        }
        let io = root.downcast_ref::<io::Error>();
        if is_connect && io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return Error::Refused { authority };
        }
        // `source()` of an `io::Error` skips the error that it wraps.
        let wrapped = io.and_then(io::Error::get_ref).map(|inner| inner as &(dyn std::error::Error + 'static));
        match wrapped.or_else(|| root.source()) {
            Some(source) => root = source,
            None => break,
        }
    }
    let why = brief(&root.to_string());
    match (is_timeout, is_dns, is_connect) {
        (true, _, true) => Error::Timeout { authority, stage: Stage::Connection },
        (true, _, false) => Error::Timeout { authority, stage: Stage::Head },
        (false, true, _) => Error::Name { authority, why },
        (false, false, true) => Error::Connect { authority, why },
        (false, false, false) => Error::Broken { authority, why },
    }
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

fn of_tls(authority: String, error: &rustls::Error) -> Error {
    let why = brief(&error.to_string());
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::Certificate { authority, why }
        }
        _ => Error::Tls { authority, why },
    }
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
        for of in [of_request as fn(&Origin, reqwest::Error) -> Error, of_body] {
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
