//! One spelling for each platform.
//!
//! It does not check that a platform exists.
//!
//! | written | normal |
//! | --- | --- |
//! | any letter case | lower case |
//! | `macos` | `darwin` |
//! | `i386` | `386`, without a variant |
//! | `x86_64`, `x86-64` | `amd64` |
//! | `amd64/v1` | `amd64` |
//! | `aarch64` | `arm64` |
//! | `arm64/8`, `arm64/v8`, `arm64/v8.0` | `arm64` |
//! | `arm64/9`, `arm64/9.0`, `arm64/v9.0` | `arm64/v9` |
//! | `armhf`; `arm`, `arm/7` | `arm/v7` |
//! | `armel` | `arm/v6` |
//! | `arm/5`, `arm/6`, `arm/8` | `arm/v5`, `arm/v6`, `arm/v8` |
//!
//! Features of the system are sorted, each once.

use super::Platform;

impl Platform {
    /// Returns the normal spelling. An empty system stays empty.
    pub fn normalize(&self) -> Self {
        let (architecture, variant) = architecture(&self.architecture, &self.variant);
        let mut os_features = self.os_features.clone();
        os_features.sort();
        os_features.dedup();
        Self { architecture, os: os(&self.os), os_version: self.os_version.clone(), os_features, variant }
    }

    /// Returns the normal spelling, with the system of `host` if there is none:
    /// the configs of very old images do not say it.
    pub fn normalize_on(&self, host: &Self) -> Self {
        let mut normal = self.normalize();
        if normal.os.is_empty() {
            normal.os.clone_from(&host.os);
        }
        normal
    }

    /// Returns the platform of a config as it stands, unless it names no system:
    /// then in normal spelling, with that of `host`.
    pub fn completed_on(self, host: &Self) -> Self {
        if self.os.is_empty() { self.normalize_on(host) } else { self }
    }
}

pub(super) fn os(os: &str) -> String {
    let os = os.to_lowercase();
    if os == "macos" { "darwin".to_owned() } else { os }
}

pub(super) fn architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", other) => ("arm64", other),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_system_is_that_of_the_host_if_there_is_one() {
        let nameless = Platform::new("", "x86_64");
        assert_eq!(nameless.normalize(), Platform::new("", "amd64"));
        assert_eq!(nameless.normalize_on(&Platform::new("freebsd", "arm64")), Platform::new("freebsd", "amd64"));
    }

    #[test]
    fn features_are_a_set() {
        let platform = Platform { os_features: ["b", "a", "b"].map(str::to_owned).into(), ..Platform::default() };
        assert_eq!(platform.normalize().os_features, ["a", "b"]);
    }
}
