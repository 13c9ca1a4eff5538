//! Listening to a queue: an apalis worker that is woken by NOTIFY, ticks slowly besides, and is made anew when
//! Redis goes away or forgets it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use apalis::prelude::*;
use apalis_core::backend::{
    ext::BackendExt,
    ext::poll_strategy::{PollSnapshot, PollStrategy},
};
use futures_util::future::BoxFuture;
use sqlx::postgres::PgListener;
use tokio::{sync::watch, time::Interval};

use super::{JobId, Queue, WAKE_CHANNEL, queue_error};
use crate::{Db, StoreError};

/// How often the queue is looked at without being woken.
const TICK: Duration = Duration::from_secs(1);

/// Shortest and longest pause before a worker that ended is made anew.
const RESTART_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What a job's handler does: look at the row. It returns when the row was claimed or is not for us; it has no outcome,
/// since that is the row's.
pub type OnJob<Id> = Arc<dyn Fn(Id) -> BoxFuture<'static, ()> + Send + Sync>;

/// Whether the consumer has a working connection to the queue; for readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerState {
    /// Jobs reach it.
    Connected,
    /// It is being made anew.
    Reconnecting,
}

/// A consumer of one queue.
pub struct Consumer<Id> {
    db: Db,
    queue: Queue<Id>,
    owner: String,
    on_job: OnJob<Id>,
    state: watch::Sender<ConsumerState>,
}

impl<Id> std::fmt::Debug for Consumer<Id> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl<Id: JobId> Consumer<Id> {
    /// Prepares a consumer. `owner` must be unique per start of the process.
    pub fn new(db: Db, queue: Queue<Id>, owner: &str, on_job: OnJob<Id>) -> Self {
        let state = watch::Sender::new(ConsumerState::Reconnecting);
        Self { db, queue, owner: owner.to_owned(), on_job, state }
    }

    /// Whether it is connected, now and later.
    pub fn state(&self) -> watch::Receiver<ConsumerState> {
        self.state.subscribe()
    }

    /// Consumes until dropped. A worker that ends (Redis gone, flushed or restarted) is made anew under a new name,
    /// with a growing pause; operations under way do not depend on it.
    pub async fn run(self) {
        static STARTS: AtomicU64 = AtomicU64::new(0);
        let wake = self.wake_on_notify();
        let mut pause = RESTART_PAUSE.0;
        loop {
            let name = format!("{}-{}", self.owner, STARTS.fetch_add(1, Ordering::Relaxed));
            let began = tokio::time::Instant::now();
            let outcome = self.run_worker(&name, wake.clone()).await;
            self.state.send_replace(ConsumerState::Reconnecting);
            self.warn_of_end(&name, outcome);
            pause = if began.elapsed() > RESTART_PAUSE.1 {
                RESTART_PAUSE.0
            } else {
                (pause * 2).min(RESTART_PAUSE.1)
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn run_worker(&self, name: &str, wake: watch::Receiver<u64>) -> Result<(), StoreError> {
        self.queue.ping().await?;
        // A connection of its own: a worker's pending commands must not outlive it in a shared one.
        let connection = self.queue.client.get_connection_manager().await.map_err(queue_error)?;
        let backend = self.queue.storage(connection).poll_with_strategy(Wakes::new(wake));
        self.state.send_replace(ConsumerState::Connected);
        tracing::info!(worker = name, "connected to the queue {}", self.queue.name.as_str());
        let handler = Handler { on_job: self.on_job.clone() };
        let worker =
            WorkerBuilder::new(name).backend(backend).catch_panic().data(handler).build(handle::<Id>);
        boxed(worker.run()).await.map_err(queue_error)
    }

    fn warn_of_end(&self, worker: &str, outcome: Result<(), StoreError>) {
        let queue = self.queue.name.as_str();
        let follows = "work under way goes on, and the sweep finds what is new";
        match outcome {
            Ok(()) => tracing::warn!(worker, "the connection to the queue {queue} ended; {follows}"),
            Err(error) => tracing::warn!(worker, ?error, "the queue {queue} cannot be reached; {follows}"),
        }
    }

    /// Counts the announcements of this queue. The connection is PgListener's own to keep up.
    fn wake_on_notify(&self) -> watch::Receiver<u64> {
        let (wake, waiting) = watch::channel(0);
        let (db, name) = (self.db.clone(), self.queue.name.as_str());
        tokio::spawn(async move {
            while !wake.is_closed() {
                if let Err(error) = forward(&db, name, &wake).await {
                    tracing::warn!(
                        ?error,
                        "the database does not announce new jobs; the queue {name} is looked at every second"
                    );
                }
                tokio::time::sleep(TICK).await;
            }
        });
        waiting
    }
}

async fn forward(db: &Db, name: &str, wake: &watch::Sender<u64>) -> Result<(), StoreError> {
    let mut listener = PgListener::connect_with(db.pool()).await?;
    listener.listen(WAKE_CHANNEL).await?;
    loop {
        tokio::select! {
            () = wake.closed() => return Ok(()),
            received = listener.try_recv() => {
                if received?.is_none_or(|notification| notification.payload() == name) {
                    wake.send_modify(|count| *count += 1);
                }
            }
        }
    }
}

struct Handler<Id> {
    on_job: OnJob<Id>,
}

impl<Id> Clone for Handler<Id> {
    fn clone(&self) -> Self {
        Self { on_job: self.on_job.clone() }
    }
}

async fn handle<Id: JobId>(row: Id, handler: Data<Handler<Id>>) -> Result<(), BoxDynError> {
    (handler.on_job)(row).await;
    Ok(())
}

/// Names the future's type, which the compiler cannot infer to be `Send` through apalis' generics.
fn boxed<T>(future: impl Future<Output = T> + Send + 'static) -> BoxFuture<'static, T> {
    Box::pin(future)
}

type Woken = Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send + Sync>>;

/// Wakes the backend at an announcement or a tick, whichever is first.
struct Wakes {
    woken: Woken,
    tick: Interval,
}

impl Wakes {
    fn new(receiver: watch::Receiver<u64>) -> Self {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { woken: wait(receiver), tick }
    }
}

fn wait(mut receiver: watch::Receiver<u64>) -> Woken {
    Box::pin(async move {
        if receiver.changed().await.is_err() {
            // The task that counts announcements is gone with the consumer: only ticks are left.
            std::future::pending::<()>().await;
        }
        receiver
    })
}

impl PollStrategy for Wakes {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut woken = false;
        while let Poll::Ready(receiver) = self.woken.as_mut().poll(cx) {
            self.woken = wait(receiver);
            woken = true;
        }
        while self.tick.poll_tick(cx).is_ready() {
            woken = true;
        }
        if woken { Poll::Ready(Some(())) } else { Poll::Pending }
    }
}
