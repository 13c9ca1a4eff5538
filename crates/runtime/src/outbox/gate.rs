//! Whether a channel can send anything at all, as its last attempts showed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Open while all is well. Closed it lets one notification through now and then, to see whether it is mended.
#[derive(Default)]
pub(super) struct Gate(Mutex<Option<Closed>>);

#[derive(Clone, Copy)]
struct Closed {
    /// What was begun before says nothing of how it is now.
    since: Instant,
    until: Instant,
}

impl Gate {
    /// How many of `free` notifications may be tried now.
    pub(super) fn lets_through(&self, free: usize) -> usize {
        match *self.lock() {
            None => free,
            Some(closed) if closed.until <= Instant::now() => free.min(1),
            Some(_) => 0,
        }
    }

    /// Nothing is tried for this time. Whether it was open before.
    pub(super) fn close_for(&self, pause: Duration) -> bool {
        let (mut closed, now) = (self.lock(), Instant::now());
        let since = closed.map_or(now, |it| it.since);
        closed.replace(Closed { since, until: now + pause }).is_none()
    }

    /// Something that was begun at this time could be sent, or was refused for a reason of its own: everything is tried again.
    /// Whether it was closed before.
    pub(super) fn open(&self, begun: Instant) -> bool {
        let mut closed = self.lock();
        if closed.is_some_and(|it| begun < it.since) {
            return false;
        }
        closed.take().is_some()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Closed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn closed_it_lets_one_through_after_each_pause_and_open_again_all() {
        let (gate, before) = (Gate::default(), Instant::now());
        assert_eq!(gate.lets_through(4), 4);
        assert!(gate.close_for(Duration::from_mins(1)) && gate.lets_through(4) == 0);
        let pause = Duration::from_millis(5);
        assert!(!gate.close_for(pause), "it was closed already");
        tokio::time::sleep(2 * pause).await;
        assert_eq!((gate.lets_through(4), gate.lets_through(0)), (1, 0));
        assert!(!gate.open(before), "that one was under way when it was closed");
        let begun = Instant::now();
        assert!(gate.open(begun) && !gate.open(begun));
        assert_eq!(gate.lets_through(4), 4);
    }
}
