//! What the billing page shows: from our own rows, so that it does not wait for Stripe.

use chrono::{DateTime, Utc};
use domain::ids::CustomerId;

use super::{Checkout, Grant, State, active_grants, enforcement::state, unended};
use crate::{Db, StoreError};

/// A subscription.
#[derive(Clone, Debug)]
pub struct SubscriptionRow {
    /// Its id at Stripe.
    pub id: String,
    /// Its state there.
    pub status: String,
    /// Whether it is the one that decides.
    pub of_record: bool,
    /// Whether servers may be had by it.
    pub entitles: bool,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Until when it is billed.
    pub period_end: Option<DateTime<Utc>>,
    /// When it ends or has ended.
    pub ends_at: Option<DateTime<Utc>>,
    /// Whether what it bills is not collected.
    pub collection_paused: bool,
    /// What it is paid with, in words.
    pub paid_with: Option<String>,
    /// What it is for.
    pub items: Vec<ItemRow>,
}

/// So many servers of a plan.
#[derive(Clone, Debug)]
pub struct ItemRow {
    /// Plan id; `None` for a price that no plan has.
    pub plan: Option<String>,
    /// How many.
    pub quantity: i32,
    /// Of one, each period.
    pub amount_minor: i64,
}

/// An invoice.
#[derive(Clone, Debug)]
pub struct InvoiceRow {
    /// Its id at Stripe.
    pub id: String,
    /// As people call it.
    pub number: Option<String>,
    /// Its state.
    pub status: String,
    /// ISO 4217, lower case.
    pub currency: String,
    /// All of it.
    pub total_minor: i64,
    /// Still to be paid.
    pub remaining_minor: i64,
    /// Whether paying it was tried.
    pub attempted: bool,
    /// Whether the bank is still at it.
    pub processing: bool,
    /// When Stripe tries again.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// How a dispute over it stands.
    pub dispute_status: Option<String>,
    /// Where it can be paid.
    pub hosted_invoice_url: Option<String>,
    /// Where it can be downloaded.
    pub pdf_url: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Overview {
    /// How far enforcement has come; `None` while there was nothing to look at.
    pub state: Option<State>,
    /// Subscriptions that are not over, and the one of record; that one first.
    pub subscriptions: Vec<SubscriptionRow>,
    /// The newest invoices, newest first.
    pub invoices: Vec<InvoiceRow>,
    /// What operators granted.
    pub grants: Vec<Grant>,
    /// A purchase under way.
    pub checkout: Option<Checkout>,
    /// Plans of living servers, one entry for each.
    pub plans: Vec<String>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

/// Invoices that the page shows.
const INVOICES: i64 = 24;

/// A customer's billing.
pub async fn overview(db: &Db, customer: CustomerId) -> Result<Overview, StoreError> {
    let row = sqlx::query!(
        r#"SELECT clock_timestamp() AS "now!", ARRAY(
               SELECT plan FROM instances WHERE customer_id = $1 AND lifecycle IN ('provisioning', 'active') ORDER BY plan
           ) AS "plans!""#,
        customer.0
    )
    .fetch_one(db.pool())
    .await?;
    Ok(Overview {
        state: state(db, customer).await?,
        subscriptions: subscriptions(db, customer).await?,
        invoices: invoices(db, customer, INVOICES).await?,
        grants: active_grants(db, customer).await?,
        checkout: unended(db, customer).await?,
        plans: row.plans,
        now: row.now,
    })
}

/// Id of a customer's subscription of record at Stripe, if servers may be had by it.
pub async fn of_record(db: &Db, customer: CustomerId) -> Result<Option<String>, StoreError> {
    let id = sqlx::query_scalar!(
        "SELECT id FROM subscriptions WHERE customer_id = $1 AND of_record AND entitles",
        customer.0
    );
    Ok(id.fetch_optional(db.pool()).await?)
}

async fn subscriptions(db: &Db, customer: CustomerId) -> Result<Vec<SubscriptionRow>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, status, of_record, entitles, currency, period_end, ends_at, collection_paused, paid_with FROM subscriptions
         WHERE customer_id = $1 AND (of_record OR entitles) ORDER BY of_record DESC, created_at DESC LIMIT 20",
        customer.0
    )
    .fetch_all(db.pool())
    .await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    let items = sqlx::query!(
        "SELECT subscription_id, plan, quantity, amount_minor FROM subscription_items
         WHERE subscription_id = ANY($1) AND quantity > 0 ORDER BY plan, id",
        &ids
    )
    .fetch_all(db.pool())
    .await?;
    let with_items = rows.into_iter().map(|row| SubscriptionRow {
        items: items
            .iter()
            .filter(|item| item.subscription_id == row.id)
            .map(|item| ItemRow {
                plan: item.plan.clone(),
                quantity: item.quantity,
                amount_minor: item.amount_minor,
            })
            .collect(),
        id: row.id,
        status: row.status,
        of_record: row.of_record,
        entitles: row.entitles,
        currency: row.currency,
        period_end: row.period_end,
        ends_at: row.ends_at,
        collection_paused: row.collection_paused,
        paid_with: row.paid_with,
    });
    Ok(with_items.collect())
}

/// A customer's invoices, newest first; drafts are not theirs yet.
async fn invoices(db: &Db, customer: CustomerId, limit: i64) -> Result<Vec<InvoiceRow>, StoreError> {
    let rows = sqlx::query_as!(
        InvoiceRow,
        "SELECT id, number, status, currency, total_minor, remaining_minor, attempted, processing, next_attempt_at, failure,
                dispute_status, hosted_invoice_url, pdf_url, created_at
         FROM invoices WHERE customer_id = $1 AND status <> 'draft' ORDER BY created_at DESC, id DESC LIMIT $2",
        customer.0,
        limit
    );
    Ok(rows.fetch_all(db.pool()).await?)
}
