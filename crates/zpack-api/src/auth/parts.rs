//! What recognising somebody takes.

use std::sync::Arc;

use domain::{account::SessionLife, clock::Clock, ids::CustomerId};
use store::Db;

use crate::{config::PublicUrl, share::Shares};

/// The parts that [`Caller`](super::Caller) and everything made of it are recognised with.
pub struct Auth {
    /// Sessions and keys.
    pub db: Db,
    /// Ends them.
    pub clock: Arc<dyn Clock>,
    /// What browsers call us: decides on the cookie's name.
    pub public_url: PublicUrl,
    /// How long sessions live.
    pub session_life: SessionLife,
    /// Requests of each account that are under way.
    pub requests: Shares<CustomerId>,
}
