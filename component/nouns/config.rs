//! Image configs: how an image was made, on what it runs, and what is in it.
//! OCI image-spec, config.md; Docker's config has the same keys and more.
//!
//! It keeps what wharf shows or decides with. The bytes that arrived are what is
//! stored, so nothing is lost. An artifact's config is not an image config: ask
//! [`super::manifest::Manifest::is_image`] first. [`Config::parse`] accepts what
//! registries really have; [`Config::validate`] holds it to the specification.

mod write;

use super::digest::Digest;
use super::json::{self, Shape};
use super::platform::Platform;
use super::time;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The one type of `rootfs` there is.
const ROOTFS_TYPE: &str = "layers";

const SHAPE: Shape = Shape::Object(&[
    ("created", &Shape::Any),
    ("author", &Shape::Any),
    ("architecture", &Shape::Any),
    ("os", &Shape::Any),
    ("variant", &Shape::Any),
    ("os.version", &Shape::Any),
    ("os.features", &Shape::Any),
    ("config", &EXECUTION),
    ("rootfs", &ROOTFS),
    ("history", &Shape::List { name: "history entries", items: &STEP, limit: json::VALUES_MAX }),
]);

const ROOTFS: Shape = Shape::Object(&[("type", &Shape::Any), ("diff_ids", &Shape::Any)]);

const STEP: Shape = Shape::Object(&[
    ("created", &Shape::Any),
    ("created_by", &Shape::Any),
    ("author", &Shape::Any),
    ("comment", &Shape::Any),
    ("empty_layer", &Shape::Any),
]);

const EXECUTION: Shape = Shape::Object(&[
    ("User", &Shape::Any),
    ("ExposedPorts", &Shape::Any),
    ("Env", &Shape::Any),
    ("Entrypoint", &Shape::Any),
    ("Cmd", &Shape::Any),
    ("Volumes", &Shape::Any),
    ("WorkingDir", &Shape::Any),
    ("Labels", &Shape::Any),
    ("StopSignal", &Shape::Any),
    ("StopTimeout", &Shape::Any),
    ("ArgsEscaped", &Shape::Any),
    ("Healthcheck", &HEALTHCHECK),
    ("OnBuild", &Shape::Any),
    ("Shell", &Shape::Any),
]);

const HEALTHCHECK: Shape = Shape::Object(&[
    ("Test", &Shape::Any),
    ("Interval", &Shape::Any),
    ("Timeout", &Shape::Any),
    ("StartPeriod", &Shape::Any),
    ("StartInterval", &Shape::Any),
    ("Retries", &Shape::Any),
]);

/// Why a config is not one that wharf takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not a config, are out of bounds, or can be read in two
    /// ways.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// There is no `rootfs`, so nobody knows which layers belong to it.
    #[error("the config has no `rootfs`")]
    NoRootfs,
    /// The root file system is not made of layers.
    #[error("the type of `rootfs` is `{0}`, not `layers`")]
    RootfsType(String),
    /// The manifest has another number of layers.
    #[error("the config lists {diff_ids} layers, but the manifest has {layers}")]
    Layers {
        /// As the config says.
        diff_ids: usize,
        /// As the manifest says.
        layers: usize,
    },
    /// It is usable, but breaks a rule of the specification.
    #[error("`{place}`: {rule}")]
    Rule {
        /// As in `config.Env[2]`.
        place: String,
        /// The rule.
        rule: &'static str,
    },
}

/// An image's config.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// When the image was made, as the document says it.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// As in `amd64`; empty if the config does not say.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub architecture: String,
    /// As in `linux`; empty if the config does not say.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub os: String,
    /// As in `v8`; empty if the config does not say.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub variant: String,
    /// As in `10.0.20348.2527`; empty if the config does not say.
    #[serde(default, rename = "os.version", deserialize_with = "json::null_is_default")]
    pub os_version: String,
    /// As in `win32k`, for Windows.
    #[serde(default, rename = "os.features", deserialize_with = "json::null_is_default")]
    pub os_features: Vec<String>,
    /// How a container of it runs.
    #[serde(default, rename = "config", deserialize_with = "json::null_is_default")]
    pub execution: Execution,
    /// What the file system is made of.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub rootfs: Rootfs,
    /// How it was made, oldest step first.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub history: Vec<Step>,
}

/// What the file system is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Rootfs {
    /// `layers`; empty if the config does not say.
    #[serde(default, rename = "type", deserialize_with = "json::null_is_default")]
    pub kind: String,
    /// The digests of the layers' tar archives, from the bottom to the top.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub diff_ids: Vec<Digest>,
}

/// One step of the making.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// When, as the document says it.
    pub created: Option<String>,
    /// By which command.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub created_by: String,
    /// By whom.
    pub author: Option<String>,
    /// What the maker had to say.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub comment: String,
    /// Whether the step made no layer.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub empty_layer: bool,
}

/// How a container of the image runs, unless it is told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Execution {
    /// As in `nobody`, `1000` or `1000:1000`.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub user: String,
    /// As in `8080/tcp`.
    #[serde(default, deserialize_with = "json::keys")]
    pub exposed_ports: BTreeSet<String>,
    /// As in `PATH=/usr/bin`, in the order of the document.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub env: Vec<String>,
    /// The words that every command begins with.
    pub entrypoint: Option<Vec<String>>,
    /// The words that follow, unless others are given.
    pub cmd: Option<Vec<String>>,
    /// Directories that hold data.
    #[serde(default, deserialize_with = "json::keys")]
    pub volumes: BTreeSet<String>,
    /// Where the command starts.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub working_dir: String,
    /// Anything that somebody wanted to say.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// As in `SIGKILL`.
    pub stop_signal: Option<String>,
    /// In seconds. Docker's.
    pub stop_timeout: Option<i64>,
    /// Whether the command is one string that is escaped already, on Windows.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub args_escaped: bool,
    /// How to ask whether it is well. Docker's.
    pub healthcheck: Option<Healthcheck>,
    /// What a build on top of this image runs first. Docker's.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub on_build: Vec<String>,
    /// What runs commands that are written as text. Docker's.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub shell: Vec<String>,
}

/// How to ask a container whether it is well. Durations are in nanoseconds; 0
/// is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// As in `CMD`, `/bin/check`; `NONE` alone switches it off.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub interval: i64,
    /// For one check.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub timeout: i64,
    /// After the start, while failures do not count.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub start_period: i64,
    /// Between two checks in that time.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub start_interval: i64,
    /// How many failures in a row mean that it is not well.
    #[serde(default, deserialize_with = "json::null_is_default")]
    pub retries: i64,
}

impl Config {
    /// Reads an image's config.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let config: Self = json::parse(bytes, &SHAPE)?;
        match config.rootfs.kind.as_str() {
            ROOTFS_TYPE => Ok(config),
            "" if !config.rootfs.diff_ids.is_empty() => Ok(config),
            "" => Err(Error::NoRootfs),
            other => Err(Error::RootfsType(json::excerpt(other))),
        }
    }

    /// Returns what runs the image, as the config says it.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
        }
    }

    /// Returns when the image was made, in seconds since 1970, if the config
    /// says so in a form that can be read.
    pub fn created_seconds(&self) -> Option<i64> {
        self.created.as_deref().and_then(time::parse)
    }

    /// Checks that the manifest, which has `layers` layers, and the config
    /// speak of the same file system.
    pub fn check_layers(&self, layers: usize) -> Result<(), Error> {
        match self.rootfs.diff_ids.len() {
            diff_ids if diff_ids == layers => Ok(()),
            diff_ids => Err(Error::Layers { diff_ids, layers }),
        }
    }

    /// Checks what [`Config::parse`] lets pass because registries have it: that
    /// the platform is stated, that variables have a value, and that moments
    /// can be read. OCI image-spec, `schema/config-schema.json`.
    pub fn validate(&self) -> Result<(), Error> {
        let broken = |place: String, rule| Err(Error::Rule { place, rule });
        for (place, text) in
            [("architecture", &self.architecture), ("os", &self.os), ("rootfs.type", &self.rootfs.kind)]
        {
            if text.is_empty() {
                return broken(place.into(), "it has to be there");
            }
        }
        let nameless = |variable: &String| variable.find('=').is_none_or(|at| at == 0);
        if let Some(at) = self.execution.env.iter().position(nameless) {
            return broken(format!("config.Env[{at}]"), "it has to read `NAME=value`");
        }
        let moment = "it has to be a date and time of RFC 3339";
        if self.created.is_some() && self.created_seconds().is_none() {
            return broken("created".into(), moment);
        }
        let unreadable = |step: &Step| step.created.is_some() && step.created_seconds().is_none();
        match self.history.iter().position(unreadable) {
            Some(at) => broken(format!("history[{at}].created"), moment),
            None => Ok(()),
        }
    }
}

impl Step {
    /// Returns when the step was made, in seconds since 1970, if the config
    /// says so in a form that can be read.
    pub fn created_seconds(&self) -> Option<i64> {
        self.created.as_deref().and_then(time::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

    /// A config with these keys besides a `rootfs` of one layer.
    fn with(keys: &str) -> String {
        format!(r#"{{{keys},"rootfs":{{"type":"layers","diff_ids":["sha256:{HEX}"]}}}}"#)
    }

    fn parse(text: &str) -> Result<Config, Error> {
        Config::parse(text.as_bytes())
    }

    fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
        words.map(str::to_owned).to_vec()
    }

    #[test]
    fn every_key_that_is_shown_is_kept() {
        let text = with(
            r#""created":"2015-10-31T22:22:56.015925234Z","author":"A <a@example.com>","architecture":"arm64",
            "os":"windows","variant":"v8","os.version":"10.0.20348.2527","os.features":["win32k"],
            "docker_version":"27","container_config":{"Cmd":["x"]},
            "config":{"User":"1:1","ExposedPorts":{"8080/tcp":{},"53/udp":{}},"Env":["PATH=/bin","EMPTY="],
              "Entrypoint":["/bin/sh"],"Cmd":[],"Volumes":{"/data":{}},"WorkingDir":"/home","Labels":{"a":"1","A":"2"},
              "StopSignal":"SIGKILL","StopTimeout":5,"ArgsEscaped":true,"OnBuild":["RUN x"],"Shell":["bash","-c"],
              "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":3},"Hostname":"h"},
            "history":[{"created":"2015-10-31T22:22:54Z","created_by":"ADD x","author":"B","comment":"c"},
              {"created_by":"CMD","empty_layer":true}]"#,
        );
        let expected = Config {
            created: Some("2015-10-31T22:22:56.015925234Z".into()),
            author: Some("A <a@example.com>".into()),
            architecture: "arm64".into(),
            os: "windows".into(),
            variant: "v8".into(),
            os_version: "10.0.20348.2527".into(),
            os_features: words(["win32k"]),
            execution: Execution {
                user: "1:1".into(),
                exposed_ports: words(["53/udp", "8080/tcp"]).into_iter().collect(),
                env: words(["PATH=/bin", "EMPTY="]),
                entrypoint: Some(words(["/bin/sh"])),
                cmd: Some(Vec::new()),
                volumes: words(["/data"]).into_iter().collect(),
                working_dir: "/home".into(),
                labels: [("a".into(), "1".into()), ("A".into(), "2".into())].into_iter().collect(),
                stop_signal: Some("SIGKILL".into()),
                stop_timeout: Some(5),
                args_escaped: true,
                healthcheck: Some(Healthcheck {
                    test: words(["CMD", "true"]),
                    interval: 1_000_000_000,
                    retries: 3,
                    ..Healthcheck::default()
                }),
                on_build: words(["RUN x"]),
                shell: words(["bash", "-c"]),
            },
            rootfs: Rootfs {
                kind: "layers".into(),
                diff_ids: vec![format!("sha256:{HEX}").parse().expect("a digest")],
            },
            history: vec![
                Step {
                    created: Some("2015-10-31T22:22:54Z".into()),
                    created_by: "ADD x".into(),
                    author: Some("B".into()),
                    comment: "c".into(),
                    empty_layer: false,
                },
                Step { created_by: "CMD".into(), empty_layer: true, ..Step::default() },
            ],
        };
        let read = parse(&text).expect("the config is well-formed");
        assert_eq!(read, expected);
        assert_eq!(read.created_seconds(), Some(1_446_330_176));
        assert_eq!(read.history[0].created_seconds(), Some(1_446_330_174));
        assert_eq!(read.validate(), Ok(()));
        let platform = Platform {
            os: "windows".into(),
            architecture: "arm64".into(),
            variant: "v8".into(),
            os_version: "10.0.20348.2527".into(),
            os_features: words(["win32k"]),
        };
        assert_eq!(read.platform(), platform);
    }

    #[test]
    fn null_is_absent_as_docker_writes_it() {
        let bare = parse(&with(r#""os":"linux""#)).expect("the config is well-formed");
        let nulls = with(
            r#""os":"linux","author":null,"os.features":null,"history":null,"variant":null,
            "config":{"User":null,"Env":null,"Cmd":null,"Entrypoint":null,"Volumes":null,"ExposedPorts":null,
            "Labels":null,"OnBuild":null,"Healthcheck":null,"Shell":null,"ArgsEscaped":null}"#,
        );
        assert_eq!(parse(&nulls).expect("the config is well-formed"), bare);
        assert_eq!(parse(&with(r#""os":"linux","config":null"#)).expect("the config is well-formed"), bare);
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        for keys in [
            r#""os":123"#,
            r#""variant":1"#,
            r#""config":{"User":1234}"#,
            r#""config":{"Env":[7353]}"#,
            r#""config":{"Env":"A=1"}"#,
            r#""config":{"Volumes":["/data"]}"#,
            r#""config":{"Cmd":"sh"}"#,
            r#""config":{"Labels":{"a":1}}"#,
            r#""history":"none""#,
            r#""history":[{"empty_layer":"yes"}]"#,
            r#""config":{"StopTimeout":99999999999999999999}"#,
        ] {
            let error = parse(&with(keys)).expect_err(keys);
            assert!(matches!(error, Error::Json(json::Error::Mismatch { .. })), "{keys}: {error:?}");
        }
    }

    #[test]
    fn a_key_twice_or_in_other_letters_is_refused_but_labels_are_data() {
        for keys in [r#""os":"a","os":"b""#, r#""config":{"Labels":{"a":"1","a":"2"}}"#, r#""x":[{"y":1,"y":1}]"#] {
            let error = parse(&with(keys)).expect_err(keys);
            assert!(matches!(error, Error::Json(json::Error::DuplicateKey { .. })), "{keys}: {error:?}");
        }
        for keys in [
            r#""OS":"linux""#,
            r#""config":{"env":[]}"#,
            r#""config":{"Healthcheck":{"test":[]}}"#,
            r#""history":[{"Created_By":""}]"#,
            r#""RootFS":{}"#,
        ] {
            let error = parse(&with(keys)).expect_err(keys);
            assert!(matches!(error, Error::Json(json::Error::CaseVariant { .. })), "{keys}: {error:?}");
        }
        assert!(parse(&with(r#""config":{"Labels":{"env":"1","Env":"2","ENV":"3"}}"#)).is_ok());
    }

    #[test]
    fn the_root_file_system_is_made_of_layers() {
        let rootfs = |value: &str| parse(&format!(r#"{{"os":"linux","rootfs":{value}}}"#));
        for none in ["null", "{}", r#"{"diff_ids":[]}"#] {
            assert_eq!(rootfs(none), Err(Error::NoRootfs), "{none}");
        }
        assert_eq!(parse("{}"), Err(Error::NoRootfs));
        assert_eq!(rootfs(r#"{"type":"layers+base"}"#), Err(Error::RootfsType("layers+base".into())));
        for wrong in [r#"{"type":"layers","diff_ids":["sha256:../.."]}"#, r#"{"diff_ids":[null]}"#] {
            assert!(matches!(rootfs(wrong), Err(Error::Json(json::Error::Mismatch { .. }))), "{wrong}");
        }
        let empty = rootfs(r#"{"type":"layers","diff_ids":null}"#).expect("an image may have no layers");
        assert_eq!(empty.check_layers(0), Ok(()));
    }

    #[test]
    fn config_and_manifest_speak_of_the_same_layers() {
        let config = parse(&with(r#""os":"linux""#)).expect("the config is well-formed");
        assert_eq!(config.check_layers(1), Ok(()));
        for layers in [0, 2, 500] {
            let error = config.check_layers(layers).expect_err("the counts differ");
            assert_eq!(error, Error::Layers { diff_ids: 1, layers });
            assert_eq!(error.to_string(), format!("the config lists 1 layers, but the manifest has {layers}"));
        }
    }

    #[test]
    fn the_specification_asks_for_more_than_registries_keep() {
        let named = r#""architecture":"amd64","os":"linux""#;
        for (keys, place, rule) in [
            (r#""os":"linux""#.to_owned(), "architecture", "it has to be there"),
            (r#""architecture":"amd64""#.to_owned(), "os", "it has to be there"),
            (format!(r#"{named},"config":{{"Env":["A=","foo"]}}"#), "config.Env[1]", "it has to read `NAME=value`"),
            (format!(r#"{named},"config":{{"Env":["=foo"]}}"#), "config.Env[0]", "it has to read `NAME=value`"),
            (format!(r#"{named},"created":"today""#), "created", "it has to be a date and time of RFC 3339"),
            (
                format!(r#"{named},"history":[{{}},{{"created":""}}]"#),
                "history[1].created",
                "it has to be a date and time of RFC 3339",
            ),
        ] {
            let read = parse(&with(&keys)).expect("registries have such configs");
            assert_eq!(read.validate(), Err(Error::Rule { place: place.into(), rule }), "{keys}");
        }
        let untyped = format!(r#"{{{named},"rootfs":{{"diff_ids":["sha256:{HEX}"]}}}}"#);
        let error = parse(&untyped).expect("registries have such configs").validate();
        assert_eq!(error, Err(Error::Rule { place: "rootfs.type".into(), rule: "it has to be there" }));
    }
}
