//! Media types: which exist for images, what they stand for, and how they are
//! written.
//!
//! ```text
//! application/vnd.oci.image.layer.v1.tar+gzip ; charset=utf-8
//! └───────────────── essence ───────────────┘   └ parameter ┘
//! ```
//!
//! Names are case-insensitive, RFC 6838 section 4.2, and parameters never
//! change what a document is. This file does not look into documents; what a
//! document *is* takes its structure too, see [`super::manifest`].

/// OCI image index. image-spec, image-index.md.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest. image-spec, manifest.md.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config. image-spec, config.md.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, uncompressed. image-spec, layer.md.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// OCI layer that registries need not hold, uncompressed. Deprecated.
pub const OCI_FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
/// OCI layer that registries need not hold, gzip. Deprecated.
pub const OCI_FOREIGN_GZIP: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
/// OCI layer that registries need not hold, zstd. Deprecated.
pub const OCI_FOREIGN_ZSTD: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
/// The two bytes `{}`, where an artifact has nothing to say. image-spec,
/// manifest.md, “Guidance for an Empty Descriptor”.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Docker manifest list, the older form of an index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, uncompressed.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer, zstd.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// Docker layer that registries need not hold, uncompressed.
pub const DOCKER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar";
/// Docker layer that registries need not hold, gzip.
pub const DOCKER_FOREIGN_GZIP: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
/// Docker image manifest, schema 1, unsigned. Obsolete.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker image manifest, schema 1, signed. Obsolete.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// What a request for a manifest accepts, one `Accept` each: every type that
/// [`super::manifest::Document`] can be.
pub const ACCEPT: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// A plain tar archive.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// What a media type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A list of manifests: OCI index or Docker manifest list.
    Index,
    /// One image or artifact: OCI manifest or Docker schema 2.
    Manifest,
    /// Docker schema 1, which wharf does not read.
    Schema1,
    /// An image config.
    Config,
    /// A layer of an image's file system.
    Layer {
        /// How it is compressed.
        compression: Compression,
        /// Whether registries need not hold it: it comes from its `urls`.
        foreign: bool,
    },
    /// Anything else.
    Other,
}

const fn layer(compression: Compression) -> Kind {
    Kind::Layer { compression, foreign: false }
}

const fn foreign(compression: Compression) -> Kind {
    Kind::Layer { compression, foreign: true }
}

const KINDS: [(&str, Kind); 19] = [
    (OCI_INDEX, Kind::Index),
    (OCI_MANIFEST, Kind::Manifest),
    (OCI_CONFIG, Kind::Config),
    (OCI_LAYER, layer(Compression::None)),
    (OCI_LAYER_GZIP, layer(Compression::Gzip)),
    (OCI_LAYER_ZSTD, layer(Compression::Zstd)),
    (OCI_FOREIGN, foreign(Compression::None)),
    (OCI_FOREIGN_GZIP, foreign(Compression::Gzip)),
    (OCI_FOREIGN_ZSTD, foreign(Compression::Zstd)),
    (DOCKER_LIST, Kind::Index),
    (DOCKER_MANIFEST, Kind::Manifest),
    (DOCKER_CONFIG, Kind::Config),
    (DOCKER_LAYER, layer(Compression::None)),
    (DOCKER_LAYER_GZIP, layer(Compression::Gzip)),
    (DOCKER_LAYER_ZSTD, layer(Compression::Zstd)),
    (DOCKER_FOREIGN, foreign(Compression::None)),
    (DOCKER_FOREIGN_GZIP, foreign(Compression::Gzip)),
    (DOCKER_SCHEMA1, Kind::Schema1),
    (DOCKER_SCHEMA1_SIGNED, Kind::Schema1),
];

/// Types that servers send when they know nothing about a document: static
/// file servers, object stores and registries with a wrong default.
const GENERIC: [&str; 6] = [
    "application/json",
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-octet-stream",
    "text/plain",
    "text/html",
];

/// The longest type or subtype name. RFC 6838 section 4.2.
const NAME_CHARS_MAX: usize = 127;
/// The longest media type with its parameters.
const TEXT_BYTES_MAX: usize = 1_024;

/// Returns what a media type stands for. Parameters and letter case do not
/// matter.
pub fn kind(media_type: &str) -> Kind {
    entry(media_type).map_or(Kind::Other, |(_, kind)| kind)
}

/// Returns a media type without its parameters.
pub fn essence(media_type: &str) -> &str {
    media_type.split_once(';').map_or(media_type, |(essence, _)| essence).trim_matches([' ', '\t'])
}

/// Returns the type of OCI for the same as one of docker's image documents, configs and layers.
pub fn of_oci(media_type: &str) -> Option<&'static str> {
    Some(match canonical(media_type)? {
        DOCKER_LIST => OCI_INDEX,
        DOCKER_MANIFEST => OCI_MANIFEST,
        DOCKER_CONFIG => OCI_CONFIG,
        DOCKER_LAYER => OCI_LAYER,
        DOCKER_LAYER_GZIP => OCI_LAYER_GZIP,
        DOCKER_LAYER_ZSTD => OCI_LAYER_ZSTD,
        DOCKER_FOREIGN => OCI_FOREIGN,
        DOCKER_FOREIGN_GZIP => OCI_FOREIGN_GZIP,
        _ => return None,
    })
}

/// Returns whether two media types are the same but for parameters and letter
/// case.
pub fn same(one: &str, other: &str) -> bool {
    essence(one).eq_ignore_ascii_case(essence(other))
}

/// Returns whether a `Content-Type` says nothing about which document it is.
pub fn is_generic(content_type: &str) -> bool {
    essence(content_type).is_empty() || GENERIC.iter().any(|generic| same(generic, content_type))
}

/// Returns whether the text is a media type: `type/subtype` with the names of
/// RFC 6838 section 4.2, then perhaps parameters.
///
/// image-spec's schema allows parameters only by accident (its character class
/// has a range that includes `;` and `=`), but artifacts carry them, as in
/// `application/vnd.dev.sigstore.bundle+json;version=0.1`.
pub fn is_valid(text: &str) -> bool {
    // Nearly every one is.
    if KINDS.iter().any(|(name, _)| *name == text) {
        return true;
    }
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    text.len() <= TEXT_BYTES_MAX
        && essence.trim_end_matches(' ').split_once('/').is_some_and(|(one, two)| is_name(one) && is_name(two))
        && parameters.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'#' | b'$' | b'&' | b'-' | b'^' | b'_' | b'.' | b'+')
        })
}

/// Returns the spelling of the specification, if the type is in the table.
pub(crate) fn canonical(media_type: &str) -> Option<&'static str> {
    entry(media_type).map(|(name, _)| name)
}

fn entry(media_type: &str) -> Option<(&'static str, Kind)> {
    KINDS.into_iter().find(|(name, _)| same(name, media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_type_has_its_kind_in_any_spelling() {
        for (name, expected) in KINDS {
            assert!(is_valid(name), "{name}");
            for spelling in [
                name.to_owned(),
                name.to_ascii_uppercase(),
                format!("{name}; charset=utf-8"),
                format!(" {name} ;charset=utf-8"),
            ] {
                assert_eq!(kind(&spelling), expected, "{spelling}");
                assert_eq!(canonical(&spelling), Some(name), "{spelling}");
            }
        }
        for other in [EMPTY, "", ";", "application/json", "application/vnd.oci.image.manifest.v2+json"] {
            assert_eq!((kind(other), canonical(other)), (Kind::Other, None), "{other}");
        }
    }

    #[test]
    fn every_accepted_type_is_a_document_that_can_be_read() {
        for name in ACCEPT {
            assert!(matches!(kind(name), Kind::Index | Kind::Manifest), "{name}");
        }
        let documents = KINDS.iter().filter(|(_, kind)| matches!(kind, Kind::Index | Kind::Manifest));
        assert_eq!(documents.count(), ACCEPT.len());
    }

    #[test]
    fn a_generic_content_type_says_nothing() {
        for generic in
            ["", " ", "text/plain; charset=utf-8", "Application/JSON", "application/octet-stream", "text/html"]
        {
            assert!(is_generic(generic), "{generic}");
        }
        for telling in [OCI_INDEX, DOCKER_SCHEMA1, EMPTY, "application/xml"] {
            assert!(!is_generic(telling), "{telling}");
        }
    }

    #[test]
    fn the_grammar_is_that_of_rfc_6838_with_parameters() {
        let longest = "a".repeat(NAME_CHARS_MAX);
        for valid in [
            "text/plain",
            "application/vnd.example+type",
            "1/2",
            "a/b!#$&-^_.+",
            "application/vnd.dev.sigstore.bundle+json;version=0.1",
            "text/plain; charset=\"utf-8\"",
            &format!("{longest}/{longest}"),
        ] {
            assert!(is_valid(valid), "{valid}");
        }
        for invalid in [
            "",
            "/",
            "application",
            "application/",
            "/json",
            ".a/b",
            "a/+b",
            "a/b/c",
            "a /b",
            "a/b\n",
            "a/b;\u{1b}",
            "a/é",
            &format!("{longest}a/b"),
            &format!("b/{longest}a"),
            &format!("a/b;{}", "x".repeat(TEXT_BYTES_MAX)),
        ] {
            assert!(!is_valid(invalid), "{invalid:?}");
        }
    }
}
