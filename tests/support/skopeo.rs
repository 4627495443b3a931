//! skopeo, as a client that shares no code with wharf: what it accepts is not only our opinion.

use super::require;
use std::process::{Command, Stdio};

/// Runs `skopeo` with `arguments`, without TLS, and with `login` as in `user:password`. Returns whether it
/// succeeded, and all that it wrote.
pub(crate) fn skopeo(arguments: &[&str], login: Option<&str>) -> (bool, String) {
    let (subcommand, rest) = arguments.split_first().expect("skopeo has subcommands");
    let mut command = Command::new(require("skopeo"));
    let tls = if *subcommand == "copy" { "--src-tls-verify=false" } else { "--tls-verify=false" };
    command.args([subcommand, tls]).args(rest).stdin(Stdio::null());
    if let Some(login) = login {
        command.arg(if *subcommand == "copy" { "--src-creds" } else { "--creds" }).arg(login);
    }
    // An empty home keeps the machine's own logins out of the test.
    let home = tempfile::tempdir().expect("there is a temporary directory");
    command.env("HOME", home.path()).env_remove("XDG_RUNTIME_DIR").env_remove("REGISTRY_AUTH_FILE");
    let output = command.output().expect("`skopeo` starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::RUNTIME;
    use wharf::demo::image::{self, digest};
    use wharf::demo::registry::{Images, Registry};

    /// The demonstration's registry and image are our own, so another tool has to agree that they are real ones.
    #[test]
    fn skopeo_copies_the_demonstration_whole() {
        let image = image::demo();
        let registry = {
            let _runtime = RUNTIME.enter();
            Registry::start(Images::new().with("library/demo", "latest", &image)).expect("a port is free")
        };
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let layout = directory.path().join("layout");
        let source = format!("docker://{}/library/demo:latest", registry.address());
        // By default skopeo compresses layers that are not.
        let (success, text) = skopeo(
            &["copy", "--all", "--preserve-digests", &source, &format!("oci:{}:latest", layout.display())],
            None,
        );
        assert!(success, "{text}");

        let blobs = layout.join("blobs/sha256");
        let mut found: Vec<_> = std::fs::read_dir(&blobs)
            .expect("skopeo made a layout")
            .map(|entry| {
                let path = entry.expect("the directory can be read").path();
                digest(&std::fs::read(path).expect("the blob can be read"))
            })
            .collect();
        let mut expected: Vec<_> = image.documents.iter().map(|document| document.digest.clone()).collect();
        expected.extend(image.blobs.keys().cloned());
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
