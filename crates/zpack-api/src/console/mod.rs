//! Consoles: what a server prints, to everybody who may see it, each line once and in order; and what they type.
//!
//! One [`Tap`](tap::Tap) for each server with open sockets reads its agent. Sockets follow it by number, each at its
//! own pace: one that is slow falls behind what the tap keeps, and then reads from the agent what it has missed. So
//! nobody waits for anybody else, and what is kept for a socket is one message.

mod buffer;
mod command;
mod follow;
mod hub;
mod input;
pub mod protocol;
mod rights;
mod socket;
mod tap;

pub use command::{CommandError, type_line};
pub use hub::Consoles;
pub use input::{checked_line, send};
pub use protocol::Stats;
pub use rights::end_forbidden;
pub use socket::{refuse, serve};
