//! The state of enforcement, its history, and what operators say about it.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    enforcement::{Cause, Stage},
    ids::CustomerId,
};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Db, Page, StoreError,
    audit::{self, By, Entry},
};

/// How far enforcement has come with a customer.
#[derive(Clone, Debug)]
pub struct State {
    /// The stage.
    pub stage: Stage,
    /// Since when it is this one.
    pub entered_at: DateTime<Utc>,
    /// Why.
    pub cause: Cause,
    /// Since when something is past due.
    pub since: Option<DateTime<Utc>>,
    /// What comes next if nothing changes, and when.
    pub next: Option<(Stage, DateTime<Utc>)>,
    /// What the rules looked at.
    pub evidence: serde_json::Value,
    /// What a person has to look at.
    pub trouble: Option<String>,
    /// Nothing is enforced.
    pub exempt: bool,
    /// Until then nothing is blocked.
    pub extended_until: Option<DateTime<Utc>>,
    /// A dispute is open.
    pub disputed: bool,
    /// When Stripe was asked last.
    pub synced_at: Option<DateTime<Utc>>,
    /// How far the customer's time is ahead of ours: they are on a test clock.
    pub ahead: TimeDelta,
    /// Increases with every change.
    pub version: i64,
}

pub(super) fn stage(text: &str) -> Result<Stage, StoreError> {
    text.parse().map_err(|error| StoreError::corrupt("billing_enforcement_states", error))
}

/// A customer's state; `None` while nothing was ever to be looked at.
pub async fn state(db: &Db, customer: CustomerId) -> Result<Option<State>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT s.stage, s.entered_at, s.cause, s.since, s.next_stage, s.next_at, s.evidence, s.trouble, s.exempt, s.extended_until,
                  s.disputed, s.synced_at, s.version,
                  COALESCE((SELECT (EXTRACT(EPOCH FROM max(c.ahead_by)) * 1000)::bigint FROM stripe_customers c
                            WHERE c.customer_id = s.customer_id AND c.deleted_at IS NULL), 0) AS "ahead!"
           FROM billing_enforcement_states s WHERE s.customer_id = $1"#,
        customer.0
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(|row| {
        Ok(State {
            stage: stage(&row.stage)?,
            entered_at: row.entered_at,
            cause: row
                .cause
                .parse()
                .map_err(|error| StoreError::corrupt("billing_enforcement_states", error))?,
            since: row.since,
            next: row.next_stage.as_deref().map(stage).transpose()?.zip(row.next_at),
            evidence: row.evidence,
            trouble: row.trouble,
            exempt: row.exempt,
            extended_until: row.extended_until,
            disputed: row.disputed,
            synced_at: row.synced_at,
            ahead: TimeDelta::try_milliseconds(row.ahead).unwrap_or_default(),
            version: row.version,
        })
    })
    .transpose()
}

/// How far enforcement has come with a customer, at this moment.
pub async fn stage_of(db: &Db, customer: CustomerId) -> Result<Stage, StoreError> {
    let stored = sqlx::query_scalar!(
        "SELECT stage FROM billing_enforcement_states WHERE customer_id = $1",
        customer.0
    )
    .fetch_optional(db.pool())
    .await?;
    crate::accounts::stage(stored.as_deref())
}

/// How many customers are in each stage that is not good standing.
pub async fn stages(db: &Db) -> Result<Vec<(String, i64)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT stage, count(*) AS "n!" FROM billing_enforcement_states WHERE stage <> 'good_standing' GROUP BY stage"#
    )
    .fetch_all(db.pool())
    .await?;
    Ok(rows.into_iter().map(|row| (row.stage, row.n)).collect())
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// What: `stage`, `extended`, `exempted`, `rejected` and others.
    pub kind: String,
    /// The stage before.
    pub from: Option<String>,
    /// The stage after.
    pub to: Option<String>,
    /// Why.
    pub cause: String,
    /// What it followed from.
    pub evidence: serde_json::Value,
    /// Who did it.
    pub actor: String,
}

/// What happened to a customer, newest first.
pub async fn history(db: &Db, customer: CustomerId, limit: i64) -> Result<Vec<HistoryEntry>, StoreError> {
    let rows = sqlx::query_as!(
        HistoryEntry,
        r#"SELECT id, at, kind, from_stage AS "from", to_stage AS "to", cause, evidence, actor
           FROM billing_enforcement_events WHERE customer_id = $1 ORDER BY at DESC, id DESC LIMIT $2"#,
        customer.0,
        limit,
    );
    Ok(rows.fetch_all(db.pool()).await?)
}

pub(super) async fn record(
    tx: &mut PgConnection,
    customer: CustomerId,
    kind: &str,
    cause: &str,
    evidence: &serde_json::Value,
    actor: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO billing_enforcement_events (id, customer_id, kind, cause, evidence, actor) VALUES ($1, $2, $3, $4, $5, $6)",
        Uuid::now_v7(),
        customer.0,
        kind,
        cause,
        evidence,
        actor,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A customer whose stage is not good standing, or who needs a person, for operators.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Who.
    pub customer: CustomerId,
    /// Their address.
    pub email: String,
    /// The stage.
    pub stage: String,
    /// Why.
    pub cause: String,
    /// Since when something is past due.
    pub since: Option<DateTime<Utc>>,
    /// What comes next, if nothing changes.
    pub next_stage: Option<String>,
    /// And when.
    pub next_at: Option<DateTime<Utc>>,
    /// What a person has to look at.
    pub trouble: Option<String>,
    /// Nothing is enforced.
    pub exempt: bool,
    /// Until then nothing is blocked.
    pub extended_until: Option<DateTime<Utc>>,
    /// A dispute is open.
    pub disputed: bool,
}

/// Customers of whom there is something to see, newest first.
pub async fn list(db: &Db, page: Page) -> Result<(Vec<Listed>, Option<Uuid>), StoreError> {
    let rows = sqlx::query_as!(
        Listed,
        r#"SELECT s.customer_id AS customer, c.email, s.stage, s.cause, s.since, s.next_stage, s.next_at, s.trouble,
                  s.exempt, s.extended_until, s.disputed
           FROM billing_enforcement_states s JOIN customers c ON c.id = s.customer_id
           WHERE s.customer_id < $1 AND (s.stage <> 'good_standing' OR s.trouble IS NOT NULL OR s.exempt OR s.disputed
                                         OR s.extended_until > clock_timestamp())
           ORDER BY s.customer_id DESC LIMIT $2"#,
        page.before(),
        page.fetch(),
    )
    .fetch_all(db.pool())
    .await?;
    Ok(page.cut(rows, |row: &Listed| row.customer.0))
}

/// What an operator says, and why.
#[derive(Clone, Copy, Debug)]
pub struct OperatorWord<'a> {
    /// Of whom.
    pub customer: CustomerId,
    /// For the history and the audit log.
    pub reason: &'a str,
    /// Who says it.
    pub by: By<'a>,
}

/// Gives a customer time until then, or takes it back. `false` if there is no such customer. The stage follows at the next look.
pub async fn extend(
    db: &Db,
    word: OperatorWord<'_>,
    until: Option<DateTime<Utc>>,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "INSERT INTO billing_enforcement_states AS s (customer_id, extended_until) SELECT id, $2 FROM customers WHERE id = $1
         ON CONFLICT (customer_id) DO UPDATE SET extended_until = $2, version = s.version + 1, updated_at = clock_timestamp()",
        word.customer.0,
        until,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    say(&mut tx, word, "extended", json!({ "until": until, "reason": word.reason })).await?;
    tx.commit().await?;
    Ok(true)
}

/// Exempts a customer from enforcement, or ends that. `false` if there is no such customer.
pub async fn exempt(db: &Db, word: OperatorWord<'_>, exempt: bool) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "INSERT INTO billing_enforcement_states AS s (customer_id, exempt) SELECT id, $2 FROM customers WHERE id = $1
         ON CONFLICT (customer_id) DO UPDATE SET exempt = $2, version = s.version + 1, updated_at = clock_timestamp()",
        word.customer.0,
        exempt,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let kind = if exempt { "exempted" } else { "exemption_ended" };
    say(&mut tx, word, kind, json!({ "reason": word.reason })).await?;
    tx.commit().await?;
    Ok(true)
}

async fn say(
    tx: &mut PgConnection,
    word: OperatorWord<'_>,
    kind: &str,
    detail: serde_json::Value,
) -> Result<(), StoreError> {
    record(&mut *tx, word.customer, kind, word.reason, &detail, word.by.actor).await?;
    audit::record(tx, Entry::new(word.by, &format!("billing.{kind}"), word.customer, detail)).await
}

/// Notes that a dispute is open or over. It does nothing by itself; operators are told once.
pub async fn dispute(
    db: &Db,
    customer: CustomerId,
    open: bool,
    detail: &serde_json::Value,
    tell: bool,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "INSERT INTO billing_enforcement_states AS s (customer_id, disputed) SELECT id, $2 FROM customers WHERE id = $1
         ON CONFLICT (customer_id) DO UPDATE SET disputed = $2, version = s.version + 1, updated_at = clock_timestamp()
         WHERE s.disputed <> $2",
        customer.0,
        open,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let kind = if open { "disputed" } else { "dispute_ended" };
    record(&mut tx, customer, kind, kind, detail, super::BY).await?;
    if tell {
        let key = format!("{kind}:{}", detail["dispute"].as_str().unwrap_or_default());
        let text = format!(
            "Billing: a dispute of customer {customer} is {}",
            if open { "open: answer it at Stripe" } else { "over" }
        );
        super::apply::tell_operators(&mut tx, &key, &text).await?;
    }
    tx.commit().await?;
    Ok(true)
}
