//! Copies of what Stripe has.

use chrono::{DateTime, Utc};
use domain::{
    billing::{Fetched, InvoiceFacts, SubscriptionFacts},
    enforcement::Collection,
    ids::CustomerId,
    text::foreign,
};
use sqlx::PgConnection;

use crate::{Db, StoreError};

/// Writes down what was fetched. `plan_of` tells which plan a price is for.
pub(super) async fn keep(
    tx: &mut PgConnection,
    customer: CustomerId,
    fetched: &Fetched,
    of_record: Option<&str>,
    plan_of: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<(), StoreError> {
    // Never two of record, not even for a moment.
    sqlx::query!(
        "UPDATE subscriptions SET of_record = false WHERE customer_id = $1 AND of_record AND id IS DISTINCT FROM $2",
        customer.0,
        of_record,
    )
    .execute(&mut *tx)
    .await?;
    for it in &fetched.subscriptions {
        keep_subscription(tx, customer, it, Some(it.rules.id.as_str()) == of_record, plan_of).await?;
    }
    for it in &fetched.invoices {
        keep_invoice(tx, customer, it).await?;
    }
    Ok(())
}

async fn keep_subscription(
    tx: &mut PgConnection,
    customer: CustomerId,
    it: &SubscriptionFacts,
    of_record: bool,
    plan_of: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<(), StoreError> {
    let rules = &it.rules;
    sqlx::query!(
        "INSERT INTO subscriptions (id, customer_id, status, of_record, entitles, currency, collection_paused, period_start,
             period_end, ends_at, trial_end, paid_with, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, of_record = excluded.of_record, entitles = excluded.entitles,
             currency = excluded.currency, collection_paused = excluded.collection_paused,
             period_start = excluded.period_start, period_end = excluded.period_end, ends_at = excluded.ends_at,
             trial_end = excluded.trial_end, paid_with = excluded.paid_with, fetched_at = clock_timestamp()",
        rules.id,
        customer.0,
        rules.status.as_str(),
        of_record,
        rules.status.entitles(),
        it.currency,
        rules.collection_paused,
        rules.period_start,
        rules.period_end,
        rules.ends_at,
        rules.trial_end,
        it.paid_with.as_deref().map(foreign),
        it.created_at,
    )
    .execute(&mut *tx)
    .await?;
    let kept: Vec<_> = it.items.iter().map(|item| item.id.clone()).collect();
    sqlx::query!(
        "UPDATE subscription_items SET quantity = 0 WHERE subscription_id = $1 AND quantity <> 0 AND NOT id = ANY($2)",
        rules.id,
        &kept,
    )
    .execute(&mut *tx)
    .await?;
    for item in &it.items {
        sqlx::query!(
            "INSERT INTO subscription_items (id, subscription_id, price_id, plan, quantity, amount_minor)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO UPDATE SET price_id = excluded.price_id, plan = excluded.plan, quantity = excluded.quantity,
                 amount_minor = excluded.amount_minor",
            item.id,
            rules.id,
            item.price_id,
            plan_of(&item.price_id),
            item.quantity,
            item.amount_minor,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn keep_invoice(
    tx: &mut PgConnection,
    customer: CustomerId,
    it: &InvoiceFacts,
) -> Result<(), StoreError> {
    let rules = &it.rules;
    let collection = match rules.collection {
        Collection::ChargeAutomatically => "charge_automatically",
        Collection::SendInvoice => "send_invoice",
    };
    sqlx::query!(
        "INSERT INTO invoices (id, customer_id, subscription_id, number, status, currency, total_minor, remaining_minor,
             collection, attempted, processing, finalized_at, due_at, next_attempt_at, failure, hosted_invoice_url, pdf_url,
             created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         ON CONFLICT (id) DO UPDATE SET subscription_id = excluded.subscription_id, number = excluded.number,
             status = excluded.status, total_minor = excluded.total_minor, remaining_minor = excluded.remaining_minor,
             collection = excluded.collection, attempted = excluded.attempted, processing = excluded.processing,
             finalized_at = excluded.finalized_at, due_at = excluded.due_at, next_attempt_at = excluded.next_attempt_at,
             failure = excluded.failure, hosted_invoice_url = excluded.hosted_invoice_url, pdf_url = excluded.pdf_url,
             fetched_at = clock_timestamp()",
        rules.id,
        customer.0,
        it.subscription_id,
        rules.number,
        rules.status.as_str(),
        rules.currency,
        it.total_minor,
        rules.remaining_minor,
        collection,
        rules.attempted,
        rules.processing,
        rules.finalized_at,
        rules.due_at,
        it.next_attempt_at,
        it.failure.as_deref().map(foreign),
        it.hosted_invoice_url,
        it.pdf_url,
        it.created_at,
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// When disputes over a customer's invoices were lost, as far as it is known here: invoices themselves do not say.
pub(super) async fn lost_disputes(
    tx: &mut PgConnection,
    customer: CustomerId,
) -> Result<Vec<(String, DateTime<Utc>)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, dispute_lost_at AS "at!" FROM invoices WHERE customer_id = $1 AND dispute_lost_at IS NOT NULL"#,
        customer.0
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.at)).collect())
}

/// Notes how a dispute over an invoice stands. `false` if we do not know the invoice.
pub async fn set_dispute(
    db: &Db,
    invoice: &str,
    status: &str,
    lost_at: Option<DateTime<Utc>>,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE invoices SET dispute_status = $2, dispute_lost_at = $3 WHERE id = $1",
        invoice,
        status,
        lost_at
    );
    Ok(done.execute(db.pool()).await?.rows_affected() == 1)
}

/// When a dispute over an invoice was lost, as far as it is known.
pub async fn dispute_lost_at(db: &Db, invoice: &str) -> Result<Option<DateTime<Utc>>, StoreError> {
    let at = sqlx::query_scalar!("SELECT dispute_lost_at FROM invoices WHERE id = $1", invoice);
    Ok(at.fetch_optional(db.pool()).await?.flatten())
}
