//! How much a worker works on at once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Bounds of one class of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimit {
    /// Rows that have a [`Place`] at the same time: so many are worked on.
    pub at_once: usize,
    /// Rows that are claimed at the same time, those included that have left their place to wait for something.
    pub under_way: usize,
}

/// The slots of a worker, by class. Clones share them.
#[derive(Debug)]
pub struct WorkerSlots<Slot> {
    classes: Arc<HashMap<Slot, Arc<Class>>>,
}

impl<Slot> Clone for WorkerSlots<Slot> {
    fn clone(&self) -> Self {
        Self { classes: Arc::clone(&self.classes) }
    }
}

/// One class of slots.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) places: Arc<Semaphore>,
    pub(super) under_way: Arc<Semaphore>,
    /// Rows may be due that were not when they were last looked for.
    pub(super) look: Notify,
}

impl<Slot: Copy + Eq + Hash> WorkerSlots<Slot> {
    /// Slots of these classes. A row of a class that is not among them is never worked on.
    pub fn new(limits: impl IntoIterator<Item = (Slot, SlotLimit)>) -> Self {
        let class = |limit: SlotLimit| Class {
            places: Arc::new(Semaphore::new(limit.at_once)),
            under_way: Arc::new(Semaphore::new(limit.under_way)),
            look: Notify::new(),
        };
        let classes = limits.into_iter().map(|(slot, limit)| (slot, Arc::new(class(limit))));
        Self { classes: Arc::new(classes.collect()) }
    }

    pub(super) fn class(&self, slot: Slot) -> Option<&Arc<Class>> {
        self.classes.get(&slot)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Slot, Arc<Class>)> {
        self.classes.iter().map(|(slot, class)| (*slot, Arc::clone(class)))
    }
}

/// A place among the rows that are worked on. Work that only waits leaves it meanwhile, and comes back when there is room.
/// Dropping it gives it up.
#[derive(Debug)]
pub struct Place {
    places: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Place {
    /// Waits for a place among these.
    pub(super) async fn among(places: &Arc<Semaphore>) -> Self {
        let place = Self { places: Arc::clone(places), held: Mutex::new(None) };
        place.enter().await;
        place
    }

    /// One that need not be shared: for tests.
    pub fn alone() -> Self {
        Self { places: Arc::new(Semaphore::new(1)), held: Mutex::new(None) }
    }

    /// Leaves the place to others.
    pub fn leave(&self) {
        self.held().take();
    }

    /// Comes back into a place, after those that asked for one before.
    pub async fn enter(&self) {
        if self.held().is_some() {
            return;
        }
        // The semaphore is never closed.
        let permit = Arc::clone(&self.places).acquire_owned().await.ok();
        *self.held() = permit;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_is_left_is_another_ones_until_that_one_leaves_it() {
        let places = Arc::new(Semaphore::new(1));
        let first = Place::among(&places).await;
        first.leave();
        let second = Place::among(&places).await;
        let mut back = Box::pin(first.enter());
        assert!(futures_util::poll!(&mut back).is_pending(), "there is one place, and it is taken");
        second.leave();
        back.await;
        first.enter().await;
        assert_eq!(places.available_permits(), 0, "entering twice takes one place");
        drop(first);
        drop(second);
        assert_eq!(places.available_permits(), 1);
    }
}
