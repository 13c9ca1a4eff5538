//! Event streams: one listener on Postgres feeds the streams of every customer.

mod credentials;
mod feed;
mod hub;
mod stream;

pub use credentials::Credentials;
pub use feed::run_feed;
pub use hub::{CredentialId, Hub, Message, Subscription, TooManyStreams};
pub use stream::sse;
