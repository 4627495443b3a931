//! Mirrors, as `hosts.toml` lists them: one that dies, one that lies behind, and several that are all of no use.

use super::{json, open_registry, wharf};
use crate::support::docker_registry::DockerRegistry;
use crate::support::proxy::Proxy;
use crate::support::push::large;
use crate::support::wharf::Wharf;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

const LAYER_BYTES: usize = 24 << 20;
/// What is asked for again: what was on its way, and what headers and documents add.
const AGAIN_BYTES: u64 = 6 << 20;
const WAIT: Duration = Duration::from_secs(60);

/// Writes a `hosts.toml` for the registry at `upstream`, with these mirrors in order of trial.
pub(super) fn list_mirrors(wharf: &Wharf, upstream: SocketAddr, mirrors: &[SocketAddr]) {
    let directory = wharf.home().join(".config/wharf/certs.d").join(upstream.to_string());
    fs::create_dir_all(&directory).expect("the home can be written");
    let mut text = format!("server = \"http://{upstream}\"\n");
    for mirror in mirrors {
        writeln!(text, "[host.\"http://{mirror}\"]\ncapabilities = [\"pull\", \"resolve\"]")
            .expect("memory is writable");
    }
    fs::write(directory.join("hosts.toml"), text).expect("the home can be written");
}

/// Two registries with the same image, each behind a proxy that counts.
fn twins(seed: u64) -> ([DockerRegistry; 2], [Proxy; 2]) {
    let registries = [open_registry(), open_registry()];
    for registry in &registries {
        registry.push("app", "latest", &large(seed, 1, LAYER_BYTES));
    }
    let proxies = [Proxy::start(registries[0].address()), Proxy::start(registries[1].address())];
    (registries, proxies)
}

fn transfers(pulled: &Value) -> &Vec<Value> {
    pulled[0]["transfers"].as_array().expect("each pull tells its transfers")
}

fn endpoints(pulled: &Value) -> BTreeSet<&str> {
    transfers(pulled).iter().filter_map(|transfer| transfer["endpoint"].as_str()).collect()
}

/// A server that answers every request with this status and nothing else.
fn server_of(status: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            // Whoever leaves before has no answer to read.
            let _ = stream.read(&mut request);
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    address
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}

#[test]
fn a_mirror_that_dies_in_the_middle_of_a_blob_is_continued_at_the_registry() {
    let ([_mirrored, registry], [mirror, upstream]) = twins(31);
    let (_directory, wharf) = wharf();
    list_mirrors(&wharf, upstream.address(), &[mirror.address()]);
    let (mirror_url, upstream_url) = (format!("http://{}", mirror.address()), format!("http://{}", upstream.address()));

    mirror.slow_down(12 << 20);
    let reference = format!("{}/app", upstream.address());
    let running = wharf.spawn(&["pull", "--format", "json", "--progress", "json", &reference]);
    mirror.wait_for(LAYER_BYTES as u64 / 2, WAIT);
    let from_mirror = mirror.sent_bytes();
    drop(mirror);

    let pulled = json(&running.wait(WAIT).success());
    assert_eq!(endpoints(&pulled), [&*mirror_url, &*upstream_url].into(), "{pulled:#}");
    let layer = transfers(&pulled).iter().find(|transfer| transfer["size"].as_u64() > Some(LAYER_BYTES as u64 / 2));
    let layer = layer.expect("the layer was transferred");
    assert_eq!(layer["endpoint"], upstream_url, "{layer}");
    assert!(layer["attempts"].as_u64() >= Some(2), "{layer}");
    let from_upstream = upstream.sent_bytes();
    let all = from_mirror + from_upstream;
    assert!(all <= LAYER_BYTES as u64 + AGAIN_BYTES, "{from_mirror} and {from_upstream} bytes were sent");
    assert!(!registry.accesses(" 206 ").is_empty(), "the rest was asked for, and not all of it");
    assert_eq!(wharf.run(&["images", "-q"]).success().lines().count(), 1);
}

#[test]
fn a_mirror_that_has_the_image_is_all_that_is_asked() {
    let ([_mirrored, registry], [mirror, upstream]) = twins(32);
    let (_directory, wharf) = wharf();
    list_mirrors(&wharf, upstream.address(), &[mirror.address()]);
    let pulled = json(&wharf.run(&["pull", "--format", "json", &format!("{}/app", upstream.address())]).success());
    assert_eq!(endpoints(&pulled), [&*format!("http://{}", mirror.address())].into());
    assert_eq!(upstream.sent_bytes(), 0);
    assert!(registry.accesses("/v2/app/blobs/").iter().all(|line| !line.contains("wharf/")));
}

#[test]
fn a_mirror_without_the_image_is_passed_over() {
    let empty = open_registry();
    let registry = open_registry();
    registry.push("app", "latest", &large(33, 1, 1 << 20));
    let (_directory, wharf) = wharf();
    list_mirrors(&wharf, registry.address(), &[empty.address(), server_of("503 Service Unavailable")]);
    let reference = format!("{}/app", registry.address());
    let pulled = json(&wharf.run(&["pull", "--retries", "0", "--format", "json", &reference]).success());
    assert_eq!(endpoints(&pulled), [&*format!("http://{}", registry.address())].into());
    assert!(!empty.accesses("/v2/app/manifests/latest").is_empty(), "the mirror was asked first");
}

#[test]
fn a_pull_that_fails_everywhere_tells_of_everybody_with_his_own_error() {
    let (refused, broken, forbidden) = (nobody(), server_of("500 Internal Server Error"), server_of("403 Forbidden"));
    let (_directory, wharf) = wharf();
    list_mirrors(&wharf, forbidden, &[refused, broken]);
    let reference = format!("{forbidden}/app");
    let output = wharf.run(&["pull", "--retries", "0", "--progress", "none", &reference]);
    assert_eq!(output.status.code(), Some(1));
    let error = output.failure();
    assert!(error.contains(&format!("error: cannot pull `{reference}:latest`")), "{error}");
    for (address, words) in [(refused, "refused"), (broken, "500"), (forbidden, "403")] {
        let told = error.lines().any(|line| {
            line.trim_start().starts_with("because:") && line.contains(&address.to_string()) && line.contains(words)
        });
        assert!(told, "`{address}` and `{words}` are not told together:\n{error}");
    }
    let place =
        |address: SocketAddr| error.find(&format!("because: `{address}`")).or(error.rfind(&address.to_string()));
    assert!(place(refused) < place(broken), "in the order of trial:\n{error}");

    let output = wharf.run(&["pull", "--retries", "0", "--format", "json", &reference]).failure();
    let problem = json(output.lines().last().expect("it said something"));
    let why = problem["why"].as_array().expect("reasons are a list");
    for address in [refused, broken, forbidden] {
        assert!(
            why.iter().any(|line| line.as_str().is_some_and(|line| line.contains(&address.to_string()))),
            "{why:?}"
        );
    }
}
