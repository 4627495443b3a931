//! The exports that put images in one file, or take them out, as Rust calls. See `wit/images.wit`.

use super::listen;
use super::{
    Access, Caller, CommitOptions, ErrorCode, Event, Failure, ImportOptions, Imported, LoadOptions, Loaded, Outcome,
    Problem, SaveOptions, Saved, Wharf,
};
use crate::engine::Services;
use crate::imports::{drain, serve};
use bytes::{Buf, Bytes};
use std::io::{self, ErrorKind, Read};
use std::thread;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// The bytes of an archive that are read at once.
const READ_BYTES: usize = 256 << 10;
/// How many times that waits until the component has taken it.
const READS_MAX: usize = 4;

/// The bytes of an archive as they come. Reading blocks, and fails if the archive ends early.
#[derive(Debug)]
pub struct Archive {
    receiver: mpsc::Receiver<Bytes>,
    chunk: Bytes,
    /// How many bytes are to come, those of `chunk` included.
    left: u64,
    stop: CancellationToken,
    runtime: Handle,
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let (receiver, stop) = (&mut self.receiver, &self.stop);
            let next = self.runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => Err(io::Error::other("it was stopped")),
                    chunk = receiver.recv() => Ok(chunk),
                }
            });
            match next? {
                Some(chunk) => self.chunk = chunk,
                None if self.left == 0 => return Ok(0),
                None => {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("{} bytes are missing", self.left)));
                }
            }
        }
        let count = buffer.len().min(self.chunk.len());
        let more_than_promised = || io::Error::other("the archive is longer than it was said to be");
        self.left = self.left.checked_sub(count as u64).ok_or_else(more_than_promised)?;
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Wharf {
    /// See `images.save`. `write` runs on a thread of its own, which it may block, and has to read the archive to its
    /// end. Cancelling `stop` makes it fail.
    ///
    /// `origins` are the names of the registries that may be asked for what is missing, if that is fetched.
    pub async fn save(
        &self,
        caller: &Caller,
        references: &[String],
        origins: &[String],
        options: &SaveOptions,
        stop: &CancellationToken,
        write: impl FnOnce(&Saved, &mut Archive) -> io::Result<()> + Send + 'static,
    ) -> Result<Saved, Failure> {
        let (caller, references, options) = (caller.clone(), references.to_vec(), options.clone());
        let what = match &*references {
            [one] => format!("cannot save `{one}`"),
            _ => "cannot save these images".to_owned(),
        };
        let services = match &options.complete {
            Some(access) => self.services_for(&origins.iter().map(String::as_str).collect::<Vec<_>>(), access),
            None => self.services.clone(),
        };
        self.call(&services, "save", async |accessor, images| {
            let answer = images.call_save(accessor, caller, references, options).await?;
            let (saved, bytes, end) = match answer {
                Ok(begun) => begun,
                Err(problem) => return Ok(Err(problem)),
            };
            let (sender, ended) = oneshot::channel::<Result<(), ErrorCode>>();
            let receiver = accessor.with(|mut access| {
                end.pipe(&mut access, Outcome { sender: Some(sender) })?;
                drain(&mut access, bytes)
            })?;
            let (stop, runtime) = (stop.clone(), Handle::current());
            let mut archive = Archive { receiver, chunk: Bytes::new(), left: saved.size, stop: stop.clone(), runtime };
            let written = spawn_blocking(move || {
                write(&saved, &mut archive)?;
                // Whoever has not read everything has not seen whether it is whole.
                io::copy(&mut archive, &mut io::sink())?;
                Ok::<_, io::Error>(saved)
            });
            Ok(match written.await.map_err(wasmtime::Error::new)? {
                Ok(saved) => Ok(saved),
                Err(_) if stop.is_cancelled() => Err(stopped(what)),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(cut(what, ended.await.ok())),
                Err(error) => Err(unwritten(what, &error)),
            })
        })
        .await
    }
}

impl Wharf {
    /// See `images.load`. `archive` is read on a thread of its own, which it may block for ever; `tell` and `stop` are
    /// as in [`Wharf::pull`].
    pub async fn load(
        &self,
        caller: &Caller,
        archive: impl Read + Send + 'static,
        options: &LoadOptions,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Loaded, Failure> {
        let (caller, options) = (caller.clone(), options.clone());
        self.call(&self.services, "load", async |accessor, images| {
            let Reading { receiver, failed, stop } = Reading::begin(archive, stop)?;
            let archive = accessor.with(|mut access| {
                let share = access.data_mut().budget.stream()?;
                serve(&mut access, receiver, share)
            })?;
            let told = images.call_load(accessor, caller, archive, options).await?;
            Ok(read(listen(accessor, told, &stop, tell).await?, failed))
        })
        .await
    }

    /// See `images.import`. `archive`, `tell` and `stop` are as in [`Wharf::load`].
    pub async fn import(
        &self,
        caller: &Caller,
        archive: impl Read + Send + 'static,
        options: &ImportOptions,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Imported, Failure> {
        let (caller, options) = (caller.clone(), options.clone());
        self.call(&self.services, "import", async |accessor, images| {
            let Reading { receiver, failed, stop } = Reading::begin(archive, stop)?;
            let archive = accessor.with(|mut access| {
                let share = access.data_mut().budget.stream()?;
                serve(&mut access, receiver, share)
            })?;
            let told = images.call_import(accessor, caller, archive, options).await?;
            Ok(read(listen(accessor, told, &stop, tell).await?, failed))
        })
        .await
    }

    /// See `images.import-from`. The address counts as typed by a person, as a registry does, and no login is used.
    pub async fn import_from(
        &self,
        caller: &Caller,
        url: &str,
        options: &ImportOptions,
        access: &Access,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Imported, Failure> {
        if let Some((_, authority)) = wharf_terminal::named::address(url) {
            // What is no authority allows nothing, and the component says what is wrong with it.
            let _ = self.services.network.allow(authority);
        }
        let services = Services { credentials: self.services.credentials.named(&[]), ..self.services.clone() };
        let (caller, url, options) = (caller.clone(), url.to_owned(), options.clone());
        let access = access.clone();
        self.call(&services, "import-from", async |accessor, images| {
            let told = images.call_import_from(accessor, caller, url, options, access).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }

    /// See `images.commit`. `tell` and `stop` are as in [`Wharf::load`].
    pub async fn commit(
        &self,
        caller: &Caller,
        key: &str,
        options: &CommitOptions,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(Event) + Send),
    ) -> Result<Imported, Failure> {
        let (caller, key, options) = (caller.clone(), key.to_owned(), options.clone());
        self.call(&self.services, "commit", async |accessor, images| {
            let told = images.call_commit(accessor, caller, key, options).await?;
            listen(accessor, told, stop, tell).await
        })
        .await
    }
}

/// An archive that a thread reads, because that may block for ever.
struct Reading {
    receiver: mpsc::Receiver<Bytes>,
    /// Why it cannot be read.
    failed: oneshot::Receiver<io::Error>,
    /// Is cancelled when it cannot be read, or when the call is.
    stop: CancellationToken,
}

impl Reading {
    fn begin(archive: impl Read + Send + 'static, stop: &CancellationToken) -> wasmtime::Result<Self> {
        let (sender, receiver) = mpsc::channel(READS_MAX);
        let (fail, failed) = oneshot::channel();
        let (stop, runtime) = (stop.child_token(), Handle::current());
        let broken = stop.clone();
        let reading = thread::Builder::new().name("archive".to_owned()).spawn(move || {
            if let Err(error) = feed(archive, &sender) {
                // Whoever does not ask has another reason to fail.
                let _ = fail.send(error);
                broken.cancel();
                // To the component an archive that cannot be read is one that has not ended.
                runtime.block_on(sender.closed());
            }
        });
        reading.map_err(wasmtime::Error::new)?;
        Ok(Self { receiver, failed, stop })
    }
}

/// Says why an archive could not be read, if it could not: the component knows only that it was stopped.
fn read<T>(outcome: Result<T, Problem>, mut failed: oneshot::Receiver<io::Error>) -> Result<T, Problem> {
    match (outcome, failed.try_recv()) {
        (Err(problem), Ok(error)) => Err(Problem {
            code: ErrorCode::Other(error.to_string()),
            why: vec![format!("the archive cannot be read: {error}")],
            fix: None,
            ..problem
        }),
        (outcome, _) => outcome,
    }
}

/// Reads an archive until nobody wants it any more.
fn feed(mut archive: impl Read, sender: &mpsc::Sender<Bytes>) -> io::Result<()> {
    loop {
        let mut chunk = vec![0; READ_BYTES];
        match archive.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => chunk.truncate(length),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if sender.blocking_send(chunk.into()).is_err() {
            return Ok(());
        }
    }
}

fn stopped(what: String) -> Problem {
    Problem {
        code: ErrorCode::Cancelled,
        what,
        why: vec!["it was stopped; nothing is left of it".to_owned()],
        fix: None,
    }
}

/// The stream has ended before its time.
fn cut(what: String, why: Option<Result<(), ErrorCode>>) -> Problem {
    let fix = Some("wharf fsck".to_owned());
    match why {
        Some(Err(ErrorCode::DigestMismatch(actual))) => {
            let why = vec![format!("a blob is damaged: its bytes hash to `{actual}`")];
            Problem { code: ErrorCode::DigestMismatch(actual), what, why, fix }
        }
        Some(Err(code)) => {
            let why = vec!["a blob cannot be read".to_owned()];
            Problem { code, what, why, fix }
        }
        Some(Ok(())) | None => {
            let why = "the archive ended before its end".to_owned();
            Problem { code: ErrorCode::Other(why.clone()), what, why: vec![why], fix: None }
        }
    }
}

fn unwritten(what: String, error: &io::Error) -> Problem {
    let code = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ErrorCode::NoSpace,
        _ => ErrorCode::Other(error.to_string()),
    };
    Problem { code, what, why: vec![format!("the archive cannot be written: {error}")], fix: None }
}
