//! What is counted, as Prometheus reads it.

use super::super::{open_registry, wharf};
use super::{TIMEOUT, connect, free_address};
use crate::support::engine_api::{Reply, Serving, exchange, request};
use crate::support::fault_registry::{FaultRegistry, Object, Options, REPOSITORY, SINGLE, Stock, What, always};
use crate::support::push::large;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn scrape(address: SocketAddr) -> Reply {
    exchange(connect(address), "GET", "/metrics", &[], b"")
}

/// The number behind the name and the labels of a line.
fn number(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The sum of all lines of a name.
fn sum(text: &str, name: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[test]
fn pulls_requests_and_sandboxes_are_counted() {
    let registry = open_registry();
    let image = large(3, 2, 100_000);
    registry.push("app", "1", &image);
    let (directory, wharf) = wharf();
    let address = free_address();
    let serving = Serving::start(&wharf, directory.path(), &["--metrics", &address.to_string()]);
    assert_eq!(sum(&scrape(address).text(), "wharf_requests_total"), 0.0);
    let pull = |name: &str| serving.post(&format!("/v1.41/images/create?fromImage={}/{name}", registry.address()), b"");
    assert!(!pull("app&tag=1").lines().is_empty());
    assert!(!pull("app&tag=1").lines().is_empty());
    assert_eq!(pull("absent&tag=1").status, 404);
    assert_eq!(serving.get("/v1.41/images/nothing/json").status, 404);
    assert_eq!(request(serving.socket(), "GET", "/_ping", &[("X-Registry-Auth", "%%%")], b"").status, 400);
    // What a sandbox has used is counted once it is gone, which is after its answer.
    let begin = Instant::now();
    let reply = loop {
        let reply = scrape(address);
        if number(&reply.text(), "wharf_sandbox_memory_bytes_count") == Some(4.0) {
            break reply;
        }
        assert!(begin.elapsed() < TIMEOUT, "{}", reply.text());
        sleep(Duration::from_millis(5));
    };
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(openmetrics)));
    let text = reply.text();
    let name = format!("{}/app:1", registry.address());
    let absent = format!("{}/absent:1", registry.address());
    let pulled = serving.get(&format!("/v1.48/images/{name}/json")).json(200);
    let target = pulled["Descriptor"]["digest"].as_str().expect("what the name points to");
    let image = format!(r#"reference="{name}",digest="{target}""#);
    let rows = [
        (r#"wharf_requests_total{route="/images/create",method="POST",status="200"}"#.to_owned(), 2.0),
        (r#"wharf_requests_total{route="/images/create",method="POST",status="404"}"#.to_owned(), 1.0),
        (r#"wharf_requests_total{route="/images/{name}/json",method="GET",status="404"}"#.to_owned(), 1.0),
        (r#"wharf_requests_total{route="refused",method="GET",status="400"}"#.to_owned(), 1.0),
        (r#"wharf_request_duration_seconds_count{route="/images/create",method="POST"}"#.to_owned(), 3.0),
        (format!(r#"wharf_pulls_total{{{image},outcome="downloaded"}}"#), 1.0),
        (format!(r#"wharf_pulls_total{{{image},outcome="up-to-date"}}"#), 1.0),
        (format!(r#"wharf_pulls_total{{reference="{absent}",digest="unknown",outcome="not-found"}}"#), 1.0),
        (r#"wharf_pull_duration_seconds_count{outcome="downloaded"}"#.to_owned(), 1.0),
        (format!(r#"wharf_image_pull_layers_total{{{image}}}"#), 4.0),
        (format!(r#"wharf_image_pull_layer_hits_total{{{image}}}"#), 2.0),
        ("wharf_sandbox_instantiations_total".to_owned(), 4.0),
        ("wharf_sandbox_instantiation_seconds_count".to_owned(), 4.0),
        ("wharf_sandbox_memory_bytes_count".to_owned(), 4.0),
        ("wharf_requests_running".to_owned(), 0.0),
    ];
    for (line, expected) in rows {
        assert_eq!(number(&text, &line), Some(expected), "{line}\n{text}");
    }
    // Every byte of a layer came once, and is counted for its digest and for the name.
    let manifest = serving.get(&format!("/v1.48/images/{name}/json?manifests=1")).json(200);
    let config = manifest["Size"].as_u64().expect("a size");
    let of = |path: &str| manifest["Manifests"][0].pointer(path).and_then(Value::as_u64).expect("a number");
    let (content, unpacked) = (of("/Size/Content"), of("/ImageData/Size/Unpacked"));
    assert!(unpacked >= 200_000 && of("/Size/Total") == content + unpacked, "{manifest}");
    let bytes = sum(&text, "wharf_layer_bytes_total");
    assert!(bytes > 200_000.0 && bytes < config as f64, "{bytes} of {config}");
    assert_eq!(number(&text, &format!(r#"wharf_image_pull_bytes_total{{{image}}}"#)), Some(bytes));
    assert_eq!((sum(&text, "wharf_layer_fetches_total"), sum(&text, "wharf_layer_hits_total")), (2.0, 2.0));
    assert!(number(&text, "wharf_sandbox_fuel_total").is_some_and(|fuel| fuel > 100_000.0));
    // A megabyte is the least that a sandbox has, and 64 are the most.
    let most = number(&text, "wharf_sandbox_memory_bytes_sum").expect("a number") / 4.0;
    assert!((1e6..64e6).contains(&most), "{most}");
    assert_eq!(sum(&text, "wharf_sandbox_stopped_total"), 0.0);
}

/// Of two layers one does not come: which one, and why, is told beside the name.
#[test]
fn a_layer_that_does_not_come_is_counted_by_its_digest() {
    let registry = FaultRegistry::start(Options::default(), vec![always(Object::Layer, What::Status(404))]);
    let (directory, wharf) = wharf();
    let address = free_address();
    let serving = Serving::start(&wharf, directory.path(), &["--metrics", &address.to_string()]);
    let asked = format!("{}/{REPOSITORY}&tag={SINGLE}", registry.authority());
    let pulled = serving.post(&format!("/v1.41/images/create?fromImage={asked}"), b"").text();
    assert!(pulled.contains("errorDetail"), "{pulled}");
    let stock = Stock::usual();
    let (large, _) = stock.of(Object::Layer);
    let text = scrape(address).text();
    let lost = format!(r#"wharf_layer_failures_total{{digest="{large}",why="not-found"}}"#);
    assert_eq!(number(&text, &lost), Some(1.0), "{text}");
    let name = format!("{}/{REPOSITORY}:{SINGLE}", registry.authority());
    let target = &stock.manifest().digest;
    let failed = format!(r#"wharf_pulls_total{{reference="{name}",digest="{target}",outcome="not-found"}}"#);
    assert_eq!(number(&text, &failed), Some(1.0), "{text}");
    registry.heal();
    let pulled = serving.post(&format!("/v1.41/images/create?fromImage={asked}"), b"").text();
    assert!(pulled.contains("Downloaded newer image"), "{pulled}");
    let text = scrape(address).text();
    let came = format!(r#"wharf_layer_fetches_total{{digest="{large}"}}"#);
    assert_eq!((number(&text, &came), number(&text, &lost)), (Some(1.0), Some(1.0)), "{text}");
}

#[test]
fn numbers_are_for_this_machine_and_nothing_else_is_there() {
    let (directory, wharf) = wharf();
    let address = free_address();
    let _serving = Serving::start(&wharf, directory.path(), &["--metrics", &address.to_string()]);
    assert_eq!(exchange(connect(address), "GET", "/_ping", &[], b"").status, 404);
    assert_eq!(exchange(connect(address), "POST", "/metrics", &[], b"").status, 404);
    let mut stream = connect(address);
    stream.write_all(b"GET /metrics HTTP/1.0\r\nhost: evil.example\r\n\r\n").expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.0 403"), "{answer}");
}
