//! The answer of `wharf inspect`: a JSON array with an object for each image.
//!
//! The component makes the objects; nothing is read or changed here but their
//! layout.

use super::json;

/// Returns the objects, each of which is JSON, as one array.
pub fn json(objects: &[String]) -> String {
    json::array(objects)
}
