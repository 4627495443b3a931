//! `wharf serve`: docker's own program and other clients of its API, with wharf behind the socket.

mod daemon;

use super::{json as json_of, open_registry, wharf};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::engine_api::{Serving, request};
use crate::support::push::large;
use crate::support::wharf::Wharf;
use crate::support::{PASSWORD, USER};
use base64::prelude::{BASE64_URL_SAFE, Engine as _};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use tempfile::TempDir;
use wharf::demo::image::demo;

/// A registry with an image of one layer, and an empty store that is served.
fn served() -> (DockerRegistry, TempDir, Wharf, Serving) {
    let registry = open_registry();
    registry.push("app", "1", &large(3, 2, 100_000));
    let (directory, wharf) = wharf();
    let serving = Serving::start(&wharf, directory.path(), &[]);
    (registry, directory, wharf, serving)
}

/// The text of a field in each line.
fn fields<'l>(lines: &'l [Value], name: &str) -> Vec<&'l str> {
    lines.iter().filter_map(|line| line[name].as_str()).collect()
}

#[test]
fn dockers_own_program_manages_images_through_wharf() {
    let (registry, directory, wharf, serving) = served();
    let at = directory.path();
    let (one, two) = (format!("{}/app:1", registry.address()), format!("{}/app:2", registry.address()));
    let docker = |arguments: &[&str]| serving.docker_tells(at, arguments);

    assert!(docker(&["version"]).contains("wharf"));
    assert!(docker(&["info"]).contains("Storage Driver: wharf"));
    let pulled = docker(&["pull", &one]);
    assert!(pulled.contains("Pull complete") && pulled.contains("Status: Downloaded newer image"), "{pulled}");
    assert!(docker(&["pull", &one]).contains("Status: Image is up to date"));
    // Both doors open into the same store.
    assert!(wharf.run(&["images", "--format", "json"]).success().contains(&one));

    let listed = docker(&["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
    let id = docker(&["image", "inspect", "--format", "{{.Id}}", &one]);
    assert_eq!(listed, format!("{one} {id}"));
    assert!(docker(&["images", "--filter", "reference=*/nothing"]).lines().count() == 1);
    assert!(docker(&["history", "--no-trunc", &one]).lines().count() > 1);

    docker(&["tag", &one, &two]);
    let pushed = docker(&["push", &two]);
    assert!(pushed.contains("2: digest: sha256:"), "{pushed}");
    let found = docker(&["search", &format!("{}/app", registry.address())]);
    assert!(found.contains("app"), "{found}");

    docker(&["save", &one, "-o", "saved.tar"]);
    assert!(docker(&["rmi", &two]).contains(&format!("Untagged: {two}")));
    let removed = docker(&["rmi", &one]);
    assert!(
        removed.contains(&format!("Untagged: {one}")) && removed.contains(&format!("Deleted: {}", id.trim())),
        "{removed}"
    );
    assert_eq!(docker(&["images", "-q"]), "");
    assert!(docker(&["load", "-i", "saved.tar"]).contains(&format!("Loaded image: {one}")));
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &one]), id);

    let root = File::create(at.join("root.tar")).expect("the directory is writable");
    let mut tar = tar::Builder::new(root);
    tar.append_path_with_name("Cargo.toml", "srv/manifest").and_then(|()| tar.finish()).expect("it is written");
    let imported = docker(&["import", "--change", "CMD [\"/srv\"]", "root.tar", "imported:1"]);
    assert!(imported.starts_with("sha256:"), "{imported}");
    assert_eq!(docker(&["image", "inspect", "--format", "{{.Config.Cmd}}", "imported:1"]), "[/srv]\n");
    assert!(wharf.run(&["ls", "imported:1", "/srv"]).success().contains("manifest"));

    // Nothing runs, so that all of it can be reclaimed.
    let used = docker(&["system", "df", "--format", "{{.Type}}: {{.Reclaimable}}"]);
    assert!(used.lines().any(|line| line.starts_with("Images: ") && line.ends_with("(100%)")), "{used}");
    let events = docker(&["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"]);
    let events: BTreeSet<&str> = events.lines().collect();
    assert_eq!(events, BTreeSet::from(["delete", "import", "load", "pull", "push", "tag", "untag"]));
    assert!(docker(&["image", "prune", "--force", "--all"]).contains("Total reclaimed space"));
    let (is_done, said) = serving.docker(at, &["run", &one]);
    assert!(!is_done && said.contains("wharf manages images and nothing else"), "{said}");
    let said = serving.stop();
    assert_eq!(said.status.code(), Some(0), "{}", said.stderr);
    assert!(!at.join("wharf.sock").exists());
}

#[test]
fn a_pull_tells_each_layer_and_ends_with_the_digest() {
    let (registry, _directory, _wharf, serving) = served();
    let target = format!("/v1.41/images/create?fromImage={}/app&tag=1", registry.address());
    let reply = serving.post(&target, b"");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("api-version"), Some("1.52"));
    let lines = reply.lines();
    assert_eq!((&lines[0]["status"], &lines[0]["id"]), (&json!("Pulling from app"), &json!("1")));
    let statuses = fields(&lines, "status");
    for expected in ["Pulling fs layer", "Download complete", "Pull complete"] {
        assert_eq!(statuses.iter().filter(|status| **status == expected).count(), 2, "{expected}: {statuses:?}");
    }
    let [.., digest, status] = statuses.as_slice() else { panic!("{statuses:?}") };
    assert!(digest.starts_with("Digest: sha256:"), "{digest}");
    assert_eq!(*status, format!("Status: Downloaded newer image for {}/app:1", registry.address()));
    // A client that wants every tag may put a colon behind the name; the tag of the query counts all the same.
    let colon = format!("/v1.41/images/create?fromImage={}/app:&tag=1", registry.address());
    let again = serving.post(&colon, b"").lines();
    assert_eq!(fields(&again, "status").iter().filter(|status| **status == "Already exists").count(), 0);
    assert!(fields(&again, "status").last().is_some_and(|status| status.starts_with("Status: Image is up to date")));
}

#[test]
fn what_does_not_work_has_dockers_status_and_a_message() {
    let (registry, _directory, wharf, serving) = served();
    let address = registry.address();
    let name = format!("{address}/app:1");
    wharf.run(&["pull", "-q", &name]).success();
    let absent = format!("/images/create?fromImage={address}/absent&tag=1");
    let rows: &[(&str, &str, u16, &str)] = &[
        ("GET", "/v1.41/images/nothing/json", 404, "No such image: nothing"),
        ("GET", "/v1.41/images/nothing/history", 404, "No such image: nothing"),
        ("GET", "/v1.41/images/nothing/get", 404, "No such image: nothing"),
        ("POST", "/v1.41/images/nothing/tag?repo=a", 404, "No such image: nothing"),
        ("POST", "/v1.41/images/nothing/push?tag=1", 404, "No such image: nothing"),
        ("DELETE", "/v1.41/images/nothing", 404, "No such image: nothing"),
        ("POST", &absent, 404, "absent"),
        ("POST", "/images/create?fromImage=UPPER&tag=1", 400, "UPPER"),
        ("POST", "/images/create", 400, "fromImage"),
        ("POST", "/images/create?fromImage=a&fromSrc=-", 400, "exclude each other"),
        ("GET", "/images/json?filters=%7B%22color%22%3A%5B%22red%22%5D%7D", 400, "invalid filter 'color'"),
        ("GET", "/images/json?filters=nonsense", 400, "invalid filters"),
        ("GET", "/images/get", 400, "names no image"),
        ("GET", "/v1.48/images/get?names=a&platform=linux/arm64&platform=linux/amd64", 400, "API 1.52 and later"),
        ("POST", "/v1.51/images/load?platform=linux/arm64&platform=linux/amd64", 400, "API 1.52 and later"),
        ("GET", "/v1.49/images/nothing/json?manifests=1&platform=linux/arm64", 400, "exclude each other"),
        ("GET", "/v1.42/system/df?type=network", 400, "unknown object type: network"),
        ("POST", "/v1.24/images/prune", 400, "API 1.25 and later"),
        ("GET", "/v1.41/events?since=nonsense", 400, "`nonsense` is neither a time"),
        ("GET", "/v1.41/events?since=20&until=10", 400, "before that of `since`"),
        ("GET", "/images/search?limit=1000&term=a", 400, "outside the range"),
        ("GET", "/v1.23/images/json", 400, "client version 1.23 is too old"),
        ("GET", "/v1.99/images/json", 400, "client version 1.99 is too new"),
        ("GET", "/v1.41/containers/json", 501, "wharf manages images and nothing else"),
        ("POST", "/v1.41/images/load", 400, "archive"),
        ("PUT", "/v1.41/images/json", 501, "not this one"),
        ("GET", "/nonsense", 501, "not this one"),
    ];
    for (method, target, status, text) in rows {
        let reply = request(serving.socket(), method, target, &[], b"");
        let message = reply.json(*status)["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(text), "{method} {target}: {message}");
        assert_eq!(reply.header("content-type"), Some("application/json"), "{target}");
    }
    let broken = request(serving.socket(), "POST", &absent, &[("X-Registry-Auth", "%%%")], b"");
    assert_eq!(broken.json(400)["message"], "invalid X-Registry-Auth header: it is not in base64");
    // The image is here as before.
    assert_eq!(serving.get("/images/json").json(200)[0]["RepoTags"], json!([name]));
}

#[test]
fn events_come_in_the_form_that_a_client_accepts() {
    let (registry, _directory, wharf, serving) = served();
    wharf.run(&["pull", "-q", &format!("{}/app:1", registry.address())]).success();
    let rows = [
        ("1.52", "application/json-seq", "application/json-seq", "\u{1e}{"),
        ("1.52", "application/x-ndjson", "application/x-ndjson", "{"),
        ("1.51", "application/json-seq", "application/json", "{"),
    ];
    for (version, accept, content_type, begin) in rows {
        let target = format!("/v{version}/events?since=1h&until=0s");
        let reply = request(serving.socket(), "GET", &target, &[("Accept", accept)], b"");
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)), "{version} {accept}");
        let text = reply.text();
        assert!(text.contains(r#""Action":"pull""#), "{text}");
        assert!(text.lines().all(|line| line.starts_with(begin)), "{text}");
    }
}

#[test]
fn archives_go_in_and_out_and_what_is_cut_off_leaves_nothing() {
    let (registry, _directory, wharf, serving) = served();
    let name = format!("{}/app:1", registry.address());
    wharf.run(&["pull", "-q", &name]).success();
    let saved = serving.get(&format!("/images/{name}/get"));
    assert_eq!((saved.status, saved.header("content-type")), (200, Some("application/x-tar")));
    assert_eq!(serving.get(&format!("/images/get?names={name}")).body, saved.body);
    wharf.run(&["rm", &name]).success();
    let cut = serving.post("/images/load", &saved.body[..saved.body.len() / 2]);
    assert_eq!(cut.status, 400, "{}", cut.text());
    assert_eq!(wharf.run(&["images", "--format", "json"]).success().trim(), "[]");
    let loaded = serving.post("/images/load?quiet=1", &saved.body).lines();
    assert_eq!(fields(&loaded, "stream"), [format!("Loaded image: {name}\n")]);
    wharf.run(&["fsck"]).success();
}

#[test]
fn one_platform_of_an_archive_is_loaded_since_the_version_that_has_it() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let name = format!("{}/app:1", registry.address());
    let (source, wharf) = wharf();
    wharf.run(&["pull", "-q", "--all-platforms", &name]).success();
    let archive = source.path().join("app.tar");
    wharf.run(&["save", "-q", "-o", &archive.to_string_lossy(), &name]).success();
    let bytes = std::fs::read(&archive).expect("it was written");

    let (directory, wharf) = super::wharf();
    let serving = Serving::start(&wharf, directory.path(), &[]);
    let send = |version: &str, platform: &str, bytes: &[u8]| {
        let platform: String = platform.bytes().map(|byte| format!("%{byte:02X}")).collect();
        serving.post(&format!("/v{version}/images/load?platform={platform}"), bytes)
    };
    let load = |version: &str, platform: &str| send(version, platform, &bytes);
    let platforms = || {
        let listed = json_of(&wharf.run(&["images", "--format", "json"]).success());
        listed.as_array().and_then(|images| images.first()).map(|image| image["platforms"].clone())
    };
    let refused = load("1.48", r#"{"os":"linux","architecture":"s390x"}"#);
    let message = refused.json(404)["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("no manifest matches linux/s390x"), "{message}");
    // It is refused before anything of the archive is read.
    assert_eq!(send("1.48", r#"{"os":"linux"}"#, b"").status, 400);
    assert_eq!(platforms(), None);
    let loaded = load("1.48", r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#).lines();
    assert_eq!(fields(&loaded, "stream"), [format!("Loaded image: {name}\n")]);
    assert_eq!(platforms(), Some(json!(["linux/arm64/v8"])));
    assert!(wharf.run(&["ls", "--platform", "linux/arm64", &name, "/etc"]).success().contains("greeting"));
    // Before, it is no parameter.
    load("1.47", r#"{"os":"linux","architecture":"s390x"}"#).lines();
    assert_eq!(platforms().and_then(|all| all.as_array().map(Vec::len)), Some(3));
    wharf.run(&["fsck"]).success();

    let (_directory, wharf) = super::wharf();
    let input = archive.to_string_lossy();
    let refused = wharf.run(&["load", "-i", &input, "--platform", "linux/arm64,linux/s390x"]).failure();
    assert!(refused.contains("hint: choose one with `--platform linux/amd64`"), "{refused}");
    wharf.run(&["load", "-q", "-i", &input, "--platform", "linux/arm64,linux/amd64"]).success();
    let listed = json_of(&wharf.run(&["images", "--format", "json"]).success());
    assert_eq!(listed[0]["platforms"].as_array().map(Vec::len), Some(2), "{listed}");
}

#[test]
fn a_login_is_the_requests_own_and_is_not_kept() {
    let registry = DockerRegistry::start(Access::Login);
    registry.push("app", "1", &demo());
    let (directory, wharf) = wharf();
    let serving = Serving::start(&wharf, directory.path(), &[]);
    let target = format!("/images/create?fromImage={}/app&tag=1", registry.address());
    let with = |user: &str, password: &str| {
        let login = json!({"username": user, "password": password}).to_string();
        request(serving.socket(), "POST", &target, &[("X-Registry-Auth", &BASE64_URL_SAFE.encode(login))], b"")
    };
    assert_eq!(serving.post(&target, b"").status, 401);
    assert_eq!(with(USER, "wrong").status, 401);
    assert!(!with(USER, PASSWORD).lines().is_empty());
    // The next request has no login again.
    wharf.run(&["rm", &format!("{}/app:1", registry.address())]).success();
    assert_eq!(serving.post(&target, b"").status, 401);
    let log_in = |password: &str| {
        let body = json!({"username": USER, "password": password, "serveraddress": registry.address()}).to_string();
        serving.post("/auth", body.as_bytes())
    };
    assert_eq!(log_in(PASSWORD).json(200), json!({"IdentityToken": "", "Status": "Login Succeeded"}));
    let refused = log_in("wrong");
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert!(!refused.text().contains("wrong") || !refused.text().contains(PASSWORD));
    let at = directory.path();
    serving.docker_tells(at, &["login", "-u", USER, "-p", PASSWORD, &registry.address().to_string()]);
    serving.docker_tells(at, &["pull", "-q", &format!("{}/app:1", registry.address())]);
}

#[test]
fn over_the_network_of_the_machine_a_request_has_to_mean_this_machine() {
    let (directory, wharf) = wharf();
    let serving = Serving::start(&wharf, directory.path(), &["--tcp", "127.0.0.1:0", "--log", "info"]);
    let other = directory.path().join("other.sock");
    let refused = wharf.run(&["serve", "--unix", &other.to_string_lossy(), "--tcp", "0.0.0.0:0"]);
    assert!(!other.exists());
    assert!(refused.failure().contains("not of this machine alone"));
    let taken = wharf.run(&["serve", "--unix", &serving.socket().to_string_lossy()]);
    assert!(taken.failure().contains("somebody listens there"));
    let said = serving.stop().stderr;
    let address =
        said.lines().find_map(|line| line.strip_prefix("listening on tcp://")).expect("an address").to_owned();
    let serving = Serving::start(&wharf, directory.path(), &["--tcp", &address]);
    let status = |host: &str| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        write!(stream, "GET /_ping HTTP/1.0\r\nhost: {host}\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())
    };
    let statuses = ["localhost:2375", "127.0.0.1", "evil.example"].map(status);
    assert_eq!(statuses, [Some(200), Some(200), Some(403)]);
    drop(serving);
}

#[test]
fn requests_are_answered_side_by_side() {
    let (registry, _directory, wharf, serving) = served();
    let names: Vec<String> = (0..4).map(|at| format!("side-{at}")).collect();
    for (seed, name) in (20..).zip(&names) {
        registry.push(name, "1", &large(seed, 3, 50_000));
    }
    thread::scope(|scope| {
        for name in &names {
            let target = format!("/images/create?fromImage={}/{name}&tag=1", registry.address());
            let serving = &serving;
            scope.spawn(move || {
                let lines = serving.post(&target, b"").lines();
                assert!(lines.iter().all(|line| line["error"].is_null()), "{lines:?}");
            });
            scope.spawn(|| assert_eq!(serving.get("/images/json").status, 200));
        }
        scope.spawn(|| wharf.run(&["images"]).success());
    });
    assert_eq!(serving.get("/images/json").json(200).as_array().map(Vec::len), Some(names.len()));
    wharf.run(&["fsck"]).success();
}
