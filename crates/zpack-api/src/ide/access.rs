//! Who may use a workspace: the cookie, and what it allows at this moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::HeaderMap;
use chrono::TimeDelta;
use domain::{account::Session, ids::InstanceId, instance::Instance};
use store::{
    StoreError,
    accounts::{SecretHash, sessions},
};

use super::Ide;
use crate::auth::{Secret, cookie};

/// How long an answer of the database is believed, and how often open connections are looked at: what ends (a logout, a
/// hold, a deletion) ends within twice this.
const BELIEVED: Duration = Duration::from_secs(2);
/// Answers that are remembered before old ones are thrown out.
const REMEMBERED: usize = 1_024;
/// How stale `last_used_at` may be.
const USED_EVERY: Duration = Duration::from_mins(1);
/// How stale a session's `last_seen_at` may be.
const SEEN_EVERY: TimeDelta = TimeDelta::minutes(5);

/// Somebody who may use a workspace that is theirs. It may be stopped or on hold.
pub struct Access {
    token_hash: SecretHash,
    session: Session,
    /// The workspace.
    pub instance: Instance,
}

/// When it was asked for, and what was said.
type Answer = (Instant, Arc<Access>);

/// Answers of the database that are fresh enough, and when workspaces were used.
#[derive(Default)]
pub struct Accesses {
    fresh: Mutex<HashMap<(SecretHash, String), Answer>>,
    noted: Mutex<HashMap<InstanceId, Instant>>,
}

/// The name of the cookie that opens one workspace: of this very host and no other, by having no `Domain`.
pub fn cookie_name(ide: &Ide) -> &'static str {
    if ide.auth.public_url.is_https() { "__Host-zlh_ide" } else { "zlh_ide" }
}

/// What the request's cookie is, if it has one.
pub fn token(ide: &Ide, headers: &HeaderMap) -> Option<Secret> {
    cookie::named(headers, cookie_name(ide))
}

/// What a cookie with this hash allows at this host.
pub async fn look_up(
    ide: &Ide,
    token_hash: SecretHash,
    hostname: &str,
) -> Result<Option<Arc<Access>>, StoreError> {
    let key = (token_hash, hostname.to_owned());
    if let Some((at, access)) = lock(&ide.accesses.fresh).get(&key)
        && at.elapsed() < BELIEVED
    {
        return Ok(Some(access.clone()));
    }
    // The time of asking: an answer is older than its arrival.
    let asked = Instant::now();
    let found = ask(ide, token_hash, hostname).await?;
    let mut fresh = lock(&ide.accesses.fresh);
    if fresh.len() >= REMEMBERED {
        fresh.retain(|_, (at, _)| at.elapsed() < BELIEVED);
    }
    match &found {
        Some(access) => drop(fresh.insert(key, (asked, access.clone()))),
        None => drop(fresh.remove(&key)),
    }
    Ok(found)
}

async fn ask(ide: &Ide, token_hash: SecretHash, hostname: &str) -> Result<Option<Arc<Access>>, StoreError> {
    let found = store::ide::access(&ide.db, &token_hash, hostname, ide.clock.now()).await?;
    let Some(found) = found else { return Ok(None) };
    let instance = store::instances::get(&ide.db, found.customer_id, found.instance_id).await?;
    Ok(instance.map(|instance| Arc::new(Access { token_hash, session: found.session, instance })))
}

impl Access {
    /// Returns once this is not allowed any more. Meanwhile the workspace counts as used. While the database is away
    /// nothing is known to have ended.
    pub async fn ended(self: Arc<Self>, ide: Ide) {
        let hostname = &self.instance.hostname;
        loop {
            tokio::time::sleep(BELIEVED).await;
            match look_up(&ide, self.token_hash, hostname).await {
                Ok(Some(now)) if now.instance.holds.is_empty() => note_use(&ide, &now).await,
                Ok(_) => return,
                Err(error) => tracing::debug!(error = ?error, "an open workspace could not be checked"),
            }
        }
    }
}

/// Notes that a workspace is used, and with it the session.
pub async fn note_use(ide: &Ide, access: &Access) {
    let id = access.instance.id;
    {
        let mut noted = lock(&ide.accesses.noted);
        if noted.get(&id).is_some_and(|at| at.elapsed() < USED_EVERY) {
            return;
        }
        if noted.len() >= REMEMBERED {
            noted.retain(|_, at| at.elapsed() < USED_EVERY);
        }
        noted.insert(id, Instant::now());
    }
    if let Err(error) = write_use(ide, access).await {
        tracing::warn!(error = ?error, instance = %id, "the use of workspace {id} could not be noted; it may be stopped as idle");
        lock(&ide.accesses.noted).remove(&id);
    }
}

async fn write_use(ide: &Ide, access: &Access) -> Result<(), StoreError> {
    let now = ide.clock.now();
    store::ide::note_use(&ide.db, access.instance.id, now).await?;
    if now - access.session.last_seen_at > SEEN_EVERY {
        let expires_at = ide.auth.session_life.expiry(access.session.created_at, now);
        sessions::prolong(&ide.db, access.session.id, expires_at, now).await?;
    }
    Ok(())
}

/// Nothing that holds one of these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
