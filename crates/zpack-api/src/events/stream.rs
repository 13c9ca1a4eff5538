//! A subscription as Server-Sent Events (WHATWG HTML, 9.2).

use std::{convert::Infallible, time::Duration};

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::broadcast::error::RecvError;

use super::{Message, Subscription};

/// Proxies close connections that are silent for a minute; this is well below.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// The stream of a subscription. It begins with `resync`: whoever connects, or connects again, reads everything once
/// and misses nothing, since the subscription is older than that read.
pub fn sse(subscription: Subscription) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = stream::once(async { Ok(event(Message::Resync).retry(RETRY)) });
    let rest = stream::unfold(subscription, |mut subscription| async {
        let message = next(&mut subscription).await?;
        Some((Ok(event(message)), subscription))
    });
    Sse::new(first.chain(rest)).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("heartbeat"))
}

async fn next(subscription: &mut Subscription) -> Option<Message> {
    tokio::select! {
        biased;
        () = subscription.ended.cancelled() => None,
        received = subscription.messages.recv() => match received {
            Ok(message) => Some(message),
            Err(RecvError::Lagged(_)) => Some(Message::Resync),
            Err(RecvError::Closed) => None,
        },
    }
}

fn event(message: Message) -> Event {
    match message {
        Message::Instance(json) => Event::default().event("instance").data(json),
        Message::InstanceDeleted(json) => Event::default().event("instance_deleted").data(json),
        Message::Operation(json) => Event::default().event("operation").data(json),
        Message::Resync => Event::default().event("resync").data("{}"),
    }
}
