//! The exports of `wit/images.wit`: each one is a verb with its arguments
//! converted. The bindings are generated here, those of the words in the crate
//! `wharf-vocabulary`.

#![allow(missing_docs, unreachable_pub, reason = "generated from wit/, where everything is documented")]

mod handler;
mod records;
mod snapshots;

use super::convert::each;
use super::imports::Imports;
use crate::nouns::problem::{ErrorCode, Problem};
use crate::verbs;
use crate::verbs::contract;
use crate::verbs::listen::Listener;
use crate::verbs::save::Piece;
use exports::wharf::images::images as exported;
use std::cell::RefCell;
use wharf::images::content;
use wharf_vocabulary::vocabulary as wit;
use wharf_vocabulary::{archives, changes, discovery, types, uploads};
use wit_bindgen::rt::async_support::StreamResult;
use wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamWriter};

wit_bindgen::generate!({
    path: "../wit",
    world: "manager",
    with: {
        "wharf:images/archives@0.1.0": wharf_vocabulary::archives,
        "wharf:images/changes@0.1.0": wharf_vocabulary::changes,
        "wharf:images/discovery@0.1.0": wharf_vocabulary::discovery,
        "wharf:images/types@0.1.0": wharf_vocabulary::types,
        "wharf:images/uploads@0.1.0": wharf_vocabulary::uploads,
        "wharf:images/vocabulary@0.1.0": wharf_vocabulary::vocabulary,
    },
});

/// What an archive has in it, its bytes, and why they ended.
type Archive = (archives::Saved, StreamReader<u8>, FutureReader<Result<(), types::ErrorCode>>);

struct Component;
export!(Component);

/// Writes events to the caller's stream.
struct Caller {
    /// Taken while a write is on its way.
    events: RefCell<Option<StreamWriter<wit::Event>>>,
}

impl Listener for Caller {
    async fn hear(&self, events: Vec<contract::Event>) -> bool {
        let Some(mut writer) = self.events.borrow_mut().take() else { return false };
        let is_open = if events.is_empty() {
            // A write of nothing asks whether somebody reads.
            !matches!(writer.write(Vec::new()).await.0, StreamResult::Dropped)
        } else {
            writer.write_all(each(events)).await.is_empty()
        };
        if is_open {
            *self.events.borrow_mut() = Some(writer);
        }
        is_open
    }
}

/// What comes of a verb.
type Outcome<T> = Result<T, wit::Problem>;

/// Events, and the outcome that comes after them.
type Told<T> = (StreamReader<wit::Event>, FutureReader<Outcome<T>>);

/// Runs a verb, and hands on what it tells and what comes of it. `outcome` are the
/// ends of the future that this goes through.
fn accompany<T: 'static>(
    outcome: (FutureWriter<Outcome<T>>, FutureReader<Outcome<T>>),
    verb: impl AsyncFnOnce(&Caller) -> Result<T, Problem> + 'static,
) -> Told<T> {
    let (events, events_reader) = wit_stream::new();
    let (outcome, outcome_reader) = outcome;
    wit_bindgen::spawn_local(async move {
        let listener = Caller { events: RefCell::new(Some(events)) };
        let result = verb(&listener).await;
        // The stream ends before the result comes.
        drop(listener);
        let _ = outcome.write(result.map_err(Into::into)).await;
    });
    (events_reader, outcome_reader)
}

/// What nobody sees: the task always writes a result, unless it trapped.
fn dropped<T>() -> Outcome<T> {
    let what = "the call was dropped".to_owned();
    Err(Problem { code: ErrorCode::Cancelled, what, why: Vec::new(), fix: None }.into())
}

/// Has the host put the pieces of an archive one after the other.
fn concat(pieces: &[Piece<content::Blob>]) -> (StreamReader<u8>, FutureReader<Result<(), types::ErrorCode>>) {
    let parts = pieces.iter().map(|piece| match piece {
        Piece::Bytes(bytes) => content::Part::Bytes(bytes.clone()),
        Piece::Blob(blob, size) => content::Part::Range((blob, 0, *size)),
    });
    content::concat(&parts.collect::<Vec<_>>())
}

impl exported::Guest for Component {
    async fn pull(caller: wit::Caller, reference: String, options: wit::PullOptions) -> Told<Vec<wit::Pulled>> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::pull::pull(&Imports, &caller.into(), &reference, &options.into(), listener).await.map(each)
        })
    }

    async fn plan_pull(
        caller: wit::Caller,
        reference: String,
        options: wit::PullOptions,
    ) -> Result<wit::PullPlans, wit::Problem> {
        let plans = verbs::pull::plan_pull(&Imports, &caller.into(), &reference, &options.into()).await;
        plans.map(Into::into).map_err(Into::into)
    }

    async fn pull_planned(caller: wit::Caller, document: String, access: wit::Access) -> Told<Vec<wit::Pulled>> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::pull::pull_planned(&Imports, &caller.into(), &document, &access.into(), listener).await.map(each)
        })
    }

    async fn entries(caller: wit::Caller, filters: Vec<String>) -> Result<wit::Listing, wit::Problem> {
        verbs::images::entries(&Imports, &caller.into(), &filters).await.map(Into::into).map_err(Into::into)
    }

    async fn inspect(
        caller: wit::Caller,
        reference: String,
        platform: Option<String>,
        manifests: bool,
        provenance: bool,
    ) -> Result<String, wit::Problem> {
        verbs::inspect::inspect(&Imports, &caller.into(), &reference, platform.as_deref(), manifests, provenance)
            .await
            .map_err(Into::into)
    }

    async fn unpack(caller: wit::Caller, reference: String, platform: Option<String>) -> Told<wit::Tree> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::unpack::unpack(&Imports, &caller.into(), &reference, platform.as_deref(), listener)
                .await
                .map(Into::into)
        })
    }

    async fn fsck(
        caller: wit::Caller,
        references: Vec<String>,
        repair: Option<wit::Access>,
        rebuild: bool,
    ) -> Told<wit::Findings> {
        accompany(wit_future::new(dropped), async move |listener| {
            let repair = repair.map(Into::into);
            let caller = caller.into();
            let found = verbs::fsck::fsck(&Imports, &caller, &references, repair.as_ref(), rebuild, listener).await;
            found.map(Into::into)
        })
    }

    async fn save(
        caller: wit::Caller,
        references: Vec<String>,
        options: archives::SaveOptions,
    ) -> Result<Archive, wit::Problem> {
        let (saved, pieces) = verbs::save(&Imports, &caller.into(), &references, &options.into()).await?;
        let (stream, end) = concat(&pieces);
        Ok((saved.into(), stream, end))
    }

    async fn commit(caller: wit::Caller, key: String, options: archives::CommitOptions) -> Told<archives::Imported> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::commit(&Imports, &caller.into(), &key, &options.into(), listener).await.map(Into::into)
        })
    }

    async fn push(caller: wit::Caller, reference: String, options: uploads::PushOptions) -> Told<Vec<uploads::Pushed>> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::push::push(&Imports, &caller.into(), &reference, &options.into(), listener).await.map(each)
        })
    }

    async fn copy(
        caller: wit::Caller,
        source: String,
        destination: String,
        options: uploads::PushOptions,
    ) -> Told<Vec<uploads::Pushed>> {
        accompany(wit_future::new(dropped), async move |listener| {
            let options = options.into();
            verbs::copy::copy(&Imports, &caller.into(), &source, &destination, &options, listener).await.map(each)
        })
    }

    async fn plan_push(
        caller: wit::Caller,
        reference: String,
        options: uploads::PushOptions,
    ) -> Result<Vec<uploads::Pushed>, wit::Problem> {
        let plans = verbs::push::plan_push(&Imports, &caller.into(), &reference, &options.into()).await;
        plans.map(each).map_err(Into::into)
    }

    async fn plan_copy(
        caller: wit::Caller,
        source: String,
        destination: String,
        options: uploads::PushOptions,
    ) -> Result<Vec<uploads::Pushed>, wit::Problem> {
        let options = options.into();
        let plans = verbs::copy::plan_copy(&Imports, &caller.into(), &source, &destination, &options).await;
        plans.map(each).map_err(Into::into)
    }

    async fn load(
        caller: wit::Caller,
        archive: StreamReader<u8>,
        options: archives::LoadOptions,
    ) -> Told<archives::Loaded> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::load(&Imports, &caller.into(), archive, &options.into(), listener).await.map(Into::into)
        })
    }

    async fn import(
        caller: wit::Caller,
        archive: StreamReader<u8>,
        options: archives::ImportOptions,
    ) -> Told<archives::Imported> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::import(&Imports, &caller.into(), archive, &options.into(), listener).await.map(Into::into)
        })
    }

    async fn import_from(
        caller: wit::Caller,
        url: String,
        options: archives::ImportOptions,
        access: wit::Access,
    ) -> Told<archives::Imported> {
        accompany(wit_future::new(dropped), async move |listener| {
            let (options, access) = (options.into(), access.into());
            verbs::import_from(&Imports, &caller.into(), &url, &options, &access, listener).await.map(Into::into)
        })
    }

    async fn compose(
        caller: wit::Caller,
        name: String,
        edit: changes::Edit,
    ) -> Result<changes::Composed, wit::Problem> {
        let composed = verbs::compose(&Imports, &caller.into(), &name, &edit.into()).await;
        composed.map(Into::into).map_err(Into::into)
    }

    async fn manifest(caller: wit::Caller, reference: String, access: wit::Access) -> Result<String, wit::Problem> {
        verbs::manifest(&Imports, &caller.into(), &reference, &access.into()).await.map_err(Into::into)
    }

    async fn plan_change(caller: wit::Caller, change: changes::Change) -> Result<changes::Plan, wit::Problem> {
        let plan = verbs::change::plan_change(&Imports, &caller.into(), &change.into()).await;
        plan.map(Into::into).map_err(Into::into)
    }

    async fn perform(caller: wit::Caller, change: changes::Change) -> Told<changes::Changed> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::change::perform(&Imports, &caller.into(), &change.into(), listener).await.map(Into::into)
        })
    }

    async fn apply(caller: wit::Caller, document: String) -> Told<changes::Changed> {
        accompany(wit_future::new(dropped), async move |listener| {
            verbs::change::apply(&Imports, &caller.into(), &document, listener).await.map(Into::into)
        })
    }

    async fn retain_by_default(
        caller: wit::Caller,
        retention: Option<changes::Retention>,
    ) -> Result<changes::Retention, wit::Problem> {
        let kept = verbs::retain_by_default(&Imports, &caller.into(), retention.map(Into::into)).await;
        kept.map(Into::into).map_err(Into::into)
    }

    async fn disk_usage(caller: wit::Caller) -> Result<changes::Usage, wit::Problem> {
        verbs::usage::disk_usage(&Imports, &caller.into()).await.map(Into::into).map_err(Into::into)
    }

    async fn leases(caller: wit::Caller) -> Result<Vec<changes::Lease>, wit::Problem> {
        verbs::leases::leases(&Imports, &caller.into()).await.map(each).map_err(Into::into)
    }

    async fn hold(
        caller: wit::Caller,
        id: Option<String>,
        references: Vec<String>,
        seconds: Option<u64>,
        labels: Vec<(String, String)>,
    ) -> Result<changes::Lease, wit::Problem> {
        let labels = labels.into_iter().collect();
        let held = verbs::leases::hold(&Imports, &caller.into(), id.as_deref(), &references, seconds, labels).await;
        held.map(Into::into).map_err(Into::into)
    }

    async fn release(caller: wit::Caller, ids: Vec<String>) -> Result<(), wit::Problem> {
        verbs::leases::release(&Imports, &caller.into(), &ids).await.map_err(Into::into)
    }

    async fn ingests(caller: wit::Caller) -> Result<Vec<changes::IngestInfo>, wit::Problem> {
        let _: contract::Caller = caller.into();
        verbs::ingests::ingests(&Imports).await.map(each).map_err(Into::into)
    }

    async fn discard(caller: wit::Caller, which: Vec<String>) -> Result<Vec<changes::IngestInfo>, wit::Problem> {
        let _: contract::Caller = caller.into();
        verbs::ingests::discard(&Imports, &which).await.map(each).map_err(Into::into)
    }

    async fn label(
        caller: wit::Caller,
        reference: String,
        labels: Vec<(String, Option<String>)>,
    ) -> Result<Vec<(String, String)>, wit::Problem> {
        let labels = verbs::label::label(&Imports, &caller.into(), &reference, &labels).await;
        labels.map(|labels| labels.into_iter().collect()).map_err(Into::into)
    }

    async fn watch(
        caller: wit::Caller,
        since: Option<String>,
        until: Option<String>,
        filters: Vec<String>,
    ) -> Told<()> {
        accompany(wit_future::new(dropped), async move |listener| {
            let (since, until) = (since.as_deref(), until.as_deref());
            verbs::watch::watch(&Imports, &caller.into(), since, until, &filters, listener).await
        })
    }

    async fn history(
        caller: wit::Caller,
        reference: String,
        platform: Option<String>,
    ) -> Result<Vec<wit::Step>, wit::Problem> {
        verbs::history::history(&Imports, &caller.into(), &reference, platform.as_deref())
            .await
            .map(each)
            .map_err(Into::into)
    }

    async fn explain(
        caller: wit::Caller,
        reference: String,
        wanted: wit::Wanted,
        access: wit::Access,
    ) -> Result<wit::Explanation, wit::Problem> {
        verbs::explain::explain(&caller.into(), &reference, &wanted.into(), &access.into())
            .map(Into::into)
            .map_err(Into::into)
    }

    async fn check_login(caller: wit::Caller, registry: String, access: wit::Access) -> Result<bool, wit::Problem> {
        let _: contract::Caller = caller.into();
        verbs::check_login::check_login(&Imports, &registry, &access.into()).await.map_err(Into::into)
    }

    async fn tags(caller: wit::Caller, repository: String, access: wit::Access) -> Result<Vec<String>, wit::Problem> {
        let _: contract::Caller = caller.into();
        verbs::tags::tags(&Imports, &repository, &access.into()).await.map_err(Into::into)
    }

    async fn catalog(caller: wit::Caller, registry: String, access: wit::Access) -> Result<Vec<String>, wit::Problem> {
        let _: contract::Caller = caller.into();
        verbs::catalog::catalog(&Imports, &registry, &access.into()).await.map_err(Into::into)
    }

    async fn search(
        caller: wit::Caller,
        term: String,
        options: discovery::SearchOptions,
        access: wit::Access,
    ) -> Result<discovery::Found, wit::Problem> {
        let _: contract::Caller = caller.into();
        let found = verbs::search::search(&Imports, &term, &options.into(), &access.into()).await;
        found.map(Into::into).map_err(Into::into)
    }

    async fn referrers(
        caller: wit::Caller,
        reference: String,
        artifact_type: Option<String>,
        access: wit::Access,
    ) -> Result<discovery::Referral, wit::Problem> {
        let _: contract::Caller = caller.into();
        let listed = verbs::referrers(&Imports, &reference, artifact_type.as_deref(), &access.into()).await;
        listed.map(Into::into).map_err(Into::into)
    }
}
