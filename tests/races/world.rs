//! What the workers and the registry agree on without a word: names, images, blobs that no image has, and dice.

use wharf::demo::image::{File, Image, Layer, Variant, noise};

/// Repositories of images whose tags move.
pub(crate) const REPOSITORIES: [&str; 4] = ["race/a", "race/b", "race/c", "race/d"];
/// The tags of each of them.
pub(crate) const TAGS: [&str; 2] = ["one", "two"];
/// The repository of the image that is damaged on purpose. It has the first tag alone, which never moves.
pub(crate) const VICTIM: &str = "race/victim";
/// Names that no registry has: what is tagged is called so.
pub(crate) const KEPT: [&str; 4] = ["kept/a:one", "kept/a:two", "kept/b:one", "kept/b:two"];
/// Names of indexes that are made here.
pub(crate) const JOINED: [&str; 2] = ["joined/a:one", "joined/a:two"];
/// What the names begin with that are copied to.
pub(crate) const COPIED: &str = "copied/";
/// Where the text of an image lies in its tree.
pub(crate) const TEXT: &str = "etc/text";
/// How many blobs no image has.
const LOOSE: u64 = 6;

/// The names that move, as in `race/a:one`.
pub(crate) fn names() -> Vec<String> {
    REPOSITORIES.iter().flat_map(|repository| TAGS.map(|tag| format!("{repository}:{tag}"))).collect()
}

/// Those, and the names that are given here.
pub(crate) fn all_names() -> Vec<String> {
    names().into_iter().chain(KEPT.map(str::to_owned)).chain(JOINED.map(str::to_owned)).collect()
}

/// The bytes of the blobs that no image has.
pub(crate) fn loose() -> Vec<Vec<u8>> {
    (0..LOOSE).map(|number| noise(0x1005e + number, 3_000 << number)).collect()
}

/// The file that images have which are made here, beside their text.
pub(crate) fn cargo() -> Vec<u8> {
    noise(7, 20_000)
}

/// The text of an image and platform.
fn text(name: &str, version: u32, architecture: &str) -> String {
    format!("{name} {version} {architecture}")
}

/// Makes the image of a name, with the text of each manifest, in their order. The names of one repository share a layer,
/// and all share the lowest. Every third one is an index.
pub(crate) fn image(name: &str, version: u32) -> (Image, Vec<String>) {
    let repository = name.split_once(':').map_or(name, |(repository, _)| repository);
    let shared = |seed: &str, length| {
        let seed = seed.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
        Layer::new("COPY cargo /", &[File { path: "srv/cargo", mode: 0o644, bytes: &noise(seed, length) }])
    };
    let is_victim = repository == VICTIM;
    let architectures: &[&str] = if version % 3 == 2 { &["amd64", "arm64"] } else { &["amd64"] };
    let texts: Vec<String> = architectures.iter().map(|architecture| text(name, version, architecture)).collect();
    let variants: Vec<_> = std::iter::zip(architectures, &texts)
        .map(|(architecture, text)| {
            let top = Layer::new(text, &[File { path: TEXT, mode: 0o644, bytes: text.as_bytes() }]);
            let below = if is_victim {
                vec![shared("victim", 40_000)]
            } else {
                vec![shared("", 90_000), shared(repository, 30_000)]
            };
            let layers = below.into_iter().chain([top]).collect();
            Variant { os: "linux", architecture, variant: None, layers }
        })
        .collect();
    let image = if variants.len() == 1 { Image::single(&variants[0]) } else { Image::index(&variants) };
    (image, texts)
}

/// Random numbers from a seed: SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(crate) fn choose<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("it is below a length")]
    }
}
