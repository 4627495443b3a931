//! `GET /events`: what happens, as docker tells it.

mod form;

use super::{
    Context,
    client::Client,
    lines::{Lines, Teller},
    query::Query,
    refusal::Refusal,
};
use crate::{
    host::Host,
    nouns::{reference::Reference, time},
    verbs::{
        contract::{Action, Event, Happening},
        watch,
    },
};
use form::Form;
use serde::Serialize;
use std::{cell::RefCell, collections::BTreeMap};

/// The kind of everything that happens to images.
const TYPE: &str = "image";
/// Filters of docker by what nothing here has.
const OTHERS: &[&str] =
    &["config", "container", "daemon", "label", "network", "node", "plugin", "scope", "secret", "service", "volume"];

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

/// What is to be told.
struct Asked {
    since: Option<String>,
    until: Option<String>,
    /// As `verbs::watch` takes them.
    filters: Vec<String>,
    /// Whether nothing that happens here can pass the filters.
    is_nothing: bool,
}

impl Asked {
    /// Everything is read before the answer begins, so that what cannot be read is refused.
    fn read<H: Host>(host: &H, query: &Query) -> Result<Self, Refusal> {
        let (filters, is_nothing) = filters(query)?;
        let (since, until) = (query.text("since"), query.text("until"));
        watch::check(host, since, until, &filters)?;
        let now = host.now();
        let second = |text: Option<&str>| text.and_then(|text| time::parse_moment(text, now));
        if second(since).zip(second(until)).is_some_and(|(since, until)| until < since) {
            return Err(Refusal::new(400, "the time of `until` is before that of `since`".to_owned()));
        }
        Ok(Self { since: since.map(str::to_owned), until: until.map(str::to_owned), filters, is_nothing })
    }
}

/// Returns the filters that wharf knows, and whether nothing passes: other kinds of things do not happen here.
fn filters(query: &Query) -> Result<(Vec<String>, bool), Refusal> {
    let mut filters = query.filters()?;
    let kinds = filters.remove("type").unwrap_or_default();
    let mut is_nothing = !kinds.is_empty() && kinds.iter().all(|kind| kind != TYPE);
    let mut chosen = Vec::new();
    for (key, values) in filters {
        match key.as_str() {
            "image" => chosen.extend(values.iter().map(|value| format!("image={value}"))),
            // Docker says `delete` of an image where wharf says so too; what wharf does not know cannot happen.
            "event" => {
                let is_known = |value: &&String| Action::ALL.iter().any(|action| action.name() == *value);
                let known: Vec<_> = values.iter().filter(is_known).map(|value| format!("event={value}")).collect();
                is_nothing |= known.is_empty() && !values.is_empty();
                chosen.extend(known);
            }
            other if OTHERS.contains(&other) => is_nothing = true,
            unknown => return Err(Refusal::new(400, format!("invalid filter '{}'", unknown.escape_debug()))),
        }
    }
    Ok((chosen, is_nothing))
}

/// Tells until the client goes away, or until the time of `until`.
pub(super) async fn follow<H: Host, C: Client>(context: &Context<'_, H>, client: C) {
    let form = Form::wanted(context.accept, context.version);
    let lines = Lines::typed(client, form.content_type());
    let outcome = tell(context, form, &lines).await;
    lines.end(outcome).await;
}

async fn tell<H: Host, C: Client>(context: &Context<'_, H>, form: Form, lines: &Lines<C>) -> Result<Vec<u8>, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let Asked { since, until, filters, is_nothing } = Asked::read(*host, query)?;
    let is_old = !version.since(52);
    let write = |event, bytes: &mut Vec<u8>| {
        if let Event::Happened(happening) = event
            && !is_nothing
        {
            message(&happening, is_old, form, bytes);
        }
    };
    let teller = Teller { lines, tell: RefCell::new(write) };
    // The client waits for the head before anything happens.
    lines.begin().await;
    watch::watch(*host, &settings.caller, since.as_deref(), until.as_deref(), &filters, &teller).await?;
    Ok(Vec::new())
}

fn message(
    Happening { time: (seconds, nanoseconds), action, subject, target }: &Happening,
    is_old: bool,
    form: Form,
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
    bytes.extend(form.mark());
    serde_json::to_writer(&mut *bytes, &message).expect("messages have texts as keys");
    bytes.push(b'\n');
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{docker::version::Version, registry::script::Script};

    /// What a client of this version is told of a pull.
    pub(in crate::docker) fn pulled(version: Version) -> String {
        let happening = Happening {
            time: (1, 2),
            action: Action::Pull,
            subject: "docker.io/library/app:1".to_owned(),
            target: None,
        };
        let mut bytes = Vec::new();
        message(&happening, !version.since(52), Form::Json, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn asked(pairs: &[(&str, &str)]) -> Result<(Vec<String>, bool), String> {
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let asked = Asked::read(&Script::new([]), &Query::read(&text));
        asked.map(|asked| (asked.filters, asked.is_nothing)).map_err(|refusal| {
            assert_eq!(refusal.status, 400);
            refusal.message
        })
    }

    /// The head with status 200 was on its way before any of this was read.
    #[test]
    fn what_cannot_be_read_is_refused_before_the_answer_begins() {
        let rows: [(&[(&str, &str)], &str); 6] = [
            (&[("since", "nonsense")], "`nonsense` is neither a time"),
            (&[("until", "2006-13-02")], "`2006-13-02` is neither a time"),
            (&[("since", "20"), ("until", "10")], "the time of `until` is before that of `since`"),
            (&[("since", "1m"), ("until", "1h")], "the time of `until` is before that of `since`"),
            (&[("filters", "[")], "invalid filters"),
            (&[("filters", r#"{"color":["red"]}"#)], "invalid filter 'color'"),
        ];
        for (pairs, expected) in rows {
            let message = asked(pairs).unwrap_err();
            assert!(message.contains(expected), "{pairs:?}: {message}");
        }
        assert_eq!(asked(&[("since", "10"), ("until", "10")]), Ok((Vec::new(), false)));
    }

    #[test]
    fn filters_by_what_does_not_happen_here_let_nothing_pass() {
        let rows: [(&str, &[&str], bool); 6] = [
            (r#"{"type":["image"],"event":["pull","die"]}"#, &["event=pull"], false),
            (r#"{"type":["container"]}"#, &[], true),
            (r#"{"type":["container","image"]}"#, &[], false),
            (r#"{"event":["die"]}"#, &[], true),
            (r#"{"network":["a"]}"#, &[], true),
            (r#"{"image":["app:*"]}"#, &["image=app:*"], false),
        ];
        for (filters, chosen, is_nothing) in rows {
            let expected = (chosen.iter().map(|text| (*text).to_owned()).collect(), is_nothing);
            assert_eq!(asked(&[("filters", filters)]), Ok(expected), "{filters}");
        }
    }

    #[test]
    fn a_sequence_marks_where_a_message_begins() {
        let happening = Happening {
            time: (1, 2),
            action: Action::Pull,
            subject: "docker.io/library/app:1".to_owned(),
            target: None,
        };
        let told = |form, is_old| {
            let mut bytes = Vec::new();
            message(&happening, is_old, form, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        let actor = r#""Type":"image","Action":"pull","Actor":{"ID":"app:1","Attributes":{"name":"app"}}"#;
        let rest = format!("{actor},\"scope\":\"local\",\"time\":1,\"timeNano\":1000000002}}\n");
        assert_eq!(told(Form::Json, true), format!("{{\"status\":\"pull\",\"id\":\"app:1\",{rest}"));
        assert_eq!(told(Form::Lines, false), format!("{{{rest}"));
        assert_eq!(told(Form::Sequence, false), format!("\u{1e}{{{rest}"));
    }
}
