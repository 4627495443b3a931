//! How an image was made: the steps of its config, each with the layer that it
//! left. It reads the manifest and the config from the content store.

use super::{
    choose::Wish,
    contract::{Caller, Step},
    documents::{self, Held, RECORD},
    failing::{because, fail, invalid, problem, try_this},
    library::{self, Entry, Library, Meant},
};
use crate::{
    host::Host,
    nouns::{
        config::Config,
        descriptor::Descriptor,
        manifest::{Document, Manifest},
        problem::{ErrorCode, Problem},
        record::Present,
    },
    registry::Failure,
};

/// Returns how an image was made, newest step first. See `images.history`.
pub async fn history<H: Host>(
    host: &H,
    caller: &Caller,
    reference: &str,
    platform: Option<&str>,
) -> Result<Vec<Step>, Problem> {
    let steps = async {
        let library = Library::load(host, caller).await?;
        let meant = library.find(reference)?;
        let present = present(&library, meant, platform)?;
        let opened = open(host, meant.entry, present).await?;
        Ok(steps(opened.config.as_ref(), &opened.manifest().layers))
    };
    steps.await.map_err(problem(format!("cannot show the history of `{}`", reference.escape_debug())))
}

/// Returns what is here for the platform that was asked for, or that the text
/// means, or for the machine.
pub(super) fn present<'l>(
    library: &Library,
    Meant { entry, present }: Meant<'l>,
    platform: Option<&str>,
) -> Result<&'l Present, Failure> {
    let Some(text) = platform else {
        return present
            .or_else(|| library::best_present(&entry.record.platforms, &library.machine))
            .ok_or_else(|| fail(ErrorCode::NotFound, "nothing of the image is here"));
    };
    let wish = Wish::parse(text, &library.machine)?;
    library::choice(&entry.record.platforms, &wish, &library.machine).ok_or_else(|| {
        let here: Vec<&str> = entry.record.platforms.iter().filter_map(|present| present.platform.as_deref()).collect();
        let mut failure = fail(ErrorCode::NotFound, format!("no platform that is here matches `{text}`"));
        failure.why.push(format!("of `{}` there is {}", entry.name.familiar(), list(&here)));
        try_this(failure, format!("wharf pull --platform {text} {}", entry.name.familiar()))
    })
}

fn list(here: &[&str]) -> String {
    if here.is_empty() { "nothing that has a platform".to_owned() } else { here.join(", ") }
}

/// A manifest and its config, read.
pub(super) struct Opened<B> {
    pub(super) held: Held<B>,
    /// As it is in the content store.
    pub(super) config_bytes: Vec<u8>,
    /// None for an artifact.
    pub(super) config: Option<Config>,
}

impl<B> Opened<B> {
    pub(super) fn manifest(&self) -> &Manifest {
        match &self.held.document {
            Document::Manifest(manifest) => manifest,
            Document::Index(_) => unreachable!("`open` refuses an index"),
        }
    }
}

/// Reads the manifest and the config of what is here.
pub(super) async fn open<H: Host>(host: &H, entry: &Entry, present: &Present) -> Result<Opened<H::Blob>, Failure> {
    match read(host, present).await {
        Err(failure) if failure.code == ErrorCode::NotFound || documents::is_damage(&failure) => {
            Err(try_this(failure, pull_again(entry, present)))
        }
        other => other,
    }
}

/// What brings back a blob that is gone or damaged.
pub(super) fn pull_again(entry: &Entry, present: &Present) -> String {
    let name = entry.name.familiar();
    match &present.platform {
        // Without it the machine's platform would be pulled.
        Some(platform) if present.manifest.digest != entry.record.target.digest => {
            format!("wharf pull --platform {platform} {name}")
        }
        _ => format!("wharf pull {name}"),
    }
}

async fn read<H: Host>(host: &H, present: &Present) -> Result<Opened<H::Blob>, Failure> {
    let lost =
        |what: &Descriptor| fail(ErrorCode::NotFound, format!("`{}`, which the image needs, is gone", what.digest));
    let blob = documents::find(host, &present.manifest).await?.ok_or_else(|| lost(&present.manifest))?;
    let held = documents::read(&present.manifest, blob, RECORD).await?;
    let Document::Manifest(manifest) = &held.document else {
        return Err(invalid(format!("`{}` is recorded as a manifest, and is an index", present.manifest.digest)));
    };
    let blob = documents::find(host, &manifest.config).await?.ok_or_else(|| lost(&manifest.config))?;
    let config_bytes = documents::bytes(&manifest.config, &blob).await?;
    let config = match manifest.is_image() {
        true => Some(Config::parse(&config_bytes).map_err(|error| {
            because(format!("the config `{}` is not usable", manifest.config.digest))(invalid(error))
        })?),
        false => None,
    };
    Ok(Opened { held, config_bytes, config })
}

/// Matches steps and layers from the bottom up, and returns the newest first.
///
/// Configs are not always honest about empty layers: a step beyond the last
/// layer gets none, and a layer beyond the last step is a step of its own.
fn steps(config: Option<&Config>, layers: &[Descriptor]) -> Vec<Step> {
    let mut layers = layers.iter();
    let mut steps: Vec<Step> = config
        .iter()
        .flat_map(|config| &config.history)
        .map(|said| {
            let layer = if said.empty_layer { None } else { layers.next() };
            Step {
                layer: layer.map(|layer| layer.digest.clone()),
                created: said.created_seconds(),
                created_by: said.created_by.clone(),
                comment: said.comment.clone(),
                size: layer.map_or(0, |layer| layer.size),
            }
        })
        .collect();
    steps.extend(layers.map(|layer| Step {
        layer: Some(layer.digest.clone()),
        created: None,
        created_by: String::new(),
        comment: String::new(),
        size: layer.size,
    }));
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nouns::{digest::Algorithm, digest::Digest, media_type};

    fn layer(at: u64) -> Descriptor {
        Descriptor::new(media_type::OCI_LAYER_GZIP, Digest::of(Algorithm::Sha256, &at.to_le_bytes()), at)
    }

    /// History entries as `empty` or not, layers, and the sizes newest first.
    #[test]
    fn layers_go_to_the_steps_that_made_them() {
        let rows: [(&[bool], u64, &[u64]); 6] = [
            (&[false, true, false], 2, &[2, 0, 1]),
            (&[], 2, &[2, 1]),
            (&[true, true], 0, &[0, 0]),
            (&[false, false, false], 2, &[0, 2, 1]),
            (&[false, true], 3, &[3, 2, 0, 1]),
            (&[], 0, &[]),
        ];
        for (history, layers, expected) in rows {
            let history = history
                .iter()
                .map(|&empty_layer| format!("{{\"empty_layer\":{empty_layer}}}"))
                .collect::<Vec<_>>()
                .join(",");
            let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":[]}},"history":[{history}]}}"#);
            let config = Config::parse(config.as_bytes()).expect("a config");
            let layers: Vec<_> = (1..=layers).map(layer).collect();
            let found = steps(Some(&config), &layers);
            assert_eq!(found.iter().map(|step| step.size).collect::<Vec<_>>(), expected, "{history}");
            for step in found {
                assert_eq!(step.layer, (step.size > 0).then(|| layer(step.size).digest), "{history}");
            }
        }
    }
}
