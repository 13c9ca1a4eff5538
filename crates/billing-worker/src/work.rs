//! Tasks: an event to be processed, a customer to be looked at, or something that is not done.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    clock::Clock,
    enforcement::BillingAction,
    ids::{BillingTaskId, CustomerId},
};
use integrations::stripe::{Stripe, StripeError, event};
use runtime::worker::{Backlog, Ended, Handler, LeasedRows, Place};
use serde_json::{Value, json};
use store::{
    Db, StoreError,
    billing::{self as rows, Claim, Linked},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backfill::backfill,
    sync::{SyncError, Syncer},
};

/// Attempts after which somebody should look.
const ALARM_AFTER: i32 = 5;
/// Pause before the second attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause: what waits for Stripe goes on within this time of its return.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Tasks as rows that a worker leases.
#[derive(Clone, Debug)]
pub struct Rows(Db);

#[async_trait]
impl LeasedRows for Rows {
    type Id = BillingTaskId;
    type Slot = ();
    type Claim = Claim;
    const NOUN: &'static str = "billing task";

    async fn slot(&self, id: BillingTaskId) -> Result<Option<()>, StoreError> {
        Ok(rows::exists(&self.0, id).await?.then_some(()))
    }

    async fn next(&self, (): ()) -> Result<Option<BillingTaskId>, StoreError> {
        rows::next(&self.0).await
    }

    async fn claim(&self, id: BillingTaskId, owner: &str) -> Result<Option<Claim>, StoreError> {
        rows::claim(&self.0, id, owner).await
    }

    async fn renew(&self, claim: &Claim) -> Result<(), StoreError> {
        rows::renew(&self.0, claim).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        rows::release(&self.0, claim).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        rows::backlog(&self.0).await
    }

    async fn take_unclaimed(&self, limit: i64) -> Result<Vec<BillingTaskId>, StoreError> {
        rows::take_unclaimed(&self.0, limit).await
    }
}

/// What became of a task.
#[derive(Debug)]
pub enum Outcome {
    /// It is done, in this word.
    Done(&'static str),
    /// It is not to be done.
    Rejected(String),
    /// Somebody tries again.
    Later(String),
    /// Even that could not be written down: its lease ends.
    Unwritten(StoreError),
}

/// Does tasks.
pub struct Worker {
    rows: Rows,
    syncer: Syncer,
    clock: Arc<dyn Clock>,
}

impl Worker {
    /// With what a look takes.
    pub fn new(syncer: Syncer, clock: Arc<dyn Clock>) -> Self {
        Self { rows: Rows(syncer.db.clone()), syncer, clock }
    }

    fn db(&self) -> &Db {
        &self.syncer.db
    }

    async fn perform(&self, claim: &Claim) -> Result<Outcome, SyncError> {
        match (BillingAction::requested(&claim.action), &claim.event, claim.customer) {
            (Ok(BillingAction::Sync), Some(event), _) => self.process(event).await.map(Outcome::Done),
            (Ok(BillingAction::Sync), None, Some(customer)) => {
                self.syncer.sync(customer).await?;
                Ok(Outcome::Done("done"))
            }
            (Ok(BillingAction::Backfill), ..) => {
                backfill(&self.syncer, &*self.clock).await?;
                Ok(Outcome::Done("done"))
            }
            (Err(refused), ..) => Ok(Outcome::Rejected(refused.to_string())),
            (Ok(action), ..) => Ok(Outcome::Rejected(format!(
                "{action} follows from what is open at Stripe and is not asked for"
            ))),
        }
    }

    /// Processes an event: it says only whom to look at. It is settled after that, so that one that failed is processed again.
    async fn process(&self, id: &str) -> Result<&'static str, SyncError> {
        let Some(kept) = rows::kept(self.db(), id).await? else { return Ok("gone") };
        if kept.outcome.is_some() {
            return Ok("settled before");
        }
        let outcome = self.understand(&kept.payload).await?;
        rows::settle_event(self.db(), id, outcome).await?;
        Ok(outcome)
    }

    async fn understand(&self, payload: &Value) -> Result<&'static str, SyncError> {
        let Some(it) = event(payload) else { return Ok("unresolved") };
        let Some(stripe) = &self.syncer.stripe else { return Err(SyncError::NoKey) };
        if it.livemode != stripe.is_live() || it.of_another_account {
            return Ok("ignored");
        }
        let object = it.object_id.as_deref().unwrap_or_default();
        if it.kind.starts_with("test_helpers.test_clock.") {
            for customer in rows::on_clock(self.db(), object).await? {
                self.syncer.sync(customer).await?;
            }
            return Ok("done");
        }
        let customer = if it.kind.starts_with("charge.dispute.") {
            self.dispute(stripe, object).await?
        } else {
            self.whose(stripe, it.customer.as_deref(), object).await?
        };
        match customer {
            Some(customer) => {
                self.syncer.sync(customer).await?;
                Ok("done")
            }
            None if it.customer.is_some() => Ok("unresolved"),
            None => Ok("ignored"),
        }
    }

    /// Whose an object is: by the customer at Stripe, by what we wrote on that customer, or by the purchase that it is.
    async fn whose(
        &self,
        stripe: &Stripe,
        stripe_id: Option<&str>,
        object: &str,
    ) -> Result<Option<CustomerId>, SyncError> {
        if let Some(checkout) = rows::find_by_stripe_id(self.db(), object).await? {
            return Ok(Some(checkout.customer));
        }
        let Some(stripe_id) = stripe_id else { return Ok(None) };
        if let Some(known) = rows::customer_of(self.db(), stripe_id).await? {
            return Ok(Some(known));
        }
        // Made at Stripe, and its answer lost before we could write it down.
        let customer = match stripe.get(&format!("customers/{stripe_id}"), &[]).await {
            Ok(customer) => customer,
            Err(StripeError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(ours) = customer["metadata"]["zlh_customer"].as_str().and_then(|id| id.parse().ok()) else {
            return Ok(None);
        };
        let linked = Linked { customer: ours, stripe_id: stripe_id.to_owned(), livemode: stripe.is_live() };
        Ok(rows::link(self.db(), &linked).await?.then_some(ours))
    }

    /// Notes how a dispute stands. By itself it stops nobody; one that is lost makes a debt of what was paid.
    async fn dispute(&self, stripe: &Stripe, id: &str) -> Result<Option<CustomerId>, SyncError> {
        let dispute = match stripe.get(&format!("disputes/{id}"), &[]).await {
            Ok(dispute) => dispute,
            Err(StripeError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let text = |value: &Value| value.as_str().or_else(|| value["id"].as_str()).map(str::to_owned);
        let Some(charge) = text(&dispute["charge"]) else { return Ok(None) };
        let charge = match stripe.get(&format!("charges/{charge}"), &[]).await {
            Ok(charge) => charge,
            Err(StripeError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let customer = self.whose(stripe, text(&charge["customer"]).as_deref(), "").await?;
        let Some(customer) = customer else { return Ok(None) };
        let status = dispute["status"].as_str().unwrap_or("unknown");
        let over = matches!(status, "won" | "lost" | "warning_closed" | "prevented");
        let lost_at = (status == "lost").then(|| self.clock.now());
        if let Some(invoice) = invoice_of(stripe, &dispute, &charge).await? {
            // When it was lost first is when the debt began.
            let lost_at = match lost_at {
                Some(now) => Some(rows::dispute_lost_at(self.db(), &invoice).await?.unwrap_or(now)),
                None => None,
            };
            rows::set_dispute(self.db(), &invoice, status, lost_at).await?;
        }
        let detail = json!({ "dispute": id, "status": status, "amount": dispute["amount"], "reason": dispute["reason"] });
        if rows::dispute(self.db(), customer, !over, &detail, self.syncer.tell).await? {
            let now = if over { "over" } else { "open" };
            tracing::warn!(%customer, dispute = id, "dispute {id} of customer {customer} is {now} ({status}); answer it at Stripe; no server is stopped by it");
        }
        Ok(Some(customer))
    }
}

/// The invoice that a disputed charge has paid.
async fn invoice_of(stripe: &Stripe, dispute: &Value, charge: &Value) -> Result<Option<String>, StripeError> {
    if let Some(invoice) = charge["invoice"].as_str() {
        return Ok(Some(invoice.to_owned()));
    }
    let intent = &dispute["payment_intent"];
    let intent = intent.as_str().or_else(|| charge["payment_intent"].as_str());
    let Some(intent) = intent else { return Ok(None) };
    let query = [("payment[type]", "payment_intent"), ("payment[payment_intent]", intent)];
    let payments = match stripe.list("invoice_payments", &query).await {
        Ok(payments) => payments,
        Err(StripeError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(payments.first().and_then(|it| it["invoice"].as_str()).map(str::to_owned))
}

#[async_trait]
impl Handler for Worker {
    type Rows = Rows;
    type Outcome = Outcome;

    fn rows(&self) -> &Rows {
        &self.rows
    }

    async fn work(&self, claim: &Claim, _: &Place, _: &CancellationToken) -> Ended<Outcome> {
        let (written, outcome) = match self.perform(claim).await {
            Ok(Outcome::Rejected(why)) => {
                (rows::end(self.db(), claim, &why, true).await, Outcome::Rejected(why))
            }
            Ok(outcome) => {
                let word = if let Outcome::Done(word) = &outcome { word } else { "done" };
                (rows::end(self.db(), claim, word, false).await, outcome)
            }
            Err(error) => {
                let why = error.to_string();
                let pause = pause_after(claim.attempts);
                (rows::retry_later(self.db(), claim, &why, pause).await, Outcome::Later(why))
            }
        };
        match written {
            Ok(()) => Ended::Finished(outcome),
            Err(StoreError::LeaseLost) => Ended::LeaseLost,
            Err(error) => Ended::Finished(Outcome::Unwritten(error)),
        }
    }

    fn report(&self, claim: &Claim, ended: &Ended<Outcome>, took: Duration) {
        let (id, action) = (claim.id, &claim.action);
        let of = claim.event.as_deref().map_or_else(
            || {
                claim
                    .customer
                    .map_or_else(|| "everybody".to_owned(), |customer| format!("customer {customer}"))
            },
            |event| format!("event {event}"),
        );
        let Ended::Finished(outcome) = ended else {
            return tracing::info!(%id, "{action} of {of} is left to another worker");
        };
        let word = match outcome {
            Outcome::Done(_) => "done",
            Outcome::Rejected(_) => "rejected",
            Outcome::Later(_) | Outcome::Unwritten(_) => "failed",
        };
        metrics::counter!("zlh_billing_tasks_total", "outcome" => word).increment(1);
        match outcome {
            Outcome::Done(word) => tracing::debug!(%id, "{action} of {of}: {word} in {took:.1?}"),
            Outcome::Rejected(why) => {
                tracing::warn!(%id, by = claim.requested_by, "{action} of {of}, asked for by {}, was rejected: {why}; nothing was changed", claim.requested_by);
            }
            Outcome::Later(why) if claim.attempts >= ALARM_AFTER => {
                tracing::error!(%id, attempts = claim.attempts, "{action} of {of} has failed {} times: {why}; it is tried again, and until then nothing of it takes effect", claim.attempts);
            }
            Outcome::Later(why) => {
                tracing::warn!(%id, attempts = claim.attempts, "{action} of {of} failed: {why}; it is tried again in {:?}", pause_after(claim.attempts));
            }
            Outcome::Unwritten(error) => {
                tracing::warn!(%id, ?error, "how {action} of {of} ended could not be written down; it is taken up again when its lease ends");
            }
        }
    }
}

fn pause_after(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default().min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}
