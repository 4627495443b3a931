//! The verbs of a client of containerd: what is noted before, and what is acknowledged after. A name that such a client
//! makes may point to what has gone meanwhile; what it has written with a label that keeps it has to stay.

use super::caller;
use crate::{
    chronicle::{Acknowledged, Scope},
    memory::{Memory, content::digest_of},
    run::World,
    scenario::records::{Request, WRITTEN},
};
use std::{collections::BTreeSet, rc::Rc};
use wharf_component::{
    host::{Host as _, Ingest as _},
    nouns::{
        digest::Digest,
        problem::{ErrorCode, Problem},
        record::EXPIRY_LABEL,
        time,
    },
    verbs::{
        contract::records::{Admission, Labels, Named, Resource, Space},
        records::{contents, images, leases, matches, namespaces, writings},
    },
};

/// Another namespace, in which nothing is.
const SPACE: &str = "space";
/// What keeps a blob.
const ROOT_LABEL: &str = "containerd.io/gc.root";

pub(super) async fn ask(world: &Rc<World>, process: &Memory, request: &Request) -> Result<(), Problem> {
    let caller = caller();
    let space = || Space { name: SPACE.to_owned(), labels: vec![("a".to_owned(), "b".to_owned())] };
    match request {
        Request::GetImage(name) => images::get(process, &caller, name).await.map(drop),
        Request::ListImages => images::list(process, &caller, &[]).await.map(drop),
        Request::CreateImage(name, source) => point(world, process, name, source, false).await,
        Request::MoveImage(name, source) => point(world, process, name, source, true).await,
        Request::LabelImage(name) => {
            let image = Named { name: name.clone(), labels: space().labels, ..Named::default() };
            images::update(process, &caller, &image, &["labels.a".to_owned()]).await.map(drop)
        }
        Request::DeleteImage(name, sync) => {
            // A collection takes away names whose time is over, too.
            let scope = if *sync { Scope::All } else { Scope::Names(vec![name.clone()]) };
            let removal = world.chronicle.remove(scope);
            let deleted = images::delete(process, &caller, name, None, *sync).await;
            world.note_records();
            deleted?;
            if !sync {
                world.chronicle.removed(&removal, [(name.clone(), true)].into());
            }
            Ok(())
        }
        Request::GetNamespace => namespaces::get(process, &caller, SPACE).await.map(drop),
        Request::ListNamespaces => namespaces::list(process, &caller).await.map(drop),
        Request::CreateNamespace => namespaces::create(process, &caller, &space()).await.map(drop),
        Request::UpdateNamespace => namespaces::update(process, &caller, &space(), &[]).await.map(drop),
        Request::DeleteNamespace => namespaces::delete(process, &caller, SPACE).await,
        Request::CreateLease(id, seconds) => {
            let until = seconds.map(|seconds| time::format(process.now().saturating_add_unsigned(seconds)));
            let labels: Labels = until.into_iter().map(|until| (EXPIRY_LABEL.to_owned(), until)).collect();
            leases::create(process, &caller, Some(id), &labels).await.map(drop)
        }
        Request::DeleteLease(id, sync) => {
            world.chronicle.leases().release(std::slice::from_ref(id));
            let _removal = sync.then(|| world.chronicle.remove(Scope::All));
            let deleted = leases::delete(process, &caller, id, *sync).await;
            // It may have come to hold something before it went.
            world.chronicle.leases().release(std::slice::from_ref(id));
            deleted
        }
        Request::ListLeases => leases::list(process, &caller, &[]).await.map(drop),
        Request::AddResource(lease, name) => hold(world, process, lease, name).await,
        Request::DeleteResource(lease, name) => {
            let what = content(images::get(process, &caller, name).await?.target.digest);
            let held = [format!("{lease} {}", what.id)];
            world.chronicle.leases().release(&held);
            let deleted = leases::delete_resource(process, &caller, lease, &what).await;
            world.chronicle.leases().release(&held);
            deleted
        }
        Request::ListResources(lease) => leases::list_resources(process, &caller, lease).await.map(drop),
        Request::Write(number, lease, is_kept) => write(world, process, *number, lease.as_deref(), *is_kept).await,
        Request::GetContent(number) => contents::get(process, &caller, written(*number).0.as_str()).await.map(drop),
        Request::GetContentOf(name) => {
            let digest = images::get(process, &caller, name).await?.target.digest;
            contents::get(process, &caller, &digest).await.map(drop)
        }
        Request::ListContent => contents::list(process, &caller, &[], None, 1_000).await.map(drop),
        Request::UpdateContent(number) => {
            let fields = ["labels.a".to_owned()];
            let digest = written(*number).0;
            contents::update(process, &caller, digest.as_str(), &space().labels, &fields).await.map(drop)
        }
        Request::DeleteContent(number) => forget(world, process, *number).await,
        Request::ListWritings => writings::list(process, &caller, &[]).await.map(drop),
        Request::GetWriting(number) => writings::get(process, &caller, &name(*number)).await.map(drop),
        Request::AbortWriting(number) => writings::abort(process, &caller, &name(*number)).await,
        Request::Matches => matches(&["a==b".to_owned()], &space().labels).map(drop),
    }
}

/// Makes a name point to what another one does now, whatever becomes of that meanwhile.
async fn point(world: &Rc<World>, process: &Memory, name: &str, source: &str, is_there: bool) -> Result<(), Problem> {
    let now_ms = process.clock().now_ms();
    let target = images::get(process, &caller(), source).await?.target;
    let image = Named { name: name.to_owned(), target, ..Named::default() };
    let write = world.chronicle.write(name, now_ms, Some(source));
    world.chronicle.may_be_bare(name);
    let pointed = match is_there {
        true => images::update(process, &caller(), &image, &["target".to_owned()]).await,
        false => images::create(process, &caller(), &image).await,
    };
    world.note_records();
    match pointed {
        Ok(pointed) => {
            let target = pointed.target.digest.parse().expect("records have digests");
            world.chronicle.acknowledge(&write, Acknowledged { target, manifests: Vec::new(), unpacked: Vec::new() });
            Ok(())
        }
        Err(problem) => {
            if matches!(problem.code, ErrorCode::InUse | ErrorCode::NotFound) {
                world.chronicle.left_alone(&write);
            }
            Err(problem)
        }
    }
}

/// Has a lease hold what a name points to. What is whole before and after is promised.
async fn hold(world: &Rc<World>, process: &Memory, lease: &str, name: &str) -> Result<(), Problem> {
    let (caller, began) = (caller(), world.chronicle.leases().now());
    let before: BTreeSet<String> = process.content().visible().blobs.into_keys().collect();
    let what = content(images::get(process, &caller, name).await?.target.digest);
    let this = [format!("id==\"{lease}\"")];
    let there = leases::list(process, &caller, &this).await?;
    leases::add_resource(process, &caller, lease, &what).await?;
    let is_here = |digest: &Digest| before.contains(digest.as_str()) && world.is_whole(digest);
    let target: Digest = what.id.parse().expect("records have digests");
    let mut blobs = BTreeSet::new();
    if is_here(&target) {
        let version = world.hub.version_of(&target);
        let manifests = version.map_or_else(
            || vec![target.clone()],
            |version| version.manifests.into_iter().map(|(_, manifest)| manifest).collect(),
        );
        blobs.extend(manifests.iter().filter(|one| is_here(one)).flat_map(|manifest| world.hub.parts(manifest)));
        blobs.insert(target);
    }
    blobs.retain(is_here);
    // One of that ID which somebody has made meanwhile may hold nothing.
    let now = leases::list(process, &caller, &this).await?;
    if let [lease] = &there[..]
        && there == now
    {
        let expires = lease.labels.iter().find(|(key, _)| key == EXPIRY_LABEL);
        let expires = expires.and_then(|(_, until)| time::parse(until));
        world.chronicle.leases().hold(&format!("{} {}", lease.id, what.id), expires, blobs, began);
    }
    Ok(())
}

/// Writes a blob as a client does.
async fn write(
    world: &Rc<World>,
    process: &Memory,
    number: usize,
    lease: Option<&str>,
    is_kept: bool,
) -> Result<(), Problem> {
    let (caller, name, began) = (caller(), name(number), world.chronicle.leases().now());
    let (digest, bytes) = written(number);
    let (expected, total) = (digest.as_str(), i64::try_from(bytes.len()).expect("it is short"));
    let admission = writings::admit(process, &caller, &name, Some(expected), total, lease, false).await?;
    let refused =
        |code: ErrorCode| Problem { what: "the host".to_owned(), why: vec![code.to_string()], fix: None, code };
    // It is held until it is recorded.
    let _blob = match admission {
        Admission::Share(_) => process.open(&digest).await.map_err(refused)?,
        Admission::Proceed(writing) => {
            let ingest = process.ingest(&writing.ingest).await.map_err(refused)?;
            if ingest.offset() > 0 {
                ingest.restart().await.map_err(refused)?;
            }
            ingest.append(process.stream(bytes.clone()), bytes.len() as u64).await.map_err(refused)?;
            ingest.commit(&digest, bytes.len() as u64).await.map_err(refused)?
        }
    };
    world.verbs.borrow_mut().insert("wrote");
    let labels: Labels = is_kept.then(|| (ROOT_LABEL.to_owned(), "yes".to_owned())).into_iter().collect();
    writings::wrote(process, &caller, &name, expected, &labels, lease).await?;
    if is_kept && world.is_whole(&digest) {
        world.chronicle.leases().hold(&kept(number), None, BTreeSet::from([digest]), began);
    }
    Ok(())
}

/// Takes a blob that was written out of the namespace.
async fn forget(world: &Rc<World>, process: &Memory, number: usize) -> Result<(), Problem> {
    world.chronicle.leases().release(&[kept(number)]);
    let deleted = contents::delete(process, &caller(), written(number).0.as_str()).await;
    // It may have been written again meanwhile, and before it was deleted.
    world.chronicle.leases().release(&[kept(number)]);
    deleted
}

/// Takes away every blob that was written.
pub(crate) async fn forget_all(world: &Rc<World>, process: &Memory) -> Result<(), String> {
    for number in 0..WRITTEN {
        match forget(world, process, number).await {
            Ok(()) => {}
            Err(problem) if problem.code == ErrorCode::NotFound => {}
            Err(problem) => {
                return Err(format!("what was written cannot be taken away: {}", problem.why.join(": ")));
            }
        }
    }
    Ok(())
}

/// What the writer calls a blob.
fn name(number: usize) -> String {
    format!("write-{number}")
}

/// What is noted of a blob that is kept.
fn kept(number: usize) -> String {
    format!("content {number}")
}

/// A blob that a client writes, and its digest.
fn written(number: usize) -> (Digest, Vec<u8>) {
    let bytes = format!("written by a client: {number}").into_bytes();
    (digest_of(&bytes), bytes)
}

fn content(digest: String) -> Resource {
    Resource { kind: "content".to_owned(), id: digest }
}
