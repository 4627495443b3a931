//! Every example of a request in the documentation of the Docker Engine API, as it stands there, run by `bash` with the
//! real curl, and what the documentation says that comes back. Where curl has no example, the request is made of the
//! parameters that are listed.
//!
//! `docker.io` and `registry.example.com` are registries on this machine. The first one is by `hosts.toml`. To the second a
//! proxy leads, which is the registry itself: it gets a login, and those go to the name that they are for.

use super::super::{open_registry, wharf};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::engine_api::Serving;
use crate::support::push::large;
use crate::support::require;
use crate::support::wharf::Wharf;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use wharf::demo::image::demo;

/// Has curl speak to the socket, and end with the status on a line of its own.
const CURL: &str =
    r#"curl() { command "$CURL" --silent --show-error --unix-socket "$SOCKET" --write-out '\n%{http_code}' "$@"; }"#;

/// One example.
struct Example {
    /// What is done by the command line before, if anything has to be there.
    before: &'static [&'static [&'static str]],
    text: &'static str,
    status: u16,
    /// Looks at what came: one object a line, or one document.
    check: fn(&[Value]),
}

const EXAMPLES: &[Example] = &[
    Example {
        before: &[],
        text: r#"curl -X POST "http://localhost/v1.43/images/create?fromImage=nginx&tag=latest""#,
        status: 200,
        check: |lines| {
            assert_eq!(lines[0], json!({"status": "Pulling from library/nginx", "id": "latest"}));
            for status in ["Pulling fs layer", "Download complete", "Pull complete"] {
                let of_layers: Vec<_> = lines.iter().filter(|line| line["status"] == status).collect();
                assert_eq!(of_layers.len(), 2, "{status}: {lines:?}");
                for line in of_layers {
                    assert_eq!((&line["progressDetail"], text(&line["id"]).len()), (&json!({}), 12), "{line}");
                }
            }
            let progress = lines.iter().filter(|line| line["progress"].is_string());
            for line in progress {
                assert!(["Downloading", "Extracting"].contains(&text(&line["status"])), "{line}");
                // What is nothing yet is left out, as docker does.
                let detail = &line["progressDetail"];
                let is_begun = detail.get("current").is_none_or(Value::is_u64);
                assert!(is_begun && detail["total"].is_u64(), "{line}");
            }
            let [.., digest, status] = lines else { panic!("{lines:?}") };
            assert!(text(&digest["status"]).starts_with("Digest: sha256:"), "{digest}");
            assert_eq!(status, &json!({"status": "Status: Downloaded newer image for nginx:latest"}));
        },
    },
    Example {
        before: &[],
        text: r#"curl -X POST "http://localhost/v1.43/images/create?fromImage=nginx&platform=linux/arm64""#,
        status: 200,
        check: |lines| {
            assert_eq!(lines[0]["status"], "Pulling from library/nginx");
            let status = lines.last().map(|line| &line["status"]);
            assert_eq!(status, Some(&json!("Status: Downloaded newer image for nginx:latest")));
        },
    },
    Example {
        before: &[],
        text: r#"AUTH=$(echo -n '{"username":"user","password":"pass"}' | base64)
curl -X POST \
  -H "X-Registry-Auth: $AUTH" \
  "http://localhost/v1.43/images/create?fromImage=registry.example.com/myimage""#,
        status: 200,
        check: |lines| {
            let status = lines.last().map(|line| &line["status"]);
            let expected = "Status: Downloaded newer image for registry.example.com/myimage:latest";
            assert_eq!(status, Some(&json!(expected)), "{lines:?}");
        },
    },
    Example {
        before: &[],
        text: r#"AUTH=$(echo -n '{"username": "user", "password": "pass", "email": "user@example.com", "serveraddress": "registry.example.com"}' | base64 -w 0)
curl -X POST -H "X-Registry-Auth: $AUTH" "http://localhost/v1.43/images/create?fromImage=registry.example.com/myimage&tag=latest""#,
        status: 200,
        check: |lines| {
            let status = lines.last().map(|line| &line["status"]);
            let expected = "Status: Image is up to date for registry.example.com/myimage:latest";
            assert_eq!(status, Some(&json!(expected)), "{lines:?}");
        },
    },
    Example {
        before: &[&["pull", "-q", "--all-platforms", "nginx"], &["tag", "nginx", "myimage"]],
        text: r#"AUTH=$(echo -n '{"username":"user","password":"pass"}' | base64)
curl -X POST \
  -H "X-Registry-Auth: $AUTH" \
  "http://localhost/v1.43/images/myimage:latest/push""#,
        status: 200,
        check: |lines| {
            assert_eq!(lines[0]["status"], "The push refers to repository [docker.io/library/myimage]");
            let of = |status: &str| lines.iter().filter(|line| text(&line["status"]).starts_with(status)).count();
            assert!(of("Preparing") >= 2 && of("Pushed") + of("Mounted from") >= 2, "{lines:?}");
            let last = lines.iter().rev().find_map(|line| line["status"].as_str()).unwrap_or_default();
            assert!(last.starts_with("latest: digest: sha256:") && last.contains(" size: "), "{lines:?}");
        },
    },
    Example {
        before: &[],
        text: r#"curl "http://localhost/v1.43/images/json""#,
        status: 200,
        check: |told| {
            let images = list(told);
            let image = images.iter().find(|image| image["RepoTags"].as_array().is_some_and(|tags| tags.len() == 2));
            let image = image.unwrap_or_else(|| panic!("{images:?}"));
            assert_eq!(image["RepoTags"], json!(["myimage:latest", "nginx:latest"]));
            assert!(text(&image["RepoDigests"][1]).starts_with("nginx@sha256:"), "{image}");
            assert!(text(&image["Id"]).starts_with("sha256:") && image["ParentId"] == "", "{image}");
            assert!(image["Created"].is_i64() && image["Size"].as_u64() > Some(0), "{image}");
            assert_eq!((&image["VirtualSize"], &image["SharedSize"]), (&image["Size"], &json!(-1)));
            assert!(image["Labels"].is_null() || image["Labels"].is_object(), "{image}");
            assert_eq!(image["Containers"], -1);
            // It is of version 1.48 and later.
            assert_eq!(image.get("Descriptor"), None);
        },
    },
    Example {
        before: &[],
        text: r#"curl "http://localhost/v1.48/images/json?all=true""#,
        status: 200,
        check: |told| {
            for image in list(told) {
                let descriptor = &image["Descriptor"];
                assert!(text(&descriptor["digest"]).starts_with("sha256:") && descriptor["size"].is_u64(), "{image}");
                assert!(text(&descriptor["mediaType"]).starts_with("application/vnd."), "{image}");
            }
        },
    },
    Example {
        before: &[],
        text: r#"curl "http://localhost/v1.43/images/json?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D""#,
        status: 200,
        check: |told| assert_eq!(told, [json!([])]),
    },
    Example {
        before: &[],
        text: r#"curl --get --data-urlencode 'filters={"dangling": ["false"], "reference": ["nginx:*", "redis:alpine"]}' "http://localhost/v1.43/images/json""#,
        status: 200,
        check: |told| {
            let [image] = list(told) else { panic!("{told:?}") };
            assert!(image["RepoTags"].as_array().is_some_and(|tags| tags.contains(&json!("nginx:latest"))), "{image}");
        },
    },
    Example {
        before: &[],
        text: r#"curl "http://localhost/v1.43/images/json?shared-size=true""#,
        status: 200,
        check: |told| {
            let images = list(told);
            assert_eq!(images.len(), 2, "{images:?}");
            assert!(images.iter().all(|image| image["SharedSize"] == 0), "{images:?}");
        },
    },
    Example {
        before: &[],
        text: r#"curl "http://localhost/v1.43/images/nginx:latest/json""#,
        status: 200,
        check: |told| {
            let [image] = told else { panic!("{told:?}") };
            assert!(text(&image["Id"]).starts_with("sha256:"), "{image}");
            assert_eq!(image["RepoTags"], json!(["myimage:latest", "nginx:latest"]));
            assert!(text(&image["RepoDigests"][1]).starts_with("nginx@sha256:"), "{image}");
            for name in ["Parent", "Comment", "DockerVersion", "Author"] {
                assert!(image[name].is_string(), "{name}: {image}");
            }
            assert!(text(&image["Created"]).ends_with('Z'), "{image}");
            for name in ["Hostname", "Env", "Cmd", "Image", "Volumes", "WorkingDir", "Entrypoint", "Labels"] {
                assert!(image["Config"].get(name).is_some(), "{name}: {image}");
            }
            assert_eq!((&image["Architecture"], &image["Os"]), (&json!("amd64"), &json!("linux")));
            assert!(image["Size"].as_u64() > Some(0) && image["GraphDriver"]["Name"] == "wharf", "{image}");
            assert_eq!(image["RootFS"]["Type"], "layers");
            assert!(image["RootFS"]["Layers"].as_array().is_some_and(|layers| layers.len() == 2), "{image}");
            assert!(text(&image["Metadata"]["LastTagTime"]).ends_with('Z'), "{image}");
        },
    },
    Example {
        before: &[],
        text: r#"curl "http://localhost/v1.49/images/nginx:latest/json?manifests=true""#,
        status: 200,
        check: |told| {
            let manifests = list(std::slice::from_ref(&told[0]["Manifests"]));
            assert_eq!(manifests.len(), 3, "{manifests:?}");
            let of = |architecture: &str| {
                let found = manifests.iter().find(|one| one["Descriptor"]["platform"]["architecture"] == architecture);
                found.cloned().unwrap_or_else(|| panic!("{architecture}: {manifests:?}"))
            };
            for architecture in ["amd64", "arm64", "arm"] {
                let one = of(architecture);
                let descriptor = &one["Descriptor"];
                assert_eq!((&one["Available"], &descriptor["platform"]["os"]), (&json!(true), &json!("linux")));
                assert!(text(&descriptor["digest"]).starts_with("sha256:") && descriptor["size"].is_u64(), "{one}");
            }
        },
    },
    Example {
        before: &[],
        text: r#"curl "http://localhost/v1.49/images/nginx:latest/json?platform=linux/arm64""#,
        status: 200,
        check: |told| assert_eq!((&told[0]["Architecture"], &told[0]["Variant"]), (&json!("arm64"), &json!("v8"))),
    },
    Example {
        before: &[&["rm", "myimage"]],
        text: r#"curl -X DELETE "http://localhost/v1.43/images/nginx:latest""#,
        status: 200,
        check: |told| {
            let gone = list(told);
            assert_eq!(gone[0], json!({"Untagged": "nginx:latest"}));
            assert!(gone.iter().skip(1).any(|gone| text(&gone["Deleted"]).starts_with("sha256:")), "{gone:?}");
        },
    },
    Example {
        before: &[],
        text: r#"curl -X DELETE "http://localhost/v1.43/images/nginx:latest""#,
        status: 404,
        check: |told| assert!(text(&told[0]["message"]).starts_with("No such image: nginx:latest"), "{told:?}"),
    },
    Example {
        before: &[&["pull", "-q", "nginx"]],
        text: r#"curl -X DELETE "http://localhost/v1.43/images/nginx:latest?force=true""#,
        status: 200,
        check: |told| assert_eq!(list(told)[0], json!({"Untagged": "nginx:latest"})),
    },
    Example {
        before: &[&["pull", "-q", "nginx"]],
        text: r#"curl -X DELETE "http://localhost/v1.43/images/nginx:latest?force=false&noprune=true""#,
        status: 200,
        check: |told| assert_eq!(list(told)[0], json!({"Untagged": "nginx:latest"})),
    },
    Example {
        before: &[],
        text: r#"curl -X POST "http://localhost/v1.43/images/prune""#,
        status: 200,
        check: |told| assert!(told[0].get("ImagesDeleted").is_some() && told[0]["SpaceReclaimed"].is_u64(), "{told:?}"),
    },
    Example {
        before: &[&["pull", "-q", "nginx"]],
        text: r#"curl -X POST -G --data-urlencode 'filters={"dangling": ["true"], "until": ["24h"], "label": ["version=1.0", "env!=prod"]}' "http://localhost/v1.43/images/prune""#,
        status: 200,
        check: |told| assert_eq!(told, [json!({"ImagesDeleted": null, "SpaceReclaimed": 0})]),
    },
    Example {
        before: &[],
        text: r#"curl -X POST "http://localhost/v1.43/images/nginx:latest/tag?repo=nginx&tag=old""#,
        status: 201,
        check: |told| assert!(told.is_empty(), "{told:?}"),
    },
    Example {
        before: &[],
        text: r#"curl -X POST -G --data-urlencode 'filters={"dangling": ["false"], "until": ["2123-01-01T00:00:00"]}' "http://localhost/v1.43/images/prune""#,
        status: 200,
        check: |told| {
            let gone = told[0]["ImagesDeleted"].as_array().cloned().unwrap_or_default();
            assert!(gone.contains(&json!({"Untagged": "nginx:old"})), "{told:?}");
            assert!(gone.iter().any(|gone| text(&gone["Deleted"]).starts_with("sha256:")), "{told:?}");
            assert!(told[0]["SpaceReclaimed"].as_u64() > Some(0), "{told:?}");
        },
    },
    Example {
        before: &[],
        text: r#"curl "http://localhost/v1.43/images/json?filters=%7B""#,
        status: 400,
        check: |told| assert!(text(&told[0]["message"]).starts_with("invalid filter"), "{told:?}"),
    },
    Example {
        before: &[],
        text: r#"curl -X POST "http://localhost/v1.43/images/create?fromImage=registry.example.com/myimage&tag=latest""#,
        status: 401,
        check: |told| assert!(told[0]["message"].is_string(), "{told:?}"),
    },
];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The objects of a document that is a list.
#[track_caller]
fn list(told: &[Value]) -> &[Value] {
    match told {
        [Value::Array(list)] => list,
        _ => panic!("it is no list: {told:?}"),
    }
}

/// Says where the registry of this name really is.
fn lead(wharf: &Wharf, name: &str, address: SocketAddr) {
    let directory = wharf.home().join(".config/wharf/certs.d").join(name);
    std::fs::create_dir_all(&directory).expect("the home can be written");
    std::fs::write(directory.join("hosts.toml"), format!("server = \"http://{address}\"\n"))
        .expect("the home can be written");
}

#[test]
fn the_examples_of_the_documentation_work_word_for_word() {
    let (hub, company) = (open_registry(), DockerRegistry::start(Access::Login));
    hub.push("library/nginx", "latest", &demo());
    company.push("myimage", "latest", &large(3, 2, 100_000));
    let (directory, wharf) = wharf();
    lead(&wharf, "docker.io", hub.address());
    let wharf = wharf.with("http_proxy", format!("http://{}", company.address())).with("no_proxy", "127.0.0.1");
    let serving = Serving::start(&wharf, directory.path(), &["--plain-http", "registry.example.com"]);
    for Example { before, text, status, check } in EXAMPLES {
        before.iter().for_each(|arguments| drop(wharf.run(arguments).success()));
        let mut command = Command::new(require("bash"));
        command.args(["-euo", "pipefail", "-c", &format!("{CURL}\n{text}")]);
        command.env("CURL", require("curl")).env("SOCKET", serving.socket()).env("HOME", directory.path());
        let output = command.output().expect("bash starts");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{text}\n{told}");
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        let (body, code) = told.rsplit_once('\n').expect("the status has a line of its own");
        assert_eq!(code, status.to_string(), "{text}: {body}");
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(body).into_iter().collect();
        check(&values.unwrap_or_else(|error| panic!("{text}: {error}: {body}")));
    }
}
