//! Clients that ask for too much, or stand still. Time is the test's own: nothing waits, and nothing is late.

use super::*;
use crate::door::whole;
use bytes::Bytes;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How much lies between the two ends of a connection.
const PIPE_BYTES: usize = 16 << 10;

fn bounds() -> Bounds {
    let seconds = Duration::from_secs;
    Bounds { head: seconds(30), idle: seconds(300), silence: seconds(120), ..Bounds::default() }
}

/// What everybody is answered: how long the body was, or why it ended.
async fn echo(request: Request<Arriving<Incoming>>) -> Response<Body> {
    let text = match request.into_body().collect().await {
        Ok(body) => format!("{} bytes", body.to_bytes().len()),
        Err(error) => error.to_string(),
    };
    Response::new(whole(text.into()))
}

async fn large(_: Request<Arriving<Incoming>>) -> Response<Body> {
    Response::new(whole(Bytes::from(vec![0; 64 * PIPE_BYTES])))
}

/// Connects a client with whoever answers so.
fn connect<A, F>(answer: A, bounds: Bounds) -> (DuplexStream, JoinHandle<()>)
where
    A: Fn(Request<Arriving<Incoming>>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (ours, theirs) = duplex(PIPE_BYTES);
    let (bounds, stop) = (Arc::new(bounds), CancellationToken::new());
    (ours, tokio::spawn(async move { attend(answer, theirs, &bounds, &stop).await }))
}

/// Everything that comes until the connection ends, and after how many seconds that is.
async fn rest(mut stream: DuplexStream) -> (String, u64) {
    let begin = Instant::now();
    let mut text = Vec::new();
    // A connection that was cut off is at its end, too.
    let _ = stream.read_to_end(&mut text).await;
    (String::from_utf8_lossy(&text).into_owned(), begin.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_nothing_is_sent_away() {
    let (stream, attended) = connect(echo, bounds());
    assert_eq!(rest(stream).await, (String::new(), 300));
    attended.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_between_requests_and_not_without_end() {
    let (mut stream, _attended) = connect(echo, bounds());
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // The last chunk of the answer.
        while !answer.ends_with(b"0 bytes\r\n0\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
        }
        sleep(Duration::from_secs(299)).await;
    }
    assert_eq!(rest(stream).await, (String::new(), 1));
}

/// A byte now and then would be enough where each of them began the time anew.
#[tokio::test(start_paused = true)]
async fn a_head_has_a_time_as_a_whole() {
    let (stream, attended) = connect(echo, bounds());
    let (reading, mut writing) = tokio::io::split(stream);
    let begin = Instant::now();
    let writer = tokio::spawn(async move {
        let mut sent = 0;
        while writing.write_all(if sent == 0 { b"G" } else { b"E" }).await.is_ok() && sent < 100 {
            sent += 1;
            sleep(Duration::from_secs(5)).await;
        }
        sent
    });
    attended.await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 30);
    assert!(writer.await.unwrap() < 10);
    drop(reading);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_brings_nothing_is_not_waited_for() {
    let (mut stream, _attended) = connect(echo, bounds());
    stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345").await.unwrap();
    let (answer, seconds) = rest(stream).await;
    assert!(answer.contains("the client has sent nothing for 120 s"), "{answer}");
    assert_eq!(seconds, 120);
}

/// Slow is not still: each byte comes before the time is over.
#[tokio::test(start_paused = true)]
async fn a_body_may_be_slow() {
    let (mut stream, _attended) = connect(echo, bounds());
    stream.write_all(b"POST / HTTP/1.0\r\nhost: a\r\ncontent-length: 10\r\n\r\n").await.unwrap();
    for _ in 0..10 {
        sleep(Duration::from_secs(119)).await;
        stream.write_all(b"1").await.unwrap();
    }
    let (answer, _) = rest(stream).await;
    assert!(answer.ends_with("10 bytes"), "{answer}");
}

/// Who is refused without a look at the body finds the connection as it was.
#[tokio::test(start_paused = true)]
async fn who_is_refused_has_sent_all_of_a_small_body() {
    let refusal = async |request: Request<Arriving<Incoming>>| {
        drop(request);
        Response::new(whole(Bytes::from_static(b"no")))
    };
    for length in [10_000, 16 << 10] {
        let (mut stream, _attended) = connect(refusal, bounds());
        for _ in 0..2 {
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            stream.write_all(&vec![b'a'; length]).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"no\r\n0\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{length}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let (mut stream, attended) = connect(large, bounds());
    let begin = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    attended.await.unwrap();
    assert_eq!(begin.elapsed().as_secs(), 120);
    let (answer, _) = rest(stream).await;
    assert!(answer.len() <= PIPE_BYTES, "{}", answer.len());
}

#[tokio::test(start_paused = true)]
async fn a_client_may_read_slowly() {
    let (mut stream, _attended) = connect(large, bounds());
    stream.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
    let mut read = 0;
    let mut buffer = vec![0; PIPE_BYTES];
    loop {
        sleep(Duration::from_secs(100)).await;
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            count => read += count,
        }
    }
    assert!(read > 64 * PIPE_BYTES, "{read}");
}

/// What takes its time is the answer, and no client's fault.
#[tokio::test(start_paused = true)]
async fn an_answer_may_take_longer_than_any_client() {
    let answer = async |_| {
        sleep(Duration::from_secs(3_600)).await;
        Response::new(whole(Bytes::from_static(b"done")))
    };
    let (mut stream, _attended) = connect(answer, bounds());
    stream.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(rest(stream).await.0.ends_with("done"));
}

#[tokio::test(start_paused = true)]
async fn a_head_has_a_size_and_a_number_of_headers() {
    let rows = [(100, 10, "200"), (101, 10, "431"), (10, 70_000, "431"), (10, 60_000, "200")];
    for (count, bytes, status) in rows {
        let (mut stream, _attended) = connect(echo, bounds());
        let mut head = "GET / HTTP/1.0\r\n".to_owned();
        for at in 0..count {
            head.push_str(&format!("h{at}: {}\r\n", "a".repeat(bytes / count)));
        }
        head.push_str("\r\n");
        // Whoever is refused may find that nobody reads on.
        let _ = stream.write_all(head.as_bytes()).await;
        let (answer, _) = rest(stream).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{count} headers of {bytes} bytes: {answer}");
    }
}
