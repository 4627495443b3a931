//! `containerd.services.events.v1.Events`: what happens, as it is told. What becomes of images is told whoever did it;
//! the rest is what clients of this server do, and what they tell one another.

use super::convert::needed;
use super::exchange::Told;
use super::{Answers, Services};
use futures::stream::{self, StreamExt};
use std::time::SystemTime;
use tonic::{Request, Response, Status};
use wharf_containerd_api::events::events_server::Events;
use wharf_containerd_api::events::{ForwardRequest, PublishRequest, SubscribeRequest};
use wharf_containerd_api::types::Envelope;

/// The length of a part of a topic, in bytes. containerd, `pkg/identifiers`.
const PART_BYTES_MAX: usize = 76;

#[tonic::async_trait]
impl Events for Services {
    type SubscribeStream = Answers<Envelope>;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<()>, Status> {
        let namespace = self.asked(request.metadata())?.namespace;
        let PublishRequest { topic, event } = request.into_inner();
        let envelope = Envelope { timestamp: Some(SystemTime::now().into()), namespace, topic, event };
        self.exchange.pass(Told::sealed(checked(envelope)?));
        Ok(Response::new(()))
    }

    async fn forward(&self, request: Request<ForwardRequest>) -> Result<Response<()>, Status> {
        let envelope = needed(request.into_inner().envelope, "envelope")?;
        self.exchange.pass(Told::sealed(checked(envelope)?));
        Ok(Response::new(()))
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Self::SubscribeStream>, Status> {
        let (services, filters) = (self.clone(), request.into_inner().filters);
        let (receiver, following) = self.exchange.listen(|stop| self.follow(stop));
        // What is no filter is told before anything happens.
        self.passes(&filters, Vec::new()).await?;
        let state = (services, filters, receiver, following);
        let heard = stream::try_unfold(state, |(services, filters, mut receiver, following)| async move {
            loop {
                let Some(told) = services.exchange.next(&mut receiver).await? else { return Ok(None) };
                if filters.is_empty() || services.passes(&filters, told.fields()).await? {
                    return Ok(Some((told.envelope.clone(), (services, filters, receiver, following))));
                }
            }
        });
        Ok(Response::new(heard.boxed()))
    }
}

impl Services {
    /// Asks the component whether something passes the filters of a client.
    pub(super) async fn passes(&self, filters: &[String], fields: Vec<(String, String)>) -> Result<bool, Status> {
        let filters = filters.to_vec();
        let passes =
            self.ask("matches", async |accessor, records| records.call_matches(accessor, filters, fields).await);
        Ok(passes.await?)
    }
}

/// Takes what others have written, if it says when, where and what. containerd, `core/events/exchange`.
fn checked(envelope: Envelope) -> Result<Envelope, Status> {
    let Envelope { timestamp, namespace, topic, .. } = &envelope;
    if timestamp.is_none() {
        return Err(Status::invalid_argument("the envelope has no timestamp"));
    }
    if !is_identifier(namespace) {
        return Err(Status::invalid_argument(format!("`{}` is no namespace", namespace.escape_debug())));
    }
    if !topic.strip_prefix('/').is_some_and(|parts| parts.split('/').all(is_identifier)) {
        return Err(Status::invalid_argument(format!(
            "`{}` is no topic, as in `/images/create`",
            topic.escape_debug()
        )));
    }
    Ok(envelope)
}

/// Whether `text` is letters and digits, with single dots, dashes and underscores between them.
fn is_identifier(text: &str) -> bool {
    let parts = || text.split(['.', '-', '_']);
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= PART_BYTES_MAX && parts().all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_containerd_api::Timestamp;

    #[test]
    fn an_envelope_says_when_where_and_what() {
        let long = "a".repeat(77);
        let rows = [
            ("default", "/images/create", true),
            ("k8s.io", "/a", true),
            ("default", "", false),
            ("default", "/", false),
            ("default", "images/create", false),
            ("default", "/images//create", false),
            ("default", "/images/", false),
            ("default", "/im ages", false),
            ("", "/a", false),
            ("a..b", "/a", false),
            (long.as_str(), "/a", false),
        ];
        for (namespace, topic, expected) in rows {
            let (namespace, topic) = (namespace.to_owned(), topic.to_owned());
            let envelope = Envelope { timestamp: Some(Timestamp::default()), namespace, topic, event: None };
            assert_eq!(checked(envelope.clone()).is_ok(), expected, "{envelope:?}");
            assert!(checked(Envelope { timestamp: None, ..envelope }).is_err());
        }
    }
}
