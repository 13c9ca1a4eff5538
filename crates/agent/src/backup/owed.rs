//! Lines owed to the game, for example `save-on`. They are written down before the game is told what they undo, and are
//! owed until it has taken them, or is down and has forgotten all it was told.

use std::{io, time::Duration};

use tracing::warn;

use super::{Backups, error::BackupError, game::Game, journal::Journal};

/// Until what was not taken is tried again: a game that does not read tells nothing when it reads again.
const AGAIN: Duration = Duration::from_secs(10);

impl Backups {
    /// Notes lines that the game is owed, before it is told anything that they undo.
    pub(super) async fn owe(&self, lines: Vec<String>) -> Result<(), BackupError> {
        let mut state = self.0.state.lock().await;
        let journal = Journal { owed: lines, ..state.journal.clone() };
        let stored = self.save(&mut state, journal).await;
        stored.map_err(|refusal| BackupError::at("the agent's state", io::Error::other(refusal)))?;
        state.held = true;
        Ok(())
    }

    /// The copy is made, or never will be: sends what is owed, now or as soon as the game takes it.
    pub(super) async fn release(&self) {
        self.0.state.lock().await.held = false;
        if !self.pay().await {
            self.0.unpaid.notify_one();
        }
    }

    /// Sends what an earlier agent owes, and what could not be sent when it was due.
    pub(super) async fn keep_paying(self) {
        let game = Game(self.0.service.clone());
        loop {
            let seen = game.seen().await;
            if self.pay().await {
                self.0.unpaid.notified().await;
            } else {
                game.changed(seen, AGAIN).await;
            }
        }
    }

    /// False when the game is still owed something.
    async fn pay(&self) -> bool {
        let mut state = self.0.state.lock().await;
        if state.held || state.journal.owed.is_empty() {
            return true;
        }
        if !Game(self.0.service.clone()).say(&state.journal.owed).await {
            return false;
        }
        let journal = Journal { owed: Vec::new(), ..state.journal.clone() };
        if let Err(refusal) = self.save(&mut state, journal).await {
            warn!(%refusal, "that the game got its lines could not be saved; they may be sent again: {refusal}");
        }
        true
    }
}
