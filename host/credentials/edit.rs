//! A document with one login more or less: bytes in, bytes out.
//!
//! Only `auths` is changed, and in it only what is about one registry. Everything else, known or not, stays where it is
//! and as it is written: the file belongs to docker and podman as well. Logins are written as docker writes them.
//!
//! ```json
//! {
//!     "auths": {"registry.lan:5000": {"auth": "YW5uOnNlY3JldA=="}},
//!     "credsStore": "desktop"
//! }
//! ```
//!
//! It reads and writes no files, and runs no programs.

use super::Login;
use super::document::{DOCUMENT_BYTES_MAX, Scope, place_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use zeroize::Zeroizing;

/// The fields of an entry that are a login.
const SECRETS: [&str; 5] = ["auth", "username", "password", "identitytoken", "registrytoken"];

/// What a level is indented by in a document that shows no other way: a tab, as docker does it.
const INDENT: &str = "\t";

/// The members of an object in the order in which they are written, doubled names included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// Returns the document with the login for the whole registry `key`, as in `registry.lan:5000`, in the place of any
/// that it had for it under whatever spelling; without a login, with an empty entry, which says that a program keeps it.
///
/// Fails if the document is not one, with what is wrong with it.
pub(super) fn put(document: &[u8], key: &str, login: Option<&Login>) -> Result<Zeroizing<Vec<u8>>, String> {
    let scope = Scope::read(key).ok_or("that is no registry")?;
    change(document, |auths, indent| {
        let mut written: Option<Zeroizing<String>> = None;
        let mut members = Vec::new();
        for (name, value) in &auths.0 {
            let ours = Scope::read(name).is_some_and(|other| other.is(&scope));
            if !ours {
                members.push((name.clone(), Zeroizing::new(value.get().to_owned())));
            } else if written.is_none() {
                let value = entry(Some(value), login, indent)?;
                members.push((key.to_owned(), value.clone()));
                written = Some(value);
            }
        }
        if written.is_none() {
            members.push((key.to_owned(), entry(None, login, indent)?));
        }
        Ok(members)
    })
}

/// Returns the document without the entries that `ours` is true for, or none if there is none of them.
///
/// Fails if the document is not one, with what is wrong with it.
pub(super) fn remove(document: &[u8], ours: impl Fn(&Scope) -> bool) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let mut removed = false;
    let changed = change(document, |auths, _| {
        let mut members = Vec::new();
        for (name, value) in &auths.0 {
            if Scope::read(name).is_some_and(|scope| ours(&scope)) {
                removed = true;
            } else {
                members.push((name.clone(), Zeroizing::new(value.get().to_owned())));
            }
        }
        Ok(members)
    })?;
    Ok(removed.then_some(changed))
}

type Texts = Vec<(String, Zeroizing<String>)>;

/// Replaces `auths` by what `edit` makes of it.
fn change(
    document: &[u8],
    edit: impl FnOnce(&Members<'_>, &str) -> Result<Texts, String>,
) -> Result<Zeroizing<Vec<u8>>, String> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(format!("it has {} bytes, and {DOCUMENT_BYTES_MAX} is the limit", document.len()));
    }
    // Tools leave an empty file behind when the last login has gone.
    let text = if document.iter().all(u8::is_ascii_whitespace) { b"{}" } else { document };
    let members: Members<'_> = serde_json::from_slice(text).map_err(|error| place_of(&error))?;
    let indent = indent(text);
    let no_auths = Members(Vec::new());
    let mut texts: Texts = Vec::with_capacity(members.0.len() + 1);
    let mut edit = Some(edit);
    for (name, value) in &members.0 {
        if name == "auths" {
            let edit = edit.take().ok_or("`auths` is there twice")?;
            let auths: Option<Members<'_>> = parse(value).map_err(|_| "`auths` is not an object")?;
            let auths = edit(auths.as_ref().unwrap_or(&no_auths), indent)?;
            texts.push((name.clone(), object(&auths, indent, 1)));
        } else {
            texts.push((name.clone(), Zeroizing::new(value.get().to_owned())));
        }
    }
    if let Some(edit) = edit {
        texts.push(("auths".to_owned(), object(&edit(&no_auths, indent)?, indent, 1)));
    }
    let mut out = object(&texts, indent, 0);
    out.push('\n');
    Ok(Zeroizing::new(std::mem::take(&mut *out).into_bytes()))
}

/// Returns an entry with this login, and with what else it had.
fn entry(old: Option<&RawValue>, login: Option<&Login>, indent: &str) -> Result<Zeroizing<String>, String> {
    let old = old.map_or(Ok(None), parse::<Option<Members<'_>>>).map_err(|_| "an entry of `auths` is not an object")?;
    let kept = old.map(|old| old.0).unwrap_or_default().into_iter();
    let kept = kept.filter(|(name, _)| !SECRETS.contains(&name.as_str()));
    let mut members: Texts = kept.map(|(name, value)| (name, Zeroizing::new(value.get().to_owned()))).collect();
    if let Some(Login { user, password }) = login {
        let pair = Zeroizing::new(format!("{user}:{}", password.as_str()));
        let auth = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        members.insert(0, ("auth".to_owned(), Zeroizing::new(format!("\"{}\"", *auth))));
    }
    Ok(object(&members, indent, 2))
}

fn parse<'a, T: Deserialize<'a>>(value: &'a RawValue) -> serde_json::Result<T> {
    serde_json::from_str(value.get())
}

/// Writes an object, its members `depth` + 1 levels deep.
fn object(members: &[(String, Zeroizing<String>)], indent: &str, depth: usize) -> Zeroizing<String> {
    if members.is_empty() {
        return Zeroizing::new("{}".to_owned());
    }
    let (inner, outer) = (indent.repeat(depth + 1), indent.repeat(depth));
    let names: Vec<_> = members.iter().map(|(name, _)| quoted(name)).collect();
    let sizes = names.iter().zip(members).map(|(name, (_, value))| name.len() + value.len() + inner.len() + 4);
    // One that grows leaves copies of secrets behind. Two more are for the line break behind a document.
    let mut out = Zeroizing::new(String::with_capacity(sizes.sum::<usize>() + outer.len() + 6));
    out.push('{');
    for (at, (name, (_, value))) in names.iter().zip(members).enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        out.push_str(&inner);
        out.push_str(name);
        out.push_str(": ");
        out.push_str(value);
    }
    out.push('\n');
    out.push_str(&outer);
    out.push('}');
    out
}

fn quoted(name: &impl Serialize) -> String {
    serde_json::to_string(name).expect("a text can be written")
}

/// Returns what the first member of the document is indented by.
fn indent(document: &[u8]) -> &str {
    let text = str::from_utf8(document).unwrap_or_default();
    let first = text.split_once('{').map_or("", |(_, rest)| rest.trim_start_matches(['\r', '\n']));
    let length = first.find(|c| !matches!(c, ' ' | '\t')).unwrap_or(0);
    if length == 0 || !text.contains('\n') { INDENT } else { &first[..length] }
}
