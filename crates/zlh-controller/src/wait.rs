//! When the next look is: after a pause, and sooner when somebody asks for it or something has changed.

use std::{sync::Arc, time::Duration};

use store::{
    Db, StoreError,
    controller::{Called, Wake},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

/// Looks that follow changes come at most this much more often than those of a quiet fleet.
const SOONER: u32 = 3;

/// Pause before a connection that was lost is made again.
const RETRY: Duration = Duration::from_secs(5);

/// Waits between looks.
pub(crate) struct Wait {
    pause: Duration,
    heard: Arc<Heard>,
    _listening: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Heard {
    asked: Notify,
    changed: Notify,
}

impl Wait {
    /// With this pause while nothing is heard.
    pub(crate) fn new(db: Db, pause: Duration) -> Self {
        let heard = Arc::new(Heard::default());
        let listening = tokio::spawn(listen(db, heard.clone()));
        Self { pause, heard, _listening: AbortOnDropHandle::new(listening) }
    }

    /// Until the look after one that has just ended.
    pub(crate) async fn next(&self) {
        let (now, pause) = (Instant::now(), self.pause);
        let changed = async {
            self.heard.changed.notified().await;
            sleep_until(now + pause / SOONER).await;
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = self.heard.asked.notified() => {}
            () = changed => {}
        }
    }
}

async fn listen(db: Db, heard: Arc<Heard>) {
    loop {
        let Err(error) = hear(&db, &heard).await;
        tracing::debug!(?error, "nothing is heard of changes; looks follow each other at their usual pace");
        sleep(RETRY).await;
    }
}

async fn hear(db: &Db, heard: &Heard) -> Result<std::convert::Infallible, StoreError> {
    let mut wake = Wake::connect(db).await?;
    loop {
        match wake.next().await? {
            Called::Asked => heard.asked.notify_one(),
            Called::Changed => heard.changed.notify_one(),
        }
    }
}
