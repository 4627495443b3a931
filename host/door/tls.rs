//! TLS on both ends: the door shows a certificate, and lets in whoever shows one of an authority that it trusts.
//!
//! Whoever has none is refused in the handshake, before there is a request. TLS 1.2 and 1.3, HTTP/1.1.

use crate::network::tls::{certificates, private_key, provider, unusable};
use rustls::server::WebPkiClientVerifier;
use rustls::{Error, RootCertStore, ServerConfig};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The files of a door with TLS, in PEM.
#[derive(Clone)]
pub struct Papers {
    /// The certificate of the door, and those between it and its authority.
    pub certificate: Vec<u8>,
    /// The private key of the first one.
    pub key: Vec<u8>,
    /// Who signs the certificates of clients.
    pub clients: Vec<u8>,
}

impl std::fmt::Debug for Papers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Papers")
    }
}

/// What is wrong with one of the papers. Nothing of it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The certificate of the door.
    #[error("the certificate: {0}")]
    Certificate(String),
    /// Its key.
    #[error("the key: {0}")]
    Key(String),
    /// Who signs the certificates of clients.
    #[error("the authority of the clients: {0}")]
    Clients(String),
}

/// How a door speaks TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads the papers.
    pub fn new(papers: &Papers) -> Result<Self, Unusable> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&papers.clients).map_err(Unusable::Clients)? {
            roots.add(authority).map_err(|error| Unusable::Clients(unusable(&error)))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let verifier = verifier.map_err(|_| Unusable::Clients("it is not usable".to_owned()))?;
        let chain = certificates(&papers.certificate).map_err(Unusable::Certificate)?;
        let key = private_key(&papers.key).map_err(|why| Unusable::Key(why.to_owned()))?;
        let versions = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = versions.expect("ring offers what TLS 1.2 and 1.3 need").with_client_cert_verifier(verifier);
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => Unusable::Key("it is not the one of the certificate".to_owned()),
            error @ Error::InvalidCertificate(_) => Unusable::Certificate(unusable(&error)),
            error => Unusable::Key(unusable(&error)),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands with a client, who has so long for it.
    pub(super) async fn accept<S>(&self, stream: S, limit: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let late = |_| io::Error::new(ErrorKind::TimedOut, "it does not shake hands");
        timeout(limit, self.0.accept(stream)).await.map_err(late)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    fn papers() -> Papers {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.pem().into_bytes();
        Papers { clients: certificate.clone(), certificate, key: made.signing_key.serialize_pem().into_bytes() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_has_a_time_as_a_whole() {
        let tls = Tls::new(&papers()).unwrap();
        let (mut ours, theirs) = duplex(1024);
        let begin = Instant::now();
        let dripping = tokio::spawn(async move {
            // The beginning of a record of 512 bytes, and its bytes one by one.
            let mut next: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
            while ours.write_all(next).await.is_ok() {
                next = &[0];
                sleep(Duration::from_secs(1)).await;
            }
        });
        let error = tls.accept(theirs, Duration::from_secs(10)).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), begin.elapsed().as_secs()), (ErrorKind::TimedOut, 10));
        dripping.await.unwrap();
    }
}
