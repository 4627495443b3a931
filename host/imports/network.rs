//! `wasi:http/client` over the network service: the hooks that wasmtime asks.

use crate::engine::Services;
use crate::engine::state::Warnings;
use crate::network::{Error, Flaw, Network, Stage, Timeouts};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http_body_util::BodyExt;
use std::sync::Arc;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error as WasiError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

/// The hooks of one store.
#[derive(Clone, Debug)]
pub struct Hooks {
    network: Network,
    warnings: Warnings,
}

impl Hooks {
    pub(crate) fn new(services: &Services, warnings: &Warnings) -> Self {
        Self { network: services.network.clone(), warnings: warnings.clone() }
    }
}

/// A response as wasmtime wants it: the head with the body, and a future that
/// does work beside the body, of which there is none here.
type Answer = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), WasiError>> + Send>);

impl WasiHttpHooks for Hooks {
    /// What the component can neither set nor see.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name: &HeaderName| {
            [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name) || DEFAULT_FORBIDDEN_HEADERS.contains(name)
        })
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Box<dyn Future<Output = Result<(), WasiError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answer, WasiError>> + Send> {
        let Self { network, warnings } = self.clone();
        let timeouts = timeouts(options.unwrap_or_default());
        let request = request.map(|body| body.map_err(upload_error).boxed_unsync());
        Box::new(async move {
            let response = network.send(request, timeouts).await.map_err(|error| to_wasi(error, &warnings))?;
            let response = response.map(|body| body.map_err(move |error| to_wasi(error, &warnings)).boxed_unsync());
            let nothing: Box<dyn Future<Output = _> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((response, nothing))
        })
    }
}

fn timeouts(options: RequestOptions) -> Timeouts {
    let Timeouts { connect, first_byte, between_bytes } = Timeouts::default();
    Timeouts {
        connect: options.connect_timeout.unwrap_or(connect),
        first_byte: options.first_byte_timeout.unwrap_or(first_byte),
        between_bytes: options.between_bytes_timeout.unwrap_or(between_bytes),
    }
}

fn upload_error(error: WasiError) -> Error {
    Error::Upload { why: format!("{error:?}") }
}

/// Chooses the code that a registry client can act on. The text is kept where
/// the code has room for it; where it has none and the text is what the person
/// needs, it goes to the log.
fn to_wasi(error: Error, warnings: &Warnings) -> WasiError {
    let text = error.to_string();
    if matches!(error, Error::Denied { .. } | Error::Settings { .. }) {
        warnings.tell(&text, |line| tracing::warn!(target: "wharf::network", "{line}"));
    }
    match error {
        Error::Name { why, .. } => WasiError::DnsError { rcode: Some(why), info_code: None },
        Error::Refused { .. } => WasiError::ConnectionRefused,
        Error::Proxy { proxy, why, .. } => WasiError::InternalError(Some(format!("the proxy `{proxy}` {why}"))),
        Error::Certificate { flaw, why, .. } => alert(of_flaw(flaw), why),
        Error::Client { why, .. } => alert(CERTIFICATE_REQUIRED, why),
        Error::Tls { why, .. } => WasiError::TlsAlertReceived { alert_id: None, alert_message: Some(why) },
        Error::Denied { .. } => WasiError::HttpRequestDenied,
        Error::Timeout { stage: Stage::Connection, .. } => WasiError::ConnectionTimeout,
        Error::Timeout { stage: Stage::Head, .. } => WasiError::HttpResponseTimeout,
        Error::Timeout { stage: Stage::Body, .. } => WasiError::ConnectionReadTimeout,
        Error::Connect { why, .. } | Error::Broken { why, .. } => WasiError::InternalError(Some(why)),
        Error::Upload { .. } => WasiError::InternalError(Some(text)),
        Error::Invalid { .. } => WasiError::HttpRequestUriInvalid,
        Error::Settings { .. } => WasiError::ConfigurationError,
    }
}

/// The alert of RFC 8446 section 6.2 for a client without a certificate.
const CERTIFICATE_REQUIRED: u8 = 116;

/// The code for certificates has no room for a reason. That for alerts has, and TLS has an alert for each.
fn alert(id: u8, why: String) -> WasiError {
    WasiError::TlsAlertReceived { alert_id: Some(id), alert_message: Some(why) }
}

/// Returns the alert of RFC 8446 section 6.2 that is sent for such a certificate.
fn of_flaw(flaw: Flaw) -> u8 {
    match flaw {
        Flaw::Name => 42,
        Flaw::Time => 45,
        Flaw::Other => 46,
        Flaw::Authority => 48,
    }
}
