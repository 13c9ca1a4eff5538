//! Stripe's events.

use super::*;

#[test]
fn events_that_do_not_arrive_or_are_not_processed_are_found_and_left_to_a_person() {
    let of = |payments: PaymentFacts| find(&Look { payments, ..look_at(Vec::new(), Vec::new(), Vec::new()) });
    assert_eq!(of(PaymentFacts::default()), []);
    let just_now = PaymentFacts { waiting: 3, waiting_since: Some(now()), ..PaymentFacts::default() };
    assert_eq!(of(just_now.clone()), []);
    let long = PaymentFacts {
        waiting_since: Some(now() - TimeDelta::minutes(16)),
        error: Some("Stripe does not answer".into()),
        lost: 2,
        ..just_now
    };
    let found = of(long.clone());
    let rules: Vec<_> = found.iter().map(|it| it.rule).collect();
    assert_eq!(rules, [Rule::StripeEventsLost, Rule::StripeEventsWaiting]);
    assert!(found.iter().all(|it| it.action.is_none() && it.proposal.is_some()), "{found:?}");
    assert!(found[0].observed.contains("2 events") && found[1].observed.ends_with("Stripe does not answer"));
    let disabled = of(PaymentFacts { endpoint_problem: Some("it is disabled".into()), ..long });
    assert_eq!(
        (disabled[0].fingerprint(), &*disabled[0].observed),
        (found[0].fingerprint(), "it is disabled")
    );
}
