//! A containerd of a test's own, which unpacks images that the test makes.

use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running containerd. It ends with its directory when it is dropped.
pub(crate) struct Containerd {
    directory: TempDir,
    process: Child,
    images: std::cell::Cell<u32>,
}

impl Containerd {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("there is room for temporary files");
        let place = directory.path().display();
        let configuration = format!(
            "version = 2\nroot = \"{place}/root\"\nstate = \"{place}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{place}/socket\"\n"
        );
        fs::write(directory.path().join("config.toml"), configuration).expect("a file can be written");
        let process = Command::new("containerd")
            .args(["--config", "config.toml"])
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("log")).expect("a file can be made"))
            .spawn()
            .expect("containerd is installed (Debian's `containerd`)");
        let containerd = Self { directory, process, images: std::cell::Cell::new(0) };
        let begin = Instant::now();
        while containerd.ctr(&["version"]).is_err() {
            let log = || fs::read_to_string(containerd.directory.path().join("log")).unwrap_or_default();
            assert!(begin.elapsed() < Duration::from_secs(30), "containerd does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        containerd
    }

    /// Unpacks an image of these layers, from the bottom up. Returns the directory of the top one, or why it failed.
    pub(crate) fn layer(&self, layers: &[&[u8]]) -> Result<PathBuf, String> {
        let number = self.images.get();
        self.images.set(number + 1);
        let path = self.directory.path().join("image.tar");
        fs::write(&path, image(layers, &format!("wharf.test/image:{number}"))).expect("a file can be written");
        let before = self.snapshots();
        self.ctr(&["images", "import", "--snapshotter", "overlayfs", path.to_str().expect("a plain path")])?;
        let made = self.snapshots().into_iter().filter(|number| !before.contains(number)).max();
        let number = made.ok_or("no snapshot was made: the layer is the same as another one")?;
        Ok(self.place().join(format!("{number}/fs")))
    }

    /// Mounts the image that was unpacked last, which the caller unmounts.
    pub(crate) fn mount(&self, at: &Path) -> Result<(), String> {
        let name = format!("wharf.test/image:{}", self.images.get() - 1);
        self.ctr(&["images", "mount", "--snapshotter", "overlayfs", &name, at.to_str().expect("a plain path")])
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("root/io.containerd.snapshotter.v1.overlayfs/snapshots")
    }

    fn snapshots(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(self.place()) else { return Vec::new() };
        let names = entries.map(|entry| entry.expect("a directory can be read").file_name());
        names.filter_map(|name| name.to_str()?.parse().ok()).collect()
    }

    fn ctr(&self, arguments: &[&str]) -> Result<(), String> {
        let socket = self.directory.path().join("socket");
        let output = Command::new("ctr").arg("--address").arg(socket).args(arguments).output();
        let output = output.expect("ctr is installed (Debian's `containerd`)");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // It may have ended by itself, and the directory goes in any case.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An image as `ctr images import` takes it.
fn image(layers: &[&[u8]], name: &str) -> Vec<u8> {
    let mut files = vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
    let mut descriptor = |kind: &str, bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        files.push((format!("blobs/sha256/{hex}"), bytes.to_vec()));
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()})
    };
    let layers: Vec<_> = layers.iter().map(|layer| descriptor("layer.v1.tar", layer)).collect();
    let diff_ids: Vec<_> = layers.iter().map(|layer| &layer["digest"]).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({"architecture": architecture, "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = descriptor("config.v1+json", config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers});
    let mut manifest = descriptor("manifest.v1+json", manifest.to_string().as_bytes());
    manifest["annotations"] = json!({"io.containerd.image.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    files.push(("index.json".to_owned(), index.to_string().into_bytes()));
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, Path::new(&name), bytes.as_slice()).expect("memory can be written");
    }
    archive.into_inner().expect("memory can be written")
}
