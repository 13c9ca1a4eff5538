//! Keeping a lease while work goes on.

use std::time::Duration;

use domain::lease::{LEASE_SECONDS, RENEW_SECONDS};
use store::StoreError;
use tokio::time::{Instant, sleep, timeout};

use super::LeasedRows;

/// Given up this long before the lease runs out by the database's clock, so that a successor never meets us.
const MARGIN: Duration = Duration::from_secs(2);

/// Pause before a renewal that failed is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Renews the lease until it is lost: taken over, ended by ourselves, or not renewable in time.
pub(super) async fn keep<R: LeasedRows>(rows: &R, claim: &R::Claim) {
    let noun = R::NOUN;
    let lasts = Duration::from_secs(LEASE_SECONDS.unsigned_abs().into()).saturating_sub(MARGIN);
    let mut good_until = Instant::now() + lasts;
    let mut pause = Duration::from_secs(RENEW_SECONDS);
    loop {
        sleep(pause).await;
        let asked = Instant::now();
        let left = good_until.saturating_duration_since(asked);
        if left.is_zero() {
            // After a pause of the whole process. Asking now would extend the lease for nobody.
            tracing::warn!(
                "the lease ran out while this process stood still; the {noun} is left to another worker"
            );
            return;
        }
        match timeout(left, rows.renew(claim)).await {
            Ok(Ok(())) => {
                good_until = asked + lasts;
                pause = Duration::from_secs(RENEW_SECONDS);
            }
            Ok(Err(StoreError::LeaseLost)) => {
                tracing::warn!("another worker has taken the {noun} over; it is left to that one");
                return;
            }
            Ok(Err(error)) => {
                tracing::warn!(?error, "the lease was not renewed; trying again until it runs out");
                pause = RETRY_PAUSE;
            }
            Err(_) => {
                tracing::warn!(
                    "the lease could not be renewed in time; the {noun} is left to another worker"
                );
                return;
            }
        }
    }
}
