//! The moment at which the calls of gRPC have ended. HTTP and the health listener answer
//! until then, so that a probe sees the drain.

use std::future::Future;

use tokio::sync::watch;

/// That moment, which many may wait for.
#[derive(Debug)]
pub struct Drained(watch::Sender<()>);

impl Drained {
    /// It is still to come.
    pub fn pending() -> Self {
        Self(watch::channel(()).0)
    }

    /// Resolves when it has come, or will never.
    pub fn wait(&self) -> impl Future<Output = ()> + use<> {
        let mut drained = self.0.subscribe();
        async move {
            let _ = drained.changed().await;
        }
    }

    /// It is now.
    pub fn tell(&self) {
        self.0.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_goes_on_once_it_is_told() {
        let drained = Drained::pending();
        let mut waiting = [tokio::spawn(drained.wait()), tokio::spawn(drained.wait())];
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|one| !one.is_finished()));
        drained.tell();
        for one in &mut waiting {
            one.await.unwrap();
        }
    }
}
