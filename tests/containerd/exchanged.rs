//! Events that clients in Rust tell one another: who subscribes hears them through filters, and what is no event is
//! refused.

use super::{Door, asked, asked_in};
use crate::support::wait;
use containerd_client::services::v1::events_client::EventsClient;
use containerd_client::services::v1::{ForwardRequest, PublishRequest, SubscribeRequest};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Status, Streaming};
use containerd_client::types::Envelope;
use prost_types::{Any, Timestamp};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

/// How long an event may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Somebody who tells, and who listens.
struct Client {
    events: EventsClient<Channel>,
}

impl Client {
    /// Listens from the moment on at which this returns.
    async fn subscribe(&mut self, filters: &[&str]) -> Result<Streaming<Envelope>, Status> {
        let filters = filters.iter().map(|&filter| filter.to_owned()).collect();
        Ok(self.events.subscribe(asked(SubscribeRequest { filters })).await?.into_inner())
    }

    async fn publish(&mut self, namespace: &str, topic: &str) -> Result<(), Status> {
        let request = PublishRequest { topic: topic.to_owned(), event: Some(event(topic)) };
        self.events.publish(asked_in(namespace, request)).await.map(drop)
    }

    async fn forward(&mut self, envelope: Option<Envelope>) -> Result<(), Status> {
        self.events.forward(asked(ForwardRequest { envelope })).await.map(drop)
    }
}

/// Something that the server does not know.
fn event(about: &str) -> Any {
    Any { type_url: "example.org/Happened".to_owned(), value: about.as_bytes().to_vec() }
}

fn envelope(namespace: &str, topic: &str) -> Envelope {
    let timestamp = Some(Timestamp { seconds: 1_700_000_000, nanos: 5 });
    Envelope { timestamp, namespace: namespace.to_owned(), topic: topic.to_owned(), event: Some(event(topic)) }
}

async fn next(heard: &mut Streaming<Envelope>) -> Envelope {
    timeout(TIMEOUT, heard.message()).await.expect("something is told").expect("it is whole").expect("it goes on")
}

/// An empty store that is served.
fn served() -> (TempDir, Door, Client) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let events = EventsClient::new(door.channel());
    (directory, door, Client { events })
}

#[test]
fn what_is_published_and_forwarded_is_heard_through_filters() {
    let (_directory, _door, mut client) = served();
    let (published, forwarded, last) = wait(async move {
        let filters = ["topic==\"/tasks/exit\",namespace==team", "topic~=^/mine/"];
        let mut heard = client.subscribe(&filters).await.expect("a stream");
        let mut all = client.subscribe(&[]).await.expect("a stream");
        for (namespace, topic) in [("default", "/tasks/exit"), ("team", "/tasks/start"), ("team", "/tasks/exit")] {
            client.publish(namespace, topic).await.expect("it is told");
        }
        for (namespace, topic) in [("other", "/tasks/exit"), ("other", "/mine/a"), ("team", "/yours/b")] {
            client.forward(Some(envelope(namespace, topic))).await.expect("it is told");
        }
        client.publish("default", "/mine/last").await.expect("it is told");
        let mut told = Vec::new();
        while told.len() < 7 {
            let Envelope { namespace, topic, .. } = next(&mut all).await;
            told.push(format!("{namespace} {topic}"));
        }
        let expected = [
            "default /tasks/exit",
            "team /tasks/start",
            "team /tasks/exit",
            "other /tasks/exit",
            "other /mine/a",
            "team /yours/b",
            "default /mine/last",
        ];
        assert_eq!(told, expected, "without a filter all is heard, in order");
        (next(&mut heard).await, next(&mut heard).await, next(&mut heard).await)
    });
    assert!(published.timestamp.as_ref().is_some_and(|told| told.seconds > 1_700_000_000), "{published:?}");
    assert_eq!(
        Envelope { timestamp: None, ..published },
        Envelope { timestamp: None, ..envelope("team", "/tasks/exit") }
    );
    assert_eq!(forwarded, envelope("other", "/mine/a"), "it stays as it was written");
    assert_eq!((last.namespace.as_str(), last.topic.as_str()), ("default", "/mine/last"), "nothing else passes");
}

#[test]
fn what_is_no_event_or_no_filter_is_refused_and_nobody_hears_of_it() {
    let (_directory, _door, mut client) = served();
    let heard = wait(async move {
        let code = |outcome: Result<(), Status>| outcome.expect_err("it is refused").code();
        let mut heard = client.subscribe(&[]).await.expect("a stream");
        for topic in ["", "/", "tasks/exit", "/tasks//exit", "/tasks/", "/tasks/ex it", "/tasks/.exit"] {
            assert_eq!(code(client.publish("default", topic).await), Code::InvalidArgument, "`{topic}`");
            let forwarded = client.forward(Some(envelope("default", topic))).await;
            assert_eq!(code(forwarded), Code::InvalidArgument, "`{topic}`");
        }
        for namespace in ["", "a..b", "-a", "a b"] {
            let forwarded = client.forward(Some(envelope(namespace, "/tasks/exit"))).await;
            assert_eq!(code(forwarded), Code::InvalidArgument, "`{namespace}`");
        }
        let timeless = Envelope { timestamp: None, ..envelope("default", "/tasks/exit") };
        for nothing in [None, Some(timeless)] {
            assert_eq!(code(client.forward(nothing).await), Code::InvalidArgument);
        }
        for filter in ["topic=", "topic==", "topic~=["] {
            let refused = client.subscribe(&[filter]).await.map(drop);
            assert_eq!(code(refused), Code::InvalidArgument, "{filter}");
        }
        client.publish("default", "/tasks/last").await.expect("it is told");
        next(&mut heard).await
    });
    assert_eq!(heard.topic, "/tasks/last", "nothing came before");
}
