//! What of a transfer's request can be done. What cannot is refused and not passed over, except what clients say unless
//! they are told otherwise:
//!
//! - `ctr images pull` asks for manifests of platforms that are not chosen (`all_metadata`). They do not come.
//! - `ctr images import` names a prefix for images whose name is a tag alone (`allow_overwrite`). It is not used.
//! - `nerdctl` names containerd's `certs.d` (`host_dir`), which is among those that are read where the server runs.

use super::super::convert::unless_empty;
use super::super::snapshots::SNAPSHOTTER;
use super::super::streaming::{is, unpacked};
use crate::images::{Form, Wanted};
use std::collections::BTreeMap;
use tonic::Status;
use wharf_containerd_api::Any;
use wharf_containerd_api::types::Platform;
use wharf_containerd_api::types::transfer::{HttpDebug, ImageExportStream, ImageImportStream, ImageStore, OciRegistry};

/// What archives are, where a client says it.
const ARCHIVES: [&str; 3] = ["", "application/vnd.oci.image.layout.v1+tar", "application/vnd.oci.image.layout.v1.tar"];

/// Where the configuration of registries is by containerd's custom. It is one of the usual places of wharf.
const HOST_DIR: &str = "/etc/containerd/certs.d";

/// What is to be done.
#[derive(Debug)]
pub(super) enum Errand {
    Pull(Registry, Stored),
    Push(Stored, Registry),
    /// The stream has the archive.
    Import(String, Stored),
    Export(Stored, Exported),
    Tag(Stored, Stored),
}

impl Errand {
    /// The name that it is about; empty for what an archive names.
    pub(super) fn image(&self) -> &str {
        match self {
            Self::Push(_, registry) => &registry.reference,
            Self::Pull(_, stored) | Self::Import(_, stored) | Self::Export(stored, _) | Self::Tag(_, stored) => {
                &stored.name
            }
        }
    }
}

/// Reads from where to where something is to go.
pub(super) fn errand(from: &Any, to: &Any) -> Result<Errand, Status> {
    if is::<OciRegistry>(from) && is::<ImageStore>(to) {
        return Ok(Errand::Pull(registry(unpacked(from)?)?, named(stored(unpacked(to)?)?)?));
    }
    if is::<ImageStore>(from) && is::<OciRegistry>(to) {
        return Ok(Errand::Push(only(source(unpacked(from)?)?)?, registry(unpacked(to)?)?));
    }
    if is::<ImageImportStream>(from) && is::<ImageStore>(to) {
        return Ok(Errand::Import(imported(unpacked(from)?)?, stored_by_archive(unpacked(to)?)?));
    }
    if is::<ImageStore>(from) && is::<ImageExportStream>(to) {
        return Ok(Errand::Export(whole(source(unpacked(from)?)?)?, exported(unpacked(to)?)?));
    }
    if is::<ImageStore>(from) && is::<ImageStore>(to) {
        return Ok(Errand::Tag(whole(only(source(unpacked(from)?)?)?)?, whole(named(stored(unpacked(to)?)?)?)?));
    }
    let (from, to) = (from.type_url.escape_debug(), to.type_url.escape_debug());
    Err(Status::unimplemented(format!("there is no transfer from `{from}` to `{to}`")))
}

/// An image of a registry, and how it is asked for.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) reference: String,
    /// As in `registry.lan:5000`.
    pub(super) host: String,
    /// Whether it is spoken to without TLS.
    pub(super) is_plain: bool,
    /// The stream that has logins.
    pub(super) logins: Option<String>,
}

/// Images here.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) name: String,
    /// Other names.
    pub(super) extra: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) platforms: Vec<String>,
    pub(super) unpack: bool,
}

impl Stored {
    pub(super) fn wanted(&self) -> Wanted {
        if self.platforms.is_empty() { Wanted::All } else { Wanted::These(self.platforms.clone()) }
    }
}

/// An archive for a client.
#[derive(Debug)]
pub(super) struct Exported {
    pub(super) stream: String,
    pub(super) form: Form,
    pub(super) platforms: Vec<String>,
}

fn refused<T>(why: &str) -> Result<T, Status> {
    Err(Status::invalid_argument(why))
}

fn platform(wanted: Platform) -> Result<String, Status> {
    let Platform { os, architecture, variant, os_version } = wanted;
    if !os_version.is_empty() {
        return refused("a platform is chosen without the version of its system: `os_version` is set");
    }
    let parts = [os, architecture, variant].into_iter().filter(|part| !part.is_empty());
    Ok(parts.collect::<Vec<_>>().join("/"))
}

fn platforms(wanted: Vec<Platform>) -> Result<Vec<String>, Status> {
    wanted.into_iter().map(platform).collect()
}

/// Reads which image of which registry is meant.
fn registry(wanted: OciRegistry) -> Result<Registry, Status> {
    let OciRegistry { reference, resolver } = wanted;
    if reference.is_empty() {
        return refused("the registry has no `reference`");
    }
    let resolver = resolver.unwrap_or_default();
    if !resolver.headers.is_empty() {
        return refused("wharf sends no headers of clients to registries: `headers` is set");
    }
    if !["", HOST_DIR].contains(&resolver.host_dir.as_str()) {
        return refused("registries are configured where the server runs: `host_dir` is another directory");
    }
    if resolver.http_debug != i32::from(HttpDebug::Disabled) || !resolver.logs_stream.is_empty() {
        return refused("requests to registries are not shown to clients: `http_debug` or `logs_stream` is set");
    }
    let is_plain = match resolver.default_scheme.as_str() {
        "" | "https" => false,
        "http" => true,
        _ => return refused("`default_scheme` is `http` or `https`"),
    };
    let host = reference.split('/').next().unwrap_or_default().to_owned();
    Ok(Registry { host, is_plain, logins: unless_empty(resolver.auth_stream), reference })
}

/// Reads which images here are meant. Names are whole.
fn stored(wanted: ImageStore) -> Result<Stored, Status> {
    if let Some(reference) = wanted.extra_references.iter().find(|reference| reference.is_prefix) {
        let name = reference.name.escape_debug();
        return Err(Status::invalid_argument(format!("a name is made of a prefix only for an archive: `{name}`")));
    }
    of_store(wanted)
}

/// Reads which images are meant that are here already.
fn source(wanted: ImageStore) -> Result<Stored, Status> {
    if !wanted.labels.is_empty() || !wanted.unpacks.is_empty() {
        return refused("what is here stays as it is: the source has `labels` or `unpacks`");
    }
    stored(wanted)
}

/// Refuses what has no name.
fn named(stored: Stored) -> Result<Stored, Status> {
    if stored.name.is_empty() { refused("the store has no `name`") } else { Ok(stored) }
}

/// Refuses more names than one.
fn only(stored: Stored) -> Result<Stored, Status> {
    if stored.extra.is_empty() { Ok(stored) } else { refused("one image is meant: `extra_references` is set") }
}

/// Refuses a choice of platforms, and to unpack.
fn whole(stored: Stored) -> Result<Stored, Status> {
    if stored.platforms.is_empty() && !stored.unpack {
        return Ok(stored);
    }
    refused("a name is of all that is here of an image: the store has `platforms` or `unpacks`")
}

/// Reads how images of an archive are to be called. The archive says it; images without a name get one of wharf.
fn stored_by_archive(mut wanted: ImageStore) -> Result<Stored, Status> {
    let (prefixes, names): (Vec<_>, Vec<_>) =
        wanted.extra_references.into_iter().partition(|reference| reference.is_prefix);
    // Without `allow_overwrite` images that are called otherwise are to stay out, and here all would come.
    if prefixes.iter().any(|prefix| !prefix.allow_overwrite || prefix.add_digest) {
        return refused("an archive names its images: a prefix is without `allow_overwrite`, or with `add_digest`");
    }
    if !names.is_empty() {
        return refused("an archive names its images: `extra_references` has a name");
    }
    wanted.extra_references = Vec::new();
    of_store(wanted)
}

fn of_store(wanted: ImageStore) -> Result<Stored, Status> {
    let ImageStore { name, labels, platforms: wanted, all_metadata: _, manifest_limit, extra_references, unpacks } =
        wanted;
    if manifest_limit > 0 {
        return refused("of an index the platforms are chosen, and no number of manifests: `manifest_limit` is set");
    }
    let chosen = platforms(wanted)?;
    for unpack in &unpacks {
        if !["", SNAPSHOTTER].contains(&unpack.snapshotter.as_str()) {
            let name = unpack.snapshotter.escape_debug();
            return Err(Status::invalid_argument(format!("there is no snapshotter `{name}`")));
        }
        let of = unpack.platform.clone().map(platform).transpose()?.unwrap_or_default();
        if !of.is_empty() && !chosen.is_empty() && !chosen.contains(&of) {
            let why = format!("`{}` is to be unpacked, and is not chosen", of.escape_debug());
            return Err(Status::invalid_argument(why));
        }
    }
    let extra = extra_references.into_iter().map(|reference| reference.name).collect();
    Ok(Stored { name, extra, labels, platforms: chosen, unpack: !unpacks.is_empty() })
}

/// Reads where an archive comes from.
fn imported(wanted: ImageImportStream) -> Result<String, Status> {
    let ImageImportStream { stream, media_type, force_compress } = wanted;
    of_archive(&media_type)?;
    if force_compress {
        return refused("layers stay as the archive has them: `force_compress` is set");
    }
    Ok(stream)
}

/// Reads what archive is wanted, and where it goes to.
fn exported(wanted: ImageExportStream) -> Result<Exported, Status> {
    of_archive(&wanted.media_type)?;
    if wanted.skip_non_distributable {
        return refused("an archive has every layer that is here: `skip_non_distributable` is set");
    }
    let form = if wanted.skip_compatibility_manifest { Form::OciArchive } else { Form::DockerArchive };
    let platforms = if wanted.all_platforms { Vec::new() } else { platforms(wanted.platforms)? };
    Ok(Exported { stream: wanted.stream, form, platforms })
}

fn of_archive(media_type: &str) -> Result<(), Status> {
    if ARCHIVES.contains(&media_type) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("`{}` is no archive of images", media_type.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_containerd_api::packed;
    use wharf_containerd_api::types::transfer::{ImageReference, RegistryResolver, UnpackConfiguration};

    fn prefixed(prefix: ImageReference) -> ImageStore {
        let prefix = ImageReference { name: "import-2026-11-23".to_owned(), is_prefix: true, ..prefix };
        ImageStore { extra_references: vec![prefix], ..Default::default() }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let asked = |resolver: RegistryResolver| {
            registry(OciRegistry { reference: "registry.lan:5000/app:1".to_owned(), resolver: Some(resolver) })
        };
        let plain = asked(RegistryResolver { default_scheme: "http".to_owned(), ..Default::default() }).unwrap();
        assert_eq!((plain.host.as_str(), plain.is_plain, plain.logins), ("registry.lan:5000", true, None));
        let texts = BTreeMap::from([("x".to_owned(), "y".to_owned())]);
        for resolver in [
            RegistryResolver { headers: texts, ..Default::default() },
            RegistryResolver { host_dir: "/etc".to_owned(), ..Default::default() },
            RegistryResolver { http_debug: 1, ..Default::default() },
            RegistryResolver { default_scheme: "ftp".to_owned(), ..Default::default() },
        ] {
            assert_eq!(asked(resolver).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
        for store in [
            ImageStore { manifest_limit: 1, ..Default::default() },
            ImageStore {
                extra_references: vec![ImageReference { is_prefix: true, ..Default::default() }],
                ..Default::default()
            },
        ] {
            assert_eq!(stored(store).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }

    #[test]
    fn what_is_not_heeded_is_refused() {
        let plain = || ImageStore { name: "registry.lan/app:1".to_owned(), ..Default::default() };
        let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        let labelled = || ImageStore { labels: labels.clone(), ..plain() };
        let more = ImageReference { name: "registry.lan/app:2".to_owned(), ..Default::default() };
        let several = || ImageStore { extra_references: vec![more.clone()], ..plain() };
        let some = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..Default::default() };
        let partial = || ImageStore { platforms: vec![some.clone()], ..plain() };
        let registry = || packed(&OciRegistry { reference: "registry.lan/app:1".to_owned(), resolver: None });
        let archive = || packed(&ImageExportStream::default());
        let store = |store: ImageStore| packed(&store);
        for (from, to, is_done) in [
            (store(plain()), registry(), true),
            (store(partial()), registry(), true),
            (store(labelled()), registry(), false),
            (store(several()), registry(), false),
            (store(several()), archive(), true),
            (store(partial()), archive(), false),
            (store(labelled()), archive(), false),
            (store(plain()), store(labelled()), true),
            (store(plain()), store(several()), true),
            (store(several()), store(plain()), false),
            (store(partial()), store(plain()), false),
            (store(plain()), store(ImageStore::default()), false),
            (registry(), store(ImageStore::default()), false),
            (registry(), store(plain()), true),
            (store(plain()), store(partial()), false),
        ] {
            let refused = errand(&from, &to).map(drop).map_err(|status| status.code());
            let expected = if is_done { Ok(()) } else { Err(tonic::Code::InvalidArgument) };
            assert_eq!(refused, expected, "{from:?} {to:?}");
        }
        assert_eq!(errand(&registry(), &registry()).unwrap_err().code(), tonic::Code::Unimplemented);
    }

    /// containerd, `cmd/ctr/commands/images`: `pull.go` and `import.go`. nerdctl, `pkg/imgutil/transfer.go`.
    #[test]
    fn what_clients_say_by_themselves_is_no_reason_to_refuse() {
        let amd64 = || Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..Default::default() };
        let name = "registry.lan/app:1".to_owned();
        let pulled = stored(ImageStore {
            name: name.clone(),
            platforms: vec![amd64()],
            all_metadata: true,
            unpacks: vec![UnpackConfiguration { platform: Some(amd64()), snapshotter: String::new() }],
            ..Default::default()
        });
        let pulled = pulled.unwrap();
        assert_eq!(
            (pulled.name, pulled.platforms, pulled.unpack),
            (name.clone(), vec!["linux/amd64".to_owned()], true)
        );

        let imported = prefixed(ImageReference { allow_overwrite: true, ..Default::default() });
        let imported = stored_by_archive(imported).unwrap();
        assert_eq!((imported.name, imported.extra), (String::new(), Vec::new()));

        let resolver = RegistryResolver { host_dir: HOST_DIR.to_owned(), ..Default::default() };
        assert_eq!(
            registry(OciRegistry { reference: name.clone(), resolver: Some(resolver) }).unwrap().reference,
            name
        );
    }

    /// A prefix without `allow_overwrite` was once taken, and all images came. With it `ctr` was refused.
    #[test]
    fn an_import_that_would_bring_more_than_was_asked_for_is_refused() {
        for prefix in [
            ImageReference::default(),
            ImageReference { add_digest: true, ..Default::default() },
            ImageReference { allow_overwrite: true, add_digest: true, ..Default::default() },
        ] {
            assert_eq!(stored_by_archive(prefixed(prefix)).unwrap_err().code(), tonic::Code::InvalidArgument);
        }
    }
}
