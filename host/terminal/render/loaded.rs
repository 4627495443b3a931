//! The answer of `wharf load`: what came out of an archive. What a person may not expect is for
//! standard error.

use super::{escape, json};
use serde::Serialize;
use wharf_vocabulary::archives::{Loaded, LoadedImage};

#[derive(Serialize)]
struct LoadedObject<'a> {
    images: Vec<ImageObject<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct ImageObject<'a> {
    names: &'a [String],
    target: json::Descriptor<'a>,
    id: &'a str,
    platforms: &'a [String],
    moved: Vec<MovedObject<'a>>,
}

#[derive(Serialize)]
struct MovedObject<'a> {
    name: &'a str,
    target: &'a str,
}

impl<'a> From<&'a LoadedImage> for ImageObject<'a> {
    fn from(image: &'a LoadedImage) -> Self {
        let LoadedImage { names, target, id, platforms, moved } = image;
        let moved = moved.iter().map(|(name, target)| MovedObject { name, target }).collect();
        Self { names, target: target.into(), id, platforms, moved }
    }
}

/// Returns the full name of each image, one a line.
pub fn lines(loaded: &Loaded) -> String {
    let names = loaded.images.iter().flat_map(|image| &image.names);
    names.map(|name| format!("{}\n", escape::text(name))).collect()
}

/// Returns an object.
pub fn json(Loaded { images, notes }: &Loaded) -> String {
    json::pretty(&LoadedObject { images: images.iter().map(ImageObject::from).collect(), notes })
}

/// Returns a line for each thing that a person may not expect.
pub fn talk(loaded: &Loaded) -> String {
    loaded.notes.iter().map(|note| format!("{}\n", escape::text(note))).collect()
}
