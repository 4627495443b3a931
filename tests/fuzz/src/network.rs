//! The settings of the network that configuration is read into, as `host/network.rs` has them: that file knows sockets
//! and TLS, which a fuzzer of configuration would only build.

pub use wharf_credentials::Origin;

use http::HeaderMap;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Site {
    pub origin: Origin,
    pub authorities: Vec<u8>,
    pub identity: Option<Identity>,
    pub skip_verify: bool,
    pub headers: HeaderMap,
    pub connect_timeout: Option<Duration>,
}

impl Site {
    pub fn new(origin: Origin) -> Self {
        let (authorities, headers) = (Vec::new(), HeaderMap::new());
        Self { origin, authorities, identity: None, skip_verify: false, headers, connect_timeout: None }
    }
}

#[derive(Clone, Debug)]
pub struct Identity {
    pub certificates: Vec<u8>,
    pub key: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub struct Proxies {
    pub http: Option<String>,
    pub https: Option<String>,
    pub all: Option<String>,
    pub except: Option<String>,
}
