//! Every import as the canonical ABI has it: a function of numbers. The bindings would check what goes in; here handles
//! are forged, texts are no text, and pointers lead nowhere. Component model, `CanonicalABI.md`.
//!
//! It knows what a number stands for, so that `dice` can mostly give what is right and so come further.

use std::mem::transmute;

/// What a handle is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ingest,
    Blob,
    Layer,
    Extraction,
    Snapshot,
    Transaction,
    Grant,
    Stream,
    Future,
    Fields,
}

/// All kinds, in the order of their pools.
pub(crate) const KINDS: usize = Kind::Fields as usize + 1;

/// What one parameter, of one to three numbers, stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Param {
    /// A handle that stays.
    Lent(Kind),
    /// A handle that is given away.
    Given(Kind),
    /// Whether there is one, and a handle that stays.
    Perhaps(Kind),
    /// Where it begins and its size.
    Text,
    /// The same, of a name that nobody holds: whoever waits for himself waits for ever.
    Name,
    /// Whether there is one, where it begins and its size.
    Maybe,
    Bytes,
    /// Parts of a `concat`.
    Parts,
    /// A list of texts.
    Texts,
    /// One of so many.
    Case(u64),
    Small,
    Large,
    /// Where the result goes.
    Result,
}

/// What a call gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gives {
    Nothing,
    /// A handle as the result.
    One(Kind),
    /// A handle behind the case of a result, in memory.
    Perhaps(Kind),
    /// A stream and a future, in memory.
    Served,
    /// A number and perhaps a stream, behind the case of a result, in memory.
    Rest,
}

/// One import.
pub(crate) struct Import {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) gives: Gives,
    pub(crate) call: fn(&[u64]) -> u64,
}

/// What a core function returns, as a number.
trait Number {
    fn number(self) -> u64;
}

impl Number for () {
    fn number(self) -> u64 {
        0
    }
}

impl Number for i32 {
    fn number(self) -> u64 {
        u64::from(self as u32)
    }
}

impl Number for i64 {
    fn number(self) -> u64 {
        self as u64
    }
}

macro_rules! imports {
    ($($module:literal { $($name:literal ($($core:ty),*) $(-> $result:ty)?, [$($param:expr),*], $gives:expr;)* })*) => {
        &[$($(Import {
            name: concat!($module, "#", $name),
            params: &[$($param),*],
            gives: $gives,
            call: |numbers| {
                #[link(wasm_import_module = $module)]
                unsafe extern "C" {
                    #[link_name = $name]
                    fn import($(_: $core),*) $(-> $result)?;
                }
                let mut numbers = numbers.iter().copied();
                let mut next = || numbers.next().unwrap_or_default();
                // Not all of them have parameters.
                let _ = &mut next;
                // SAFETY: none for this component, which is the idea. Its memory is its own.
                unsafe { import($(next() as $core),*) }.number()
            },
        }),*),*]
    };
}

use Gives::{Nothing, One, Perhaps, Rest, Served};
use Kind::{Blob, Extraction, Fields, Grant, Ingest, Layer, Snapshot, Stream, Transaction};
use Param::{Bytes, Case, Given, Large, Lent, Maybe, Name, Parts, Result, Small, Text, Texts};

pub(crate) static IMPORTS: &[Import] = imports! {
    "wharf:images/content@0.1.0" {
        "open"(i32, i32, i32), [Text, Result], Perhaps(Blob);
        "sync"(i32), [Result], Nothing;
        "begin"(i32, i32, i32), [Name, Result], Perhaps(Ingest);
        "concat"(i32, i32, i32), [Parts, Result], Served;
        "entries"(i32, i32, i32, i32, i32), [Maybe, Small, Result], Nothing;
        "remove"(i32, i32, i32), [Text, Result], Nothing;
        "[method]ingest.offset"(i32) -> i64, [Lent(Ingest)], Nothing;
        "[method]ingest.append"(i32, i32, i64, i32), [Lent(Ingest), Given(Stream), Large, Result], Rest;
        "[method]ingest.restart"(i32, i32), [Lent(Ingest), Result], Nothing;
        "[static]ingest.commit"(i32, i32, i32, i64, i32), [Given(Ingest), Text, Large, Result], Perhaps(Blob);
        "[static]ingest.discard"(i32, i32), [Given(Ingest), Result], Nothing;
        "[resource-drop]ingest"(i32), [Given(Ingest)], Nothing;
        "[method]blob.digest"(i32, i32), [Lent(Blob), Result], Nothing;
        "[method]blob.size"(i32) -> i64, [Lent(Blob)], Nothing;
        "[method]blob.read"(i32, i64, i64, i32), [Lent(Blob), Large, Large, Result], Nothing;
        "[method]blob.verify"(i32, i32), [Lent(Blob), Result], Nothing;
        "[method]blob.stream"(i32, i64, i32), [Lent(Blob), Large, Result], Served;
        "[resource-drop]blob"(i32), [Given(Blob)], Nothing;
    }
    "wharf:images/layers@0.1.0" {
        "open"(i32, i32, i32), [Text, Result], Perhaps(Layer);
        "unpack"(i32, i32, i32, i32), [Lent(Blob), Text, Result], Perhaps(Layer);
        "follow"(i32) -> i32, [Lent(Ingest)], One(Extraction);
        "stack"(i32, i32, i32, i32, i32, i32), [Text, Param::Perhaps(Snapshot), Lent(Layer), Result], Perhaps(Snapshot);
        "find"(i32, i32, i32), [Text, Result], Perhaps(Snapshot);
        "sync"(i32), [Result], Nothing;
        "entries"(i32, i32, i32, i32, i32), [Maybe, Small, Result], Nothing;
        "remove"(i32, i32, i32), [Text, Result], Nothing;
        "[static]extraction.finish"(i32, i32, i32, i32, i32), [Given(Extraction), Lent(Blob), Text, Result], Perhaps(Layer);
        "[resource-drop]extraction"(i32), [Given(Extraction)], Nothing;
        "[method]layer.diff-id"(i32, i32), [Lent(Layer), Result], Nothing;
        "[method]layer.usage"(i32, i32), [Lent(Layer), Result], Nothing;
        "[method]layer.warnings"(i32, i32), [Lent(Layer), Result], Nothing;
        "[resource-drop]layer"(i32), [Given(Layer)], Nothing;
        "[method]snapshot.name"(i32, i32), [Lent(Snapshot), Result], Nothing;
        "[method]snapshot.parent"(i32, i32), [Lent(Snapshot), Result], Nothing;
        "[method]snapshot.usage"(i32, i32), [Lent(Snapshot), Result], Nothing;
        "[resource-drop]snapshot"(i32), [Given(Snapshot)], Nothing;
    }
    "wharf:images/metadata@0.1.0" {
        "begin"(i32), [Result], Perhaps(Transaction);
        "[method]transaction.get"(i32, i32, i32, i32, i32, i32), [Lent(Transaction), Text, Text, Result], Nothing;
        "[method]transaction.scan"(i32, i32, i32, i32, i32, i32, i32, i32, i32, i32),
            [Lent(Transaction), Text, Text, Maybe, Small, Result], Nothing;
        "[method]transaction.put"(i32, i32, i32, i32, i32, i32, i32), [Lent(Transaction), Text, Text, Bytes], Nothing;
        "[method]transaction.delete"(i32, i32, i32, i32, i32), [Lent(Transaction), Text, Text], Nothing;
        "[static]transaction.commit"(i32, i32), [Given(Transaction), Result], Nothing;
        "[resource-drop]transaction"(i32), [Given(Transaction)], Nothing;
    }
    "wharf:images/credentials@0.1.0" {
        "authorize"(i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32, i32),
            [Case(2), Text, Maybe, Case(2), Text, Maybe, Texts, Case(2), Result], Perhaps(Grant);
        "[method]grant.id"(i32, i32), [Lent(Grant), Result], Nothing;
        "[method]grant.anonymous"(i32) -> i32, [Lent(Grant)], Nothing;
        "[resource-drop]grant"(i32), [Given(Grant)], Nothing;
    }
    "wasi:http/types@0.3.2" {
        "[constructor]fields"() -> i32, [], One(Fields);
        "[method]fields.has"(i32, i32, i32) -> i32, [Lent(Fields), Text], Nothing;
        "[method]fields.get"(i32, i32, i32, i32), [Lent(Fields), Text, Result], Nothing;
        "[method]fields.append"(i32, i32, i32, i32, i32, i32), [Lent(Fields), Text, Bytes, Result], Nothing;
        "[method]fields.set"(i32, i32, i32, i32, i32, i32), [Lent(Fields), Text, Texts, Result], Nothing;
        "[method]fields.delete"(i32, i32, i32, i32), [Lent(Fields), Text, Result], Nothing;
        "[method]fields.copy-all"(i32, i32), [Lent(Fields), Result], Nothing;
        "[method]fields.clone"(i32) -> i32, [Lent(Fields)], One(Fields);
        "[resource-drop]fields"(i32), [Given(Fields)], Nothing;
    }
};

/// Where results go, and where texts are when nothing is said about them.
#[repr(C, align(16))]
pub(crate) struct Area(pub(crate) [u64; 64]);

pub(crate) static mut AREA: Area = Area([0; 64]);

/// Returns where results go.
pub(crate) fn area() -> u64 {
    (&raw mut AREA) as u64
}

/// Returns one of the numbers in [`AREA`].
pub(crate) fn result(at: usize) -> u32 {
    // SAFETY: the host writes there during a call, and this is between calls.
    let bytes: [u32; 128] = unsafe { transmute::<[u64; 64], [u32; 128]>((&raw const AREA.0).read()) };
    bytes[at]
}

/// Calls an import with these numbers. Returns its own number, and the first words of the result in memory.
pub(crate) fn call(name: &str, numbers: &[u64]) -> (u64, u32) {
    let import = IMPORTS.iter().find(|import| import.name.ends_with(name)).expect("it is an import");
    ((import.call)(numbers), result(0))
}

/// Runs an attack by its name: one call that is wrong.
pub(crate) fn run(name: &str, words: &[String], count: u64) -> Vec<String> {
    let (area, digest) = (area(), "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
    let text = [digest.as_ptr() as u64, digest.len() as u64];
    let begun = |name: &str| -> u64 {
        let (_, case) = call("content@0.1.0#begin", &[name.as_ptr() as u64, name.len() as u64, area]);
        assert_eq!(case & 0xff, 0, "nobody holds it");
        u64::from(result(2))
    };
    let outcome = match name {
        "random" => return crate::dice::run(words[0].parse().expect("a seed"), count),
        "forged" => call("blob.size", &[count]),
        "of-another-kind" => call("blob.size", &[begun("kind")]),
        "used-after-drop" => {
            let ingest = begun("dropped");
            call("[resource-drop]ingest", &[ingest]);
            call("ingest.offset", &[ingest])
        }
        "dropped-twice" => {
            let ingest = begun("twice");
            call("[resource-drop]ingest", &[ingest]);
            call("[resource-drop]ingest", &[ingest])
        }
        "given-twice" => {
            let ingest = begun("given");
            call("ingest.discard", &[ingest, area]);
            call("ingest.discard", &[ingest, area])
        }
        "text-beyond-memory" => call("content@0.1.0#open", &[0xffff_0000, 0xffff, area]),
        "text-around-memory" => call("content@0.1.0#open", &[16, 0xffff_fff8, area]),
        "text-of-everything" => {
            call("content@0.1.0#open", &[0, (core::arch::wasm32::memory_size::<0>() << 16) as u64, area])
        }
        "text-of-so-much" => {
            let text = "a".repeat(usize::try_from(count).expect("it fits"));
            call("content@0.1.0#begin", &[text.as_ptr() as u64, text.len() as u64, area])
        }
        "text-of-no-unicode" => call("content@0.1.0#open", &[b"\xff\xfe\xed\xa0\x80".as_ptr() as u64, 5, area]),
        "result-beyond-memory" => call("content@0.1.0#open", &[text[0], text[1], 0xffff_fff0]),
        "result-between-words" => call("content@0.1.0#open", &[text[0], text[1], area + 1]),
        "list-between-words" => call("content@0.1.0#concat", &[area + 1, 1, area]),
        "list-beyond-memory" => call("content@0.1.0#concat", &[area, 0x7fff_ffff, area]),
        "case-of-none" => {
            // A challenge that is neither basic nor bearer.
            let numbers = [1, text[0], text[1], 0, 0, 0, count, 0, 0, 0, 0, 0, 0, 0, 0, area];
            call("credentials@0.1.0#authorize", &numbers)
        }
        "enum-of-none" => {
            let numbers = [1, text[0], text[1], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, count, area];
            call("credentials@0.1.0#authorize", &numbers)
        }
        "option-of-none" => call("content@0.1.0#entries", &[count, text[0], text[1], 1, area]),
        _ => return vec![format!("there is no attack `{name}`")],
    };
    vec![format!("{outcome:?}")]
}
