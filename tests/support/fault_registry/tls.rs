//! A server that speaks TLS with a certificate that nobody has reason to trust. It answers nothing.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The server. It listens until the process ends.
#[derive(Debug)]
pub(crate) struct Untrusted {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Connections that began with TLS.
    secure: AtomicU32,
    /// Connections that began with anything else.
    plain: AtomicU32,
}

impl Untrusted {
    /// Starts on a free port, with a certificate for 127.0.0.1 that it signed itself.
    pub(crate) fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("the name fits a certificate");
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the usual ciphers")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the key belongs to the certificate");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the machine has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let (tls, counts) = (Arc::new(tls), Arc::new(Counts::default()));
        let served = Self { address, counts: counts.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                greet(stream, &tls, &counts);
            }
        });
        served
    }

    /// Where it listens, as in `127.0.0.1:40123`.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// How many connections began with TLS, and how many with anything else.
    pub(crate) fn connections(&self) -> (u32, u32) {
        (self.counts.secure.load(SeqCst), self.counts.plain.load(SeqCst))
    }
}

fn greet(mut stream: TcpStream, tls: &Arc<rustls::ServerConfig>, counts: &Counts) {
    let mut first = [0];
    // A connection of which nothing comes says nothing.
    if !matches!(stream.peek(&mut first), Ok(1)) {
        return;
    }
    // RFC 8446 section 5.1: a handshake begins with the record type 22.
    if first != [22] {
        counts.plain.fetch_add(1, SeqCst);
        return;
    }
    counts.secure.fetch_add(1, SeqCst);
    let _ = stream.set_read_timeout(Some(HANDSHAKE));
    let mut connection = rustls::ServerConnection::new(tls.clone()).expect("the configuration is whole");
    // It fails as soon as the client has seen the certificate.
    let _ = connection.complete_io(&mut stream);
}
