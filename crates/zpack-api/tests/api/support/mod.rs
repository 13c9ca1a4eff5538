//! A running API with everything it needs, and clients to talk to it.

mod client;
mod world;

pub use client::{Answer, Client};
pub use world::{Arrangement, PASSWORD, World, order};
