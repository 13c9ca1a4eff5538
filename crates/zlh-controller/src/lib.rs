//! zlh-controller: looks at rows and at what is outside, and says what differs, with evidence. One of all its processes leads;
//! where an operator allows Level 1 it asks for repairs, which repair-worker makes. It changes nothing outside itself.
//!
//! `lead` is who looks, `wait` when, `pass` one look and what follows from it, `routes` what Traefik has taken up, `say` what the log says of it, `commands` the
//! same for a person at a terminal, `tell` how operators hear of it. What the outbox has is sent here whoever leads: `tell` and
//! `mail` are its channels, `outbox` the sender and the watch over it.

pub mod commands;
pub mod config;
pub mod lead;
pub mod mail;
pub mod outbox;
pub mod pass;
pub mod routes;
mod say;
pub mod serve;
pub mod tell;
mod wait;
