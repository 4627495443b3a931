//! The few interfaces of WASI that the component gets: HTTP through wharf's own
//! network service, clocks, random numbers, a seed for hash maps, and an error
//! output that goes to the log. No file, no socket, no argument, and an
//! environment that is empty. Every other name is a trap, see `engine::deny`.

use crate::engine::Limits;
use crate::engine::state::State;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWrite;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2, p3};
use wasmtime_wasi_http::{WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// The bytes that one write to the error output may have.
const LOG_WRITE_BYTES_MAX: usize = 4 << 10;

/// Request and response headers, in the accounting of wasmtime.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// The contexts of one store.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    http: WasiHttpCtx,
}

impl Wasi {
    pub(crate) fn new(limits: &Limits) -> Self {
        let log = Log { left: Arc::new(AtomicUsize::new(limits.log_bytes_max)) };
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(HEADER_BYTES_MAX);
        Self { ctx: WasiCtx::builder().stderr(log).build(), http }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.ctx, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.wasi.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links what is granted, interface by interface. `engine::deny` holds the list.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    use wasmtime_wasi_http::p3::bindings::http;
    use wasmtime_wasi_io::bindings::wasi::io;

    http::client::add_to_linker::<_, WasiHttp>(linker, State::http)?;
    http::types::add_to_linker::<_, WasiHttp>(linker, State::http)?;
    p3::bindings::clocks::types::add_to_linker::<_, WasiClocks>(linker, State::clocks)?;
    p3::bindings::clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, State::clocks)?;
    p3::bindings::clocks::system_clock::add_to_linker::<_, WasiClocks>(linker, State::clocks)?;
    p3::bindings::random::random::add_to_linker::<_, WasiRandom>(linker, |state| state.wasi.ctx.random())?;
    p2::bindings::random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |state| state.wasi.ctx.random())?;
    p2::bindings::cli::environment::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    p2::bindings::cli::stderr::add_to_linker::<_, WasiCli>(linker, State::cli)?;
    io::error::add_to_linker::<_, HasTable>(linker, |state| &mut state.table)?;
    io::streams::add_to_linker::<_, HasTable>(linker, |state| &mut state.table)?;
    Ok(())
}

/// The error output of the component: bounded, escaped, and only in the log.
#[derive(Clone)]
struct Log {
    left: Arc<AtomicUsize>,
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this form, and its stdio is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Log {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Log {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let left = self.left.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(bytes.len()) else { return Err(StreamError::Closed) };
        self.left.store(left, Ordering::Relaxed);
        let text = String::from_utf8_lossy(&bytes);
        tracing::warn!(target: "wharf::component", "{}", text.trim_end().escape_debug());
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match self.left.load(Ordering::Relaxed) {
            0 => Err(StreamError::Closed),
            left => Ok(left.min(LOG_WRITE_BYTES_MAX)),
        }
    }
}
