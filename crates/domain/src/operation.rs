//! Operations: durable work on an instance, its states and its steps.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
    /// What an operation does.
    OperationKind {
        /// Make an instance.
        Create = "create",
        /// Unmake it.
        Delete = "delete",
        /// Copy its files into storage.
        Backup = "backup",
        /// Put a copy in the files' place.
        Restore = "restore",
        /// Read a copy again and compare it with its manifest.
        Verify = "verify",
    }
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

text_enum! {
    /// The steps of every saga. The order within a saga is the saga's.
    StepName {
        /// Make the container, with its trust bundle.
        CreateContainer = "create_container",
        /// Start it.
        StartContainer = "start_container",
        /// Learn and pin the agent's certificate.
        EnrolAgent = "enrol_agent",
        /// Download and set up the software.
        Install = "install",
        /// Start the game.
        StartService = "start_service",
        /// Wait until it answers as the blueprint says.
        AwaitReady = "await_ready",
        /// Make it reachable at its address.
        PublishEdge = "publish_edge",
        /// Hand it over.
        MarkActive = "mark_active",
        /// Take its address away.
        WithdrawEdge = "withdraw_edge",
        /// Stop the game.
        StopService = "stop_service",
        /// Stop the container.
        StopContainer = "stop_container",
        /// Remove it with all its data.
        DeleteContainer = "delete_container",
        /// Give back ports and capacity.
        MarkDeleted = "mark_deleted",
        /// Pack the files and put them into storage.
        StoreArchive = "store_archive",
        /// Record what was stored.
        MarkBackedUp = "mark_backed_up",
        /// Download a backup, check all of it, and lay it beside the files.
        StageBackup = "stage_backup",
        /// Stop the game while its files are exchanged.
        PauseService = "pause_service",
        /// Exchange the files by rename.
        SwapFiles = "swap_files",
        /// Start the game again, and wait until it answers.
        ResumeService = "resume_service",
        /// Record the restore, and drop what it replaced.
        MarkRestored = "mark_restored",
        /// Download a backup and compare it with its manifest.
        CheckBackup = "check_backup",
        /// Record that it is good.
        MarkVerified = "mark_verified",
    }
}

impl OperationKind {
    /// Its steps, in order.
    pub fn steps(self) -> &'static [StepName] {
        use StepName as S;
        match self {
            Self::Create => &[
                S::CreateContainer,
                S::StartContainer,
                S::EnrolAgent,
                S::Install,
                S::StartService,
                S::AwaitReady,
                S::PublishEdge,
                S::MarkActive,
            ],
            Self::Delete => {
                &[S::WithdrawEdge, S::StopService, S::StopContainer, S::DeleteContainer, S::MarkDeleted]
            }
            Self::Backup => &[S::StoreArchive, S::MarkBackedUp],
            Self::Restore => {
                &[S::StageBackup, S::PauseService, S::SwapFiles, S::ResumeService, S::MarkRestored]
            }
            Self::Verify => &[S::CheckBackup, S::MarkVerified],
        }
    }

    /// What a failure leads to, once the step `begun` was begun. A restore whose last step was begun may have dropped the
    /// old files: it only goes forward from there.
    pub fn recovery(self, begun: Option<StepName>) -> Recovery {
        match self {
            Self::Restore if begun == Some(StepName::MarkRestored) => Recovery::Forward,
            Self::Create | Self::Backup | Self::Restore | Self::Verify => Recovery::Backward,
            Self::Delete => Recovery::Forward,
        }
    }

    /// Whether a step may be undone only when those after it are. A restore starts the server again as its last undo, and
    /// must not while the server has the wrong files; what a create made can be removed in any order.
    pub fn undoes_strictly(self) -> bool {
        self == Self::Restore
    }
}

impl OperationKind {
    /// What it does, as the subject of a sentence for its customer.
    pub fn doing(self) -> &'static str {
        match self {
            Self::Create => "Setting up the server",
            Self::Delete => "Removing the server",
            Self::Backup => "Making the backup",
            Self::Restore => "Restoring the backup",
            Self::Verify => "Checking the backup",
        }
    }

    /// How things are once it was undone, as sentences for its customer.
    pub fn undone(self) -> &'static str {
        match self {
            Self::Create => "Everything was undone; please try again.",
            Self::Delete => "Nothing was brought back.",
            Self::Backup => "Your server and its files are as they were; please try again.",
            Self::Restore => "Your server has the files that it had before; please try again.",
            Self::Verify => "The backup is as it was; please try again.",
        }
    }
}

/// What a failed or too often interrupted operation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Undo what was begun, newest first.
    Backward,
    /// There is nothing to go back to: try again later, and after [`MAX_FORWARD_ATTEMPTS`] failures be `stuck`.
    Forward,
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
}

/// Overall progress when `done` of a saga's steps are behind it: weighted, since installing takes longest.
pub fn progress_after(kind: OperationKind, done: usize) -> i16 {
    let weight = |step: &StepName| match step {
        StepName::Install => 40,
        StepName::AwaitReady => 30,
        StepName::StoreArchive | StepName::CheckBackup => 95,
        StepName::StageBackup => 60,
        StepName::ResumeService => 20,
        _ => 5,
    };
    let steps = kind.steps();
    let total: i32 = steps.iter().map(weight).sum();
    let sum: i32 = steps.iter().take(done).map(weight).sum();
    i16::try_from(sum * 100 / total.max(1)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_only_grows_and_ends_at_a_hundred() {
        for kind in OperationKind::ALL {
            let shown: Vec<_> = (0..=kind.steps().len()).map(|done| progress_after(*kind, done)).collect();
            assert!(shown.is_sorted(), "{shown:?}");
            assert_eq!((shown.first(), shown.last()), (Some(&0), Some(&100)));
        }
    }

    #[test]
    fn every_state_that_can_be_claimed_blocks_a_second_operation() {
        for state in OperationState::ALL {
            assert!(!state.is_claimable() || state.is_active(), "{state}");
        }
        assert!(OperationState::Stuck.is_active(), "something may be left outside: nothing else may begin");
    }
}
