//! What happens, between who tells it and who listens. It is kept for nobody: who does not listen does not hear it.

use super::told::{Field, Happened};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use wharf_containerd_api::types::Envelope;
use wharf_containerd_api::{Timestamp, packed};

/// How many envelopes wait for who listens slowly. With one more it has missed something.
const WAITING_MAX: usize = 4_096;

/// An envelope, and what filters see of it beside its topic and its namespace.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) envelope: Envelope,
    event: Vec<Field>,
}

impl Told {
    /// What somebody else has written: what is in it, only they know.
    pub(super) fn sealed(envelope: Envelope) -> Self {
        Self { envelope, event: Vec::new() }
    }

    /// All that filters see.
    pub(super) fn fields(&self) -> Vec<Field> {
        let Envelope { topic, namespace, .. } = &self.envelope;
        let own = [("topic", topic), ("namespace", namespace)].map(|(path, value)| (path.to_owned(), value.clone()));
        own.into_iter().chain(self.event.iter().cloned()).collect()
    }
}

/// Where it goes through. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    sender: broadcast::Sender<Arc<Told>>,
    /// Ends who follows the records.
    following: Arc<Mutex<Weak<DropGuard>>>,
    /// Is cancelled when nobody is to wait any more.
    pub(super) over: CancellationToken,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { sender: broadcast::channel(WAITING_MAX).0, following: Arc::default(), over: CancellationToken::new() }
    }
}

impl Exchange {
    /// Tells what happens now.
    pub(super) fn tell<M: Happened>(&self, namespace: &str, event: &M) {
        self.tell_of(SystemTime::now().into(), namespace, event);
    }

    /// Tells what has happened then.
    pub(super) fn tell_of<M: Happened>(&self, time: Timestamp, namespace: &str, event: &M) {
        let envelope = Envelope {
            timestamp: Some(time),
            namespace: namespace.to_owned(),
            topic: M::TOPIC.to_owned(),
            event: Some(packed(event)),
        };
        self.pass(Told { envelope, event: event.fields() });
    }

    /// Hands an envelope on.
    pub(super) fn pass(&self, told: Told) {
        // That nobody listens is no failure.
        let _ = self.sender.send(Arc::new(told));
    }

    /// Listens from now on. As long as somebody holds what is returned with it, somebody follows the records, whom
    /// `follow` starts until the token is cancelled.
    pub(super) fn listen(
        &self,
        follow: impl FnOnce(CancellationToken),
    ) -> (broadcast::Receiver<Arc<Told>>, Arc<DropGuard>) {
        let receiver = self.sender.subscribe();
        let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = following.upgrade().unwrap_or_else(|| {
            let stop = CancellationToken::new();
            follow(stop.clone());
            let guard = Arc::new(stop.drop_guard());
            *following = Arc::downgrade(&guard);
            guard
        });
        (receiver, guard)
    }

    /// Returns what is told next; nothing once nobody is to wait any more.
    ///
    /// Fails once more was told than waits for somebody who listens slowly.
    pub(super) async fn next(
        &self,
        receiver: &mut broadcast::Receiver<Arc<Told>>,
    ) -> Result<Option<Arc<Told>>, Status> {
        let told = tokio::select! {
            told = receiver.recv() => told,
            () = self.over.cancelled() => return Ok(None),
        };
        match told {
            Ok(told) => Ok(Some(told)),
            Err(RecvError::Closed) => Ok(None),
            Err(RecvError::Lagged(missed)) => {
                Err(Status::resource_exhausted(format!("more happens than is heard: {missed} events were missed")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_containerd_api::happenings::NamespaceDelete;

    #[test]
    fn who_listens_hears_and_one_follows_for_all() {
        let exchange = Exchange::default();
        let event = NamespaceDelete { name: "team".to_owned() };
        exchange.tell("team", &event);
        let mut stops = Vec::new();
        let (mut one, first) = exchange.listen(|stop| stops.push(stop));
        let (mut other, second) = exchange.listen(|stop| stops.push(stop));
        assert_eq!(stops.len(), 1);
        exchange.tell("team", &event);
        for receiver in [&mut one, &mut other] {
            let told = receiver.try_recv().unwrap();
            assert_eq!(told.envelope.event.as_ref().unwrap().type_url, "containerd.events.NamespaceDelete");
            let field = |path: &str, value: &str| (path.to_owned(), value.to_owned());
            let expected =
                [field("topic", "/namespaces/delete"), field("namespace", "team"), field("event.name", "team")];
            assert_eq!(told.fields(), expected);
            assert!(receiver.try_recv().is_err(), "what came before is not told");
        }
        drop(first);
        assert!(!stops[0].is_cancelled());
        drop(second);
        assert!(stops[0].is_cancelled());
        let (_receiver, _guard) = exchange.listen(|stop| stops.push(stop));
        assert_eq!(stops.len(), 2);
    }

    #[tokio::test]
    async fn who_listens_too_slowly_is_told_how_much_was_missed() {
        let exchange = Exchange::default();
        let (mut in_time, _guard) = exchange.listen(|_| {});
        let (mut late, _guard) = exchange.listen(|_| {});
        let event = |number: usize| NamespaceDelete { name: format!("team-{number}") };
        for number in 0..WAITING_MAX {
            exchange.tell("team", &event(number));
        }
        let told = exchange.next(&mut in_time).await.unwrap().unwrap();
        assert_eq!(told.fields()[2], ("event.name".to_owned(), "team-0".to_owned()), "as many as can wait");
        for number in WAITING_MAX..WAITING_MAX + 3 {
            exchange.tell("team", &event(number));
        }
        let refused = exchange.next(&mut late).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(refused.message(), "more happens than is heard: 3 events were missed");
    }

    #[tokio::test]
    async fn nobody_waits_once_it_is_over() {
        let exchange = Exchange::default();
        let (mut receiver, _guard) = exchange.listen(|_| {});
        exchange.over.cancel();
        assert!(exchange.next(&mut receiver).await.unwrap().is_none());
    }
}
