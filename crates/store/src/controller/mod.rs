//! The controller's rows: who leads and what it may do, what it has found, and the repairs that it has asked for.
//!
//! Architecture invariant: every write of a leader names its term and matches nothing under an older one. The lock in Redis only
//! says who begins; the term here says whose word counts.

mod findings;
mod incidents;
mod lock;
mod look;
mod wake;

use chrono::{DateTime, Utc};
use domain::drift::Mode;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Db, StoreError, audit::By};

pub use self::{
    findings::{Listed, Open, Pass, Tried, decide, list, reconcile, repairs_since},
    incidents::{CHANNEL, Incident, IncidentSummary, Named, incident, incidents, told},
    lock::Lock,
    look::{Row, deleted, lost_ports, nodes, payments, rows, storage},
    wake::{Called, Wake, ask_for_a_look},
};

/// Who leads, what it may do, and what its last pass came to.
#[derive(Clone, Debug)]
pub struct State {
    /// The newest term.
    pub term: i64,
    /// Who has it.
    pub leader: Option<String>,
    /// Since when.
    pub led_since: Option<DateTime<Utc>>,
    /// What it may do.
    pub mode: Mode,
    /// Whether an operator has paused it.
    pub paused: bool,
    /// When an operator changed one of these last.
    pub changed_at: Option<DateTime<Utc>>,
    /// Which operator.
    pub changed_by: Option<String>,
    /// Why.
    pub change_reason: Option<String>,
    /// When the last pass ended, to the minute.
    pub pass_at: Option<DateTime<Utc>>,
    /// How long it took.
    pub pass_ms: Option<i32>,
    /// How many instances it looked at.
    pub pass_instances: Option<i32>,
    /// How many findings it ended with.
    pub pass_findings: Option<i32>,
    /// What it could not see.
    pub pass_incomplete: Option<String>,
    /// Why nothing is repaired.
    pub breaker: Option<String>,
    /// Whether who leads has a way to tell operators.
    pub tells: bool,
}

/// The state.
pub async fn state(db: &Db) -> Result<State, StoreError> {
    let row = sqlx::query!(
        "SELECT term, leader, led_since, mode, paused, changed_at, changed_by, change_reason, pass_at, pass_ms, pass_instances,
                pass_findings, pass_incomplete, breaker, tells FROM controller"
    )
    .fetch_one(db.pool())
    .await?;
    Ok(State {
        term: row.term,
        leader: row.leader,
        led_since: row.led_since,
        mode: row.mode.parse().map_err(|e| StoreError::corrupt("controller", e))?,
        paused: row.paused,
        changed_at: row.changed_at,
        changed_by: row.changed_by,
        change_reason: row.change_reason,
        pass_at: row.pass_at,
        pass_ms: row.pass_ms,
        pass_instances: row.pass_instances,
        pass_findings: row.pass_findings,
        pass_incomplete: row.pass_incomplete,
        breaker: row.breaker,
        tells: row.tells,
    })
}

/// Begins a term of this leader. Whoever had the one before writes nothing any more.
pub async fn begin_term(db: &Db, leader: &str) -> Result<i64, StoreError> {
    let term = sqlx::query_scalar!(
        "UPDATE controller SET term = term + 1, leader = $1, led_since = clock_timestamp() RETURNING term",
        leader
    );
    Ok(term.fetch_one(db.pool()).await?)
}

/// Whether the term is the newest: to be asked before anything is done outside.
pub async fn is_current(db: &Db, term: i64) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"SELECT term = $1 AS "current!" FROM controller"#, term)
        .fetch_one(db.pool())
        .await?)
}

/// Holds the term for a transaction; [`StoreError::LeaseLost`] if it is not the newest.
pub(crate) async fn fence(tx: &mut PgConnection, term: i64) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!("SELECT term FROM controller FOR SHARE").fetch_one(tx).await?;
    if current == term { Ok(()) } else { Err(StoreError::LeaseLost) }
}

/// An operator's word: what the controller may do. Written to the audit log with its reason, and with `tell` announced to the
/// other operators. Returns whether it is a change.
pub async fn set_posture(
    db: &Db,
    mode: Option<Mode>,
    paused: Option<bool>,
    by: By<'_>,
    reason: &str,
    tell: bool,
) -> Result<bool, StoreError> {
    let mut tx = db.pool().begin().await?;
    let now = sqlx::query!(
        "UPDATE controller SET mode = coalesce($1, mode), paused = coalesce($2, paused), changed_at = clock_timestamp(),
                changed_by = $3, change_reason = $4
         WHERE mode <> coalesce($1, mode) OR paused <> coalesce($2, paused) RETURNING mode, paused",
        mode.map(Mode::as_str),
        paused,
        by.actor,
        reason,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(now) = now else { return Ok(false) };
    let detail = serde_json::json!({ "mode": mode.map(Mode::as_str), "paused": paused, "reason": reason });
    sqlx::query!(
        "INSERT INTO audit_log (actor, action, request_id, detail) VALUES ($1, 'controller.posture', $2, $3)",
        by.actor,
        by.request_id,
        detail,
    )
    .execute(&mut *tx)
    .await?;
    if tell {
        let paused = if now.paused { ", paused: nothing is repaired" } else { "" };
        let text = format!("The controller is in mode {}{paused}, by {}: {reason}", now.mode, by.actor);
        incidents::announce(&mut tx, &format!("posture:{}", Uuid::now_v7()), &text).await?;
    }
    tx.commit().await?;
    // What it may do now it does at once.
    ask_for_a_look(db).await?;
    Ok(true)
}
