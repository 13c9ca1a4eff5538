//! Work that is done at once: folders change their places by renames, which are written down before they are made.

use std::{io, time::Duration};

use domain::agent::{BackupStatus, BackupTask, BackupWorkKind};
use tokio::time::sleep;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    Backups, State, down,
    error::BackupRefusal,
    journal::{Journal, Swap, SwapPhase},
    swap,
};

/// Until a journal that could not be written is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

impl Backups {
    /// Swap, swap back or commit: a few renames, done when this answers.
    pub(super) async fn exchange(
        &self,
        state: &mut State,
        task: &BackupTask,
        kind: BackupWorkKind,
    ) -> Result<BackupStatus, BackupRefusal> {
        let id = task.task;
        let swapped = state.journal.swap.is_some();
        let phase = match kind {
            BackupWorkKind::Swap if swapped => SwapPhase::Done,
            BackupWorkKind::Swap if state.journal.staged != Some(id) => return Err(BackupRefusal::NotStaged),
            BackupWorkKind::Swap => SwapPhase::Begun,
            BackupWorkKind::SwapBack => SwapPhase::Undoing,
            _ => SwapPhase::Committing,
        };
        let moves_data = phase == SwapPhase::Begun || (phase == SwapPhase::Undoing && swapped);
        if moves_data && !self.is_down().await {
            return Err(BackupRefusal::ServiceRunning);
        }
        let before = state.journal.clone();
        if let Err(refusal) =
            self.note(state, task, |journal| journal.swap = Some(Swap { task: id, phase })).await
        {
            // It may have been written all the same.
            self.take_back(state, before).await;
            return Err(refusal);
        }
        // From here to the renames' end nothing is awaited: the task that starts the server shares this thread, so it
        // cannot start in between.
        let outcome = if moves_data && !down(&self.0.service) {
            Err(BackupRefusal::ServiceRunning)
        } else {
            let mut renamed = Ok(());
            if moves_data {
                (self.0.exchange)(&mut || renamed = self.rename(id, phase));
            } else {
                renamed = self.rename(id, phase);
            }
            renamed.map_err(|error| BackupRefusal::NotExchanged(error.to_string()))
        };
        if let Err(refusal) = outcome {
            warn!(%id, %refusal, "the folders of {id} were not exchanged; the data folder is as it was: {refusal}");
            self.0.board.send_replace(before.status.clone());
            self.take_back(state, before).await;
            return Err(refusal);
        }
        let mut journal = state.journal.clone();
        journal.staged = None;
        journal.swap = matches!(phase, SwapPhase::Begun | SwapPhase::Done)
            .then_some(Swap { task: id, phase: SwapPhase::Done });
        let done = self.conclude(&mut journal);
        // Done it is, whether or not it could be written: the next boot sees the same folders.
        let _ = self.save(state, journal.clone()).await;
        state.journal = journal;
        self.0.trash.notify_one();
        Ok(done)
    }

    fn rename(&self, task: Uuid, phase: SwapPhase) -> io::Result<()> {
        match phase {
            SwapPhase::Begun => swap::forward(&self.0.places, task),
            SwapPhase::Undoing => swap::back(&self.0.places, task),
            SwapPhase::Committing => swap::commit(&self.0.places, task),
            SwapPhase::Done => Ok(()),
        }
    }

    /// An exchange has not happened, whether or not that can be written. Until it is, the next boot would make up for it:
    /// nothing is to run then.
    async fn take_back(&self, state: &mut State, before: Journal) {
        self.0.service.hold(true);
        state.journal = before.clone();
        if self.save(state, before).await.is_ok() {
            self.0.service.hold(false);
        } else {
            tokio::spawn(self.clone().save_late());
        }
    }

    async fn save_late(self) {
        loop {
            sleep(SAVE_AGAIN).await;
            let mut state = self.0.state.lock().await;
            let journal = state.journal.clone();
            if self.save(&mut state, journal).await.is_ok() {
                self.0.service.hold(false);
                info!(
                    "the journal is saved again without the exchange that did not happen; the server may start"
                );
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use domain::{
        agent::{BackupWork, PowerAction},
        ids::{BackupId, InstanceId},
    };

    use super::{
        super::{Places, recover},
        *,
    };
    use crate::{
        root::Root,
        service::{Refusal, Service},
    };

    const TASK: Uuid = Uuid::from_u128(7);

    /// With a staged folder, which vanishes as soon as it is to be swapped in; and so does the journal's.
    async fn backups(home: &Path, root: Root) -> (Backups, Service, Places) {
        for folder in ["agent/shim", "agent/output_log", "data"] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        let places = Places::new(home);
        places.prepare().unwrap();
        fs::create_dir(places.staging(TASK)).unwrap();
        Journal { staged: Some(TASK), ..Journal::default() }.store(&places.journal()).unwrap();
        let service = Service::open(root, InstanceId::generate(), Duration::ZERO).await.unwrap();
        let (staging, work, aside) = (places.staging(TASK), places.work(), home.join("aside"));
        let exchange = move |rename: &mut dyn FnMut()| {
            fs::remove_dir(&staging).unwrap();
            fs::rename(&work, &aside).unwrap();
            rename();
        };
        let backups = Backups::open(places.clone(), service.clone(), Arc::default(), exchange).unwrap();
        (backups, service, places)
    }

    #[tokio::test]
    async fn a_swap_that_was_refused_is_not_made_by_a_later_boot_and_nothing_runs_until_that_is_sure() {
        let home = tempfile::tempdir().unwrap();
        let root = Root::new(home.path()).unwrap();
        fs::create_dir_all(home.path().join("agent")).unwrap();
        let installed = r#"{"spec":null,"install":"done","wanted":"stopped","was_ready":false,"crash_count":0,"crashes":[],"fault":null}"#;
        fs::write(root.state_file(), installed).unwrap();
        let (backups, service, places) = backups(home.path(), root).await;
        let task = BackupTask { task: TASK, backup: BackupId::generate(), work: BackupWork::Swap };
        let refused = backups.put(task).await.unwrap_err();
        assert!(matches!(refused, BackupRefusal::NotExchanged(_)), "{refused:?}");
        assert_eq!(service.power(PowerAction::Start).await, Err(Refusal::NotSaved));

        fs::rename(home.path().join("aside"), places.work()).unwrap();
        assert!(Journal::load(&places.journal()).unwrap().swap.is_some(), "as it was written before");
        let stored = async {
            while service.power(PowerAction::Start).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), stored).await.unwrap();
        recover(&places).unwrap();
        assert_eq!(Journal::load(&places.journal()).unwrap().swap, None);
        assert!(places.data().exists());
    }
}
