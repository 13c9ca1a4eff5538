//! Power: what is asked for, who brings it to the agent, and what was seen.
//!
//! Architecture invariants: a power request is one transaction with its audit row; it is brought to an agent by whoever
//! holds its lease and nobody else; one that was made since ends no other.

mod deliver;
mod observe;
mod request;

pub use deliver::{Delivery, claim_due, delivered, retry_later};
pub use observe::{LoadSample, Sighting, forget_old_samples, in_transition, record_seen, samples};
pub(crate) use request::{Asked, put};
pub use request::{PowerRequest, request};

use domain::agent::PowerAction;

use crate::StoreError;

const ACTIONS: [(PowerAction, &str); 4] = [
    (PowerAction::Start, "start"),
    (PowerAction::Stop, "stop"),
    (PowerAction::Restart, "restart"),
    (PowerAction::Kill, "kill"),
];

fn text(action: PowerAction) -> &'static str {
    ACTIONS.iter().find(|(known, _)| *known == action).map_or("stop", |(_, text)| text)
}

fn parse(stored: &str) -> Result<PowerAction, StoreError> {
    let known = ACTIONS.iter().find(|(_, text)| *text == stored);
    known
        .map(|(action, _)| *action)
        .ok_or_else(|| StoreError::corrupt("power_requests", format!("{stored:?} is not a power action")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_stored_and_read() {
        for action in [PowerAction::Start, PowerAction::Stop, PowerAction::Restart, PowerAction::Kill] {
            assert_eq!(parse(text(action)).unwrap(), action);
        }
        assert!(parse("explode").is_err());
    }
}
