//! A connection whose client takes what it is sent: one that takes nothing for some time is ended.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream whose writes fail if the other side takes nothing for so long.
pub struct Patient<S> {
    stream: S,
    limit: Duration,
    end: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// Returns the stream with this limit.
    pub fn new(stream: S, limit: Duration) -> Patient<S> {
        Patient {
            stream,
            limit,
            end: None,
        }
    }

    /// Returns what a write came to, or a failure if it has waited for too long.
    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.end = None;
            return polled;
        }
        let limit = self.limit;
        let end = self.end.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(end.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judge(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_ended_and_a_slow_one_is_not() {
        let limit = Duration::from_millis(300);
        let (one, mut other) = duplex(8);
        let mut patient = Patient::new(one, limit);
        let slow = tokio::spawn(async move {
            for _ in 0..8 {
                sleep(limit / 3).await;
                other.read_exact(&mut [0; 8]).await.expect("bytes");
            }
            other
        });
        patient.write_all(&[0; 64]).await.expect("taken by and by");
        let _other = slow.await.expect("read");
        let error = patient.write_all(&[0; 64]).await.expect_err("ended");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
