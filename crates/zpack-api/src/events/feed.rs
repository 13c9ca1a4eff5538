//! What feeds the streams: one listener on Postgres, and one look at the streams' credentials every few seconds.

use std::{collections::HashSet, time::Duration};

use domain::operation::OperationState;
use store::{
    StoreError,
    accounts::sessions,
    events::{Event, Listener, Received},
};

use super::hub::{CredentialId, Message};
use crate::{
    app::App,
    view::{InstanceView, OperationView},
};

/// Until the listener connects again after a failure.
const RECONNECT: Duration = Duration::from_secs(1);

/// Listens for as long as the process lives. Whenever it may have missed something, everybody starts over.
pub async fn run_feed(app: App) {
    loop {
        if let Err(error) = listen(&app).await {
            tracing::warn!(
                ?error,
                "events are interrupted; every stream starts over when the database is back"
            );
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn listen(app: &App) -> Result<(), StoreError> {
    let mut listener = Listener::connect(&app.db).await?;
    app.events.resync_all();
    loop {
        match listener.next().await? {
            Received::Resync => app.events.resync_all(),
            Received::Event(event) if app.events.listens(event.customer_id) => {
                if let Err(error) = tell(app, event).await {
                    tracing::warn!(
                        ?error,
                        "what has changed could not be read; the customer's streams start over"
                    );
                    app.events.tell(event.customer_id, Message::Resync);
                }
            }
            Received::Event(_) => {}
        }
    }
}

/// Reads what has changed once, however many streams it goes to.
async fn tell(app: &App, event: Event) -> Result<(), StoreError> {
    let Event { customer_id, instance_id, operation_id } = event;
    let mut with_instance = operation_id.is_none();
    if let Some(id) = operation_id
        && let Some(operation) = store::operations::get(&app.db, customer_id, id).await?
    {
        // An operation that begins or ends changes its instance's `active_operation`.
        with_instance = operation.state == OperationState::Queued || !operation.state.is_active();
        app.events.tell(customer_id, Message::Operation(json(&OperationView::from(operation))));
    }
    if !with_instance {
        return Ok(());
    }
    let message = match store::instances::get(&app.db, customer_id, instance_id).await? {
        Some(instance) => Message::Instance(json(&InstanceView::from(instance))),
        None => Message::InstanceDeleted(json(&serde_json::json!({ "id": instance_id }))),
    };
    app.events.tell(customer_id, message);
    Ok(())
}

fn json(value: &impl serde::Serialize) -> std::sync::Arc<str> {
    serde_json::to_string(value).unwrap_or_default().into()
}

/// Ends streams whose session or key has ended. While the database is away nothing is told to anybody, so the streams
/// may stay.
pub async fn end_expired(app: &App) -> Result<(), StoreError> {
    let open = app.events.credentials();
    if open.is_empty() {
        return Ok(());
    }
    let valid = still_valid(app, &open).await?;
    // Only those that were asked about: one opened meanwhile is asked about next time.
    let ended: HashSet<_> = open.into_iter().filter(|id| !valid.contains(id)).collect();
    app.events.end_unless(|id| !ended.contains(id));
    Ok(())
}

/// Those of these sessions and keys that have not ended.
pub async fn still_valid(app: &App, open: &[CredentialId]) -> Result<HashSet<CredentialId>, StoreError> {
    let (mut session_ids, mut key_ids) = (Vec::new(), Vec::new());
    for id in open {
        match id {
            CredentialId::Session(id) => session_ids.push(*id),
            CredentialId::Key(id) => key_ids.push(*id),
        }
    }
    let (session_ids, key_ids) =
        sessions::still_valid(&app.db, &session_ids, &key_ids, app.clock.now()).await?;
    let sessions = session_ids.into_iter().map(CredentialId::Session);
    Ok(sessions.chain(key_ids.into_iter().map(CredentialId::Key)).collect())
}
