//! Every saga in one place: its steps and how long they take beside one another, what a failure leads to, which slots of
//! a worker it takes, what its customer is told, and what ends it. Who adds a kind adds it here, and in a migration;
//! steps that are new have their code in provision-worker.

use crate::instance::text_enum;

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
        /// Give it the limits of another plan.
        ChangePlan = "change_plan",
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
        /// Stop the game, so that its container can be changed.
        PauseForResize = "pause_for_resize",
        /// Give container and service the limits of the new plan.
        ResizeContainer = "resize_container",
        /// Start the game again, and wait until it answers.
        ResumeResized = "resume_resized",
        /// Record the new plan, and settle the capacity.
        MarkPlanChanged = "mark_plan_changed",
    }
}

impl StepName {
    /// Whether applying it is nothing but waiting: for an agent, or for a game to stop. Who waits holds no place among
    /// those at work (architecture invariant 6), so that one server that hangs is nobody else's delay.
    pub const fn only_waits(self) -> bool {
        matches!(
            self,
            Self::EnrolAgent
                | Self::Install
                | Self::StartService
                | Self::AwaitReady
                | Self::StopService
                | Self::StopContainer
                | Self::PauseForResize
                | Self::ResumeResized
        )
    }

    /// Whether undoing it is nothing but waiting: a container that was started is stopped, with all that runs in it.
    pub const fn undo_only_waits(self) -> bool {
        matches!(self, Self::StartContainer) || self.only_waits()
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

text_enum! {
    /// Which slots of a worker an operation takes.
    Slot {
        /// It takes minutes, most of them spent waiting for an agent.
        Short = "short",
        /// It moves a backup, and may take hours: it has slots of its own, so that a create does not wait for it.
        Long = "long",
    }
}

impl Slot {
    /// The names of the kinds that take it, for SQL.
    pub fn kinds(self) -> Vec<String> {
        OperationKind::ALL.iter().filter(|kind| kind.saga().slot == self).map(ToString::to_string).collect()
    }
}

/// What the transaction that ends an undone operation does besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUndone {
    /// The instance has failed, and what it held is given back.
    FailInstance,
    /// The backup that was being made has failed.
    FailBackup,
    /// The backup that was used stays as it is.
    KeepBackup,
    /// The instance keeps its plan, and what was bought for the other one is given back.
    KeepPlan,
    /// It only goes forward: there is nothing that could be called undone, and a person has to look.
    Stuck,
}

/// What a kind of operation is.
#[derive(Clone, Copy, Debug)]
pub struct Saga {
    /// Its steps, in order, each with its weight: how much of the progress it is. The last one's transaction ends the
    /// operation.
    pub steps: &'static [(StepName, i32)],
    /// Which slots it takes.
    pub slot: Slot,
    /// From this step on it only goes forward; before it, and if there is none, a failure is undone.
    pub point_of_no_return: Option<StepName>,
    /// Whether a step may be undone only when those after it are.
    pub undoes_strictly: bool,
    /// What ends it once it is undone.
    pub on_undone: OnUndone,
    /// Whether the server is busy meanwhile: no power action, and no other work.
    pub keeps_busy: bool,
    /// Whether files that are written meanwhile would be lost.
    pub replaces_files: bool,
    /// What it does, as the subject of a sentence for its customer.
    pub doing: &'static str,
    /// How things are once it was undone, as sentences for its customer.
    pub undone: &'static str,
}

use StepName as S;

const CREATE: Saga = Saga {
    steps: &[
        (S::CreateContainer, 5),
        (S::StartContainer, 5),
        (S::EnrolAgent, 5),
        (S::Install, 40),
        (S::StartService, 5),
        (S::AwaitReady, 30),
        (S::PublishEdge, 5),
        (S::MarkActive, 5),
    ],
    slot: Slot::Short,
    point_of_no_return: None,
    // What a create made can be removed in any order.
    undoes_strictly: false,
    on_undone: OnUndone::FailInstance,
    keeps_busy: true,
    replaces_files: false,
    doing: "Setting up the server",
    undone: "Everything was undone; please try again.",
};

const DELETE: Saga = Saga {
    steps: &[
        (S::WithdrawEdge, 5),
        (S::StopService, 5),
        (S::StopContainer, 5),
        (S::DeleteContainer, 5),
        (S::MarkDeleted, 5),
    ],
    slot: Slot::Short,
    point_of_no_return: Some(S::WithdrawEdge),
    undoes_strictly: false,
    on_undone: OnUndone::Stuck,
    keeps_busy: true,
    replaces_files: true,
    doing: "Removing the server",
    undone: "Nothing was brought back.",
};

const BACKUP: Saga = Saga {
    steps: &[(S::StoreArchive, 95), (S::MarkBackedUp, 5)],
    slot: Slot::Long,
    point_of_no_return: None,
    undoes_strictly: false,
    on_undone: OnUndone::FailBackup,
    keeps_busy: true,
    replaces_files: false,
    doing: "Making the backup",
    undone: "Your server and its files are as they were; please try again.",
};

const RESTORE: Saga = Saga {
    steps: &[
        (S::StageBackup, 60),
        (S::PauseService, 5),
        (S::SwapFiles, 5),
        (S::ResumeService, 20),
        (S::MarkRestored, 5),
    ],
    slot: Slot::Long,
    // It may have dropped the files that it replaced.
    point_of_no_return: Some(S::MarkRestored),
    // It starts the server again as its last undo, and must not while the server has the wrong files.
    undoes_strictly: true,
    on_undone: OnUndone::KeepBackup,
    keeps_busy: true,
    replaces_files: true,
    doing: "Restoring the backup",
    undone: "Your server has the files that it had before; please try again.",
};

const VERIFY: Saga = Saga {
    steps: &[(S::CheckBackup, 95), (S::MarkVerified, 5)],
    slot: Slot::Long,
    point_of_no_return: None,
    undoes_strictly: false,
    on_undone: OnUndone::KeepBackup,
    keeps_busy: false,
    replaces_files: false,
    doing: "Checking the backup",
    undone: "The backup is as it was; please try again.",
};

const CHANGE_PLAN: Saga = Saga {
    steps: &[
        (S::PauseForResize, 15),
        (S::ResizeContainer, 30),
        (S::ResumeResized, 50),
        (S::MarkPlanChanged, 5),
    ],
    slot: Slot::Short,
    point_of_no_return: None,
    // It starts the server again as its last undo, and must not before the container has its old limits.
    undoes_strictly: true,
    on_undone: OnUndone::KeepPlan,
    keeps_busy: true,
    replaces_files: false,
    doing: "Changing the plan",
    undone: "Your server is as it was, and what you paid for the change comes back to you; please try again.",
};

impl OperationKind {
    /// What it is.
    pub const fn saga(self) -> &'static Saga {
        match self {
            Self::Create => &CREATE,
            Self::Delete => &DELETE,
            Self::Backup => &BACKUP,
            Self::Restore => &RESTORE,
            Self::Verify => &VERIFY,
            Self::ChangePlan => &CHANGE_PLAN,
        }
    }

    /// The names of those that keep a server busy, for SQL.
    pub fn busy() -> Vec<String> {
        Self::ALL.iter().filter(|kind| kind.saga().keeps_busy).map(ToString::to_string).collect()
    }
}

impl Saga {
    /// The names of its steps, in order.
    pub fn step_names(&self) -> impl DoubleEndedIterator<Item = StepName> + use<> {
        self.steps.iter().map(|(name, _)| *name).collect::<Vec<_>>().into_iter()
    }

    /// Where a step is among its steps.
    pub fn position(&self, step: StepName) -> Option<usize> {
        self.steps.iter().position(|(name, _)| *name == step)
    }

    /// Whether its transaction ends the operation.
    pub fn is_last(&self, step: StepName) -> bool {
        self.steps.last().is_some_and(|(name, _)| *name == step)
    }

    /// What a failure leads to, once the step `begun` was begun.
    pub fn recovery(&self, begun: Option<StepName>) -> Recovery {
        let Some(no_return) = self.point_of_no_return.and_then(|step| self.position(step)) else {
            return Recovery::Backward;
        };
        // What only goes forward from its first step on does so before it has begun it as well.
        let at = begun.and_then(|step| self.position(step)).unwrap_or(0);
        if at >= no_return { Recovery::Forward } else { Recovery::Backward }
    }

    /// Overall progress in per cent when `done` of its steps are behind it.
    pub fn progress_after(&self, done: usize) -> i16 {
        let sum = |steps: &[(StepName, i32)]| steps.iter().map(|(_, weight)| weight).sum::<i32>();
        let (total, behind) = (sum(self.steps), sum(&self.steps[..done.min(self.steps.len())]));
        i16::try_from(behind * 100 / total.max(1)).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn progress_only_grows_and_ends_at_a_hundred() {
        for kind in OperationKind::ALL {
            let saga = kind.saga();
            let shown: Vec<_> = (0..=saga.steps.len()).map(|done| saga.progress_after(done)).collect();
            assert!(shown.is_sorted(), "{shown:?}");
            assert_eq!((shown.first(), shown.last()), (Some(&0), Some(&100)));
        }
    }

    #[test]
    fn every_step_belongs_to_one_place_of_one_saga() {
        let all: Vec<_> = OperationKind::ALL.iter().flat_map(|kind| kind.saga().step_names()).collect();
        let names: BTreeSet<_> = all.iter().map(|step| step.as_str()).collect();
        assert_eq!(names.len(), all.len(), "a step twice: whose undo would it be?");
        assert_eq!(names.len(), StepName::ALL.len(), "a step of no saga");
    }

    #[test]
    fn what_has_no_way_back_is_never_called_undone() {
        for kind in OperationKind::ALL {
            let saga = kind.saga();
            let never_back = saga.recovery(None) == Recovery::Forward;
            assert_eq!(never_back, saga.on_undone == OnUndone::Stuck, "{kind}");
            let no_return =
                saga.point_of_no_return.map_or(saga.steps.len(), |step| saga.position(step).unwrap());
            for (at, name) in saga.step_names().enumerate() {
                let expected = if at >= no_return { Recovery::Forward } else { Recovery::Backward };
                assert_eq!(saga.recovery(Some(name)), expected, "{kind} {name}");
            }
        }
    }
}
