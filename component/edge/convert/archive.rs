//! The words about images in one file, field by field.

use super::each;
use crate::verbs::contract;
use wharf_vocabulary::archives as wit;

impl From<wit::SaveOptions> for contract::SaveOptions {
    fn from(wit::SaveOptions { form, platforms, complete }: wit::SaveOptions) -> Self {
        let form = match form {
            wit::Form::DockerArchive => contract::Form::DockerArchive,
            wit::Form::OciArchive => contract::Form::OciArchive,
        };
        Self { form, platforms, complete: complete.map(Into::into) }
    }
}

impl From<contract::Saved> for wit::Saved {
    fn from(contract::Saved { images, size, notes }: contract::Saved) -> Self {
        Self { images: each(images), size, notes }
    }
}

impl From<contract::SavedImage> for wit::SavedImage {
    fn from(image: contract::SavedImage) -> Self {
        let contract::SavedImage { names, target, reduced_from, platforms } = image;
        Self { names, target: target.into(), reduced_from: reduced_from.map(|digest| digest.to_string()), platforms }
    }
}

impl From<wit::LoadOptions> for contract::LoadOptions {
    fn from(wit::LoadOptions { names, platforms, unpack, retention }: wit::LoadOptions) -> Self {
        Self { names, platforms, unpack, retention: retention.map(Into::into) }
    }
}

impl From<wit::CommitOptions> for contract::CommitOptions {
    fn from(options: wit::CommitOptions) -> Self {
        let wit::CommitOptions { name, changes, message, author, created } = options;
        Self { name, changes, message, author, created }
    }
}

impl From<wit::ImportOptions> for contract::ImportOptions {
    fn from(options: wit::ImportOptions) -> Self {
        let wit::ImportOptions { name, changes, message, platform, created } = options;
        Self { name, changes, message, platform, created }
    }
}

impl From<contract::Imported> for wit::Imported {
    fn from(imported: contract::Imported) -> Self {
        let contract::Imported { name, target, id, layer, diff_id, platform, moved, notes } = imported;
        Self {
            name,
            target: target.into(),
            id: id.to_string(),
            layer: layer.into(),
            diff_id: diff_id.to_string(),
            platform,
            moved: moved.map(|digest| digest.to_string()),
            notes,
        }
    }
}

impl From<contract::Loaded> for wit::Loaded {
    fn from(contract::Loaded { images, notes }: contract::Loaded) -> Self {
        Self { images: each(images), notes }
    }
}

impl From<contract::LoadedImage> for wit::LoadedImage {
    fn from(image: contract::LoadedImage) -> Self {
        let contract::LoadedImage { names, target, id, platforms, moved } = image;
        let moved = moved.into_iter().map(|(name, digest)| (name, digest.to_string())).collect();
        Self { names, target: target.into(), id: id.to_string(), platforms, moved }
    }
}
