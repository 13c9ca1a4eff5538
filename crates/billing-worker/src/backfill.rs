//! What never arrived: events of the last 30 days that are not kept, and every customer compared, since events reach no further back.

use std::time::Duration;

use domain::clock::Clock;
use integrations::stripe::{Stripe, event};
use store::billing::{self as rows, NewEvent};

use crate::sync::{SyncError, Syncer};

/// As events name us that were found here.
const BY: &str = "backfill";
/// How far back Stripe lists events.
const REACH: Duration = Duration::from_hours(30 * 24);
/// Events that are compared at once.
const BATCH: usize = 500;

/// Looks once. How many events were found that never arrived.
pub async fn backfill(syncer: &Syncer, clock: &dyn Clock) -> Result<usize, SyncError> {
    let stripe = syncer.stripe.as_ref().ok_or(SyncError::NoKey)?;
    let since = (clock.now().timestamp() - i64::try_from(REACH.as_secs()).unwrap_or_default()).to_string();
    let events = stripe.list("events", &[("created[gte]", &since)]).await?;
    let mut found = 0;
    for batch in events.chunks(BATCH) {
        let ids: Vec<String> = batch.iter().filter_map(|it| it["id"].as_str().map(str::to_owned)).collect();
        let unknown = rows::unknown(&syncer.db, &ids).await?;
        for payload in batch {
            let Some(it) = event(payload).filter(|it| unknown.contains(&it.id)) else { continue };
            let new = NewEvent {
                id: &it.id,
                kind: &it.kind,
                api_version: it.api_version.as_deref(),
                livemode: it.livemode,
                stripe_customer: it.customer.as_deref(),
                object_id: it.object_id.as_deref(),
                payload,
                created_at: it.created_at,
                source: "backfill",
                ignored: it.livemode != stripe.is_live() || it.of_another_account,
            };
            rows::accept(&syncer.db, &new, BY).await?;
            found += 1;
        }
    }
    let problem = endpoint_problem(stripe).await?;
    if rows::backfilled(&syncer.db, found, problem.as_deref()).await?
        && let Some(problem) = &problem
    {
        tracing::error!(
            "{problem}: payments are noticed by the backfill only, up to a day late, until it is mended at Stripe"
        );
    }
    let customers = rows::look_at_all(&syncer.db, stripe.is_live()).await?;
    if found > 0 {
        tracing::warn!(
            found,
            "{found} events of Stripe had never arrived and are processed now; look at the webhook's deliveries at Stripe"
        );
    }
    tracing::info!(
        found,
        customers,
        "events of 30 days were compared: {} there, {found} had not arrived; {customers} customers are looked at",
        events.len()
    );
    Ok(found)
}

/// What is wrong with our endpoint at Stripe. A restricted key may not be allowed to look: then nothing is known.
async fn endpoint_problem(stripe: &Stripe) -> Result<Option<String>, SyncError> {
    let endpoints = match stripe.list("webhook_endpoints", &[]).await {
        Ok(endpoints) => endpoints,
        Err(error) if error.may_pass() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let ours =
        endpoints.iter().filter(|it| it["url"].as_str().is_some_and(|url| url.ends_with("/webhooks/stripe")));
    let mut any = false;
    for endpoint in ours {
        any = true;
        if endpoint["status"] != "enabled" {
            let url: String = endpoint["url"].as_str().unwrap_or_default().chars().take(200).collect();
            return Ok(Some(format!("Stripe has disabled the webhook endpoint {url}")));
        }
    }
    Ok((!any).then(|| "Stripe has no webhook endpoint whose address ends with /webhooks/stripe".to_owned()))
}
