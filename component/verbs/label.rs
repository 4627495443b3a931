//! The labels of a name's record. They say nothing about the image, and what it
//! points to stays as it is; so a change of them is no use of the image either.

use super::{
    contract::Caller,
    failing::{fail, invalid, problem, try_this},
    library::{Entry, Library},
    store,
};
use crate::{
    host::Host,
    nouns::{
        label::{self, ANNOTATION_PREFIX},
        problem::{ErrorCode, Problem},
        record::Action,
        reference::Reference,
    },
    registry::Failure,
};
use std::collections::BTreeMap;

/// How many candidates a message lists.
const LISTED_MAX: usize = 20;

/// Changes labels, and returns all of them. See `images.label`.
pub async fn label<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    labels: &[(String, Option<String>)],
) -> Result<BTreeMap<String, String>, Problem> {
    let work = async {
        for (key, value) in labels {
            label::check(key, value.as_deref().unwrap_or_default()).map_err(invalid)?;
            if key.starts_with(ANNOTATION_PREFIX) {
                return Err(invalid(format!("`{}` is how an annotation is kept", key.escape_debug())));
            }
        }
        let library = Library::load(host, caller).await?;
        write(host, caller, &one_name(&library, reference)?.name, labels).await
    };
    work.await.map_err(problem(format!("cannot label `{}`", reference.escape_debug())))
}

async fn write<H: Host>(
    host: &H,
    caller: &Caller,
    name: &Reference,
    labels: &[(String, Option<String>)],
) -> Result<BTreeMap<String, String>, Failure> {
    let (all, is_new) = store::change(host, caller, async |records| {
        let gone = || fail(ErrorCode::NotFound, format!("`{name}` has gone meanwhile"));
        let mut record = records.get(name).await?.ok_or_else(gone)?.map_err(invalid)?;
        let before = record.labels.clone();
        for (key, value) in labels {
            match value {
                Some(value) => drop(record.labels.insert(key.clone(), value.clone())),
                None => drop(record.labels.remove(key)),
            }
        }
        let is_new = record.labels != before;
        if is_new {
            records.put(name, &record)?;
            records.tell(host, Action::Label, name.to_string(), Some(&record.target.digest));
        }
        record.labels.retain(|key, _| !key.starts_with(ANNOTATION_PREFIX));
        Ok((record.labels, is_new))
    })
    .await?;
    if is_new {
        store::forget(host, caller).await;
    }
    Ok(all)
}

/// Finds the one name that is meant. What is typed may be the digest of an image
/// that has several, and each has labels of its own.
fn one_name<'l>(library: &'l Library, reference: &str) -> Result<&'l Entry, Failure> {
    let found = library.find(reference)?.entry;
    let typed = Reference::parse(reference).map(Reference::with_default_tag);
    if typed.is_ok_and(|typed| typed == found.name) {
        return Ok(found);
    }
    let is_same = |entry: &&Entry| entry.record.target.digest == found.record.target.digest;
    let names: Vec<String> = library.entries.iter().filter(is_same).map(|entry| entry.name.familiar()).collect();
    if names.len() == 1 {
        return Ok(found);
    }
    let mut why = vec!["this image has more than one name, and each has labels of its own".to_owned()];
    why.extend(names.iter().take(LISTED_MAX).map(|name| format!("it may be `{name}`")));
    let failure = Failure { code: ErrorCode::Invalid, why, fix: None };
    Err(try_this(failure, "type the name that is meant"))
}
