//! What happens to every request before and after its handler.

mod address;
mod connections;
mod csrf;
mod headers;
mod load;
mod request;
mod server;
mod transfer;

pub use address::{ClientAddress, TrustedProxies};
pub use connections::ConnectionLimits;
pub use csrf::guard as guard_against_csrf;
pub use headers::{DOCS_POLICY, PAGE_POLICY, PORTAL_POLICY, security_headers, with_policy};
pub use load::{Load, bound_load};
pub use request::observe;
pub use server::Server;
pub use transfer::{Cut, Incoming, Transfers, incoming, outgoing};
