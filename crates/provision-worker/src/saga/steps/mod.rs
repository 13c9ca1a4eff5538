//! The steps in the order in which the sagas use them: `create` first, then its mirror image, then backups, then changes of plans.

mod agent;
mod backup;
mod container;
mod edge;
mod outcome;
mod power;
mod resize;
mod restore;
mod service;
mod task;
mod verify;

use std::sync::Arc;

use domain::operation::StepName;

use super::{Step, Steps};

/// The steps as they are. A name that has no step does not compile.
pub fn standard() -> Steps {
    Arc::new(|name| -> Arc<dyn Step> {
        match name {
            StepName::CreateContainer => Arc::new(container::Create),
            StepName::StartContainer => Arc::new(container::Start),
            StepName::EnrolAgent => Arc::new(agent::Enrol),
            StepName::Install => Arc::new(service::Install),
            StepName::StartService => Arc::new(service::Start),
            StepName::AwaitReady => Arc::new(service::AwaitReady),
            StepName::PublishEdge => Arc::new(edge::Publish),
            StepName::MarkActive => Arc::new(outcome::MarkActive),
            StepName::WithdrawEdge => Arc::new(edge::Withdraw),
            StepName::StopService => Arc::new(service::Stop),
            StepName::StopContainer => Arc::new(container::Stop),
            StepName::DeleteContainer => Arc::new(container::Delete),
            StepName::MarkDeleted => Arc::new(outcome::MarkDeleted),
            StepName::StoreArchive => Arc::new(backup::StoreArchive),
            StepName::MarkBackedUp => Arc::new(backup::MarkBackedUp),
            StepName::StageBackup => Arc::new(restore::Stage),
            StepName::PauseService | StepName::PauseForResize => Arc::new(power::Pause),
            StepName::SwapFiles => Arc::new(restore::Swap),
            StepName::ResumeService | StepName::ResumeResized => Arc::new(power::Resume),
            StepName::MarkRestored => Arc::new(restore::MarkRestored),
            StepName::CheckBackup => Arc::new(verify::Check),
            StepName::MarkVerified => Arc::new(verify::MarkVerified),
            StepName::ResizeContainer => Arc::new(resize::Resize),
            StepName::MarkPlanChanged => Arc::new(resize::MarkPlanChanged),
        }
    })
}
