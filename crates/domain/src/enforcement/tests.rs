//! Every line of the table in `docs/billing.md`, and what holds whatever happens.

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use proptest::prelude::*;

use super::*;

fn day(n: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 1, 12, 0, 0).unwrap() + TimeDelta::days(n)
}

fn subscription(status: &str) -> Subscription {
    Subscription {
        id: "sub_1".into(),
        status: status.to_owned().into(),
        period_start: Some(day(0)),
        period_end: Some(day(30)),
        collection_paused: false,
        ends_at: None,
        trial_end: None,
    }
}

fn invoice(status: &str) -> Invoice {
    Invoice {
        id: "in_1".into(),
        number: Some("A-1".into()),
        status: status.to_owned().into(),
        remaining_minor: if status == "open" || status == "uncollectible" { 500 } else { 0 },
        currency: "eur".into(),
        collection: Collection::ChargeAutomatically,
        attempted: true,
        processing: false,
        finalized_at: Some(day(0)),
        due_at: None,
        dispute_lost_at: None,
    }
}

fn evidence(subscription: Option<Subscription>, invoices: Vec<Invoice>) -> Evidence {
    Evidence { subscription, invoices, needs_subscription: true }
}

fn stage_on(evidence: &Evidence, n: i64) -> Stage {
    assess(evidence, Timings::default(), Leniency::default(), day(n)).unwrap().stage
}

#[test]
fn each_status_of_a_subscription_with_each_of_its_invoice_gives_its_stage() {
    use Stage::{GoodStanding as Good, PaymentFailed as Failed, Suspended};
    // On the day of the invoice, and 40 days later, when a period is over.
    let table = [
        ("incomplete", "open", Good, Good),
        ("incomplete_expired", "void", Good, Good),
        ("trialing", "paid", Good, Good),
        ("active", "paid", Good, Good),
        ("active", "draft", Good, Good),
        ("active", "open", Failed, Suspended),
        ("active", "void", Good, Good),
        ("active", "uncollectible", Failed, Suspended),
        ("past_due", "open", Failed, Suspended),
        ("past_due", "paid", Good, Good),
        ("past_due", "uncollectible", Failed, Suspended),
        ("unpaid", "draft", Failed, Suspended),
        ("unpaid", "open", Failed, Suspended),
        ("paused", "draft", Failed, Suspended),
        ("canceled", "paid", Good, Failed),
        ("canceled", "void", Good, Failed),
        ("canceled", "open", Failed, Suspended),
    ];
    for (status, of_invoice, first, later) in table {
        let it = evidence(Some(subscription(status)), vec![invoice(of_invoice)]);
        let at_first = stage_on(&it, 0);
        let in_the_end = stage_on(&it, if later == Failed { 31 } else { 40 });
        assert_eq!((at_first, in_the_end), (first, later), "{status} with an invoice that is {of_invoice}");
    }
}

#[test]
fn time_alone_leads_from_stage_to_stage() {
    let it = evidence(Some(subscription("past_due")), vec![invoice("open")]);
    for (n, stage) in [
        (0, "payment_failed"),
        (7, "payment_failed"),
        (8, "final_warning"),
        (15, "final_warning"),
        (16, "suspended"),
        (300, "suspended"),
    ] {
        assert_eq!(stage_on(&it, n).as_str(), stage, "day {n}");
    }
    let now = assess(&it, Timings::default(), Leniency::default(), day(3)).unwrap();
    assert_eq!(
        (now.cause, now.since, now.next),
        (Cause::InvoicePastDue, Some(day(0)), Some((Stage::FinalWarning, day(8))))
    );
    assert_eq!(now.look_again_at, Some(day(8)));
}

#[test]
fn money_that_is_on_its_way_or_not_due_yet_starts_nothing() {
    let on_its_way = Invoice { processing: true, ..invoice("open") };
    let not_tried = Invoice { attempted: false, ..invoice("open") };
    let nothing = Invoice { remaining_minor: 0, ..invoice("open") };
    let sent = Invoice { collection: Collection::SendInvoice, due_at: Some(day(14)), ..invoice("open") };
    for it in [on_its_way, not_tried, nothing, sent.clone()] {
        assert_eq!(stage_on(&evidence(Some(subscription("active")), vec![it]), 10), Stage::GoodStanding);
    }
    assert_eq!(stage_on(&evidence(Some(subscription("active")), vec![sent]), 15), Stage::PaymentFailed);
}

#[test]
fn what_is_past_due_in_the_future_is_not_yet() {
    let it = evidence(
        Some(subscription("past_due")),
        vec![Invoice { finalized_at: Some(day(10)), ..invoice("open") }],
    );
    let early = assess(&it, Timings::default(), Leniency::default(), day(9)).unwrap();
    assert_eq!((early.stage, early.since, early.look_again_at), (Stage::GoodStanding, None, Some(day(10))));
    assert_eq!(stage_on(&it, 10), Stage::PaymentFailed);
}

#[test]
fn a_paid_invoice_over_nothing_settles_no_other() {
    let nothing = Invoice { id: "in_2".into(), remaining_minor: 0, ..invoice("paid") };
    assert_eq!(
        stage_on(&evidence(Some(subscription("active")), vec![invoice("open"), nothing]), 1),
        Stage::PaymentFailed
    );
}

#[test]
fn a_lost_dispute_is_a_debt_though_the_invoice_was_paid() {
    let lost = Invoice { dispute_lost_at: Some(day(5)), ..invoice("paid") };
    let now = assess(
        &evidence(Some(subscription("active")), vec![lost]),
        Timings::default(),
        Leniency::default(),
        day(6),
    );
    assert_eq!(
        now.map(|it| (it.stage, it.cause, it.since)),
        Some((Stage::PaymentFailed, Cause::DisputeLost, Some(day(5))))
    );
}

#[test]
fn what_is_paused_entitles_until_the_paid_period_is_over() {
    let paused = Subscription { collection_paused: true, ..subscription("active") };
    let it = evidence(Some(paused), Vec::new());
    assert_eq!(
        (stage_on(&it, 29), stage_on(&it, 31), stage_on(&it, 46)),
        (Stage::GoodStanding, Stage::PaymentFailed, Stage::Suspended)
    );
    let looked = assess(&it, Timings::default(), Leniency::default(), day(1)).unwrap();
    assert_eq!(looked.look_again_at, Some(day(30)));
}

#[test]
fn the_end_of_a_subscription_matters_to_whoever_needs_one() {
    let over = Subscription { ends_at: Some(day(2)), ..subscription("canceled") };
    assert_eq!(stage_on(&evidence(Some(over.clone()), Vec::new()), 3), Stage::PaymentFailed);
    let granted = Evidence { needs_subscription: false, ..evidence(Some(over), Vec::new()) };
    assert_eq!(stage_on(&granted, 300), Stage::GoodStanding);
    assert_eq!(stage_on(&evidence(None, Vec::new()), 300), Stage::GoodStanding);
}

#[test]
fn what_is_not_understood_changes_nothing() {
    let it = evidence(Some(subscription("hibernating")), vec![invoice("open")]);
    assert_eq!(assess(&it, Timings::default(), Leniency::default(), day(100)), None);
    // An invoice in a state of the future is no debt.
    assert_eq!(
        stage_on(
            &evidence(
                Some(subscription("active")),
                vec![Invoice { remaining_minor: 5, ..invoice("pondered") }]
            ),
            50
        ),
        Stage::GoodStanding
    );
}

#[test]
fn operators_give_time_and_exempt() {
    let it = evidence(Some(subscription("past_due")), vec![invoice("open")]);
    let exempt = Leniency { exempt: true, ..Leniency::default() };
    assert_eq!(assess(&it, Timings::default(), exempt, day(99)).unwrap().stage, Stage::GoodStanding);
    let more_time = Leniency { extended_until: Some(day(20)), ..Leniency::default() };
    let on = |n| assess(&it, Timings::default(), more_time, day(n)).unwrap();
    assert_eq!(
        (on(17).stage, on(17).cause, on(17).next),
        (Stage::PaymentFailed, Cause::Extended, Some((Stage::Suspended, day(20))))
    );
    assert_eq!(on(20).stage, Stage::Suspended);
}

#[test]
fn an_action_that_destroys_cannot_be_asked_for() {
    for destructive in
        ["delete", "delete_instance", "purge", "restore_backup", "wipe", "", "SUSPEND", "suspend; drop table"]
    {
        assert_eq!(BillingAction::requested(destructive), Err(NotAnAction(destructive.into())));
    }
    for action in BillingAction::ALL {
        assert_eq!(BillingAction::requested(action.as_str()), Ok(*action));
    }
}

#[test]
fn every_stage_blocks_at_least_what_the_one_before_does() {
    let order = [Stage::GoodStanding, Stage::PaymentFailed, Stage::FinalWarning, Stage::Suspended];
    for (milder, harder) in order.iter().zip(&order[1..]) {
        for gate in Gate::ALL {
            assert!(
                milder.allows(*gate) || !harder.allows(*gate),
                "{harder} allows {gate}, {milder} does not"
            );
        }
    }
    assert_eq!(Stage::FinalWarning.blocked(), [Gate::NewInstances, Gate::NewBackups, Gate::Upgrades]);
    assert_eq!(Stage::Suspended.blocked(), Gate::ALL);
    assert_eq!(Stage::Restored.blocked(), []);
}

#[test]
fn no_stage_is_left_out_on_the_way_up() {
    assert_eq!(
        steps(Stage::GoodStanding, Stage::Suspended),
        [Stage::PaymentFailed, Stage::FinalWarning, Stage::Suspended]
    );
    assert_eq!(steps(Stage::PaymentFailed, Stage::FinalWarning), [Stage::FinalWarning]);
    assert_eq!(steps(Stage::Suspended, Stage::Restored), [Stage::Restored]);
    assert_eq!(steps(Stage::Suspended, Stage::PaymentFailed), [Stage::Restored, Stage::PaymentFailed]);
    assert_eq!(steps(Stage::FinalWarning, Stage::GoodStanding), [Stage::GoodStanding]);
    assert_eq!(steps(Stage::Suspended, Stage::Suspended), []);
}

/// What happens at Stripe, and that time passes.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Status(u8),
    Invoiced(u8),
    Settled(u8),
    Pass(u8),
    /// What was heard of: the daemon looks at what Stripe has now.
    Look,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        (0_u8..9).prop_map(Happens::Status),
        (0_u8..4).prop_map(Happens::Invoiced),
        (0_u8..4).prop_map(Happens::Settled),
        (0_u8..12).prop_map(Happens::Pass),
        Just(Happens::Look),
    ]
}

const STATUSES: [&str; 9] = [
    "incomplete",
    "incomplete_expired",
    "trialing",
    "active",
    "past_due",
    "unpaid",
    "paused",
    "canceled",
    "new",
];

proptest! {
    /// Whichever events were heard of, doubled or lost, the stage in the end is what Stripe's state and the time say.
    #[test]
    fn the_stage_follows_the_state_and_the_time_and_nothing_else(happened in prop::collection::vec(happens(), 0..40)) {
        let mut state = evidence(Some(subscription("active")), Vec::new());
        let (mut clock, mut stage, mut entered) = (day(0), Stage::GoodStanding, day(0));
        for it in happened.into_iter().chain([Happens::Look]) {
            match it {
                Happens::Status(n) => state.subscription = Some(subscription(STATUSES[usize::from(n)])),
                Happens::Invoiced(n) => state.invoices.push(Invoice { id: format!("in_{n}"), finalized_at: Some(clock), ..invoice("open") }),
                Happens::Settled(n) => state.invoices.retain(|it| it.id != format!("in_{n}")),
                Happens::Pass(n) => clock += TimeDelta::days(n.into()),
                Happens::Look => {
                    let Some(found) = assess(&state, Timings::default(), Leniency::default(), clock) else { continue };
                    for next in steps(stage, settle(stage, entered, found.stage, clock)) {
                        (stage, entered) = (next, clock);
                    }
                    // Being restored is being in good standing, with a word about it.
                    let plain = if stage == Stage::Restored { Stage::GoodStanding } else { stage };
                    prop_assert_eq!(plain, found.stage);
                    if let Some((_, begins)) = found.next {
                        prop_assert!(begins > clock && found.look_again_at.is_some_and(|at| at <= begins));
                    }
                }
            }
        }
    }
}
