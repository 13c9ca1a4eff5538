//! Instances: asking for one, reading them, changing them. Every function that a customer's request reaches takes
//! the customer.

mod change;
mod create;
mod read;
mod routes;
mod standing;

pub use crate::idempotency::{Requested as Created, forget_old_keys};
pub use change::{DeleteOutcome, DeleteRequest, Renamed, rename, request_delete};
pub use create::{CreateError, NewInstance, PortRequest, create};
pub use read::{get, get_for_work, hostname_is_taken, list, search};
pub use routes::{host_routes, port_routes};
pub use standing::{Standing, standings};
