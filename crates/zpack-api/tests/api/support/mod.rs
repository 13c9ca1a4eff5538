//! A running API with everything it needs, and clients to talk to it.

mod client;
mod described;
mod socket;
mod world;

pub use client::{Answer, Client};
pub use socket::Socket;
pub use world::{Arrangement, PASSWORD, World, order};
