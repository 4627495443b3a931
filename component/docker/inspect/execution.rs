//! How a container of an image would run: the `Config` of an image, and what each
//! version tells of it.
//!
//! | API | what the image does not say | what is about containers alone |
//! | --- | --- | --- |
//! | before 1.50 | is told, as nothing | is told |
//! | 1.50, 1.51 | is told, as nothing | is left out |
//! | from 1.52 on | is left out, and so is what it says to be nothing | is left out |

use crate::docker::version::Version;
use Key::{Container, Image, Optional};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

/// What a key of a config is about, and what is told where nothing is said, as JSON.
#[derive(Clone, Copy)]
enum Key {
    /// Containers: no image sets it. None is told only if it is said.
    Container(Option<&'static str>),
    /// Images.
    Image(&'static str),
    /// Images, and told only if it is said.
    Optional,
}

/// In docker's order.
const KEYS: [(&str, Key); 25] = [
    ("Hostname", Container(Some("\"\""))),
    ("Domainname", Container(Some("\"\""))),
    ("User", Image("\"\"")),
    ("AttachStdin", Container(Some("false"))),
    ("AttachStdout", Container(Some("false"))),
    ("AttachStderr", Container(Some("false"))),
    ("ExposedPorts", Optional),
    ("Tty", Container(Some("false"))),
    ("OpenStdin", Container(Some("false"))),
    ("StdinOnce", Container(Some("false"))),
    ("Env", Image("null")),
    ("Cmd", Image("null")),
    ("Healthcheck", Optional),
    ("ArgsEscaped", Optional),
    ("Image", Container(Some("\"\""))),
    ("Volumes", Image("null")),
    ("WorkingDir", Image("\"\"")),
    ("Entrypoint", Image("null")),
    ("NetworkDisabled", Container(None)),
    ("MacAddress", Container(None)),
    ("OnBuild", Image("null")),
    ("Labels", Image("null")),
    ("StopSignal", Optional),
    ("StopTimeout", Container(None)),
    ("Shell", Optional),
];

/// What a config says, for a client of this version.
pub(super) struct Execution {
    pub(super) said: Map<String, Value>,
    pub(super) version: Version,
}

impl Execution {
    /// Returns what is told under a key.
    fn told(&self, name: &str, key: Key) -> Option<Value> {
        let said = self.said.get(name);
        let otherwise = match key {
            Container(_) if self.version.since(50) => return None,
            Container(otherwise) => otherwise,
            Image(_) if self.version.since(52) => return said.filter(|value| !is_nothing(value)).cloned(),
            Image(otherwise) => Some(otherwise),
            Optional if self.version.since(50) => return said.filter(|value| !is_nothing(value)).cloned(),
            Optional => None,
        };
        said.cloned().or_else(|| otherwise.map(|text| serde_json::from_str(text).expect("the table has JSON")))
    }
}

/// Whether a value is what its type begins with, which is none for docker.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_set) => !is_set,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

impl Serialize for Execution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, key) in KEYS {
            if let Some(value) = self.told(name, key) {
                map.serialize_entry(name, &value)?;
            }
        }
        for (name, value) in &self.said {
            if KEYS.iter().all(|(known, _)| known != name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(minor: u32, said: &Value) -> Value {
        let said = said.as_object().unwrap().clone();
        serde_json::to_value(Execution { said, version: Version::of(minor) }).unwrap()
    }

    fn names(value: &Value) -> Vec<&str> {
        let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_an_image_does_not_say_is_told_to_old_clients() {
        let all = names_sorted(|key| matches!(key, Container(Some(_)) | Image(_)));
        for minor in [24, 49] {
            assert_eq!(names(&told(minor, &json!({}))), all, "1.{minor}");
        }
        let of_images = ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes", "WorkingDir"];
        for minor in [50, 51] {
            assert_eq!(names(&told(minor, &json!({}))), of_images, "1.{minor}");
        }
        assert_eq!(told(52, &json!({})), json!({}));
    }

    #[test]
    fn what_is_about_containers_or_says_nothing_goes_with_the_versions() {
        let nothing = json!({"Cmd": null, "User": "", "Labels": {}, "Env": [], "ArgsEscaped": false, "StopSignal": ""});
        let containers = json!({"Hostname": "a", "Tty": true, "Image": "b", "MacAddress": "c", "StopTimeout": 3});
        let something = json!({"Cmd": ["/app"], "User": "app", "Shell": ["sh"], "org.example": {"a": 1}});
        assert_eq!(names(&told(51, &nothing)).len(), 8);
        assert_eq!(told(51, &nothing)["Labels"], json!({}));
        assert_eq!(told(52, &nothing), json!({}));
        for (name, value) in containers.as_object().unwrap() {
            assert_eq!((&told(49, &containers)[name], told(50, &containers).get(name)), (value, None));
        }
        assert_eq!(told(52, &something), something);
    }

    fn names_sorted(passes: fn(Key) -> bool) -> Vec<&'static str> {
        let mut names: Vec<_> = KEYS.iter().filter(|(_, key)| passes(*key)).map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    }
}
