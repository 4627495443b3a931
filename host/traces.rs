//! Spans for a collector of OpenTelemetry, by OTLP over HTTP in protobuf: they are gathered here, sent now and then, and at
//! the end. What they are about is said where they are made: `door/spans.rs`.
//!
//! Nothing of the log goes along, and nothing that other crates tell: spans of [`TARGET`] alone.

use crate::network::{self, Network, Proxies, Timeouts};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// The target of every span that is sent.
pub const TARGET: &str = "wharf::requests";

/// What the path of an address is followed by. OTLP specification, “OTLP/HTTP Request”.
const PATH: &str = "v1/traces";
/// How much of an answer is read. It says how many spans were refused, if any were.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long a collector is waited for.
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(5),
    first_byte: Duration::from_secs(10),
    between_bytes: Duration::from_secs(10),
};

/// Spans on their way to a collector.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Traces")
    }
}

impl Traces {
    /// Begins to gather spans for the collector at an address, as in `http://127.0.0.1:4318`. They are sent on `runtime`,
    /// which has to work while [`Self::stop`] waits.
    ///
    /// Fails with a sentence that does not repeat the address, in which there may be a secret.
    pub fn start(collector: &str, proxies: Proxies, runtime: Handle) -> Result<Self, String> {
        let address = address(collector)?;
        let authority = address.authority().map(ToString::to_string).unwrap_or_default();
        let plain_http = if address.scheme_str() == Some("http") { vec![authority.clone()] } else { Vec::new() };
        let network = Network::new(network::Settings { proxies, plain_http, ..network::Settings::default() });
        let network = network.map_err(|error| error.to_string())?;
        network.allow(&authority).map_err(|error| error.to_string())?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender { network, runtime, is_failing: AtomicBool::new(false) })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(address.to_string());
        let exporter = exporter.build().map_err(|error| error.to_string())?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name("wharf").with_attribute(version).build();
        Ok(Self {
            provider: SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build(),
        })
    }

    /// What the spans come by.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("wharf"))
            .with_location(false)
            .with_threads(false)
            .with_level(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|about| about.is_span() && about.target() == TARGET))
    }

    /// Sends what has not been sent, within so much time. Blocks.
    pub fn stop(&self, patience: Duration) {
        if let Err(error) = self.provider.shutdown_with_timeout(patience) {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }
}

/// Where spans go.
fn address(collector: &str) -> Result<Uri, String> {
    let wrong = || "it is no address as in `http://127.0.0.1:4318`".to_owned();
    let mut parts = collector.parse::<Uri>().map_err(|_| wrong())?.into_parts();
    let is_known = parts.scheme.as_ref().is_some_and(|scheme| ["http", "https"].contains(&scheme.as_str()));
    if !is_known || parts.authority.as_ref().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(wrong());
    }
    let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
    let path = format!("{}/{PATH}", path.trim_end_matches('/'));
    parts.path_and_query = Some(path.parse().map_err(|_| wrong())?);
    Uri::from_parts(parts).map_err(|_| wrong())
}

/// What sends to the collector: the network of everything else, with its certificates.
#[derive(Debug)]
struct Sender {
    network: Network,
    runtime: Handle,
    /// Whether it was said that nothing arrives.
    is_failing: AtomicBool,
}

impl HttpClient for Sender {
    fn send_bytes<'s, 'f>(
        &'s self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let network = self.network.clone();
            // This is polled on a thread that has no sockets and no timers.
            let sent = self.runtime.spawn(async move { exchange(&network, request).await }).await;
            let sent = sent.unwrap_or_else(|error| Err(error.into()));
            let why = match &sent {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(format!("the collector answers with status {}", response.status().as_u16())),
                Err(error) => Some(error.to_string()),
            };
            match (&why, self.is_failing.swap(why.is_some(), Ordering::Relaxed)) {
                (Some(why), false) => tracing::warn!("spans cannot be sent, and are lost meanwhile: {why}"),
                (None, true) => tracing::info!("spans are sent again"),
                (Some(_), true) | (None, false) => {}
            }
            sent
        })
    }
}

async fn exchange(network: &Network, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = network.exchange(request, TIMEOUTS).await?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_a_collector() {
        let rows = [
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/v1/traces")),
            ("http://127.0.0.1:4318/", Some("http://127.0.0.1:4318/v1/traces")),
            ("https://telemetry.example/otlp/", Some("https://telemetry.example/otlp/v1/traces")),
            ("127.0.0.1:4318", None),
            ("grpc://127.0.0.1:4317", None),
            ("http://name:secret@127.0.0.1:4318", None),
            ("http://", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(address(text).ok().map(|address| address.to_string()).as_deref(), expected, "{text}");
        }
    }
}
