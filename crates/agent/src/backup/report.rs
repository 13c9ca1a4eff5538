//! How the task under way tells where it stands.

use std::sync::Arc;

use domain::agent::{BackupStatus, BackupTaskState, BackupWorkKind};
use tokio::sync::watch;
use uuid::Uuid;

/// Where the status lies.
pub(super) type Board = Arc<watch::Sender<Option<BackupStatus>>>;

/// The right of one piece of work to change the status; worth nothing once other work has begun.
#[derive(Clone, Debug)]
pub(super) struct Report {
    board: Board,
    task: Uuid,
    work: BackupWorkKind,
}

impl Report {
    pub(super) fn new(board: Board, task: Uuid, work: BackupWorkKind) -> Self {
        Self { board, task, work }
    }

    /// Changes the status, and wakes those who wait for it.
    pub(super) fn change(&self, change: impl FnOnce(&mut BackupStatus)) {
        self.board.send_if_modified(|status| {
            let ours = |status: &&mut BackupStatus| {
                (status.task, status.work, status.state) == (self.task, self.work, BackupTaskState::Running)
            };
            let Some(status) = status.as_mut().filter(ours) else { return false };
            let before = status.clone();
            change(status);
            let changed = *status != before;
            status.revision += u64::from(changed);
            changed
        });
    }

    /// What is being done, for people.
    pub(super) fn detail(&self, detail: impl Into<String>, percent: Option<u8>) {
        let detail = detail.into();
        self.change(|status| {
            status.detail = detail;
            status.percent = percent.unwrap_or(status.percent);
        });
    }
}

/// Bytes for people: `1.2 GiB`.
pub(super) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// How much of `total` that is, 0–100.
pub(super) fn percent(done: u64, total: u64) -> Option<u8> {
    done.saturating_mul(100).checked_div(total).map(|percent| u8::try_from(percent.min(100)).unwrap_or(100))
}
