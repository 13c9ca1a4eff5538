//! What customers are told as it happens: Postgres NOTIFY on `zlh_events`, one listener per process.

use domain::ids::{CustomerId, InstanceId, OperationId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgListener;

use crate::{Db, StoreError};

pub(crate) const EVENTS_CHANNEL: &str = "zlh_events";

/// Something of this customer has changed; the rows say what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Whose.
    pub customer_id: CustomerId,
    /// Which instance.
    pub instance_id: InstanceId,
    /// Which operation, if it was one.
    #[serde(default)]
    pub operation_id: Option<OperationId>,
}

impl Event {
    /// Something of an operation has changed.
    pub const fn of_operation(customer: CustomerId, instance: InstanceId, operation: OperationId) -> Self {
        Self { customer_id: customer, instance_id: instance, operation_id: Some(operation) }
    }
}

/// A connection of its own that waits for events.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
}

/// What a listener received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// An event.
    Event(Event),
    /// The connection was lost and is back: anything may have been missed.
    Resync,
}

impl Listener {
    /// Connects and listens.
    pub async fn connect(db: &Db) -> Result<Self, StoreError> {
        let mut inner = PgListener::connect_with(db.pool()).await?;
        inner.listen(EVENTS_CHANNEL).await?;
        Ok(Self { inner })
    }

    /// Waits for the next. After an error the listener is to be made anew.
    pub async fn next(&mut self) -> Result<Received, StoreError> {
        match self.inner.try_recv().await? {
            None => Ok(Received::Resync),
            Some(notification) => serde_json::from_str(notification.payload())
                .map(Received::Event)
                .map_err(|e| StoreError::corrupt("zlh_events", e)),
        }
    }
}
