//! Runs the programs that keep logins. It is a part of `main`, and as such takes ambient authority: the programs are
//! found in `PATH` and get the whole environment, because they need what shows a person a window.
//!
//! What they say is read in `host/credentials/helper.rs`, which also ends those that take too long.

use futures::future::BoxFuture;
use std::io;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use wharf::credentials::helper::{Action, Helpers, OUTPUT_BYTES_MAX, Said};
use zeroize::Zeroizing;

/// The programs of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Programs;

impl Helpers for Programs {
    fn run(&self, program: &str, action: Action, input: Zeroizing<Vec<u8>>) -> BoxFuture<'static, io::Result<Said>> {
        let mut command = Command::new(program);
        command.arg(action.argument()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Box::pin(async move {
            let mut running = command.spawn()?;
            let stdin = running.stdin.take();
            let write = async {
                if let Some(mut stdin) = stdin {
                    // A program need not read what it can do without. It gets an end of the input in any case.
                    let _ = stdin.write_all(&input).await;
                }
                Ok(())
            };
            let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
            let ((), stdout, stderr) = tokio::try_join!(write, read(stdout), read(stderr))?;
            let code = running.wait().await?.code();
            Ok(Said { code, stdout, stderr })
        })
    }
}

/// Reads to the end, up to the limit.
async fn read(output: Option<impl AsyncRead + Unpin>) -> io::Result<Zeroizing<Vec<u8>>> {
    // All of it at once: a buffer that grows leaves copies of secrets behind.
    let mut bytes = Zeroizing::new(vec![0; OUTPUT_BYTES_MAX + 1]);
    let mut length = 0;
    if let Some(mut output) = output {
        loop {
            let count = output.read(&mut bytes[length..]).await?;
            length += count;
            match count {
                0 if length > OUTPUT_BYTES_MAX => {
                    return Err(io::Error::other(format!("it writes more than {OUTPUT_BYTES_MAX} bytes")));
                }
                0 => break,
                _ => {}
            }
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}
