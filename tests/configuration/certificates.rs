//! Directories with certificates: docker's, podman's and containerd's.

use super::{Memory, rules, sites};

const DIRECTORY: &str = "/etc/docker/certs.d/lan:5000";

#[test]
fn certificates_of_a_directory_are_for_its_host() {
    let files = Memory::of(&[
        ("/etc/docker/certs.d/lan:5000/b.crt", "B"),
        ("/etc/docker/certs.d/lan:5000/a.crt", "A"),
        ("/etc/docker/certs.d/lan:5000/client.cert", "CERT"),
        ("/etc/docker/certs.d/lan:5000/client.key", "KEY"),
        ("/etc/docker/certs.d/lan:5000/README", "nothing"),
    ]);
    let excerpt = files.about("lan:5000/app").expect("the files are well");
    assert_eq!(sites(&excerpt), ["https://lan:5000 ca=A+B client=CERT/KEY"]);
    assert_eq!(rules(&excerpt), [""; 0], "certificates say nothing about where to ask");
    for other in ["lan.example/app", "lan:5001/app", "alpine", "other.lan:5000/app"] {
        assert_eq!(sites(&files.about(other).expect("nothing concerns it")), [""; 0], "{other}");
    }
}

#[test]
fn a_mirror_has_the_certificates_of_its_own_directory() {
    let files = Memory::of(&[
        ("/etc/docker/daemon.json", r#"{"registry-mirrors": ["https://mirror.lan", "http://plain.lan"]}"#),
        ("/etc/docker/certs.d/mirror.lan/ca.crt", "MIRROR"),
        ("/etc/docker/certs.d/plain.lan/ca.crt", "PLAIN"),
        ("/etc/docker/certs.d/docker.io/ca.crt", "DOCKER"),
    ]);
    let expected = ["http://plain.lan", "https://mirror.lan ca=MIRROR", "https://registry-1.docker.io ca=DOCKER"];
    assert_eq!(sites(&files.about("alpine").expect("the files are well")), expected);
}

#[test]
fn the_first_place_with_certificates_counts() {
    let files = Memory::of(&[
        ("/home/ann/.config/containers/certs.d/lan:5000/ca.crt", "ANN"),
        ("/etc/containerd/certs.d/lan_5000_/ca.crt", "CONTAINERD"),
        ("/etc/docker/certs.d/lan:5000/client.cert", "CERT"),
    ]);
    assert_eq!(sites(&files.about("lan:5000/app").expect("the files are well")), ["https://lan:5000 ca=ANN"]);
}

/// A table of `hosts.toml` that names certificates is complete; one that does not is completed.
#[test]
fn certificates_that_are_named_come_before_those_of_a_directory() {
    let hosts = "[host.\"https://mirror.lan\"]\nca = 'named.pem'\n[host.\"https://other.lan\"]\nskip_verify = true\n";
    let files = Memory::of(&[
        ("/etc/containerd/certs.d/a.lan/hosts.toml", hosts),
        ("/etc/containerd/certs.d/a.lan/named.pem", "NAMED"),
        ("/etc/containerd/certs.d/mirror.lan/ca.crt", "FOUND"),
        ("/etc/containerd/certs.d/other.lan/ca.crt", "OTHER"),
    ]);
    let excerpt = files.about("a.lan/app").expect("the files are well");
    assert_eq!(sites(&excerpt), ["https://mirror.lan ca=NAMED", "https://other.lan unverified ca=OTHER"]);
}

#[test]
fn half_a_pair_is_an_error_that_names_the_other_half() {
    let key = Memory::of(&[("/etc/docker/certs.d/lan:5000/client.key", "KEY")]);
    let expected =
        format!("cannot read `{DIRECTORY}/client.cert`: it is missing, and `{DIRECTORY}/client.key` belongs to it");
    assert_eq!(key.refusal("lan:5000/app"), expected);
    // The certificate's file may hold the key as well, as containerd has it.
    let certificate = Memory::of(&[("/etc/docker/certs.d/lan:5000/client.cert", "BOTH")]);
    let excerpt = certificate.about("lan:5000/app").expect("it may be");
    assert_eq!(sites(&excerpt), ["https://lan:5000 client=BOTH/BOTH"]);
}

#[test]
fn what_may_not_be_read_is_left_out_only_as_a_whole() {
    let files = Memory::of(&[(&format!("{DIRECTORY}/ca.crt"), "CA")]);
    let excerpt = files.clone().deny("/etc/docker").about("lan:5000/app").expect("it is left out");
    assert_eq!(sites(&excerpt), [""; 0]);
    assert_eq!(excerpt.warnings, ["what may not be read in `/etc/docker/certs.d` is left out"]);
    let refusal = files.deny(&format!("{DIRECTORY}/ca.crt")).refusal("lan:5000/app");
    assert_eq!(refusal, format!("cannot read `{DIRECTORY}/ca.crt`: permission denied"));
}

#[test]
fn a_directory_with_too_many_entries_is_refused() {
    let mut files = Memory::default();
    for number in 0..1_025 {
        files.files.insert(format!("{DIRECTORY}/{number}.crt").into(), b"CA".to_vec());
    }
    assert_eq!(files.refusal("lan:5000/app"), format!("cannot read `{DIRECTORY}`: it has more than 1024 entries"));
}
