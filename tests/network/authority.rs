//! Certificates made by the test: an authority, what it signs, and servers that show it.
//!
//! Nothing is read from files, so that nothing expires there.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::sync::{Arc, Mutex};
use wharf::network::Identity;

/// Somebody who signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate of a server, or of a client, with its key.
pub(crate) struct Certified {
    chain: Vec<CertificateDer<'static>>,
    pem: String,
    key: KeyPair,
}

/// When a certificate is valid.
#[derive(Clone, Copy)]
pub(crate) enum Validity {
    Now,
    /// Until the first second of 2001.
    Over,
    /// From the first second of 2100.
    NotYet,
}

fn params(names: &[&str], validity: Validity) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names of a certificate");
    (params.not_before, params.not_after) = match validity {
        Validity::Now => (date_time_ymd(2000, 1, 1), date_time_ymd(2200, 1, 1)),
        Validity::Over => (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1)),
        Validity::NotYet => (date_time_ymd(2100, 1, 1), date_time_ymd(2200, 1, 1)),
    };
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system gives random numbers")
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(&[], Validity::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = key();
        let certificate = params.self_signed(&key).expect("the parameters are good");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// What somebody has to list who trusts it.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.pem().into_bytes()
    }

    pub(crate) fn sign(&self, names: &[&str], validity: Validity) -> Certified {
        let key = key();
        let certificate = params(names, validity).signed_by(&key, &self.issuer).expect("the parameters are good");
        Certified { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    /// A server that shows what this signed for `names`.
    pub(crate) fn server(&self, names: &[&str]) -> ServerConfig {
        self.sign(names, Validity::Now).server()
    }
}

impl Certified {
    /// A certificate that nobody else signed, marked as an authority's or not.
    pub(crate) fn by_itself(names: &[&str], is_authority: bool) -> Self {
        let mut params = params(names, Validity::Now);
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = key();
        let certificate = params.self_signed(&key).expect("the parameters are good");
        Self { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.pem.clone().into_bytes()
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity { certificates: self.pem(), key: self.key.serialize_pem().into_bytes() }
    }

    pub(crate) fn server(&self) -> ServerConfig {
        self.config(builder().with_no_client_auth())
    }

    /// A server that lets in those whom `clients` signed.
    pub(crate) fn server_for(
        &self,
        clients: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(clients.certificate.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let builder = builder.expect("ring offers the versions");
        self.config(builder.with_client_cert_verifier(verifier.expect("there is a root")))
    }

    fn config(&self, builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>) -> ServerConfig {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        builder.with_single_cert(self.chain.clone(), key).expect("the key fits the certificate")
    }

    /// A server that notes the names by which clients call it.
    pub(crate) fn server_that_listens(&self) -> (ServerConfig, Arc<Called>) {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key");
        let certified = Arc::new(CertifiedKey::new(self.chain.clone(), key));
        let called = Arc::new(Called { certified, names: Mutex::default() });
        (builder().with_no_client_auth().with_cert_resolver(called.clone()), called)
    }
}

fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring offers the versions")
}

/// The names by which a server was called.
#[derive(Debug)]
pub(crate) struct Called {
    certified: Arc<CertifiedKey>,
    names: Mutex<Vec<Option<String>>>,
}

impl Called {
    pub(crate) fn names(&self) -> Vec<Option<String>> {
        self.names.lock().expect("no test panics while it holds the lock").clone()
    }
}

impl ResolvesServerCert for Called {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_owned);
        self.names.lock().expect("no test panics while it holds the lock").push(name);
        Some(self.certified.clone())
    }
}
