//! Spans, as a collector of OpenTelemetry gets them: OTLP over HTTP, in protobuf.

use super::super::wharf;
use super::{TIMEOUT, free_address};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::engine_api::{Serving, request};
use crate::support::{PASSWORD, USER};
use base64::prelude::{BASE64_URL_SAFE, Engine as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use wharf::demo::image::demo;

/// What a collector got.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Exported>>>);

struct Exported {
    head: String,
    body: Vec<u8>,
}

impl Collector {
    /// Listens on loopback until the test ends.
    fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let collector = Self::default();
        let keeper = collector.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                keeper.take(stream);
            }
        });
        (collector, address)
    }

    fn take(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).expect("a head is text") == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.expect("an export has a length")];
        reader.read_exact(&mut body).expect("an export is whole");
        self.0.lock().expect("nobody panics").push(Exported { head, body });
        let answer =
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        reader.into_inner().write_all(answer.as_bytes()).expect("the answer is read");
    }

    /// The spans so far, each with the name of who sent it. No login is in anything.
    fn spans(&self) -> Vec<(String, Span)> {
        let mut spans = Vec::new();
        for Exported { head, body } in self.0.lock().expect("nobody panics").iter() {
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
            let has = |secret: &str| body.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!has(PASSWORD) && !has(&login()), "a login is in a span");
            let export = ExportTraceServiceRequest::decode(body.as_slice()).expect("it is protobuf");
            for resource in export.resource_spans {
                let attributes = resource.resource.expect("somebody sends it").attributes;
                let name = attributes.iter().find(|attribute| attribute.key == "service.name");
                let name = name.and_then(|name| text(&name.value.as_ref()?.value)).expect("it has a name");
                let sent = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(sent.map(|span| (name.clone(), span)));
            }
        }
        spans
    }
}

fn text(value: &Option<AnyValue>) -> Option<String> {
    match value {
        Some(AnyValue::StringValue(text)) => Some(text.clone()),
        Some(AnyValue::IntValue(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// An attribute, as text.
fn attribute(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    text(&attribute.value.as_ref()?.value)
}

fn status(span: &Span) -> i32 {
    span.status.as_ref().map_or(0, |status| status.code)
}

fn login() -> String {
    BASE64_URL_SAFE.encode(json!({"username": USER, "password": PASSWORD}).to_string())
}

#[test]
fn requests_and_pulls_are_told_to_a_collector() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("app", "1", &demo());
    let (collector, address) = Collector::start();
    let (directory, wharf) = wharf();
    let wharf = wharf.with("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
    let serving = Serving::start(&wharf, directory.path(), &[]);
    let login = login();
    let pull = |query: &str| {
        let target = format!("/v1.41/images/create?fromImage={}/{query}", registry.address());
        request(serving.socket(), "POST", &target, &[("X-Registry-Auth", &login)], b"")
    };
    assert_eq!(pull("app&tag=1").status, 200);
    assert_eq!(pull("absent&tag=1").status, 404);
    assert_eq!(serving.get("/_ping").status, 200);
    assert_eq!(serving.get("/containers/json").status, 501);
    let said = serving.stop();
    assert_eq!((said.status.code(), said.stderr.contains("warning")), (Some(0), false), "{}", said.stderr);

    let spans = collector.spans();
    assert!(spans.iter().all(|(service, _)| service == "wharf"));
    let named = |name: &str| -> Vec<&Span> {
        let spans = spans.iter().map(|(_, span)| span);
        spans.filter(|span| span.name == name).collect()
    };
    let requests = named("POST /images/create");
    assert_eq!((requests.len(), named("pull").len(), named("GET /_ping").len()), (2, 2, 1), "{spans:#?}");
    let rows = [
        ("200", format!("{}/app:1", registry.address()), "downloaded", "2", StatusCode::Unset),
        ("404", format!("{}/absent:1", registry.address()), "not-found", "0", StatusCode::Error),
    ];
    for (code, reference, outcome, layers, of_pull) in rows {
        let request = requests
            .iter()
            .find(|span| attribute(span, "http.response.status_code").as_deref() == Some(code))
            .unwrap_or_else(|| panic!("{code}: {spans:#?}"));
        assert_eq!((request.kind, request.parent_span_id.len()), (SpanKind::Server as i32, 0));
        assert_eq!(attribute(request, "http.route").as_deref(), Some("/images/create"));
        assert_eq!(attribute(request, "http.request.method").as_deref(), Some("POST"));
        let number = |key: &str| attribute(request, key).and_then(|text| text.parse::<u64>().ok());
        assert!(number("wharf.sandbox.fuel") > Some(100_000), "{request:#?}");
        assert!(number("wharf.sandbox.memory_bytes") >= Some(1 << 20), "{request:#?}");
        assert!(request.end_time_unix_nano > request.start_time_unix_nano);
        let pulls = named("pull");
        let pull = pulls.iter().find(|span| span.parent_span_id == request.span_id).expect("a pull is in its request");
        assert_eq!(pull.trace_id, request.trace_id);
        assert!(pull.start_time_unix_nano >= request.start_time_unix_nano);
        assert!(pull.end_time_unix_nano > pull.start_time_unix_nano);
        assert_eq!(attribute(pull, "wharf.image.reference"), Some(reference));
        assert_eq!(attribute(pull, "wharf.pull.outcome").as_deref(), Some(outcome));
        assert_eq!(attribute(pull, "wharf.pull.layers").as_deref(), Some(layers));
        assert_eq!(status(pull), of_pull as i32);
        let fetched = attribute(pull, "wharf.pull.fetched_bytes").and_then(|text| text.parse::<u64>().ok());
        assert_eq!(fetched > Some(0), outcome == "downloaded", "{pull:#?}");
    }
    // What wharf does not have is no fault of the request alone.
    let [other] = named("GET other")[..] else { panic!("{spans:#?}") };
    assert_eq!(status(other), StatusCode::Error as i32);
    assert!(named("GET /_ping")[0].attributes.iter().all(|attribute| !attribute.key.starts_with("wharf.pull")));
}

#[test]
fn a_collector_that_is_not_there_holds_nothing_up_and_is_told_once() {
    let (directory, wharf) = wharf();
    let nobody = format!("http://{}", free_address());
    let serving = Serving::start(&wharf, directory.path(), &["--otlp", &nobody]);
    for _ in 0..3 {
        assert_eq!(serving.get("/_ping").text(), "OK");
    }
    let begin = Instant::now();
    let said = serving.stop();
    assert_eq!(said.status.code(), Some(0), "{}", said.stderr);
    assert_eq!(said.stderr.matches("spans cannot be sent").count(), 1, "{}", said.stderr);
    assert!(begin.elapsed() < TIMEOUT);
    let secret = format!("http://name:{PASSWORD}@127.0.0.1:4318");
    for address in ["nonsense", "ftp://127.0.0.1", &secret] {
        let refused = wharf.run(&["serve", "--otlp", address]).failure();
        assert!(refused.contains("cannot send spans") && !refused.contains(PASSWORD), "{refused}");
    }
}
