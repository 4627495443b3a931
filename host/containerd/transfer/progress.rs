//! How a transfer gets on, in the words of containerd's transfers: `waiting`, `downloading`, `extracting`, `uploading`,
//! `complete`, `already exists` and `saved`. A client that reads slowly hears the last word about each thing only.

use super::super::streaming::Line;
use crate::images::{Descriptor, Event, Phase};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wharf_containerd_api::types;
use wharf_containerd_api::types::transfer::Progress;

/// How long a client may take for the last words.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is still to be told, and whether that is all.
#[derive(Debug, Default)]
struct Waiting {
    words: Mutex<Vec<Progress>>,
    news: Notify,
    over: CancellationToken,
}

/// Tells a client, or nobody.
#[derive(Debug)]
pub(super) struct Teller {
    waiting: Arc<Waiting>,
    task: Option<JoinHandle<()>>,
    /// What the parts belong to.
    image: String,
}

impl Teller {
    /// To be called on a runtime.
    pub(super) fn new(line: Option<Line>, image: &str) -> Self {
        let waiting = Arc::new(Waiting::default());
        let task = line.map(|line| tokio::spawn(pass(line, waiting.clone())));
        Self { waiting, task, image: image.to_owned() }
    }

    /// Tells a sentence about everything.
    pub(super) fn say(&self, event: String) {
        self.put(Progress { event, ..Progress::default() });
    }

    /// Tells what has become of a name.
    pub(super) fn name(&self, event: &str, name: &str, target: Option<types::Descriptor>) {
        self.put(Progress { event: event.to_owned(), name: name.to_owned(), desc: target, ..Progress::default() });
    }

    /// Tells what the component tells.
    pub(super) fn event(&self, event: Event) {
        match event {
            Event::Resolved((name, target)) => self.name("resolved", &name, Some(pointer(&target))),
            Event::Progress(told) => {
                let size = i64::try_from(told.blob.size).unwrap_or(i64::MAX);
                let event = word(told.phase);
                let progress = match event {
                    "waiting" | "downloading" | "uploading" => i64::try_from(told.received).unwrap_or(i64::MAX),
                    _ => size,
                };
                self.put(Progress {
                    event: event.to_owned(),
                    name: format!("{}-{}", kind(&told.blob.media_type), told.blob.digest),
                    // What comes in an archive belongs to what the archive says, later.
                    parents: Some(self.image.clone()).filter(|image| !image.is_empty()).into_iter().collect(),
                    progress,
                    total: size,
                    desc: Some(pointer(&told.blob)),
                });
            }
            Event::Warning(text) | Event::Note(text) => self.say(text),
            Event::Selected(_) | Event::Transferred(_) | Event::Happened(_) => {}
        }
    }

    fn put(&self, told: Progress) {
        if self.task.is_none() {
            return;
        }
        let mut words = self.waiting.words.lock().unwrap_or_else(PoisonError::into_inner);
        // Sentences have no name, and none takes the place of another.
        match words.iter_mut().find(|word| !told.name.is_empty() && word.name == told.name) {
            Some(word) => *word = told,
            None => words.push(told),
        }
        drop(words);
        self.waiting.news.notify_one();
    }

    /// Waits until the client has heard everything, and ends its stream.
    pub(super) async fn end(self) {
        self.waiting.over.cancel();
        if let Some(mut task) = self.task
            && timeout(PATIENCE, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

/// Tells a client what there is, until it is over or the client has gone.
async fn pass(line: Line, waiting: Arc<Waiting>) {
    loop {
        let is_over = waiting.over.is_cancelled();
        let words = std::mem::take(&mut *waiting.words.lock().unwrap_or_else(PoisonError::into_inner));
        for word in words {
            // A client that does not want to hear more gets its transfer all the same.
            if line.send(&word).await.is_err() {
                return;
            }
        }
        if is_over {
            return;
        }
        tokio::select! { () = waiting.news.notified() => {}, () = waiting.over.cancelled() => {} }
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Waiting | Phase::Retrying => "waiting",
        Phase::Downloading | Phase::Verifying => "downloading",
        Phase::Complete | Phase::Uploaded => "complete",
        Phase::Present | Phase::There | Phase::Mounted => "already exists",
        Phase::Unpacking => "extracting",
        Phase::Unpacked => "extracted",
        Phase::Uploading => "uploading",
    }
}

/// What the name of a blob begins with. containerd, `core/remotes/handlers.go`.
fn kind(media_type: &str) -> &'static str {
    match media_type {
        t if t.contains("index") || t.contains("manifest.list") => "index",
        t if t.contains("manifest") => "manifest",
        t if t.contains("layer") || t.contains("rootfs.diff") => "layer",
        t if t.contains("config") || t.contains("container.image") => "config",
        _ => "unknown",
    }
}

fn pointer(blob: &Descriptor) -> types::Descriptor {
    types::Descriptor {
        media_type: blob.media_type.clone(),
        digest: blob.digest.to_string(),
        size: i64::try_from(blob.size).unwrap_or(i64::MAX),
        annotations: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_named_by_what_they_are() {
        let rows = [
            ("application/vnd.oci.image.index.v1+json", "index"),
            ("application/vnd.docker.distribution.manifest.list.v2+json", "index"),
            ("application/vnd.docker.distribution.manifest.v2+json", "manifest"),
            ("application/vnd.oci.image.layer.v1.tar+gzip", "layer"),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", "layer"),
            ("application/vnd.docker.container.image.v1+json", "config"),
            ("text/plain", "unknown"),
        ];
        for (media_type, expected) in rows {
            assert_eq!(kind(media_type), expected, "{media_type}");
        }
    }
}
