//! Attacks by the generated bindings: too much of everything, names that are paths, addresses that nobody gave, and
//! traps in the middle of things.

use crate::guest::wharf::images::types::{ErrorCode, Origin};
use crate::guest::wharf::images::{content, credentials, layers, metadata};
use crate::guest::wit_stream;
use std::fmt::Debug;
use std::future::Future;
use std::hint::black_box;
use std::mem::forget;
use std::ops::Range;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use wasip3::http::types::{Fields, Method, Request, Response, Scheme};

/// A tar archive without entries, and what it hashes to.
const EMPTY: [u8; 1024] = [0; 1024];
const DIGEST: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// Addresses of the stack that no call comes down to.
const STACK_STAINED: Range<usize> = 65_536..524_288;

/// Runs an attack of this file; none if there is none of this name.
pub(crate) async fn run(name: &str, words: &[String], count: u64) -> Option<Vec<String>> {
    let outcome = match name {
        "honest" => honest().await,
        "spin" => spin(),
        "recurse" => recurse(count),
        "grow" => grow(count),
        "stain" => stain(count),
        "log" => log(words, count),
        "names" => names(words).await,
        "reach" => reach(words).await,
        "login" => login(words).await,
        "search" => search(words),
        "die" => die().await,
        "hoard-ingests" => hoard(count, async |at| content::begin(format!("hoard-{at}")).await).await,
        "hoard-blobs" => {
            drop(blob().await);
            hoard(count, async |_| content::open(DIGEST.to_owned()).await).await
        }
        "hoard-transactions" => hoard(count, async |_| metadata::begin().await).await,
        "hoard-layers" => {
            let blob = blob().await;
            drop(layers::unpack(&blob, DIGEST.to_owned()).await.expect("the archive is one"));
            hoard(count, async |_| layers::open(DIGEST.to_owned()).await).await
        }
        "hoard-extractions" => {
            let ingest = content::begin("followed".to_owned()).await.expect("nobody holds it");
            hoard(count, async |_| Ok::<_, ErrorCode>(layers::follow(&ingest))).await
        }
        "hoard-grants" => hoard(count, async |_| authorize(&words[0]).await).await,
        "hoard-fields" => hoard(count, async |_| Ok::<_, ErrorCode>(Fields::new())).await,
        "hoard-requests" => hoard(count, async |_| Ok::<_, ErrorCode>(request("a.example", "/"))).await,
        "hoard-responses" => hoard(count, async |_| Ok::<_, ErrorCode>(response())).await,
        "hoard-streams" => hoard(count, async |_| Ok::<_, ErrorCode>(wit_stream::new::<u8>())).await,
        "hoard-futures" => {
            hoard(count, async |_| Ok::<_, ErrorCode>(wasip3::wit_future::new::<Result<_, _>>(|| Ok(None)))).await
        }
        "hoard-served" => {
            let blob = blob().await;
            hoard(count, async |_| Ok::<_, ErrorCode>(blob.stream(0))).await
        }
        "hoard-parts" => {
            let bytes = vec![0; 1 << 20];
            hoard(count, async |_| Ok::<_, ErrorCode>(content::concat(&[content::Part::Bytes(bytes.clone())]))).await
        }
        "hoard-calls" => calls(count),
        _ => return None,
    };
    Some(outcome)
}

/// Does what a good component does, from bytes to a record.
async fn honest() -> Vec<String> {
    let blob = blob().await;
    let layer = layers::unpack(&blob, DIGEST.to_owned()).await.expect("the archive is one");
    layers::stack("honest".to_owned(), None, &layer).await.expect("one layer can be stacked");
    let transaction = metadata::begin().await.expect("there is none");
    transaction.get("default".to_owned(), "honest".to_owned()).await.expect("the store can be read");
    transaction.put("default", "honest", b"1");
    metadata::Transaction::commit(transaction).await.expect("nobody else writes");
    vec![blob.digest()]
}

/// Brings the empty archive into the store.
async fn blob() -> content::Blob {
    let ingest = content::begin("the same for everybody".to_owned()).await.expect("it comes free");
    if let Ok(blob) = content::open(DIGEST.to_owned()).await {
        return blob;
    }
    ingest.restart().await.expect("it is held");
    let (bytes, _) = content::concat(&[content::Part::Bytes(EMPTY.to_vec())]);
    ingest.append(bytes, 1 << 20).await.expect("the disk has space");
    content::Ingest::commit(ingest, DIGEST.to_owned(), EMPTY.len() as u64).await.expect("the bytes are these")
}

fn spin() -> Vec<String> {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

fn recurse(depth: u64) -> Vec<String> {
    fn down(depth: u64) -> u64 {
        let frame = black_box([depth; 16]);
        if depth == 0 { 0 } else { down(depth - 1) + frame[usize::try_from(depth % 16).unwrap_or(0)] }
    }
    vec![down(depth).to_string()]
}

fn grow(pages: u64) -> Vec<String> {
    let mut grown = 0;
    for _ in 0..pages {
        if core::arch::wasm32::memory_grow::<0>(1) == usize::MAX {
            break;
        }
        grown += 1;
    }
    vec![grown.to_string()]
}

/// Writes where nothing of its own is, and tells what was there before: whether in its data, and how many bytes of the
/// stack below what is used, and of so many pages behind everything else.
fn stain(pages: u64) -> Vec<String> {
    static STAINED: AtomicBool = AtomicBool::new(false);
    let is_stained = STAINED.swap(true, Ordering::Relaxed);
    let top = &raw const is_stained as usize;
    // The stack goes down to the first address, and the linker has given it a megabyte.
    assert!((STACK_STAINED.end..2 << 20).contains(&top), "the stack is at {top:#x}");
    let stack = stain_at(STACK_STAINED.start, STACK_STAINED.len());
    let pages = usize::try_from(pages).unwrap_or(usize::MAX);
    let end = core::arch::wasm32::memory_grow::<0>(pages);
    assert_ne!(end, usize::MAX, "there is more memory");
    let behind = stain_at(end << 16, pages << 16);
    vec![is_stained.to_string(), stack.to_string(), behind.to_string()]
}

fn stain_at(begin: usize, length: usize) -> usize {
    // SAFETY: all of it is this component's memory, and nothing of the program is there.
    let bytes = unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut::<u8>(begin), length) };
    let found = bytes.iter().filter(|byte| **byte != 0).count();
    black_box(bytes).fill(0xa5);
    found
}

fn log(words: &[String], count: u64) -> Vec<String> {
    for _ in 0..count {
        eprintln!("{}", words[0]);
    }
    vec!["written".to_owned()]
}

/// Makes one after the other and gives none back. Returns how many there were, and what ended it.
async fn hoard<T, E: Debug>(count: u64, make: impl AsyncFn(u64) -> Result<T, E>) -> Vec<String> {
    for at in 0..count {
        match make(at).await {
            Ok(one) => forget(one),
            Err(error) => return vec![at.to_string(), format!("{error:?}")],
        }
    }
    vec![count.to_string()]
}

/// Begins calls that do not return soon, and waits for none.
fn calls(count: u64) -> Vec<String> {
    let mut context = Context::from_waker(Waker::noop());
    for at in 0..count {
        let mut call = Box::pin(async move { content::begin(format!("call-{at}")).await });
        _ = pin!(call.as_mut()).poll(&mut context);
        forget(call);
    }
    vec![count.to_string()]
}

/// Gives each word to every import that takes a text.
async fn names(words: &[String]) -> Vec<String> {
    let mut outcomes = Vec::new();
    let blob = blob().await;
    let layer = layers::unpack(&blob, DIGEST.to_owned()).await.expect("the archive is one");
    for word in words {
        let mut told = |import: &str, outcome: Result<(), String>| {
            let outcome = outcome.err().unwrap_or_else(|| "ok".to_owned());
            outcomes.push(format!("{import}\t{}\t{outcome}", word.escape_debug()));
        };
        fn of<T, E: Debug>(result: Result<T, E>) -> Result<(), String> {
            result.map(drop).map_err(|error| format!("{error:?}"))
        }
        told("content.open", of(content::open(word.clone()).await));
        told("content.remove", of(content::remove(word.clone()).await));
        told("content.entries", of(content::entries(Some(word.clone()), 10).await));
        match content::begin(word.clone()).await {
            Ok(ingest) => {
                told("content.begin", Ok(()));
                let (bytes, _) = content::concat(&[content::Part::Bytes(EMPTY.to_vec())]);
                told("content.ingest.append", of(ingest.append(bytes, 1 << 20).await));
                told("content.ingest.commit", of(content::Ingest::commit(ingest, word.clone(), 1024).await));
            }
            Err(error) => told("content.begin", Err(format!("{error:?}"))),
        }
        told("layers.open", of(layers::open(word.clone()).await));
        told("layers.unpack", of(layers::unpack(&blob, word.clone()).await));
        told("layers.stack", of(layers::stack(word.clone(), None, &layer).await));
        told("layers.find", of(layers::find(word.clone()).await));
        told("layers.entries", of(layers::entries(Some(word.clone()), 10).await));
        told("layers.remove", of(layers::remove(word.clone()).await));
        let transaction = metadata::begin().await.expect("there is none");
        told("metadata.get", of(transaction.get(word.clone(), word.clone()).await));
        told("metadata.scan", of(transaction.scan(word.clone(), word.clone(), Some(word.clone()), 10).await));
        transaction.put(word, word, word.as_bytes());
        transaction.delete(word, word);
        told("metadata.commit", of(metadata::Transaction::commit(transaction).await));
        told("credentials.authorize", of(authorize(word).await));
    }
    outcomes
}

async fn authorize(authority: &str) -> Result<credentials::Grant, ErrorCode> {
    let registry = Origin { secure: false, authority: authority.to_owned() };
    let challenge = credentials::Challenge::Basic;
    credentials::authorize(registry, Some("a/b".to_owned()), challenge, credentials::Visit::WithLogin).await
}

fn request(authority: &str, path: &str) -> Request {
    let (_, trailers) = wasip3::wit_future::new(|| Ok(None));
    let (request, sent) = Request::new(Fields::new(), None, trailers, None);
    drop(sent);
    _ = request.set_method(&Method::Get);
    _ = request.set_scheme(Some(&Scheme::Http));
    _ = request.set_authority(Some(authority));
    _ = request.set_path_with_query(Some(path));
    request
}

fn response() -> Response {
    let (_, trailers) = wasip3::wit_future::new(|| Ok(None));
    let (response, sent) = Response::new(Fields::new(), None, trailers);
    drop(sent);
    response
}

/// Sends a request to each of these authorities.
async fn reach(words: &[String]) -> Vec<String> {
    let mut outcomes = Vec::new();
    for word in words {
        let outcome = match wasip3::http::client::send(request(word, "/v2/")).await {
            Ok(response) => response.get_status_code().to_string(),
            Err(error) => format!("{error:?}"),
        };
        outcomes.push(format!("{word}\t{outcome}"));
    }
    outcomes
}

/// Uses the login for a registry, and tries to set and to read what carries it. The first word is the registry; the
/// others are what to look for, each letter shifted by one.
async fn login(words: &[String]) -> Vec<String> {
    let grant = authorize(&words[0]).await.expect("there is a login");
    let (_, trailers) = wasip3::wit_future::new(|| Ok(None));
    let fields = Fields::new();
    let refused = fields.append("authorization", b"Basic eA==").is_err();
    fields.append("wharf-grant", grant.id().as_bytes()).expect("it is a header like any other");
    let (request, _) = Request::new(fields, None, trailers, None);
    _ = request.set_scheme(Some(&Scheme::Http));
    _ = request.set_authority(Some(&words[0]));
    _ = request.set_path_with_query(Some("/v2/"));
    let response = wasip3::http::client::send(request).await.expect("the registry answers");
    let headers = response.get_headers().copy_all();
    let answered = format!("{} with {} headers", response.get_status_code(), headers.len());
    let mut outcome = vec![format!("authorization is refused: {refused}"), answered];
    outcome.extend(search(&words[1..]));
    outcome
}

/// Counts how often each word stands in this memory. The words come with each letter shifted by one, so that the search
/// does not find itself.
fn search(words: &[String]) -> Vec<String> {
    let size = core::arch::wasm32::memory_size::<0>() << 16;
    let found = |word: &String| {
        let shifted = word.as_bytes();
        // SAFETY: the whole memory of this component, of which nothing is written meanwhile.
        let at = |at: usize| unsafe { (at as *const u8).read_volatile() };
        let is_at = |begin: usize| shifted.iter().enumerate().all(|(offset, &byte)| at(begin + offset) == byte - 1);
        (1..size - shifted.len()).filter(|&begin| is_at(begin)).count().to_string()
    };
    words.iter().map(found).collect()
}

/// Ends in the middle of everything: with a name held, a blob pinned, a transaction open, and bytes on their way.
async fn die() -> Vec<String> {
    let ingest = content::begin("the same for everybody".to_owned()).await.expect("it comes free");
    let pinned = content::open(DIGEST.to_owned()).await;
    let transaction = metadata::begin().await.expect("there is none");
    transaction.get("default".to_owned(), "honest".to_owned()).await.expect("the store can be read");
    transaction.put("default", "honest", b"dying");
    let (mut writer, bytes) = wit_stream::new::<u8>();
    let mut context = Context::from_waker(Waker::noop());
    let mut append = Box::pin(ingest.append(bytes, 1 << 20));
    _ = pin!(append.as_mut()).poll(&mut context);
    let mut write = Box::pin(writer.write(vec![1; 4_096]));
    _ = pin!(write.as_mut()).poll(&mut context);
    black_box(&pinned);
    core::arch::wasm32::unreachable()
}
