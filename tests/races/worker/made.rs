//! Images that are made here. Each has a text that no other one has.

use super::super::history::{Edit, Fact, Shift};
use super::super::world::{self, TEXT};
use super::{Facts, Worker, stop_after};
use std::io::Cursor;
use tokio_util::sync::CancellationToken;
use wharf::demo::image::{File, Layer};
use wharf::images::{self, Composed, ImportOptions, Imported, Member, Wording};

/// What an index says of what is new in it.
const MARK: &str = "race";

impl Worker<'_> {
    pub(super) async fn import(&mut self, name: &str, text: &str, stop_ms: Option<u64>) -> Facts {
        let cargo = world::cargo();
        let files = [
            File { path: TEXT, mode: 0o644, bytes: text.as_bytes() },
            File { path: "srv/cargo", mode: 0o644, bytes: &cargo },
        ];
        let archive = Cursor::new(Layer::new(text, &files).bytes);
        let options = ImportOptions {
            name: Some(self.reference(name)),
            changes: Vec::new(),
            message: Some(text.to_owned()),
            platform: None,
            created: None,
        };
        let (stop, mut hear) = (CancellationToken::new(), |_| {});
        let work = self.wharf.import(&self.caller, archive, &options, &stop, &mut hear);
        let (imported, ()) = tokio::join!(work, stop_after(&stop, stop_ms));
        Ok(self.made(imported?, text))
    }

    pub(super) async fn compose(&mut self, name: &str, edit: &Edit, mark: &str) -> Facts {
        let mark = (MARK.to_owned(), mark.to_owned());
        let wording = Wording {
            os: None,
            architecture: None,
            variant: None,
            os_version: None,
            os_features: Vec::new(),
            annotations: vec![mark.clone()],
        };
        let member = |source: &str, platform: &String| Member {
            reference: self.reference(source),
            platform: Some(platform.clone()),
            wording: wording.clone(),
        };
        let asked = match edit {
            Edit::Create { source, platform } => images::Edit::Create(vec![member(source, platform)]),
            Edit::Amend { source, platform } => images::Edit::Amend(vec![member(source, platform)]),
            Edit::Add { source, platform } => images::Edit::Add(member(source, platform)),
            Edit::Remove { platform } => images::Edit::Remove(vec![platform.clone()]),
            Edit::Annotate => images::Edit::AnnotateIndex(wording),
        };
        let Composed { name, target, entries, before } =
            self.wharf.compose(&self.caller, &self.reference(name), &asked).await?;
        let (name, target) = (self.short(&name), target.digest);
        self.seen.insert(name.clone(), target.clone());
        let added = entries.iter().find(|entry| entry.annotations.contains(&mark));
        let added = added.map(|entry| entry.manifest.digest.clone());
        let manifests = entries.into_iter().map(|entry| entry.manifest.digest).collect();
        Ok(vec![
            Fact::Composed { target: target.clone(), manifests, added },
            Fact::Changed(Shift { name, before, after: Some(target) }),
        ])
    }

    /// What is known of an image of one manifest, and of its name.
    pub(super) fn made(&mut self, imported: Imported, text: &str) -> Vec<Fact> {
        let Imported { name, target, moved, .. } = imported;
        let (name, target) = (self.short(&name), target.digest);
        self.seen.insert(name.clone(), target.clone());
        vec![
            Fact::Made { target: target.clone(), text: text.to_owned() },
            Fact::Changed(Shift { name, before: moved, after: Some(target) }),
        ]
    }
}
