//! One look at a customer: what was fetched is written down, and what follows from it is done, in one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    billing::Fetched,
    enforcement::{Assessment, Evidence, Leniency, Stage, Timings, assess, settle, steps},
    ids::CustomerId,
    mail::{Envelope, Mail, OpenPayment},
};
use serde_json::json;
use sqlx::{PgConnection, postgres::types::PgInterval};
use uuid::Uuid;

use super::{BY, enforcement::stage as parse_stage, facts};
use crate::{
    Db, StoreError,
    outbox::{self, MAX_AGE, NewNotification},
};

/// A look that was begun: whoever looks later at the same customer makes this one worth nothing.
#[derive(Clone, Debug)]
pub struct Look {
    /// At whom.
    pub customer: CustomerId,
    /// The customer at Stripe; `None` if there is none.
    pub stripe_id: Option<String>,
    version: i64,
}

/// What a look led to.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The stage before.
    pub from: Stage,
    /// The stage now.
    pub to: Stage,
    /// Why, in the rules' words.
    pub cause: String,
    /// Servers that were put on hold, or given back.
    pub servers: i32,
    /// What a person has to look at, if it is news.
    pub trouble: Option<String>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Something changed since the look was begun: look again.
    #[error("the customer was looked at, or an operator spoke, meanwhile")]
    Changed,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What the rules need of the catalogue.
pub trait Catalogue: Sync {
    /// Which plan a price is for.
    fn plan_of(&self, price: &str) -> Option<String>;
    /// How long payments may stay open for servers of these plans.
    fn timings(&self, plans: &[String]) -> Timings;
}

/// Begins to look at a customer. `livemode` is that of our key; without one there is nobody at Stripe.
pub async fn begin_look(db: &Db, customer: CustomerId, livemode: Option<bool>) -> Result<Look, StoreError> {
    let row = sqlx::query!(
        r#"WITH made AS (
               INSERT INTO billing_enforcement_states (customer_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING version
           )
           SELECT COALESCE((SELECT version FROM made), (SELECT version FROM billing_enforcement_states WHERE customer_id = $1))
                      AS "version!",
                  (SELECT stripe_id FROM stripe_customers WHERE customer_id = $1 AND livemode = $2 AND deleted_at IS NULL)
                      AS stripe_id"#,
        customer.0,
        livemode,
    )
    .fetch_one(db.pool())
    .await?;
    Ok(Look { customer, stripe_id: row.stripe_id, version: row.version })
}

/// What is known of the customer, read under the lock of their state.
struct Known {
    stage: Stage,
    entered_at: DateTime<Utc>,
    leniency: Leniency,
    trouble: Option<String>,
    email: String,
    needs_subscription: bool,
    plans: Vec<String>,
    of_record: Option<String>,
}

/// Writes down what was fetched and does what follows. `tell` says whether operators are told as well as the customer.
pub async fn apply(
    db: &Db,
    look: &Look,
    fetched: &Fetched,
    catalogue: &dyn Catalogue,
    tell: bool,
) -> Result<Applied, ApplyError> {
    let mut tx = db.pool().begin().await?;
    let known = lock(&mut tx, look).await?.ok_or(ApplyError::Changed)?;
    let of_record = fetched.of_record(known.of_record.as_deref()).map(|it| it.rules.id.clone());
    facts::keep(&mut tx, look.customer, fetched, of_record.as_deref(), &|price| catalogue.plan_of(price))
        .await?;
    let now = time_of(&mut tx, fetched).await?;
    let mut evidence = fetched.evidence(of_record.as_deref(), known.needs_subscription);
    for (invoice, at) in facts::lost_disputes(&mut tx, look.customer).await? {
        let facts = fetched.invoices.iter().find(|it| it.rules.id == invoice);
        if let Some(facts) = facts {
            evidence.invoices.retain(|it| it.id != invoice);
            evidence
                .invoices
                .push(domain::enforcement::Invoice { dispute_lost_at: Some(at), ..facts.rules.clone() });
        }
    }
    let timings = catalogue.timings(&known.plans);
    let assessed = assess(&evidence, timings, known.leniency, now);
    let trouble = trouble(fetched, &evidence, catalogue);
    let to = assessed.as_ref().map_or(known.stage, |it| settle(known.stage, known.entered_at, it.stage, now));
    let entered = record_steps(&mut tx, look.customer, &known, to, assessed.as_ref(), &evidence).await?;
    write(&mut tx, look.customer, to, entered, assessed.as_ref(), &evidence, trouble.as_deref(), now).await?;
    let servers = carry_out(&mut tx, look.customer, known.stage, to).await?;
    notify(&mut tx, look.customer, &known, to, assessed.as_ref(), tell).await?;
    let news = trouble.filter(|trouble| known.trouble.as_ref() != Some(trouble));
    if let (true, Some(news)) = (tell, &news) {
        let key = format!("billing-trouble:{}:{news}", look.customer);
        tell_operators(&mut tx, &key, &format!("Billing of {} needs a look: {news}", known.email)).await?;
    }
    tx.commit().await?;
    let cause = assessed.map_or_else(|| "not understood".to_owned(), |it| it.cause.to_string());
    Ok(Applied { from: known.stage, to, cause, servers, trouble: news })
}

async fn lock(tx: &mut PgConnection, look: &Look) -> Result<Option<Known>, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE billing_enforcement_states s SET version = s.version + 1, synced_at = clock_timestamp()
           FROM customers c
           WHERE s.customer_id = $1 AND s.version = $2 AND c.id = s.customer_id
           RETURNING s.stage, s.entered_at, s.exempt, s.extended_until, s.trouble, c.email,
               instances_beyond(s.customer_id, NULL, false) > 0 AS "needs!",
               ARRAY(SELECT DISTINCT plan FROM instances i WHERE i.customer_id = $1
                     AND i.lifecycle IN ('provisioning', 'active')) AS "plans!",
               (SELECT id FROM subscriptions b WHERE b.customer_id = $1 AND b.of_record) AS of_record"#,
        look.customer.0,
        look.version,
    )
    .fetch_optional(tx)
    .await?;
    row.map(|row| {
        Ok(Known {
            stage: parse_stage(&row.stage)?,
            entered_at: row.entered_at,
            leniency: Leniency { exempt: row.exempt, extended_until: row.extended_until },
            trouble: row.trouble,
            email: row.email,
            needs_subscription: row.needs,
            plans: row.plans,
            of_record: row.of_record,
        })
    })
    .transpose()
}

/// The time that it is for the customer: the database's, or that of a test clock. How far apart they are is kept.
async fn time_of(tx: &mut PgConnection, fetched: &Fetched) -> Result<DateTime<Utc>, StoreError> {
    let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&mut *tx).await?;
    let ahead = fetched.test_time.map_or(TimeDelta::zero(), |time| time - now);
    let ahead_by =
        PgInterval { months: 0, days: 0, microseconds: ahead.num_microseconds().unwrap_or_default() };
    sqlx::query!(
        "UPDATE stripe_customers SET ahead_by = CASE WHEN livemode THEN interval '0' ELSE $2::interval END, test_clock = $3,
                deleted_at = CASE WHEN $4 THEN COALESCE(deleted_at, clock_timestamp()) ELSE deleted_at END
         WHERE stripe_id = $1",
        fetched.stripe_id,
        ahead_by,
        fetched.test_clock,
        fetched.deleted,
    )
    .execute(tx)
    .await?;
    Ok(now + ahead)
}

/// What no rule decides.
fn trouble(fetched: &Fetched, evidence: &Evidence, catalogue: &dyn Catalogue) -> Option<String> {
    if fetched.has_two_subscriptions() {
        let ids: Vec<_> = fetched
            .subscriptions
            .iter()
            .filter(|it| it.rules.status.entitles())
            .map(|it| it.rules.id.as_str())
            .collect();
        return Some(format!(
            "more than one subscription is paid for: {}; cancel one at Stripe",
            ids.join(", ")
        ));
    }
    let subscription = evidence.subscription.as_ref()?;
    if let domain::enforcement::SubscriptionStatus::Unknown(status) = &subscription.status {
        return Some(format!(
            "{} is {status:?} at Stripe, which this version does not know; its stage stays as it is",
            subscription.id
        ));
    }
    let items = fetched.subscriptions.iter().find(|it| it.rules.id == subscription.id).map(|it| &it.items);
    let unknown = items?.iter().find(|item| catalogue.plan_of(&item.price_id).is_none())?;
    Some(format!(
        "{} has the price {}, which no plan has; it entitles to nothing",
        subscription.id, unknown.price_id
    ))
}

/// Each stage on the way is an event. When the last was entered.
async fn record_steps(
    tx: &mut PgConnection,
    customer: CustomerId,
    known: &Known,
    to: Stage,
    assessed: Option<&Assessment>,
    evidence: &Evidence,
) -> Result<bool, StoreError> {
    let mut from = known.stage;
    let evidence = serde_json::to_value(evidence).unwrap_or_default();
    let cause = assessed.map_or("not_understood", |it| it.cause.as_str());
    for next in steps(known.stage, to) {
        sqlx::query!(
            "INSERT INTO billing_enforcement_events (id, customer_id, kind, from_stage, to_stage, cause, evidence, actor)
             VALUES ($1, $2, 'stage', $3, $4, $5, $6, $7)",
            Uuid::now_v7(),
            customer.0,
            from.as_str(),
            next.as_str(),
            cause,
            evidence,
            BY,
        )
        .execute(&mut *tx)
        .await?;
        from = next;
    }
    Ok(from != known.stage)
}

#[expect(clippy::too_many_arguments, reason = "the row's columns, each once")]
async fn write(
    tx: &mut PgConnection,
    customer: CustomerId,
    to: Stage,
    entered: bool,
    assessed: Option<&Assessment>,
    evidence: &Evidence,
    trouble: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let next = assessed.and_then(|it| it.next);
    // Being restored ends by itself.
    let look_again = assessed.and_then(|it| it.look_again_at);
    let look_again = if to == Stage::Restored {
        Some(look_again.map_or(now + RESTORED_LOOK, |at| at.min(now + RESTORED_LOOK)))
    } else {
        look_again
    };
    sqlx::query!(
        "UPDATE billing_enforcement_states SET stage = $2, entered_at = CASE WHEN $3 THEN $4 ELSE entered_at END,
                cause = COALESCE($5, cause), since = CASE WHEN $5::text IS NULL THEN since ELSE $6 END, evidence = $7,
                next_stage = CASE WHEN $5::text IS NULL THEN next_stage ELSE $8 END,
                next_at = CASE WHEN $5::text IS NULL THEN next_at ELSE $9 END,
                look_again_at = $10, trouble = $11, updated_at = clock_timestamp()
         WHERE customer_id = $1",
        customer.0,
        to.as_str(),
        entered,
        now,
        assessed.map(|it| it.cause.as_str()),
        assessed.and_then(|it| it.since),
        serde_json::to_value(evidence).unwrap_or_default(),
        next.map(|(stage, _)| stage.as_str()),
        next.map(|(_, at)| at),
        look_again,
        trouble,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How often somebody who was restored is looked at.
const RESTORED_LOOK: TimeDelta = TimeDelta::hours(1);

/// Stops, or gives back. The role can do either only by a function that checks the stage again.
async fn carry_out(
    tx: &mut PgConnection,
    customer: CustomerId,
    from: Stage,
    to: Stage,
) -> Result<i32, StoreError> {
    let done = match (from, to) {
        (_, Stage::Suspended) => {
            sqlx::query_scalar!(r#"SELECT suspend_for_payment($1, $2) AS "n!""#, customer.0, SUSPENDED_NOTE)
                .fetch_one(tx)
                .await?
        }
        (Stage::Suspended, _) | (_, Stage::Restored) => {
            sqlx::query_scalar!(r#"SELECT restore_after_payment($1) AS "n!""#, customer.0)
                .fetch_one(tx)
                .await?
        }
        _ => 0,
    };
    Ok(done)
}

/// What the customer reads on each server.
const SUSPENDED_NOTE: &str = "A payment is open. Your files and backups are kept and can be downloaded. Pay on the billing page, \
                              and what ran starts again by itself.";

/// Does again what a stage means, wherever it is not so: a server was started by its machine's reboot, a start could not be asked
/// for while an operation was under way. How many servers it was.
pub async fn keep_in_force(db: &Db) -> Result<i64, StoreError> {
    let row = sqlx::query!(
        r#"SELECT COALESCE(sum(CASE WHEN stage = 'suspended' THEN suspend_for_payment(customer_id, $1)
                                    ELSE restore_after_payment(customer_id) END), 0)::bigint AS "n!"
           FROM billing_enforcement_states WHERE stage IN ('suspended', 'restored')"#,
        SUSPENDED_NOTE
    )
    .fetch_one(db.pool())
    .await?;
    Ok(row.n)
}

/// Tells the customer of the stage that was reached, once for each debt, and operators of a suspension.
async fn notify(
    tx: &mut PgConnection,
    customer: CustomerId,
    known: &Known,
    to: Stage,
    assessed: Option<&Assessment>,
    tell: bool,
) -> Result<(), StoreError> {
    if known.stage == to {
        return Ok(());
    }
    let since = assessed.and_then(|it| it.since).unwrap_or(known.entered_at);
    let next = assessed.and_then(|it| it.next);
    let payment =
        OpenPayment { since, next_stage: next.map(|(stage, _)| stage), next_at: next.map(|(_, at)| at) };
    let mail = match to {
        Stage::PaymentFailed => Mail::BillingPaymentFailed(payment),
        Stage::FinalWarning => Mail::BillingFinalWarning(payment),
        Stage::Suspended => Mail::BillingSuspended(payment),
        Stage::Restored => Mail::BillingRestored(payment),
        // Whoever paid before anything was blocked is told by Stripe's receipt.
        Stage::GoodStanding => return Ok(()),
    };
    let key = format!("{}:{customer}:{}", mail.template(), since.timestamp());
    let envelope = Envelope { to: known.email.clone(), to_name: None, mail };
    outbox::enqueue_mail(&mut *tx, &envelope, &key, MAX_AGE).await?;
    if tell && matches!(to, Stage::Suspended | Stage::Restored) {
        let cause = assessed.map_or("not understood", |it| it.cause.as_str());
        let text = format!("Billing: {} is {to} ({cause}, since {})", known.email, since.format("%Y-%m-%d"));
        tell_operators(tx, &key, &text).await?;
    }
    Ok(())
}

pub(super) async fn tell_operators(tx: &mut PgConnection, key: &str, text: &str) -> Result<(), StoreError> {
    let key: String = key.chars().take(255).collect();
    let payload = json!({ "text": text });
    let new = NewNotification {
        channel: crate::controller::CHANNEL,
        dedupe_key: &key,
        payload: &payload,
        max_age: MAX_AGE,
    };
    outbox::enqueue(tx, &new).await.map(drop)
}
