//! Labels that clients write on records, and the annotations of targets, which stand among the labels of an image's
//! record under a prefix of their own.

use crate::{
    nouns::{
        label::{self, ANNOTATION_PREFIX},
        problem::ErrorCode,
    },
    registry::Failure,
    verbs::{
        contract::records::Labels,
        failing::{fail, invalid},
    },
};
use std::collections::BTreeMap;

/// How many labels a record has at most. An index of the largest kind has one for each of its entries.
const LABELS_MAX: usize = 4_096;
/// How large they are together.
const LABELS_BYTES_MAX: usize = 1 << 20;

/// Checks labels, and returns them without those that are empty: that is how clients take one away.
pub(super) fn checked(labels: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    for (key, value) in labels {
        label::check(key, value).map_err(invalid)?;
    }
    let labels: BTreeMap<String, String> = labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
    check_all(&labels)?;
    Ok(labels)
}

/// Checks what a record would have in all.
pub(super) fn check_all(labels: &BTreeMap<String, String>) -> Result<(), Failure> {
    let bytes: usize = labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if labels.len() > LABELS_MAX {
        let why = format!("the record would have {} labels and annotations; the limit is {LABELS_MAX}", labels.len());
        return Err(fail(ErrorCode::TooLarge(LABELS_MAX as u64), why));
    }
    if bytes > LABELS_BYTES_MAX {
        let why = format!("its labels and annotations would have {bytes} bytes; the limit is {LABELS_BYTES_MAX}");
        return Err(fail(ErrorCode::TooLarge(LABELS_BYTES_MAX as u64), why));
    }
    Ok(())
}

/// Sets a label, or takes it away if the value is empty.
pub(super) fn set(labels: &mut BTreeMap<String, String>, key: &str, value: &str) -> Result<(), Failure> {
    label::check(key, value).map_err(invalid)?;
    match value.is_empty() {
        true => drop(labels.remove(key)),
        false => drop(labels.insert(key.to_owned(), value.to_owned())),
    }
    check_all(labels)
}

/// Returns the value of a label that a client wrote; none is an empty one.
pub(super) fn value<'l>(labels: &'l [(String, String)], key: &str) -> &'l str {
    labels.iter().rev().find(|(other, _)| other == key).map_or("", |(_, value)| value)
}

/// Tells the labels of an image's record from the annotations of its target.
pub(super) fn apart<'r>(all: impl Iterator<Item = (&'r str, &'r str)>) -> (Labels, Labels) {
    let (mut labels, mut annotations) = (Vec::new(), Vec::new());
    for (key, value) in all {
        match key.strip_prefix(ANNOTATION_PREFIX) {
            Some(key) => annotations.push((key.to_owned(), value.to_owned())),
            None => labels.push((key.to_owned(), value.to_owned())),
        }
    }
    (labels, annotations)
}

/// Puts them together again.
pub(super) fn together(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    if let Some(key) = labels.keys().find(|key| key.starts_with(ANNOTATION_PREFIX)) {
        let why = format!("the label `{}` is how an annotation of the target is kept", key.escape_debug());
        return Err(invalid(why));
    }
    let annotations = annotations.iter().map(|(key, value)| (format!("{ANNOTATION_PREFIX}{key}"), value.clone()));
    let all: BTreeMap<String, String> = labels.clone().into_iter().chain(annotations).collect();
    check_all(&all)?;
    Ok(all)
}
