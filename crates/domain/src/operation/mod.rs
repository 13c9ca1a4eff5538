//! Operations: durable work on an instance, and where it stands. What each kind does is in [`sagas`].

mod sagas;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use sagas::{OnUndone, OperationKind, Recovery, Saga, Slot, StepName};

use crate::{
    ids::{BackupId, CustomerId, InstanceId, OperationId},
    instance::text_enum,
};

/// After this many interruptions (a worker that died with it) an operation is undone rather than resumed.
pub const MAX_INTERRUPTIONS: i32 = 3;

/// After this many failed attempts an operation that only goes forward waits for a person.
pub const MAX_FORWARD_ATTEMPTS: i32 = 8;

/// Seconds until the next attempt of an operation that only goes forward, after `failed` failed ones: doubling, at
/// most five minutes.
pub fn forward_delay_seconds(failed: i32) -> i32 {
    2_i32.saturating_pow(failed.clamp(0, 16).unsigned_abs()).min(300)
}

text_enum! {
    /// Where an operation stands.
    OperationState {
        /// Committed, not begun.
        Queued = "queued",
        /// Steps are applied.
        Running = "running",
        /// Steps are undone.
        Undoing = "undoing",
        /// Done.
        Succeeded = "succeeded",
        /// Failed, and everything was undone.
        Failed = "failed",
        /// An undo failed, or a delete cannot go on: something may be left, and a person must look.
        Stuck = "stuck",
    }
}

impl OperationState {
    /// Whether it blocks another operation on the same instance.
    pub fn is_active(self) -> bool {
        !matches!(self, Self::Succeeded | Self::Failed)
    }

    /// Whether a worker may claim it.
    pub fn is_claimable(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Undoing)
    }
}

text_enum! {
    /// Where a step stands. `applying` is written before the step runs: that is its undo's registration.
    StepState {
        /// Begun; whether it took effect is not known.
        Applying = "applying",
        /// Took effect.
        Applied = "applied",
        /// Undone.
        Undone = "undone",
        /// Its undo failed.
        UndoFailed = "undo_failed",
    }
}

/// Why an operation failed. `code` is stable; `message` is for the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable, for programs and the Portal.
    pub code: String,
    /// What happened, what was not lost, what to do.
    pub message: String,
}

impl Failure {
    /// Both parts at once.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// An operation as anybody may see it who may see its instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// On what.
    pub instance_id: InstanceId,
    /// Whose.
    pub customer_id: CustomerId,
    /// What.
    pub kind: OperationKind,
    /// Which backup it makes, restores or verifies.
    pub backup_id: Option<BackupId>,
    /// Where it stands.
    pub state: OperationState,
    /// The step under way, or the last one.
    pub step: Option<StepName>,
    /// Progress of that step for people, for example `downloading server.jar (40%)`.
    pub step_detail: Option<String>,
    /// 0–100 over all steps.
    pub progress: i16,
    /// Why it failed or is stuck.
    pub failure: Option<Failure>,
    /// How often a worker died with it.
    pub interruptions: i32,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first claimed it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When it was asked for that it be given up.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Which operation follows once it has succeeded: the restore that a backup was wanted before.
    pub next_operation_id: Option<OperationId>,
}

/// The code of the failure of an operation that was given up because somebody asked for it.
pub const CANCELLED_CODE: &str = "cancelled";

impl Failure {
    /// Of an operation that was given up because somebody asked for it. Such an operation has changed nothing.
    pub fn cancelled() -> Self {
        Self::new(CANCELLED_CODE, "It was cancelled. Your server and its files are as they were.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_that_can_be_claimed_blocks_a_second_operation() {
        for state in OperationState::ALL {
            assert!(!state.is_claimable() || state.is_active(), "{state}");
        }
        assert!(OperationState::Stuck.is_active(), "something may be left outside: nothing else may begin");
    }
}
