//! Whether what streams and consoles were opened with is still good: their sessions and API keys.

use std::{collections::HashSet, sync::Arc};

use domain::clock::Clock;
use store::{Db, StoreError, accounts::sessions};

use super::hub::{CredentialId, Hub};

/// The sessions and keys of open streams. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    db: Db,
    clock: Arc<dyn Clock>,
}

impl Credentials {
    /// Those of this database.
    pub fn new(db: Db, clock: Arc<dyn Clock>) -> Self {
        Self { db, clock }
    }

    /// Ends streams whose session or key has ended. While the database is away nothing is told to anybody, so the streams
    /// may stay.
    pub async fn end_expired(&self, hub: &Hub) -> Result<(), StoreError> {
        let open = hub.credentials();
        if open.is_empty() {
            return Ok(());
        }
        let valid = self.still_valid(&open).await?;
        // Only those that were asked about: one opened meanwhile is asked about next time.
        let ended: HashSet<_> = open.into_iter().filter(|id| !valid.contains(id)).collect();
        hub.end_unless(|id| !ended.contains(id));
        Ok(())
    }

    /// Those of these sessions and keys that have not ended.
    pub async fn still_valid(&self, open: &[CredentialId]) -> Result<HashSet<CredentialId>, StoreError> {
        let (mut session_ids, mut key_ids) = (Vec::new(), Vec::new());
        for id in open {
            match id {
                CredentialId::Session(id) => session_ids.push(*id),
                CredentialId::Key(id) => key_ids.push(*id),
            }
        }
        let (session_ids, key_ids) =
            sessions::still_valid(&self.db, &session_ids, &key_ids, self.clock.now()).await?;
        let sessions = session_ids.into_iter().map(CredentialId::Session);
        Ok(sessions.chain(key_ids.into_iter().map(CredentialId::Key)).collect())
    }
}
