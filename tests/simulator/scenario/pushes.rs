//! How names are pushed, drawn from a seed.

use crate::dice::Dice;
use std::fmt;

/// What is pushed of a name, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushing {
    /// Only this one.
    pub platform: Option<String>,
    /// Every tag of the repository.
    pub all_tags: bool,
    /// How the layers are compressed there.
    pub compress: Option<&'static str>,
    /// Also what refers to the image.
    pub referrers: bool,
}

impl fmt::Display for Pushing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { platform, all_tags, compress, referrers } = self;
        platform.iter().try_for_each(|platform| write!(f, " {platform}"))?;
        compress.iter().try_for_each(|how| write!(f, " compress={how}"))?;
        f.write_str(if *all_tags { " all-tags" } else { "" })?;
        f.write_str(if *referrers { " referrers" } else { "" })
    }
}

/// Draws how a name is pushed; with all tags it is that of its repository.
pub(super) fn draw(dice: &mut Dice, name: String, platform: Option<String>) -> (String, Pushing) {
    let all_tags = platform.is_none() && dice.chance(1, 4);
    let compress = dice.chance(1, 4).then(|| *dice.pick(&["zstd:3", "gzip:9"]));
    let referrers = compress.is_none() && dice.chance(1, 4);
    let repository = || name.rsplit_once(':').map_or(name.as_str(), |(repository, _)| repository).to_owned();
    let reference = if all_tags { repository() } else { name.clone() };
    (reference, Pushing { platform, all_tags, compress, referrers })
}
