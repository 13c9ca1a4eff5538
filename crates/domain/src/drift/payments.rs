//! Stripe's events that do not arrive, or that nobody processes: then somebody may have paid, and stay suspended.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Finding, Look, Rule, rules::general};

/// How long an event may wait before somebody should look. Stripe itself may be away for longer, and then this says so.
const WAITS: TimeDelta = TimeDelta::minutes(15);

/// What is known of Stripe's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentFacts {
    /// When events that never arrived were looked for last.
    pub compared_at: Option<DateTime<Utc>>,
    /// How many were found then.
    pub lost: i32,
    /// What is wrong with the endpoint that Stripe calls, as Stripe says.
    pub endpoint_problem: Option<String>,
    /// Events that wait to be processed.
    pub waiting: i64,
    /// Since when the oldest of them does.
    pub waiting_since: Option<DateTime<Utc>>,
    /// Why the oldest could not be processed.
    pub error: Option<String>,
}

/// Everything about Stripe's events that is not as it should be.
pub(super) fn find(look: &Look) -> Vec<Finding> {
    lost(&look.payments).into_iter().chain(waiting(&look.payments, look.now)).collect()
}

fn lost(facts: &PaymentFacts) -> Option<Finding> {
    let observed = match (&facts.endpoint_problem, facts.lost) {
        (Some(problem), _) => problem.clone(),
        (None, 0) => return None,
        (None, lost) => format!("{lost} events of the last 30 days had not arrived when they were compared"),
    };
    Some(Finding {
        subject: "webhooks of Stripe".to_owned(),
        desired: "every event by its webhook".to_owned(),
        proposal: Some(
            "look at the endpoint at Stripe (Developers, Webhooks) and whether it reaches us; what was lost was processed by the \
             comparison, which can be asked for at any time"
                .to_owned(),
        ),
        ..general(Rule::StripeEventsLost, observed)
    })
}

fn waiting(facts: &PaymentFacts, now: DateTime<Utc>) -> Option<Finding> {
    let since = facts.waiting_since.filter(|since| *since + WAITS < now)?;
    let why = facts.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    Some(Finding {
        subject: "events of Stripe".to_owned(),
        desired: format!("every event processed within {} minutes", WAITS.num_minutes()),
        proposal: Some("look at zpack-billing-worker's log; nobody's stage changes meanwhile".to_owned()),
        ..general(
            Rule::StripeEventsWaiting,
            format!(
                "{} wait, the oldest since {}{why}",
                facts.waiting,
                since.format("%Y-%m-%d %H:%M:%S UTC")
            ),
        )
    })
}
