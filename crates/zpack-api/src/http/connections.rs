//! Who has a connection. A place is worth something only to who has proved to be speaking: when places are short, the one
//! that has waited longest without a request gives way, of the address that has most of those.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{ClientAddress, TrustedProxies};

/// Bounds on connections.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Of all.
    pub total: usize,
    /// Of one address (IPv6: one /64).
    pub per_address: usize,
    /// Whose connections are many people's.
    pub proxies: TrustedProxies,
}

/// The places. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Connections {
    limits: ConnectionLimits,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    newest: u64,
    open: HashMap<u64, IpAddr>,
    /// Those without a request so far, oldest first, and how they are told to end.
    silent: BTreeMap<u64, oneshot::Sender<()>>,
}

/// One connection's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    table: Arc<Mutex<Table>>,
    /// Completes when it has to give way.
    pub(super) evicted: oneshot::Receiver<()>,
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, table: Arc::default() }
    }

    /// A place for a connection from there; `None` if there is none, and none that would give way.
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Place> {
        let address = ClientAddress(peer).limited_as();
        let mut table = lock(&self.table);
        let theirs = table.open.values().filter(|open| **open == address).count();
        if theirs >= self.limits.per_address && !self.limits.proxies.trust(peer) && !table.evict_of(address) {
            return None;
        }
        if table.open.len() >= self.limits.total && !table.evict() {
            return None;
        }
        table.newest += 1;
        let (id, (tell, evicted)) = (table.newest, oneshot::channel());
        table.open.insert(id, address);
        table.silent.insert(id, tell);
        Some(Place { id, table: Arc::clone(&self.table), evicted })
    }
}

impl Table {
    /// Makes room by ending a silent connection of whoever has most of them.
    fn evict(&mut self) -> bool {
        let mut counts = HashMap::<IpAddr, usize>::new();
        for address in self.silent.keys().filter_map(|id| self.open.get(id)) {
            *counts.entry(*address).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.is_some_and(|(address, _)| self.evict_of(address))
    }

    /// Makes room by ending the oldest silent connection of this address.
    fn evict_of(&mut self, address: IpAddr) -> bool {
        let oldest = self.silent.keys().find(|id| self.open.get(id) == Some(&address)).copied();
        let Some(oldest) = oldest else { return false };
        self.open.remove(&oldest);
        if let Some(tell) = self.silent.remove(&oldest) {
            // One that ends by itself in this moment does not listen.
            let _ = tell.send(());
        }
        true
    }
}

impl Place {
    /// A request has come: from now on it does not give way.
    pub(super) fn has_spoken(&self) {
        lock(&self.table).silent.remove(&self.id);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        table.open.remove(&self.id);
        table.silent.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(total: usize, per_address: usize) -> Connections {
        let proxies = TrustedProxies(["10.0.0.0/8".parse().unwrap()].into());
        Connections::new(ConnectionLimits { total, per_address, proxies })
    }

    fn from(connections: &Connections, address: &str) -> Option<Place> {
        connections.admit(address.parse().unwrap())
    }

    fn is_evicted(place: &mut Place) -> bool {
        place.evicted.try_recv().is_ok()
    }

    #[test]
    fn whoever_says_nothing_gives_way_and_the_greediest_first() {
        let all = connections(4, 4);
        let mut patient = from(&all, "192.0.2.9").unwrap();
        let mut greedy = [(); 3].map(|()| from(&all, "192.0.2.1").unwrap());
        let mut new = from(&all, "192.0.2.7").unwrap();
        assert!(is_evicted(&mut greedy[0]) && !is_evicted(&mut greedy[1]));
        assert!(!is_evicted(&mut patient) && !is_evicted(&mut new));
    }

    #[test]
    fn whoever_has_spoken_stays_and_its_place_comes_back_when_it_ends() {
        let all = connections(2, 2);
        let held = [(); 2].map(|()| from(&all, "192.0.2.1").unwrap());
        held.iter().for_each(Place::has_spoken);
        assert!(from(&all, "192.0.2.7").is_none());
        drop(held);
        assert!(from(&all, "192.0.2.7").is_some());
        assert_eq!(lock(&all.table).open.len(), 0);
    }

    #[test]
    fn an_address_has_its_share_and_a_trusted_proxy_everybodys() {
        let all = connections(100, 2);
        let speaking = |address| {
            let place = from(&all, address)?;
            place.has_spoken();
            Some(place)
        };
        let _held = [speaking("2001:db8::1").unwrap(), speaking("2001:db8::2").unwrap()];
        assert!(speaking("2001:db8::3").is_none(), "one /64 is one customer");
        assert!(speaking("2001:db8:0:1::3").is_some());
        let proxied = [(); 5].map(|()| speaking("10.0.0.1"));
        assert!(proxied.iter().all(Option::is_some));
    }

    #[test]
    fn what_was_evicted_does_not_free_a_place_twice() {
        let all = connections(1, 1);
        let evicted = from(&all, "192.0.2.1").unwrap();
        let held = from(&all, "192.0.2.7").unwrap();
        held.has_spoken();
        drop(evicted);
        assert!(from(&all, "192.0.2.8").is_none());
    }
}
