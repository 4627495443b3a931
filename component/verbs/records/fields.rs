//! What an update changes: everything that can be changed, or the fields that a client lists, as in `labels`,
//! `labels.team` or `target`. Fields that are none are refused.

use crate::{
    nouns::json,
    registry::Failure,
    verbs::failing::{invalid, try_this},
};

/// How many fields an update lists at most.
const FIELDS_MAX: usize = 1_024;
/// How much of a field a message shows.
const SHOWN_CHARS_MAX: usize = 64;

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'f> {
    Labels,
    Label(&'f str),
    Target,
    Annotations,
    Annotation(&'f str),
}

/// What kind of record is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Image,
    /// A blob, or a namespace: there are labels, and nothing else that can be changed.
    Labelled,
}

/// Reads the fields that a client lists. None at all means everything.
pub(super) fn read(fields: &[String], of: Of) -> Result<Vec<Field<'_>>, Failure> {
    if fields.len() > FIELDS_MAX {
        return Err(invalid(format!("{} fields are more than {FIELDS_MAX}", fields.len())));
    }
    if fields.is_empty() {
        return Ok(match of {
            Of::Image => vec![Field::Labels, Field::Target],
            Of::Labelled => vec![Field::Labels],
        });
    }
    fields.iter().map(|text| field(text, of)).collect()
}

fn field(text: &str, of: Of) -> Result<Field<'_>, Failure> {
    let is_image = of == Of::Image;
    match text {
        "labels" => Ok(Field::Labels),
        "target" if is_image => Ok(Field::Target),
        "annotations" if is_image => Ok(Field::Annotations),
        _ => match (text.strip_prefix("labels."), text.strip_prefix("annotations.")) {
            (Some(key), _) => Ok(Field::Label(key)),
            (None, Some(key)) if is_image => Ok(Field::Annotation(key)),
            _ => Err(unknown(text, is_image)),
        },
    }
}

fn unknown(text: &str, is_image: bool) -> Failure {
    let failure = invalid(format!("the field `{}` cannot be changed", json::shown(text, SHOWN_CHARS_MAX)));
    let fix = match is_image {
        true => "name `target`, `labels`, `labels.<key>`, `annotations` or `annotations.<key>`",
        false => "name `labels` or `labels.<key>`",
    };
    try_this(failure, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Field::*;

    #[test]
    fn fields_are_those_that_a_record_of_the_kind_has() {
        type Fields = &'static [Field<'static>];
        let rows: [(&[&str], Option<Fields>, Option<Fields>); 9] = [
            (&[], Some(&[Labels, Target]), Some(&[Labels])),
            (&["labels"], Some(&[Labels]), Some(&[Labels])),
            (&["labels.a.b/c", "labels"], Some(&[Label("a.b/c"), Labels]), Some(&[Label("a.b/c"), Labels])),
            (&["labels."], Some(&[Label("")]), Some(&[Label("")])),
            (&["target"], Some(&[Target]), None),
            (&["annotations", "annotations.x"], Some(&[Annotations, Annotation("x")]), None),
            (&["name"], None, None),
            (&["labels", "created_at"], None, None),
            (&[""], None, None),
        ];
        for (texts, image, labelled) in rows {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            let found = |of| read(&texts, of).ok();
            assert_eq!(found(Of::Image).as_deref(), image, "{texts:?}");
            assert_eq!(found(Of::Labelled).as_deref(), labelled, "{texts:?}");
        }
        assert!(read(&vec!["labels".to_owned(); FIELDS_MAX + 1], Of::Image).is_err());
    }
}
