//! Event streams: one listener on Postgres feeds the streams of every customer.

mod feed;
mod hub;
mod stream;

pub use feed::{end_expired, run_feed, still_valid};
pub use hub::{CredentialId, Hub, Message, Subscription, TooManyStreams};
pub use stream::sse;
