//! Who is asking, and what they may do.
//!
//! Architecture invariant: a handler learns who asks only from an argument of one of these types, and gets somebody's
//! things only by one: [`May<P>`] (with the permission P), [`Owned<T, P>`] (a thing of the caller's own),
//! [`SignedIn`] (a person, not a script), [`Operator`]. None of them can be made anywhere else.

mod caller;
pub mod cookie;
mod owned;
mod parts;
mod permission;
mod secret;

pub use caller::{Caller, Credential, SignedIn, operator_actor};
pub use owned::{Ownable, Owned};
pub use parts::Auth;
pub use permission::{
    ChangePlans, CreateBackups, CreateInstances, ManageBackups, May, Operator, Permission, PowerInstances,
    ReadAccount, ReadFiles, ReadInstances, RestoreBackups, Schedules, UseConsole, WatchConsole, WriteFiles,
    WriteInstances,
};
pub use secret::{API_KEY_PREFIX, Secret};
