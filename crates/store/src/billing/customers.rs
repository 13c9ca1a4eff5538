//! Which customer at Stripe is which of ours.

use domain::ids::CustomerId;

use crate::{Db, StoreError};

/// A customer who is known at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// Ours.
    pub customer: CustomerId,
    /// Theirs.
    pub stripe_id: String,
    /// Whether it is about real money.
    pub livemode: bool,
}

/// A customer of ours at Stripe, for real money or for trials; `None` if there is none, or it was deleted there.
pub async fn linked(db: &Db, customer: CustomerId, livemode: bool) -> Result<Option<Linked>, StoreError> {
    let row = sqlx::query!(
        "SELECT stripe_id, livemode FROM stripe_customers WHERE customer_id = $1 AND livemode = $2 AND deleted_at IS NULL",
        customer.0,
        livemode,
    )
    .fetch_optional(db.pool())
    .await?;
    Ok(row.map(|row| Linked { customer, stripe_id: row.stripe_id, livemode: row.livemode }))
}

/// Whose a customer at Stripe is, one that was deleted there included.
pub async fn customer_of(db: &Db, stripe_id: &str) -> Result<Option<CustomerId>, StoreError> {
    let id = sqlx::query_scalar!("SELECT customer_id FROM stripe_customers WHERE stripe_id = $1", stripe_id);
    Ok(id.fetch_optional(db.pool()).await?.map(CustomerId))
}

/// Notes who a customer at Stripe is. `false` if our customer is gone, or has another one there that lives.
pub async fn link(db: &Db, linked: &Linked) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO stripe_customers (stripe_id, customer_id, livemode)
         SELECT $1, c.id, $3 FROM customers c WHERE c.id = $2
         ON CONFLICT DO NOTHING",
        linked.stripe_id,
        linked.customer.0,
        linked.livemode,
    )
    .execute(db.pool())
    .await?;
    if done.rows_affected() == 1 {
        return Ok(true);
    }
    Ok(self::linked(db, linked.customer, linked.livemode).await?.as_ref() == Some(linked))
}

/// Customers on a test clock of Stripe's.
pub async fn on_clock(db: &Db, test_clock: &str) -> Result<Vec<CustomerId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT customer_id FROM stripe_customers WHERE test_clock = $1 AND deleted_at IS NULL",
        test_clock
    );
    Ok(ids.fetch_all(db.pool()).await?.into_iter().map(CustomerId).collect())
}

/// How many customers at Stripe were deleted there that were this one of ours.
pub async fn former_links(db: &Db, customer: CustomerId) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM stripe_customers WHERE customer_id = $1 AND deleted_at IS NOT NULL"#,
        customer.0
    );
    Ok(count.fetch_one(db.pool()).await?)
}
