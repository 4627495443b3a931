//! Images that are made here. Each has a text that no other one has.

use super::super::history::{Fact, Shift};
use super::super::world::{self, TEXT};
use super::{Facts, Worker, stop_after};
use std::io::Cursor;
use tokio_util::sync::CancellationToken;
use wharf::demo::image::{File, Layer};
use wharf::images::{ImportOptions, Imported};

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

    /// What is known of an image of one manifest, and of its name.
    fn made(&mut self, imported: Imported, text: &str) -> Vec<Fact> {
        let Imported { name, target, moved, .. } = imported;
        let (name, target) = (self.short(&name), target.digest);
        self.seen.insert(name.clone(), target.clone());
        vec![
            Fact::Made { target: target.clone(), text: text.to_owned() },
            Fact::Changed(Shift { name, before: moved, after: Some(target) }),
        ]
    }
}
