//! `/api/billing`: what a customer has bought, what is open, and what follows from it; and `/webhooks/stripe`.

mod buy;
mod read;
mod webhook;

pub use buy::{__path_check_out, __path_open_portal, check_out, open_portal};
pub use read::{__path_get, get};
pub use webhook::{MAX_BODY as MAX_WEBHOOK_BODY, receive};
