//! The open sockets: how many there are, what each was opened with, and the taps that they share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::ids::{CustomerId, InstanceId};
use tokio::sync::watch;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{protocol::Close, tap::Tap};
use crate::{agent::Agents, config::ConsoleSection, events::CredentialId};

/// The open consoles. Clones share them.
#[derive(Clone)]
pub struct Consoles(Arc<Inner>);

struct Inner {
    limits: ConsoleSection,
    open: Mutex<Open>,
    agents: Agents,
    closing: CancellationToken,
    sockets: TaskTracker,
}

#[derive(Default)]
struct Open {
    next: u64,
    total: usize,
    customers: HashMap<CustomerId, usize>,
    consoles: HashMap<InstanceId, Console>,
}

struct Console {
    tap: Arc<Tap>,
    sockets: HashMap<u64, Socket>,
    _stop: DropGuard,
}

struct Socket {
    opened_with: CredentialId,
    ended: watch::Sender<Option<Close>>,
}

/// A socket's place. Dropping it frees it, and the last one of a console stops its tap.
pub struct Place {
    /// What it follows.
    pub tap: Arc<Tap>,
    /// Says when it has to end, and why.
    pub ended: watch::Receiver<Option<Close>>,
    /// Whose console it is at.
    pub instance: InstanceId,
    hub: Consoles,
    customer: CustomerId,
    socket: u64,
}

impl Consoles {
    /// Nobody is there.
    pub fn new(limits: ConsoleSection, agents: Agents) -> Self {
        let (open, closing) = (Mutex::default(), CancellationToken::new());
        Self(Arc::new(Inner { limits, agents, open, closing, sockets: TaskTracker::new() }))
    }

    /// A place at an instance's console; why not, if there is none.
    pub fn enter(
        &self,
        customer: CustomerId,
        opened_with: CredentialId,
        instance: InstanceId,
    ) -> Result<Place, Close> {
        let limits = &self.0.limits;
        let mut open = self.open();
        // Under the lock: whoever comes later than this is refused, and whoever came before it is ended.
        if self.0.closing.is_cancelled() {
            return Err(Close::Restart);
        }
        let here = open.consoles.get(&instance).map_or(0, |console| console.sockets.len());
        let theirs = open.customers.get(&customer).copied().unwrap_or(0);
        let full = open.total >= limits.max_sockets as usize
            || here >= limits.sockets_per_instance as usize
            || theirs >= limits.sockets_per_customer as usize;
        if full {
            return Err(Close::TooMany);
        }
        let socket = open.next;
        open.next += 1;
        open.total += 1;
        *open.customers.entry(customer).or_default() += 1;
        let console = open.consoles.entry(instance).or_insert_with(|| self.console(instance));
        let (tell, ended) = watch::channel(None);
        console.sockets.insert(socket, Socket { opened_with, ended: tell });
        metrics::gauge!("zlh_console_sockets").increment(1);
        Ok(Place { tap: console.tap.clone(), ended, hub: self.clone(), instance, customer, socket })
    }

    fn console(&self, instance: InstanceId) -> Console {
        let (tap, stop) = (Arc::new(Tap::new(instance)), self.0.closing.child_token());
        let (fed, agents, stopped) = (tap.clone(), self.0.agents.clone(), stop.clone());
        tokio::spawn(async move { stopped.run_until_cancelled(fed.run(&agents)).await });
        Console { tap, sockets: HashMap::new(), _stop: stop.drop_guard() }
    }

    /// The bounds on consoles.
    pub fn limits(&self) -> &ConsoleSection {
        &self.0.limits
    }

    /// Reaches the agents whose consoles these are.
    pub fn agents(&self) -> &Agents {
        &self.0.agents
    }

    /// Lets a socket's work run; [`Consoles::close`] waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.sockets.spawn(work);
    }

    /// The consoles with open sockets, and what those were opened with.
    pub fn open_with(&self) -> (Vec<InstanceId>, Vec<CredentialId>) {
        let open = self.open();
        let sockets = open.consoles.values().flat_map(|console| console.sockets.values());
        (open.consoles.keys().copied().collect(), sockets.map(|socket| socket.opened_with).collect())
    }

    /// Ends the sockets that there is a reason for.
    pub fn end_where(&self, reason: impl Fn(InstanceId, CredentialId) -> Option<Close>) {
        for (instance, console) in &self.open().consoles {
            for socket in console.sockets.values() {
                if let Some(reason) = reason(*instance, socket.opened_with) {
                    socket.ended.send_replace(Some(reason));
                }
            }
        }
    }

    /// Ends every socket, and waits until each has said goodbye. There are none afterwards.
    pub async fn close(&self) {
        self.0.closing.cancel();
        self.end_where(|_, _| Some(Close::Restart));
        self.0.sockets.close();
        self.0.sockets.wait().await;
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("zlh_console_sockets").decrement(1);
        let mut open = self.hub.open();
        open.total -= 1;
        if let Some(theirs) = open.customers.get_mut(&self.customer) {
            *theirs -= 1;
            if *theirs == 0 {
                open.customers.remove(&self.customer);
            }
        }
        if let Some(console) = open.consoles.get_mut(&self.instance) {
            console.sockets.remove(&self.socket);
            if console.sockets.is_empty() {
                open.consoles.remove(&self.instance);
            }
        }
    }
}
