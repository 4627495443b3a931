//! `GET /images/get`, `GET /images/{name}/get` and `POST /images/load`: images in
//! one tar.

use super::{
    Context,
    client::{self, Client, Head},
    lines::{Line, Lines, Teller, put},
    refusal::Refusal,
};
use crate::{
    host::Host,
    nouns::reference::Reference,
    verbs::{
        contract::{Event, Form, LoadOptions, SaveOptions},
        load as take, save as give,
    },
};
use std::cell::RefCell;

/// Answers with an archive of the images that are called so.
pub(super) async fn save<H: Host, C: Client<Blob = H::Blob>>(context: &Context<'_, H>, names: Vec<String>, client: C) {
    let Context { host, settings, query, version, .. } = context;
    // Clients repeat the name, or put commas between.
    let names: Vec<String> =
        names.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let made = async {
        if names.is_empty() {
            return Err(Refusal::new(400, "`names` names no image".to_owned()));
        }
        let platforms = query.platforms_of_archive(*version)?;
        let options = SaveOptions { form: Form::DockerArchive, platforms, complete: None };
        give(*host, &settings.caller, &names, &options).await.map_err(Refusal::of_image(&names.join(", ")))
    };
    match made.await {
        Ok((saved, pieces)) => {
            let head = Head::new(200, Some("application/x-tar")).with("content-length", saved.size.to_string());
            client.send(head, pieces).await;
        }
        Err(refusal) => client::send(client, refusal.into()).await,
    }
}

/// Brings the images of an archive here.
pub(super) async fn load<H: Host, C: Client>(context: &Context<'_, H>, archive: H::Stream, client: C) {
    let lines = Lines::new(client);
    let outcome = bring(context, archive, &lines).await;
    lines.end(outcome).await;
}

async fn bring<H: Host, C: Client>(
    context: &Context<'_, H>,
    archive: H::Stream,
    lines: &Lines<C>,
) -> Result<Vec<u8>, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let platforms = query.platforms_of_archive(*version)?;
    let options = LoadOptions { names: Vec::new(), platforms, unpack: settings.unpack, retention: None };
    let quiet = query.flag("quiet");
    let tell = |event, bytes: &mut Vec<u8>| match event {
        Event::Warning(text) | Event::Note(text) if !quiet => put(bytes, &Line::status(text)),
        _ => {}
    };
    let teller = Teller { lines, tell: RefCell::new(tell) };
    let loaded = take(*host, &settings.caller, archive, &options, &teller).await?;
    let mut bytes = Vec::new();
    for image in &loaded.images {
        let tagged =
            image.names.iter().filter_map(|name| Reference::parse(name).ok()).filter(|name| name.tag().is_some());
        let mut told: Vec<String> = tagged.map(|name| format!("Loaded image: {}\n", name.familiar())).collect();
        if told.is_empty() {
            told.push(format!("Loaded image ID: {}\n", image.id));
        }
        for text in told {
            put(&mut bytes, &Line { stream: Some(text), ..Line::default() });
        }
    }
    Ok(bytes)
}
