//! Ingests that nobody has finished: which there are, and away with them. They
//! belong to no namespace.

use super::failing::{fail, invalid, problem, try_this};
use crate::{
    host::{Host, Unfinished},
    nouns::problem::{ErrorCode, Problem},
    registry::Failure,
};
use std::collections::BTreeMap;

/// How many are listed at once.
const PAGE_INGESTS: u32 = 1_000;
/// The shortest beginning of a key that is looked for.
const PREFIX_DIGITS_MIN: usize = 4;
/// How many candidates a message lists.
const LISTED_MAX: usize = 20;
/// What shows all of them.
const LIST: &str = "wharf ingest ls";

/// Returns the ingests, in order of key. See `images.ingests`.
pub async fn ingests<H: Host>(host: &H) -> Result<Vec<Unfinished>, Problem> {
    unfinished(host).await.map_err(problem("cannot list the ingests"))
}

/// Removes ingests, and returns those that are gone. See `images.discard`.
pub async fn discard<H: Host>(host: &H, which: &[String]) -> Result<Vec<Unfinished>, Problem> {
    remove(host, which).await.map_err(problem(match which {
        [one] => format!("cannot remove the ingest `{}`", one.escape_debug()),
        _ => "cannot remove these ingests".to_owned(),
    }))
}

/// Every ingest, in order of key.
pub(super) async fn unfinished<H: Host>(host: &H) -> Result<Vec<Unfinished>, Failure> {
    let mut all: Vec<Unfinished> = Vec::new();
    loop {
        let page = host.ingests(all.last().map(|last| last.key.as_str()), PAGE_INGESTS).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

async fn remove<H: Host>(host: &H, which: &[String]) -> Result<Vec<Unfinished>, Failure> {
    let here = unfinished(host).await?;
    // Everything that is meant is found before anything goes.
    let mut meant: BTreeMap<&str, &Unfinished> = BTreeMap::new();
    for text in which {
        for ingest in find(&here, text)? {
            meant.insert(&ingest.key, ingest);
        }
    }
    let (mut gone, mut held) = (Vec::new(), Vec::new());
    for ingest in meant.into_values() {
        match host.discard(&ingest.key).await {
            Ok(()) => gone.push(ingest.clone()),
            Err(ErrorCode::InUse) => held.push(ingest),
            Err(other) => return Err(other.into()),
        }
    }
    match held.first() {
        Some(first) if gone.is_empty() => {
            let failure = fail(ErrorCode::InUse, format!("`{}` is on its way", shown(first)));
            Err(try_this(failure, "wait until whoever brings it has ended, or end that process"))
        }
        _ => Ok(gone),
    }
}

/// Finds what a text means: one ingest by its key or the beginning of it, or all
/// that have this name.
fn find<'i>(here: &'i [Unfinished], text: &str) -> Result<Vec<&'i Unfinished>, Failure> {
    if text.is_empty() {
        return Err(invalid("an ingest has a key, and nothing was typed"));
    }
    let with = |is_meant: &dyn Fn(&Unfinished) -> bool| here.iter().filter(|ingest| is_meant(ingest)).collect();
    let exact: Vec<&Unfinished> = with(&|ingest| ingest.key == text || ingest.name.as_deref() == Some(text));
    if !exact.is_empty() {
        return Ok(exact);
    }
    let begun: Vec<&Unfinished> = match text.len() >= PREFIX_DIGITS_MIN {
        true => with(&|ingest| ingest.key.starts_with(text)),
        false => Vec::new(),
    };
    match begun.as_slice() {
        [_] => Ok(begun),
        [] => {
            let why = format!("no ingest here has the key or the name `{}`", text.escape_debug());
            Err(try_this(fail(ErrorCode::NotFound, why), LIST))
        }
        [..] => {
            let mut why = vec![format!("`{text}` is the beginning of more than one key")];
            why.extend(begun.iter().take(LISTED_MAX).map(|ingest| format!("it may be `{}`", shown(ingest))));
            Err(Failure { code: ErrorCode::Invalid, why, fix: Some("type more of the key".to_owned()) })
        }
    }
}

/// As in ``4bcf…` of `sha256:…``, without the outer marks.
fn shown(ingest: &Unfinished) -> String {
    match &ingest.name {
        Some(name) => format!("{}` of `{}", ingest.key, name.escape_debug()),
        None => ingest.key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingest(key: &str, name: Option<&str>) -> Unfinished {
        Unfinished { key: key.to_owned(), name: name.map(str::to_owned), size: 1, age_s: 2, held: false }
    }

    #[test]
    fn an_ingest_is_found_by_its_key_the_beginning_of_it_or_its_name() {
        let here = [ingest("abcd1", Some("sha256:1")), ingest("abcd2", Some("abcd")), ingest("abcd23", None)];
        let rows: [(&str, &[&str]); 5] = [
            ("abcd1", &["abcd1"]),
            ("abcd2", &["abcd2"]),
            ("abcd23", &["abcd23"]),
            ("sha256:1", &["abcd1"]),
            ("abcd", &["abcd2"]),
        ];
        for (text, expected) in rows {
            let found = find(&here, text).unwrap();
            assert_eq!(found.iter().map(|ingest| ingest.key.as_str()).collect::<Vec<_>>(), expected, "{text}");
        }
        let begun = [ingest("abcd1", None), ingest("abcd2", Some("x"))];
        assert_eq!(find(&begun[..1], "abcd").unwrap(), [&begun[0]]);
        let failure = find(&begun, "abcd").unwrap_err();
        let why = ["`abcd` is the beginning of more than one key", "it may be `abcd1`", "it may be `abcd2` of `x`"];
        assert_eq!((failure.code, failure.why), (ErrorCode::Invalid, why.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_no_ingest_is_called_is_told_with_what_shows_them() {
        for text in ["abc", "other", "sha256"] {
            let failure = find(&[ingest("abcd1", Some("sha256:1"))], text).unwrap_err();
            assert_eq!((failure.code, failure.fix.as_deref()), (ErrorCode::NotFound, Some(LIST)), "{text}");
        }
        assert_eq!(find(&[], "").unwrap_err().code, ErrorCode::Invalid);
    }
}
