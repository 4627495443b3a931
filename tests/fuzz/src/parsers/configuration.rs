//! The files of containerd, podman and docker about registries, on a disk that has nothing else: `hosts.toml`,
//! `registries.conf` and `daemon.json`. The first byte says which one the rest is.

use super::{assert_harmless, choice, written};
use crate::configuration::{Files, Places, read};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What people ask for.
const REFERENCES: [&str; 4] = ["alpine:3.20", "registry.lan:5000/team/app", "sub.example.com/a@sha256:0", "fedora"];

/// One file.
struct Disk<'a> {
    path: PathBuf,
    bytes: &'a [u8],
}

impl Files for Disk<'_> {
    fn read(&self, file: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok((file == self.path).then(|| self.bytes.to_vec()))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let name = self.path.file_name().filter(|_| self.path.parent() == Some(directory));
        Ok(name.map(OsString::from).into_iter().collect())
    }
}

pub(super) fn files(bytes: &[u8]) -> bool {
    let (which, bytes) = choice(bytes);
    let path = [
        "/etc/containerd/certs.d/registry.lan:5000/hosts.toml",
        "/etc/containerd/certs.d/_default/hosts.toml",
        "/etc/containers/registries.conf",
        "/etc/containers/registries.conf.d/a.conf",
        "/etc/docker/daemon.json",
    ][which % 5];
    let disk = Disk { path: PathBuf::from(path), bytes };
    let places = Places::usual(None, None);
    let configuration = match read(&disk, &places) {
        Ok(configuration) => configuration,
        Err(error) => {
            assert_harmless(&error.to_string());
            return false;
        }
    };
    assert_eq!(configuration.aliases.len(), configuration.alias_sources.len());
    configuration.warnings.iter().for_each(|warning| assert_harmless(warning));
    let mut rules = 0;
    for reference in REFERENCES {
        let excerpt = match configuration.about(&disk, reference) {
            Ok(excerpt) => excerpt,
            Err(error) => {
                assert_harmless(&error.to_string());
                return false;
            }
        };
        let again = configuration.about(&disk, reference).expect("the disk has not changed");
        assert_eq!(format!("{:?}", again.rules), format!("{:?}", excerpt.rules));
        assert_eq!(excerpt.rules.len(), excerpt.sources.len());
        excerpt.warnings.iter().chain(&excerpt.sources).for_each(|text| assert_harmless(text));
        rules += excerpt.rules.len();
        for endpoint in excerpt.rules.iter().flat_map(|rule| &rule.endpoints) {
            let authority = &endpoint.origin.authority;
            assert!(!authority.is_empty() && !authority.contains(['@', '/', ' ', '?', '#']), "{authority}");
            assert!(endpoint.base.is_empty() || endpoint.base.starts_with('/'), "{}", endpoint.base);
            assert!(!endpoint.base.split('/').any(|part| part == ".." || part == "."), "{}", endpoint.base);
        }
    }
    // A registry that is described opens nothing for another.
    if which % 5 == 0 {
        let other = configuration.about(&disk, "other.lan/x").expect("nothing is about it");
        assert!(other.rules.is_empty() && other.sites.is_empty());
    }
    rules > 0 || configuration.proxies.is_some() || !configuration.aliases.is_empty()
}

pub(super) fn file_seeds() -> Vec<Vec<u8>> {
    written(&[
        "\0server = \"https://registry.lan:5000\"\n[host.\"https://mirror.lan/v2/proxy\"]\ncapabilities = [\"pull\", \"resolve\"]\noverride_path = true\nskip_verify = true\ndial_timeout = \"3s\"\n[host.\"https://mirror.lan/v2/proxy\".header]\nx-a = [\"b\", \"c\"]\n",
        "\u{1}[host.\"http://127.0.0.1:5000\"]\n",
        "\u{2}unqualified-search-registries = [\"docker.io\"]\n[[registry]]\nprefix = \"*.example.com\"\nlocation = \"mirror.lan/example\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"10.0.0.1:5000/x\"\npull-from-mirror = \"digest-only\"\n[[registry]]\nlocation = \"docker.io/library\"\nblocked = true\n",
        "\u{3}[aliases]\n\"fedora\" = \"registry.fedoraproject.org/fedora\"\n",
        "\u{4}{\"registry-mirrors\":[\"https://mirror.lan\"],\"insecure-registries\":[\"10.0.0.0/8\",\"registry.lan:5000\"],\"proxies\":{\"http-proxy\":\"http://proxy.lan:3128\"}}",
        "\0server = \"https://ann:secret@registry.lan\"",
        "\u{2}[[registry]]\nprefix = \"a/../b\"",
        "\u{4}{\"registry-mirrors\":[1]}",
        "\u{2}[[[",
    ])
}
