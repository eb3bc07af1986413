//! Answers that their callers have not read yet. HTTP/2 lets a caller ask on many streams and
//! read none of them, and all that was answered waits in memory: so there is room for so many
//! bytes of it, of one connection and of all, and a connection that leaves an answer unread for
//! [`CALL_TIMEOUT`] is closed.
//!
//! A small answer is not counted, so that it costs nothing: a connection has few streams.

use std::{
    collections::VecDeque,
    error::Error,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use prost::bytes::{Buf, Bytes};
use tokio::time::Instant;

use crate::{
    CALL_TIMEOUT,
    room::{Place, overloaded},
};

/// An answer of more bytes than this is counted.
const SMALL: usize = 2 * 1024;
/// How often a connection looks for what is left unread.
const LOOK: Duration = Duration::from_secs(5);

/// How many bytes are held for all callers of a listener.
#[derive(Debug)]
pub struct Budget {
    held: AtomicUsize,
    most: usize,
    most_of_one: usize,
}

impl Budget {
    /// For gRPC: two of the largest batches or their answers, and some that are smaller. Of one
    /// connection, one of them.
    pub(crate) fn grpc() -> Arc<Self> {
        Self::of(40 * 1024 * 1024, 20 * 1024 * 1024)
    }

    /// For HTTP, whose pages are smaller.
    pub(crate) fn http() -> Arc<Self> {
        Self::of(16 * 1024 * 1024, 2 * 1024 * 1024)
    }

    fn of(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), most, most_of_one })
    }

    /// Counts so many bytes more, which [`Self::free`] is to take back whether they fit or not.
    #[must_use]
    pub fn fits(&self, bytes: usize) -> bool {
        self.held.fetch_add(bytes, Relaxed) + bytes <= self.most
    }

    /// So many bytes are held no more.
    pub fn free(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }
}

/// What the caller at the other end of one connection was answered and has not read.
#[derive(Debug)]
pub struct Unread {
    budget: Arc<Budget>,
    own: AtomicUsize,
    /// In the order in which they were given; some are read by now.
    answers: Mutex<VecDeque<Weak<Answer>>>,
}

/// An answer that is counted until it is dropped.
#[derive(Debug)]
struct Answer {
    unread: Arc<Unread>,
    bytes: usize,
    given: Instant,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.unread.own.fetch_sub(self.bytes, Relaxed);
        self.unread.budget.free(self.bytes);
    }
}

/// A piece of an answer. What it was counted for ends when it is sent, or dropped.
#[derive(Debug, Default)]
pub struct Piece {
    bytes: Bytes,
    _counted: Option<Arc<Answer>>,
}

impl Buf for Piece {
    #[inline]
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Unread {
    pub(crate) fn of(budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { budget, own: AtomicUsize::new(0), answers: Mutex::default() })
    }

    /// The bytes, to be sent, if there is room for them.
    #[inline]
    pub fn hold(self: &Arc<Self>, bytes: Bytes) -> Option<Piece> {
        if bytes.len() <= SMALL {
            return Some(Piece { bytes, _counted: None });
        }
        self.count(bytes)
    }

    #[cold]
    fn count(self: &Arc<Self>, bytes: Bytes) -> Option<Piece> {
        let length = bytes.len();
        let own = self.own.fetch_add(length, Relaxed) + length;
        let fits = self.budget.fits(length);
        // Takes back what was counted, also where it does not fit.
        let answer = Answer { unread: self.clone(), bytes: length, given: Instant::now() };
        if !fits || own > self.budget.most_of_one {
            return None;
        }
        let answer = Arc::new(answer);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        forget_read(&mut answers);
        answers.push_back(Arc::downgrade(&answer));
        Some(Piece { bytes, _counted: Some(answer) })
    }

    /// Resolves when an answer has been left unread for too long.
    pub(crate) async fn too_long(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.oldest().is_some_and(|given| given.elapsed() >= CALL_TIMEOUT) {
                tracing::debug!("a caller does not read what it was answered");
                return;
            }
        }
    }

    fn oldest(&self) -> Option<Instant> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        forget_read(&mut answers);
        answers.front().and_then(Weak::upgrade).map(|answer| answer.given)
    }
}

fn forget_read(answers: &mut VecDeque<Weak<Answer>>) {
    while answers.front().is_some_and(|answer| answer.strong_count() == 0) {
        answers.pop_front();
    }
}

/// A body whose pieces are counted. One for which there is no room ends it.
#[derive(Debug)]
pub struct Counted<B> {
    body: B,
    unread: Arc<Unread>,
    _place: Option<Place>,
}

impl<B> Counted<B> {
    /// Counts the pieces of `body` as what the caller of `unread` has not read.
    pub fn new(body: B, unread: Arc<Unread>) -> Self {
        Self { body, unread, _place: None }
    }

    /// The same, keeping the place of its call to its end.
    #[must_use]
    pub fn keeping(self, place: Option<Place>) -> Self {
        Self { _place: place, ..self }
    }
}

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Piece;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Self::Error>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let frame = match frame.into_data() {
            Ok(bytes) => {
                self.unread.hold(bytes).map(Frame::data).ok_or_else(|| overloaded().into())
            }
            Err(other) => Ok(other.map_data(|bytes| Piece { bytes, _counted: None })),
        };
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Bytes {
        Bytes::from(vec![0; count])
    }

    #[test]
    fn a_connection_holds_its_share_all_hold_the_rest_and_what_was_read_is_free_again() {
        let budget = Budget::of(50_000, 20_000);
        let callers = [(); 4].map(|()| Unread::of(budget.clone()));
        let held = callers.each_ref().map(|caller| caller.hold(bytes(15_000)));
        assert!(callers[0].hold(bytes(15_000)).is_none(), "more than its share");
        assert_eq!(held.each_ref().map(Option::is_some), [true, true, true, false]);
        assert!(callers[3].hold(bytes(SMALL)).is_some(), "what is small is not counted");
        drop(held);
        assert!(callers[0].hold(bytes(15_000)).is_some());
        assert_eq!(budget.held.load(Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_read_in_time_is_noticed_and_one_that_is_read_is_not() {
        let unread = Unread::of(Budget::http());
        let read = unread.hold(bytes(10_000)).unwrap();
        tokio::time::sleep(CALL_TIMEOUT / 2).await;
        let held = unread.hold(bytes(10_000)).unwrap();
        drop(read);
        let begun = Instant::now();
        unread.too_long().await;
        assert!((CALL_TIMEOUT..=CALL_TIMEOUT + LOOK).contains(&begun.elapsed()));
        drop(held);
        let watch = tokio::time::timeout(2 * CALL_TIMEOUT, unread.too_long());
        assert!(watch.await.is_err());
    }
}
