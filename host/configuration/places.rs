//! Where configuration usually is: the tools' own places, a user's before the system's. It does not look whether
//! anything is there.

use std::path::{Path, PathBuf};

/// Where the files are, the most important place first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Directories with a directory for each registry, which holds a `hosts.toml`, or certificates.
    pub certs_d: Vec<PathBuf>,
    /// Candidates for `registries.conf`, of which the first that exists is read. Each may have a directory of drop-ins
    /// beside it, as in `registries.conf.d`.
    pub registries_conf: Vec<PathBuf>,
    /// Candidates for `daemon.json`, of which the first that exists is read.
    pub daemon_json: Vec<PathBuf>,
}

impl Places {
    /// Returns the usual places. `home` and `config_home` are the values of `HOME` and `XDG_CONFIG_HOME`; a relative
    /// one does not count (XDG Base Directory Specification, “Basics”).
    pub fn usual(home: Option<&Path>, config_home: Option<&Path>) -> Self {
        let absolute = |path: Option<&Path>| path.filter(|path| path.is_absolute()).map(Path::to_owned);
        let user = absolute(config_home).or_else(|| Some(absolute(home)?.join(".config")));
        let both = |user_files: &[&str], system_files: &[&str]| {
            let user = user.iter().flat_map(|user| user_files.iter().map(|file| user.join(file)));
            user.chain(system_files.iter().map(|file| Path::new("/etc").join(file))).collect()
        };
        Self {
            certs_d: both(
                &["wharf/certs.d", "containers/certs.d", "docker/certs.d"],
                &["wharf/certs.d", "containerd/certs.d", "containers/certs.d", "docker/certs.d"],
            ),
            registries_conf: both(&["containers/registries.conf"], &["containers/registries.conf"]),
            daemon_json: both(&["docker/daemon.json"], &["docker/daemon.json"]),
        }
    }
}
