//! The content of an entry, from `extract`, as a stream: nothing of it is kept, and nothing comes before it is proven.

use std::{io, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result};
use axum::body::Body;
use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::ChildStdout,
    sync::{
        OwnedSemaphorePermit,
        mpsc::{self, Sender},
    },
    task::JoinHandle,
    time::timeout,
};

use super::{
    agent::Look,
    database::Copy,
    program::{MOST_LOG_BYTES, Program, Working, failure, silent},
};
use crate::error::{Failure, Kind};

/// The bytes that are sent at once.
const CHUNK_BYTES: usize = 64 << 10;
/// The time until the first bytes: an entry of gigabytes is verified before.
const LONGEST_PREPARATION: Duration = Duration::from_secs(3600);
/// The time for which a client may take nothing of a download.
const LONGEST_STALL: Duration = Duration::from_secs(60);
/// The time for which a download waits for others to end.
const LONGEST_QUEUE: Duration = Duration::from_secs(10);

/// The content of an entry, of which the first bytes are there.
pub struct Content {
    first: Bytes,
    work: Option<Work>,
}

/// A verb that gives content.
struct Work {
    child: Working,
    stdout: ChildStdout,
    stderr: JoinHandle<Vec<u8>>,
    _permit: OwnedSemaphorePermit,
}

impl Program {
    /// Returns the content of an entry. `entry` is one that the manifest of the archive names.
    ///
    /// Errors: [`Kind::Blocked`] if too many downloads are under way; those of `extract`.
    pub async fn content(&self, config: &Path, copy: &Copy, entry: &str) -> Result<Content> {
        let permit = timeout(LONGEST_QUEUE, self.downloads.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| {
            Failure::new(Kind::Blocked, "too many downloads are under way").hint("try again later")
        })??;
        let look = Look::Content {
            location: copy.location.clone(),
            entry: pattern(entry),
        };
        let mut command = self.command(config, look)?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Working::start(&mut command)?;
        let stdout = child.0.stdout.take().context("no output")?;
        let stderr = child.0.stderr.take().context("no output of messages")?;
        let mut work = Work {
            child,
            stdout,
            stderr: tokio::spawn(last_bytes(stderr)),
            _permit: permit,
        };
        let Ok(first) = timeout(LONGEST_PREPARATION, chunk(&mut work.stdout)).await else {
            return Err(silent("extract", LONGEST_PREPARATION).into());
        };
        let first = first?;
        if !first.is_empty() {
            return Ok(Content {
                first,
                work: Some(work),
            });
        }
        work.end().await?;
        Ok(Content { first, work: None })
    }
}

impl Work {
    /// Waits for the end of the verb.
    async fn end(mut self) -> Result<()> {
        let status = self.child.0.wait().await?;
        if status.success() {
            return Ok(());
        }
        let messages = self.stderr.await?;
        Err(failure(status, &messages).into())
    }

    /// Sends all content, and a word at its end.
    async fn send(mut self, sender: Sender<io::Result<Option<Bytes>>>) {
        loop {
            let read = chunk(&mut self.stdout).await;
            if matches!(&read, Ok(bytes) if bytes.is_empty()) {
                break;
            }
            let has_failed = read.is_err();
            let sent = timeout(LONGEST_STALL, sender.send(read.map(Some))).await;
            if has_failed || !matches!(sent, Ok(Ok(()))) {
                // Dropping it ends the verb.
                return;
            }
        }
        let end = self.end().await.map_err(io::Error::other);
        let _ = timeout(LONGEST_STALL, sender.send(end.map(|()| None))).await;
    }
}

impl Content {
    /// Returns the body of an answer. If the verb fails, the connection breaks: a part is never taken for the whole.
    pub fn body(self) -> Body {
        let Some(work) = self.work else {
            return Body::from(self.first);
        };
        let (sender, receiver) = mpsc::channel(2);
        tokio::spawn(work.send(sender));
        let start = (Some(self.first), receiver);
        let stream = futures_util::stream::try_unfold(start, async |(first, mut receiver)| {
            if let Some(first) = first {
                return Ok(Some((first, (None, receiver))));
            }
            match receiver.recv().await {
                Some(Ok(Some(bytes))) => Ok(Some((bytes, (None, receiver)))),
                Some(Ok(None)) => Ok(None),
                Some(Err(error)) => Err(error),
                None => Err(io::Error::other("the download stood still")),
            }
        });
        Body::from_stream(stream)
    }
}

/// Reads some bytes; none at the end.
async fn chunk(stdout: &mut ChildStdout) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(CHUNK_BYTES);
    stdout.read_buf(&mut bytes).await?;
    Ok(bytes.into())
}

/// Reads all messages, and keeps the last bytes of them.
async fn last_bytes(mut stderr: impl AsyncRead + Unpin) -> Vec<u8> {
    let (mut kept, mut piece) = (Vec::new(), vec![0; 8 << 10]);
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        kept.extend_from_slice(&piece[..count]);
        let surplus = kept.len().saturating_sub(MOST_LOG_BYTES);
        kept.drain(..surplus);
    }
    kept
}

/// Returns the words that mean this entry alone, whatever wildcards its name has (gitignore(5)).
fn pattern(entry: &str) -> String {
    let is_wild = |symbol: char| "*?[\\".contains(symbol);
    if !entry.contains(is_wild) && !entry.starts_with('!') {
        return entry.to_owned();
    }
    let mut out = String::from("/");
    for symbol in entry.chars() {
        if is_wild(symbol) || " !#".contains(symbol) {
            out.push('\\');
        }
        out.push(symbol);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_wildcards_means_one_entry() {
        for (entry, word) in [
            ("data/a b.txt", "data/a b.txt"),
            ("data/*.txt", "/data/\\*.txt"),
            ("!x", "/\\!x"),
            ("a[1]?", "/a\\[1]\\?"),
            ("a\\b", "/a\\\\b"),
        ] {
            assert_eq!(pattern(entry), word);
        }
    }

    #[tokio::test]
    async fn of_many_messages_the_last_bytes_stay() {
        let mut messages = vec![b'a'; MOST_LOG_BYTES];
        messages.extend_from_slice(b"end");
        let kept = last_bytes(messages.as_slice()).await;
        assert_eq!(kept.len(), MOST_LOG_BYTES);
        assert!(kept.ends_with(b"aend"));
    }
}
