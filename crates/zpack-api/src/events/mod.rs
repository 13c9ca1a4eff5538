//! Event streams: one listener on Postgres feeds the streams of every customer.

mod feed;
mod hub;
mod stream;

pub use feed::{check_credentials, run_feed};
pub use hub::{Hub, Message, Subscription, TooManyStreams};
pub use stream::sse;
