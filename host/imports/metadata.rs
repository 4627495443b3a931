//! `wharf:images/metadata` over the metadata service.

use crate::bindings::wharf::images::metadata::{Entry, Host, HostTransaction, HostTransactionWithStore, HostWithStore};
use crate::bindings::wharf::images::types::ErrorCode;
use crate::engine::state::{HasState, State};
use crate::metadata::{self, Error};
use std::sync::{Arc, Mutex};
use tokio::task::spawn_blocking;
use wasmtime::Result;
use wasmtime::component::{Access, Accessor, Resource};

/// The host's side of `metadata.transaction`.
#[derive(Debug)]
pub struct Transaction {
    /// Behind a lock because reads run on blocking threads.
    service: Arc<Mutex<metadata::Transaction>>,
}

impl From<Error> for ErrorCode {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict => Self::Conflict,
            Error::TooLarge { limit } => Self::TooLarge(limit),
            Error::NoSpace => Self::NoSpace,
            error @ (Error::Damaged(_) | Error::Sqlite(_)) => Self::Other(error.to_string()),
        }
    }
}

/// A call's answer: a trap, or a result that the guest sees.
type Answer<T> = Result<std::result::Result<T, ErrorCode>>;

impl Host for State {}
impl HostTransaction for State {}

impl<T: Send + 'static> HostWithStore<T> for HasState {
    async fn begin(store: &Accessor<T, Self>) -> Answer<Resource<Transaction>> {
        let metadata = store.with(|mut access| {
            access.get().crossings.note("metadata.begin");
            access.get().services.metadata.clone()
        });
        match spawn_blocking(move || metadata.begin()).await? {
            Ok(transaction) => {
                let transaction = Transaction { service: Arc::new(Mutex::new(transaction)) };
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
        let value =
            run(store, &transaction, "metadata.transaction.get", move |transaction| transaction.get(&namespace, &key))
                .await?;
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
        let entries = run(store, &transaction, "metadata.transaction.scan", move |transaction| {
            transaction.scan(&namespace, &prefix, after.as_deref(), limit)
        })
        .await?;
        let entries = entries
            .map(|entries| -> Vec<Entry> { entries.into_iter().map(|(key, value)| Entry { key, value }).collect() });
        if let Ok(entries) = &entries {
            let bytes = entries.iter().map(|entry| (entry.key.len() + entry.value.len()) as u64).sum();
            store.with(|mut access| access.get().crossings.entered(bytes));
        }
        Ok(entries)
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
        let answer = run(store, &this, "metadata.transaction.commit", metadata::Transaction::commit).await;
        store.with(|mut access| access.get().table.delete(this))?;
        answer
    }

    fn drop(mut store: Access<'_, T, Self>, transaction: Resource<Transaction>) -> Result<()> {
        store.get().table.delete(transaction)?;
        Ok(())
    }
}

/// Runs `work` on the transaction, on a blocking thread.
async fn run<T: Send + 'static, R: Send + 'static>(
    store: &Accessor<T, HasState>,
    transaction: &Resource<Transaction>,
    call: &'static str,
    work: impl FnOnce(&mut metadata::Transaction) -> std::result::Result<R, Error> + Send + 'static,
) -> Answer<R> {
    let service = store.with(|mut access| {
        access.get().crossings.note(call);
        Ok::<_, wasmtime::Error>(access.get().table.get(transaction)?.service.clone())
    })?;
    Ok(spawn_blocking(move || work(&mut lock(&service))).await?.map_err(ErrorCode::from))
}

/// A panic while the lock was held has ended the store that owns the
/// transaction, so nobody sees the state that it left.
fn lock(service: &Mutex<metadata::Transaction>) -> std::sync::MutexGuard<'_, metadata::Transaction> {
    service.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
