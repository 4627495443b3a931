//! `wharf explain` for three machines: one that is configured as for containerd, one as for docker, one as for podman.
//! What it prints is compared letter by letter.

use super::{json, wharf};
use crate::support::wharf::Wharf;
use serde_json::json as object;
use std::fs;
use tempfile::TempDir;

/// Every secret of these machines has this word in it.
const SECRET: &str = "hunter2";

/// What `explain` is told about the platform, so that the answer is the same on every machine.
const PLATFORM: [&str; 2] = ["--platform", "linux/s390x"];

/// A machine with these files below its home, and none of the system's.
fn machine(files: &[(&str, &str)]) -> (TempDir, Wharf) {
    let (directory, wharf) = wharf();
    let home = wharf.home();
    // A user's own takes the place of the system's.
    for (name, text) in
        [(".config/containers/registries.conf", ""), (".config/docker/daemon.json", "")].iter().chain(files)
    {
        let path = home.join(name);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("the home can be written");
        fs::write(path, text).expect("the home can be written");
    }
    (directory, wharf)
}

/// A document with logins for two registries.
fn logins() -> String {
    let auth = "YW5uOmh1bnRlcjItcGFzc3dvcmQ=";
    let auths = object!({
        "https://index.docker.io/v1/": { "auth": auth },
        "mirror.lan": { "identitytoken": format!("{SECRET}-identity") },
    });
    object!({ "auths": auths, "credHelpers": { "registry.lan:5000": "vault" } }).to_string()
}

/// Compares what is printed about `reference`. `~` stands for the home.
#[track_caller]
fn check(wharf: &Wharf, reference: &str, expected: &str) {
    let output = wharf.run(&["explain", PLATFORM[0], PLATFORM[1], reference]);
    let home = wharf.home().display().to_string();
    assert_eq!(output.stderr, "", "nothing is wrong with the configuration");
    let told = output.success();
    assert!(!told.contains(SECRET) && !told.contains("aHVudGVyMi") && !told.contains("odW50ZXIy"), "{told}");
    assert_eq!(told.replace(&home, "~"), expected);
}

#[test]
fn a_machine_for_containerd() {
    let (_directory, wharf) = machine(&[
        (".docker/config.json", &logins()),
        (
            ".config/wharf/certs.d/docker.io/hosts.toml",
            "server = \"https://registry-1.docker.io\"\n\
             [host.\"https://mirror.lan\"]\n\
             capabilities = [\"pull\", \"resolve\"]\n\
             [host.\"https://mirror.lan\".header]\n\
             x-token = \"hunter2-header\"\n\
             [host.\"http://cache.lan:5000/v2/hub\"]\n\
             capabilities = [\"pull\"]\n\
             override_path = true\n",
        ),
        (
            ".config/wharf/certs.d/_default/hosts.toml",
            "[host.\"https://everything.lan\"]\ncapabilities = [\"pull\", \"resolve\"]\n",
        ),
    ]);
    check(
        &wharf,
        "alpine:3.20",
        "docker.io/library/alpine:3.20\n\
         \n\
         rule: ~/.config/wharf/certs.d/docker.io/hosts.toml\n\
         1. https://mirror.lan/v2/library/alpine\n   \
            a mirror; to resolve and pull; login: ~/.docker/config.json\n   \
            because ~/.config/wharf/certs.d/docker.io/hosts.toml lists it\n\
         2. http://cache.lan:5000/v2/hub/library/alpine\n   \
            a mirror; without TLS; to pull; login: none\n   \
            because ~/.config/wharf/certs.d/docker.io/hosts.toml lists it\n\
         3. https://registry-1.docker.io/v2/library/alpine\n   \
            the registry itself; to resolve and pull; login: ~/.docker/config.json\n   \
            because the name says so\n\
         \n\
         platforms: linux/s390x\n",
    );
    check(
        &wharf,
        "ghcr.io/org/app",
        "ghcr.io/org/app:latest\n\
         \n\
         rule: ~/.config/wharf/certs.d/_default/hosts.toml\n\
         1. https://everything.lan/v2/org/app\n   \
            a mirror; to resolve and pull; login: none\n   \
            because ~/.config/wharf/certs.d/_default/hosts.toml lists it\n\
         2. https://ghcr.io/v2/org/app\n   \
            the registry itself; to resolve and pull; login: none\n   \
            because the name says so\n\
         \n\
         platforms: linux/s390x\n",
    );
}

#[test]
fn a_machine_for_docker() {
    let daemon = object!({
        "registry-mirrors": ["https://mirror.lan/"],
        "insecure-registries": ["registry.lan:5000"],
        "proxies": { "http-proxy": format!("http://gate:{SECRET}@proxy.lan:3128") },
    });
    let (_directory, wharf) =
        machine(&[(".docker/config.json", &logins()), (".config/docker/daemon.json", &daemon.to_string())]);
    check(
        &wharf,
        "alpine",
        "docker.io/library/alpine:latest\n\
         \n\
         rule: ~/.config/docker/daemon.json (`registry-mirrors`)\n\
         1. https://mirror.lan/v2/library/alpine\n   \
            a mirror; to resolve and pull; login: ~/.docker/config.json\n   \
            because ~/.config/docker/daemon.json (`registry-mirrors`) lists it\n\
         2. https://registry-1.docker.io/v2/library/alpine\n   \
            the registry itself; to resolve and pull; login: ~/.docker/config.json\n   \
            because the name says so\n\
         \n\
         platforms: linux/s390x\n",
    );
    check(
        &wharf,
        "registry.lan:5000/app",
        "registry.lan:5000/app:latest\n\
         \n\
         rule: ~/.config/docker/daemon.json (`insecure-registries`)\n\
         1. https://registry.lan:5000/v2/app\n   \
            the registry itself; to resolve and pull; login: docker-credential-vault, named by ~/.docker/config.json\n   \
            because the name says so\n\
         2. http://registry.lan:5000/v2/app\n   \
            the registry itself; without TLS; to resolve and pull; login: docker-credential-vault, named by \
            ~/.docker/config.json\n   \
            because the name says so, but it is asked only if TLS does not work there\n\
         \n\
         platforms: linux/s390x\n",
    );
}

#[test]
fn a_machine_for_podman() {
    let auths = object!({ "auths": { "mirror.lan/hub": { "auth": "YW5uOmh1bnRlcjItcGFzc3dvcmQ=" } } });
    let (_directory, wharf) = machine(&[
        (".config/containers/auth.json", &auths.to_string()),
        (
            ".config/containers/registries.conf",
            "[[registry]]\n\
             prefix = \"docker.io/library\"\n\
             location = \"registry.lan/hub/library\"\n\
             [[registry.mirror]]\n\
             location = \"mirror.lan/hub/library\"\n\
             pull-from-mirror = \"digest-only\"\n\
             \n\
             [[registry]]\n\
             prefix = \"*.evil.example\"\n\
             blocked = true\n\
             \n\
             [aliases]\n\
             beacon = \"quay.io/harbour/beacon\"\n",
        ),
    ]);
    check(
        &wharf,
        "alpine:3.20",
        "docker.io/library/alpine:3.20\n\
         \n\
         rule: ~/.config/containers/registries.conf:1\n\
         1. https://mirror.lan/v2/hub/library/alpine\n   \
            a mirror; to resolve and pull; login: ~/.config/containers/auth.json\n   \
            because ~/.config/containers/registries.conf:1 lists it, but it is asked for digests only\n\
         2. https://registry.lan/v2/hub/library/alpine\n   \
            in the registry's place; to resolve and pull; login: none\n   \
            because ~/.config/containers/registries.conf:1 lists it\n\
         \n\
         platforms: linux/s390x\n",
    );
    check(
        &wharf,
        "a.evil.example/app",
        "a.evil.example/app:latest\n\
         \n\
         rule: ~/.config/containers/registries.conf:8\n\
         blocked: the rule forbids it, and nobody is asked\n\
         \n\
         platforms: linux/s390x\n",
    );
    check(
        &wharf,
        "beacon",
        "quay.io/harbour/beacon:latest\n\
         \n\
         alias: ~/.config/containers/registries.conf:13\n\
         rule: none; nothing is configured for this name\n\
         1. https://quay.io/v2/harbour/beacon\n   \
            the registry itself; to resolve and pull; login: none\n   \
            because the name says so\n\
         \n\
         platforms: linux/s390x\n",
    );
    let refused = wharf.run(&["pull", "-q", "a.evil.example/app"]).failure();
    assert!(refused.contains("registries.conf:8") || refused.contains("block"), "{refused}");
}

#[test]
fn a_program_reads_the_same_as_json() {
    let (_directory, wharf) = machine(&[
        (".docker/config.json", &logins()),
        (".config/docker/daemon.json", r#"{"registry-mirrors":["https://mirror.lan/"]}"#),
    ]);
    let home = wharf.home().display().to_string();
    let told = wharf.run(&["explain", "--format", "json", PLATFORM[0], PLATFORM[1], "alpine"]).success();
    assert!(!told.contains(SECRET), "{told}");
    let mirror = object!({
        "url": "https://mirror.lan/v2/library/alpine",
        "secure": true,
        "mirror": true,
        "repository": "library/alpine",
        "capabilities": ["resolve", "pull"],
        "asked_for": "all",
        "source": "~/.config/docker/daemon.json (`registry-mirrors`)",
        "login": "~/.docker/config.json",
        "skipped": null,
    });
    let itself = object!({
        "url": "https://registry-1.docker.io/v2/library/alpine",
        "secure": true,
        "mirror": false,
        "repository": "library/alpine",
        "capabilities": ["resolve", "pull", "push"],
        "asked_for": "all",
        "source": null,
        "login": "~/.docker/config.json",
        "skipped": null,
    });
    let expected = object!({
        "name": "docker.io/library/alpine:latest",
        "alias": null,
        "rule": "~/.config/docker/daemon.json (`registry-mirrors`)",
        "blocked": false,
        "endpoints": [mirror, itself],
        "platforms": ["linux/s390x"],
    });
    assert_eq!(json(&told.replace(&home, "~")), expected);
}
