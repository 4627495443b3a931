//! What a door counts, in the text format of OpenMetrics, which Prometheus reads.
//!
//! Routes and pulls are what the component has told (`serving.note`); the host knows neither. Labels that clients and
//! registries can make up are kept up to a number, and counted together beyond it: a client that pulls a million names
//! makes one more line.

use super::spans::Traced;
use crate::bindings::wharf::images::serving::{Noted, Pulled};
use crate::engine::Meter;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::Span;
use wasmtime::Trap;
use wharf_terminal::render::problem;

/// How many routes have lines of their own. The component has twenty.
const ROUTES_MAX: usize = 64;
/// How many layers have.
const LAYERS_MAX: usize = 1_024;
/// How many names of images have, each with what it points to.
const IMAGES_MAX: usize = 512;
/// How long a label may be, in bytes: a name with a digest, and what it points to.
const LABEL_BYTES_MAX: usize = 640;
/// What stands for every other.
const OTHER: &str = "other";
/// The digest of what failed before it was known.
const UNKNOWN: &str = "unknown";
/// The route of what was refused before the component saw it.
const UNSEEN: &str = "refused";

type Labels = Vec<(&'static str, String)>;
type Seconds = Counter<f64, AtomicU64>;

/// The numbers of a door.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Labels, Counter>,
    request_seconds: Family<Labels, Histogram>,
    instantiations: Counter,
    instantiation_seconds: Histogram,
    memory_bytes: Histogram,
    fuel: Counter,
    stopped: Family<Labels, Counter>,
    pulls: Family<Labels, Counter>,
    pull_seconds: Family<Labels, Histogram>,
    image_bytes: Family<Labels, Counter>,
    image_seconds: Family<Labels, Seconds>,
    image_layers: Family<Labels, Counter>,
    image_hits: Family<Labels, Counter>,
    layer_bytes: Family<Labels, Counter>,
    layer_seconds: Family<Labels, Seconds>,
    layer_fetches: Family<Labels, Counter>,
    layer_hits: Family<Labels, Counter>,
    layer_failures: Family<Labels, Counter>,
    clients: Gauge,
    running: Gauge,
    followers: Gauge,
    routes: Known,
    images: Known,
    digests: Known,
}

/// From half a millisecond to two minutes, each twice the one before.
fn of_requests() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 19))
}

/// From an eighth of a second to an hour.
fn of_pulls() -> Histogram {
    Histogram::new(exponential_buckets(0.125, 2.0, 16))
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("wharf"),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(of_requests),
            instantiations: Counter::default(),
            instantiation_seconds: Histogram::new(exponential_buckets(0.000_025, 2.0, 16)),
            memory_bytes: Histogram::new(exponential_buckets(1_048_576.0, 2.0, 7)),
            fuel: Counter::default(),
            stopped: Family::default(),
            pulls: Family::default(),
            pull_seconds: Family::new_with_constructor(of_pulls),
            image_bytes: Family::default(),
            image_seconds: Family::default(),
            image_layers: Family::default(),
            image_hits: Family::default(),
            layer_bytes: Family::default(),
            layer_seconds: Family::default(),
            layer_fetches: Family::default(),
            layer_hits: Family::default(),
            layer_failures: Family::default(),
            clients: Gauge::default(),
            running: Gauge::default(),
            followers: Gauge::default(),
            routes: Known::new(ROUTES_MAX),
            images: Known::new(IMAGES_MAX),
            digests: Known::new(LAYERS_MAX),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Answers that have begun, by route, method and status", self.requests.clone());
        let help = "From a request to the end of its answer, but for those of followers";
        registry.register("request_duration_seconds", help, self.request_seconds.clone());
        registry.register("connections", "Clients that are connected", self.clients.clone());
        registry.register("requests_running", "Requests that are answered, without followers", self.running.clone());
        registry.register("followers", "Answers without an end", self.followers.clone());
        registry.register("sandbox_instantiations", "Sandboxes that were made", self.instantiations.clone());
        let help = "How long it took to make a sandbox";
        registry.register("sandbox_instantiation_seconds", help, self.instantiation_seconds.clone());
        let help = "The most memory that a sandbox had, each counted at its end";
        registry.register("sandbox_memory_bytes", help, self.memory_bytes.clone());
        registry.register(
            "sandbox_fuel",
            "Instructions of sandboxes, about, each counted at its end",
            self.fuel.clone(),
        );
        registry.register("sandbox_stopped", "Requests that the sandbox has stopped, by why", self.stopped.clone());
        let help = "Pulls, by name, by what it points to, and by what came of it";
        registry.register("pulls", help, self.pulls.clone());
        registry.register(
            "pull_duration_seconds",
            "How long a pull took, by what came of it",
            self.pull_seconds.clone(),
        );
        registry.register("image_pull_bytes", "Bytes of layers that came over the network", self.image_bytes.clone());
        registry.register("image_pull_seconds", "How long pulls of a name took", self.image_seconds.clone());
        registry.register("image_pull_layers", "Layers that pulls of a name needed", self.image_layers.clone());
        registry.register("image_pull_layer_hits", "Those of them that were here", self.image_hits.clone());
        registry.register("layer_bytes", "Bytes of a layer that came over the network", self.layer_bytes.clone());
        registry.register("layer_seconds", "How long downloads of a layer took", self.layer_seconds.clone());
        registry.register("layer_fetches", "Downloads of a layer", self.layer_fetches.clone());
        registry.register("layer_hits", "How often a layer was needed and here", self.layer_hits.clone());
        let help = "Pulls that failed before a layer had come, by why";
        registry.register("layer_failures", help, self.layer_failures.clone());
    }

    /// A client is connected, until what comes back is dropped.
    pub(super) fn connected(&self) -> Connected {
        self.clients.inc();
        Connected(self.clients.clone())
    }

    /// Returns the text. The numbers of those who are answered are the caller's.
    pub(super) fn text(&self, running: usize, followers: usize) -> String {
        for (gauge, count) in [(&self.running, running), (&self.followers, followers)] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a text takes everything");
        text
    }

    /// A sandbox was made.
    pub(super) fn made(&self, took: Duration) {
        self.instantiations.inc();
        self.instantiation_seconds.observe(took.as_secs_f64());
    }

    /// A sandbox could not be made.
    pub(super) fn unmade(&self) {
        self.stopped.get_or_create(&vec![("why", OTHER.to_owned())]).inc();
    }

    /// A sandbox is not needed any more.
    fn left(&self, fuel: u64, meter: &Meter, outcome: &wasmtime::Result<()>) {
        self.fuel.inc_by(fuel);
        self.memory_bytes.observe(meter.memory_bytes() as f64);
        let Err(error) = outcome else { return };
        let why = match error.downcast_ref::<Trap>() {
            _ if meter.is_exceeded() => "memory",
            Some(Trap::OutOfFuel) => "fuel",
            _ => OTHER,
        };
        self.stopped.get_or_create(&vec![("why", why.to_owned())]).inc();
    }

    /// A pull is over that took so long.
    fn pulled(&self, pulled: &Pulled, took: Duration) {
        let Pulled { layers, missing, .. } = pulled;
        let outcome = outcome(pulled).to_owned();
        let image = self.image(pulled);
        self.pulls.get_or_create(&[image.clone(), vec![("outcome", outcome.clone())]].concat()).inc();
        self.pull_seconds.get_or_create(&vec![("outcome", outcome.clone())]).observe(took.as_secs_f64());
        self.image_seconds.get_or_create(&image).inc_by(took.as_secs_f64());
        self.image_layers.get_or_create(&image).inc_by(layers.len() as u64);
        for digest in missing {
            let labels = vec![("digest", self.digests.label(digest)), ("why", outcome.clone())];
            self.layer_failures.get_or_create(&labels).inc();
        }
        for layer in layers {
            let digest = vec![("digest", self.digests.label(&layer.blob.digest))];
            if layer.endpoint.is_none() {
                self.image_hits.get_or_create(&image).inc();
                self.layer_hits.get_or_create(&digest).inc();
                continue;
            }
            self.image_bytes.get_or_create(&image).inc_by(layer.fetched_bytes);
            self.layer_bytes.get_or_create(&digest).inc_by(layer.fetched_bytes);
            self.layer_seconds.get_or_create(&digest).inc_by(Duration::from_millis(layer.duration_ms).as_secs_f64());
            self.layer_fetches.get_or_create(&digest).inc();
        }
    }

    /// Which image it is.
    fn image(&self, Pulled { reference, target, .. }: &Pulled) -> Labels {
        let target = target.as_deref().unwrap_or(UNKNOWN);
        let is_own = self.images.takes(&format!("{reference} {target}"));
        let [reference, target] = if is_own { [reference, target] } else { [OTHER; 2] };
        vec![("reference", reference.to_owned()), ("digest", target.to_owned())]
    }
}

/// What came of a pull, in a word.
fn outcome(pulled: &Pulled) -> &'static str {
    match &pulled.failure {
        Some(code) => problem::code(code),
        None if pulled.up_to_date => "up-to-date",
        None => "downloaded",
    }
}

/// A client that is connected.
pub(super) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The labels that have lines of their own: the first ones.
#[derive(Debug)]
struct Known {
    most: usize,
    labels: Mutex<HashSet<String>>,
}

impl Known {
    fn new(most: usize) -> Self {
        Self { most, labels: Mutex::default() }
    }

    /// Returns whether a text has lines of its own.
    fn takes(&self, text: &str) -> bool {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = text.len() <= LABEL_BYTES_MAX && (labels.contains(text) || labels.len() < self.most);
        if is_own {
            labels.insert(text.to_owned());
        }
        is_own
    }

    fn label(&self, text: &str) -> String {
        if self.takes(text) { text } else { OTHER }.to_owned()
    }
}

/// One request that is counted, and traced.
#[derive(Debug)]
pub(super) struct Counted {
    metrics: Arc<Metrics>,
    method: &'static str,
    begin: Instant,
    route: Mutex<Option<String>>,
    traced: Traced,
}

impl Counted {
    /// `wanted` is the image that the request names, if it names one.
    pub(super) fn new(metrics: Arc<Metrics>, method: &http::Method, wanted: Option<String>) -> Self {
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE"];
        let method = known.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER);
        let traced = Traced::begin(method, wanted);
        Self { metrics, method, begin: Instant::now(), route: Mutex::default(), traced }
    }

    /// What the component tells.
    pub(super) fn note(&self, what: Noted) {
        match what {
            Noted::Route(route) => {
                let route = self.metrics.routes.label(&route);
                self.traced.route(self.method, &route);
                *self.route.lock().unwrap_or_else(PoisonError::into_inner) = Some(route);
            }
            Noted::Pulled(pulled) => {
                self.traced.pulled(&pulled, outcome(&pulled));
                self.metrics.pulled(&pulled, self.begin.elapsed());
            }
        }
    }

    /// Its sandbox is not needed any more.
    pub(super) fn left(&self, fuel: u64, meter: &Meter, outcome: &wasmtime::Result<()>) {
        self.traced.left(fuel, meter.memory_bytes());
        self.metrics.left(fuel, meter, outcome);
    }

    /// An answer begins. What comes back says at its end that it is over.
    pub(super) fn answered(&self, status: http::StatusCode, is_endless: bool) -> Over {
        self.traced.answered(status);
        let route = self.route.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let route = ("route", route.unwrap_or_else(|| UNSEEN.to_owned()));
        let labels = vec![route, ("method", self.method.to_owned())];
        let status = ("status", status.as_u16().to_string());
        self.metrics.requests.get_or_create(&[labels.clone(), vec![status]].concat()).inc();
        let (metrics, _span) = (self.metrics.clone(), self.traced.span());
        Over { metrics, begin: self.begin, labels: (!is_endless).then_some(labels), _span }
    }
}

/// Says at its end that an answer is over.
pub(super) struct Over {
    metrics: Arc<Metrics>,
    begin: Instant,
    labels: Option<Labels>,
    /// It ends as well.
    _span: Span,
}

impl Drop for Over {
    fn drop(&mut self) {
        if let Some(labels) = &self.labels {
            self.metrics.request_seconds.get_or_create(labels).observe(self.begin.elapsed().as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_vocabulary::types::{Descriptor, ErrorCode};
    use wharf_vocabulary::vocabulary::Transfer;

    fn layer(digest: &str, endpoint: Option<&str>, fetched_bytes: u64) -> Transfer {
        let blob = Descriptor { media_type: "layer".to_owned(), digest: digest.to_owned(), size: 10 };
        let endpoint = endpoint.map(str::to_owned);
        Transfer { blob, endpoint, attempts: 1, resumed_from: 0, fetched_bytes, duration_ms: 1_500 }
    }

    fn pulled(reference: &str, layers: Vec<Transfer>, failure: Option<ErrorCode>) -> Pulled {
        let target = failure.is_none().then(|| "sha256:t".to_owned());
        Pulled { reference: reference.to_owned(), target, up_to_date: false, layers, missing: Vec::new(), failure }
    }

    #[track_caller]
    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }

    #[test]
    fn a_pull_is_counted_by_name_and_by_layer() {
        let metrics = Metrics::new();
        let layers = vec![layer("sha256:a", Some("https://one.lan"), 10), layer("sha256:b", None, 0)];
        metrics.pulled(&pulled("one.lan/app:1", layers, None), Duration::from_secs(2));
        let failed = pulled("one.lan/app:1", Vec::new(), Some(ErrorCode::Other("whatever".to_owned())));
        let failed = Pulled { missing: vec!["sha256:c".to_owned()], ..failed };
        metrics.pulled(&failed, Duration::from_secs(1));
        drop(metrics.connected());
        let _connected = metrics.connected();
        let text = metrics.text(2, 1);
        for line in [
            r#"wharf_pulls_total{reference="one.lan/app:1",digest="sha256:t",outcome="downloaded"} 1"#,
            r#"wharf_pulls_total{reference="one.lan/app:1",digest="unknown",outcome="other"} 1"#,
            r#"wharf_image_pull_bytes_total{reference="one.lan/app:1",digest="sha256:t"} 10"#,
            r#"wharf_image_pull_seconds_total{reference="one.lan/app:1",digest="sha256:t"} 2.0"#,
            r#"wharf_image_pull_seconds_total{reference="one.lan/app:1",digest="unknown"} 1.0"#,
            r#"wharf_image_pull_layers_total{reference="one.lan/app:1",digest="sha256:t"} 2"#,
            r#"wharf_image_pull_layer_hits_total{reference="one.lan/app:1",digest="sha256:t"} 1"#,
            r#"wharf_layer_failures_total{digest="sha256:c",why="other"} 1"#,
            r#"wharf_layer_bytes_total{digest="sha256:a"} 10"#,
            r#"wharf_layer_seconds_total{digest="sha256:a"} 1.5"#,
            r#"wharf_layer_fetches_total{digest="sha256:a"} 1"#,
            r#"wharf_layer_hits_total{digest="sha256:b"} 1"#,
            "wharf_connections 1",
            "wharf_requests_running 2",
            "wharf_followers 1",
        ] {
            has(&text, line);
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn names_that_anybody_makes_up_make_no_lines_without_end() {
        let metrics = Metrics::new();
        let most = IMAGES_MAX.max(LAYERS_MAX) + 10;
        for at in 0..most {
            let layers = vec![layer(&format!("sha256:{at}"), None, 0)];
            metrics.pulled(&pulled(&format!("one.lan/{at}:1"), layers, None), Duration::ZERO);
        }
        metrics.pulled(&pulled(&"a".repeat(LABEL_BYTES_MAX + 1), Vec::new(), None), Duration::ZERO);
        let text = metrics.text(0, 0);
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("wharf_pulls_total"), IMAGES_MAX + 1);
        assert_eq!(lines("wharf_layer_hits_total"), LAYERS_MAX + 1);
        let others = most - IMAGES_MAX + 1;
        has(&text, &format!(r#"wharf_pulls_total{{reference="other",digest="other",outcome="downloaded"}} {others}"#));
        has(&text, &format!(r#"wharf_layer_hits_total{{digest="other"}} {}"#, most - LAYERS_MAX));
    }

    #[test]
    fn a_name_cannot_write_lines_of_its_own() {
        let metrics = Metrics::new();
        metrics.pulled(&pulled("a\"} 1\nwharf_connections 9", Vec::new(), None), Duration::ZERO);
        let text = metrics.text(0, 0);
        has(
            &text,
            r#"wharf_pulls_total{reference="a\"} 1\nwharf_connections 9",digest="sha256:t",outcome="downloaded"} 1"#,
        );
        has(&text, "wharf_connections 0");
        assert!(!text.lines().any(|line| line == "wharf_connections 9"));
    }

    #[test]
    fn a_request_is_counted_by_its_route() {
        let metrics = Arc::new(Metrics::new());
        let counted = Counted::new(metrics.clone(), &http::Method::GET, None);
        drop(counted.answered(http::StatusCode::FORBIDDEN, false));
        counted.note(Noted::Route("/images/{name}/json".to_owned()));
        drop(counted.answered(http::StatusCode::OK, false));
        drop(counted.answered(http::StatusCode::OK, true));
        let text = metrics.text(0, 0);
        has(&text, r#"wharf_requests_total{route="refused",method="GET",status="403"} 1"#);
        has(&text, r#"wharf_requests_total{route="/images/{name}/json",method="GET",status="200"} 2"#);
        has(&text, r#"wharf_request_duration_seconds_count{route="/images/{name}/json",method="GET"} 1"#);
    }
}
