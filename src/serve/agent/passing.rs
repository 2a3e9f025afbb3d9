//! The messages between relay and agent: a line of JSON that carries two descriptors, and lines of JSON back.

use std::{
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::{MOST_BYTES, Request};

/// The word by which a relay asks to end the verb.
pub const CANCEL: &[u8] = b"cancel\n";
/// The most bytes of a line of the agent.
const MOST_LINE_BYTES: usize = 64 << 10;

/// A line of the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// The verb works, as this process.
    Started(i32),
    /// The verb ended with this exit code.
    Ended(u8),
    /// The request was refused: code, kind, message and hint, as verbs tell failures.
    Refused(Value),
}

/// The outputs of a verb.
pub struct Outputs {
    /// Standard output.
    pub report: OwnedFd,
    /// Standard error.
    pub log: OwnedFd,
}

/// Sends a request with the outputs of its verb.
pub fn send(
    stream: &mut UnixStream,
    request: &Request,
    outputs: [BorrowedFd<'_>; 2],
) -> Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let is_whole = control.push(SendAncillaryMessage::ScmRights(&outputs));
    ensure!(is_whole, "no room for descriptors");
    let sent = sendmsg(
        stream.as_fd(),
        &[IoSlice::new(&line)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    stream.write_all(line.get(sent..).unwrap_or_default())?;
    Ok(())
}

/// Receives a request with the outputs of its verb. The descriptors are not for other processes that are started meanwhile.
pub fn receive(stream: &mut UnixStream) -> Result<(Request, Outputs)> {
    let mut bytes = vec![0; MOST_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        stream.as_fd(),
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let mut end = received.bytes;
    while !bytes[..end].ends_with(b"\n") {
        ensure!(end < bytes.len(), "the request is too long");
        let count = stream.read(&mut bytes[end..])?;
        ensure!(count > 0, "the request has no end");
        end += count;
    }
    let request = serde_json::from_slice(&bytes[..end]).context("this is not a request")?;
    let Ok([report, log]) = <[OwnedFd; 2]>::try_from(descriptors) else {
        bail!("a request carries two outputs");
    };
    Ok((request, Outputs { report, log }))
}

/// Sends a line of the agent.
pub fn say(stream: &mut UnixStream, said: &Said) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// The lines of the agent, as they come.
#[derive(Default)]
pub struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// Reads once. Returns false at the end.
    pub fn read(&mut self, stream: &mut UnixStream) -> Result<bool> {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece)?;
        self.bytes.extend_from_slice(&piece[..count]);
        ensure!(
            self.bytes.len() <= MOST_LINE_BYTES,
            "the agent says too much"
        );
        Ok(count > 0)
    }

    /// Returns the next whole line.
    pub fn take(&mut self) -> Result<Option<Said>> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line: Vec<u8> = self.bytes.drain(..=end).collect();
        Ok(Some(
            serde_json::from_slice(&line).context("the agent says what is not known")?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Seek as _, thread};

    use super::*;
    use crate::serve::agent::request::{Look, Wanted};

    #[test]
    fn outputs_pass_with_a_request_and_a_request_without_them_is_refused() {
        let request = Request {
            config: "x".repeat(100_000),
            wanted: Wanted::Look(Look::List),
        };
        let (mut one, mut other) = UnixStream::pair().expect("a pair");
        let mut file = tempfile::tempfile().expect("a file");
        let (read, Outputs { report, .. }) = thread::scope(|scope| {
            let sending = scope.spawn(|| send(&mut one, &request, [file.as_fd(), file.as_fd()]));
            let received = receive(&mut other).expect("received");
            sending.join().expect("no panic").expect("sent");
            received
        });
        assert_eq!(read, request);
        std::fs::File::from(report)
            .write_all(b"seen")
            .expect("written");
        file.rewind().expect("rewound");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!(text, "seen");
        let mut line = serde_json::to_vec(&request).expect("written");
        line.push(b'\n');
        thread::scope(|scope| {
            scope.spawn(|| one.write_all(&line));
            let error = receive(&mut other).err().expect("refused");
            assert!(error.to_string().contains("two outputs"), "{error}");
        });
    }

    #[test]
    fn lines_are_whole_or_not_there() {
        let (mut one, mut other) = UnixStream::pair().expect("a pair");
        let mut lines = Lines::default();
        one.write_all(b"{\"started\":7}\n{\"ended\"")
            .expect("written");
        assert!(lines.read(&mut other).expect("read"));
        assert!(matches!(
            lines.take().expect("good"),
            Some(Said::Started(7))
        ));
        assert!(lines.take().expect("good").is_none());
        one.write_all(b":3}\nnonsense\n").expect("written");
        assert!(lines.read(&mut other).expect("read"));
        assert!(matches!(lines.take().expect("good"), Some(Said::Ended(3))));
        assert!(lines.take().is_err());
        drop(one);
        assert!(!lines.read(&mut other).expect("read"));
    }
}
