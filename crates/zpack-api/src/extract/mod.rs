//! What handlers take out of requests, with our own answer where that is not possible.

mod headers;
mod json;
mod query;

pub use headers::{Etag, IdempotencyKey, IfMatch};
pub use json::ValidJson;
pub use query::{Listed, ValidQuery};
