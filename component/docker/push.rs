//! `POST /images/{name}/push`.

use super::{
    Context,
    client::Client,
    lines::{Line, Lines, Teller, put},
    pull::named,
    refusal::Refusal,
};
use crate::{
    host::Host,
    nouns::{digest::Digest, media_type::Kind, reference::Reference},
    registry::Phase,
    verbs::{
        contract::{Event, Progress, PushOptions},
        push as send,
    },
};
use serde::Serialize;
use std::{cell::RefCell, collections::BTreeSet};

/// What a registry has now, for programs.
#[derive(Serialize)]
struct Aux<'a> {
    #[serde(rename = "progressDetail")]
    progress_detail: Nothing,
    aux: Target<'a>,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Target<'a> {
    tag: &'a str,
    digest: &'a str,
    size: u64,
}

/// A platform is chosen from API 1.46 on. Clients before that may send one that means nothing.
pub(super) const PLATFORM_SINCE: u32 = 46;

/// Answers.
pub(super) async fn push<H: Host, C: Client>(context: &Context<'_, H>, name: &str, client: C) {
    let lines = Lines::new(client);
    let outcome = bring(context, name, &lines).await;
    lines.end(outcome).await;
}

async fn bring<H: Host, C: Client>(context: &Context<'_, H>, name: &str, lines: &Lines<C>) -> Result<Vec<u8>, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let tag = query.text("tag");
    let typed = Reference::parse(name).map_err(|error| Refusal::new(400, error.to_string()))?;
    let options = PushOptions {
        destination: None,
        platform: query.platform_since(PLATFORM_SINCE, *version)?,
        all_tags: tag.is_none() && typed.tag().is_none() && typed.digest().is_none(),
        compress: None,
        force_compress: false,
        referrers: false,
        concurrent_uploads: settings.concurrent_transfers,
        access: settings.access.clone(),
    };
    let (mut is_first, mut begun) = (true, BTreeSet::new());
    let tell = |event, bytes: &mut Vec<u8>| {
        if std::mem::take(&mut is_first) {
            put(bytes, &Line::status(format!("The push refers to repository [{}]", typed.name())));
        }
        self::tell(event, &mut begun, bytes);
    };
    let teller = Teller { lines, tell: RefCell::new(tell) };
    let pushed = send(*host, &settings.caller, &named(name, tag), &options, &teller).await;
    let pushed = pushed.map_err(Refusal::of_image(name))?;
    let mut bytes = Vec::new();
    if is_first {
        put(&mut bytes, &Line::status(format!("The push refers to repository [{}]", typed.name())));
    }
    for one in &pushed {
        let name = Reference::parse(&one.name).expect("a verb names what it has read");
        let (tag, digest, size) = (name.tag().unwrap_or_default(), one.target.digest.as_str(), one.target.size);
        put(&mut bytes, &Line::status(format!("{tag}: digest: {digest} size: {size}")));
        put(&mut bytes, &Aux { progress_detail: Nothing {}, aux: Target { tag, digest, size } });
    }
    Ok(bytes)
}

/// `begun` are the layers of which something was said.
fn tell(event: Event, begun: &mut BTreeSet<Digest>, bytes: &mut Vec<u8>) {
    match event {
        Event::Progress(progress) if matches!(progress.blob.kind(), Kind::Layer { .. }) => {
            if begun.insert(progress.blob.digest.clone()) {
                put(bytes, &Line::about(progress.blob.digest.short(), "Preparing"));
            }
            layer(&progress, bytes);
        }
        Event::Warning(text) | Event::Note(text) => put(bytes, &Line::status(text)),
        _ => {}
    }
}

fn layer(Progress { blob, phase, received }: &Progress, bytes: &mut Vec<u8>) {
    let id = blob.digest.short();
    let mut about = |text: &str| put(bytes, &Line::about(id, text));
    match phase {
        Phase::Uploading => put(bytes, &Line::moving(id, "Pushing", *received, blob.size)),
        Phase::Uploaded => about("Pushed"),
        Phase::There => about("Layer already exists"),
        Phase::Mounted => about("Mounted from another repository"),
        Phase::Retrying => about("Retrying"),
        // What was said, and those of a pull.
        _ => {}
    }
}
