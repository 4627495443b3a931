//! JSON for programs: names in snake case that do not change, sizes in bytes,
//! times as in `2026-01-31T12:00:00Z`.
//!
//! It does not know the shape of an answer; the module of that answer does.
//! What a terminal could act on is written as `\u009b` and the like, which is
//! the same value.

use super::{age, escape, names, retention};
use serde::Serialize;
use std::fmt::Write;
use wharf_vocabulary::vocabulary::{Image, Transfer};

/// The spaces of one level.
const INDENT: &str = "  ";

/// A descriptor. OCI image-spec, descriptor.md.
#[derive(Debug, Serialize)]
pub struct Descriptor<'a> {
    media_type: &'a str,
    digest: &'a str,
    size: u64,
}

impl<'a> From<&'a wharf_vocabulary::types::Descriptor> for Descriptor<'a> {
    fn from(it: &'a wharf_vocabulary::types::Descriptor) -> Self {
        Self { media_type: &it.media_type, digest: &it.digest, size: it.size }
    }
}

/// An image, as `images` and `pull` show it.
#[derive(Debug, Serialize)]
pub struct ImageObject<'a> {
    name: &'a str,
    familiar: &'a str,
    repository: Option<&'a str>,
    tag: Option<&'a str>,
    id: &'a str,
    target: Descriptor<'a>,
    created: Option<String>,
    updated: Option<String>,
    platforms: &'a [String],
    size: u64,
    retention: &'static str,
}

impl<'a> From<&'a Image> for ImageObject<'a> {
    fn from(image: &'a Image) -> Self {
        let (repository, tag) = names::repository_and_tag(&image.familiar);
        Self {
            name: &image.name,
            familiar: &image.familiar,
            repository,
            tag,
            id: &image.id,
            target: (&image.target).into(),
            created: image.created.and_then(age::timestamp),
            updated: age::timestamp(image.updated),
            platforms: &image.platforms,
            size: image.size,
            retention: retention::word(image.retention),
        }
    }
}

/// How a blob came, but for the blob.
#[derive(Debug, Serialize)]
pub struct TransferObject<'a> {
    endpoint: Option<&'a str>,
    attempts: u32,
    resumed_from: u64,
    fetched_bytes: u64,
    duration_ms: u64,
    /// Whether it was here.
    cached: bool,
}

impl<'a> From<&'a Transfer> for TransferObject<'a> {
    fn from(it: &'a Transfer) -> Self {
        Self {
            endpoint: it.endpoint.as_deref(),
            attempts: it.attempts,
            resumed_from: it.resumed_from,
            fetched_bytes: it.fetched_bytes,
            duration_ms: it.duration_ms,
            cached: it.endpoint.is_none(),
        }
    }
}

/// Returns `value` on lines of their own, indented.
pub fn pretty(value: &impl Serialize) -> String {
    harmless(serde_json::to_string_pretty(value).expect("records with text keys can be written")) + "\n"
}

/// Returns `value` on one line.
pub fn line(value: &impl Serialize) -> String {
    harmless(serde_json::to_string(value).expect("records with text keys can be written")) + "\n"
}

/// Returns a JSON array of `objects`, each of which is JSON already, indented.
///
/// It works on the text, so that numbers, doubled keys and the order of keys
/// stay what they were: the objects hold documents of registries.
pub fn array(objects: &[String]) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    // The start of an object or array is written when it is known not to be empty.
    let mut opened = false;
    let mut quoted = false;
    let mut escaped = false;
    let text = format!("[{}]", objects.join(","));
    for c in text.chars() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if c.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(c, '}' | ']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if opened != closes {
            // Either the first element of a list, or the end of one that has some.
            break_line(&mut out, depth);
        }
        opened = matches!(c, '{' | '[');
        quoted = c == '"';
        out.push(c);
        match c {
            '{' | '[' => depth += 1,
            ',' => break_line(&mut out, depth),
            ':' => out.push(' '),
            _ => {}
        }
    }
    harmless(out) + "\n"
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    (0..depth).for_each(|_| out.push_str(INDENT));
}

/// Writes the characters that a terminal could act on as JSON escapes. In JSON
/// they can only be inside of strings, where an escape means the same; line
/// breaks are the exception, and were put there by us.
fn harmless(json: String) -> String {
    // Most JSON is ASCII, and the first test is quick.
    let plain = |byte| matches!(byte, b'\n' | b' '..=b'~');
    if json.bytes().all(plain) || json.chars().all(|c| c == '\n' || escape::is_visible(c)) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c == '\n' || escape::is_visible(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}").expect("a string takes every write");
        }
    }
    out
}
