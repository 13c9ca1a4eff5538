//! Ends sockets whose owner may not go on: the session or key has ended, the server is deleted or on hold.

use std::collections::{HashMap, HashSet};

use store::{
    Db, StoreError,
    instances::{Standing, standings},
};

use super::hub::Consoles;
use super::protocol::Close;
use crate::events::Credentials;

/// Looks once at all open sockets. While the database is away they may stay.
pub async fn end_forbidden(db: &Db, consoles: &Consoles, sessions: &Credentials) -> Result<(), StoreError> {
    let (instances, credentials) = consoles.open_with();
    if instances.is_empty() {
        return Ok(());
    }
    let valid = sessions.still_valid(&credentials).await?;
    // Only what was asked about: a socket opened meanwhile is looked at next time.
    let ended: HashSet<_> = credentials.into_iter().filter(|id| !valid.contains(id)).collect();
    let found = standings(db, &instances).await?;
    let mut reasons: HashMap<_, _> = instances.into_iter().map(|id| (id, Some(Close::Deleted))).collect();
    reasons.extend(found.iter().map(|standing| (standing.id, reason(standing))));
    consoles.end_where(|instance, credential| {
        if ended.contains(&credential) {
            return Some(Close::SessionEnded);
        }
        reasons.get(&instance).copied().flatten()
    });
    Ok(())
}

fn reason(standing: &Standing) -> Option<Close> {
    match standing {
        Standing { active: false, .. } => Some(Close::Deleted),
        Standing { on_hold: true, .. } => Some(Close::OnHold),
        Standing { .. } => None,
    }
}
