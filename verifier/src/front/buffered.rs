//! How many bytes of requests are held while they are read: one caller may send the largest
//! batch there is, and none may fill the memory with requests that never end.
//!
//! What every call may hold by itself is not counted: calls have places, which are few. So
//! callers with large requests, honest or not, are in each other's way and in nobody else's.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use prost::bytes::Bytes;
use tessera_serve::{
    connection::Peer,
    room::{Room, overloaded},
    unread::Unread,
};
use tonic::Status;

use super::workers::Post;
use crate::service::LARGEST_MESSAGE;

/// Of one connection: the largest batch, with its prefix.
const MOST_OF_ONE: usize = LARGEST_MESSAGE + 1024;
/// Of a call with a place: more than the largest question.
const FREE: usize = 32 * 1024;

/// Who is at the other end of a connection, and what calls are answered with.
pub(super) struct Caller {
    pub(super) post: Arc<Post>,
    /// It may ask whatever a call carries.
    pub(super) trusted: bool,
    held: AtomicUsize,
    /// What it was answered and has not read.
    pub(super) unread: Arc<Unread>,
    /// For its calls of health and reflection.
    pub(super) exempt: Arc<Room>,
}

impl Caller {
    pub(super) fn new(post: Arc<Post>, peer: &Peer) -> Self {
        let trusted = post.service.callers.trust(peer);
        let (unread, exempt) = (peer.unread.clone(), peer.exempt.clone());
        Self { post, trusted, held: AtomicUsize::new(0), unread, exempt }
    }
}

/// The bytes that one call holds, until dropped.
pub(super) struct Load {
    caller: Arc<Caller>,
    /// How many of them are not counted.
    free: usize,
    bytes: AtomicUsize,
}

impl Load {
    /// Of a call that has a place, or, if not, is let in without one.
    pub(super) fn of(caller: &Arc<Caller>, has_place: bool) -> Self {
        let free = if has_place { FREE } else { 0 };
        Self { caller: caller.clone(), free, bytes: AtomicUsize::new(0) }
    }

    /// Whether there is room for so many more bytes.
    pub(super) fn grow(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Relaxed);
        let more = self.counted(before + bytes) - self.counted(before);
        if more == 0 {
            return true;
        }
        let own = self.caller.held.fetch_add(more, Relaxed) + more;
        let fits = self.caller.post.service.budget.fits(more);
        fits && own <= MOST_OF_ONE
    }

    const fn counted(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.free)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let counted = self.counted(self.bytes.load(Relaxed));
        if counted > 0 {
            self.caller.held.fetch_sub(counted, Relaxed);
            self.caller.post.service.budget.free(counted);
        }
    }
}

/// A request that tonic reads.
pub(super) struct Weighed {
    pub(super) body: Incoming,
    pub(super) load: Arc<Load>,
}

impl Body for Weighed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                return Poll::Ready(Some(Err(Status::cancelled("the request was cut off"))));
            }
            None => return Poll::Ready(None),
        };
        let fits = frame.data_ref().is_none_or(|data| self.load.grow(data.len()));
        Poll::Ready(Some(if fits { Ok(frame) } else { Err(overloaded()) }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
