//! `ctr events`: what is told of what clients of either door, and other processes, do.

use super::{Door, ctr_at};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::push::large;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long an event may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Somebody who listens, until it is dropped.
struct Listener {
    process: Child,
    heard: PathBuf,
}

impl Listener {
    fn start(door: &Door, heard: &Path, filters: &[&str]) -> Self {
        let mut command = ctr_at(door.socket());
        command.arg("events").args(filters).stdout(File::create(heard).expect("a file")).stderr(Stdio::inherit());
        Self { process: command.spawn().expect("ctr starts"), heard: heard.to_owned() }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.heard).expect("a file")
    }

    /// Waits until a line has these words in it.
    #[track_caller]
    fn hears(&self, words: &[&str]) {
        let begin = Instant::now();
        while !self.text().lines().any(|line| words.iter().all(|word| line.contains(word))) {
            assert!(begin.elapsed() < TIMEOUT, "{words:?} is not in:\n{}", self.text());
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it listens for sure: `door` does something again and again until that is heard.
    #[track_caller]
    fn is_there(&self, door: &Door) {
        let begin = Instant::now();
        for number in 0.. {
            let name = format!("probe-{number}");
            door.ctr_tells(&["namespaces", "create", &name]);
            door.ctr_tells(&["namespaces", "rm", &name]);
            if self.text().contains("/namespaces/delete") {
                return;
            }
            assert!(begin.elapsed() < TIMEOUT, "nothing is heard");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_anybody_does_is_told() {
    let registry = DockerRegistry::start(Access::Open);
    registry.push("app", "1", &large(11, 1, 1_000));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let all = Listener::start(&door, &directory.path().join("all"), &[]);
    let some =
        Listener::start(&door, &directory.path().join("some"), &["topic~=^/(images|namespaces)/,namespace!=other"]);
    let named =
        Listener::start(&door, &directory.path().join("named"), &["event.key==one", "topic==\"/namespaces/delete\""]);
    for listener in [&all, &some, &named] {
        listener.is_there(&door);
    }
    let name = format!("{}/app:1", registry.address());
    // Another process.
    door.wharf(&["pull", "-q", &name]);
    all.hears(&["default /images/create", &name]);
    door.ctr_tells(&["images", "label", &name, "team=web"]);
    all.hears(&["default /images/update", &name, "\"team\":\"web\""]);
    door.ctr_tells(&["images", "rm", &name]);
    all.hears(&["default /images/delete", &name]);
    door.ctr_tells(&["-n", "other", "content", "fetch", "--plain-http", &name]);
    all.hears(&["other /images/create", &name]);
    let blob = door.ctr_tells(&["-n", "other", "content", "ls", "-q"]).lines().next().expect("a blob").to_owned();
    door.ctr_tells(&["-n", "other", "images", "rm", &name]);
    door.ctr_tells(&["-n", "other", "content", "rm", &blob]);
    all.hears(&["other /content/delete", &blob]);
    door.ctr_tells(&["snapshots", "prepare", "one"]);
    door.ctr_tells(&["snapshots", "commit", "two", "one"]);
    door.ctr_tells(&["snapshots", "rm", "two"]);
    all.hears(&["/snapshot/prepare", "\"key\":\"one\""]);
    all.hears(&["/snapshot/commit", "\"key\":\"one\"", "\"name\":\"two\""]);
    all.hears(&["/snapshot/remove", "\"key\":\"two\""]);
    // It went through the same filters before.
    door.ctr_tells(&["namespaces", "create", "last"]);
    door.ctr_tells(&["namespaces", "rm", "last"]);
    for listener in [&some, &named] {
        listener.hears(&["/namespaces/delete", "last"]);
    }
    some.hears(&["default /images/delete", &name]);
    assert!(!some.text().contains("/snapshot/") && !some.text().contains("other /"), "{}", some.text());
    assert!(named.text().contains("/snapshot/commit") && !named.text().contains("/images/"), "{}", named.text());
    assert!(!named.text().contains("\"key\":\"two\""), "{}", named.text());
    let (is_done, said) = door.ctr_says(&["events", "topic="]);
    assert!(!is_done && said.contains("no filter"), "{said}");
}
