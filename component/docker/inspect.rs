//! `GET /images/{name}/json` and `GET /images/{name}/history`: one image.

use super::{Context, client::Answer, manifests::Manifest, refusal::Refusal};
use crate::{
    host::Host,
    nouns::{descriptor::Descriptor, digest::Digest},
    verbs,
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

/// The keys of a config in docker's order, and what versions before 1.50 tell where
/// it does not say.
const KEYS: [(&str, Option<&str>); 23] = [
    ("Hostname", Some("\"\"")),
    ("Domainname", Some("\"\"")),
    ("User", Some("\"\"")),
    ("AttachStdin", Some("false")),
    ("AttachStdout", Some("false")),
    ("AttachStderr", Some("false")),
    ("ExposedPorts", None),
    ("Tty", Some("false")),
    ("OpenStdin", Some("false")),
    ("StdinOnce", Some("false")),
    ("Env", Some("null")),
    ("Cmd", Some("null")),
    ("Healthcheck", None),
    ("ArgsEscaped", None),
    ("Image", Some("\"\"")),
    ("Volumes", Some("null")),
    ("WorkingDir", Some("\"\"")),
    ("Entrypoint", Some("null")),
    ("NetworkDisabled", None),
    ("OnBuild", Some("null")),
    ("Labels", Some("null")),
    ("StopSignal", None),
    ("Shell", None),
];

/// What `verbs::inspect` tells, as far as it goes on.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    #[serde(default)]
    comment: String,
    created: Option<String>,
    #[serde(default)]
    author: String,
    config: Option<Map<String, Value>>,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    os_version: String,
    size: u64,
    #[serde(rename = "RootFS")]
    root_fs: Option<RootFs>,
    metadata: Metadata,
    descriptor: Descriptor,
    #[serde(rename = "OCIConfig")]
    oci_config: Option<Map<String, Value>>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(rename = "Type")]
    kind: String,
    layers: Vec<Digest>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: String,
}

/// One image. The order of the fields is docker's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspection {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'static str>,
    comment: String,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_config: Option<Execution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_version: Option<String>,
    author: String,
    config: Option<Execution>,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    os_version: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
    graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    descriptor: Option<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Vec<Manifest>>,
}

/// Where the tree is: nobody beyond the host learns that.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    data: Option<()>,
    name: &'static str,
}

/// How a container of it would run.
struct Execution {
    said: Map<String, Value>,
    /// Whether what is not said is told.
    complete: bool,
}

impl Serialize for Execution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, otherwise) in KEYS {
            match (self.said.get(key), otherwise) {
                (Some(value), _) => map.serialize_entry(key, value)?,
                (None, Some(otherwise)) if self.complete => {
                    let value: Value = serde_json::from_str(otherwise).expect("the table has JSON");
                    map.serialize_entry(key, &value)?;
                }
                (None, _) => {}
            }
        }
        for (key, value) in &self.said {
            if KEYS.iter().all(|(known, _)| known != key) {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

/// Answers with one image.
pub(super) async fn inspect<H: Host>(context: &Context<'_, H>, name: &str) -> Result<Answer, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let platform = query.platform()?.filter(|_| version.since(49));
    let inspect = verbs::inspect(*host, &settings.caller, name, platform.as_deref(), false, false);
    let told = inspect.await.map_err(Refusal::of_image(name))?;
    let mut told: Told = serde_json::from_str(&told).expect("the verb tells what it tells");
    let manifests = match query.flag("manifests") && version.since(48) {
        true => {
            // The target is described without a platform where it is listed, and with that of its config here.
            let platform = told.descriptor.platform.take();
            let offers = verbs::manifests(*host, &told.descriptor).await?.into_iter();
            let manifests = offers.map(|offer| Manifest::new(offer, platform.as_ref())).collect();
            told.descriptor.platform = platform;
            Some(manifests)
        }
        false => None,
    };
    let complete = !version.since(50);
    let of_config = |key: &str| told.oci_config.as_ref().and_then(|config| config.get(key));
    let text = |key: &str| of_config(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let container_config = of_config("container_config").and_then(Value::as_object).cloned().unwrap_or_default();
    let old = |value| (!version.since(45)).then_some(value);
    let inspection = Inspection {
        parent: (!version.since(52)).then_some(""),
        container: old(text("container")),
        container_config: (!version.since(45)).then_some(Execution { said: container_config, complete }),
        docker_version: (!version.since(52)).then(|| text("docker_version")),
        id: told.id,
        repo_tags: told.repo_tags,
        repo_digests: told.repo_digests,
        comment: told.comment,
        created: told.created.unwrap_or_else(|| "0001-01-01T00:00:00Z".to_owned()),
        author: told.author,
        config: told.config.map(|said| Execution { said, complete }),
        architecture: told.architecture,
        variant: told.variant,
        os: told.os,
        os_version: told.os_version,
        size: told.size,
        virtual_size: (!version.since(44)).then_some(told.size),
        graph_driver: GraphDriver { data: None, name: "wharf" },
        root_fs: told.root_fs.unwrap_or(RootFs { kind: "layers".to_owned(), layers: Vec::new() }),
        metadata: told.metadata,
        descriptor: version.since(48).then_some(told.descriptor),
        manifests,
    };
    Ok(Answer::json(200, &inspection))
}

/// One step. The order of the fields is docker's.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    comment: String,
    created: i64,
    created_by: String,
    id: String,
    size: u64,
    tags: Option<Vec<String>>,
}

/// Answers with how an image was made.
pub(super) async fn history<H: Host>(context: &Context<'_, H>, name: &str) -> Result<Answer, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let platform = query.platform()?.filter(|_| version.since(48));
    let steps = verbs::history(*host, &settings.caller, name, platform.as_deref()).await;
    let steps = steps.map_err(Refusal::of_image(name))?;
    let told = verbs::inspect(*host, &settings.caller, name, platform.as_deref(), false, false).await;
    let told: Told =
        serde_json::from_str(&told.map_err(Refusal::of_image(name))?).expect("the verb tells what it tells");
    // The newest step is the image; the others were images once, whose IDs nobody keeps.
    let mut identity = Some((told.id, told.repo_tags));
    let steps = steps.into_iter().map(|step| {
        let (id, tags) = identity.take().map_or(("<missing>".to_owned(), None), |(id, tags)| (id, Some(tags)));
        Step {
            comment: step.comment,
            created: step.created.unwrap_or(0),
            created_by: step.created_by,
            id,
            size: step.size,
            tags: tags.filter(|tags| !tags.is_empty()),
        }
    });
    Ok(Answer::json(200, &steps.collect::<Vec<_>>()))
}
