//! Calls whose writes are done and not confirmed: they go on to their end, and say so there.
//!
//! Most calls write more than one record: who revokes a permanent token ends the access tokens
//! that were exchanged for it, too. Were the call cut off at the first write that its replicas
//! do not confirm, the rest would stay undone while they are away, however often it was tried
//! again. Within [`go_on`] such a write counts as done, and the call as not confirmed. What
//! nobody called for (the first start, the sweep, the keys) is told at once, and tries again.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use axum::http::{Request, Response};
use tessera_shared::{
    clock::Timestamp,
    id::{AccountId, TokenId},
    store::{Changes, Index, Key, StoreError, StoreReader, StoreWriter, Swap},
    usage::Usage,
};
use tokio::sync::watch;
use tonic::{Status, body::Body};
use tower::Service;

use crate::failure::Failure;

tokio::task_local! {
    /// The last write of this call that was not confirmed.
    static UNCONFIRMED: RefCell<Option<StoreError>>;
}

/// Carries a call on over writes that are not confirmed.
///
/// # Errors
/// What the call fails with; else [`Failure::NotConfirmed`], if a write was not.
pub(crate) async fn go_on<T>(call: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let (outcome, unconfirmed) = noting(call).await;
    match (outcome?, unconfirmed) {
        (_, Some(error)) => Err(error.into()),
        (done, None) => Ok(done),
    }
}

async fn noting<T>(call: impl Future<Output = T>) -> (T, Option<StoreError>) {
    let noted = async { (call.await, UNCONFIRMED.with(RefCell::take)) };
    UNCONFIRMED.scope(RefCell::default(), noted).await
}

/// The same of every call of a gRPC service.
#[derive(Clone)]
pub(crate) struct GoesOn<S>(pub(crate) S);

impl<S, B> Service<Request<B>> for GoesOn<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answering = self.0.call(request);
        Box::pin(async move {
            let (answer, unconfirmed) = noting(answering).await;
            let answer = answer?;
            // A failure has its status in its headers.
            let failed = answer.headers().contains_key("grpc-status");
            Ok(match unconfirmed.filter(|_| !failed) {
                Some(error) => Status::from(Failure::from(error)).into_http(),
                None => answer,
            })
        })
    }
}

/// A store whose writes the calls go on over.
pub(crate) struct GoingOn<S: ?Sized>(pub(crate) Arc<S>);

/// What a write answers that did `done`.
fn passed<T>(outcome: Result<T, StoreError>, done: T) -> Result<T, StoreError> {
    match outcome {
        Err(error @ StoreError::NotConfirmed(_)) => {
            match UNCONFIRMED.try_with(|noted| noted.replace(Some(error.clone()))) {
                Ok(_) => Ok(done),
                Err(_) => Err(error),
            }
        }
        other => other,
    }
}

#[async_trait]
impl<S: StoreReader + ?Sized> StoreReader for GoingOn<S> {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.0.read(keys).await
    }

    fn follow(&self, changes: Arc<dyn Changes>, interval: Duration) {
        self.0.follow(changes, interval);
    }

    async fn report_usage(&self, notes: &[(TokenId, Usage)]) -> Result<(), StoreError> {
        self.0.report_usage(notes).await
    }
}

#[async_trait]
impl<S: StoreWriter + ?Sized> StoreWriter for GoingOn<S> {
    async fn swap(
        &self,
        key: &Key,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        garbage_at: Option<Timestamp>,
    ) -> Result<Swap, StoreError> {
        passed(self.0.swap(key, expected, new, garbage_at).await, Swap::Done)
    }

    async fn index_add(&self, index: Index, id: i64) -> Result<(), StoreError> {
        passed(self.0.index_add(index, id).await, ())
    }

    async fn index_remove(&self, index: Index, id: i64) -> Result<(), StoreError> {
        passed(self.0.index_remove(index, id).await, ())
    }

    async fn index_page(
        &self,
        index: Index,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        self.0.index_page(index, after, limit).await
    }

    async fn reserve(
        &self,
        account: AccountId,
        token: TokenId,
        live_until: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<bool, StoreError> {
        passed(self.0.reserve(account, token, live_until, now, limit).await, true)
    }

    async fn release(&self, account: AccountId, token: TokenId) -> Result<(), StoreError> {
        passed(self.0.release(account, token).await, ())
    }

    async fn reserved(
        &self,
        account: AccountId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        self.0.reserved(account, now, limit).await
    }

    async fn confirm(&self, key: &Key) -> Result<(), StoreError> {
        passed(self.0.confirm(key).await, ())
    }

    fn connections(&self) -> Option<watch::Receiver<u64>> {
        self.0.connections()
    }

    async fn beat(&self) -> Result<(), StoreError> {
        self.0.beat().await
    }

    async fn merge_reported(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.0.merge_reported(now).await
    }

    async fn usage(&self, tokens: &[TokenId]) -> Result<Vec<Usage>, StoreError> {
        self.0.usage(tokens).await
    }

    async fn forget_usage(&self, tokens: &[TokenId]) -> Result<(), StoreError> {
        self.0.forget_usage(tokens).await
    }

    async fn collect_garbage(&self, now: Timestamp) -> Result<(), StoreError> {
        self.0.collect_garbage(now).await
    }
}
