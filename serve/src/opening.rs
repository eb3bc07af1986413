//! A connection that must open in time. Keep-alive looks after it only from then on: one
//! that stops in the middle of its first word would hold its place for ever. So would one of
//! HTTP/1.1 that reads nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use crate::CALL_TIMEOUT;

/// What a client of HTTP/2 says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails if its peer has not said the preface within a limit, or takes nothing
/// of what is written for [`CALL_TIMEOUT`].
/// One who says anything else speaks HTTP/1.1, or nothing that is understood.
pub(crate) struct Opening<S> {
    stream: S,
    /// What is still to come of the preface.
    missing: &'static [u8],
    /// `None` once nothing is missing.
    limit: Option<Pin<Box<Sleep>>>,
    /// While the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Opening<S> {
    /// The time runs from now on.
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        let limit = Some(Box::pin(tokio::time::sleep(limit)));
        Self { stream, missing: PREFACE, limit, stalled: None }
    }

    #[inline]
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            return self.stall(context).map(Err);
        }
        self.stalled = None;
        written
    }

    #[cold]
    fn stall(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let limit = || Box::pin(tokio::time::sleep(CALL_TIMEOUT));
        let stalled = self.stalled.get_or_insert_with(limit);
        stalled.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Opening<S> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(limit) = &mut self.limit else {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        };
        if limit.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let said = buffer.filled().get(before..).unwrap_or_default();
        // The end of the stream is not for us to judge.
        self.missing = self.missing.strip_prefix(said).unwrap_or_default();
        if self.missing.is_empty() {
            self.limit = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opening<S> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    /// For what must happen soon; long, so that a busy machine fails no test.
    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_first_word_that_stops_in_the_middle_is_not_waited_for() {
        let (mut caller, stream) = duplex(64);
        caller.write_all(b"PRI").await.unwrap();
        let mut opening = Opening::new(stream, Duration::from_millis(50));
        let mut first = [0; PREFACE.len()];
        let ended = tokio::time::timeout(SOON, opening.read_exact(&mut first)).await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_has_opened_may_be_silent_for_long() {
        let (mut caller, stream) = duplex(64);
        caller.write_all(PREFACE).await.unwrap();
        let mut opening = Opening::new(stream, SOON);
        opening.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
        assert!(opening.limit.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_what_is_written_is_let_go() {
        let (mut caller, stream) = duplex(64);
        let mut opening = Opening::new(stream, SOON);
        opening.write_all(&[0; 64]).await.unwrap();
        let begun = tokio::time::Instant::now();
        let writing = tokio::spawn(async move { opening.write_all(&[0; 64]).await });
        tokio::time::sleep(CALL_TIMEOUT / 2).await;
        caller.read_exact(&mut [0; 32]).await.unwrap();
        let ended = writing.await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), CALL_TIMEOUT / 2 + CALL_TIMEOUT);
    }

    #[tokio::test]
    async fn who_speaks_http_1_has_opened() {
        let (mut caller, stream) = duplex(64);
        caller.write_all(b"POST").await.unwrap();
        let mut opening = Opening::new(stream, SOON);
        opening.read_exact(&mut [0; 4]).await.unwrap();
        assert!(opening.limit.is_none());
    }
}
