//! What suites of containerd need here: a client that writes down line by line what it is answered, and the comparison
//! of the lines from wharf with those from containerd.

use super::Door;
use super::peer::Peer;
use crate::support::wait;
use containerd_client::services::v1::CreateRequest;
use containerd_client::services::v1::leases_client::LeasesClient;
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Request, Response, Status};
use std::fmt::Display;
use std::path::Path;

/// What holds all that a client makes, because either server collects what nothing holds after a removal.
pub(super) const LEASE: &str = "suite";

/// Where wharf answers something else: the case, the line here, the line there, and why.
pub(super) type Difference = (&'static str, &'static str, &'static str, &'static str);

/// A name, and what is done.
pub(super) type Case<C> = (&'static str, fn(&mut C));

/// Who asks one server about one namespace, and writes down the answers.
pub(super) struct Talk {
    pub(super) channel: Channel,
    pub(super) namespace: String,
    pub(super) lines: Vec<String>,
}

impl Talk {
    #[track_caller]
    fn new(socket: &Path, namespace: &str) -> Self {
        let socket = socket.to_owned();
        let channel = wait(async move { containerd_client::connect(socket).await }).expect("somebody listens");
        let talk = Self { channel, namespace: namespace.to_owned(), lines: Vec::new() };
        talk.lease();
        talk
    }

    /// Makes the lease of the namespace.
    #[track_caller]
    pub(super) fn lease(&self) {
        let mut leases = LeasesClient::new(self.channel.clone());
        let lease = self.request(CreateRequest { id: LEASE.to_owned(), ..CreateRequest::default() });
        wait(async move { leases.create(lease).await }).expect("a lease");
    }

    /// Writes a line.
    pub(super) fn note(&mut self, what: &str, outcome: &impl Display) {
        self.lines.push(format!("{what}: {outcome}"));
    }

    /// A message in the namespace, on behalf of the lease.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.namespace.parse().expect("it is ASCII"));
        request.metadata_mut().insert("containerd-lease", LEASE.parse().expect("it is ASCII"));
        request
    }

    /// Writes down what came of a call, and returns it.
    pub(super) fn came<T: Send + 'static, R: Display>(
        &mut self,
        what: &str,
        answer: impl Future<Output = Result<Response<T>, Status>> + Send + 'static,
        show: impl FnOnce(&T) -> R,
    ) -> Result<T, Code> {
        let answer = wait(answer).map(Response::into_inner).map_err(|status| status.code());
        match &answer {
            Ok(answer) => self.note(what, &show(answer)),
            Err(code) => self.lines.push(format!("{what}: {code:?}")),
        }
        answer
    }
}

/// Does each case with wharf and with containerd. The lines have to be the same, but for what is listed.
#[track_caller]
pub(super) fn compare<C: AsMut<Talk>>(cases: &[Case<C>], client: impl Fn(Talk) -> C, listed: &[Difference]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    compare_at(&Door::open(directory.path()), &Peer::start(), cases, client, listed);
}

/// The same with servers that isolate namespaces.
#[track_caller]
pub(super) fn compare_isolated<C: AsMut<Talk>>(cases: &[Case<C>], client: impl Fn(Talk) -> C, listed: &[Difference]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open_with(directory.path(), &["--no-gc", "--sharing", "isolated"]);
    let policy = "[plugins.\"io.containerd.metadata.v1.bolt\"]\ncontent_sharing_policy = \"isolated\"\n";
    compare_at(&door, &Peer::start_with(policy), cases, client, listed);
}

#[track_caller]
fn compare_at<C: AsMut<Talk>>(
    door: &Door,
    peer: &Peer,
    cases: &[Case<C>],
    client: impl Fn(Talk) -> C,
    listed: &[Difference],
) {
    let mut different = Vec::new();
    for (name, case) in cases {
        let [ours, theirs] = [door.socket().to_owned(), peer.socket()].map(|socket| {
            let mut client = client(Talk::new(&socket, &format!("case-{}", name.to_lowercase())));
            case(&mut client);
            std::mem::take(&mut client.as_mut().lines)
        });
        println!("{name}: {} lines", ours.len());
        assert!(!ours.is_empty(), "{name}");
        assert_eq!(ours.len(), theirs.len(), "{name}\n{ours:#?}\n{theirs:#?}");
        let pairs = std::iter::zip(ours, theirs).filter(|(ours, theirs)| ours != theirs);
        different.extend(pairs.map(|(ours, theirs)| (*name, ours, theirs)));
    }
    let listed = listed.iter().map(|&(case, ours, theirs, _)| (case, ours.to_owned(), theirs.to_owned()));
    let expected: Vec<_> = listed.collect();
    assert_eq!(different, expected, "the differences are those that are listed");
}
