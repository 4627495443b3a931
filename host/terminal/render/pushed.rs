//! The answer of `wharf push`, and of its dry run: names or a table on standard
//! output, and what to say about them on standard error.

use super::{escape, json, names, size, table};
use serde::Serialize;
use wharf_vocabulary::uploads::{Pushed, PushedPart, Way};

#[derive(Serialize)]
struct PushedObject<'a> {
    name: &'a str,
    target: json::Descriptor<'a>,
    reduced_from: Option<&'a str>,
    sent_bytes: u64,
    up_to_date: bool,
    notes: &'a [String],
    referrers: Vec<json::Descriptor<'a>>,
    parts: Vec<PartObject<'a>>,
}

#[derive(Serialize)]
struct PartObject<'a> {
    #[serde(flatten)]
    part: json::Descriptor<'a>,
    way: &'static str,
    from: Option<&'a str>,
    sent_bytes: u64,
}

impl<'a> From<&'a Pushed> for PushedObject<'a> {
    fn from(it: &'a Pushed) -> Self {
        Self {
            name: &it.name,
            target: (&it.target).into(),
            reduced_from: it.reduced_from.as_deref(),
            sent_bytes: it.sent_bytes,
            up_to_date: it.up_to_date,
            notes: &it.notes,
            referrers: it.referrers.iter().map(json::Descriptor::from).collect(),
            parts: it.parts.iter().map(PartObject::from).collect(),
        }
    }
}

impl<'a> From<&'a PushedPart> for PartObject<'a> {
    fn from(it: &'a PushedPart) -> Self {
        let (way, from) = word(&it.way);
        Self { part: (&it.part).into(), way, from, sent_bytes: it.sent_bytes }
    }
}

/// Returns the name of a way as in `wit/uploads.wit`, and the repository of a mount.
fn word(way: &Way) -> (&'static str, Option<&str>) {
    match way {
        Way::There => ("there", None),
        Way::Mounted(from) => ("mounted", Some(from)),
        Way::Sent => ("sent", None),
        Way::Elsewhere => ("elsewhere", None),
    }
}

/// Returns the full names with their digests, one a line. For standard output.
pub fn names(pushed: &[Pushed]) -> String {
    let one = |it: &Pushed| match it.name.contains('@') {
        true => format!("{}\n", escape::text(&it.name)),
        false => format!("{}@{}\n", escape::text(&it.name), escape::text(&it.target.digest)),
    };
    pushed.iter().map(one).collect()
}

/// Returns a JSON array, one object for each name. For standard output.
pub fn json(pushed: &[Pushed]) -> String {
    json::pretty(&pushed.iter().map(PushedObject::from).collect::<Vec<_>>())
}

/// Returns what happened to each name. For standard error.
pub fn talk(pushed: &[Pushed]) -> String {
    let one = |it: &Pushed| {
        let (name, digest) = (escape::text(&it.name), escape::text(&it.target.digest));
        let status = match it.up_to_date {
            true => "the registry is up to date".to_owned(),
            false => format!("{} sent", size::si(it.sent_bytes)),
        };
        let with = match it.referrers.len() {
            0 => String::new(),
            1 => " and what refers to it".to_owned(),
            many => format!(" and {many} that refer to it"),
        };
        format!("Digest: {digest}\nStatus: {status} for {name}{with}\n")
    };
    pushed.iter().map(one).collect()
}

/// Returns what a push would do. For standard output.
pub fn plan(pushed: &[Pushed]) -> String {
    pushed.iter().map(one_plan).collect::<Vec<_>>().join("\n")
}

fn one_plan(it: &Pushed) -> String {
    let rows = it.parts.iter().map(|part| {
        let what = match word(&part.way) {
            ("there", _) => "is there".to_owned(),
            ("mounted", Some(from)) => format!("mount from {}", escape::text(from)),
            ("sent", _) => "send".to_owned(),
            _ => "comes from elsewhere".to_owned(),
        };
        let kind = names::kind(&part.part.media_type).into_owned();
        vec![names::short(&part.part.digest).into_owned(), kind, size::si(part.part.size), what]
    });
    let mut text = names(std::slice::from_ref(it));
    text.push('\n');
    text.push_str(&table::table(&["DIGEST", "KIND", "SIZE", "ACTION"], rows));
    let counted = |wanted: &str| it.parts.iter().filter(|part| word(&part.way).0 == wanted).count();
    let (there, mounted, sent) = (counted("there"), counted("mounted"), counted("sent"));
    text.push_str(&format!(
        "{} to send in {sent} {}, {mounted} to mount, {there} there\n",
        size::si(it.sent_bytes),
        if sent == 1 { "part" } else { "parts" }
    ));
    it.notes.iter().for_each(|note| text.push_str(&format!("{}\n", escape::text(note))));
    text
}
