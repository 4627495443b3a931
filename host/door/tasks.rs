//! Tasks that somebody waits for at the end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;

/// What goes on. Cheap to clone; clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.lock();
        // What has ended is kept until somebody asks.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Waits until there is none.
    pub(super) async fn wait(&self) {
        loop {
            let mut tasks = std::mem::take(&mut *self.lock());
            if tasks.is_empty() {
                return;
            }
            while tasks.join_next().await.is_some() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn whoever_waits_waits_for_all_and_for_what_they_begin() {
        let (tasks, done) = (Tasks::default(), Arc::new(AtomicUsize::new(0)));
        let (inner, counter) = (tasks.clone(), done.clone());
        tasks.spawn(async move {
            let again = counter.clone();
            inner.spawn(async move {
                tokio::task::yield_now().await;
                again.fetch_add(1, Ordering::Relaxed);
            });
            counter.fetch_add(1, Ordering::Relaxed);
        });
        tasks.wait().await;
        assert_eq!(done.load(Ordering::Relaxed), 2);
    }
}
