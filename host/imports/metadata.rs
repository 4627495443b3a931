//! `wharf:images/metadata` over the metadata service.
//!
//! It checks the lengths of names before it waits for anything, so that calls
//! that wait hold little. What a transaction may buffer is the service's matter.
//!
//! Single records are read on the thread that asks: that takes some 10 µs, and going to another thread and back several
//! times as long. Readers wait for nobody.

use crate::bindings::wharf::images::metadata::{Entry, Host, HostTransaction, HostTransactionWithStore, HostWithStore};
use crate::engine::state::{HasState, State};
use crate::engine::{Budget, Share};
use crate::metadata::{self, Error, KEY_BYTES_MAX};
use std::sync::{Arc, Mutex};
use wasmtime::Result;
use wasmtime::component::{Access, Accessor, Resource};
use wharf_vocabulary::types::ErrorCode;

/// The host's side of `metadata.transaction`.
#[derive(Debug)]
pub struct Transaction {
    /// Behind a lock because reads run on blocking threads.
    service: Arc<Mutex<metadata::Transaction>>,
    /// One of the transactions that the store may have open.
    share: Share,
}

impl From<Error> for ErrorCode {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict => Self::Conflict,
            Error::TooLarge { limit } => Self::TooLarge(limit),
            Error::NoSpace => Self::NoSpace,
            error @ (Error::Damaged(_) | Error::Version(_) | Error::Sqlite(_)) => Self::Other(error.to_string()),
        }
    }
}

/// A call's answer: a trap, or a result that the guest sees.
type Answer<T> = Result<std::result::Result<T, ErrorCode>>;

impl Host for State {}
impl HostTransaction for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    async fn begin(store: &Accessor<T, Self>) -> Answer<Resource<Transaction>> {
        let (metadata, budget) = store.with(|mut access| {
            let state = access.get();
            state.crossings.note("metadata.begin");
            (state.services.metadata.clone(), state.budget.clone())
        });
        let Some(share) = budget.transaction() else { return Ok(Err(ErrorCode::NoSpace)) };
        let begun = match metadata.begin_ready() {
            Some(transaction) => Ok(transaction),
            None => budget.blocking(move || metadata.begin()).await?,
        };
        match begun {
            Ok(transaction) => {
                let transaction = Transaction { service: Arc::new(Mutex::new(transaction)), share };
                Ok(Ok(store.with(|mut access| access.get().table.push(transaction))?))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl<T: Send + 'static> HostTransactionWithStore<T> for HasState {
    async fn get(
        store: &Accessor<T, Self>,
        transaction: Resource<Transaction>,
        namespace: String,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let (service, budget) = find(store, &transaction, "metadata.transaction.get")?;
        if let Err(code) = check([&namespace, &key]) {
            return Ok(Err(code));
        }
        // Somebody else of the same call may be in the middle of a long answer.
        let ready = service.try_lock().ok().map(|mut transaction| transaction.get(&namespace, &key));
        let value = match ready {
            Some(value) => value.map_err(ErrorCode::from),
            None => run(&budget, service, move |transaction| transaction.get(&namespace, &key)).await?,
        };
        if let Ok(Some(value)) = &value {
            store.with(|mut access| access.get().crossings.entered(value.len() as u64));
        }
        Ok(value)
    }

    async fn scan(
        store: &Accessor<T, Self>,
        transaction: Resource<Transaction>,
        namespace: String,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Answer<Vec<Entry>> {
        let (service, budget) = find(store, &transaction, "metadata.transaction.scan")?;
        if let Err(code) = check([&namespace, &prefix].into_iter().chain(&after)) {
            return Ok(Err(code));
        }
        let entries =
            run(&budget, service, move |transaction| transaction.scan(&namespace, &prefix, after.as_deref(), limit))
                .await?;
        let entries = entries
            .map(|entries| -> Vec<Entry> { entries.into_iter().map(|(key, value)| Entry { key, value }).collect() });
        if let Ok(entries) = &entries {
            let bytes = entries.iter().map(|entry| (entry.key.len() + entry.value.len()) as u64).sum();
            store.with(|mut access| access.get().crossings.entered(bytes));
        }
        Ok(entries)
    }

    async fn namespaces(
        store: &Accessor<T, Self>,
        transaction: Resource<Transaction>,
        after: Option<String>,
        limit: u32,
    ) -> Answer<Vec<String>> {
        let (service, budget) = find(store, &transaction, "metadata.transaction.namespaces")?;
        if let Err(code) = check(&after) {
            return Ok(Err(code));
        }
        run(&budget, service, move |transaction| transaction.namespaces(after.as_deref(), limit)).await
    }

    fn put(
        mut store: Access<'_, T, Self>,
        transaction: Resource<Transaction>,
        namespace: String,
        key: String,
        value: Vec<u8>,
    ) -> Result<()> {
        store.get().crossings.note("metadata.transaction.put");
        lock(&store.get().table.get(&transaction)?.service).put(&namespace, &key, value);
        Ok(())
    }

    fn delete(
        mut store: Access<'_, T, Self>,
        transaction: Resource<Transaction>,
        namespace: String,
        key: String,
    ) -> Result<()> {
        store.get().crossings.note("metadata.transaction.delete");
        lock(&store.get().table.get(&transaction)?.service).delete(&namespace, &key);
        Ok(())
    }

    async fn commit(store: &Accessor<T, Self>, this: Resource<Transaction>) -> Answer<()> {
        // Out of the table first: a call that is cancelled leaves nothing there, and the commit goes on to its end, for
        // which whoever made the call waits (`images::Wharf::call`).
        let (Transaction { service, share }, budget, commits) = store.with(|mut access| {
            let state = access.get();
            state.crossings.note("metadata.transaction.commit");
            Ok::<_, wasmtime::Error>((state.table.delete(this)?, state.budget.clone(), state.commits.clone()))
        })?;
        let waiting = commits.read_owned().await;
        run(&budget, service, move |transaction| {
            let _held = (share, waiting);
            transaction.commit()
        })
        .await
    }

    fn drop(mut store: Access<'_, T, Self>, transaction: Resource<Transaction>) -> Result<()> {
        store.get().table.delete(transaction)?;
        Ok(())
    }
}

/// Refuses names that are longer than any.
fn check<'a>(names: impl IntoIterator<Item = &'a String>) -> std::result::Result<(), ErrorCode> {
    let are_short = names.into_iter().all(|name| name.len() <= KEY_BYTES_MAX);
    if are_short { Ok(()) } else { Err(ErrorCode::TooLarge(KEY_BYTES_MAX as u64)) }
}

/// Returns the transaction's service and the store's budget, and counts the call.
fn find<T: Send + 'static>(
    store: &Accessor<T, HasState>,
    transaction: &Resource<Transaction>,
    call: &'static str,
) -> Result<(Arc<Mutex<metadata::Transaction>>, Budget)> {
    store.with(|mut access| {
        let state = access.get();
        state.crossings.note(call);
        Ok((state.table.get(transaction)?.service.clone(), state.budget.clone()))
    })
}

/// Runs `work` on the transaction, on a blocking thread.
async fn run<R: Send + 'static>(
    budget: &Budget,
    service: Arc<Mutex<metadata::Transaction>>,
    work: impl FnOnce(&mut metadata::Transaction) -> std::result::Result<R, Error> + Send + 'static,
) -> Answer<R> {
    Ok(budget.blocking(move || work(&mut lock(&service))).await?.map_err(ErrorCode::from))
}

/// A panic while the lock was held has ended the store that owns the
/// transaction, so nobody sees the state that it left.
fn lock(service: &Mutex<metadata::Transaction>) -> std::sync::MutexGuard<'_, metadata::Transaction> {
    service.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
