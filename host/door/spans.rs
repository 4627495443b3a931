//! A request as spans of [`crate::traces::TARGET`]: one from its head to the end of its answer, and in it one of the pull that
//! it asks for. Names of attributes are those of OpenTelemetry's conventions for HTTP where those have one.
//!
//! | attribute | of | what |
//! | --- | --- | --- |
//! | `http.request.method`, `http.route`, `http.response.status_code` | a request | as they are counted |
//! | `wharf.sandbox.fuel`, `wharf.sandbox.memory_bytes` | a request | what its sandbox has used |
//! | `wharf.image.reference` | a pull | what is pulled |
//! | `wharf.pull.outcome` | a pull | `downloaded`, `up-to-date`, or the code of its failure |
//! | `wharf.pull.layers`, `wharf.pull.fetched_bytes` | a pull | how many it needs, and what came over the network |
//!
//! Nothing of headers, bodies and queries is told but that reference, so that no login is.

use crate::bindings::wharf::images::serving::Pulled;
use crate::traces::TARGET;
use http::StatusCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The route of pulls.
const PULLS: &str = "/images/create";
/// How long a reference may be, in bytes: a name with a digest.
const REFERENCE_BYTES_MAX: usize = 512;

/// One request that is traced. Dropping it ends what it has told of a pull.
#[derive(Debug)]
pub(super) struct Traced {
    request: Span,
    /// What it wants pulled, if it is a pull.
    wanted: Option<String>,
    pull: Mutex<Option<Pull>>,
}

/// A pull that goes on.
#[derive(Debug)]
struct Pull {
    span: Span,
    references: Vec<String>,
    outcome: &'static str,
    layers: usize,
    fetched_bytes: u64,
}

impl Traced {
    /// A request begins. `wanted` is the image that it names, if it names one.
    pub(super) fn begin(method: &'static str, wanted: Option<String>) -> Self {
        let request = info_span!(
            target: TARGET,
            parent: None,
            "request",
            otel.name = method,
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = Empty,
            http.response.status_code = Empty,
            wharf.sandbox.fuel = Empty,
            wharf.sandbox.memory_bytes = Empty,
        );
        Self { request, wanted, pull: Mutex::default() }
    }

    fn pull(&self) -> MutexGuard<'_, Option<Pull>> {
        self.pull.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The span of the request, which ends when nobody has it any more.
    pub(super) fn span(&self) -> Span {
        self.request.clone()
    }

    /// The request is one of this route.
    pub(super) fn route(&self, method: &str, route: &str) {
        self.request.record("http.route", route).record("otel.name", format!("{method} {route}"));
        if route != PULLS || self.wanted.is_none() {
            return;
        }
        let span = info_span!(
            target: TARGET,
            parent: &self.request,
            "pull",
            otel.status_code = Empty,
            wharf.image.reference = Empty,
            wharf.pull.outcome = Empty,
            wharf.pull.layers = Empty,
            wharf.pull.fetched_bytes = Empty,
        );
        *self.pull() = Some(Pull { span, references: Vec::new(), outcome: "refused", layers: 0, fetched_bytes: 0 });
    }

    /// One name of the pull is done. `outcome` is what is counted.
    pub(super) fn pulled(&self, pulled: &Pulled, outcome: &'static str) {
        let mut pull = self.pull();
        let Some(pull) = pull.as_mut() else { return };
        // Of a pull of all tags: what has failed says more than what has not.
        if pulled.failure.is_some() || pull.references.is_empty() || pull.outcome == "up-to-date" {
            pull.outcome = outcome;
        }
        if pulled.failure.is_some() {
            pull.span.record("otel.status_code", "ERROR");
        }
        if pull.references.len() < 2 {
            pull.references.push(pulled.reference.clone());
        }
        pull.layers += pulled.layers.len();
        let fetched = pulled.layers.iter().filter(|layer| layer.endpoint.is_some()).map(|layer| layer.fetched_bytes);
        pull.fetched_bytes = fetched.fold(pull.fetched_bytes, u64::saturating_add);
    }

    /// The answer begins.
    pub(super) fn answered(&self, status: StatusCode) {
        self.request.record("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            self.request.record("otel.status_code", "ERROR");
        }
    }

    /// The sandbox is not needed any more.
    pub(super) fn left(&self, fuel: u64, memory_bytes: usize) {
        self.request.record("wharf.sandbox.fuel", signed(fuel));
        self.request.record("wharf.sandbox.memory_bytes", signed(memory_bytes as u64));
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let Some(Pull { span, references, outcome, layers, fetched_bytes }) = self.pull().take() else { return };
        let reference = match references.as_slice() {
            [one] => Some(one),
            _ => self.wanted.as_ref(),
        };
        let reference = reference.filter(|text| text.len() <= REFERENCE_BYTES_MAX).map_or("other", String::as_str);
        span.record("wharf.image.reference", reference).record("wharf.pull.outcome", outcome);
        span.record("wharf.pull.layers", signed(layers as u64));
        span.record("wharf.pull.fetched_bytes", signed(fetched_bytes));
    }
}

/// Numbers of OTLP have a sign.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
