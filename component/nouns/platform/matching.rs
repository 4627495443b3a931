//! Which images run on a platform, and which of them is the best.
//!
//! It does not know indexes; it judges one platform at a time.
//!
//! [`Matcher::only`] also takes what the machine runs besides its own code, in
//! this order:
//!
//! | machine | takes |
//! | --- | --- |
//! | `amd64/vN` | `vN`, … `v1`, which is plain `amd64`, then `386` |
//! | `arm/vN` | `vN`, … `v5` |
//! | `arm64/v8.x` | `v8.x`, … `v8.1`, `v8`, which is plain `arm64`, then `arm/v8`, … `arm/v5` |
//! | `arm64/v9.y` | `v9.y`, … `v9`, then what `arm64/v8.(y+5)` takes, at most `v8.9` |
//!
//! An `arm64` variant that does not exist takes nothing. Features of the system
//! that an image asks for must be among those that are wanted; among equals the
//! image that uses more of them is better.

use super::{Platform, windows};
use std::cmp::{Ordering, Reverse};

/// The highest level of `amd64` and version of `arm` that is counted down from.
/// There is nothing near it; a larger number stands for itself alone.
const COUNTED_MAX: u32 = 64;

/// The last minor version of ARMv8. Later ones are ARMv9's.
const ARMV8_MINOR_LAST: u32 = 9;

/// The last minor version of ARMv9 so far.
const ARMV9_MINOR_LAST: u32 = 7;

/// ARMv9.y includes what ARMv8.(y + 5) has.
const ARMV9_MINOR_OFFSET: u32 = 5;

/// Decides which platforms fit, and which fit better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// Best first.
    rules: Vec<Rule>,
    order: Order,
}

/// A normal platform; what equals it fits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule(Platform);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// By rule, then by the number of features.
    Rules,
    /// By rule, then by the version of Windows, newest first.
    NewestWindows,
    /// Every architecture fits; that of the rule is better.
    System,
}

/// Where a platform stands. Smaller is better.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    misfit: bool,
    /// The first rule that fits, without regard to features for a misfit.
    rule: usize,
    features: Reverse<usize>,
    version: Reverse<windows::Version>,
}

impl Matcher {
    /// Takes what equals `platform`. Among images for Windows the newest is
    /// the best.
    pub fn new(platform: &Platform) -> Self {
        let rule = Rule(platform.normalize());
        let order = if rule.0.os == "windows" { Order::NewestWindows } else { Order::Rules };
        Self { rules: vec![rule], order }
    }

    /// Takes what runs on a machine of this platform.
    pub fn only(platform: &Platform) -> Self {
        Self { rules: compatible(&platform.normalize()), order: Order::Rules }
    }

    /// Takes this platform and nothing below it.
    pub fn only_strict(platform: &Platform) -> Self {
        Self { rules: vec![Rule(platform.normalize())], order: Order::Rules }
    }

    /// Takes every architecture of this system; the architecture of `platform`
    /// is the best.
    pub fn only_os(platform: &Platform) -> Self {
        Self { rules: vec![Rule(platform.normalize())], order: Order::System }
    }

    /// Returns the platforms that are taken, best first.
    pub fn accepted(&self) -> impl Iterator<Item = &Platform> {
        self.rules.iter().map(|Rule(platform)| platform)
    }

    /// Says whether a platform fits. A platform without a system never does;
    /// see [`Platform::normalize_on`].
    pub fn matches(&self, platform: &Platform) -> bool {
        self.matches_normal(&platform.normalize())
    }

    fn matches_normal(&self, platform: &Platform) -> bool {
        match self.order {
            Order::System => self.rules.iter().any(|rule| rule.fits_system(platform)),
            Order::Rules | Order::NewestWindows => self.first_rule(platform).is_some(),
        }
    }

    fn first_rule(&self, platform: &Platform) -> Option<usize> {
        self.rules.iter().position(|rule| rule.fits(platform))
    }

    /// Compares two platforms: the better one is less, and everything that
    /// fits is less than everything that does not. It is a total order of
    /// ranks, so a stable sort keeps the order of an index among equals.
    pub fn compare(&self, one: &Platform, other: &Platform) -> Ordering {
        self.rank(one).cmp(&self.rank(other))
    }

    /// Says whether `one` is better than `other`.
    pub fn less(&self, one: &Platform, other: &Platform) -> bool {
        self.compare(one, other) == Ordering::Less
    }

    fn rank(&self, platform: &Platform) -> Rank {
        let normal = platform.normalize();
        let misfit = !self.matches_normal(&normal);
        if misfit && self.order == Order::System {
            return Rank {
                misfit,
                rule: usize::MAX,
                features: Reverse(0),
                version: Reverse(windows::Version::default()),
            };
        }
        let used = normal.os_features.len();
        // What fits but for its features comes before what does not fit at all.
        let without = Platform { os_features: Vec::new(), ..normal };
        let rule = self.first_rule(&without).unwrap_or(usize::MAX);
        let counts = !misfit && rule != usize::MAX;
        let (mut features, mut version) = (0, windows::Version::default());
        match self.order {
            Order::NewestWindows if counts => version = windows::Version::read(&without.os_version),
            Order::Rules | Order::System if counts => features = used,
            _ => {}
        }
        Rank { misfit, rule, features: Reverse(features), version: Reverse(version) }
    }
}

impl Rule {
    fn fits(&self, platform: &Platform) -> bool {
        self.0.architecture == platform.architecture && self.0.variant == platform.variant && self.fits_system(platform)
    }

    fn fits_system(&self, platform: &Platform) -> bool {
        let on_windows = self.0.os == "windows";
        !platform.os.is_empty()
            && self.0.os == platform.os
            && (!on_windows || windows::runs_on(&self.0.os_version, &platform.os_version))
            && platform
                .os_features
                .iter()
                .filter(|feature| !(on_windows && *feature == windows::IGNORED_FEATURE))
                .all(|feature| self.0.os_features.contains(feature))
    }
}

/// Returns what a machine runs, best first.
fn compatible(machine: &Platform) -> Vec<Rule> {
    let rule = |architecture: &str, variant: String| {
        Rule(Platform { architecture: architecture.to_owned(), variant, ..machine.clone() }.normalize())
    };
    let arm = |highest: u32| (5..=highest).rev().map(move |version| rule("arm", format!("v{version}")));
    let arm64 = |major: u32, highest: u32| {
        (0..=highest).rev().map(move |minor| match minor {
            0 => rule("arm64", format!("v{major}")),
            _ => rule("arm64", format!("v{major}.{minor}")),
        })
    };
    match machine.architecture.as_str() {
        "amd64" => {
            let below = counted(&machine.variant).unwrap_or(1);
            let levels = (1..below).rev().map(|level| rule("amd64", format!("v{level}")));
            [Rule(machine.clone())].into_iter().chain(levels).chain([rule("386", String::new())]).collect()
        }
        "arm" => {
            let below = counted(&machine.variant).unwrap_or_default();
            [Rule(machine.clone())].into_iter().chain(arm(below.saturating_sub(1))).collect()
        }
        "arm64" => match arm64_version(&machine.variant) {
            Some((8, minor)) => arm64(8, minor).chain(arm(8)).collect(),
            Some((_, minor)) => {
                let shared = ARMV8_MINOR_LAST.min(minor + ARMV9_MINOR_OFFSET);
                arm64(9, minor).chain(arm64(8, shared)).chain(arm(8)).collect()
            }
            None => Vec::new(),
        },
        _ => vec![Rule(machine.clone())],
    }
}

/// Reads `v3`, or `3`.
fn counted(variant: &str) -> Option<u32> {
    digits(variant.strip_prefix('v').unwrap_or(variant)).filter(|version| *version <= COUNTED_MAX)
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads the major and minor version of a normal variant that exists.
fn arm64_version(variant: &str) -> Option<(u32, u32)> {
    if variant.is_empty() {
        return Some((8, 0));
    }
    let version = variant.strip_prefix('v')?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let last = match major {
        "8" => ARMV8_MINOR_LAST,
        "9" => ARMV9_MINOR_LAST,
        _ => return None,
    };
    let minor = digits(minor).filter(|_| minor.len() == 1)?;
    (minor <= last).then(|| (if major == "8" { 8 } else { 9 }, minor))
}

/// Returns the first of the best among the candidates that fit. A candidate is
/// a platform and whatever it belongs to.
pub fn best<'a, T>(matcher: &Matcher, candidates: impl IntoIterator<Item = (&'a Platform, T)>) -> Option<T> {
    let fitting = candidates.into_iter().filter(|(platform, _)| matcher.matches(platform));
    fitting.min_by(|(one, _), (other, _)| matcher.compare(one, other)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text, &Platform::new("linux", "amd64")).unwrap()
    }

    #[test]
    fn the_best_of_an_index_is_the_nearest_below_the_machine() {
        let index = ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4", "linux/386", "linux/arm/v5", "linux/arm64/v9"];
        let index: Vec<Platform> = index.into_iter().map(platform).collect();
        let rows = [
            ("linux/amd64", Some(0)),
            ("linux/amd64/v3", Some(1)),
            ("linux/386", Some(3)),
            ("linux/arm64", Some(4)),
            ("linux/arm64/v9.7", Some(5)),
            ("linux/arm64/v9.8", None),
            ("linux/arm64/v10", None),
            ("linux/arm64/v8.10", None),
            ("linux/s390x", None),
            ("windows/amd64", None),
        ];
        for (machine, expected) in rows {
            let found = best(&Matcher::only(&platform(machine)), index.iter().zip(0..));
            assert_eq!(found, expected, "{machine}");
        }
    }

    #[test]
    fn the_first_of_two_equals_is_taken() {
        let same = [platform("linux/amd64"), platform("linux/x86_64/v1")];
        assert_eq!(best(&Matcher::only(&same[0]), same.iter().zip(["first", "second"])), Some("first"));
    }

    #[test]
    fn absurd_versions_cost_nothing() {
        for machine in ["linux/amd64/v4000000000", "linux/arm/v99999999999999999999", "linux/arm64/v8.4000000000"] {
            let machine = platform(machine);
            assert!(Matcher::only(&machine).rules.len() <= 2, "{machine}");
        }
    }

    #[test]
    fn a_platform_without_a_system_fits_nothing() {
        let nameless = Platform::new("", "amd64");
        for matcher in [Matcher::only(&nameless), Matcher::new(&nameless), Matcher::only_os(&nameless)] {
            assert!(!matcher.matches(&nameless));
        }
        assert!(!Matcher::only(&platform("linux/amd64")).matches(&nameless));
    }

    #[test]
    fn win32k_does_not_keep_an_image_from_windows() {
        let server = platform("windows(10.0.20348+win32k)/amd64");
        assert!(Matcher::only(&platform("windows(10.0.20348)/amd64")).matches(&server));
        assert!(!Matcher::only(&platform("linux/amd64")).matches(&platform("linux(+win32k)/amd64")));
    }

    fn any_platform() -> impl Strategy<Value = Platform> {
        let system = prop::sample::select(vec![
            "linux",
            "windows",
            "windows(10.0.20348)",
            "windows(10.0.17763.1)",
            "linux(+a)",
            "linux(+a+b)",
        ]);
        let rest =
            prop::sample::select(vec!["amd64", "amd64/v2", "amd64/v3", "386", "arm", "arm/v5", "arm64", "arm64/v9.1"]);
        (system, rest).prop_map(|(system, rest)| platform(&format!("{system}/{rest}")))
    }

    proptest! {
        #[test]
        fn what_fits_is_better_than_what_does_not(machine in any_platform(), one in any_platform(), other in any_platform()) {
            for matcher in [Matcher::new(&machine), Matcher::only(&machine), Matcher::only_strict(&machine), Matcher::only_os(&machine)] {
                prop_assert_eq!(matcher.compare(&one, &other), matcher.compare(&other, &one).reverse());
                if matcher.matches(&one) && !matcher.matches(&other) {
                    prop_assert!(matcher.less(&one, &other));
                }
            }
        }
    }
}
