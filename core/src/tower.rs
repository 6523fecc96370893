//! A policy as a layer for [`tower`](https://docs.rs/tower) services. With the feature `tower`.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use crate::{Error, Policy};

/// Guards every call of a service with a policy.
#[derive(Clone, Debug)]
pub struct PolicyLayer(Policy);

impl PolicyLayer {
    /// A layer of this policy, which stays shared with whoever else holds it.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(policy)
    }
}

impl<S> Layer<S> for PolicyLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { policy: self.0.clone(), inner }
    }
}

/// A guarded service.
///
/// It is always ready: whether a call may pass is decided when it is made, and each attempt waits until its own clone of the service is
/// ready, within the attempt's limit. A request is cloned for each attempt.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    policy: Policy,
    inner: S,
}

impl<S, R> Service<R> for Guarded<S>
where
    S: Service<R> + Clone + Send + 'static,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    S::Future: Send,
    R: Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Error<S::Error>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Self { policy, inner } = self.clone();
        Box::pin(async move {
            let attempt = move || {
                let (mut service, request) = (inner.clone(), request.clone());
                async move {
                    poll_fn(|context| service.poll_ready(context)).await?;
                    service.call(request).await
                }
            };
            policy.call_async(attempt).await
        })
    }
}
