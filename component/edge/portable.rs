//! The component for stock WebAssembly runtimes: `wasi:cli/run` and `wasi:http/handler` over plain WASI.
//! Arguments, one verb, text; the same declarations, verbs and tables as the
//! native program, over another [`Host`](crate::host::Host).
//!
//! - `plain`: the host. `stream`, `wire`: its parts.
//! - `given`: what the runtime gives: the directory, variables, logins.
//! - `handler`: one request of a client of docker's.
//! - `program`: one verb, from its arguments to its text; `changes`: those that change what is here; `archives`: those
//!   that write images into one file; `uploads`: those that push. `screen`: how they get on.

#![allow(
    clippy::disallowed_methods,
    reason = "here the component is the program: what it may open and read is what the runtime was told to give"
)]

mod archives;
mod changes;
mod given;
mod handler;
mod plain;
mod program;
mod screen;
mod stream;
mod uploads;
mod wire;

use std::io::Write;
use wharf_terminal::cli::exit;

struct Program;
wasip3::cli::command::export!(Program);

impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let code = program::run(std::env::args_os()).await;
        // What is buffered would be lost by an exit.
        let _ = std::io::stdout().flush();
        if code == exit::DONE { Ok(()) } else { Err(()) }
    }
}
