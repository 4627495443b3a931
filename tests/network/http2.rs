//! HTTP/2 over TLS: what is negotiated, and servers that stop, refuse or flood.
//!
//! The well-behaved half is a real server; floods are frames made by hand (RFC 9113 section 4.1), because no server
//! sends them.

use super::authority::Authority;
use super::{fetch, get, network_with};
use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use http_body_util::BodyExt;
use rustls::ServerConfig;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wharf::network::{Error, Network, Settings, Site, Timeouts};

type Socket = TlsStream<TcpStream>;
type Http2 = Connection<Socket, Bytes>;

/// What a test allows anything to take that would not end by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that lives as long as the test's runtime.
struct Server {
    origin: wharf::network::Origin,
    connections: Arc<AtomicUsize>,
    network: Network,
}

impl Server {
    /// Starts a server whose connections are served by `serve`, and a network that trusts it.
    async fn start<F>(serve: impl Fn(Socket) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let authority = Authority::new("ours");
        let mut tls: ServerConfig = authority.server(&["127.0.0.1"]);
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(socket) = acceptor.accept(socket).await else { continue };
                assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(socket));
            }
        });
        let origin = wharf::network::Origin::new(true, &address).expect("an address is an authority");
        let site = Site { authorities: authority.pem(), ..Site::new(origin.clone()) };
        let network = network_with(Settings { sites: vec![site], ..Settings::default() }, &address);
        Self { origin, connections, network }
    }

    /// Starts a server that is asked nicely: `answer` gets the path, the way to respond, and the connection.
    async fn nice<F>(answer: impl Fn(String, SendResponse<Bytes>, Http2) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Http2> + Send + 'static,
    {
        let answer = Arc::new(answer);
        Self::start(move |socket| {
            let answer = answer.clone();
            async move {
                let mut connection: Http2 = h2::server::handshake(socket).await.expect("a client of HTTP/2");
                while let Some(Ok((request, respond))) = connection.accept().await {
                    connection = answer(request.uri().path().to_owned(), respond, connection).await;
                }
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    async fn get(&self, path: &str) -> Result<(u16, String), Error> {
        let fetched = fetch(&self.network, get(&format!("{}{path}", self.origin)));
        tokio::time::timeout(PATIENCE, fetched).await.expect("an end")
    }
}

/// Sends a head and the first half of a body, and returns what sends the second.
fn half(mut respond: SendResponse<Bytes>) -> h2::SendStream<Bytes> {
    let mut body = respond.send_response(http::Response::new(()), false).expect("a stream");
    body.send_data(Bytes::from("hel"), false).expect("a stream");
    body
}

/// Lets a connection send what it has.
async fn flush(connection: &mut Http2) {
    // Nothing more is asked on it, so that this waits as long as it is told to.
    let _ =
        tokio::time::timeout(Duration::from_millis(50), std::future::poll_fn(|cx| connection.poll_closed(cx))).await;
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let server = Server::nice(|path, respond, connection| async move {
        half(respond).send_data(Bytes::from(path), true).expect("a stream");
        connection
    })
    .await;
    for path in ["/a", "/b", "/c"] {
        assert_eq!(server.get(path).await, Ok((200, format!("hel{path}"))));
    }
    let (d, e) = tokio::join!(server.get("/d"), server.get("/e"));
    assert_eq!((d, e), (Ok((200, "hel/d".to_owned())), Ok((200, "hel/e".to_owned()))));
    assert_eq!(server.connections(), 1);
}

/// RFC 9113 section 6.8: what has begun is finished, and what comes next goes elsewhere.
#[tokio::test]
async fn after_goaway_the_next_request_gets_a_new_connection() {
    let server = Server::nice(|path, respond, mut connection| async move {
        let mut body = half(respond);
        if path == "/last" {
            connection.graceful_shutdown();
            flush(&mut connection).await;
        }
        body.send_data(Bytes::from("lo"), true).expect("a stream");
        connection
    })
    .await;
    for (path, connections) in [("/first", 1), ("/last", 1), ("/next", 2), ("/last", 2), ("/next", 3)] {
        assert_eq!(server.get(path).await, Ok((200, "hello".to_owned())), "{path}");
        assert_eq!(server.connections(), connections, "{path}");
    }
}

#[tokio::test]
async fn a_stream_or_connection_that_is_reset_breaks_the_body_and_not_the_next_request() {
    let server = Server::nice(|path, respond, mut connection| async move {
        let mut body = half(respond);
        match path.as_str() {
            "/stream" => {
                flush(&mut connection).await;
                body.send_reset(Reason::INTERNAL_ERROR);
            }
            "/connection" => {
                flush(&mut connection).await;
                connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
            }
            _ => body.send_data(Bytes::from("lo"), true).expect("a stream"),
        }
        connection
    })
    .await;
    for (path, connections) in [("/stream", 1), ("/connection", 1)] {
        let request = get(&format!("{}{path}", server.origin));
        let response = server.network.send(request, Timeouts::default()).await.expect("a head");
        let mut body = response.into_body();
        let first = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
        assert_eq!(first, "hel", "{path}");
        let end = tokio::time::timeout(PATIENCE, body.frame()).await.expect("an end").expect("no silent end");
        assert!(matches!(end, Err(Error::Broken { .. })), "{path}: {end:?}");
        assert_eq!(server.connections(), connections, "{path}");
        assert_eq!(server.get("/whole").await, Ok((200, "hello".to_owned())), "{path}");
    }
    assert_eq!(server.connections(), 2);
}

/// RFC 9113 section 8.7: a request that the server refused was not looked at, and may be sent again.
#[tokio::test]
async fn a_stream_that_is_refused_is_asked_for_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let server = Server::nice(move |_, mut respond, connection| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                respond.send_reset(Reason::REFUSED_STREAM);
            } else {
                half(respond).send_data(Bytes::from("lo"), true).expect("a stream");
            }
            connection
        }
    })
    .await;
    assert_eq!(server.get("/").await, Ok((200, "hello".to_owned())));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// Frame types of RFC 9113 section 6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

/// The flag of a head that is whole.
const END_HEADERS: u8 = 4;

/// `:status: 200` of the static table of RFC 7541.
const STATUS_200: &[u8] = &[0x88];

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// How many frames a test is ready to send.
const FLOOD_FRAMES: usize = 4_000_000;

/// Answers the first request with `begin`, and then with `again` until nobody listens; returns how often.
async fn flood(mut socket: Socket, begin: Vec<u8>, again: Vec<u8>) -> usize {
    socket.read_exact(&mut [0; 24]).await.expect("the preface of RFC 9113 section 3.4");
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.expect("a frame");
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        socket.read_exact(&mut vec![0; length]).await.expect("a frame");
        if head[3] == HEADERS {
            break;
        }
    }
    let (mut unread, mut socket) = tokio::io::split(socket);
    let reading = tokio::spawn(async move { tokio::io::copy(&mut unread, &mut tokio::io::sink()).await });
    let begun = [frame(SETTINGS, 0, 0, b""), begin].concat();
    socket.write_all(&begun).await.expect("a client");
    let many = again.repeat(100);
    let mut sent = 0;
    while sent < FLOOD_FRAMES && !reading.is_finished() && socket.write_all(&many).await.is_ok() {
        sent += 100;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_the_connection() {
    let head = frame(HEADERS, END_HEADERS, 1, STATUS_200);
    // A literal header that enters no table: RFC 7541 section 6.2.2.
    let field = [&[0, 3][..], b"x-a", &[100], &[b'a'; 100]].concat();
    for (name, begin, again) in [
        ("empty DATA", head.clone(), frame(DATA, 0, 1, b"")),
        ("CONTINUATION", frame(HEADERS, 0, 1, STATUS_200), frame(CONTINUATION, 0, 1, &field)),
        ("empty CONTINUATION", frame(HEADERS, 0, 1, STATUS_200), frame(CONTINUATION, 0, 1, b"")),
    ] {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let server = Server::start(move |socket| {
            let (begin, again, counted) = (begin.clone(), again.clone(), counted.clone());
            async move {
                let sent = flood(socket, begin, again).await;
                counted.fetch_add(sent, Ordering::SeqCst);
            }
        })
        .await;
        let outcome = server.get("/").await;
        assert!(matches!(outcome, Err(Error::Broken { .. })), "{name}: {outcome:?}");
        let begin = std::time::Instant::now();
        while sent.load(Ordering::SeqCst) == 0 {
            assert!(begin.elapsed() < PATIENCE, "{name}: the connection is still there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let sent = sent.load(Ordering::SeqCst);
        // What the sockets hold is a part of it, however soon the client has had enough.
        assert!(sent < FLOOD_FRAMES, "{name}: all frames were taken");
    }
}
