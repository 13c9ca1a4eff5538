//! How much of the plan's disk space is used. What is being written is reserved before it is, so that two uploads at
//! once cannot both take the last bytes. What the server itself writes is found by counting.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use domain::agent::ServiceSpec;
use tokio::sync::watch;

use super::error::{FileError, Result, Why};

/// Uses and reservations.
#[derive(Debug)]
pub(super) struct Quota {
    spec: watch::Receiver<Option<Arc<ServiceSpec>>>,
    state: Mutex<State>,
    shown: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct State {
    used: u64,
    reserved: u64,
    /// How often `used` was changed by something other than a count.
    changes: u64,
}

impl Quota {
    pub(super) fn new(spec: watch::Receiver<Option<Arc<ServiceSpec>>>) -> Arc<Self> {
        Arc::new(Self { spec, state: Mutex::default(), shown: Arc::default() })
    }

    /// The plan's bound, in bytes.
    pub(super) fn limit(&self) -> Option<u64> {
        self.spec.borrow().as_ref().and_then(|spec| spec.disk_limit_bytes)
    }

    /// The number itself, for whoever shows it.
    pub(super) fn shown(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shown)
    }

    /// Room for `bytes`, until it is committed or dropped.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation> {
        let mut reservation = Reservation { quota: Arc::clone(self), bytes: 0 };
        reservation.grow_to(bytes)?;
        Ok(reservation)
    }

    /// `bytes` were deleted.
    pub(super) fn free(&self, bytes: u64) {
        self.change(|state| {
            state.used = state.used.saturating_sub(bytes);
            state.changes += 1;
        });
    }

    /// How often the number has been changed; for a count, before it begins.
    pub(super) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Takes over what was counted. False when something was written or deleted meanwhile, so that the count may have
    /// seen it or not; then the larger of both numbers is kept.
    pub(super) fn counted(&self, bytes: u64, changes_before: u64) -> bool {
        let mut sound = true;
        self.change(|state| {
            sound = state.changes == changes_before;
            state.used = if sound { bytes } else { state.used.max(bytes) };
        });
        sound
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        self.shown.store(state.used, Ordering::Relaxed);
    }
}

/// Room that nobody else gets.
#[derive(Debug)]
pub(super) struct Reservation {
    quota: Arc<Quota>,
    bytes: u64,
}

impl Reservation {
    /// Room for `bytes` in all.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<()> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(());
        }
        let limit = self.quota.limit().unwrap_or(u64::MAX);
        let mut state = self.quota.state();
        let total = state.used.checked_add(state.reserved).and_then(|taken| taken.checked_add(more));
        if total.is_none_or(|total| total > limit) {
            return Err(FileError::from(Why::QuotaExceeded));
        }
        state.reserved += more;
        self.bytes += more;
        Ok(())
    }

    /// Done: `added` bytes have a name now, and `removed` have none any more.
    pub(super) fn commit(self, added: u64, removed: u64) {
        self.quota.change(|state| {
            state.used = state.used.saturating_add(added).saturating_sub(removed);
            state.changes += 1;
        });
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.change(|state| state.reserved = state.reserved.saturating_sub(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(limit: Option<u64>) -> Arc<Quota> {
        let text = format!(
            r#"{{"revision": "1", "install": [], "run": {{"argv": ["x"], "stop": {{"grace_seconds": 1}}}},
                "ready": {{"probe": {{"kind": "tcp", "port": 1}}, "deadline_seconds": 1}},
                "disk_limit_bytes": {}}}"#,
            limit.map_or("null".to_owned(), |limit| limit.to_string())
        );
        let spec: ServiceSpec = serde_json::from_str(&text).unwrap();
        Quota::new(watch::channel(Some(Arc::new(spec))).1)
    }

    #[test]
    fn two_uploads_cannot_take_the_same_bytes() {
        let quota = quota(Some(100));
        let first = quota.reserve(60).unwrap();
        assert_eq!(quota.reserve(60).unwrap_err().class().0, "quota_exceeded");
        let mut second = quota.reserve(40).unwrap();
        assert!(second.grow_to(41).is_err());
        drop(second);
        first.commit(60, 0);
        assert!(quota.reserve(40).is_ok() && quota.reserve(41).is_err());
        quota.free(60);
        assert!(quota.reserve(100).is_ok());
    }

    #[test]
    fn a_count_that_something_was_written_under_does_not_make_room() {
        let quota = quota(None);
        let before = quota.changes();
        quota.reserve(60).unwrap().commit(60, 0);
        assert!(!quota.counted(0, before));
        assert_eq!(quota.shown().load(Ordering::Relaxed), 60);
        assert!(quota.counted(10, quota.changes()));
        assert_eq!(quota.shown().load(Ordering::Relaxed), 10);
    }
}
