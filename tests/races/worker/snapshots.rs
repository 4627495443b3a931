//! A snapshot that is written to, of this process alone: what it stands on stays as long as it, whoever collects.

use super::super::clock;
use super::super::failed::Failed;
use super::super::history::{Fact, Moment};
use super::super::world::TEXT;
use super::{Facts, Worker, digest, stop_after};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use tokio_util::sync::CancellationToken;
use wharf::images::{CommitOptions, ErrorCode, Failure, SnapshotKind};
use wharf::layers::Top;

/// A snapshot of this process.
pub(super) struct Prepared {
    key: String,
    /// What its tree has.
    pub(super) text: String,
    /// The blobs of the image that it stands on, if all of them were here when it was made. Only then an image can be made.
    pub(super) base: Option<Vec<String>>,
    /// When it was there for sure.
    since: Moment,
}

/// Collections keep what has it, and what is named by it: `host/trees/snapshots.rs`.
const ROOT_LABEL: &str = "containerd.io/gc.root";
const BASE_LABEL: &str = "containerd.io/gc.ref.content.base";

impl Worker<'_> {
    /// What the keys of this place begin with.
    fn place(&self) -> String {
        format!("place-{}-", self.assignment.worker)
    }

    /// Takes away what those have left who were killed in this place. What cannot be taken stays for the next one.
    pub(super) async fn clear(&self) {
        let at = self.assignment.mount_point();
        while self.services.layers.unmount(&at).is_ok() {}
        let listed = self.wharf.list_snapshots(&self.caller, &[]).await.unwrap_or_default();
        for left in listed.into_iter().filter(|record| record.name.starts_with(&self.place())) {
            let _ = self.wharf.remove_snapshot(&self.caller, &left.name).await;
        }
    }

    pub(super) async fn prepare(&mut self, name: &str) -> Facts {
        let (manifest, below) = self.snapshot(name).await?;
        let labels = [(BASE_LABEL.to_owned(), manifest.clone()), (ROOT_LABEL.to_owned(), "true".to_owned())];
        let key = format!("{}{}", self.place(), clock());
        self.wharf.prepare_snapshot(&self.caller, &key, Some(below.name()), true, &labels).await?;
        let since = clock();
        drop(below);
        let base = self.whole(&manifest)?;
        let is_here = !base.is_empty() && base.iter().all(|blob| self.services.content.blob(&digest(blob)).is_ok());
        let base = is_here.then_some(base);
        Ok(match self.written(&key).await {
            Ok((_, text)) => {
                self.prepared = Some(Prepared { key, text: text.clone(), base, since });
                vec![Fact::Tree { name: name.to_owned(), manifest, text }]
            }
            Err(why) => vec![lost(&key, &why)],
        })
    }

    /// Opens a snapshot that is here, and reads its text.
    async fn written(&self, key: &str) -> Result<(Top, String), Failed> {
        let record = self.wharf.stat_snapshot(&self.caller, key).await?;
        if record.kind != SnapshotKind::Active {
            return Err(Failed { code: "other".to_owned(), why: format!("it is {record:?}") });
        }
        let top = self.services.layers.find_top(&record.tree)?;
        let (mut text, (_, all)) = (String::new(), top.views()?);
        all.read(TEXT.as_bytes())?.read_to_string(&mut text)?;
        Ok((top, text))
    }

    /// Writes another text, and makes an image of that. The snapshot stays.
    pub(super) async fn commit(&mut self, name: &str, text: &str, stop_ms: Option<u64>) -> Facts {
        let Prepared { key, text: before, .. } = self.prepared.as_mut().expect("a commit is drawn only of a snapshot");
        let (key, before) = (key.clone(), std::mem::replace(before, text.to_owned()));
        match self.written(&key).await {
            Ok((top, found)) if found == before => self.write(&top, text)?,
            Ok((_, found)) => return Ok(vec![Fact::Wrong(format!("`{key}` had `{before}` in it, and has `{found}`"))]),
            Err(why) => return Ok(vec![lost(&key, &why)]),
        }
        let options = CommitOptions {
            name: Some(self.reference(name)),
            changes: Vec::new(),
            message: Some(text.to_owned()),
            author: None,
            created: None,
        };
        let (stop, mut hear) = (CancellationToken::new(), |_| {});
        let work = self.wharf.commit(&self.caller, &key, &options, &stop, &mut hear);
        let (committed, ()) = tokio::join!(work, stop_after(&stop, stop_ms));
        Ok(self.made(committed?, text))
    }

    fn write(&self, top: &Top, text: &str) -> Result<(), Failed> {
        let at = self.assignment.mount_point();
        fs::create_dir_all(&at)?;
        top.mount(File::open(&at)?.as_fd())?;
        fs::write(at.join(TEXT), text)?;
        self.services.layers.unmount(&at)?;
        Ok(())
    }

    /// Looks once more at what is here, and removes the snapshot.
    pub(super) async fn leave(&mut self) -> Facts {
        let Prepared { key, text, base, since } = self.prepared.take().expect("only what there is can be left");
        let mut facts = Vec::new();
        let listed = self.wharf.list_snapshots(&self.caller, &[format!("name==\"{key}\"")]).await?;
        if !matches!(&listed[..], [one] if one.name == key) {
            facts.push(Fact::Wrong(format!("`{key}` was prepared, and is listed as {listed:?}")));
        }
        match self.written(&key).await {
            Ok((_, found)) if found == text => {}
            Ok((_, found)) => facts.push(Fact::Wrong(format!("`{key}` had `{text}` in it, and has `{found}`"))),
            Err(why) => facts.push(lost(&key, &why)),
        }
        if let Some(blobs) = base {
            let gone = blobs.iter().find(|blob| self.services.content.blob(&digest(blob)).is_err());
            facts.extend(gone.map(|blob| Fact::Wrong(format!("`{blob}` is not here, and `{key}` stands on it"))));
            facts.push(Fact::Stood { blobs, from: since, until: clock() });
        }
        self.wharf.remove_snapshot(&self.caller, &key).await?;
        match self.wharf.stat_snapshot(&self.caller, &key).await {
            Err(Failure::Problem(problem)) if matches!(problem.code, ErrorCode::NotFound) => {}
            other => facts.push(Fact::Wrong(format!("`{key}` was removed, and is {other:?}"))),
        }
        Ok(facts)
    }
}

/// What was prepared is there until it is removed.
fn lost(key: &str, Failed { code, why }: &Failed) -> Fact {
    Fact::Wrong(format!("`{key}` was prepared, and is not whole: {code}: {why}"))
}
