//! Pushes to real registries: what other tools find there, whose login is used, and what is sent again.

use super::{json, open_registry, wharf};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::push::large;
use crate::support::skopeo::skopeo;
use crate::support::token_server::{Policy, TokenServer};
use crate::support::wharf::Wharf;
use crate::support::{PASSWORD, USER};
use serde_json::Value;
use wharf::demo::image::demo;

/// A layer that goes in a request of its own.
const LAYER_BYTES: usize = 6 << 20;

/// Gives an image another name, at a registry, and returns that.
fn tag(wharf: &Wharf, name: &str, registry: &DockerRegistry, path: &str) -> String {
    let other = format!("{}/{path}", registry.address());
    wharf.run(&["tag", name, &other]).success();
    other
}

/// The digest that skopeo finds under a name.
#[track_caller]
fn found(name: &str, login: Option<&str>) -> String {
    let (is_found, text) = skopeo(&["inspect", "--format", "{{.Digest}}", &format!("docker://{name}")], login);
    assert!(is_found, "{text}");
    text.trim().to_owned()
}

/// The digest that a name points to here.
fn here(wharf: &Wharf, name: &str) -> String {
    let listed = json(&wharf.run(&["images", "--format", "json", name]).success());
    listed[0]["target"]["digest"].as_str().expect("a digest").to_owned()
}

/// How the parts of a push came to be there, by way.
fn ways(pushed: &Value, way: &str) -> usize {
    pushed["parts"].as_array().expect("parts").iter().filter(|part| part["way"] == way).count()
}

#[test]
fn what_was_pushed_is_what_others_find_there() {
    let (source, target) = (open_registry(), open_registry());
    source.push("app", "1", &demo());
    source.push("big", "1", &large(7, 2, LAYER_BYTES));
    let (_directory, wharf) = wharf();
    let names = ["app", "big"].map(|path| format!("{}/{path}:1", source.address()));
    wharf.run(&["pull", "-q", "--no-unpack", "--all-platforms", &names[0]]).success();
    wharf.run(&["pull", "-q", "--no-unpack", &names[1]]).success();
    for (name, path) in names.iter().zip(["team/app:2", "team/big:2"]) {
        let other = tag(&wharf, name, &target, path);
        let plan = wharf.run(&["push", "--dry-run", &other]).success();
        assert!(plan.contains("send") && plan.contains(" to send in "), "{plan}");
        let printed = wharf.run(&["push", &other]).success();
        assert_eq!(printed, format!("{other}@{}\n", here(&wharf, name)));
        assert_eq!(found(&other, None), here(&wharf, name));
        let again = json(&wharf.run(&["push", "--format", "json", &other]).success());
        assert_eq!((&again[0]["up_to_date"], &again[0]["sent_bytes"]), (&Value::Bool(true), &Value::from(0)));
    }
    assert_eq!(target.accesses("\"PATCH /v2/team/big").len(), 2, "layers that are worth it can be resumed");
    // Another machine finds all of it.
    let (_other, second) = super::wharf();
    let there = format!("{}/team/app:2", target.address());
    second.run(&["pull", "-q", "--all-platforms", &there]).success();
    assert_eq!(here(&second, &there), here(&wharf, &names[0]));

    let mounted = tag(&wharf, &names[1], &target, "other/big:1");
    let told = json(&wharf.run(&["push", "--format", "json", &mounted]).success());
    assert_eq!((ways(&told[0], "mounted"), ways(&told[0], "sent")), (3, 1), "{told}");
    assert_eq!(found(&mounted, None), here(&wharf, &names[1]));
}

#[test]
fn a_push_takes_a_login_and_says_so() {
    let source = open_registry();
    source.push("app", "1", &demo());
    let tokens = TokenServer::start(Policy::default());
    let (basic, token) = (DockerRegistry::start(Access::Login), DockerRegistry::start(Access::Token(&tokens)));
    let (_directory, wharf) = wharf();
    let name = format!("{}/app:1", source.address());
    wharf.run(&["pull", "-q", "--no-unpack", "--platform", "linux/amd64", &name]).success();
    for registry in [&basic, &token] {
        let other = tag(&wharf, &name, registry, "team/app:1");
        let push = ["push", "--platform", "linux/amd64", &other];
        let refused = wharf.run(&push).failure();
        assert!(refused.contains(&format!("wharf login {}", registry.address())), "{refused}");
        let login = ["login", "-u", USER, "--password-stdin", &registry.address().to_string()];
        wharf.run_with(&login, PASSWORD).success();
        let printed = wharf.run(&push).success();
        let digest = printed.trim_end().rsplit_once('@').expect("a digest").1.to_owned();
        assert_eq!(found(&other, Some(&format!("{USER}:{PASSWORD}"))), digest);
    }
    let scopes: Vec<String> = tokens.requests().into_iter().map(|request| format!("{request:?}")).collect();
    assert!(scopes.iter().any(|request| request.contains("pull%2Cpush")), "{scopes:?}");
}

#[test]
fn what_cannot_be_pushed_is_said() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let (_directory, wharf) = wharf();
    let name = format!("{}/app:1", registry.address());
    wharf.run(&["pull", "-q", "--no-unpack", "--platform", "linux/amd64", &name]).success();
    let other = tag(&wharf, &name, &registry, "other:1");
    let refused = wharf.run(&["push", &other]).failure();
    assert!(refused.contains("neither here nor in the registry") && refused.contains("--all-platforms"), "{refused}");
    let part = wharf.run(&["push", "--platform", "linux/amd64", &other]);
    assert!(part.stderr.contains("one manifest of it"), "{}", part.stderr);
    part.success();
    // Where it came from, everything else of it is there.
    let moved = tag(&wharf, &name, &registry, "app:2");
    wharf.run(&["push", &moved]).success();
    assert_eq!(found(&moved, None), here(&wharf, &name));
}

#[test]
fn layers_that_are_compressed_on_the_way_are_the_same_files() {
    let (source, target) = (open_registry(), open_registry());
    source.push("app", "1", &demo());
    let (_directory, wharf) = wharf();
    let name = format!("{}/app:1", source.address());
    wharf.run(&["pull", "-q", "--all-platforms", &name]).success();
    let shown = |wharf: &Wharf, name: &str| {
        let shown = json(&wharf.run(&["inspect", name]).success());
        (shown[0]["Id"].clone(), shown[0]["RootFS"].clone())
    };
    for (how, media_type) in [("zstd:19", "tar+zstd"), ("gzip:1", "tar+gzip")] {
        let other = tag(&wharf, &name, &target, &format!("app:{}", how.replace(':', "-")));
        let push = ["push", "--compress", how, "--force-compress", &other];
        let plan = wharf.run(&[&push[..], &["--dry-run"]].concat()).success();
        let printed = wharf.run(&push).success();
        let digest = printed.trim_end().rsplit_once('@').expect("a digest").1;
        assert!(plan.contains(digest), "a plan knows what comes of it: {plan}");
        assert_ne!(digest, here(&wharf, &name));
        assert_eq!(found(&other, None), digest);
        let (is_found, raw) = skopeo(&["inspect", "--raw", &format!("docker://{other}")], None);
        assert!(is_found && raw.contains("image.index"), "{raw}");
        let one = json(&raw)["manifests"][0]["digest"].as_str().expect("an index has manifests").to_owned();
        let one = format!("docker://{}/app@{one}", target.address());
        let (is_found, manifest) = skopeo(&["inspect", "--raw", &one], None);
        assert!(is_found && manifest.contains(media_type), "{manifest}");
        // Whoever pulls it has the same image, extracted from other bytes.
        let (_other, second) = super::wharf();
        second.run(&["pull", "-q", "--all-platforms", &other]).success();
        assert_eq!(shown(&second, &other), shown(&wharf, &name));
        second.run(&["fsck"]).success();
    }
    wharf.run(&["fsck"]).success();
    assert!(wharf.run(&["gc", "--dry-run"]).success().contains("nothing"), "what was made on the way is gone");
}

#[test]
fn a_copy_leaves_the_same_there_and_nothing_here() {
    let (source, target) = (open_registry(), open_registry());
    source.push("app", "1", &demo());
    source.push("big", "1", &large(8, 2, LAYER_BYTES));
    let (_directory, wharf) = wharf();
    for path in ["app", "big"] {
        let (from, to) = (format!("{}/{path}:1", source.address()), format!("{}/copy/{path}", target.address()));
        let printed = wharf.run(&["copy", &from, &to]).success();
        assert_eq!(printed, format!("{to}:1@{}\n", found(&from, None)));
        assert_eq!(found(&format!("{to}:1"), None), found(&from, None));
        let again = json(&wharf.run(&["copy", "--format", "json", &from, &to]).success());
        assert_eq!(again[0]["up_to_date"], Value::Bool(true));
    }
    assert_eq!(json(&wharf.run(&["images", "--format", "json"]).success()), Value::from(Vec::<Value>::new()));
    let within = format!("{}/other/big:1", target.address());
    let told = wharf.run(&["copy", "--format", "json", &format!("{}/copy/big:1", target.address()), &within]).success();
    assert_eq!(ways(&json(&told)[0], "mounted"), 3, "{told}");
}
