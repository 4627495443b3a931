//! What is in a registry: `wharf tags`, `wharf catalog`, `wharf search` and `wharf referrers`.

use super::{json, open_registry, wharf};
use crate::support::desk::{Desk, page};
use serde_json::json as object;
use std::fs;
use wharf::demo::image::demo;

#[test]
fn the_tags_of_a_repository_and_the_repositories_of_a_registry_are_listed_in_order() {
    let registry = open_registry();
    for (repository, tag) in [("org/app", "1"), ("library/demo", "2.0"), ("library/demo", "1.0")] {
        registry.push(repository, tag, &demo());
    }
    let (_directory, wharf) = wharf();
    let address = registry.address().to_string();
    let repository = format!("{address}/library/demo");

    assert_eq!(wharf.run(&["tags", &repository]).success(), "1.0\n2.0\n");
    let tags = wharf.run(&["tags", "--format", "json", &repository]).success();
    assert_eq!(json(&tags), object!(["1.0", "2.0"]));
    assert_eq!(wharf.run(&["catalog", &address]).success(), "library/demo\norg/app\n");
    let repositories = wharf.run(&["catalog", "--format", "json", &address]).success();
    assert_eq!(json(&repositories), object!(["library/demo", "org/app"]));
    assert!(wharf.run(&["images", "-q"]).success().is_empty(), "nothing was pulled");

    let told = wharf.run(&["tags", &format!("{address}/library/other")]).failure();
    assert!(told.contains(&format!("there is no repository `{address}/library/other`")), "{told}");
    let told = wharf.run(&["tags", &format!("{repository}:1.0")]).failure();
    assert!(told.contains(&format!("hint: wharf tags {repository}")), "{told}");
    let told = wharf.run(&["catalog", &repository]).failure();
    assert!(told.contains("is no registry, as `registry.lan:5000` is"), "{told}");
}

/// Docker Hub's shape, with a description that would steer a terminal.
const HUB: &str = r#"{"num_results":3,"query":"app","results":[
    {"name":"org/app","description":"with \u001b[31mcolour,\nlines and more words than a table has room for","star_count":7,
     "is_official":false,"is_automated":false},
    {"name":"app","description":"The app","star_count":9000,"is_official":true,"is_automated":false},
    {"name":"../app","star_count":1}]}"#;

#[test]
fn repositories_are_found_by_a_word() {
    let hub = Desk::start(|path| match path.starts_with("/v1/search?") {
        true => page("200 OK", HUB),
        false => page("404 Not Found", ""),
    });
    let (_directory, wharf) = wharf();
    let address = hub.authority();
    let found = wharf.run(&["search", &format!("{address}/my app")]);
    assert_eq!(found.stderr, "1 of the results have no name that could be pulled, and are left out\n");
    let table = found.success();
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines[0].starts_with("NAME ")
            && lines[0].ends_with("DESCRIPTION                                     STARS   OFFICIAL"),
        "{table}"
    );
    assert!(lines[1].starts_with(&format!("{address}/app ")) && lines[1].ends_with("9000    [OK]"), "{table}");
    assert!(lines[2].contains("with \\u{1b}[31mcolour, lines and more words …   7"), "{table}");
    assert_eq!((lines.len(), hub.asked()), (3, vec!["/v1/search?q=my%20app&n=25".to_owned()]));

    let whole =
        wharf.run(&["search", "--no-trunc", "--filter", "is-official=false", &format!("{address}/app")]).success();
    assert!(whole.contains("than a table has room for"), "{whole}");
    assert_eq!((whole.lines().count(), hub.asked()), (2, vec!["/v1/search?q=app&n=100".to_owned()]));
    let one = json(&wharf.run(&["search", "--limit", "1", "--format", "json", &format!("{address}/app")]).success());
    let expected = object!([{
        "name": format!("{address}/app"), "description": "The app", "stars": 9000, "official": true, "automated": false,
    }]);
    assert_eq!((one, hub.asked()), (expected, vec!["/v1/search?q=app&n=1".to_owned()]));
}

/// What stands for Docker Hub is searched for what nobody names a registry of.
#[test]
fn a_word_alone_is_for_docker_hub_or_what_is_configured_instead() {
    let hub = Desk::start(|_| page("200 OK", HUB));
    let (_directory, wharf) = wharf();
    let directory = wharf.home().join(".config/wharf/certs.d/docker.io");
    fs::create_dir_all(&directory).expect("the home can be written");
    fs::write(directory.join("hosts.toml"), format!("server = \"http://{}\"\n", hub.authority()))
        .expect("the home can be written");
    let found = json(&wharf.run(&["search", "--filter", "stars=8", "--format", "json", "library/app"]).success());
    assert_eq!((&found[0]["name"], found.as_array().map(Vec::len)), (&object!("app"), Some(1)));
    assert_eq!(hub.asked(), ["/v1/search?q=app&n=100"]);
    assert!(wharf.run(&["search", "--filter", "colour=red", "app"]).failure().contains("the filter `colour=red`"));
}

#[test]
fn a_registry_without_a_search_is_searched_by_its_list() {
    let registry = open_registry();
    for repository in ["library/demo", "org/demo-app", "other"] {
        registry.push(repository, "1", &demo());
    }
    let (_directory, wharf) = wharf();
    let address = registry.address().to_string();
    let found = wharf.run(&["search", "--format", "json", &format!("{address}/Demo")]);
    assert!(found.stderr.contains("has no search; these are the repositories that it lists"), "{}", found.stderr);
    let found = json(&found.success());
    let names: Vec<_> = found.as_array().expect("an array").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&object!(format!("{address}/library/demo")), &object!(format!("{address}/org/demo-app"))]);
    assert_eq!(found[0]["stars"], object!(null));
    let told = wharf.run(&["search", &format!("{address}/")]).failure();
    assert!(told.contains(&format!("hint: wharf catalog {address}")), "{told}");
    let nothing = Desk::start(|_| page("404 Not Found", ""));
    let told = wharf.run(&["search", &format!("{}/app", nothing.authority())]).failure();
    assert!(told.contains("has no search, and no repository of the name `app`"), "{told}");
}

/// An index of two artifacts, the second with what would steer a terminal.
fn referrers(kind: &str) -> String {
    let entry = |at: u32, kind: &str, said: &str| {
        object!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{at:064x}"),
            "size": 1_234, "artifactType": kind, "annotations": { "org.opencontainers.image.title": said },
        })
    };
    let entries = [entry(1, "application/spdx+json", "packages"), entry(2, "application/x.sig", "\u{1b}[31m")];
    let wanted = entries.into_iter().filter(|entry| kind.is_empty() || entry["artifactType"] == kind);
    let media_type = "application/vnd.oci.image.index.v1+json";
    object!({ "schemaVersion": 2, "mediaType": media_type, "manifests": wanted.collect::<Vec<_>>() }).to_string()
}

#[test]
fn what_refers_to_an_image_is_listed() {
    let index = |body: String| page("200 OK", body).with("content-type", "application/vnd.oci.image.index.v1+json");
    let subject = format!("sha256:{}", "ab".repeat(32));
    let listing = Desk::start(move |path| match path.split_once("/referrers/") {
        Some((_, rest)) if rest.ends_with("?artifactType=application%2Fx.sig") => {
            index(referrers("application/x.sig")).with("oci-filters-applied", "artifactType")
        }
        Some(_) => index(referrers("")),
        None => page("404 Not Found", ""),
    });
    let (_directory, wharf) = wharf();
    let name = format!("{}/app@{subject}", listing.authority());
    let listed = wharf.run(&["referrers", &name]);
    assert_eq!(listed.stderr, "");
    let table = listed.success();
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("DIGEST ") && lines[0].ends_with("ANNOTATIONS"), "{table}");
    assert_eq!(
        lines[1],
        format!("sha256:{:064x}   application/spdx+json   1.23kB   org.opencontainers.image.title=packages", 1)
    );
    assert!(lines[2].ends_with("org.opencontainers.image.title=\\u{1b}[31m"), "{table}");
    let one = json(&wharf.run(&["referrers", "--type", "application/x.sig", "--format", "json", &name]).success());
    let expected = object!([{
        "digest": format!("sha256:{:064x}", 2), "media_type": "application/vnd.oci.image.manifest.v1+json",
        "artifact_type": "application/x.sig", "size": 1_234,
        "annotations": { "org.opencontainers.image.title": "\u{1b}[31m" },
    }]);
    assert_eq!(one, expected);
    let paths = [
        format!("/v2/app/referrers/{subject}"),
        format!("/v2/app/referrers/{subject}?artifactType=application%2Fx.sig"),
    ];
    assert_eq!(listing.asked(), paths);
}

/// Debian's registry keeps no list, as most did before distribution-spec 1.1.
#[test]
fn a_registry_without_referrers_has_them_under_a_tag() {
    let registry = open_registry();
    registry.push("app", "1", &demo());
    let (_directory, wharf) = wharf();
    let name = format!("{}/app:1", registry.address());
    let none = wharf.run(&["referrers", "--format", "json", &name]);
    let tag = demo().root().digest.replace(':', "-");
    assert!(
        none.stderr.contains(&format!("keeps no list of referrers; these are those that the tag `{tag}` names")),
        "{}",
        none.stderr
    );
    assert_eq!(none.success(), "[]\n");
    let told = wharf.run(&["referrers", &format!("{}/none:1", registry.address())]).failure();
    assert!(told.contains("/none` has no tag `1`"), "{told}");
}
