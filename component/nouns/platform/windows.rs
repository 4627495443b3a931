//! Builds of Windows: which containers run on which host.
//!
//! It does not know Hyper-V isolation, which lifts most of these rules.
//!
//! Containers share the kernel of their host, and before Windows Server 2022
//! its interface changed with every build. Since then a host runs the
//! containers of its own build and of all builds back to the long-term release
//! before it. Microsoft, “Windows container version compatibility”.
//!
//! ```text
//! version = major "." minor "." build [ "." revision ]     ; as in 10.0.20348.3091
//! ```

/// The first build with a stable interface: Windows Server 2022.
const STABLE_SINCE: u16 = 20348;

/// The builds of the long-term releases with a stable interface: Windows Server
/// 2022 and 2025. Invariant: sorted.
const LONG_TERM: [u16; 2] = [STABLE_SINCE, 26100];

/// The feature that images have unless they are Nano Server. Hosts do not
/// declare it, so it says nothing about where an image runs.
pub(super) const IGNORED_FEATURE: &str = "win32k";

/// What is compared of a version. A text that is none is all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u8,
    minor: u8,
    build: u16,
    revision: u32,
}

impl Version {
    pub(super) fn read(text: &str) -> Self {
        Self::read_checked(text).unwrap_or_default()
    }

    fn read_checked(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        Some(Self {
            major: number(parts.next()?)?,
            minor: number(parts.next()?)?,
            build: number(parts.next()?)?,
            revision: parts.next().and_then(number).unwrap_or_default(),
        })
    }
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    // `parse` alone would take a sign.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Says whether a container of version `container` runs on a host of version
/// `host`. A version that is not written does not matter, nor does a host's
/// that cannot be read.
pub(super) fn runs_on(host: &str, container: &str) -> bool {
    let base = |version: Version| Version { revision: 0, ..version };
    let host = base(Version::read(host));
    if host == Version::default() || container.is_empty() {
        return true;
    }
    let container = base(Version::read(container));
    if (host.major, host.minor) != (container.major, container.minor) {
        return false;
    }
    if host.build < STABLE_SINCE {
        return host.build == container.build;
    }
    let oldest = LONG_TERM.into_iter().rfind(|release| *release < host.build).unwrap_or(STABLE_SINCE);
    (oldest..=host.build).contains(&container.build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_run_their_own_build_and_back_to_the_long_term_release_before() {
        let rows = [
            ("10.0.17763", "10.0.17763.9", true),
            ("10.0.20347", "10.0.20346", false),
            ("10.0.20348", "10.0.20347", false),
            ("10.0.26100", "10.0.20348", true),
            ("10.0.26100", "10.0.20347", false),
            ("10.0.26101", "10.0.26100", true),
            ("10.0.26101", "10.0.26099", false),
            ("10.0.26100", "10.0.26101", false),
            ("10.0.20348", "10.1.20348", false),
            ("11.0.20348", "10.0.20348", false),
            ("", "10.0.20348", true),
            ("10.0.20348", "", true),
            ("ten", "10.0.20348", true),
            ("10.0.20348", "ten", false),
            ("10.0.70000", "10.0.20348", true),
            ("10.+0.20348", "10.0.17763", true),
        ];
        for (host, container, runs) in rows {
            assert_eq!(runs_on(host, container), runs, "{container} on {host}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number_and_not_by_text() {
        assert!(Version::read("10.0.26100.999") < Version::read("10.0.26100.2894"));
        assert!(Version::read("10.0.9999") < Version::read("10.0.20348.1"));
    }
}
