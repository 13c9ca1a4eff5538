//! Who is listening: the open streams by customer, each with the credential that opened it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::ids::{ApiKeyId, CustomerId, SessionId};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Messages that a slow stream may be behind. Beyond them it is told to start over.
const BACKLOG: usize = 64;

/// What a stream is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// An instance as it is now, in JSON.
    Instance(Arc<str>),
    /// The id of an instance that is no more, in JSON.
    InstanceDeleted(Arc<str>),
    /// An operation as it is now, in JSON.
    Operation(Arc<str>),
    /// Something may have been missed: read everything again.
    Resync,
}

/// The open streams. Clones share them.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    customers: Mutex<HashMap<CustomerId, Customer>>,
    next: AtomicU64,
    limit: usize,
    closing: CancellationToken,
}

struct Customer {
    messages: broadcast::Sender<Message>,
    streams: HashMap<u64, Stream>,
}

struct Stream {
    opened_with: CredentialId,
    ended: CancellationToken,
}

/// What a stream ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialId {
    /// A session.
    Session(SessionId),
    /// An API key.
    Key(ApiKeyId),
}

/// The account has as many streams open as it may.
#[derive(Debug)]
pub struct TooManyStreams(pub usize);

/// A stream's end of the hub. Dropping it frees its place.
pub struct Subscription {
    /// What it is told.
    pub messages: broadcast::Receiver<Message>,
    /// Cancelled when it has to end.
    pub ended: CancellationToken,
    _leave: Leave,
}

struct Leave {
    hub: Hub,
    customer: CustomerId,
    stream: u64,
    _token: DropGuard,
}

impl Hub {
    /// Nobody listens; at most `limit` streams for one customer.
    pub fn new(limit: u32) -> Self {
        Self(Arc::new(Inner {
            customers: Mutex::default(),
            next: AtomicU64::new(0),
            limit: limit as usize,
            closing: CancellationToken::new(),
        }))
    }

    /// Opens a stream.
    pub fn subscribe(
        &self,
        whose: CustomerId,
        opened_with: CredentialId,
    ) -> Result<Subscription, TooManyStreams> {
        let mut customers = self.customers();
        let customer = customers
            .entry(whose)
            .or_insert_with(|| Customer { messages: broadcast::channel(BACKLOG).0, streams: HashMap::new() });
        if customer.streams.len() >= self.0.limit {
            return Err(TooManyStreams(self.0.limit));
        }
        let stream = self.0.next.fetch_add(1, Ordering::Relaxed);
        let ended = self.0.closing.child_token();
        metrics::gauge!("zlh_event_streams").increment(1);
        customer.streams.insert(stream, Stream { opened_with, ended: ended.clone() });
        let leave = Leave { hub: self.clone(), customer: whose, stream, _token: ended.clone().drop_guard() };
        Ok(Subscription { messages: customer.messages.subscribe(), ended, _leave: leave })
    }

    /// Whether anybody listens for this customer.
    pub fn listens(&self, customer: CustomerId) -> bool {
        self.customers().contains_key(&customer)
    }

    /// Tells the customer's streams.
    pub fn tell(&self, customer: CustomerId, message: Message) {
        if let Some(customer) = self.customers().get(&customer) {
            // An error means that the last stream has just left.
            let _ = customer.messages.send(message);
        }
    }

    /// Tells every stream to start over.
    pub fn resync_all(&self) {
        for customer in self.customers().values() {
            let _ = customer.messages.send(Message::Resync);
        }
    }

    /// What the open streams were opened with.
    pub fn credentials(&self) -> Vec<CredentialId> {
        let customers = self.customers();
        let streams = customers.values().flat_map(|customer| customer.streams.values());
        streams.map(|stream| stream.opened_with).collect()
    }

    /// Ends the streams whose credential `still_valid` does not hold for.
    pub fn end_unless(&self, still_valid: impl Fn(&CredentialId) -> bool) {
        let customers = self.customers();
        let streams = customers.values().flat_map(|customer| customer.streams.values());
        streams.filter(|stream| !still_valid(&stream.opened_with)).for_each(|stream| stream.ended.cancel());
    }

    /// Ends every stream, and each one that is opened later at once.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    fn customers(&self) -> MutexGuard<'_, HashMap<CustomerId, Customer>> {
        self.0.customers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        metrics::gauge!("zlh_event_streams").decrement(1);
        let mut customers = self.hub.customers();
        if let Some(customer) = customers.get_mut(&self.customer) {
            customer.streams.remove(&self.stream);
            if customer.streams.is_empty() {
                customers.remove(&self.customer);
            }
        }
    }
}
