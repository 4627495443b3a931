//! Images that go into a file, come out of it, and go to a registry.

use super::super::history::Fact;
use super::super::world::{COPIED, Dice};
use super::{Facts, Worker, access, stop_after};
use std::fs::File;
use std::io::{self, Write};
use tokio_util::sync::CancellationToken;
use wharf::images::{Failure, Form, LoadOptions, PushOptions, SaveOptions, SavedImage};

fn options() -> PushOptions {
    PushOptions {
        destination: None,
        platform: None,
        all_tags: false,
        compress: None,
        referrers: false,
        force_compress: false,
        concurrent_uploads: 2,
        access: access(),
    }
}

/// What a saved image is called here.
fn whole(image: &SavedImage) -> String {
    image.reduced_from.clone().unwrap_or_else(|| image.target.digest.clone())
}

impl Worker<'_> {
    pub(super) async fn save(&self, name: &str) -> Facts {
        let image = self.save_to(name, Form::OciArchive, io::sink()).await?;
        Ok(vec![Fact::Read { name: name.to_owned(), digest: Some(whole(&image)) }])
    }

    async fn save_to(
        &self,
        name: &str,
        form: Form,
        mut to: impl Write + Send + 'static,
    ) -> Result<SavedImage, Failure> {
        let (options, stop) = (SaveOptions { form, platforms: Vec::new(), complete: None }, CancellationToken::new());
        let write = move |_: &_, archive: &mut _| io::copy(archive, &mut to).map(drop);
        let saved = self.wharf.save(&self.caller, &[self.reference(name)], &[], &options, &stop, write).await?;
        Ok(saved.images.into_iter().next().expect("what was asked for by name is one image"))
    }

    pub(super) async fn load(&mut self, name: &str, names: &[String], stop_ms: Option<u64>, dice: &mut Dice) -> Facts {
        let form = if dice.below(2) == 0 { Form::OciArchive } else { Form::DockerArchive };
        let path = self.assignment.archive();
        let image = self.save_to(name, form, File::create(&path)?).await?;
        let mut facts = vec![Fact::Read { name: name.to_owned(), digest: Some(whole(&image)) }];
        if image.reduced_from.is_some() {
            // Without the platforms that are not here it is another image, which the registry has never had.
            return Ok(facts);
        }
        let names_here: Vec<String> = names.iter().map(|name| self.reference(name)).collect();
        let unpack = dice.below(2) == 0;
        let options = LoadOptions { names: names_here, platforms: Vec::new(), unpack, retention: None };
        let (archive, stop) = (File::open(&path)?, CancellationToken::new());
        let mut hear = |_| {};
        let work = self.wharf.load(&self.caller, archive, &options, &stop, &mut hear);
        let (loaded, ()) = tokio::join!(work, stop_after(&stop, stop_ms));
        let digests: Vec<String> = loaded?.images.into_iter().map(|image| image.target.digest).collect();
        if digests != [image.target.digest.clone()] {
            return Ok(vec![Fact::Wrong(format!("`{name}` was saved as {image:?} and loaded as {digests:?}"))]);
        }
        for name in names {
            self.seen.insert(name.clone(), image.target.digest.clone());
            facts.push(Fact::Wrote { name: name.clone(), digest: image.target.digest.clone() });
        }
        Ok(facts)
    }

    pub(super) async fn push(&self, name: &str, stop_ms: Option<u64>) -> Facts {
        let (stop, mut hear, options, reference) = (CancellationToken::new(), |_| {}, options(), self.reference(name));
        let work = self.wharf.push(&self.caller, &reference, &[], &options, &stop, &mut hear);
        let (pushed, ()) = tokio::join!(work, stop_after(&stop, stop_ms));
        let mut facts = Vec::new();
        for pushed in pushed? {
            let (name, target) = (name.to_owned(), pushed.target.digest);
            let digest = Some(pushed.reduced_from.unwrap_or_else(|| target.clone()));
            facts.push(Fact::Read { name: name.clone(), digest });
            facts.push(Fact::Published { name, digest: target });
        }
        Ok(facts)
    }

    pub(super) async fn copy(&self, name: &str) -> Facts {
        let to = format!("{}{name}", COPIED);
        let (from, there, stop) = (self.reference(name), self.reference(&to), CancellationToken::new());
        let copied = self.wharf.copy(&self.caller, &from, &there, &options(), &stop, &mut |_| {}).await?;
        let mut facts = Vec::new();
        for copied in copied {
            facts.push(self.resolved(name, copied.target.digest.clone()));
            facts.push(Fact::Published { name: to.clone(), digest: copied.target.digest });
        }
        Ok(facts)
    }
}
