//! Many clients at once: those that follow, and those that only stay. And bodies that are larger than a sandbox.

use super::super::{open_registry, wharf};
use super::TIMEOUT;
use crate::support::engine_api::{Serving, exchange};
use crate::support::push::large;
use crate::support::{services, wait};
use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::convert::Infallible;
use std::fs;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use wharf::door::{Body, Bounds, Door, Settings, Station};
use wharf::engine::Limits;
use wharf::images::{Access, Caller};

/// More than the thousand that have to be held.
const CLIENTS: usize = 1_100;

/// So many ask all the time, each so often before and after the memory is looked at.
const BUSY: usize = 100;
const ASKED: usize = 15;
/// What a server may have more after a crowd than after the same crowd before: the allocator's, and nobody's.
const GROWTH_BYTES_MAX: u64 = 24 << 20;

/// What a sandbox needs for small images, and what no body of a large one fits into.
const SANDBOX_BYTES: usize = 4 << 20;
const LAYER_BYTES: usize = 32 << 20;

/// A door with an empty store behind it.
fn door(bounds: Bounds) -> (TempDir, Door) {
    let (directory, services) = services();
    let settings = Settings {
        caller: Caller { namespace: "default".to_owned(), machine: wharf::machine::machine("") },
        access: Access {
            plain_http: Vec::new(),
            rules: Vec::new(),
            aliases: Vec::new(),
            retries: 0,
            silence_ms: 1_000,
        },
        unpack: false,
        concurrent_transfers: 1,
        station: Station {
            name: String::new(),
            system: String::new(),
            kernel: String::new(),
            processors: 1,
            memory_bytes: 1,
        },
    };
    let prepare = Arc::new(move |_: &[String]| Ok((services.clone(), settings.clone())));
    (directory, Door::new(prepare, bounds).expect("the component loads"))
}

async fn ask(door: &Door, target: &str) -> Response<Body> {
    let request = Request::get(target).body(Full::new(Bytes::new())).expect("an address");
    timeout(TIMEOUT, door.answer(request)).await.expect("it is answered")
}

async fn pull(door: &Door, target: &str) -> Response<Body> {
    let request = Request::post(target).body(Full::new(Bytes::new())).expect("an address");
    timeout(TIMEOUT, door.answer(request)).await.expect("it is answered")
}

/// Reads an answer to its end, which ends its turn.
async fn text(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("it has an end").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Whoever follows events has no end. With the turns of ordinary requests a few of them would be all that is answered.
#[test]
fn followers_take_no_turns_of_others_and_are_limited() {
    let (directory, door) = door(Bounds { requests: 1, followers: 2, ..Bounds::default() });
    wait(async move {
        let (first, second) = (ask(&door, "/events").await, ask(&door, "/v1.41/events").await);
        assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
        for _ in 0..2 {
            assert_eq!(text(ask(&door, "/_ping").await).await, (200, "OK".to_owned()));
        }
        let (status, why) = text(ask(&door, "/events").await).await;
        assert_eq!((status, why.contains("2 clients follow events already")), (503, true), "{why}");
        assert!(door.metrics().contains("wharf_followers 2"));
        // Who leaves makes room.
        drop(first);
        let begin = Instant::now();
        let third = loop {
            let third = ask(&door, "/events").await;
            if third.status() == 200 {
                break third;
            }
            assert!(begin.elapsed() < TIMEOUT, "nobody has noticed that a follower is gone");
            sleep(Duration::from_millis(20)).await;
        };
        drop((second, third, directory));
    });
}

/// There are as many sandboxes as turns. Whoever waits for one is answered like everybody else.
#[test]
fn requests_beyond_the_pool_are_served_in_turn() {
    let (directory, door) = door(Bounds { requests: 2, followers: 1, ..Bounds::default() });
    wait(async move {
        // Two archives that do not arrive, and one that follows: every sandbox is taken.
        let stalled = || {
            let (sender, mut receiver) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
            let body = StreamBody::new(stream::poll_fn(move |cx| receiver.poll_recv(cx)));
            let request = Request::post("/images/load").body(body).expect("an address");
            let door = door.clone();
            (sender, tokio::spawn(async move { text(door.answer(request).await).await }))
        };
        let ((first, of_first), (second, of_second)) = (stalled(), stalled());
        let follower = ask(&door, "/events").await;
        let begin = Instant::now();
        while !door.metrics().contains("wharf_sandbox_instantiations_total 3") {
            assert!(begin.elapsed() < TIMEOUT, "{}", door.metrics());
            sleep(Duration::from_millis(5)).await;
        }
        let waiting = (0..40).map(|_| {
            let door = door.clone();
            tokio::spawn(async move { text(ask(&door, "/_ping").await).await })
        });
        let waiting: Vec<_> = waiting.collect();
        sleep(Duration::from_millis(200)).await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        // One of the archives ends, which is no archive.
        drop(first);
        assert_eq!(of_first.await.expect("it does not panic").0, 400);
        for answered in waiting {
            assert_eq!(answered.await.expect("it does not panic"), (200, "OK".to_owned()));
        }
        assert!(!of_second.is_finished());
        drop((second, follower, directory));
    });
}

/// Whoever takes nothing while a pull ends does not learn how. An answer that ended there as if it were whole would say
/// that nothing has failed.
#[test]
fn an_answer_whose_end_nobody_takes_is_broken_off() {
    let registry = open_registry();
    registry.push("app", "1", &large(3, 2, 100_000));
    let target = format!("/v1.41/images/create?fromImage={}/app&tag=1", registry.address());
    let (directory, door) = door(Bounds::default());
    wait(async move {
        let stalled = pull(&door, &target).await;
        assert_eq!(stalled.status(), 200);
        let begin = Instant::now();
        while !text(ask(&door, "/v1.41/images/json").await).await.1.contains("/app:1") {
            assert!(begin.elapsed() < TIMEOUT, "the pull does not end");
            sleep(Duration::from_millis(20)).await;
        }
        // Longer than the end of a verb waits for its listener.
        sleep(Duration::from_secs(5)).await;
        let read = timeout(TIMEOUT, stalled.into_body().collect()).await.expect("it has an end");
        assert!(read.is_err(), "the answer looks whole");
        let (status, lines) = text(pull(&door, &target).await).await;
        assert_eq!((status, lines.contains("Status: Image is up to date")), (200, true), "{lines}");
        drop(directory);
    });
}

#[test]
fn a_request_that_uses_too_much_is_told_so_and_counted_and_the_next_is_served() {
    let (directory, door) = door(Bounds::default());
    wait(async move {
        for (limits, why) in [
            (Limits { fuel: 10_000, ..Limits::default() }, "fuel"),
            // What a sandbox begins with, and nothing for its work.
            (Limits { memory_bytes_max: 1_310_720, ..Limits::default() }, "memory"),
        ] {
            let narrow = door.clone().with_limits(limits);
            let target = format!("/images/json?{}", "a=&".repeat(4_000));
            let (status, text) = text(ask(&narrow, &target).await).await;
            assert_eq!((status, text.contains("the sandbox stopped the request")), (500, true), "{why}: {text}");
            let line = format!("wharf_sandbox_stopped_total{{why=\"{why}\"}} 1");
            assert!(door.metrics().contains(&line), "{line}: {}", door.metrics());
            assert_eq!(self::text(ask(&door, "/_ping").await).await, (200, "OK".to_owned()));
        }
        drop(directory);
    });
}

/// Bodies go between the client and the store: none of them is ever in the memory of the component.
#[test]
fn images_of_any_size_pass_a_sandbox_of_a_few_megabytes() {
    let registry = open_registry();
    registry.push("app", "1", &large(6, 1, LAYER_BYTES));
    let address = registry.address();
    let name = format!("{address}/app:1");
    let (from, wharf) = wharf();
    wharf.run(&["pull", "-q", &name]).success();
    let archive = from.path().join("app.tar");
    wharf.run(&["save", "-q", &name, "-o", &archive.to_string_lossy()]).success();
    let archive = Bytes::from(fs::read(&archive).expect("it was written"));
    let (directory, door) = door(Bounds::default());
    let narrow = door.with_limits(Limits { memory_bytes_max: SANDBOX_BYTES, ..Limits::default() });
    wait(async move {
        let send = async |method: &str, target: &str, body: Bytes| {
            let request = Request::builder().method(method).uri(target).body(Full::new(body)).expect("an address");
            timeout(TIMEOUT, narrow.answer(request)).await.expect("it is answered")
        };
        let tell = async |method: &str, target: &str, body: Bytes| text(send(method, target, body).await).await;
        let (status, told) = tell("POST", "/images/load", archive).await;
        assert_eq!((status, told.contains("Loaded image")), (200, true), "{told}");
        let saved = send("GET", &format!("/images/{name}/get"), Bytes::new()).await;
        let saved = saved.into_body().collect().await.expect("it has an end").to_bytes();
        assert!(saved.len() > LAYER_BYTES, "{}", saved.len());
        let (_, told) = tell("POST", &format!("/images/{name}/tag?repo={address}/copy&tag=2"), Bytes::new()).await;
        assert_eq!(told, "");
        let (_, told) = tell("POST", &format!("/images/{address}/copy/push?tag=2"), Bytes::new()).await;
        assert!(told.contains("2: digest: sha256:"), "{told}");
        for name in [&name, &format!("{address}/copy:2")] {
            assert_eq!(tell("DELETE", &format!("/images/{name}"), Bytes::new()).await.0, 200);
        }
        let target = format!("/images/create?fromImage={address}/copy&tag=2");
        let (_, told) = tell("POST", &target, Bytes::new()).await;
        assert!(told.contains("Downloaded newer image"), "{told}");
        let (_, told) = tell("POST", "/images/create?fromSrc=-&repo=imported&tag=1", saved).await;
        assert!(told.contains("sha256:"), "{told}");
        drop(directory);
    });
}

#[test]
fn more_than_a_thousand_idle_clients_are_held() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("a process may have what it may have");
    let (directory, wharf) = wharf();
    let serving = Serving::start(&wharf, directory.path(), &[]);
    let connect = |_| {
        let stream = UnixStream::connect(serving.socket()).expect("it listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time limit");
        stream
    };
    let mut clients: Vec<UnixStream> = (0..CLIENTS).map(connect).collect();
    // The first, the last, and one who comes now.
    for stream in [clients.pop(), Some(clients.swap_remove(0)), Some(connect(0))].into_iter().flatten() {
        assert_eq!(exchange(stream, "GET", "/_ping", &[], b"").text(), "OK");
    }
}

/// Whoever was answered leaves nothing behind: a crowd finds the memory that earlier ones have left. How much that is hangs on
/// how many requests met by chance, each on a thread and in a sandbox, so that the first ones count together.
#[test]
fn a_hundred_busy_clients_are_answered_in_the_same_memory() {
    let registry = open_registry();
    registry.push("app", "1", &large(3, 2, 10_000));
    let (directory, wharf) = wharf();
    wharf.run(&["pull", "-q", &format!("{}/app:1", registry.address())]).success();
    let serving = Serving::start(&wharf, directory.path(), &[]);
    let crowd = || {
        thread::scope(|scope| {
            for _ in 0..BUSY {
                scope.spawn(|| {
                    for _ in 0..ASKED {
                        assert_eq!(serving.get("/v1.41/images/json").json(200).as_array().map(Vec::len), Some(1));
                    }
                });
            }
        });
        resident_bytes(serving.process())
    };
    let [first, rest] = [(); 2].map(|()| [(); 4].map(|()| crowd()));
    let [before, after] = [first, rest].map(|crowds| crowds.into_iter().max().expect("there are four"));
    assert!(after <= before + GROWTH_BYTES_MAX, "{first:?} bytes after each of the first crowds, and then {rest:?}");
}

fn resident_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of the kernel");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
}
