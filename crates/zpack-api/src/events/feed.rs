//! What feeds the streams: one listener on Postgres.

use std::time::Duration;

use domain::operation::OperationState;
use store::{
    Db, StoreError,
    events::{Event, Listener, Received},
};

use super::hub::{Hub, Message};
use crate::view::{InstanceView, OperationView};

/// Until the listener connects again after a failure.
const RECONNECT: Duration = Duration::from_secs(1);

/// Listens for as long as the process lives. Whenever it may have missed something, everybody starts over.
pub async fn run_feed(db: Db, hub: Hub) {
    loop {
        if let Err(error) = listen(&db, &hub).await {
            tracing::warn!(
                ?error,
                "events are interrupted; every stream starts over when the database is back"
            );
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn listen(db: &Db, hub: &Hub) -> Result<(), StoreError> {
    let mut listener = Listener::connect(db).await?;
    hub.resync_all();
    loop {
        match listener.next().await? {
            Received::Resync => hub.resync_all(),
            Received::Event(event) if hub.listens(event.customer_id) => {
                if let Err(error) = tell(db, hub, event).await {
                    tracing::warn!(
                        ?error,
                        "what has changed could not be read; the customer's streams start over"
                    );
                    hub.tell(event.customer_id, Message::Resync);
                }
            }
            Received::Event(_) => {}
        }
    }
}

/// Reads what has changed once, however many streams it goes to.
async fn tell(db: &Db, hub: &Hub, event: Event) -> Result<(), StoreError> {
    let Event { customer_id, instance_id, operation_id } = event;
    let mut with_instance = operation_id.is_none();
    if let Some(id) = operation_id
        && let Some(operation) = store::operations::get(db, customer_id, id).await?
    {
        // An operation that begins or ends changes its instance's `active_operation`.
        with_instance = operation.state == OperationState::Queued || !operation.state.is_active();
        hub.tell(customer_id, Message::Operation(json(&OperationView::from(operation))));
    }
    if !with_instance {
        return Ok(());
    }
    let message = match store::instances::get(db, customer_id, instance_id).await? {
        Some(instance) => Message::Instance(json(&InstanceView::from(instance))),
        None => Message::InstanceDeleted(json(&serde_json::json!({ "id": instance_id }))),
    };
    hub.tell(customer_id, message);
    Ok(())
}

fn json(value: &impl serde::Serialize) -> std::sync::Arc<str> {
    serde_json::to_string(value).unwrap_or_default().into()
}
