//! `GET /images/{name}/json` and `GET /images/{name}/history`: one image.

mod execution;

use super::{Context, client::Answer, manifests::Manifest, query::Query, refusal::Refusal, version::Version};
use crate::{
    host::Host,
    nouns::{descriptor::Descriptor, digest::Digest},
    verbs,
};
use execution::Execution;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_config: Option<Execution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
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

/// What is asked for besides a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) platform: Option<String>,
    pub(super) manifests: bool,
}

impl Asked {
    /// What a version does not have says nothing.
    pub(super) fn read(query: &Query, version: Version) -> Result<Self, Refusal> {
        let platform = query.platform_since(49, version)?;
        let manifests = version.since(48) && query.flag("manifests");
        if platform.is_some() && manifests {
            return Err(Refusal::new(400, "`manifests` and `platform` exclude each other".to_owned()));
        }
        Ok(Self { platform, manifests })
    }
}

/// Answers with one image.
pub(super) async fn inspect<H: Host>(context: &Context<'_, H>, name: &str) -> Result<Answer, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let Asked { platform, manifests } = Asked::read(query, *version)?;
    let inspect = verbs::inspect(*host, &settings.caller, name, platform.as_deref(), false, false);
    let told = inspect.await.map_err(Refusal::of_image(name))?;
    let mut told: Told = serde_json::from_str(&told).expect("the verb tells what it tells");
    let manifests = match manifests {
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
    Ok(Answer::json(200, &Inspection::new(*version, told, manifests)))
}

impl Inspection {
    fn new(version: Version, told: Told, manifests: Option<Vec<Manifest>>) -> Self {
        let of_config = |key: &str| told.oci_config.as_ref().and_then(|config| config.get(key));
        let text = |key: &str| of_config(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let container_config = of_config("container_config").and_then(Value::as_object).cloned().unwrap_or_default();
        // From 1.52 on what says nothing is left out.
        let said = |text: String| (!version.since(52) || !text.is_empty()).then_some(text);
        let is_old = !version.since(45);
        Self {
            parent: (!version.since(52)).then_some(""),
            container: is_old.then(|| text("container")),
            container_config: is_old.then_some(Execution { said: container_config, version }),
            docker_version: said(text("docker_version")),
            id: told.id,
            repo_tags: told.repo_tags,
            repo_digests: told.repo_digests,
            comment: said(told.comment),
            created: told.created.or_else(|| (!version.since(44)).then(|| "0001-01-01T00:00:00Z".to_owned())),
            author: said(told.author),
            config: told.config.map(|said| Execution { said, version }),
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
        }
    }
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
    let platform = query.platform_since(48, *version)?;
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// What is told of an image that says this in its config.
    pub(in crate::docker) fn inspection(version: Version, config: &Value) -> Value {
        let digest = format!("sha256:{}", "0".repeat(64));
        let told = json!({
            "Id": digest,
            "RepoTags": ["app:1"],
            "RepoDigests": [],
            "Comment": config.get("comment").unwrap_or(&json!("")),
            "Author": config.get("author").unwrap_or(&json!("")),
            "Created": config.get("created"),
            "Config": config["config"],
            "Size": 3,
            "Metadata": {"LastTagTime": "2024-03-01T00:00:00Z"},
            "Descriptor": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 2},
            "OCIConfig": config,
        });
        let told = serde_json::from_value(told).unwrap();
        serde_json::to_value(Inspection::new(version, told, None)).unwrap()
    }

    #[test]
    fn what_an_image_says_is_told_by_every_version() {
        let config = json!({"author": "Ada", "comment": "by hand", "docker_version": "20.10", "config": {}});
        for minor in [24, 43, 44, 51, 52] {
            let told = inspection(Version::of(minor), &config);
            let found = ["Author", "Comment", "DockerVersion"].map(|name| told[name].as_str().unwrap_or("nothing"));
            assert_eq!(found, ["Ada", "by hand", "20.10"], "1.{minor}");
        }
    }

    #[test]
    fn manifests_and_a_platform_exclude_each_other() {
        let rows = [
            (47, Ok((None, false))),
            (48, Ok((None, true))),
            (49, Err("`manifests` and `platform` exclude each other")),
            (52, Err("`manifests` and `platform` exclude each other")),
        ];
        let query = Query::read("manifests=1&platform=linux/arm64");
        for (minor, expected) in rows {
            let found = Asked::read(&query, Version::of(minor));
            let found = found.as_ref().map(|asked| (asked.platform.as_deref(), asked.manifests));
            assert_eq!(
                found.map_err(|refusal| (refusal.status, refusal.message.as_str())),
                expected.map_err(|why| (400, why))
            );
        }
        let one = |text: &str, minor| Asked::read(&Query::read(text), Version::of(minor)).map(|asked| asked.platform);
        assert_eq!(one("platform=linux/arm64", 49), Ok(Some("linux/arm64".to_owned())));
        assert_eq!(one("platform=%7B", 48), Ok(None));
    }
}
