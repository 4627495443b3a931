//! `wasi:http/handler`: the runtime listens, as `wasmtime serve` does, and each
//! request is answered over the directory that it gave. Clients send their own
//! logins, which are in the memory of the component here.

use super::plain::Plain;
use super::stream::Stream;
use super::wire::{self, Wire};
use super::{archives, given};
use crate::docker::{Ask, Refusal, Settings, Station};
use crate::edge::door::{self, Met};
use crate::portable::{Blob, Chunks, Rights};
use crate::verbs::contract::Caller;
use crate::verbs::save::Piece;
use std::io::ErrorKind;
use std::path::PathBuf;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wharf_credentials::{Document, Sent};
use wharf_terminal::cli::{Cli, Serve, Verb, portable};
use wharf_terminal::{named, requested};
use wharf_vocabulary::vocabulary::{Access, Problem};
use wit_bindgen::StreamReader;

/// Where docker's clients put a login.
const HEADER: &str = "x-registry-auth";
/// The largest body that says who logs in, in bytes.
const LOGIN_BYTES_MAX: usize = 64 << 10;
/// How many bytes of it are taken at once.
const READ_BYTES: usize = 16 << 10;

struct Handler;
wasip3::http::service::export!(Handler);

impl wasip3::exports::http::handler::Guest for Handler {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        door::answer(request, async |ask, headers, body| meet(ask, &headers, body).await, archive).await
    }
}

/// Makes the host of one request.
async fn meet(ask: &Ask, headers: &Fields, body: StreamReader<u8>) -> Result<Met<Plain>, Refusal> {
    let (root, asked) = options()?;
    let access = asked.access();
    let header = headers.get(HEADER).into_iter().next();
    let mut login = header.map(|value| Sent::of_header(&value)).transpose().map_err(refused)?.flatten();
    let mut references = requested::references(&ask.target);
    let mut body = Stream::Body(body);
    if requested::is_login(&ask.target) {
        let sent = Sent::of_body(&collect(&mut body).await?).map_err(refused)?;
        let registry = requested::registry(sent.address()).to_owned();
        body = Stream::Bytes(requested::login_shown(&registry).into_bytes().into());
        references = vec![format!("{registry}/")];
        login = Some(sent);
    }
    let rights = rights(login.as_ref(), &references, &access)?;
    let caller = Caller { namespace: "default".to_owned(), machine: given::machine() };
    let settings = Settings {
        caller,
        access: access.into(),
        unpack: false,
        concurrent_transfers: asked.max_concurrent_transfers,
        station: Station { system: "a runtime of WebAssembly".to_owned(), ..Station::default() },
        // Who runs it counts what the runtime counts.
        note: drop,
    };
    Ok((Plain::new(given::store(&root).await.map_err(unopened)?, rights), settings, body))
}

/// Reads the options of `wharf serve` as the variables of the environment have them: the runtime has none of its own.
fn options() -> Result<(PathBuf, Serve), Refusal> {
    let cli = portable::parse(["wharf", "serve"].map(Into::into));
    match cli.map_err(|error| Refusal::new(500, format!("a variable of the environment cannot be used: {error}")))? {
        Cli { global, verb: Verb::Serve(asked) } => {
            Ok((global.root.unwrap_or_else(|| PathBuf::from(portable::ROOT)), asked))
        }
        _ => unreachable!("the arguments are those of `serve`"),
    }
}

fn rights(login: Option<&Sent>, references: &[String], access: &Access) -> Result<Rights<Wire>, Refusal> {
    let registries: Vec<_> = references.iter().flat_map(|reference| named::registries(reference, access)).collect();
    let registry = references.first().map(|reference| named::registry(reference, &access.aliases));
    let documents: Vec<Document> =
        login.zip(registry).map(|(login, registry)| login.document(registry)).into_iter().collect();
    wire::rights(documents, Vec::new(), &registries).map_err(|error| Refusal::new(400, error.to_string()))
}

async fn collect(body: &mut Stream) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next(READ_BYTES).await {
        bytes.extend(chunk);
        if bytes.len() > LOGIN_BYTES_MAX {
            return Err(refused("it is too long"));
        }
    }
    Ok(bytes)
}

fn refused(why: &str) -> Refusal {
    Refusal::new(400, format!("the request has no login that can be used: {why}"))
}

/// The directory is the runtime's matter, and no client's.
fn unopened(Problem { what, why, .. }: Problem) -> Refusal {
    Refusal::new(500, [vec![what], why].concat().join(": "))
}

/// The client learns that an archive is not whole by its length.
fn archive(pieces: Vec<Piece<Blob>>) -> StreamReader<u8> {
    let (mut writer, reader) = wasip3::wit_stream::new();
    wit_bindgen::spawn_local(async move {
        // Whoever went away has read enough, and what is damaged ends before its end.
        let take = async |bytes| match writer.write_all(bytes).await.as_slice() {
            [] => Ok(()),
            _ => Err(archives::Error::Write(ErrorKind::BrokenPipe.into())),
        };
        let _ = archives::pour_each(pieces, take).await;
    });
    reader
}
