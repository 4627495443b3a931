//! Writes of content that are not done: `ctr` lists one while a client in Rust holds it, and what has come over a
//! connection that broke in the middle of a message is gone on with.

use super::{Door, asked};
use crate::support::wait;
use bytes::Bytes;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::{StatusRequest, WriteAction, WriteContentRequest, WriteContentResponse};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Status};
use futures::channel::mpsc::unbounded;
use futures::stream;
use http::Request;
use prost::Message;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::time::timeout;
use wharf::demo::image::{digest, noise};

/// How long an answer may take, and how long a server may take to see that a client has gone.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How many bytes come before the write is left.
const HALF_BYTES: usize = 10_000;
/// How the write is called.
const NAME: &str = "half";

fn message(action: WriteAction, offset: usize, data: &[u8]) -> WriteContentRequest {
    let offset = i64::try_from(offset).expect("it is small");
    WriteContentRequest {
        action: action.into(),
        r#ref: NAME.to_owned(),
        offset,
        data: data.to_vec(),
        ..WriteContentRequest::default()
    }
}

/// Sends messages as one write, and returns the answers to all.
async fn write(channel: Channel, messages: Vec<WriteContentRequest>) -> Result<Vec<WriteContentResponse>, Status> {
    let mut answers = ContentClient::new(channel).write(asked(stream::iter(messages))).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = timeout(TIMEOUT, answers.message()).await.expect("something comes")? {
        all.push(answer);
    }
    Ok(all)
}

/// Returns how many bytes of the write are here.
async fn standing(channel: Channel) -> i64 {
    let request = asked(StatusRequest { r#ref: NAME.to_owned() });
    let answer = ContentClient::new(channel).status(request).await.expect("it is known");
    answer.into_inner().status.expect("a status").offset
}

/// The fields of the lines of `ctr content active`, without the head.
fn active(door: &Door) -> Vec<Vec<String>> {
    let table = door.ctr_tells(&["content", "active"]);
    table.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn a_write_that_goes_on_is_listed_and_is_one_clients_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let bytes = noise(130, 2 * HALF_BYTES);
    let (channel, first) = (door.channel(), message(WriteAction::Write, 0, &bytes[..HALF_BYTES]));
    let (messages, mut answers, answer) = wait(async move {
        let (messages, all) = unbounded();
        messages.unbounded_send(first).expect("it is open");
        let mut answers = ContentClient::new(channel).write(asked(all)).await.expect("a stream").into_inner();
        let answer = answers.message().await.expect("it is taken").expect("an answer");
        (messages, answers, answer)
    });
    assert_eq!((answer.offset, answer.digest), (10_000, digest(&bytes[..HALF_BYTES])));
    let listed = active(&door);
    assert_eq!(listed.iter().map(|line| (line[0].as_str(), line[1].as_str())).collect::<Vec<_>>(), [(NAME, "10kB")]);
    let (channel, second) = (door.channel(), message(WriteAction::Stat, 0, &[]));
    let refused = wait(write(channel, vec![second])).map_err(|status| (status.code(), status.message().to_owned()));
    let (code, why) = refused.expect_err("somebody writes");
    assert_eq!((code, why.contains("locked")), (Code::Unavailable, true), "{why}");
    let rest = message(WriteAction::Commit, HALF_BYTES, &bytes[HALF_BYTES..]);
    messages.unbounded_send(rest).expect("it goes on");
    let committed = wait(async move { answers.message().await }).expect("it is taken").expect("an answer");
    assert_eq!((committed.offset, &committed.digest), (20_000, &digest(&bytes)));
    assert_eq!(active(&door), Vec::<Vec<String>>::new());
    assert!(door.ctr_tells(&["content", "ls", "-q"]).contains(&committed.digest));
}

/// A message as it goes over the wire: not compressed, and how long it is.
fn framed(message: &WriteContentRequest) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(bytes.len()).expect("it is small").to_be_bytes());
    framed.extend(bytes);
    framed
}

/// Writes one message and half of another one, and has the connection break.
async fn break_off(socket: PathBuf, whole: WriteContentRequest, part: WriteContentRequest) -> WriteContentResponse {
    let stream = UnixStream::connect(socket).await.expect("somebody listens");
    let (client, mut connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    let mut pings = connection.ping_pong().expect("nobody has it");
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.expect("it is open");
    let request = Request::post("http://localhost/containerd.services.content.v1.Content/Write")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("containerd-namespace", "default")
        .body(())
        .expect("a request");
    let (answer, mut body) = client.send_request(request, false).expect("it is sent");
    body.send_data(Bytes::from(framed(&whole)), false).expect("it is sent");
    let mut answers = timeout(TIMEOUT, answer).await.expect("it is answered").expect("it is taken").into_body();
    let data =
        timeout(TIMEOUT, answers.data()).await.expect("it is answered").expect("a message").expect("it is whole");
    let part = framed(&part);
    body.send_data(Bytes::copy_from_slice(&part[..part.len() / 2]), false).expect("it is sent");
    // What was sent before is there when this is answered.
    pings.ping(h2::Ping::opaque()).await.expect("it is there");
    driver.abort();
    assert!(driver.await.is_err_and(|error| error.is_cancelled()), "nobody else has ended it");
    WriteContentResponse::decode(&data[5..]).expect("it is what it should be")
}

#[test]
fn what_came_before_a_connection_broke_is_gone_on_with() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let bytes = noise(131, 3 * HALF_BYTES);
    let (first, rest) = bytes.split_at(HALF_BYTES);
    let messages = [message(WriteAction::Write, 0, first), message(WriteAction::Write, HALF_BYTES, rest)];
    let (socket, [whole, part]) = (door.socket().to_owned(), messages);
    let answer = wait(break_off(socket, whole, part));
    assert_eq!((answer.offset, answer.digest), (10_000, digest(first)));
    assert_eq!(wait(standing(door.channel())), 10_000, "half a message is none");
    // Without asking first, from where the last answer was.
    let again = [message(WriteAction::Write, HALF_BYTES, rest), message(WriteAction::Commit, bytes.len(), &[])];
    let begin = Instant::now();
    let answers = loop {
        match wait(write(door.channel(), again.to_vec())) {
            Ok(answers) => break answers,
            // The server has not seen yet that the first one has gone.
            Err(status) if status.code() == Code::Unavailable => {}
            Err(status) => panic!("{status}"),
        }
        assert!(begin.elapsed() < TIMEOUT, "the write is held by nobody");
        sleep(Duration::from_millis(5));
    };
    let told: Vec<_> = answers.into_iter().map(|answer| (answer.offset, answer.digest)).collect();
    assert_eq!(told, [(30_000, digest(&bytes)), (30_000, digest(&bytes))]);
    assert_eq!(active(&door), Vec::<Vec<String>>::new());
    door.wharf(&["fsck"]);
}
