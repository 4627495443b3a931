//! The component for stock runtimes in the `wasmtime` of everybody, as a person would type it.
//!
//! Both are made before the tests by `tests/run`; a test that misses one fails with the command to type. It is
//! compiled once for all tests, because that takes longer than most of them.

use super::require;
use super::wharf::{Output, Running, TIMEOUT};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::SystemTime;

/// What makes the component. Cargo does nothing if it is there and nothing has changed.
const BUILD: &str = "cargo build --release -p wharf-component --features portable --target wasm32-wasip2";

/// The component as machine code.
static COMPILED: LazyLock<PathBuf> = LazyLock::new(compile);

/// Where cargo puts what it builds.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo makes it below its target directory")
}

/// The command-line program of wasmtime.
pub(crate) fn wasmtime() -> PathBuf {
    let path = target().join("tools/bin/wasmtime");
    assert!(path.is_file(), "this test needs the program `wasmtime`: run `tests/run`, which installs it in `{path:?}`");
    path
}

/// The component.
pub(crate) fn component() -> PathBuf {
    let path = target().join("wasm32-wasip2/release/wharf_component.wasm");
    let built = modified(&path).unwrap_or_else(|| panic!("this test needs `{path:?}`: run `tests/run`, or `{BUILD}`"));
    // Beside it cargo lists what it was made from.
    let sources = fs::read_to_string(path.with_extension("d")).expect("cargo writes this file");
    let (_, sources) = sources.split_once(": ").expect("the file has the form of a rule");
    for source in sources.split_ascii_whitespace() {
        let is_old = modified(Path::new(source)).is_none_or(|changed| changed > built);
        assert!(!is_old, "`{source}` has changed since `{path:?}` was built: run `tests/run`, or `{BUILD}`");
    }
    path
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn compile() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (draft, compiled) = (place.join(format!("wharf.{}", std::process::id())), place.join("wharf.cwasm"));
    let status = Command::new(wasmtime()).arg("compile").arg("-o").arg(&draft).arg(component()).status();
    assert!(status.is_ok_and(|status| status.success()), "`wasmtime compile` failed");
    // Another process that runs the tests may use it.
    fs::rename(&draft, &compiled).expect("the directory is writable");
    compiled
}

/// wharf in wasmtime, with one directory of images.
#[derive(Clone, Debug)]
pub(crate) struct Portable {
    root: PathBuf,
    /// Options of `wasmtime run`.
    given: Vec<OsString>,
    /// Whether permissions of files hold, also for root.
    is_ordinary: bool,
}

impl Portable {
    /// wharf whose images are in `root`/images, and nothing else is given.
    pub(crate) fn new(root: &Path) -> Self {
        let this = Self::alone(root);
        fs::create_dir_all(this.images()).expect("the temporary directory is writable");
        let images = this.images();
        this.give("-Shttp").give_directory(&images, "store")
    }

    /// wharf to which the runtime gives nothing.
    pub(crate) fn alone(root: &Path) -> Self {
        Self { root: root.to_owned(), given: Vec::new(), is_ordinary: false }
    }

    /// Adds an option of `wasmtime run`.
    #[must_use]
    pub(crate) fn give(mut self, option: impl AsRef<OsStr>) -> Self {
        self.given.push(option.as_ref().to_owned());
        self
    }

    /// Gives a directory under a name.
    #[must_use]
    pub(crate) fn give_directory(self, directory: &Path, name: &str) -> Self {
        self.give("--dir").give(format!("{}::{name}", directory.display()))
    }

    /// Sets a variable of the sandbox's environment.
    #[must_use]
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.give("--env").give(format!("{name}={value}"))
    }

    /// The same without what root may do to files in spite of their permissions.
    #[must_use]
    pub(crate) fn ordinary(self) -> Self {
        Self { is_ordinary: true, ..self }
    }

    /// The directory of images.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Runs wharf with `arguments` to its end.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Output {
        self.spawn(arguments).wait(TIMEOUT)
    }

    /// Starts wharf with `arguments`.
    pub(crate) fn spawn<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Running {
        let mut command = self.wasmtime();
        command.arg("--allow-precompiled").args(&self.given).arg(&*COMPILED).args(arguments);
        Running::start(command)
    }

    /// The same from the component itself, which wasmtime compiles first.
    pub(crate) fn run_uncompiled<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Output {
        let mut command = self.wasmtime();
        command.args(&self.given).arg(component()).args(arguments);
        Running::start(command).wait(TIMEOUT)
    }

    /// Starts `wasmtime serve` with it, on this address of the machine.
    pub(crate) fn serve(&self, address: &str) -> Running {
        let mut command = Command::new(wasmtime());
        command.args(["serve", "--allow-precompiled", "-Scli", "--addr", address]);
        command.args(&self.given).arg(&*COMPILED);
        command.env_clear().env("HOME", &self.root);
        Running::start(command)
    }

    fn wasmtime(&self) -> Command {
        let mut command = Command::new(wasmtime());
        if self.is_ordinary && rustix::process::geteuid().is_root() {
            command = Command::new(require("setpriv"));
            command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(wasmtime());
        }
        command.arg("run").env_clear().env("HOME", &self.root).stdin(Stdio::null());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The native host and the program of the tests are of one release, whose HTTP is the same.
    #[test]
    fn the_program_has_the_version_of_the_library() {
        let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).expect("it is there");
        let (_, after) = lock.split_once("name = \"wasmtime\"\nversion = \"").expect("wharf depends on wasmtime");
        let (locked, _) = after.split_once('"').expect("a version ends");
        let said = Command::new(wasmtime()).arg("--version").output().expect("wasmtime starts").stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_eq!(said.split_ascii_whitespace().nth(1), Some(locked), "{said}: run `tests/run`");
        assert!(locked.starts_with("48."), "what is written about 48 has to be tried again with {locked}");
    }
}
