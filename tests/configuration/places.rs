//! Where files are looked for, and which of them counts.

use super::{Memory, rules};
use std::path::{Path, PathBuf};
use wharf::configuration::Places;

fn paths(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().expect("the tests use ASCII")).collect()
}

#[test]
fn the_usual_places_are_a_users_before_the_systems() {
    let places = Places::usual(Some(Path::new("/home/ann")), None);
    assert_eq!(
        paths(&places.certs_d),
        [
            "/home/ann/.config/wharf/certs.d",
            "/home/ann/.config/containers/certs.d",
            "/home/ann/.config/docker/certs.d",
            "/etc/wharf/certs.d",
            "/etc/containerd/certs.d",
            "/etc/containers/certs.d",
            "/etc/docker/certs.d",
        ]
    );
    assert_eq!(
        paths(&places.registries_conf),
        ["/home/ann/.config/containers/registries.conf", "/etc/containers/registries.conf"]
    );
    assert_eq!(paths(&places.daemon_json), ["/home/ann/.config/docker/daemon.json", "/etc/docker/daemon.json"]);
}

#[test]
fn the_configuration_directory_of_a_user_has_to_be_absolute() {
    for (home, config_home, expected) in [
        (Some("/home/ann"), Some("/conf"), Some("/conf/docker/daemon.json")),
        (Some("/home/ann"), Some("conf"), Some("/home/ann/.config/docker/daemon.json")),
        (Some("/home/ann"), Some(""), Some("/home/ann/.config/docker/daemon.json")),
        (Some("ann"), None, None),
        (None, None, None),
    ] {
        let places = Places::usual(home.map(Path::new), config_home.map(Path::new));
        let expected: Vec<_> = expected.into_iter().chain(["/etc/docker/daemon.json"]).collect();
        assert_eq!(paths(&places.daemon_json), expected, "{home:?} {config_home:?}");
    }
}

#[test]
fn without_files_nothing_is_said() {
    let excerpt = Memory::default().about("alpine").expect("there is nothing to fail");
    assert!(excerpt.rules.is_empty() && excerpt.sites.is_empty() && excerpt.warnings.is_empty(), "{excerpt:?}");
}

/// The component takes the longest prefix, and the first among equals.
#[test]
fn rules_come_in_the_order_of_the_formats() {
    let files = Memory::of(&[
        (
            "/etc/docker/daemon.json",
            r#"{"registry-mirrors": ["https://daemon.lan"], "insecure-registries": ["a.lan"]}"#,
        ),
        ("/etc/containers/registries.conf", "[[registry]]\nlocation = 'docker.io'\n[[registry]]\nlocation = 'a.lan'\n"),
        ("/etc/containerd/certs.d/_default/hosts.toml", "[host.'https://default.lan']\n"),
        ("/etc/containerd/certs.d/docker.io/hosts.toml", "[host.'https://hosts.lan']\n"),
    ]);
    let sources = |reference: &str| files.about(reference).expect("the files are well").sources;
    assert_eq!(
        sources("alpine"),
        [
            "/etc/containerd/certs.d/docker.io/hosts.toml",
            "/etc/containerd/certs.d/_default/hosts.toml",
            "/etc/containers/registries.conf:1",
            "/etc/docker/daemon.json (`registry-mirrors`)",
        ]
    );
    assert_eq!(
        sources("a.lan/app"),
        [
            "/etc/containerd/certs.d/_default/hosts.toml",
            "/etc/containers/registries.conf:3",
            "/etc/docker/daemon.json (`insecure-registries`)",
        ]
    );
}

#[test]
fn the_first_place_with_a_directory_of_the_registry_counts() {
    let hosts = |host: &str| format!("[host.'https://{host}']\n");
    let (user, wharf, docker) = (hosts("user.lan"), hosts("wharf.lan"), hosts("docker.lan"));
    let files = [
        ("/home/ann/.config/wharf/certs.d/docker.io/hosts.toml", user.as_str()),
        ("/etc/wharf/certs.d/docker.io/hosts.toml", wharf.as_str()),
        ("/etc/docker/certs.d/docker.io/hosts.toml", docker.as_str()),
    ];
    for (at, expected) in ["user.lan", "wharf.lan", "docker.lan"].into_iter().enumerate() {
        let excerpt = Memory::of(&files[at..]).about("alpine").expect("the files are well");
        assert_eq!(rules(&excerpt)[1..], [format!("mirror https://{expected}/v2 rpP ns")]);
    }
}

/// Of one origin the first that says something decides; a later file cannot take the verification away.
#[test]
fn a_later_rule_does_not_weaken_what_an_earlier_one_says_about_an_origin() {
    let files = Memory::of(&[
        ("/etc/containerd/certs.d/docker.io/hosts.toml", "[host.'https://mirror.lan']\ndial_timeout = '1s'\n"),
        (
            "/etc/containers/registries.conf",
            "[[registry]]\nlocation = 'docker.io'\nmirror = [{ location = 'mirror.lan', insecure = true }]\n",
        ),
    ]);
    let excerpt = files.about("alpine").expect("the files are well");
    let site = excerpt.sites.iter().find(|site| site.origin.is_secure()).expect("it is configured");
    assert!(!site.skip_verify && site.connect_timeout.is_some(), "{site:?}");
}

#[test]
fn a_daemon_json_of_a_user_replaces_the_systems() {
    let files = Memory::of(&[
        ("/home/ann/.config/docker/daemon.json", "{}"),
        ("/etc/docker/daemon.json", r#"{"registry-mirrors": ["https://mirror.lan"]}"#),
    ]);
    assert!(rules(&files.about("alpine").expect("the files are well")).is_empty());
}
