//! How much a worker works on at once.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds of one class of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLimit {
    /// Rows worked on at the same time.
    pub at_once: usize,
    /// Rows that may wait for a slot in this process. What waits is a job that the queue counts as begun, and a successor
    /// takes all of those over at once. With 0 a row without a free slot is left to a later sweep: right for work that
    /// takes long, so that nothing waits behind it.
    pub waiting: usize,
}

/// The slots of a worker, by class. Clones share them.
#[derive(Debug)]
pub struct WorkerSlots<Id, Slot> {
    classes: Arc<HashMap<Slot, Class<Id>>>,
}

impl<Id, Slot> Clone for WorkerSlots<Id, Slot> {
    fn clone(&self) -> Self {
        Self { classes: Arc::clone(&self.classes) }
    }
}

#[derive(Debug)]
struct Class<Id> {
    free: Arc<Semaphore>,
    most_waiting: usize,
    waiting: Mutex<HashSet<Id>>,
}

impl<Id: Copy + Eq + Hash, Slot: Copy + Eq + Hash> WorkerSlots<Id, Slot> {
    /// Slots of these classes. A row of a class that is not among them is never worked on.
    pub fn new(limits: impl IntoIterator<Item = (Slot, SlotLimit)>) -> Self {
        let class = |limit: SlotLimit| Class {
            free: Arc::new(Semaphore::new(limit.at_once)),
            most_waiting: limit.waiting,
            waiting: Mutex::default(),
        };
        Self { classes: Arc::new(limits.into_iter().map(|(slot, limit)| (slot, class(limit))).collect()) }
    }

    /// A slot for this row, now or when one is free; `None` if it is not to be waited for. A job of a row that waits
    /// already does not wait too: the queue does not know of that one any more, and sweeps enqueue the row again and
    /// again.
    pub(super) async fn take(&self, id: Id, slot: Slot) -> Option<OwnedSemaphorePermit> {
        let class = self.classes.get(&slot)?;
        if let Ok(permit) = class.free.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _waiting = Waiting::begin(class, id)?;
        class.free.clone().acquire_owned().await.ok()
    }
}

/// One row that waits; until this is dropped.
struct Waiting<'a, Id: Eq + Hash> {
    class: &'a Class<Id>,
    id: Id,
}

impl<'a, Id: Copy + Eq + Hash> Waiting<'a, Id> {
    /// `None` if it waits already, or too many do.
    fn begin(class: &'a Class<Id>, id: Id) -> Option<Self> {
        let mut waiting = class.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Made only then: what is dropped here would take the place of the one that waits.
        (waiting.len() < class.most_waiting && waiting.insert(id)).then(|| Self { class, id })
    }
}

impl<Id: Eq + Hash> Drop for Waiting<'_, Id> {
    fn drop(&mut self) {
        self.class.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_of_a_row_that_waits_already_does_not_wait_too() {
        let slots = WorkerSlots::new([("short", SlotLimit { at_once: 1, waiting: 8 })]);
        let take = |id: u32| {
            let slots = slots.clone();
            tokio::spawn(async move { slots.take(id, "short").await })
        };
        let held = take(1).await.unwrap();
        let waits = take(2);
        let waiting = || slots.classes["short"].waiting.lock().unwrap().len();
        while waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(take(2).await.unwrap().is_none());
        drop(held);
        assert!(waits.await.unwrap().is_some());
        assert_eq!(waiting(), 0);
    }

    #[tokio::test]
    async fn a_class_is_waited_for_by_so_many_and_does_not_take_from_another() {
        let limit = |waiting| SlotLimit { at_once: 1, waiting };
        let slots = WorkerSlots::new([("short", limit(1)), ("long", limit(0))]);
        let short = slots.take(1, "short").await;
        let long = slots.take(2, "long").await;
        assert!(short.is_some() && long.is_some());
        assert!(slots.take(3, "long").await.is_none(), "nothing waits for a long slot");
        let waits = tokio::spawn({
            let slots = slots.clone();
            async move { slots.take(4, "short").await.is_some() }
        });
        while slots.classes["short"].waiting.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(slots.take(5, "short").await.is_none(), "one may wait, and one does");
        drop(short);
        assert!(waits.await.unwrap());
        assert!(slots.take(6, "of no class").await.is_none());
    }
}
