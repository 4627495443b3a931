//! `wharf serve`: its arguments.

use super::{Access, CONCURRENT_DOWNLOADS, CONCURRENT_DOWNLOADS_MAX, Patience, help};
use clap::{Args, ValueHint};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use wharf_vocabulary::vocabulary;

/// The arguments of `wharf serve`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf serve [OPTIONS]", after_help = help::SERVE, after_long_help = help::SERVE_LONG)]
pub struct Serve {
    /// Listen on this socket [default: /run/wharf/docker.sock for root, else $XDG_RUNTIME_DIR/wharf/docker.sock]
    #[arg(long, env = "WHARF_SOCKET", hide_env_values = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    unix: Option<PathBuf>,

    /// Listen on this address of the machine itself too, as in `127.0.0.1:2375`
    #[arg(long, value_name = "ADDRESS")]
    pub tcp: Option<SocketAddr>,

    /// Do not extract the layers of what is pulled and loaded
    #[arg(long)]
    pub no_unpack: bool,

    /// How many blobs of a request are on their way at once
    #[arg(long, value_name = "N", default_value_t = CONCURRENT_DOWNLOADS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(CONCURRENT_DOWNLOADS_MAX)))]
    pub max_concurrent_transfers: u32,

    /// How long a registry is waited for, and how fast it may send.
    #[command(flatten)]
    pub patience: Patience,

    /// Which registries are spoken to how.
    #[command(flatten)]
    pub access: Access,
}

impl Serve {
    /// Returns the socket that was named, if one was.
    pub fn unix(&self) -> Option<&Path> {
        self.unix.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Returns how registries are spoken to, without configuration.
    pub fn access(&self) -> vocabulary::Access {
        self.patience.apply(self.access.access())
    }
}
