//! Changes of servers' plans. What makes a server bigger is paid first and done then; what makes it smaller is done first, and then
//! paid less for. The node keeps room for the bigger of both until the change has ended.

use chrono::{DateTime, Utc};
use domain::{
    billing::{Amendment, CheckoutState, PlanChangeNext, PlanChangeState, PlanQuantity},
    ids::{CheckoutId, CustomerId, InstanceId, OperationId, PlanChangeId},
    instance::{Lifecycle, Resources},
    operation::Failure,
    text::foreign,
};
use serde_json::json;
use sqlx::{PgConnection, error::DatabaseError, types::Json};

use super::checkouts::{self, Checkout, NewCheckout, OpenError};
use crate::{
    Db, StoreError,
    audit::{self, By, Entry},
    events::Event,
    operations::{Lease, finish},
    queue::Dispatch,
};

/// A plan, and what a server of it may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Plan id.
    pub plan: String,
    /// Limits.
    pub resources: Resources,
}

/// A change of a server's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanChange {
    /// Its id.
    pub id: PlanChangeId,
    /// Whose.
    pub customer: CustomerId,
    /// Of which server.
    pub instance: InstanceId,
    /// How far it has come.
    pub state: PlanChangeState,
    /// What the server had.
    pub from: Size,
    /// What it is to have.
    pub to: Size,
    /// What the subscription becomes for it, if anything.
    pub amendment: Option<Amendment>,
    /// What changes the server.
    pub operation: Option<OperationId>,
    /// Why it came to nothing.
    pub failure: Option<Failure>,
    /// Where its payment is confirmed, while it waits for that.
    pub pay_url: Option<String>,
    /// How far its payment has come, if it is paid first.
    pub payment: Option<CheckoutState>,
    /// Attempts to bring the subscription to what it is to be.
    pub attempts: i32,
    /// Whether there still is a server to change.
    pub active: bool,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

impl PlanChange {
    /// What it waits for.
    pub fn next(&self) -> PlanChangeNext {
        self.state.next(self.payment, self.active)
    }
}

struct Row {
    id: PlanChangeId,
    customer_id: CustomerId,
    instance_id: InstanceId,
    state: String,
    from_plan: String,
    from_memory_mib: i32,
    from_cpu_percent: i32,
    from_disk_mib: i32,
    to_plan: String,
    to_memory_mib: i32,
    to_cpu_percent: i32,
    to_disk_mib: i32,
    amendment: Option<Json<Amendment>>,
    operation_id: Option<uuid::Uuid>,
    failure_code: Option<String>,
    failure_message: Option<String>,
    pay_url: Option<String>,
    payment: Option<String>,
    attempts: i32,
    lifecycle: String,
    created_at: DateTime<Utc>,
}

fn size(plan: String, memory: i32, cpu: i32, disk: i32) -> Size {
    let whole = |it: i32| u32::try_from(it).unwrap_or_default();
    let resources = Resources { memory_mib: whole(memory), cpu_percent: whole(cpu), disk_mib: whole(disk) };
    Size { plan, resources }
}

impl TryFrom<Row> for PlanChange {
    type Error = StoreError;

    fn try_from(it: Row) -> Result<Self, StoreError> {
        let corrupt = |e: domain::instance::UnknownValue| StoreError::corrupt("plan_changes", e);
        let lifecycle: Lifecycle = it.lifecycle.parse().map_err(corrupt)?;
        Ok(Self {
            id: it.id,
            customer: it.customer_id,
            instance: it.instance_id,
            state: it.state.parse().map_err(corrupt)?,
            from: size(it.from_plan, it.from_memory_mib, it.from_cpu_percent, it.from_disk_mib),
            to: size(it.to_plan, it.to_memory_mib, it.to_cpu_percent, it.to_disk_mib),
            amendment: it.amendment.map(|it| it.0),
            operation: it.operation_id.map(OperationId),
            failure: it.failure_code.zip(it.failure_message).map(|(code, message)| Failure { code, message }),
            pay_url: it.pay_url,
            payment: it.payment.map(|state| state.parse()).transpose().map_err(corrupt)?,
            attempts: it.attempts,
            active: lifecycle == Lifecycle::Active,
            created_at: it.created_at,
        })
    }
}

/// A change to be begun.
#[derive(Clone, Debug)]
pub struct NewPlanChange<'a> {
    /// Whose.
    pub customer: CustomerId,
    /// Of which server.
    pub instance: InstanceId,
    /// What it is to have.
    pub to: Size,
    /// What the subscription becomes for it, if anything.
    pub amendment: Option<&'a Amendment>,
    /// In which currency and until when it is to be paid; `None` if nothing is paid, or later.
    pub paid_first: Option<(&'a str, DateTime<Utc>)>,
    /// By whom.
    pub by: By<'a>,
}

/// Why none was begun.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such server.
    #[error("there is no such server")]
    Absent,
    /// It is being made or unmade.
    #[error("the server is {0}")]
    NotActive(Lifecycle),
    /// One is under way.
    #[error("a change of plan is under way")]
    UnderWay(Box<PlanChange>),
    /// Its payment cannot be begun.
    #[error(transparent)]
    Payment(#[from] OpenError),
    /// The server's node has no room for it.
    #[error("the server's node has no room for the plan")]
    NoCapacity,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        if error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "ZL001") {
            return Self::NoCapacity;
        }
        Self::Store(error.into())
    }
}

/// Whether a server of a customer's needs more than is had, if it gets that plan.
pub async fn must_be_bought(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
    plan: &str,
) -> Result<bool, StoreError> {
    let beyond = sqlx::query_scalar!(
        r#"SELECT instances_beyond($1, $2, true, $3) AS "n!""#,
        customer.0,
        plan,
        instance.0
    );
    Ok(beyond.fetch_one(db.pool()).await? > 0)
}

/// Begins a change with its payment, if it is paid first, and takes the room that it needs; or says why not and leaves nothing.
pub async fn begin(
    db: &Db,
    new: &NewPlanChange<'_>,
) -> Result<(PlanChangeId, Option<Checkout>), ChangeError> {
    let id = PlanChangeId::generate();
    let mut tx = db.pool().begin().await?;
    let lifecycle = sqlx::query_scalar!(
        "SELECT lifecycle FROM instances WHERE id = $1 AND customer_id = $2 AND lifecycle <> 'deleted' FOR NO KEY UPDATE",
        new.instance.0,
        new.customer.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(ChangeError::Absent)?;
    let lifecycle: Lifecycle = lifecycle.parse().map_err(|e| StoreError::corrupt("instances", e))?;
    if lifecycle != Lifecycle::Active {
        return Err(ChangeError::NotActive(lifecycle));
    }
    if let Some(earlier) = unended_in(&mut tx, new.instance).await? {
        return Err(ChangeError::UnderWay(Box::new(earlier)));
    }
    if new.amendment.is_some()
        && new.paid_first.is_none()
        && touches_subscription(&mut tx, new.customer).await?
    {
        return Err(OpenError::PlanChanging.into());
    }
    let bought = [PlanQuantity { plan: new.to.plan.clone(), quantity: 1 }];
    let checkout = match new.paid_first {
        None => None,
        Some((currency, expires_at)) => {
            let purchase = NewCheckout {
                customer: new.customer,
                items: &bought,
                // The server has room of its own, and the change takes what is missing.
                room: &[],
                amendment: new.amendment,
                currency,
                expires_at,
                by: new.by,
            };
            Some(checkouts::open_in(&mut tx, &purchase).await?)
        }
    };
    insert(&mut tx, id, new, checkout.as_ref().map(|it| it.id)).await?;
    sqlx::query!("SELECT plan_change_room($1, 1)", id.0).fetch_one(&mut *tx).await?;
    let detail =
        json!({ "plan_change": id, "to": new.to.plan, "checkout": checkout.as_ref().map(|it| it.id) });
    let entry = Entry::new(new.by, "instance.plan_change", new.customer, detail);
    audit::record(&mut tx, entry.on(new.instance)).await?;
    tx.commit().await?;
    Ok((id, checkout))
}

async fn insert(
    tx: &mut PgConnection,
    id: PlanChangeId,
    new: &NewPlanChange<'_>,
    checkout: Option<CheckoutId>,
) -> Result<(), StoreError> {
    let signed = |it: u32| i32::try_from(it).unwrap_or(i32::MAX);
    let to = new.to.resources;
    let state = if checkout.is_some() { PlanChangeState::Paying } else { PlanChangeState::Ready };
    sqlx::query!(
        "INSERT INTO plan_changes (id, customer_id, instance_id, state, from_plan, from_memory_mib, from_cpu_percent,
             from_disk_mib, to_plan, to_memory_mib, to_cpu_percent, to_disk_mib, amendment, checkout_id, actor)
         SELECT $1, i.customer_id, i.id, $3, i.plan, i.memory_mib, i.cpu_percent, i.disk_mib, $4, $5, $6, $7, $8, $9, $10
         FROM instances i WHERE i.id = $2",
        id.0,
        new.instance.0,
        state.as_str(),
        new.to.plan,
        signed(to.memory_mib),
        signed(to.cpu_percent),
        signed(to.disk_mib),
        new.amendment.map(Json) as _,
        checkout.map(|it| it.0),
        new.by.actor,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// All columns of a change, with what is known of its payment and its server. `$condition` begins with `WHERE`.
macro_rules! select {
    ($condition:literal, $($argument:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"SELECT c.id, c.customer_id, c.instance_id, c.state, c.from_plan, c.from_memory_mib, c.from_cpu_percent,
                      c.from_disk_mib, c.to_plan, c.to_memory_mib, c.to_cpu_percent, c.to_disk_mib,
                      c.amendment AS "amendment: Json<Amendment>", c.operation_id, c.failure_code, c.failure_message,
                      CASE WHEN k.ended_at IS NULL THEN k.url END AS pay_url, k.state AS "payment?", c.attempts,
                      i.lifecycle, c.created_at
               FROM plan_changes c JOIN instances i ON i.id = c.instance_id LEFT JOIN checkouts k ON k.id = c.checkout_id "#
                + $condition,
            $($argument),*
        )
    };
}

/// Whether a change of a customer's is under way that their subscription is to follow.
pub(super) async fn touches_subscription(
    connection: &mut PgConnection,
    customer: CustomerId,
) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM plan_changes WHERE customer_id = $1 AND ended_at IS NULL AND amendment IS NOT NULL)
               AS "there!""#,
        customer.0
    );
    Ok(there.fetch_one(connection).await?)
}

async fn unended_in(
    connection: &mut PgConnection,
    instance: InstanceId,
) -> Result<Option<PlanChange>, StoreError> {
    let row = select!("WHERE c.instance_id = $1 AND c.ended_at IS NULL", instance.0);
    row.fetch_optional(connection).await?.map(PlanChange::try_from).transpose()
}

/// The newest change of a server's plan.
pub async fn newest(
    db: &Db,
    customer: CustomerId,
    instance: InstanceId,
) -> Result<Option<PlanChange>, StoreError> {
    let row = select!(
        "WHERE c.customer_id = $1 AND c.instance_id = $2 ORDER BY c.created_at DESC, c.id DESC LIMIT 1",
        customer.0,
        instance.0
    );
    row.fetch_optional(db.pool()).await?.map(PlanChange::try_from).transpose()
}

/// A change.
pub async fn get(db: &Db, id: PlanChangeId) -> Result<Option<PlanChange>, StoreError> {
    let row = select!("WHERE c.id = $1", id.0);
    row.fetch_optional(db.pool()).await?.map(PlanChange::try_from).transpose()
}

/// What a server has and what it is to have, by the operation that changes it. A worker sees nothing of its payment.
pub async fn sizes(db: &Db, operation: OperationId) -> Result<Option<(Size, Size)>, StoreError> {
    let row = sqlx::query!(
        "SELECT from_plan, from_memory_mib, from_cpu_percent, from_disk_mib, to_plan, to_memory_mib, to_cpu_percent, to_disk_mib
         FROM plan_changes WHERE operation_id = $1",
        operation.0
    );
    Ok(row.fetch_optional(db.pool()).await?.map(|it| {
        (
            size(it.from_plan, it.from_memory_mib, it.from_cpu_percent, it.from_disk_mib),
            size(it.to_plan, it.to_memory_mib, it.to_cpu_percent, it.to_disk_mib),
        )
    }))
}

/// Up to `limit` changes that do not wait for anybody else.
pub async fn due(db: &Db, limit: i64) -> Result<Vec<PlanChange>, StoreError> {
    let rows = select!(
        "WHERE c.state IN ('paying', 'ready', 'settling', 'reverting') AND c.run_after <= clock_timestamp()
           AND (c.state <> 'paying' OR k.ended_at IS NOT NULL)
         ORDER BY c.run_after LIMIT $1",
        limit
    );
    rows.fetch_all(db.pool()).await?.into_iter().map(PlanChange::try_from).collect()
}

/// Begins the operation that changes the server. `None` if something else is done with the server now, which comes first, or if
/// somebody was faster.
pub async fn start(
    db: &Db,
    change: &PlanChange,
    now: DateTime<Utc>,
) -> Result<Option<Dispatch<OperationId>>, StoreError> {
    let operation = OperationId::generate();
    let mut tx = db.pool().begin().await?;
    let inserted = sqlx::query!(
        "INSERT INTO operations (id, instance_id, customer_id, kind, created_at)
         SELECT $1, i.id, i.customer_id, 'change_plan', $3 FROM instances i
         WHERE i.id = $2 AND i.lifecycle = 'active'
         ON CONFLICT DO NOTHING",
        operation.0,
        change.instance.0,
        now,
    )
    .execute(&mut *tx)
    .await?;
    let state = change.state.as_str();
    if inserted.rows_affected() == 0 {
        tx.rollback().await?;
        sqlx::query!(
            "UPDATE plan_changes SET run_after = clock_timestamp() + interval '2 s' WHERE id = $1 AND state = $2",
            change.id.0,
            state
        )
        .execute(db.pool())
        .await?;
        return Ok(None);
    }
    let taken = sqlx::query!(
        "UPDATE plan_changes SET state = 'applying', operation_id = $3 WHERE id = $1 AND state = $2",
        change.id.0,
        state,
        operation.0,
    )
    .execute(&mut *tx)
    .await?;
    if taken.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(None);
    }
    tx.commit().await?;
    let event = Event::of_operation(change.customer, change.instance, operation);
    Ok(Some(Dispatch::new(operation, Some(event))))
}

/// It comes to nothing before anything was done with the server. What was paid is to be given back, if `paid`. `false` if somebody
/// was faster.
pub async fn give_up(
    db: &Db,
    change: &PlanChange,
    failure: &Failure,
    paid: bool,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let done = sqlx::query!(
        "UPDATE plan_changes SET state = CASE WHEN $3 THEN 'reverting' ELSE 'failed' END, failure_code = $4, failure_message = $5,
             ended_at = CASE WHEN $3 THEN NULL ELSE clock_timestamp() END, run_after = clock_timestamp()
         WHERE id = $1 AND state = $2 AND state IN ('paying', 'ready')",
        change.id.0,
        change.state.as_str(),
        paid,
        foreign(&failure.code),
        foreign(&failure.message),
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!("SELECT plan_change_room($1, -1)", change.id.0).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// The subscription is what it is to be: the change has ended.
pub async fn settled(db: &Db, id: PlanChangeId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plan_changes SET state = CASE state WHEN 'settling' THEN 'done' ELSE 'failed' END, ended_at = clock_timestamp()
         WHERE id = $1 AND state IN ('settling', 'reverting')",
        id.0
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// The subscription could not be changed; somebody tries again after so many seconds.
pub async fn retry_later(db: &Db, id: PlanChangeId, seconds: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE plan_changes SET attempts = attempts + 1, run_after = clock_timestamp() + make_interval(secs => $2)
         WHERE id = $1",
        id.0,
        f64::from(seconds),
    )
    .execute(db.pool())
    .await?;
    Ok(())
}

/// The server has its new limits: instance, capacity, change and operation together.
pub async fn changed(db: &Db, lease: &Lease, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "succeeded", None).await?;
    // The node kept room for the bigger of both; from here on for what the server has.
    let done = sqlx::query!(
        "WITH change AS (
             UPDATE plan_changes SET
                 state = CASE WHEN amendment IS NOT NULL AND checkout_id IS NULL THEN 'settling' ELSE 'done' END,
                 ended_at = CASE WHEN amendment IS NOT NULL AND checkout_id IS NULL THEN NULL ELSE clock_timestamp() END,
                 run_after = clock_timestamp()
             WHERE operation_id = $1 AND state = 'applying'
             RETURNING *
         ), room AS (
             UPDATE nodes n SET
                 used_memory_mib = n.used_memory_mib + least(c.to_memory_mib - c.from_memory_mib, 0),
                 used_cpu_percent = n.used_cpu_percent + least(c.to_cpu_percent - c.from_cpu_percent, 0),
                 used_disk_mib = n.used_disk_mib + least(c.to_disk_mib - c.from_disk_mib, 0)
             FROM change c JOIN instances i ON i.id = c.instance_id WHERE n.id = i.node_id
         )
         UPDATE instances i SET plan = c.to_plan, memory_mib = c.to_memory_mib, cpu_percent = c.to_cpu_percent,
             disk_mib = c.to_disk_mib, updated_at = clock_timestamp()
         FROM change c WHERE i.id = c.instance_id",
        lease.operation.0,
    )
    .execute(&mut *tx)
    .await?;
    crate::operations::held(done.rows_affected())?;
    ended.record(&mut tx, "instance.plan_changed", by).await?;
    tx.commit().await?;
    Ok(())
}

/// Everything that the operation began is undone: the server keeps its plan, and what was paid is to be given back.
pub async fn not_changed(db: &Db, lease: &Lease, failure: &Failure, by: By<'_>) -> Result<(), StoreError> {
    let mut tx = db.pool().begin().await?;
    let ended = finish(&mut tx, lease, "failed", Some(failure)).await?;
    let change = sqlx::query_scalar!(
        "UPDATE plan_changes SET
             state = CASE WHEN checkout_id IS NULL THEN 'failed' ELSE 'reverting' END,
             ended_at = CASE WHEN checkout_id IS NULL THEN clock_timestamp() END, run_after = clock_timestamp(),
             failure_code = $2, failure_message = $3
         WHERE operation_id = $1 AND state = 'applying'
         RETURNING id",
        lease.operation.0,
        foreign(&failure.code),
        foreign(&failure.message),
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    sqlx::query!("SELECT plan_change_room($1, -1)", change).fetch_one(&mut *tx).await?;
    ended.record(&mut tx, "instance.plan_change_failed", by).await?;
    tx.commit().await?;
    Ok(())
}
