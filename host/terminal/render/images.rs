//! The answer of `wharf images`: docker's table, JSON, or ids.
//!
//! It does not sort or filter; the component did.

use super::{age, escape, json, names, size, table};
use std::borrow::Cow;
use wharf_vocabulary::vocabulary::Image;

/// How many platforms of an image are shown if they are cut.
const PLATFORMS_SHOWN: usize = 3;

/// What the table shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImagesStyle {
    /// Add the column DIGEST: what the name points to.
    pub digests: bool,
    /// Show whole ids, with their algorithm, and all platforms.
    pub whole: bool,
}

/// Returns a table of images. The column PLATFORMS is there if an image has
/// several. `now` is in seconds since 1970.
pub fn table(images: &[Image], style: ImagesStyle, now: i64) -> String {
    let several = images.iter().any(|image| image.platforms.len() > 1);
    let mut header = vec!["REPOSITORY", "TAG"];
    if style.digests {
        header.push("DIGEST");
    }
    header.extend(["IMAGE ID", "CREATED", "SIZE"]);
    if several {
        header.push("PLATFORMS");
    }
    let row = |image: &Image| {
        let (repository, tag) = names::repository_and_tag(&image.familiar);
        let mut row = Vec::with_capacity(header.len());
        row.extend([repository, tag].map(|part| escape::text(part.unwrap_or(names::NONE)).into_owned()));
        if style.digests {
            row.push(escape::text(&image.target.digest).into_owned());
        }
        row.push(id(image, style.whole).into_owned());
        row.push(image.created.map_or_else(|| "N/A".to_owned(), |created| age::ago(created, now)));
        row.push(size::si(image.size));
        if several {
            row.push(platforms(&image.platforms, style.whole));
        }
        row
    };
    table::table(&header, images.iter().map(row))
}

/// Returns a JSON array, one object for each image.
pub fn json(images: &[Image]) -> String {
    json::pretty(&images.iter().map(json::ImageObject::from).collect::<Vec<_>>())
}

/// Returns the ids, one a line, in the order of the images.
pub fn ids(images: &[Image], whole: bool) -> String {
    images.iter().flat_map(|image| [id(image, whole), Cow::Borrowed("\n")]).collect()
}

fn id(image: &Image, whole: bool) -> Cow<'_, str> {
    if whole { escape::text(&image.id) } else { names::short(&image.id) }
}

fn platforms(platforms: &[String], whole: bool) -> String {
    let shown = if whole { platforms.len() } else { PLATFORMS_SHOWN };
    let mut words: Vec<String> =
        platforms.iter().take(shown).map(|platform| escape::text(platform).into_owned()).collect();
    if platforms.len() > shown {
        words.push(format!("+{}", platforms.len() - shown));
    }
    words.join(", ")
}
