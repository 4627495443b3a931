//! `Transfer` and `Streaming`, by containerd's own messages: images go from and to registries, archives and names in one
//! request, with what a client says and hears meanwhile in streams of its own.

use super::{Door, asked};
use crate::support::docker_registry::{Access, DockerRegistry};
use crate::support::push::large;
use crate::support::{PASSWORD, USER, wait};
use containerd_client::services::v1::streaming_client::StreamingClient;
use containerd_client::services::v1::transfer_client::TransferClient;
use containerd_client::services::v1::{StreamInit, TransferOptions, TransferRequest};
use containerd_client::tonic::transport::Channel;
use containerd_client::tonic::{Code, Status, Streaming};
use containerd_client::types::Platform;
use containerd_client::types::transfer::{
    AuthRequest, AuthResponse, AuthType, Data, ImageExportStream, ImageImportStream, ImageStore, OciRegistry, Progress,
    RegistryResolver, UnpackConfiguration, WindowUpdate,
};
use futures::stream;
use prost::Message;
use prost_types::Any;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long anything may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How many bytes of an archive go at once.
const CHUNK_BYTES: usize = 32 << 10;
/// The type of an archive.
const ARCHIVE: &str = "application/vnd.oci.image.layout.v1+tar";

/// A client in one namespace.
#[derive(Clone)]
struct Client {
    channel: Channel,
}

/// A stream that has a name.
struct Line {
    sender: mpsc::Sender<Any>,
    answers: Streaming<Any>,
}

fn packed(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("containerd.{name}"), value: message.encode_to_vec() }
}

/// Reads a message that is to be of this kind.
#[track_caller]
fn unpacked<M: Message + Default>(any: &Any, name: &str) -> M {
    assert_eq!(any.type_url, format!("containerd.{name}"));
    M::decode(any.value.as_slice()).expect("it can be read")
}

impl Client {
    #[track_caller]
    fn new(door: &Door) -> Self {
        Self { channel: door.channel() }
    }

    async fn open(&self, id: &str) -> Result<Line, Status> {
        let (sender, mut receiver) = mpsc::channel(4);
        let first = packed("services.streaming.v1.StreamInit", &StreamInit { id: id.to_owned() });
        sender.try_send(first).expect("there is room");
        let messages = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let mut answers = StreamingClient::new(self.channel.clone()).stream(asked(messages)).await?.into_inner();
        let answer = answers.message().await?.expect("an answer");
        assert_eq!((answer.type_url.as_str(), answer.value.len()), ("google.protobuf.Empty", 0));
        Ok(Line { sender, answers })
    }

    async fn transfer(&self, from: Any, to: Any, progress: Option<&str>) -> Result<(), Status> {
        let options = progress.map(|name| TransferOptions { progress_stream: name.to_owned() });
        let request = asked(TransferRequest { source: Some(from), destination: Some(to), options });
        let mut client = TransferClient::new(self.channel.clone());
        timeout(TIMEOUT, client.transfer(request)).await.expect("it ends").map(drop)
    }

    /// Does what has to succeed, and returns what is told of it on a stream of this name.
    async fn told(&self, name: &str, from: Any, to: Any) -> Vec<Progress> {
        let heard = tokio::spawn(self.open(name).await.expect("a stream").heard());
        self.transfer(from, to, Some(name)).await.expect("a transfer");
        heard.await.expect("it ends")
    }
}

impl Line {
    /// Returns the next message; none at the end.
    async fn next(&mut self) -> Option<Any> {
        timeout(TIMEOUT, self.answers.message()).await.expect("something comes").expect("the stream is whole")
    }

    async fn send(&self, message: Any) -> bool {
        timeout(TIMEOUT, self.sender.send(message)).await.expect("it is taken").is_ok()
    }

    /// Hears how a transfer gets on, to the end.
    async fn heard(mut self) -> Vec<Progress> {
        let mut heard = Vec::new();
        while let Some(any) = self.next().await {
            heard.push(unpacked(&any, "types.transfer.Progress"));
        }
        heard
    }

    /// Answers whoever asks for a login, and returns the questions.
    async fn answer(mut self, kind: AuthType, password: &'static str) -> Vec<AuthRequest> {
        let mut questions = Vec::new();
        while let Some(any) = self.next().await {
            questions.push(unpacked(&any, "types.transfer.AuthRequest"));
            let (secret, username) = (password.to_owned(), USER.to_owned());
            let said = AuthResponse { auth_type: kind.into(), secret, username, expire_at: None };
            self.send(packed("types.transfer.AuthResponse", &said)).await;
        }
        questions
    }

    /// Sends an archive as far as the other side allows it. Returns whether all of it was wanted.
    async fn give(mut self, archive: &[u8]) -> bool {
        let mut allowed = 0;
        for chunk in archive.chunks(CHUNK_BYTES) {
            while allowed < chunk.len() {
                let Ok(Some(any)) = timeout(TIMEOUT, self.answers.message()).await.expect("something comes") else {
                    return false;
                };
                let WindowUpdate { update } = unpacked(&any, "types.transfer.WindowUpdate");
                allowed += usize::try_from(update).expect("it grows");
            }
            allowed -= chunk.len();
            if !self.send(packed("types.transfer.Data", &Data { data: chunk.to_vec() })).await {
                return false;
            }
        }
        // That is the end of it. Who takes the archive ends the stream.
        drop(self.sender);
        while let Ok(Some(_)) = timeout(TIMEOUT, self.answers.message()).await.expect("it ends") {}
        true
    }

    /// Takes an archive, a window at a time.
    async fn take(mut self, window: i32) -> Vec<u8> {
        let allow = packed("types.transfer.WindowUpdate", &WindowUpdate { update: window });
        let (mut archive, mut allowed) = (Vec::new(), 0);
        loop {
            if allowed == 0 {
                // At the end nobody is there to hear it.
                self.send(allow.clone()).await;
                allowed = usize::try_from(window).expect("it is positive");
            }
            let Some(any) = self.next().await else { return archive };
            let Data { data } = unpacked(&any, "types.transfer.Data");
            allowed = allowed.checked_sub(data.len()).expect("no more than is allowed comes");
            archive.extend(data);
        }
    }
}

fn amd64() -> Platform {
    Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..Platform::default() }
}

fn registry(reference: &str, logins: &str) -> Any {
    let (default_scheme, auth_stream) = ("http".to_owned(), logins.to_owned());
    let resolver = RegistryResolver { default_scheme, auth_stream, ..RegistryResolver::default() };
    let registry = OciRegistry { reference: reference.to_owned(), resolver: Some(resolver) };
    packed("types.transfer.OCIRegistry", &registry)
}

fn stored(store: &ImageStore) -> Any {
    packed("types.transfer.ImageStore", store)
}

fn named(name: &str) -> ImageStore {
    ImageStore { name: name.to_owned(), ..ImageStore::default() }
}

fn archive(stream: &str) -> Any {
    let import = ImageImportStream { stream: stream.to_owned(), media_type: ARCHIVE.to_owned(), force_compress: false };
    packed("types.transfer.ImageImportStream", &import)
}

fn export(stream: &str) -> Any {
    let (stream, media_type) = (stream.to_owned(), ARCHIVE.to_owned());
    let export = ImageExportStream { stream, media_type, all_platforms: true, ..ImageExportStream::default() };
    packed("types.transfer.ImageExportStream", &export)
}

/// A registry with an image of two layers, and an empty store that is served.
fn served(access: Access<'_>) -> (DockerRegistry, TempDir, Door, Client, String) {
    let registry = DockerRegistry::start(access);
    registry.push("app", "1", &large(7, 2, 300_000));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let door = Door::open(directory.path());
    let (client, name) = (Client::new(&door), format!("{}/app:1", registry.address()));
    (registry, directory, door, client, name)
}

/// How many blobs a store has.
fn blobs(door: &Door) -> usize {
    std::fs::read_dir(door.store().join("blobs/sha256")).map_or(0, Iterator::count)
}

#[test]
fn a_pull_tells_each_blob_and_is_there_for_everybody() {
    let (_registry, _directory, door, client, name) = served(Access::Open);
    let store = ImageStore {
        labels: [("team".to_owned(), "web".to_owned())].into(),
        platforms: vec![amd64()],
        unpacks: vec![UnpackConfiguration { platform: Some(amd64()), snapshotter: "overlayfs".to_owned() }],
        ..named(&name)
    };
    let reference = name.clone();
    let heard = wait(async move {
        let line = client.open("told").await.expect("a stream");
        let heard = tokio::spawn(line.heard());
        client.transfer(registry(&reference, ""), stored(&store), Some("told")).await.expect("a pull");
        heard.await.expect("it ends")
    });
    let last: BTreeMap<&str, &Progress> = heard.iter().map(|told| (told.name.as_str(), told)).collect();
    let layers: Vec<_> = last.iter().filter(|(thing, _)| thing.starts_with("layer-sha256:")).collect();
    assert_eq!(layers.len(), 2, "{heard:?}");
    for (_, told) in layers {
        assert_eq!((told.event.as_str(), &told.parents), ("extracted", &vec![name.clone()]));
        assert!(told.progress == told.total && told.desc.as_ref().is_some_and(|desc| desc.size == told.total));
    }
    assert_eq!(last[name.as_str()].event, "saved", "{heard:?}");
    assert!(heard.iter().any(|told| told.event == format!("Completed pull from {name}")), "{heard:?}");
    assert_eq!(door.ctr_tells(&["images", "ls", "-q", "labels.team==web"]).trim(), name);
    let checked = door.ctr_tells(&["images", "check"]);
    assert!(checked.contains("complete (") && checked.trim_end().ends_with("true"), "{checked}");
    assert_eq!(door.ctr_tells(&["snapshots", "ls"]).lines().count(), 3, "a head, and a line for each layer");
    door.wharf(&["fsck"]);
}

#[test]
fn a_login_is_asked_for_when_a_registry_wants_one() {
    let (registry_at, _directory, door, client, name) = served(Access::Login);
    let authority = registry_at.address().to_string();
    let rows = [(AuthType::None, PASSWORD), (AuthType::Credentials, "wrong"), (AuthType::Header, PASSWORD)];
    for (kind, password) in rows {
        let (client, name) = (client.clone(), name.clone());
        let failed = wait(async move {
            let line = client.open("logins").await.expect("a stream");
            let asked = tokio::spawn(line.answer(kind, password));
            let failed = client.transfer(registry(&name, "logins"), stored(&named(&name)), None).await;
            asked.await.expect("it ends");
            failed.expect_err("nobody gets in")
        });
        assert!(!failed.message().contains(PASSWORD), "{failed}");
        assert_eq!(blobs(&door), 0, "{failed}");
    }
    let reference = name.clone();
    let asked = wait(async move {
        let line = client.open("logins").await.expect("a stream");
        let asked = tokio::spawn(line.answer(AuthType::Credentials, PASSWORD));
        client.transfer(registry(&name, "logins"), stored(&named(&name)), None).await.expect("a pull");
        asked.await.expect("it ends")
    });
    assert!(!asked.is_empty() && asked.iter().all(|asked| (&asked.host, &asked.reference) == (&authority, &reference)));
    assert_eq!(door.ctr_tells(&["images", "ls", "-q"]).trim(), reference);
}

#[test]
fn an_image_gets_another_name_and_is_pushed_under_it() {
    let (registry_at, _directory, door, client, name) = served(Access::Open);
    door.wharf(&["pull", "-q", &name]);
    let [copy, elsewhere] = ["2", "3"].map(|tag| format!("{}/copy:{tag}", registry_at.address()));
    let (from, to, other) = (name.clone(), copy.clone(), elsewhere.clone());
    let heard = wait(async move {
        client.transfer(stored(&named(&from)), stored(&named(&to)), None).await.expect("a tag");
        let absent = client.transfer(stored(&named("registry.test/none:1")), stored(&named(&to)), None).await;
        assert_eq!(absent.expect_err("there is none").code(), Code::NotFound);
        client.transfer(stored(&named(&from)), registry(&other, ""), None).await.expect("a push under another name");
        let heard = tokio::spawn(client.open("told").await.expect("a stream").heard());
        client.transfer(stored(&named(&to)), registry(&to, ""), Some("told")).await.expect("a push");
        heard.await.expect("it ends")
    });
    let ended = heard.iter().filter(|told| ["complete", "already exists"].contains(&told.event.as_str())).count();
    assert!(ended >= 3, "{heard:?}");
    assert_eq!(door.wharf(&["tags", &format!("{}/copy", registry_at.address())]).trim(), "2\n3");
    let images = door.wharf(&["images", "--format", "json"]);
    assert!(images.contains(&copy) && !images.contains(&elsewhere), "{images}");
}

#[test]
fn what_is_exported_can_be_imported_and_half_of_it_leaves_nothing() {
    let (_registry, _directory, door, client, name) = served(Access::Open);
    door.wharf(&["pull", "-q", &name]);
    let before = door.ctr_tells(&["images", "ls"]);
    let (other, from) = (client.clone(), name.clone());
    let bytes = wait(async move {
        let taken = tokio::spawn(other.open("out").await.expect("a stream").take(100_000));
        other.transfer(stored(&named(&from)), export("out"), None).await.expect("an export");
        taken.await.expect("it ends")
    });
    assert!(bytes.len() > 600_000, "{}", bytes.len());
    door.wharf(&["rm", &name]);
    assert_eq!(blobs(&door), 0);

    let (other, half) = (client.clone(), bytes[..bytes.len() / 2].to_vec());
    let failed = wait(async move {
        let line = other.open("in").await.expect("a stream");
        let given = tokio::spawn(async move { line.give(&half).await });
        let failed = other.transfer(archive("in"), stored(&ImageStore::default()), None).await;
        given.await.expect("it ends");
        failed.expect_err("half of it is missing")
    });
    assert_eq!((failed.code(), blobs(&door)), (Code::InvalidArgument, 0), "{failed}");

    wait(async move {
        let line = client.open("in").await.expect("the name is free again");
        let given = tokio::spawn(async move { line.give(&bytes).await });
        client.transfer(archive("in"), stored(&ImageStore::default()), None).await.expect("an import");
        assert!(given.await.expect("it ends"));
    });
    assert_eq!(door.ctr_tells(&["images", "ls"]), before);
    door.wharf(&["fsck"]);
}

#[test]
fn a_tag_an_export_and_an_import_tell_how_they_end() {
    let (registry_at, _directory, door, client, name) = served(Access::Open);
    door.wharf(&["pull", "-q", &name]);
    let copy = format!("{}/copy:1", registry_at.address());
    let (from, to) = (name.clone(), copy.clone());
    let (tagged, exported, imported) = wait(async move {
        let tagged = client.told("tag", stored(&named(&from)), stored(&named(&to))).await;
        let taken = tokio::spawn(client.open("out").await.expect("a stream").take(100_000));
        let exported = client.told("export", stored(&named(&from)), export("out")).await;
        let bytes = taken.await.expect("it ends");
        let line = client.open("in").await.expect("a stream");
        let given = tokio::spawn(async move { line.give(&bytes).await });
        let imported = client.told("import", archive("in"), stored(&ImageStore::default())).await;
        assert!(given.await.expect("it ends"));
        (tagged, exported, imported)
    });
    let words = |heard: &[Progress]| -> Vec<String> {
        heard.iter().map(|told| format!("{} {}", told.event, told.name).trim_end().to_owned()).collect()
    };
    assert_eq!(words(&tagged), [format!("saved {copy}")]);
    let table = door.ctr_tells(&["images", "ls"]);
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(&copy)).expect("it has the name");
    let target = tagged[0].desc.as_ref().expect("a target");
    assert!(line.contains(&target.digest), "{target:?}: {line}");
    let (exported, imported) = (words(&exported), words(&imported));
    for (told, first, last) in
        [(&exported, "Exporting", "Completed export"), (&imported, "Importing", "Completed import")]
    {
        let ends = (told.first().map(String::as_str), told.last().map(String::as_str));
        assert_eq!(ends, (Some(first), Some(last)), "{told:?}");
    }
    assert!(imported.contains(&format!("saved {name}")), "{imported:?}");
}

#[test]
fn a_stream_has_one_name_and_one_user() {
    let (_registry, _directory, door, client, name) = served(Access::Open);
    door.wharf(&["pull", "-q", &name]);
    wait(async move {
        let code = |outcome: Result<(), Status>| outcome.expect_err("it is refused").code();
        let mut first = client.open("one").await.expect("a stream");
        assert_eq!(client.open("one").await.map(drop).expect_err("it is taken").code(), Code::AlreadyExists);
        assert_eq!(client.open("").await.map(drop).expect_err("it has no name").code(), Code::InvalidArgument);
        let image = stored(&named(&name));
        assert_eq!(code(client.transfer(image.clone(), export("none"), None).await), Code::NotFound);
        let stranger = Any { type_url: "example.org/What".to_owned(), value: Vec::new() };
        assert_eq!(code(client.transfer(image.clone(), stranger, None).await), Code::Unimplemented);
        // Nothing is sent to who has allowed nothing.
        let other = client.clone();
        let waiting = tokio::spawn(async move { other.transfer(stored(&named(&name)), export("one"), None).await });
        assert!(timeout(Duration::from_millis(300), first.answers.message()).await.is_err());
        assert_eq!(code(client.transfer(image.clone(), export("one"), None).await), Code::FailedPrecondition);
        drop(first);
        assert!(waiting.await.expect("it ends").is_err());
        client.open("one").await.expect("the name is free again");
    });
}
