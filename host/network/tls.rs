//! TLS: whom the pools trust, and who they say they are.
//!
//! Certificates are parsed here and judged here; what a refusal is called stands in [`super::error`]. Nothing of a
//! certificate or a key is repeated in an error.
//!
//! A pool for configured origins has a [`Special`] trust. It holds for the hosts of these origins and for no other: a
//! proxy that is itself reached by TLS is met by the same pool, and has to show a certificate that everybody accepts.

use super::{Error, Identity};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, OtherError, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// The certificates of the system, and those that hold for every origin.
#[derive(Clone, Debug)]
pub(super) struct Roots(Arc<rustls_platform_verifier::Verifier>);

impl Roots {
    /// Reads the certificates of the system, of which there are hundreds in files: this blocks.
    ///
    /// Fails with [`Error::Settings`] if `more`, which is PEM, cannot be read, or if there is none at all.
    pub(super) fn load(more: &[u8]) -> Result<Self, Error> {
        let wrong = |why: String| Error::Settings { why: format!("the trusted certificates: {why}") };
        let more = if more.is_empty() { Vec::new() } else { certificates(more).map_err(wrong)? };
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(more, provider());
        Ok(Self(Arc::new(verifier.map_err(|error| wrong(unusable(&error)))?)))
    }
}

/// What configuration says about the TLS of some origins.
#[derive(Clone, Default)]
pub(super) struct Special<'a> {
    /// Their hosts, as in an origin.
    pub(super) hosts: Vec<&'a str>,
    /// Certificates in PEM.
    pub(super) authorities: &'a [u8],
    pub(super) identity: Option<&'a Identity>,
    pub(super) skip_verify: bool,
}

/// Returns the TLS of a pool that never uses it.
pub(super) fn unused() -> ClientConfig {
    versions().with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

/// Returns the TLS of a pool: what `roots` trusts and, for the hosts of `special`, what that says.
///
/// Fails with a text that says what is wrong with `special`.
pub(super) fn configuration(roots: Option<Roots>, special: &Special<'_>) -> Result<ClientConfig, String> {
    let verifier = Verifier { provider: provider(), roots, special: trust(special)? };
    let builder = versions().dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut tls = match special.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain =
                certificates(&identity.certificates).map_err(|why| format!("the certificate of the client: {why}"))?;
            let key = private_key(&identity.key).map_err(|why| format!("the key of the client: {why}"))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                TlsError::InconsistentKeys(_) => "the key of the client is not the one of its certificate".to_owned(),
                error => format!("the key of the client: {}", unusable(&error)),
            })?
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

/// Why a certificate was refused that no case of rustls names.
#[derive(Debug, thiserror::Error)]
pub(super) enum Doubt {
    /// It is signed by itself, and nobody said that it is to be trusted.
    #[error("it is self-signed, and not one that is trusted here")]
    SelfSigned,
    /// It is an authority's, used as that of a server.
    #[error("it is the certificate of an authority, used as that of a server")]
    Authority,
}

/// The cryptography is chosen here and not for the whole process, which belongs to whoever embeds this library.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn versions() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers what TLS 1.2 and 1.3 need")
}

/// Judges the certificates of servers.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    roots: Option<Roots>,
    special: Trust,
}

/// What holds for some hosts only.
#[derive(Debug, Default)]
struct Trust {
    hosts: Vec<ServerName<'static>>,
    skip_verify: bool,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// The authorities' own certificates. Tools that make a self-signed certificate mark it as an authority's, which
    /// no chain may end with; whoever lists exactly this one means it.
    listed: Vec<CertificateDer<'static>>,
}

fn trust(special: &Special<'_>) -> Result<Trust, String> {
    let name = |host: &&str| {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // A host that is no name of a certificate has none that fits, and is judged like any other.
        ServerName::try_from(bare.to_owned()).ok()
    };
    let mut trust = Trust {
        hosts: special.hosts.iter().filter_map(name).collect(),
        skip_verify: special.skip_verify,
        ..Trust::default()
    };
    if !special.authorities.is_empty() {
        let wrong = |why: String| format!("the authorities: {why}");
        trust.listed = certificates(special.authorities).map_err(wrong)?;
        let mut store = RootCertStore::empty();
        for certificate in &trust.listed {
            store.add(certificate.clone()).map_err(|error| wrong(unusable(&error)))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider()).build();
        trust.authorities = Some(verifier.map_err(|_| wrong("they are not usable".to_owned()))?);
    }
    Ok(trust)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let special = self.special.hosts.iter().any(|host| host == server_name).then_some(&self.special);
        if special.is_some_and(|special| special.skip_verify) {
            return Ok(ServerCertVerified::assertion());
        }
        let ask = |verifier: &dyn ServerCertVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let mut refusal = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        if let Some(Trust { authorities: Some(authorities), listed, .. }) = special {
            match ask(&**authorities) {
                Ok(verified) => return Ok(verified),
                // The time was compared before that.
                Err(error) if is_authority(&error) && listed.contains(end_entity) => {
                    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                    return Ok(ServerCertVerified::assertion());
                }
                Err(error) => refusal = error,
            }
        }
        if let Some(Roots(roots)) = &self.roots {
            match ask(&**roots) {
                Ok(verified) => return Ok(verified),
                // What signs it is known to the other, which therefore knows more about what is wrong.
                Err(error) if is_unknown(&refusal) => refusal = error,
                Err(_) => {}
            }
        }
        Err(explained(end_entity, refusal))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_unknown(error: &TlsError) -> bool {
    matches!(error, TlsError::InvalidCertificate(CertificateError::UnknownIssuer))
}

fn is_authority(error: &TlsError) -> bool {
    let TlsError::InvalidCertificate(CertificateError::Other(OtherError(other))) = error else { return false };
    matches!(other.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Tells apart what rustls does not: a certificate that nobody signed from one that a stranger signed.
fn explained(end_entity: &CertificateDer<'_>, error: TlsError) -> TlsError {
    let doubt = if !is_unknown(&error) && !is_authority(&error) {
        return error;
    } else if webpki::EndEntityCert::try_from(end_entity).is_ok_and(|parsed| parsed.issuer() == parsed.subject()) {
        Doubt::SelfSigned
    } else if is_authority(&error) {
        Doubt::Authority
    } else {
        return error;
    };
    TlsError::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(doubt))))
}

/// Reads certificates in PEM, of which there is at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(read) if read.is_empty() => Err(misspelt(&pem::Error::NoItemsFound).to_owned()),
        Ok(read) => Ok(read),
        Err(error) => Err(misspelt(&error).to_owned()),
    }
}

/// Reads a private key in PEM.
pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, &'static str> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        // What is encrypted has another label.
        pem::Error::NoItemsFound => "it holds no unencrypted private key in PEM",
        error => misspelt(&error),
    })
}

/// Says what is wrong with PEM. The crate's own text repeats lines of it, and the file may hold a key as well.
fn misspelt(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section of the PEM has no end",
        pem::Error::IllegalSectionStart { .. } => "a section of the PEM begins with a line that is none",
        pem::Error::Base64Decode(_) => "a section of the PEM is not base64",
        pem::Error::SectionTooLarge => "a section of the PEM is too large",
        pem::Error::NoItemsFound => "it holds no certificate in PEM",
        _ => "it is not PEM",
    }
}

/// Says why a certificate or key that was read cannot be used, without its content.
pub(crate) fn unusable(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(_) => "a section of the PEM is not a certificate".to_owned(),
        error => super::error::brief(&error.to_string()),
    }
}
