//! `wharf serve`: its arguments.

mod filed;

use super::access::duration;
use super::{Access, CONCURRENT_DOWNLOADS, CONCURRENT_DOWNLOADS_MAX, Patience, help};
use clap::{Args, ValueEnum, ValueHint};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wharf_vocabulary::vocabulary;

pub use filed::{Setting, added, config_file};

/// The arguments of `wharf serve`.
#[derive(Args, Clone, Debug)]
#[command(override_usage = "wharf serve [OPTIONS]", after_help = help::SERVE, after_long_help = help::SERVE_LONG)]
pub struct Serve {
    /// Read from this file, in TOML, what is not said here: as `tcp = "127.0.0.1:2375"`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Listen on this socket [default: /run/wharf/docker.sock for root, else $XDG_RUNTIME_DIR/wharf/docker.sock]
    #[arg(long, env = "WHARF_SOCKET", hide_env_values = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    unix: Option<PathBuf>,

    /// Listen on this address too, as in `127.0.0.1:2375`; one that others reach takes the three of TLS
    #[arg(long, value_name = "ADDRESS")]
    pub tcp: Option<SocketAddr>,

    /// Speak TLS on that address, with the certificate in this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires_all = ["tls_key", "client_ca"])]
    tls_cert: Option<PathBuf>,

    /// The private key of that certificate
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires_all = ["tls_cert", "client_ca"])]
    tls_key: Option<PathBuf>,

    /// Let in clients with a certificate that this authority has signed, and no others
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires_all = ["tls_cert", "tls_key"])]
    client_ca: Option<PathBuf>,

    /// Answer clients of containerd too, on this socket, as in `/run/wharf/containerd.sock`
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    containerd: Option<PathBuf>,

    /// What namespaces of containerd's clients may have of each other without sending the bytes
    #[arg(long, value_enum, value_name = "POLICY", default_value_t, requires = "containerd")]
    pub sharing: Sharing,

    /// Leave what clients of containerd need no more where it is, until `wharf gc`
    #[arg(long, requires = "containerd")]
    pub no_gc: bool,

    /// Tell what is counted at `/metrics` of this address of the machine itself, as in `127.0.0.1:9323`
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,

    /// Send spans of requests and pulls to this collector of OpenTelemetry, as in `http://127.0.0.1:4318`
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL", value_hint = ValueHint::Url)]
    otlp: Option<String>,

    /// Cut off a client that sends or takes nothing for so long in the middle of a request or an answer
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub client_timeout: Duration,

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

/// Who may have the blobs of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Sharing {
    /// Every namespace that knows the digest
    #[default]
    Shared,
    /// Those that send the bytes, unless the namespace is labelled `containerd.io/namespace.shareable=true`
    Isolated,
}

/// The files of TLS.
#[derive(Clone, Copy, Debug)]
pub struct Papers<'a> {
    /// The certificate of the machine.
    pub certificate: &'a Path,
    /// Its key.
    pub key: &'a Path,
    /// Who signs the certificates of clients.
    pub clients: &'a Path,
}

impl Serve {
    /// Returns the files of TLS, if TLS is to be spoken.
    pub fn papers(&self) -> Option<Papers<'_>> {
        let (certificate, key) = (self.tls_cert.as_deref()?, self.tls_key.as_deref()?);
        Some(Papers { certificate, key, clients: self.client_ca.as_deref()? })
    }

    /// Returns the socket that was named, if one was.
    pub fn unix(&self) -> Option<&Path> {
        self.unix.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// Returns the socket for clients of containerd, if there is to be one.
    pub fn containerd(&self) -> Option<&Path> {
        self.containerd.as_deref()
    }

    /// Returns the address of the collector, if there is one.
    pub fn otlp(&self) -> Option<&str> {
        self.otlp.as_deref().filter(|address| !address.is_empty())
    }

    /// Returns how registries are spoken to, without configuration.
    pub fn access(&self) -> vocabulary::Access {
        self.patience.apply(self.access.access())
    }
}
