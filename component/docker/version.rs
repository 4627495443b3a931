//! Which version of the API a client speaks: `/v1.41/images/json`, or the latest
//! if the path says none.

use super::refusal::Refusal;
use std::fmt;

/// A version of the Docker Engine API. Invariant: the major number is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    /// The oldest that is spoken.
    pub const OLDEST: Self = Self(24);
    /// The latest that is spoken.
    pub const LATEST: Self = Self(52);

    /// Whether it is 1.`minor` or later.
    pub fn since(self, minor: u32) -> bool {
        self.0 >= minor
    }

    /// 1.`minor`.
    #[cfg(test)]
    pub(super) fn of(minor: u32) -> Self {
        Self(minor)
    }

    /// Takes the version from the beginning of a path.
    pub(super) fn split(path: &str) -> Result<(Self, &str), Refusal> {
        let Some((version, rest)) = path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) else {
            return Ok((Self::LATEST, path));
        };
        let Some((major, minor)) =
            version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)))
        else {
            return Ok((Self::LATEST, path));
        };
        let refused = |what: &str| Refusal::new(400, format!("client version {version} is too {what}"));
        let path = &path[path.len() - rest.len() - 1..];
        match (major, Self(minor)) {
            (..1, _) => Err(refused(&format!("old. Minimum supported API version is {}", Self::OLDEST))),
            (1, minor) if minor < Self::OLDEST => {
                Err(refused(&format!("old. Minimum supported API version is {}", Self::OLDEST)))
            }
            (1, minor) if minor <= Self::LATEST => Ok((minor, path)),
            _ => Err(refused(&format!("new. Maximum supported API version is {}", Self::LATEST))),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    // What `parse` takes besides digits is a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_begin_with_a_version() {
        let rows = [
            ("/v1.41/images/json", Ok((41, "/images/json"))),
            ("/images/json", Ok((52, "/images/json"))),
            ("/v1.24/_ping", Ok((24, "/_ping"))),
            ("/v1/_ping", Ok((52, "/v1/_ping"))),
            ("/v1.+41/_ping", Ok((52, "/v1.+41/_ping"))),
            ("/v1.23/_ping", Err("client version 1.23 is too old. Minimum supported API version is 1.24")),
            ("/v0.50/_ping", Err("client version 0.50 is too old. Minimum supported API version is 1.24")),
            ("/v1.53/_ping", Err("client version 1.53 is too new. Maximum supported API version is 1.52")),
            ("/v2.0/_ping", Err("client version 2.0 is too new. Maximum supported API version is 1.52")),
        ];
        for (path, expected) in rows {
            let found = Version::split(path);
            let found = found.as_ref().map(|(version, rest)| (version.0, *rest)).map_err(|refusal| {
                assert_eq!(refusal.status, 400);
                refusal.message.as_str()
            });
            assert_eq!(found, expected, "{path}");
        }
    }
}
