//! The limit of bytes a second, on bodies that come over the wire.

use super::listener::Listener;
use super::{get, network_with};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use wharf::network::{Error, Network, Settings, Stage, Timeouts};

fn limited(bytes_per_second: u64, server: &Listener) -> Network {
    let settings = Settings { bytes_per_second: NonZeroU64::new(bytes_per_second), ..Settings::default() };
    network_with(settings, &server.authority())
}

/// A server that sends `bytes` at once.
fn source(bytes: usize) -> Listener {
    Listener::start(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n");
        [head.into_bytes(), vec![7; bytes]].concat()
    })
}

/// Reads a body, and returns how much came and the largest piece.
async fn read(network: &Network, server: &Listener, timeouts: Timeouts) -> Result<(usize, usize), Error> {
    let response = network.send(get(&format!("http://{}/", server.authority())), timeouts).await?;
    let (mut body, mut total, mut largest) = (response.into_body(), 0, 0);
    while let Some(frame) = body.frame().await {
        let data: Bytes = frame?.into_data().expect("these servers send no trailers");
        total += data.len();
        largest = largest.max(data.len());
    }
    Ok((total, largest))
}

#[tokio::test]
async fn bodies_share_the_rate() {
    const BYTES: usize = 100_000;
    const RATE: u64 = 400_000;
    let server = source(BYTES);
    let network = limited(RATE, &server);
    let begin = Instant::now();
    let each = |_| read(&network, &server, Timeouts::default());
    let outcomes = futures::future::join_all((0..6).map(each)).await;
    let took = begin.elapsed();
    for outcome in outcomes {
        let (total, largest) = outcome.expect("a body");
        assert_eq!(total, BYTES);
        assert!(largest as u64 <= RATE / 64, "a piece of {largest} bytes");
    }
    // 1.5 seconds' worth, of which a sixteenth of a second comes at once. How much slower it may be is a matter of the
    // clock alone, and is tested with a clock that stands still.
    assert!(took >= Duration::from_millis(1_350), "{took:?}");
}

/// What is sent has the same limit, and one of its own: what comes in does not use it up.
#[tokio::test]
async fn what_is_sent_shares_a_rate_as_well() {
    const BYTES: usize = 100_000;
    const RATE: u64 = 400_000;
    let server =
        Listener::start(|_| b"HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec());
    let network = limited(RATE, &server);
    let begin = Instant::now();
    let each = |_| async {
        let chunks = (0..10).map(|_| Ok(Frame::data(Bytes::from(vec![7; BYTES / 10]))));
        let body = BodyExt::boxed_unsync(StreamBody::new(futures::stream::iter(chunks)));
        let request = http::Request::put(format!("http://{}/", server.authority())).header("content-length", BYTES);
        network.send(request.body(body).expect("a request"), Timeouts::default()).await.map(|answer| answer.status())
    };
    let outcomes = futures::future::join_all((0..6).map(each)).await;
    let took = begin.elapsed();
    for outcome in outcomes {
        assert_eq!(outcome.expect("an answer"), 201);
    }
    let received: usize = server.requests().iter().map(|request| request.body.len()).sum();
    assert_eq!(received, 6 * BYTES, "nothing is lost or sent twice");
    assert!(took >= Duration::from_millis(1_350), "{took:?}");
}

#[tokio::test]
async fn without_a_limit_nothing_waits_and_nothing_is_cut() {
    let server = source(1_000_000);
    let network = network_with(Settings::default(), &server.authority());
    let (total, largest) = read(&network, &server, Timeouts::default()).await.expect("a body");
    assert_eq!(total, 1_000_000);
    assert!(largest > 4_096, "{largest}");
}

/// Ten seconds' worth is here at once, and the server has said all it has to say.
#[tokio::test]
async fn waiting_for_the_rate_is_no_silence_of_the_server() {
    let server = source(300);
    let timeouts = Timeouts { between_bytes: Duration::from_millis(100), ..Timeouts::default() };
    // A piece of one byte each 200 ms is slower than what the server is allowed.
    let network = limited(5, &source(1));
    network.allow(&server.authority()).expect("an authority");
    let response = network.send(get(&format!("http://{}/", server.authority())), timeouts).await.expect("a head");
    let mut body = response.into_body();
    for _ in 0..6 {
        let piece = body.frame().await.expect("a frame").expect("no timeout").into_data().expect("data");
        assert_eq!(piece.len(), 1);
    }
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(294));

    // A server that really says nothing is still noticed.
    let stalled = Listener::start_slow(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel").and_then(|()| stream.flush());
        std::thread::sleep(Duration::from_secs(20));
    });
    network.allow(&stalled.authority()).expect("an authority");
    let expected = Error::Timeout { authority: stalled.authority(), stage: Stage::Body };
    assert_eq!(read(&network, &stalled, timeouts).await, Err(expected));
}
