//! One customer: what Stripe has of them is fetched, and what follows is done.

use std::sync::Arc;

use domain::{
    billing::{Amendment, CheckoutState, Fetched},
    enforcement::Stage,
    ids::CustomerId,
};
use integrations::stripe::{Session, Settled, Stripe, StripeError, fetch_customer, fetch_subscription};
use store::{
    Db, StoreError,
    billing::{self as rows, Applied, ApplyError, Checkout},
};

use tokio::sync::{Mutex, MutexGuard};

use crate::plans::Plans;

/// Looks at one customer that are begun anew because something changed meanwhile.
const TRIES: usize = 5;

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Stripe.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else looked each time.
    #[error("the customer was changed {TRIES} times while it was looked at")]
    Restless,
    /// The customer is at Stripe, and there is no key to ask with: nothing is done on what was known once.
    #[error("no stripe.secret_key is set, so nobody can be asked")]
    NoKey,
}

/// Turns of customers: events come in bursts, and of two looks at one customer at once one is worth nothing. Customers share them,
/// so that there are no more than these.
#[derive(Clone, Debug)]
pub struct Turns(Arc<[Mutex<()>]>);

/// How many there are: several times as many as looks at once.
const TURNS: usize = 64;

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Mutex::default()).collect())
    }
}

impl Turns {
    async fn of(&self, customer: CustomerId) -> Option<MutexGuard<'_, ()>> {
        let nth = usize::from(customer.0.as_bytes()[15]) % TURNS;
        Some(self.0.get(nth)?.lock().await)
    }
}

/// What a look takes.
#[derive(Clone, Debug)]
pub struct Syncer {
    /// Postgres.
    pub db: Db,
    /// Stripe, where there is a key.
    pub stripe: Option<Stripe>,
    /// Plans.
    pub plans: Plans,
    /// Whether operators are told.
    pub tell: bool,
    /// One look at a customer at a time.
    pub turns: Turns,
}

impl Syncer {
    /// Looks at a customer. What Stripe says is never older than what is done because of it: without an answer nothing is done.
    pub async fn sync(&self, customer: CustomerId) -> Result<Applied, SyncError> {
        let _turn = self.turns.of(customer).await;
        self.settle_checkout(customer).await?;
        for _ in 0..TRIES {
            let look =
                rows::begin_look(&self.db, customer, self.stripe.as_ref().map(Stripe::is_live)).await?;
            let fetched = match (&look.stripe_id, &self.stripe) {
                (None, _) => Fetched::default(),
                (Some(id), Some(stripe)) => fetch_customer(stripe, id).await?,
                (Some(_), None) => return Err(SyncError::NoKey),
            };
            match rows::apply(&self.db, &look, &fetched, &self.plans, self.tell).await {
                Ok(applied) => {
                    report(customer, &applied);
                    return Ok(applied);
                }
                Err(ApplyError::Changed) => {}
                Err(ApplyError::Store(error)) => return Err(error.into()),
            }
        }
        Err(SyncError::Restless)
    }

    /// How a purchase under way stands, by its session at Stripe.
    async fn settle_checkout(&self, customer: CustomerId) -> Result<(), SyncError> {
        let (Some(stripe), Some(checkout)) = (&self.stripe, rows::unended(&self.db, customer).await?) else {
            return Ok(());
        };
        let id = &checkout.id;
        if let Some(amendment) = &checkout.amendment {
            return self.settle_amendment(stripe, &checkout, amendment).await;
        }
        let Checkout { stripe_id: Some(session), .. } = &checkout else { return Ok(()) };
        let state = match stripe.get(&format!("checkout/sessions/{session}"), &[]).await {
            Ok(answer) => match Session::read(&answer).map(|session| session.settled) {
                // A debit that failed in the end leaves the session as it was; the subscription never begins.
                Some(Settled::Pending) if failed_in_the_end(stripe, &answer).await? => CheckoutState::Failed,
                Some(Settled::Pending) => CheckoutState::Pending,
                Some(Settled::Paid) => CheckoutState::Completed,
                Some(Settled::Expired) => CheckoutState::Expired,
                Some(Settled::Open) | None => return Ok(()),
            },
            Err(StripeError::NotFound(_)) => CheckoutState::Expired,
            Err(error) => return Err(error.into()),
        };
        if rows::end_checkout(&self.db, *id, state).await? {
            tracing::info!(%customer, checkout = %id, "purchase {id} is {state}");
        }
        Ok(())
    }

    /// How a change of a subscription stands, by the subscription: it has become what it was to be, its bank still asks the customer,
    /// or nothing came of it.
    async fn settle_amendment(
        &self,
        stripe: &Stripe,
        checkout: &Checkout,
        amendment: &Amendment,
    ) -> Result<(), SyncError> {
        let (id, customer) = (checkout.id, checkout.customer);
        let state = match fetch_subscription(stripe, &amendment.subscription).await {
            Ok(now) if amendment.is_made(&now.items) => CheckoutState::Completed,
            Ok(now) if now.pending_invoice.is_some() => return Ok(()),
            // Somebody may be asking Stripe for it in this moment.
            Ok(_) if !rows::is_abandoned(&self.db, id).await? => return Ok(()),
            Ok(_) | Err(StripeError::NotFound(_)) => CheckoutState::Expired,
            Err(error) => return Err(error.into()),
        };
        if rows::end_checkout(&self.db, id, state).await? {
            tracing::info!(%customer, checkout = %id, "the change of the subscription by purchase {id} is {state}");
        }
        Ok(())
    }
}

async fn failed_in_the_end(stripe: &Stripe, session: &serde_json::Value) -> Result<bool, StripeError> {
    let subscription = &session["subscription"];
    let Some(id) = subscription.as_str().or_else(|| subscription["id"].as_str()) else { return Ok(false) };
    let subscription = match stripe.get(&format!("subscriptions/{id}"), &[]).await {
        Ok(subscription) => subscription,
        Err(StripeError::NotFound(_)) => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(matches!(
        subscription["status"].as_str(),
        Some("canceled" | "incomplete_expired" | "past_due" | "unpaid")
    ))
}

fn report(customer: CustomerId, applied: &Applied) {
    let Applied { from, to, cause, servers, trouble } = applied;
    if let Some(trouble) = trouble {
        tracing::warn!(%customer, "customer {customer} needs a look: {trouble}");
    }
    if from != to {
        metrics::counter!("zlh_billing_transitions_total", "to" => to.as_str()).increment(1);
        let so = match to {
            Stage::Suspended => format!("; {servers} servers are stopped and kept"),
            Stage::Restored => format!("; {servers} servers are given back"),
            _ => String::new(),
        };
        tracing::info!(%customer, from = %from, to = %to, cause, "customer {customer} goes from {from} to {to}: {cause}{so}");
    }
}
