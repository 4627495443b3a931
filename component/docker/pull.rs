//! `POST /images/create` with `fromImage`: a pull.

use super::{
    Context,
    client::Client,
    lines::{Line, Lines, Teller, put},
    note::{self, Note},
    refusal::Refusal,
};
use crate::{
    host::Host,
    nouns::{digest::Digest, media_type::Kind, reference::Reference},
    registry::Phase,
    verbs::{
        contract::{Event, Progress, PullOptions, Pulled, Transfer, Wanted},
        pull as bring,
    },
};
use std::{cell::RefCell, collections::BTreeSet};

/// Whoever creates an image names a platform from API 1.32 on.
pub(super) const PLATFORM_SINCE: u32 = 32;

/// Pulls `from`, and returns the last lines.
pub(super) async fn pull<H: Host, C: Client>(
    context: &Context<'_, H>,
    from: &str,
    lines: &Lines<C>,
) -> Result<Vec<u8>, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let (reference, all_tags) = meant(from, query.text("tag"));
    let platform = query.platform_since(PLATFORM_SINCE, *version)?;
    let options = PullOptions {
        wanted: platform.map_or(Wanted::Machine, |platform| Wanted::These(vec![platform])),
        all_tags,
        concurrent_downloads: settings.concurrent_transfers,
        unpack: settings.unpack,
        retention: None,
        access: settings.access.clone(),
    };
    let mut story = Story { unpack: settings.unpack, ..Story::default() };
    let teller = Teller { lines, tell: RefCell::new(|event, bytes: &mut Vec<u8>| story.tell(event, bytes)) };
    let pulled = bring(*host, &settings.caller, &reference, &options, &teller).await;
    let layers = |transfers: &[Transfer]| {
        let layers = transfers.iter().filter(|transfer| matches!(transfer.blob.kind(), Kind::Layer { .. }));
        layers.cloned().collect()
    };
    let pulled = match pulled {
        Ok(pulled) => pulled,
        Err(problem) => {
            let reference = Reference::parse(&reference).map_or(reference, |typed| typed.to_string());
            (settings.note)(Note::Pulled(note::Pulled {
                reference,
                target: story.target.take(),
                up_to_date: false,
                layers: layers(&story.transfers),
                missing: story.missing(),
                failure: Some(problem.code.clone()),
            }));
            return Err(problem.into());
        }
    };
    let mut bytes = Vec::new();
    for Pulled { image, up_to_date, transfers, .. } in &pulled {
        (settings.note)(Note::Pulled(note::Pulled {
            reference: image.name.clone(),
            target: Some(image.target.digest.clone()),
            up_to_date: *up_to_date,
            layers: layers(transfers),
            missing: Vec::new(),
            failure: None,
        }));
        put(&mut bytes, &Line::status(format!("Digest: {}", image.target.digest)));
        let what = if *up_to_date { "Image is up to date" } else { "Downloaded newer image" };
        put(&mut bytes, &Line::status(format!("Status: {what} for {}", image.familiar)));
    }
    Ok(bytes)
}

/// Returns what is to be pulled, and whether that is every tag.
fn meant(from: &str, tag: Option<&str>) -> (String, bool) {
    // Clients that want every tag may send the name with an empty one.
    let from = from.strip_suffix(':').unwrap_or(from);
    let is_bare = |typed: Reference| typed.tag().is_none() && typed.digest().is_none();
    (named(from, tag), tag.is_none() && Reference::parse(from).is_ok_and(is_bare))
}

/// Puts the tag, or the digest, of a query in the place of that of the name.
pub(super) fn named(name: &str, tag: Option<&str>) -> String {
    let Some(tag) = tag else { return name.to_owned() };
    // What is no name is refused by the verb, with its reason.
    let bare = match Reference::parse(name) {
        Ok(typed) if typed.tag().is_some() || typed.digest().is_some() => typed.name(),
        _ => name.to_owned(),
    };
    match tag.parse::<Digest>() {
        Ok(digest) => format!("{bare}@{digest}"),
        Err(_) => format!("{bare}:{tag}"),
    }
}

/// What was told of a pull.
#[derive(Default)]
struct Story {
    unpack: bool,
    /// What the last name points to.
    target: Option<Digest>,
    /// The layers of which something was said.
    begun: BTreeSet<Digest>,
    /// The layers that were said to be here.
    arrived: BTreeSet<Digest>,
    /// What is here.
    transfers: Vec<Transfer>,
}

impl Story {
    fn tell(&mut self, event: Event, bytes: &mut Vec<u8>) {
        match event {
            Event::Resolved(name, target) => {
                self.target = Some(target.digest);
                let name = Reference::parse(&name).expect("a verb names what it has read");
                let id = name.tag().map(str::to_owned).or_else(|| name.digest().map(Digest::to_string));
                let line = Line { id: id.as_deref(), ..Line::status(format!("Pulling from {}", name.path())) };
                put(bytes, &line);
            }
            Event::Progress(progress) if matches!(progress.blob.kind(), Kind::Layer { .. }) => {
                self.layer(&progress, bytes);
            }
            Event::Warning(text) | Event::Note(text) => put(bytes, &Line::status(text)),
            Event::Transferred(transfer) => self.transfers.push(transfer),
            // Configs and manifests are no lines of docker's.
            Event::Progress(_) | Event::Selected(..) | Event::Happened(_) => {}
        }
    }

    /// The layers of which something was said, and that are not here.
    fn missing(&self) -> Vec<Digest> {
        let here = |digest: &&Digest| !self.transfers.iter().any(|transfer| transfer.blob.digest == **digest);
        self.begun.iter().filter(here).cloned().collect()
    }

    fn layer(&mut self, Progress { blob, phase, received }: &Progress, bytes: &mut Vec<u8>) {
        let id = blob.digest.short();
        if self.begun.insert(blob.digest.clone()) && *phase != Phase::Present {
            put(bytes, &Line::about(id, "Pulling fs layer"));
        }
        // Of what follows each other at once only the last is told.
        let is_here = matches!(phase, Phase::Complete | Phase::Unpacking | Phase::Unpacked);
        if is_here && self.arrived.insert(blob.digest.clone()) {
            put(bytes, &Line::about(id, "Download complete"));
        }
        let mut about = |text: &str| put(bytes, &Line::about(id, text));
        match phase {
            Phase::Downloading => put(bytes, &Line::moving(id, "Downloading", *received, blob.size)),
            Phase::Verifying => about("Verifying Checksum"),
            Phase::Complete if !self.unpack => about("Pull complete"),
            Phase::Present => about("Already exists"),
            Phase::Retrying => about("Retrying"),
            Phase::Unpacking => about("Extracting"),
            Phase::Unpacked => about("Pull complete"),
            // What was said, and those of a push.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_means_all_of_them() {
        let rows = [
            ("alpine", None, ("alpine", true)),
            ("alpine:", None, ("alpine", true)),
            ("localhost:5000/a:", None, ("localhost:5000/a", true)),
            ("alpine:", Some("3.20"), ("alpine:3.20", false)),
            ("alpine:3.20", None, ("alpine:3.20", false)),
            ("alpine::", None, ("alpine:", false)),
        ];
        for (from, tag, (reference, all_tags)) in rows {
            assert_eq!(meant(from, tag), (reference.to_owned(), all_tags), "{from}");
        }
    }

    #[test]
    fn the_tag_of_a_query_is_that_of_the_name() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let rows = [
            ("alpine", None, "alpine".to_owned()),
            ("alpine", Some("3.20"), "alpine:3.20".to_owned()),
            ("alpine:3.19", Some("3.20"), "docker.io/library/alpine:3.20".to_owned()),
            ("localhost:5000/a", Some("b"), "localhost:5000/a:b".to_owned()),
            ("alpine", Some(&*digest), format!("alpine@{digest}")),
        ];
        for (name, tag, expected) in rows {
            assert_eq!(named(name, tag), expected);
        }
    }
}
