//! Purchases under way, and the room that is kept for them.

use chrono::{DateTime, Utc};
use domain::{
    billing::{Amendment, CheckoutKind, CheckoutState, PlanQuantity},
    ids::{CheckoutId, CustomerId},
    instance::Resources,
};
use serde_json::json;
use sqlx::{PgConnection, error::DatabaseError, types::Json};

use super::plan_changes;
use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
};

/// A purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// Its id.
    pub id: CheckoutId,
    /// Whose.
    pub customer: CustomerId,
    /// The session's id at Stripe, once there is one.
    pub stripe_id: Option<String>,
    /// Where it is paid.
    pub url: Option<String>,
    /// What is bought.
    pub items: Vec<PlanQuantity>,
    /// What the subscription becomes by it; `None` where one begins.
    pub amendment: Option<Amendment>,
    /// ISO 4217, lower case.
    pub currency: String,
    /// How far it has come.
    pub state: CheckoutState,
    /// Until when it can be paid.
    pub expires_at: DateTime<Utc>,
}

/// Room for servers of a plan.
#[derive(Clone, Debug)]
pub struct Room {
    /// Plan id.
    pub plan: String,
    /// How many servers.
    pub quantity: i32,
    /// Of each.
    pub resources: Resources,
}

/// A purchase to be begun.
#[derive(Clone, Debug)]
pub struct NewCheckout<'a> {
    /// Whose.
    pub customer: CustomerId,
    /// What is bought, sorted by plan.
    pub items: &'a [PlanQuantity],
    /// The room that is kept for it.
    pub room: &'a [Room],
    /// What the subscription that there is becomes by it; `None` to begin one.
    pub amendment: Option<&'a Amendment>,
    /// ISO 4217, lower case.
    pub currency: &'a str,
    /// Until when it can be paid.
    pub expires_at: DateTime<Utc>,
    /// By whom.
    pub by: By<'a>,
}

/// Why none was begun.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// One is under way.
    #[error("a purchase is under way")]
    UnderWay(Box<Checkout>),
    /// The customer has a subscription, which is changed instead.
    #[error("there is a subscription")]
    Subscribed,
    /// There is no subscription to change.
    #[error("there is no subscription")]
    NotSubscribed,
    /// The subscription is about to follow a change of plan, and what it is to become would be another thing afterwards.
    #[error("a change of plan is under way")]
    PlanChanging,
    /// No node has room.
    #[error("no node has room")]
    NoCapacity,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        if error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "ZL001") {
            return Self::NoCapacity;
        }
        Self::Store(error.into())
    }
}

struct Row {
    id: CheckoutId,
    customer_id: CustomerId,
    stripe_id: Option<String>,
    url: Option<String>,
    items: Json<Vec<PlanQuantity>>,
    amendment: Option<Json<Amendment>>,
    currency: String,
    state: String,
    expires_at: DateTime<Utc>,
}

impl TryFrom<Row> for Checkout {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            customer: row.customer_id,
            stripe_id: row.stripe_id,
            url: row.url,
            items: row.items.0,
            amendment: row.amendment.map(|it| it.0),
            currency: row.currency,
            state: row.state.parse().map_err(|error| StoreError::corrupt("checkouts", error))?,
            expires_at: row.expires_at,
        })
    }
}

/// Begins a purchase and keeps room for it, or says why not and leaves nothing.
pub async fn open(db: &Db, new: &NewCheckout<'_>) -> Result<Checkout, OpenError> {
    let mut tx = db.pool().begin().await?;
    let checkout = open_in(&mut tx, new).await?;
    tx.commit().await?;
    Ok(checkout)
}

/// [`open`], within a transaction.
pub(super) async fn open_in(tx: &mut PgConnection, new: &NewCheckout<'_>) -> Result<Checkout, OpenError> {
    let id = CheckoutId::generate();
    // The account's row, so that two requests begin one purchase.
    sqlx::query!("SELECT id FROM customers WHERE id = $1 FOR NO KEY UPDATE", new.customer.0)
        .fetch_optional(&mut *tx)
        .await?;
    let subscribed = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM subscriptions WHERE customer_id = $1 AND of_record AND entitles) AS "there!""#,
        new.customer.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if subscribed != new.amendment.is_some() {
        return Err(if subscribed { OpenError::Subscribed } else { OpenError::NotSubscribed });
    }
    if let Some(earlier) = unended_in(tx, new.customer).await? {
        return Err(OpenError::UnderWay(Box::new(earlier)));
    }
    if new.amendment.is_some() && plan_changes::touches_subscription(tx, new.customer).await? {
        return Err(OpenError::PlanChanging);
    }
    sqlx::query!(
        "INSERT INTO checkouts (id, customer_id, items, currency, state, expires_at, kind, amendment)
         VALUES ($1, $2, $3, $4, 'open', $5, $6, $7)",
        id.0,
        new.customer.0,
        Json(new.items) as _,
        new.currency,
        new.expires_at,
        if new.amendment.is_some() { CheckoutKind::Amend } else { CheckoutKind::Subscribe }.as_str(),
        new.amendment.map(Json) as _,
    )
    .execute(&mut *tx)
    .await?;
    let servers: Vec<_> = new.room.iter().flat_map(|room| {
        let one = json!({
            "plan": room.plan, "memory_mib": room.resources.memory_mib, "cpu_percent": room.resources.cpu_percent,
            "disk_mib": room.resources.disk_mib,
        });
        std::iter::repeat_n(one, usize::try_from(room.quantity).unwrap_or_default())
    }).collect();
    sqlx::query!(
        "SELECT reserve_capacity($1, $2, $3, $4)",
        new.customer.0,
        id.0,
        serde_json::Value::Array(servers),
        new.expires_at,
    )
    .fetch_one(&mut *tx)
    .await?;
    let detail = json!({ "checkout": id, "items": new.items, "currency": new.currency });
    audit::record(tx, Entry::new(new.by, "billing.checkout_begun", new.customer, detail)).await?;
    Ok(Checkout {
        id,
        customer: new.customer,
        stripe_id: None,
        url: None,
        items: new.items.to_vec(),
        amendment: new.amendment.cloned(),
        currency: new.currency.to_owned(),
        state: CheckoutState::Open,
        expires_at: new.expires_at,
    })
}

/// The purchase of a customer that has not ended.
pub async fn unended(db: &Db, customer: CustomerId) -> Result<Option<Checkout>, StoreError> {
    unended_in(&mut *db.pool().acquire().await?, customer).await
}

async fn unended_in(
    connection: &mut PgConnection,
    customer: CustomerId,
) -> Result<Option<Checkout>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, customer_id, stripe_id, url, items AS "items: Json<Vec<PlanQuantity>>",
                  amendment AS "amendment: Json<Amendment>", currency, state, expires_at
           FROM checkouts WHERE customer_id = $1 AND ended_at IS NULL"#,
        customer.0
    )
    .fetch_optional(connection)
    .await?;
    row.map(Checkout::try_from).transpose()
}

/// The purchase with this session at Stripe.
pub async fn find_by_stripe_id(db: &Db, stripe_id: &str) -> Result<Option<Checkout>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, customer_id, stripe_id, url, items AS "items: Json<Vec<PlanQuantity>>",
                  amendment AS "amendment: Json<Amendment>", currency, state, expires_at
           FROM checkouts WHERE stripe_id = $1"#,
        stripe_id
    )
    .fetch_optional(db.pool())
    .await?;
    row.map(Checkout::try_from).transpose()
}

/// Notes the session at Stripe. Noted already, it stays.
pub async fn name(db: &Db, id: CheckoutId, stripe_id: &str, url: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE checkouts SET stripe_id = $2, url = $3 WHERE id = $1 AND stripe_id IS NULL",
        id.0,
        stripe_id,
        url
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Where a change of a subscription is confirmed, and until when that can be done.
pub async fn await_confirmation(
    db: &Db,
    id: CheckoutId,
    url: &str,
    until: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE checkouts SET url = $2, expires_at = COALESCE($3, expires_at) WHERE id = $1 AND ended_at IS NULL",
        id.0,
        url,
        until
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// Whether whoever began a purchase has had all the time that asking Stripe can take.
pub async fn is_abandoned(db: &Db, id: CheckoutId) -> Result<bool, StoreError> {
    let abandoned = sqlx::query_scalar!(
        r#"SELECT url IS NOT NULL OR created_at < clock_timestamp() - interval '3 minutes' AS "abandoned!"
           FROM checkouts WHERE id = $1"#,
        id.0
    );
    Ok(abandoned.fetch_optional(db.pool()).await?.unwrap_or(true))
}

/// Moves a purchase on. One that is paid keeps its room for a day, one that came to nothing gives it back. `false` if it was so
/// already.
pub async fn end(db: &Db, id: CheckoutId, state: CheckoutState) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = !matches!(state, CheckoutState::Open | CheckoutState::Pending);
    let done = sqlx::query!(
        "UPDATE checkouts SET state = $2, ended_at = CASE WHEN $3 THEN clock_timestamp() END
         WHERE id = $1 AND ended_at IS NULL AND state <> $2",
        id.0,
        state.as_str(),
        ended,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    match state {
        CheckoutState::Expired | CheckoutState::Failed => {
            sqlx::query!("SELECT release_reservations($1)", id.0).fetch_one(&mut *tx).await?;
        }
        CheckoutState::Open | CheckoutState::Pending | CheckoutState::Completed => {
            // Long enough for a bank, and for a customer to make what was bought.
            let days = if state == CheckoutState::Pending { 14_i32 } else { 1 };
            sqlx::query!(
                "UPDATE capacity_reservations SET expires_at = clock_timestamp() + make_interval(days => $2)
                 WHERE checkout_id = $1 AND released_at IS NULL",
                id.0,
                days,
            )
            .execute(&mut *tx)
            .await?;
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// Gives back room that was kept for longer than it was to be. How many servers' it was.
pub async fn forget_abandoned(db: &Db) -> Result<i32, StoreError> {
    let released = sqlx::query_scalar!(r#"SELECT release_reservations(NULL) AS "n!""#);
    Ok(released.fetch_one(db.pool()).await?)
}
