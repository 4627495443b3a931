//! An answer that grows while a verb runs: one JSON object a line. It begins with
//! the first line, so that what fails before that still has a status of its own.
//!
//! Its end says what came of the verb. A client that does not take the end finds the
//! answer broken off, and not one that looks whole and says nothing of a failure.

use super::{
    client::{self, Body, Client, Head},
    refusal::Refusal,
};
use crate::verbs::{contract::Event, listen::Listener};
use serde::Serialize;
use std::{cell::RefCell, num::NonZeroU64};

/// How many characters a bar has.
const BAR_CHARS: u64 = 50;

/// One line. The order of the fields is docker's.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line<'l> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) progress_detail: Option<Detail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) progress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_detail: Option<ErrorDetail<'l>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'l str>,
}

/// How far something is; empty if nothing moves.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<NonZeroU64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<NonZeroU64>,
}

/// Why there is no more.
#[derive(Debug, Serialize)]
pub(super) struct ErrorDetail<'l> {
    code: u16,
    message: &'l str,
}

impl<'l> Line<'l> {
    /// A sentence.
    pub(super) fn status(text: impl Into<String>) -> Self {
        Self { status: Some(text.into()), ..Self::default() }
    }

    /// A sentence about something that has an ID.
    pub(super) fn about(id: &'l str, text: impl Into<String>) -> Self {
        Self { id: Some(id), progress_detail: Some(Detail::default()), ..Self::status(text) }
    }

    /// Something of which so many bytes of `total` are done.
    pub(super) fn moving(id: &'l str, text: impl Into<String>, current: u64, total: u64) -> Self {
        Self {
            progress_detail: Some(Detail { current: NonZeroU64::new(current), total: NonZeroU64::new(total) }),
            progress: Some(bar(current, total)),
            ..Self::about(id, text)
        }
    }
}

/// Puts a line behind others.
pub(super) fn put(bytes: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *bytes, line).expect("lines have texts as keys");
    bytes.extend_from_slice(b"\r\n");
}

/// As in `[=====>     ]  1.2MB/24MB`.
fn bar(current: u64, total: u64) -> String {
    let done = current.min(total).saturating_mul(BAR_CHARS).checked_div(total).unwrap_or(0) as usize;
    let left = BAR_CHARS as usize - done;
    let head = if left > 0 { ">" } else { "" };
    format!("[{}{head}{}]  {}/{}", "=".repeat(done), " ".repeat(left.saturating_sub(1)), size(current), size(total))
}

/// A size with up to four digits, as in `12.34MB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1000.0, unit + 1);
    }
    let digits = match value {
        100.0.. => 1,
        10.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

/// The answer.
pub(super) struct Lines<C: Client> {
    content_type: &'static str,
    state: RefCell<State<C>>,
}

enum State<C: Client> {
    Waiting(C),
    Begun(C::Body),
    /// A write is on its way, or was given up, or nobody reads any more.
    Gone,
}

impl<C: Client> Lines<C> {
    pub(super) fn new(client: C) -> Self {
        Self::typed(client, "application/json")
    }

    /// With a type of its own.
    pub(super) fn typed(client: C, content_type: &'static str) -> Self {
        Self { content_type, state: RefCell::new(State::Waiting(client)) }
    }

    fn head(&self) -> Head {
        Head::new(200, Some(self.content_type))
    }

    /// Sends the head before there is a line.
    pub(super) async fn begin(&self) {
        let state = self.state.replace(State::Gone);
        self.state.replace(match state {
            State::Waiting(client) => State::Begun(client.begin(self.head()).await),
            other => other,
        });
    }

    /// Sends lines, and returns whether anybody takes more.
    pub(super) async fn write(&self, bytes: Vec<u8>) -> bool {
        let state = self.state.replace(State::Gone);
        let mut body = match state {
            // Nobody can be asked before there is an answer.
            State::Waiting(client) if bytes.is_empty() => {
                self.state.replace(State::Waiting(client));
                return true;
            }
            State::Waiting(client) => client.begin(self.head()).await,
            State::Begun(body) => body,
            State::Gone => return false,
        };
        let is_open = body.write(bytes).await;
        if is_open {
            self.state.replace(State::Begun(body));
        }
        is_open
    }

    /// Sends what is left to say, and ends the answer.
    pub(super) async fn end(self, outcome: Result<Vec<u8>, Refusal>) {
        let bytes = match (self.state.replace(State::Gone), outcome) {
            (State::Waiting(client), Err(refusal)) => return client::send(client, refusal.into()).await,
            (state, Ok(bytes)) => {
                self.state.replace(state);
                bytes
            }
            (state, Err(Refusal { status, message })) => {
                self.state.replace(state);
                let mut bytes = Vec::new();
                let error_detail = Some(ErrorDetail { code: status, message: &message });
                put(&mut bytes, &Line { error_detail, error: Some(&message), ..Line::default() });
                bytes
            }
        };
        self.begin().await;
        // Whoever went away has read enough. Whoever took nothing for too long has lost a part of a line, after which
        // nothing can be written.
        if (bytes.is_empty() || self.write(bytes).await)
            && let State::Begun(body) = self.state.replace(State::Gone)
        {
            body.finish().await;
        }
    }
}

/// Hears a verb, and writes what `tell` makes of its events.
pub(super) struct Teller<'l, C: Client, F> {
    pub(super) lines: &'l Lines<C>,
    pub(super) tell: RefCell<F>,
}

impl<C: Client, F: FnMut(Event, &mut Vec<u8>)> Listener for Teller<'_, C, F> {
    async fn hear(&self, events: Vec<Event>) -> bool {
        let mut bytes = Vec::new();
        for event in events {
            (self.tell.borrow_mut())(event, &mut bytes);
        }
        self.lines.write(bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        registry::script::Script,
        verbs::{
            listen::{Board, accompany},
            save::Piece,
        },
    };
    use std::{future::pending, rc::Rc};

    /// A client that takes so many pieces, and then stands still.
    struct Slow {
        takes: usize,
        /// What it has taken, and how it ended.
        read: Rc<RefCell<String>>,
    }

    impl Client for Slow {
        type Blob = ();
        type Body = Self;

        async fn begin(self, head: Head) -> Self {
            self.read.borrow_mut().push_str(&format!("{}: ", head.status));
            self
        }

        async fn send(self, _: Head, _: Vec<Piece<()>>) {
            unreachable!("lines are no archive");
        }
    }

    impl Body for Slow {
        async fn write(&mut self, bytes: Vec<u8>) -> bool {
            if self.takes == 0 {
                pending::<()>().await;
            }
            self.takes -= 1;
            self.read.borrow_mut().push_str(&String::from_utf8(bytes).unwrap());
            true
        }

        async fn finish(self) {
            self.read.borrow_mut().push_str("the end");
        }
    }

    /// A client that took nothing of the last lines for two seconds was told nothing of how a pull had ended, and its
    /// answer ended as one that is whole: a failed pull looked as if it had succeeded.
    #[test]
    fn an_answer_that_lacks_its_end_is_broken_off() {
        let read = |takes, outcome: Result<Vec<u8>, Refusal>| {
            let read = Rc::new(RefCell::new(String::new()));
            let lines = Lines::new(Slow { takes, read: read.clone() });
            let host = Script::new([]);
            host.run(async {
                let tell = |event, bytes: &mut Vec<u8>| {
                    if let Event::Warning(text) = event {
                        bytes.extend_from_slice(text.as_bytes());
                    }
                };
                let (teller, board) = (Teller { lines: &lines, tell: RefCell::new(tell) }, Board::default());
                let work = async {
                    board.warn("a line, ".to_owned());
                    7
                };
                assert_eq!(accompany(&host, &teller, &board, work).await, Some(7));
                lines.end(outcome).await;
            });
            read.take()
        };
        let failed = || Err(Refusal::new(500, "no".to_owned()));
        let error = "{\"errorDetail\":{\"code\":500,\"message\":\"no\"},\"error\":\"no\"}\r\n";
        assert_eq!(read(2, failed()), format!("200: a line, {error}the end"));
        assert_eq!(read(2, Ok(b"Digest, ".to_vec())), "200: a line, Digest, the end");
        assert_eq!(read(1, Ok(Vec::new())), "200: a line, the end");
        for outcome in [failed(), Ok(b"Digest".to_vec()), Ok(Vec::new())] {
            assert_eq!(read(0, outcome), "200: ");
        }
    }

    #[test]
    fn a_bar_has_the_width_of_its_part() {
        let rows = [
            (0, 24_000_000, ">", 49, "0B/24MB"),
            (12_340_000, 24_680_000, "=========================>", 24, "12.34MB/24.68MB"),
            (1_000, 1_000, "==================================================", 0, "1kB/1kB"),
            (5, 0, ">", 49, "5B/0B"),
        ];
        for (current, total, done, left, sizes) in rows {
            assert_eq!(bar(current, total), format!("[{done}{}]  {sizes}", " ".repeat(left)));
        }
    }

    #[test]
    fn a_size_has_four_digits_at_most() {
        let rows = [(0, "0B"), (999, "999B"), (1_234, "1.234kB"), (12_345, "12.35kB"), (123_456, "123.5kB")];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_line_has_the_fields_of_dockers_in_their_order() {
        let mut bytes = Vec::new();
        put(&mut bytes, &Line::status("Digest: sha256:00"));
        put(&mut bytes, &Line::about("4bcf", "Waiting"));
        put(&mut bytes, &Line::moving("4bcf", "Downloading", 1, 2));
        let expected = [
            r#"{"status":"Digest: sha256:00"}"#,
            r#"{"status":"Waiting","progressDetail":{},"id":"4bcf"}"#,
            r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"progress":"[=========================>                        ]  1B/2B","id":"4bcf"}"#,
            "",
        ];
        assert_eq!(String::from_utf8(bytes).unwrap(), expected.join("\r\n"));
    }
}
