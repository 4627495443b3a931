//! `POST /images/create` with `fromSrc`: an archive of files becomes an image, from
//! the body of the request or from an address.

use super::{
    Context,
    client::Client,
    lines::{Line, Lines, Teller, put},
    pull::{PLATFORM_SINCE, named},
    refusal::Refusal,
};
use crate::{
    host::Host,
    verbs::{
        contract::{Event, ImportOptions},
        import::{import as take, import_from},
    },
};
use std::cell::RefCell;

/// What means the body.
const BODY: &str = "-";

/// Imports `from`, and returns the last line.
pub(super) async fn import<H: Host, C: Client>(
    context: &Context<'_, H>,
    from: &str,
    body: H::Stream,
    lines: &Lines<C>,
) -> Result<Vec<u8>, Refusal> {
    let Context { host, settings, query, version, .. } = context;
    let options = ImportOptions {
        name: query.text("repo").map(|repository| named(repository, query.text("tag"))),
        changes: query.all("changes"),
        message: query.text("message").map(str::to_owned),
        platform: query.platform_since(PLATFORM_SINCE, *version)?,
        created: None,
    };
    let tell = |event, bytes: &mut Vec<u8>| {
        if let Event::Warning(text) | Event::Note(text) = event {
            put(bytes, &Line::status(text));
        }
    };
    let teller = Teller { lines, tell: RefCell::new(tell) };
    let imported = match from {
        BODY => take(*host, &settings.caller, body, &options, &teller).await?,
        address => import_from(*host, &settings.caller, address, &options, &settings.access, &teller).await?,
    };
    let mut bytes = Vec::new();
    put(&mut bytes, &Line::status(imported.id.to_string()));
    Ok(bytes)
}
