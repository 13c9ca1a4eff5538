//! Leading: one of all processes looks. The lock in Redis says who begins; its term in Postgres is the fence.

use std::time::Duration;

use domain::ids::RepairId;
use store::{
    Db, StoreError,
    controller::{self, Lock},
    queue::Notifier,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{pass::Controller, wait::Wait};

/// Pause before a lock that another process has is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How often the lock is renewed, and how long that may fail before it is taken to be lost: less than it holds.
const RENEW: Duration = Duration::from_secs(3);
const LOST_AFTER: Duration = Duration::from_secs(8);

/// Leads whenever it can, until the shutdown.
#[expect(clippy::too_many_arguments, reason = "called once, by serve")]
pub async fn run(
    db: &Db,
    lock: &Lock,
    owner: &str,
    controller: &Controller,
    notifier: &Notifier<RepairId>,
    pause: Duration,
    shutdown: &CancellationToken,
    beat: impl Fn() + Sync,
) {
    let mut said = false;
    while !shutdown.is_cancelled() {
        beat();
        match lock.take().await {
            Ok(true) => {
                said = false;
                let gauge = metrics::gauge!("zlh_controller_leads");
                gauge.set(1);
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = keep(lock) => tracing::warn!("the lock is another controller's or cannot be renewed; this one stops looking"),
                    () = term(db, owner, controller, notifier, pause, &beat) => {}
                }
                gauge.set(0);
                if let Err(error) = lock.release().await {
                    tracing::debug!(?error, "the lock could not be let go of; it runs out by itself");
                }
            }
            other => {
                if !said {
                    wait_reason(other);
                }
                said = true;
            }
        }
        shutdown.run_until_cancelled(sleep(RETRY)).await;
    }
}

/// Says why this process does not lead.
fn wait_reason(taken: Result<bool, StoreError>) {
    if let Err(error) = taken {
        tracing::warn!(
            ?error,
            "Redis does not answer, so nobody can lead: nothing is looked at, and nothing is repaired until it does"
        );
    } else {
        tracing::info!("another controller leads; this one waits");
    }
}

/// Returns when the lock is lost.
async fn keep(lock: &Lock) {
    let mut kept = Instant::now();
    loop {
        sleep(RENEW).await;
        match lock.renew().await {
            Ok(true) => kept = Instant::now(),
            Err(_) if kept.elapsed() < LOST_AFTER => {}
            Ok(false) | Err(_) => return,
        }
    }
}

/// One term: looks again and again, until its writes are refused.
async fn term(
    db: &Db,
    owner: &str,
    controller: &Controller,
    notifier: &Notifier<RepairId>,
    pause: Duration,
    beat: &(impl Fn() + Sync),
) {
    let term = loop {
        beat();
        match controller::begin_term(db, owner).await {
            Ok(term) => break term,
            Err(error) => {
                tracing::warn!(?error, "the database does not answer; nothing is looked at until it does");
                sleep(RETRY).await;
            }
        }
    };
    tracing::info!(term, "leads under term {term}; a finding counts when it is seen twice");
    let wait = Wait::new(db.clone(), pause);
    let mut memory = crate::pass::Memory::default();
    loop {
        beat();
        match controller.pass(term, &mut memory).await {
            Ok(dispatches) => {
                for dispatch in dispatches {
                    notifier.notify(dispatch);
                }
            }
            Err(StoreError::LeaseLost) => {
                tracing::warn!(
                    term,
                    "term {term} is over: another controller leads, and nothing of this one is written any more"
                );
                return;
            }
            Err(error) => {
                tracing::warn!(?error, "a pass failed: the database does not answer; the next one follows");
            }
        }
        wait.next().await;
    }
}
