//! The options of the verbs that are about a registry. What configuration says
//! about registries is added by `main`, which reads it.

use super::{AuthFile, authority};
use bytesize::ByteSize;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use jiff::SignedDuration;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wharf_vocabulary::vocabulary;

/// How often a request is sent again while nothing new arrives, if nobody says
/// otherwise.
pub const RETRIES: u32 = 4;
/// The most that can be asked for.
pub const RETRIES_MAX: u32 = 100;
/// After so long without a byte a request is given up, if nobody says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// The shortest and the longest time that can be asked for.
pub const TIMEOUTS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(24 * 60 * 60)];

/// The lowest rate that can be asked for, in bytes a second. As many blobs as may be on their way at once share it, and
/// one that gets less than 1 KiB a second is taken for one whose registry has stopped.
const RATE_MIN: u64 = 64 << 10;

/// Which registries are spoken to how, and with whose login.
#[derive(Args, Clone, Debug)]
pub struct Access {
    /// Speak to this registry without TLS; several by commas or by repeating it.
    /// Loopback addresses need not be listed
    #[arg(long, env = "WHARF_PLAIN_HTTP", hide_env_values = true, value_name = "HOST[:PORT]",
          value_delimiter = ',', value_parser = authority)]
    pub plain_http: Vec<String>,

    /// Which file with logins.
    #[command(flatten)]
    file: AuthFile,

    /// Let the token server at HOST get the login for REGISTRY, as in `registry.lan=login.lan`; several by commas or by
    /// repeating it
    #[arg(long = "token-server", env = "WHARF_TOKEN_SERVERS", hide_env_values = true, value_name = "REGISTRY=HOST",
          value_delimiter = ',', value_parser = token_server)]
    token_servers: Vec<Option<(String, String)>>,

    /// Take `hosts.toml` and certificates of registries from below this directory, and not from the usual ones
    #[arg(long, env = "WHARF_CERTS_D", hide_env_values = true, value_name = "DIR",
          value_hint = ValueHint::DirPath, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    certs_d: Option<PathBuf>,

    /// Read this `registries.conf`, and the drop-ins in FILE.d, and not the usual ones
    #[arg(long, env = "CONTAINERS_REGISTRIES_CONF", hide_env_values = true, value_name = "FILE",
          value_hint = ValueHint::FilePath, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    registries_conf: Option<PathBuf>,

    /// Read this `daemon.json`, and not the usual one
    #[arg(long, env = "WHARF_DAEMON_JSON", hide_env_values = true, value_name = "FILE",
          value_hint = ValueHint::FilePath, value_parser = OsStringValueParser::new().map(PathBuf::from))]
    daemon_json: Option<PathBuf>,
}

/// How long a registry is waited for, and how fast bytes may come and go.
#[derive(Args, Clone, Debug)]
pub struct Patience {
    /// How often to try again while nothing new arrives, up to 100 times
    #[arg(long, env = "WHARF_RETRIES", hide_env_values = true, value_name = "N", default_value_t = RETRIES,
          value_parser = retries)]
    pub retries: u32,

    /// Give a request up when nothing has arrived for so long, as in `30s` or `2m`
    #[arg(long, env = "WHARF_TIMEOUT", hide_env_values = true, value_name = "DURATION", default_value = "60s",
          value_parser = duration)]
    pub timeout: Duration,

    /// Receive, and send, at most so many bytes a second, as in `500k`, `10M` or `1GiB`
    #[arg(long, env = "WHARF_LIMIT_RATE", hide_env_values = true, value_name = "RATE", value_parser = rate)]
    limit_rate: Option<Rate>,
}

/// Bytes a second, or as many as there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate(Option<NonZeroU64>);

impl Access {
    /// Returns the options as the component takes them, without configuration.
    pub fn access(&self) -> vocabulary::Access {
        vocabulary::Access {
            plain_http: self.plain_http.iter().filter(|host| !host.is_empty()).cloned().collect(),
            rules: Vec::new(),
            aliases: Vec::new(),
            retries: RETRIES,
            silence_ms: milliseconds(TIMEOUT),
        }
    }

    /// Returns the file with logins that was named, if one was.
    pub fn auth_file(&self) -> Option<&Path> {
        self.file.path()
    }

    /// Returns the registries and their token servers that were named.
    pub fn token_servers(&self) -> Vec<(String, String)> {
        self.token_servers.iter().flatten().cloned().collect()
    }

    /// Returns the directory with directories of registries that was named, if one was.
    pub fn certs_d(&self) -> Option<&Path> {
        named(&self.certs_d)
    }

    /// Returns the `registries.conf` that was named, if one was.
    pub fn registries_conf(&self) -> Option<&Path> {
        named(&self.registries_conf)
    }

    /// Returns the `daemon.json` that was named, if one was.
    pub fn daemon_json(&self) -> Option<&Path> {
        named(&self.daemon_json)
    }
}

impl Patience {
    /// Has a call be as patient.
    pub fn apply(&self, access: vocabulary::Access) -> vocabulary::Access {
        vocabulary::Access { retries: self.retries, silence_ms: milliseconds(self.timeout), ..access }
    }

    /// Returns how many bytes may come in a second, and how many may go, if there is a limit.
    pub fn bytes_per_second(&self) -> Option<NonZeroU64> {
        self.limit_rate.and_then(|Rate(limit)| limit)
    }
}

/// An empty path is what an empty variable leaves behind.
fn named(path: &Option<PathBuf>) -> Option<&Path> {
    path.as_deref().filter(|path| !path.as_os_str().is_empty())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Reads a number of retries. An empty variable is as if there were none; so it
/// is below.
fn retries(text: &str) -> Result<u32, String> {
    match text.parse() {
        _ if text.is_empty() => Ok(RETRIES),
        Ok(retries) if retries <= RETRIES_MAX => Ok(retries),
        _ => Err(format!("expected a number from 0 to {RETRIES_MAX}")),
    }
}

/// Reads a registry and a token server. An empty pair is what an empty variable
/// leaves behind, and stands for none.
fn token_server(text: &str) -> Result<Option<(String, String)>, String> {
    match text.split_once('=').map(|(registry, server)| (authority(registry), authority(server))) {
        _ if text.is_empty() => Ok(None),
        Some((Ok(registry), Ok(server))) if !registry.is_empty() && !server.is_empty() => Ok(Some((registry, server))),
        _ => Err("expected a registry and a host, as in `registry.lan=login.lan`".to_owned()),
    }
}

/// Reads a time with its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Ok(TIMEOUT);
    }
    let [least, most] = TIMEOUTS;
    let read = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    match read {
        Some(time) if (least..=most).contains(&time) => Ok(time),
        Some(_) => Err("expected at least `1s` and at most `24h`".to_owned()),
        None => Err("expected a time with its unit, as in `30s`, `2m` or `1m30s`".to_owned()),
    }
}

/// Reads a number of bytes: `k`, `M` and `G` are powers of 1000, `KiB` and its
/// like of 1024.
fn rate(text: &str) -> Result<Rate, String> {
    if text.is_empty() {
        return Ok(Rate(None));
    }
    let bytes = text.parse::<ByteSize>().map_err(|_| "expected a number of bytes, as in `500k`, `10M` or `1GiB`")?;
    let limit = NonZeroU64::new(bytes.as_u64()).filter(|limit| limit.get() >= RATE_MIN);
    limit.map(|limit| Rate(Some(limit))).ok_or_else(|| "expected at least `64KiB`".to_owned())
}
