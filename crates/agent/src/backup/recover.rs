//! What a boot does first: finishes the exchange of folders that an earlier agent was interrupted in, before anybody
//! looks for the data folder.

use std::{fs, io};

use domain::agent::{BackupStatus, BackupTaskState, BackupWorkKind};
use tracing::{info, warn};

use super::{
    error::BackupError,
    journal::{Journal, Swap, SwapPhase},
    places::Places,
    swap,
};

/// Leaves a data folder, if there ever was one, and no unfinished work. Blocking.
pub fn recover(places: &Places) -> io::Result<()> {
    places.prepare()?;
    let mut journal = Journal::load(&places.journal())?;
    let before = journal.clone();
    finish_swap(places, &mut journal);
    rescue(places, &mut journal)?;
    end_interrupted(&mut journal);
    places.clear_work()?;
    let kept = journal.staged;
    for (_, folder) in places.leftovers()?.into_iter().filter(|(task, _)| kept != Some(*task)) {
        // It is in nobody's way, and no reason to have no agent.
        if let Err(error) = places.discard(&folder) {
            warn!(folder = %folder.display(), %error, "the unfinished copy {} could not be dropped and still takes up space: {error}", folder.display());
        }
    }
    if journal == before { Ok(()) } else { journal.store(&places.journal()) }
}

/// Goes on with the exchange that was begun; it is finished, not judged again.
fn finish_swap(places: &Places, journal: &mut Journal) {
    let Some(Swap { task, phase }) = journal.swap else { return };
    let (outcome, left) = match phase {
        SwapPhase::Done => return,
        SwapPhase::Begun => (swap::forward(places, task), Some(Swap { task, phase: SwapPhase::Done })),
        SwapPhase::Undoing => (swap::back(places, task), None),
        SwapPhase::Committing => (swap::commit(places, task), None),
    };
    match outcome {
        Ok(()) => {
            info!(%task, ?phase, "the exchange of folders of task {task} was interrupted and is finished now ({phase:?})");
            (journal.swap, journal.staged) = (left, None);
            if let Some(status) = &mut journal.status {
                status.state = BackupTaskState::Succeeded;
            }
        }
        Err(error) if phase == SwapPhase::Begun => {
            warn!(%task, %error, "the exchange of folders of task {task} was not begun; the data folder is as it was: {error}");
            journal.swap = None;
        }
        Err(error) => {
            // Whoever asked for it asks again; without an agent nobody could. A data folder that is missing by now is put
            // back next.
            warn!(%task, ?phase, %error, "the exchange of folders of task {task} was not finished; the restore is not committed: {error}");
            journal.swap = Some(Swap { task, phase: SwapPhase::Done });
        }
    }
}

/// The folders win over a journal that was lost: a data folder that is missing was swapped out.
fn rescue(places: &Places, journal: &mut Journal) -> io::Result<()> {
    let swapped_out = places.swapped_out()?;
    let Some((task, previous)) = swapped_out.into_iter().next() else { return Ok(()) };
    if !places.data().exists() {
        warn!(%task, "the data folder was missing; the one that task {task} swapped out is put back");
        fs::rename(previous, places.data())?;
        places.sync()?;
        journal.swap = None;
    } else if journal.swap.is_none() {
        warn!(%task, "the folder that task {task} swapped out stays until the restore is committed");
        journal.swap = Some(Swap { task, phase: SwapPhase::Done });
    }
    Ok(())
}

/// Work that ran has ended with its agent.
fn end_interrupted(journal: &mut Journal) {
    let Some(status) = &mut journal.status else { return };
    if status.state == BackupTaskState::Running {
        fail(status, &BackupError::Interrupted);
        if status.work == BackupWorkKind::Stage {
            journal.staged = None;
        }
    }
}

/// Notes a failure.
pub(super) fn fail(status: &mut BackupStatus, error: &BackupError) {
    status.state = BackupTaskState::Failed;
    "failed".clone_into(&mut status.detail);
    status.needs_addresses = false;
    status.fault = Some(error.fault());
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use domain::ids::BackupId;
    use uuid::Uuid;

    use super::*;

    const TASK: Uuid = Uuid::from_u128(7);

    /// What lies under a name: `old`, `new`, or nothing.
    fn content(folder: &Path) -> Option<String> {
        fs::read_to_string(folder.join("file")).ok()
    }

    /// An agent that was killed when these folders were there and this was written down; then a boot.
    fn boot(folders: &[(&str, &str)], phase: Option<SwapPhase>) -> (tempfile::TempDir, Places, Journal) {
        let home = tempfile::tempdir().unwrap();
        let places = Places::new(home.path());
        places.prepare().unwrap();
        for (name, content) in folders {
            let name = name.replace("TASK", &TASK.to_string());
            fs::create_dir(home.path().join(&name)).unwrap();
            if !content.is_empty() {
                fs::write(home.path().join(name).join("file"), content).unwrap();
            }
        }
        let status = BackupStatus {
            revision: 1,
            task: TASK,
            backup: BackupId::generate(),
            work: BackupWorkKind::Swap,
            state: BackupTaskState::Running,
            detail: String::new(),
            percent: 0,
            uploaded: Vec::new(),
            parts_known: 0,
            needs_addresses: false,
            facts: None,
            fault: None,
        };
        let swap = phase.map(|phase| Swap { task: TASK, phase });
        let journal = Journal { status: Some(status), staged: Some(TASK), swap, owed: Vec::new() };
        journal.store(&places.journal()).unwrap();
        recover(&places).unwrap();
        // A second boot changes nothing more.
        let once = Journal::load(&places.journal()).unwrap();
        recover(&places).unwrap();
        assert_eq!(Journal::load(&places.journal()).unwrap(), once);
        (home, places, once)
    }

    #[test]
    fn a_swap_that_was_begun_is_finished_from_wherever_it_was_cut_off() {
        let steps: [&[(&str, &str)]; 5] = [
            &[("data", "old"), ("staging-TASK", "new")],
            &[("previous-TASK", "old"), ("staging-TASK", "new")],
            &[("previous-TASK", "old"), ("data", "new")],
            // Somebody has made an empty data folder where none was.
            &[("previous-TASK", "old"), ("staging-TASK", "new"), ("data", "")],
            // An empty backup.
            &[("previous-TASK", "old"), ("staging-TASK", "")],
        ];
        for folders in steps {
            let (_home, places, journal) = boot(folders, Some(SwapPhase::Begun));
            let expected =
                if folders.contains(&("staging-TASK", "")) { None } else { Some("new".to_owned()) };
            assert_eq!(content(&places.data()), expected, "{folders:?}");
            assert_eq!(content(&places.previous(TASK)).as_deref(), Some("old"), "{folders:?}");
            assert_eq!(journal.swap, Some(Swap { task: TASK, phase: SwapPhase::Done }));
            assert_eq!(journal.status.unwrap().state, BackupTaskState::Succeeded);
        }
    }

    #[test]
    fn a_swap_back_that_was_begun_is_finished_from_wherever_it_was_cut_off() {
        let steps: [&[(&str, &str)]; 4] = [
            &[("previous-TASK", "old"), ("data", "new")],
            &[("previous-TASK", "old")],
            &[("data", "old")],
            &[("data", "old"), ("staging-TASK", "new")],
        ];
        for folders in steps {
            let (_home, places, journal) = boot(folders, Some(SwapPhase::Undoing));
            assert_eq!(content(&places.data()).as_deref(), Some("old"), "{folders:?}");
            assert!(!places.previous(TASK).exists() && !places.staging(TASK).exists(), "{folders:?}");
            assert_eq!((journal.swap, journal.staged), (None, None));
        }
    }

    #[test]
    fn a_commit_that_was_begun_is_finished_and_the_new_files_stay() {
        let steps: [&[(&str, &str)]; 2] = [&[("previous-TASK", "old"), ("data", "new")], &[("data", "new")]];
        for folders in steps {
            let (_home, places, journal) = boot(folders, Some(SwapPhase::Committing));
            assert_eq!(content(&places.data()).as_deref(), Some("new"), "{folders:?}");
            assert!(!places.previous(TASK).exists() && journal.swap.is_none());
        }
    }

    #[test]
    fn an_exchange_that_cannot_be_finished_keeps_no_agent_from_booting() {
        // Nothing can be moved there.
        let other_disk = tempfile::tempdir_in("/dev/shm").unwrap();
        for phase in [SwapPhase::Committing, SwapPhase::Undoing] {
            let home = tempfile::tempdir().unwrap();
            let places = Places::new(home.path());
            places.prepare().unwrap();
            fs::remove_dir(places.trash()).unwrap();
            std::os::unix::fs::symlink(other_disk.path(), places.trash()).unwrap();
            for (folder, content) in [(places.data(), "new"), (places.previous(TASK), "old")] {
                fs::create_dir(&folder).unwrap();
                fs::write(folder.join("file"), content).unwrap();
            }
            let swap = Some(Swap { task: TASK, phase });
            Journal { swap, ..Journal::default() }.store(&places.journal()).unwrap();
            recover(&places).unwrap();
            assert_eq!(content(&places.data()).as_deref(), Some("new"));
            assert_eq!(content(&places.previous(TASK)).as_deref(), Some("old"));
            let left = Journal::load(&places.journal()).unwrap().swap;
            assert_eq!(left, Some(Swap { task: TASK, phase: SwapPhase::Done }));
        }
    }

    #[test]
    fn a_swap_without_anything_staged_changes_nothing() {
        let (_home, places, journal) = boot(&[("data", "old")], Some(SwapPhase::Begun));
        assert_eq!(content(&places.data()).as_deref(), Some("old"));
        assert_eq!((journal.swap, journal.status.unwrap().state), (None, BackupTaskState::Failed));
    }

    #[test]
    fn files_that_were_swapped_out_come_back_when_the_journal_is_lost() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::new(home.path());
        places.prepare().unwrap();
        fs::create_dir(places.previous(TASK)).unwrap();
        fs::write(places.previous(TASK).join("file"), "old").unwrap();
        fs::write(places.journal(), "{ damaged").unwrap();
        recover(&places).unwrap();
        assert_eq!(content(&places.data()).as_deref(), Some("old"));
    }

    #[test]
    fn what_was_being_staged_is_dropped_and_what_is_staged_stays() {
        let home = tempfile::tempdir().unwrap();
        let places = Places::new(home.path());
        places.prepare().unwrap();
        let other = Uuid::from_u128(8);
        for folder in [places.data(), places.staging(TASK), places.staging(other), places.scratch(other)] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(places.work().join("part-1"), "x").unwrap();
        let journal = Journal { staged: Some(TASK), ..Journal::default() };
        journal.store(&places.journal()).unwrap();
        recover(&places).unwrap();
        assert!(places.staging(TASK).exists() && !places.staging(other).exists());
        assert!(!places.scratch(other).exists() && !places.work().join("part-1").exists());
    }
}
