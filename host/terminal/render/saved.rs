//! What `wharf save` has to say, for standard error: the archive itself is its answer.

use super::{escape, size};
use wharf_vocabulary::archives::Saved;

/// Returns a line for each thing that a person may not expect, and `saved alpine:3.20 in alpine.tar: 3.6MB`. `place` is
/// where the archive is; none for standard output.
pub fn talk(Saved { images, size, notes }: &Saved, place: Option<&str>) -> String {
    let mut text: String = notes.iter().map(|note| format!("{}\n", escape::text(note))).collect();
    let names: Vec<&str> = images
        .iter()
        .flat_map(|image| match &*image.names {
            [] => vec![image.target.digest.as_str()],
            names => names.iter().map(String::as_str).collect(),
        })
        .collect();
    let place = place.map(|place| format!(" in {}", escape::line(place))).unwrap_or_default();
    text.push_str(&format!("saved {}{place}: {}\n", escape::line(&names.join(", ")), size::si(*size)));
    text
}
