//! `wasi:http/handler`, with what the host says about how to answer.

use super::wharf::images::serving;
use super::{Piece, concat, content};
use crate::docker::{Note, Pulled, Settings, Station};
use crate::edge::convert::each;
use crate::edge::door;
use crate::edge::imports::Imports;
use wasip3::http::types::{ErrorCode, Request, Response};
use wit_bindgen::StreamReader;

struct Handler;
wasip3::http::service::export!(Handler);

impl wasip3::exports::http::handler::Guest for Handler {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        door::answer(request, async |_, _, body| Ok((Imports, serving::get().into(), body)), archive).await
    }
}

/// The client learns that an archive is not whole by its length.
fn archive(pieces: Vec<Piece<content::Blob>>) -> StreamReader<u8> {
    concat(&pieces).0
}

impl From<serving::Settings> for Settings {
    fn from(settings: serving::Settings) -> Self {
        let serving::Settings { caller, access, unpack, concurrent_transfers, station } = settings;
        let serving::Station { name, system, kernel, processors, memory_bytes } = station;
        Self {
            caller: caller.into(),
            access: access.into(),
            unpack,
            concurrent_transfers,
            station: Station { name, system, kernel, processors, memory_bytes },
            note: |what| serving::note(&what.into()),
        }
    }
}

impl From<Note> for serving::Noted {
    fn from(note: Note) -> Self {
        match note {
            Note::Route(route) => Self::Route(route.to_owned()),
            Note::Pulled(Pulled { reference, target, up_to_date, layers, missing, failure }) => {
                let target = target.map(|digest| digest.to_string());
                let missing = missing.iter().map(ToString::to_string).collect();
                let (layers, failure) = (each(layers), failure.map(Into::into));
                Self::Pulled(serving::Pulled { reference, target, up_to_date, layers, missing, failure })
            }
        }
    }
}
