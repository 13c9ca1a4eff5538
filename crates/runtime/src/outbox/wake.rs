//! Hearing that the outbox was filled, on a connection of its own that is made again when it is lost.

use std::{sync::Arc, time::Duration};

use store::{Db, outbox::Listener};
use tokio::{sync::Notify, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// Ends with its owner.
pub(super) struct Wake {
    filled: Arc<Notify>,
    _listening: AbortOnDropHandle<()>,
}

impl Wake {
    /// Listens from now on; after a failure again after `pause`.
    pub(super) fn spawn(db: Db, pause: Duration) -> Self {
        let filled = Arc::new(Notify::new());
        let heard = Arc::clone(&filled);
        let listening = tokio::spawn(async move {
            loop {
                let Err(error) = listen(&db, &heard).await;
                tracing::debug!(error = ?error, "the outbox is not listened to; the next look finds what is put there");
                sleep(pause).await;
            }
        });
        Self { filled, _listening: AbortOnDropHandle::new(listening) }
    }

    /// Waits until the outbox was filled since the last time.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }
}

async fn listen(db: &Db, filled: &Notify) -> Result<std::convert::Infallible, store::StoreError> {
    let mut listener = Listener::connect(db).await?;
    loop {
        // First of all for what was put there before.
        filled.notify_one();
        listener.filled().await?;
    }
}
