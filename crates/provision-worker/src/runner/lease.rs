//! Keeping the lease while work goes on.

use std::time::Duration;

use domain::operation::{HEARTBEAT_SECONDS, LEASE_SECONDS};
use store::{
    Db, StoreError,
    operations::{self, Lease},
};
use tokio::time::{Instant, sleep, timeout};

/// Given up this long before the lease runs out by the database's clock, so that a successor never meets us.
const MARGIN: Duration = Duration::from_secs(2);

/// Renews the lease until it is lost: taken over, ended by ourselves, or not renewable in time.
pub(super) async fn keep(db: &Db, lease: &Lease) {
    let lasts = Duration::from_secs(LEASE_SECONDS.unsigned_abs().into()).saturating_sub(MARGIN);
    let mut good_until = Instant::now() + lasts;
    let mut pause = Duration::from_secs(HEARTBEAT_SECONDS);
    loop {
        sleep(pause).await;
        let asked = Instant::now();
        let left = good_until.saturating_duration_since(asked);
        if left.is_zero() {
            // After a pause of the whole process. Asking now would extend the lease for nobody.
            tracing::warn!("the lease has run out while nobody was looking: leaving the operation");
            return;
        }
        match timeout(left, operations::heartbeat(db, lease)).await {
            Ok(Ok(())) => {
                good_until = asked + lasts;
                pause = Duration::from_secs(HEARTBEAT_SECONDS);
            }
            Ok(Err(StoreError::LeaseLost)) => {
                tracing::warn!("the lease is another's: leaving the operation to it");
                return;
            }
            Ok(Err(error)) => {
                tracing::warn!(error = ?error, "the lease was not renewed; trying again");
                pause = Duration::from_millis(250);
            }
            Err(_) => {
                tracing::warn!("the lease could not be renewed in time: leaving the operation");
                return;
            }
        }
    }
}
