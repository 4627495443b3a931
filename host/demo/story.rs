//! `wharf demo`: pulls the demonstration's image through the sandbox, once over a connection that
//! breaks, checks what arrived with other code than the one that wrote it, and says at each step what
//! crossed the boundary of the component.

use super::image::{self, Image};
use super::registry::{Images, Registry};
use crate::engine::{Crossings, Services};
use crate::hash::{Digest, Hasher};
use crate::images::{Access, Caller, ErrorCode, Event, Failure, Phase, Problem, PullOptions, Wanted, Wharf};
use crate::render;
use std::fmt::Display;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Where the first connection for a large blob is cut, in bytes.
const CUT_AFTER_BYTES: u64 = 300_000;
/// How wide the list of calls is, in columns.
const CALLS_COLUMNS_MAX: usize = 84;
/// How patient a pull is here: the registry is in the same process.
const RETRIES: u32 = 4;
const SILENCE_MS: u64 = 60_000;
/// More blobs than the image has.
const BLOBS_MAX: usize = 1_000;

/// What crossed the boundary during the last call.
type Last = Arc<Mutex<Crossings>>;

/// Runs the demonstration on an empty store. `now` is in seconds since 1970; `print` gets each step
/// as text.
pub async fn run(
    services: Services,
    caller: &Caller,
    now: i64,
    print: &mut (dyn FnMut(&str) + Send),
) -> Result<(), Failure> {
    let last = Last::default();
    let observed = last.clone();
    let content = services.content.clone();
    let wharf = Wharf::new(services)?.with_observer(move |_, crossings| {
        *observed.lock().unwrap_or_else(PoisonError::into_inner) = crossings.clone();
    });
    let wharf = &wharf;

    let image = image::demo();
    let registry = Registry::start(Images::new().with("demo", "latest", &image)).map_err(|error| broken(&error))?;
    let reference = format!("{}/demo:latest", registry.address());
    print(&format!(
        "1. An image for three platforms is in a registry in this process, at {}.\n   {}\n\n",
        registry.address(),
        described(&image)
    ));

    registry.cut_blob_after(CUT_AFTER_BYTES);
    print(&format!(
        "2. wharf pull --all-platforms {reference}\n   The registry breaks the connection once, after {CUT_AFTER_BYTES} bytes of a layer.\n"
    ));
    let mut told = Told::default();
    let pulled = pull(wharf, caller, &reference, Wanted::All, &mut |event| told.event(&event, print)).await?;
    print(&format!("   {} fetched.\n", render::size::si(pulled)));
    crossed(&last, print);

    let mut blobs = 0;
    let mut bytes = 0;
    for (digest, size) in content.entries(None, BLOBS_MAX).map_err(|error| broken(&error))? {
        let blob = content.blob(&digest).map_err(|error| broken(&error))?;
        let found = hash(blob.reader(0), &digest).map_err(|error| broken(&error))?;
        if found != digest {
            return Err(broken(&format!("the blob `{digest}` has the digest `{found}`")));
        }
        blobs += 1;
        bytes += size;
    }
    print(&format!("3. All {blobs} blobs on disk ({}) hash to their names.\n\n", render::size::si(bytes)));

    print("4. wharf images\n");
    let images = wharf.entries(caller, &[]).await?.images;
    print(&indented(&render::images::table(&images, render::images::ImagesStyle::default(), now)));
    crossed(&last, print);

    print("5. wharf history\n");
    let steps = wharf.history(caller, &reference, None).await?;
    print(&indented(&render::history::table(&steps, false, now)));
    crossed(&last, print);

    print("6. wharf inspect\n");
    let inspected = wharf.inspect(caller, &reference, None, false, false).await?;
    print(&format!("   {} bytes of JSON\n", inspected.len()));
    crossed(&last, print);

    let before = registry.traffic();
    print("7. The same pull again\n");
    pull(wharf, caller, &reference, Wanted::All, &mut |_| ()).await?;
    let after = registry.traffic();
    print(&format!(
        "   {} request, {} bytes of blobs: up to date.\n",
        after.requests - before.requests,
        after.sent_bytes - before.sent_bytes
    ));
    crossed(&last, print);
    print("Next: wharf pull alpine:3.20\n");
    Ok(())
}

async fn pull(
    wharf: &Wharf,
    caller: &Caller,
    reference: &str,
    wanted: Wanted,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<u64, Failure> {
    let (retries, silence_ms) = (RETRIES, SILENCE_MS);
    let access = Access { plain_http: Vec::new(), rules: Vec::new(), aliases: Vec::new(), retries, silence_ms };
    let options =
        PullOptions { wanted, all_tags: false, concurrent_downloads: 2, unpack: true, retention: None, access };
    let pulled = wharf.pull(caller, reference, &options, &CancellationToken::new(), tell).await?;
    Ok(pulled.iter().map(|pulled| pulled.fetched_bytes).sum())
}

fn described(image: &Image) -> String {
    let bytes: usize = image.blobs.values().map(|blob| blob.len()).sum();
    format!("{} documents, {} blobs, {}", image.documents.len(), image.blobs.len(), render::size::si(bytes as u64))
}

/// What has been said of a pull.
#[derive(Default)]
struct Told {
    retried: bool,
}

impl Told {
    /// Says the decisions of the component, and of the bytes only that one came again.
    fn event(&mut self, event: &Event, print: &mut (dyn FnMut(&str) + Send)) {
        match event {
            Event::Resolved((_, target)) => print(&format!("   resolved to {}\n", target.digest)),
            Event::Selected((platform, manifest)) => {
                print(&format!("   {platform} is {}\n", render::names::short(&manifest.digest)));
            }
            Event::Progress(progress) if progress.phase == Phase::Retrying && !self.retried => {
                self.retried = true;
                print(&format!("   the connection broke; continuing at byte {}\n", progress.received));
            }
            Event::Progress(_) | Event::Transferred(_) | Event::Happened(_) => {}
            Event::Warning(sentence) | Event::Note(sentence) => {
                print(&format!("   {}\n", render::escape::text(sentence)))
            }
        }
    }
}

/// Says what went through the component and what went past it.
fn crossed(last: &Last, print: &mut (dyn FnMut(&str) + Send)) {
    let last = last.lock().unwrap_or_else(PoisonError::into_inner);
    print(&format!(
        "   boundary: {} went by as handles, {} of records and documents came in\n",
        render::size::si(last.bytes_passed()),
        render::size::si(last.bytes_entered())
    ));
    let mut line = String::new();
    for (import, count) in last.calls() {
        let call = format!("{import} ×{count}");
        if line.chars().count() + call.chars().count() > CALLS_COLUMNS_MAX {
            print(&format!("             {line}\n"));
            line.clear();
        }
        line.push_str(if line.is_empty() { "" } else { ", " });
        line.push_str(&call);
    }
    print(&format!("             {line}\n\n"));
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect()
}

fn hash(mut reader: impl Read, like: &Digest) -> std::io::Result<Digest> {
    let mut hasher = Hasher::new(like.algorithm());
    let mut buffer = vec![0; 64 << 10];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn broken(why: &dyn Display) -> Failure {
    Failure::Problem(Problem {
        code: ErrorCode::Other(String::new()),
        what: "the demo does not work here".to_owned(),
        why: vec![why.to_string()],
        fix: None,
    })
}
