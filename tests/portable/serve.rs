//! `wasmtime serve`: docker's clients, with nothing native behind the address.

use super::{check_layout, open_registry, portable};
use crate::support::engine_api::{Reply, exchange};
use crate::support::push::large;
use crate::support::require;
use serde_json::json;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the runtime may take to listen.
const START_MAX: Duration = Duration::from_secs(60);

/// An address of this machine that nobody listens on.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").to_string()
}

#[test]
fn dockers_clients_manage_a_directory_of_images() {
    let registry = open_registry();
    registry.push("app", "1", &large(3, 2, 100_000));
    let (directory, wharf) = portable();
    let address = free_address();
    let _running = wharf.serve(&address);
    let begin = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(begin.elapsed() < START_MAX, "`wasmtime serve` does not listen");
        sleep(Duration::from_millis(20));
    }
    let ask = |method: &str, target: &str, body: &[u8]| -> Reply {
        exchange(TcpStream::connect(&address).expect("it listens"), method, target, &[], body)
    };
    let name = format!("{}/app:1", registry.address());
    assert_eq!(ask("GET", "/_ping", b"").text(), "OK");
    let pulled = ask("POST", &format!("/images/create?fromImage={}/app&tag=1", registry.address()), b"").lines();
    assert_eq!(
        pulled.last().map(|line| line["status"].clone()),
        Some(json!(format!("Status: Downloaded newer image for {name}")))
    );
    check_layout(&wharf.images());
    let listed = ask("GET", "/v1.41/images/json", b"").json(200);
    assert_eq!(listed[0]["RepoTags"], json!([name]));
    let saved = ask("GET", &format!("/images/{name}/get"), b"");
    assert_eq!(saved.status, 200, "{}", saved.text());
    assert_eq!(ask("DELETE", &format!("/images/{name}"), b"").json(200)[0], json!({"Untagged": name}));
    assert_eq!(ask("GET", "/images/json", b"").json(200), json!([]));
    let loaded = ask("POST", "/images/load", &saved.body).lines();
    assert_eq!(loaded[0]["stream"], json!(format!("Loaded image: {name}\n")));
    // A run beside it sees the same.
    assert!(!wharf.run(&["images", "-q"]).success().trim().is_empty());
    let docker = |arguments: &[&str]| {
        let mut command = Command::new(require("docker"));
        command.args(["--host", &format!("tcp://{address}")]).args(arguments).env("HOME", directory.path());
        let output = command.output().expect("docker starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert_eq!(docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).trim(), name);
    assert!(docker(&["run", &name]).contains("wharf manages images and nothing else"));
}
