//! A client of the service of content that writes down what it is answered. Times are those of each server, so that a
//! line says only whether there are some.

use crate::containerd::suite::{LEASE, Talk};
use crate::support::wait;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::services::v1::namespaces_client::NamespacesClient;
use containerd_client::services::v1::{
    AbortRequest, CreateNamespaceRequest, DeleteContentRequest, DeleteRequest, Info, InfoRequest, InfoResponse,
    ListContentRequest, ListStatusesRequest, ListStatusesResponse, Namespace, ReadContentRequest, Status as Standing,
    StatusRequest, StatusResponse, UpdateNamespaceRequest, UpdateRequest, UpdateResponse, WriteAction,
    WriteContentRequest, WriteContentResponse,
};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Response, Status, Streaming};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use prost_types::FieldMask;
use wharf::demo::image::digest;

/// Who asks one server about content.
pub(super) struct Client {
    content: ContentClient<Channel>,
    pub(super) talk: Talk,
}

impl AsMut<Talk> for Client {
    fn as_mut(&mut self) -> &mut Talk {
        &mut self.talk
    }
}

/// One stream of messages that write.
pub(super) struct Writer {
    messages: UnboundedSender<WriteContentRequest>,
    answers: Streaming<WriteContentResponse>,
}

/// A digest as lines say it.
fn short(digest: &str) -> &str {
    digest.get("sha256:".len()..).map_or(digest, |hex| hex.get(..8).unwrap_or(hex))
}

fn answered(answer: &WriteContentResponse) -> String {
    let WriteContentResponse { action, offset, total, digest, started_at, updated_at } = answer;
    let action = WriteAction::try_from(*action).map_or("unknown", |action| match action {
        WriteAction::Stat => "stat",
        WriteAction::Write => "write",
        WriteAction::Commit => "commit",
    });
    let is_timed = started_at.is_some() && updated_at.is_some();
    let timed = if is_timed || action == "write" { "" } else { " without times" };
    format!("{action} at {offset} of {total} {}{timed}", short(digest))
}

fn record(info: &Info) -> String {
    let mut labels: Vec<_> = info.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort();
    let timed = if info.created_at.is_some() && info.updated_at.is_some() { "" } else { " without times" };
    format!("{} {} bytes [{}]{timed}", short(&info.digest), info.size, labels.join(" "))
}

fn standing(status: &Standing) -> String {
    let Standing { r#ref, offset, total, started_at, updated_at, .. } = status;
    let timed = if started_at.is_some() && updated_at.is_some() { "" } else { " without times" };
    format!("{} at {offset} of {total}{timed}", r#ref)
}

impl Client {
    pub(super) fn new(talk: Talk) -> Self {
        Self { content: ContentClient::new(talk.channel.clone()), talk }
    }

    /// Does something in another namespace, which is new and has these labels.
    pub(super) fn elsewhere(&mut self, labels: &[(&str, &str)], work: impl FnOnce(&mut Self)) {
        let other = format!("{}-other", self.talk.namespace);
        let mut namespaces = NamespacesClient::new(self.talk.channel.clone());
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let namespace = Namespace { name: other.clone(), labels };
        let request = self.talk.request(CreateNamespaceRequest { namespace: Some(namespace) });
        wait(async move { namespaces.create(request).await }).expect("a namespace");
        let home = std::mem::replace(&mut self.talk.namespace, other);
        self.talk.lease();
        self.talk.lines.push("elsewhere".to_owned());
        work(self);
        self.talk.lines.push("here".to_owned());
        self.talk.namespace = home;
    }

    /// Labels the namespace, which is made by that if need be.
    pub(super) fn label_namespace(&mut self, labels: &[(&str, &str)]) {
        let mut namespaces = NamespacesClient::new(self.talk.channel.clone());
        let name = self.talk.namespace.clone();
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let namespace = Some(Namespace { name, labels });
        let request = self.talk.request(UpdateNamespaceRequest { namespace, update_mask: None });
        let _ = self.talk.came("label the namespace", async move { namespaces.update(request).await }, |_| "done");
    }

    /// Begins to write by a first message. None if that is refused.
    pub(super) fn begin(&mut self, first: WriteContentRequest) -> Option<Writer> {
        let mut client = self.content.clone();
        let what = asked(&first);
        let (messages, all) = unbounded();
        messages.unbounded_send(first).expect("it is open");
        let request = self.talk.request(all);
        let answer = async move {
            let mut answers = client.write(request).await?.into_inner();
            let answer = answers.message().await?.ok_or_else(|| Status::unknown("no answer"))?;
            Ok(Response::new((answer, answers)))
        };
        let (_, answers) = self.talk.came(&what, answer, |(answer, _)| answered(answer)).ok()?;
        Some(Writer { messages, answers })
    }

    /// Asks where a write is, and goes on from there.
    pub(super) fn open(&mut self, name: &str, total: usize, expected: &str) -> Option<Writer> {
        self.begin(message(WriteAction::Stat, name, 0, &[], total, expected))
    }

    /// Sends one more message. The writer comes back as long as the stream goes on.
    pub(super) fn send(&mut self, writer: Option<Writer>, message: WriteContentRequest) -> Option<Writer> {
        let Some(Writer { messages, mut answers }) = writer else {
            self.talk.lines.push("there is nobody to send it to".to_owned());
            return None;
        };
        let what = asked(&message);
        let _ = messages.unbounded_send(message);
        let answer = async move {
            let answer = answers.message().await?.ok_or_else(|| Status::unknown("no answer"))?;
            Ok(Response::new((answer, answers)))
        };
        let (_, answers) = self.talk.came(&what, answer, |(answer, _)| answered(answer)).ok()?;
        Some(Writer { messages, answers })
    }

    pub(super) fn write(&mut self, writer: Option<Writer>, offset: usize, data: &[u8]) -> Option<Writer> {
        self.send(writer, message(WriteAction::Write, "", offset, data, 0, ""))
    }

    /// Commits what has come, and says how much that has to be and what it has to hash to.
    pub(super) fn commit(&mut self, writer: Option<Writer>, offset: usize, total: usize, expected: &str) {
        let writer = self.send(writer, message(WriteAction::Commit, "", offset, &[], total, expected));
        self.close(writer);
    }

    /// Ends a stream, and waits until the server has ended it too: nobody holds the name then.
    pub(super) fn close(&mut self, writer: Option<Writer>) {
        let Some(Writer { messages, mut answers }) = writer else {
            self.talk.lines.push("end: it has ended".to_owned());
            return;
        };
        drop(messages);
        let rest = async move {
            // containerd repeats the last answer.
            while answers.message().await?.is_some() {}
            Ok(Response::new(()))
        };
        let _ = self.talk.came("end", rest, |()| "done");
    }

    pub(super) fn info(&mut self, digest: &str) {
        let mut client = self.content.clone();
        let request = self.talk.request(InfoRequest { digest: digest.to_owned() });
        let show = |answer: &InfoResponse| record(answer.info.as_ref().expect("a record"));
        let _ = self.talk.came(&format!("info {}", short(digest)), async move { client.info(request).await }, show);
    }

    pub(super) fn update(&mut self, digest: &str, labels: &[(&str, &str)], paths: &[&str]) {
        let mut client = self.content.clone();
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let paths: Vec<_> = paths.iter().map(|&path| path.to_owned()).collect();
        let what = format!("update {} {}", short(digest), paths.join(","));
        let request = self.talk.request(UpdateRequest {
            info: Some(Info { digest: digest.to_owned(), labels, ..Info::default() }),
            update_mask: (!paths.is_empty()).then_some(FieldMask { paths }),
        });
        let show = |answer: &UpdateResponse| record(answer.info.as_ref().expect("a record"));
        let _ = self.talk.came(&what, async move { client.update(request).await }, show);
    }

    pub(super) fn list(&mut self, filters: &[&str]) {
        let mut client = self.content.clone();
        let filters: Vec<_> = filters.iter().map(|&filter| filter.to_owned()).collect();
        let what = format!("list {}", filters.join(" or "));
        let request = self.talk.request(ListContentRequest { filters });
        let answer = async move {
            let mut messages = client.list(request).await?.into_inner();
            let mut infos = Vec::new();
            while let Some(message) = messages.message().await? {
                infos.extend(message.info.iter().map(record));
            }
            // Neither promises an order.
            infos.sort();
            Ok(Response::new(infos))
        };
        let _ = self.talk.came(&what, answer, |infos| infos.join(", "));
    }

    pub(super) fn delete(&mut self, digest: &str) {
        let mut client = self.content.clone();
        let request = self.talk.request(DeleteContentRequest { digest: digest.to_owned() });
        let what = format!("delete {}", short(digest));
        let _ = self.talk.came(&what, async move { client.delete(request).await }, |()| "done");
    }

    /// Reads a part, and writes down how much came from where, and what it hashes to.
    pub(super) fn read(&mut self, digest_of: &str, offset: i64, size: i64) {
        let mut client = self.content.clone();
        let what = format!("read {} from {offset}, {size} bytes", short(digest_of));
        let request = self.talk.request(ReadContentRequest { digest: digest_of.to_owned(), offset, size });
        let answer = async move {
            let mut messages = client.read(request).await?.into_inner();
            let (mut bytes, mut first) = (Vec::new(), None);
            while let Some(message) = messages.message().await? {
                first.get_or_insert(message.offset);
                bytes.extend(message.data);
            }
            Ok(Response::new((first, bytes)))
        };
        let show = |(first, bytes): &(Option<i64>, Vec<u8>)| {
            let first = first.map(|first| format!("from {first} ")).unwrap_or_default();
            format!("{first}{} bytes, {}", bytes.len(), short(&digest(bytes)))
        };
        let _ = self.talk.came(&what, answer, show);
    }

    pub(super) fn status(&mut self, name: &str) {
        let mut client = self.content.clone();
        let request = self.talk.request(StatusRequest { r#ref: name.to_owned() });
        let show = |answer: &StatusResponse| standing(answer.status.as_ref().expect("a status"));
        let _ = self.talk.came(&format!("status {name}"), async move { client.status(request).await }, show);
    }

    pub(super) fn statuses(&mut self, filters: &[&str]) {
        let mut client = self.content.clone();
        let filters: Vec<_> = filters.iter().map(|&filter| filter.to_owned()).collect();
        let what = format!("statuses {}", filters.join(" or "));
        let request = self.talk.request(ListStatusesRequest { filters });
        let show = |answer: &ListStatusesResponse| {
            let expected = |status: &Standing| format!("{} `{}`", standing(status), short(&status.expected));
            let mut all: Vec<_> = answer.statuses.iter().map(expected).collect();
            all.sort();
            all.join(", ")
        };
        let _ = self.talk.came(&what, async move { client.list_statuses(request).await }, show);
    }

    pub(super) fn abort(&mut self, name: &str) {
        let mut client = self.content.clone();
        let request = self.talk.request(AbortRequest { r#ref: name.to_owned() });
        let _ = self.talk.came(&format!("abort {name}"), async move { client.abort(request).await }, |()| "done");
    }

    /// Takes the lease of the namespace away, and has everything collected that nothing holds then.
    pub(super) fn release(&mut self) {
        let mut leases = LeasesClient::new(self.talk.channel.clone());
        let request = self.talk.request(DeleteRequest { id: LEASE.to_owned(), sync: true });
        let _ = self.talk.came("release", async move { leases.delete(request).await }, |()| "done");
    }
}

/// A message that writes. A total of 0, and an empty name or digest, say nothing.
pub(super) fn message(
    action: WriteAction,
    name: &str,
    offset: usize,
    data: &[u8],
    total: usize,
    expected: &str,
) -> WriteContentRequest {
    WriteContentRequest {
        action: action.into(),
        r#ref: name.to_owned(),
        total: i64::try_from(total).expect("tests are small"),
        expected: expected.to_owned(),
        offset: i64::try_from(offset).expect("tests are small"),
        data: data.to_vec(),
        labels: Default::default(),
    }
}

fn asked(message: &WriteContentRequest) -> String {
    let WriteContentRequest { action, r#ref, total, expected, offset, data, .. } = message;
    let action = match action {
        0 => "stat",
        1 => "write",
        _ => "commit",
    };
    format!("{action} `{}` {} bytes at {offset}, of {total} `{}`", r#ref, data.len(), short(expected))
}
