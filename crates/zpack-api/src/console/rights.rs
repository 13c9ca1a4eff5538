//! Ends sockets whose owner may not go on: the session or key has ended, the server is deleted or on hold.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use store::{
    StoreError,
    instances::{Standing, standings},
};

use super::protocol::Close;
use crate::{app::App, events};

/// A socket ends at most this much, and the look's own time, after its right to be there.
const EVERY: Duration = Duration::from_secs(2);

/// Looks for as long as the process lives. While the database is away the sockets may stay.
pub async fn check(app: App) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = look(&app).await {
            tracing::warn!(error = ?error, "the rights of open consoles could not be checked");
        }
    }
}

/// Looks once.
async fn look(app: &App) -> Result<(), StoreError> {
    let (instances, credentials) = app.consoles.open_with();
    if instances.is_empty() {
        return Ok(());
    }
    let valid = events::still_valid(app, &credentials).await?;
    // Only what was asked about: a socket opened meanwhile is looked at next time.
    let ended: HashSet<_> = credentials.into_iter().filter(|id| !valid.contains(id)).collect();
    let found = standings(&app.db, &instances).await?;
    let mut reasons: HashMap<_, _> = instances.into_iter().map(|id| (id, Some(Close::Deleted))).collect();
    reasons.extend(found.iter().map(|standing| (standing.id, reason(standing))));
    app.consoles.end_where(|instance, credential| {
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
