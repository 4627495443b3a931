//! Names to addresses, through the policy: what it refuses is never connected to.
//!
//! It keeps no cache; the system's resolver and the connection pool do.

use super::policy::Policy;
use super::policy::literal;
use futures::future::BoxFuture;
use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Who turns a name into addresses.
pub trait Resolve: Debug + Send + Sync {
    /// Returns the addresses of `name`, best first.
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the system.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Resolve for System {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// A resolver behind the policy, in the shape that the connection pool takes. The pool connects to the addresses that
/// come out of here and asks nobody again.
#[derive(Clone, Debug)]
pub(super) struct Guarded {
    pub(super) policy: Arc<Policy>,
    pub(super) resolver: Arc<dyn Resolve>,
}

impl reqwest::dns::Resolve for Guarded {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let Self { policy, resolver } = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            // With SOCKS the pool asks for literal addresses as well, and those are not the resolver's to change.
            let addresses = match literal(name) {
                Some(address) => vec![address],
                None => resolver.resolve(name.to_owned()).await?,
            };
            let admitted = policy.admit(name, addresses)?;
            // The pool puts the port of the URL in the place of 0.
            Ok(Box::new(admitted.into_iter().map(|address| SocketAddr::new(address, 0))) as reqwest::dns::Addrs)
        })
    }
}
