//! The exports of `wit/images.wit`: each one is a verb with its arguments
//! converted. The bindings are generated here and nowhere else.

#![allow(missing_docs, unreachable_pub, reason = "generated from wit/, where everything is documented")]

use super::convert::each;
use super::imports::Imports;
use crate::nouns::problem::{ErrorCode, Problem};
use crate::verbs;
use crate::verbs::contract;
use crate::verbs::listen::Listener;
use exports::wharf::images::images as wit;
use std::cell::RefCell;
use wit_bindgen::rt::async_support::StreamResult;
use wit_bindgen::{FutureReader, StreamReader, StreamWriter};

wit_bindgen::generate!({ path: "../wit", world: "manager" });

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

impl wit::Guest for Component {
    async fn pull(
        caller: wit::Caller,
        reference: String,
        options: wit::PullOptions,
    ) -> (StreamReader<wit::Event>, FutureReader<Result<Vec<wit::Pulled>, wit::Problem>>) {
        let (events, events_reader) = wit_stream::new();
        // Nobody sees this result: the task below always writes one, unless it trapped.
        let (outcome, outcome_reader) = wit_future::new(|| {
            Err(Problem {
                code: ErrorCode::Cancelled,
                what: "the pull was dropped".to_owned(),
                why: Vec::new(),
                fix: None,
            }
            .into())
        });
        wit_bindgen::spawn_local(async move {
            let listener = Caller { events: RefCell::new(Some(events)) };
            let pulled = verbs::pull::pull(&Imports, &caller.into(), &reference, &options.into(), &listener).await;
            // The stream ends before the result comes.
            drop(listener);
            let _ = outcome.write(pulled.map(each).map_err(Into::into)).await;
        });
        (events_reader, outcome_reader)
    }

    async fn plan_pull(
        caller: wit::Caller,
        reference: String,
        options: wit::PullOptions,
    ) -> Result<Vec<wit::PullPlan>, wit::Problem> {
        let plans = verbs::pull::plan_pull(&Imports, &caller.into(), &reference, &options.into()).await;
        plans.map(each).map_err(Into::into)
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
}
