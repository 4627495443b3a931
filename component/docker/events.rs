//! `GET /events`: what happens, as docker tells it.

use super::{
    Context,
    client::Client,
    lines::{Lines, Teller},
    refusal::Refusal,
};
use crate::{
    host::Host,
    nouns::reference::Reference,
    verbs::{
        contract::{Action, Event, Happening},
        watch::watch,
    },
};
use serde::Serialize;
use std::{cell::RefCell, collections::BTreeMap};

/// The kind of everything that happens to images.
const TYPE: &str = "image";

/// One event. The order of the fields is docker's.
#[derive(Serialize)]
struct Message<'m> {
    /// Gone from API 1.52.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'m str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'m str>,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Action")]
    action: &'m str,
    #[serde(rename = "Actor")]
    actor: Actor<'m>,
    scope: &'static str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i64,
}

#[derive(Serialize)]
struct Actor<'m> {
    #[serde(rename = "ID")]
    id: &'m str,
    #[serde(rename = "Attributes")]
    attributes: BTreeMap<&'static str, String>,
}

/// Tells until the client goes away, or until the time of `until`.
pub(super) async fn follow<H: Host, C: Client>(context: &Context<'_, H>, client: C) {
    let lines = Lines::new(client);
    let outcome = tell(context, &lines).await;
    lines.end(outcome).await;
}

async fn tell<H: Host, C: Client>(context: &Context<'_, H>, lines: &Lines<C>) -> Result<Vec<u8>, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let mut filters = query.filters()?;
    let kinds = filters.remove("type").unwrap_or_default();
    // Other kinds of things do not happen here.
    let is_wanted = kinds.is_empty() || kinds.iter().any(|kind| kind == TYPE);
    let known = ["event", "image"];
    let others =
        ["config", "container", "daemon", "label", "network", "node", "plugin", "scope", "secret", "service", "volume"];
    if let Some(unknown) = filters.keys().find(|key| !known.contains(&key.as_str()) && !others.contains(&key.as_str()))
    {
        return Err(Refusal::new(400, format!("invalid filter '{}'", unknown.escape_debug())));
    }
    let is_wanted = is_wanted && filters.keys().all(|key| known.contains(&key.as_str()));
    let pairs = filters.iter().filter(|(key, _)| known.contains(&key.as_str()));
    // Docker says `delete` of an image where wharf says so too; what wharf does not know cannot happen.
    let (mut chosen, mut impossible) = (Vec::new(), false);
    for (key, values) in pairs {
        let possible: Vec<_> = values
            .iter()
            .filter(|value| key != "event" || Action::ALL.iter().any(|action| action.name() == *value))
            .collect();
        impossible |= possible.is_empty() && !values.is_empty();
        chosen.extend(possible.into_iter().map(|value| format!("{key}={value}")));
    }
    let is_old = !version.since(52);
    let write = |event, bytes: &mut Vec<u8>| {
        if let Event::Happened(happening) = event
            && is_wanted
            && !impossible
        {
            message(&happening, is_old, bytes);
        }
    };
    let teller = Teller { lines, tell: RefCell::new(write) };
    // The client waits for the head before anything happens.
    lines.begin().await;
    watch(*host, &settings.caller, query.text("since"), query.text("until"), &chosen, &teller).await?;
    Ok(Vec::new())
}

fn message(
    Happening { time: (seconds, nanoseconds), action, subject, target }: &Happening,
    is_old: bool,
    bytes: &mut Vec<u8>,
) {
    // What has no name is told by its digest, and a prune by its namespace.
    let name = Reference::parse_canonical(subject).ok();
    let shown = name.as_ref().map_or_else(|| subject.clone(), Reference::familiar);
    let attributes = name.iter().map(|name| ("name", name.familiar_name()));
    let attributes = attributes.chain(target.iter().map(|target| ("digest", target.to_string()))).collect();
    let (status, id) = if is_old { (Some(action.name()), Some(shown.as_str())) } else { (None, None) };
    let message = Message {
        status,
        id,
        kind: TYPE,
        action: action.name(),
        actor: Actor { id: &shown, attributes },
        scope: "local",
        time: *seconds,
        time_nano: seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(*nanoseconds)),
    };
    serde_json::to_writer(&mut *bytes, &message).expect("messages have texts as keys");
    bytes.push(b'\n');
}
