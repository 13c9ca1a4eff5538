//! What operators see of the controller.

use chrono::{DateTime, Utc};
use serde::Serialize;
use store::{controller, repairs};
use utoipa::ToSchema;
use uuid::Uuid;

/// Who leads, what it may do, and what its last pass came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Controller)]
pub struct ControllerView {
    /// `observe` (it looks and says) or `level1` (it also has Level 1 repaired).
    pub mode: &'static str,
    /// Whether an operator has paused it: nothing is repaired.
    pub paused: bool,
    /// When mode or pause were changed last.
    pub changed_at: Option<DateTime<Utc>>,
    /// By whom.
    pub changed_by: Option<String>,
    /// Why.
    pub change_reason: Option<String>,
    /// The term of who leads; each has a higher one.
    pub term: i64,
    /// Since when.
    pub led_since: Option<DateTime<Utc>>,
    /// When the last pass ended, to the minute.
    pub pass_at: Option<DateTime<Utc>>,
    /// Servers that it looked at.
    pub instance_count: Option<i32>,
    /// Findings that it ended with.
    pub finding_count: Option<i32>,
    /// What it could not see; null when it saw everything.
    pub incomplete: Option<String>,
    /// Why nothing is repaired whatever is found; null while the breaker is closed.
    pub breaker: Option<String>,
}

impl From<controller::State> for ControllerView {
    fn from(it: controller::State) -> Self {
        Self {
            mode: it.mode.as_str(),
            paused: it.paused,
            changed_at: it.changed_at,
            changed_by: it.changed_by,
            change_reason: it.change_reason,
            term: it.term,
            led_since: it.led_since,
            pass_at: it.pass_at,
            instance_count: it.pass_instances,
            finding_count: it.pass_findings,
            incomplete: it.pass_incomplete,
            breaker: it.breaker,
        }
    }
}

/// A difference between what should be and what is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
pub struct FindingView {
    /// Its id.
    pub id: Uuid,
    /// What is wrong, such as `entry_missing`.
    pub rule: String,
    /// What a repair could harm: 1 is for a machine, 2 and 3 are for people.
    pub level: i16,
    /// What would be done about it; only at Level 1.
    pub action: Option<String>,
    /// Of which server.
    pub instance_id: Option<Uuid>,
    /// The server's hostname.
    pub hostname: Option<String>,
    /// Of which operation.
    pub operation_id: Option<Uuid>,
    /// What should be.
    pub desired: String,
    /// What was seen.
    pub observed: String,
    /// What a person would do where no machine may.
    pub proposal: Option<String>,
    /// Passes in a row that saw it; it counts from the second on.
    pub seen_count: i32,
    /// Why it is not repaired now, such as `observing`; null when it is to be.
    pub reason: Option<String>,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
    /// When it was gone; null while it is open.
    pub closed_at: Option<DateTime<Utc>>,
    /// What came of the newest repair of it; null if there was none.
    pub last_repair: Option<LastRepairView>,
}

/// What came of a repair.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastRepair)]
pub struct LastRepairView {
    /// `repaired`, `not_needed`, `rejected` or `failed`.
    pub outcome: String,
    /// Why it ended so.
    pub reason: String,
    /// When it ended.
    pub at: DateTime<Utc>,
}

impl From<controller::Listed> for FindingView {
    fn from(it: controller::Listed) -> Self {
        Self {
            id: it.id.0,
            rule: it.rule,
            level: it.level,
            action: it.action,
            instance_id: it.instance.map(|id| id.0),
            hostname: it.hostname,
            operation_id: it.operation.map(|id| id.0),
            desired: it.desired,
            observed: it.observed,
            proposal: it.proposal,
            seen_count: it.seen_count,
            reason: it.reason,
            opened_at: it.opened_at,
            seen_at: it.seen_at,
            closed_at: it.closed_at,
            last_repair: it.tried.map(|it| LastRepairView {
                outcome: it.outcome,
                reason: it.reason,
                at: it.at,
            }),
        }
    }
}

/// Findings as people are told of them: those of one rule that began within an hour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Incident)]
pub struct IncidentView {
    /// Its id.
    pub id: Uuid,
    /// The rule, such as `entry_missing`; `several` when more began at once than anybody reads one by one.
    pub kind: String,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// When the last of its findings was gone; null while one is open.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its findings.
    pub finding_count: i64,
    /// Those that are open.
    pub open_count: i64,
}

impl From<controller::IncidentSummary> for IncidentView {
    fn from(it: controller::IncidentSummary) -> Self {
        Self {
            id: it.id,
            kind: it.kind,
            opened_at: it.opened_at,
            ended_at: it.ended_at,
            finding_count: it.total,
            open_count: it.open,
        }
    }
}

/// What a repair did, or why it did nothing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RepairEvent)]
pub struct RepairEventView {
    /// Its id.
    pub id: Uuid,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What was asked for.
    pub action: String,
    /// `repaired`, `not_needed`, `rejected` or `failed`.
    pub outcome: String,
    /// Of which server.
    pub instance_id: Option<Uuid>,
    /// The server's hostname.
    pub hostname: Option<String>,
    /// What was there before.
    pub before: String,
    /// What was there after.
    pub after: String,
    /// Why it ended so.
    pub reason: String,
    /// By whom.
    pub done_by: String,
}

impl From<repairs::Listed> for RepairEventView {
    fn from(it: repairs::Listed) -> Self {
        Self {
            id: it.id,
            at: it.at,
            action: it.action,
            outcome: it.outcome,
            instance_id: it.instance.map(|id| id.0),
            hostname: it.hostname,
            before: it.before,
            after: it.after,
            reason: it.reason,
            done_by: it.done_by,
        }
    }
}
