//! Shares of something bounded: so many at the same time for each, so that one does not take what is everybody's.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// How many of each there are, of those that have any. Clones share it.
#[derive(Debug)]
pub struct Shares<K> {
    taken: Arc<Mutex<HashMap<K, usize>>>,
    most: usize,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Self {
        Self { taken: Arc::clone(&self.taken), most: self.most }
    }
}

/// One of somebody's share; dropping it gives it back.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    of: K,
    shares: Shares<K>,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// So many for each.
    pub fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// How many each may have.
    pub fn most(&self) -> usize {
        self.most
    }

    /// One more for this one; `None` if it has its share.
    pub fn take(&self, of: K) -> Option<Share<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(of.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { of, shares: self.clone() })
    }

    /// How many there are of all.
    pub fn total(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_each_ones_own_and_comes_back() {
        let shares = Shares::new(2);
        let held = [shares.take("a").unwrap(), shares.take("a").unwrap()];
        assert!(shares.take("a").is_none() && shares.take("b").is_some());
        drop(held);
        assert!(shares.take("a").is_some());
        assert_eq!(shares.taken.lock().unwrap().len(), 0, "nothing is kept of who has none");
    }
}
