//! Billing: what customers may have, and what follows from what is open.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    billing::{CheckoutState, Fetched, InvoiceFacts, PlanQuantity, SubscriptionFacts, SubscriptionItem},
    enforcement::{Collection, Gate, Invoice, Stage, Subscription, Timings},
    ids::{CustomerId, InstanceId},
    instance::{DesiredPower, HoldReason, Resources},
};
use serde_json::json;
use store::{
    StoreError,
    audit::By,
    billing::{
        self, Applied, ApplyError, Catalogue, Intake, Linked, NewCheckout, NewEvent, NewGrant, OpenError,
        OperatorWord, Room,
    },
    holds::{self, NewHold},
    instances::CreateError,
};

use crate::fixture::{Fixture, now};

const BY: By<'_> = By::itself("operator:test");

/// The plans of these tests.
struct Plans;

impl Catalogue for Plans {
    fn plan_of(&self, price: &str) -> Option<String> {
        price.strip_prefix("price_").map(str::to_owned)
    }

    fn timings(&self, _: &[String]) -> Timings {
        Timings::default()
    }
}

async fn without_grants(f: &Fixture) {
    f.database.execute("UPDATE entitlement_grants SET revoked_at = now(), revoked_by = 'test'").await;
}

/// Who is at Stripe as `cus_1`.
async fn linked(f: &Fixture) -> store::Db {
    let db = f.database.role("zlh_billing");
    let linked = Linked { customer: f.customer, stripe_id: "cus_1".into(), livemode: false };
    assert!(billing::link(&db, &linked).await.unwrap());
    db
}

fn day(n: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::days(n)
}

fn invoice(id: &str, status: &str) -> InvoiceFacts {
    InvoiceFacts {
        rules: Invoice {
            id: id.into(),
            number: Some("A-1".into()),
            status: status.to_owned().into(),
            remaining_minor: if status == "paid" { 0 } else { 500 },
            currency: "eur".into(),
            collection: Collection::ChargeAutomatically,
            attempted: true,
            processing: false,
            finalized_at: Some(day(0)),
            due_at: None,
            dispute_lost_at: None,
        },
        subscription_id: Some("sub_1".into()),
        total_minor: 500,
        next_attempt_at: None,
        failure: None,
        hosted_invoice_url: None,
        pdf_url: None,
        created_at: day(0),
    }
}

/// A subscription for `quantity` small servers, with an invoice in this state, on this day of a test clock.
fn at_stripe(status: &str, of_invoice: &str, quantity: i32, today: i64) -> Fetched {
    Fetched {
        stripe_id: "cus_1".into(),
        deleted: false,
        test_time: Some(day(today)),
        test_clock: Some("clock_1".into()),
        subscriptions: vec![SubscriptionFacts {
            rules: Subscription {
                id: "sub_1".into(),
                status: status.to_owned().into(),
                period_start: Some(day(0)),
                period_end: Some(day(365)),
                collection_paused: false,
                ends_at: None,
                trial_end: None,
            },
            currency: "eur".into(),
            items: vec![SubscriptionItem {
                id: "si_1".into(),
                price_id: "price_small".into(),
                quantity,
                amount_minor: 500,
            }],
            paid_with: None,
            pending_invoice: None,
            created_at: day(0),
        }],
        invoices: vec![invoice("in_1", of_invoice)],
    }
}

async fn look(db: &store::Db, customer: CustomerId, fetched: &Fetched) -> Applied {
    let look = billing::begin_look(db, customer, Some(false)).await.unwrap();
    billing::apply(db, &look, fetched, &Plans, true).await.unwrap()
}

fn unable(outcome: &Result<store::instances::Created, CreateError>) -> &CreateError {
    outcome.as_ref().unwrap_err()
}

#[tokio::test]
async fn a_server_needs_a_grant_or_a_subscription_with_room_for_its_plan() {
    let f = Fixture::new().await;
    without_grants(&f).await;
    assert!(matches!(unable(&f.create(|_| {}).await.2), CreateError::NotEntitled));
    let grant = |plan, quantity, expires_at| NewGrant {
        customer: f.customer,
        plan,
        quantity,
        reason: "test",
        expires_at,
        by: BY,
    };

    billing::add_grant(&f.api, &grant(Some("large"), 5, None)).await.unwrap().unwrap();
    billing::add_grant(&f.api, &grant(None, 5, Some(now() - TimeDelta::days(9_000)))).await.unwrap().unwrap();
    assert!(
        matches!(unable(&f.create(|_| {}).await.2), CreateError::NotEntitled),
        "another plan's, and one that is over"
    );
    let any = billing::add_grant(&f.api, &grant(None, 1, None)).await.unwrap().unwrap();
    f.create(|_| {}).await.2.unwrap();
    assert!(matches!(unable(&f.create(|_| {}).await.2), CreateError::NotEntitled));
    assert!(billing::revoke_grant(&f.api, f.customer, any, "test", BY).await.unwrap());
    assert!(!billing::revoke_grant(&f.api, CustomerId::generate(), any, "test", BY).await.unwrap());

    // One server that nothing covers any more, and a subscription for two.
    let db = linked(&f).await;
    look(&db, f.customer, &at_stripe("active", "paid", 2, 1)).await;
    f.create(|_| {}).await.2.unwrap();
    assert!(matches!(unable(&f.create(|_| {}).await.2), CreateError::NotEntitled));
    f.create(|new| new.plan = "large").await.2.unwrap();
    // What is not begun entitles to nothing.
    look(&db, f.customer, &at_stripe("incomplete", "open", 9, 1)).await;
    assert!(matches!(unable(&f.create(|_| {}).await.2), CreateError::NotEntitled));
}

#[tokio::test]
async fn nothing_is_made_once_a_payment_is_open_for_too_long() {
    let f = Fixture::new().await;
    let db = linked(&f).await;
    look(&db, f.customer, &at_stripe("past_due", "open", 9, 7)).await;
    f.create(|_| {}).await.2.unwrap();
    look(&db, f.customer, &at_stripe("past_due", "open", 9, 8)).await;
    assert!(matches!(unable(&f.create(|_| {}).await.2), CreateError::PaymentOpen));
    look(&db, f.customer, &at_stripe("active", "paid", 9, 9)).await;
    f.create(|_| {}).await.2.unwrap();
}

/// Everything of a customer's but its power and its holds.
const INVENTORY: &str = "SELECT md5(concat_ws('|',
    (SELECT string_agg((to_jsonb(i) - 'observed_power' - 'updated_at')::text, ',' ORDER BY id) FROM instances i),
    (SELECT string_agg(to_jsonb(b)::text, ',' ORDER BY id) FROM backups b),
    (SELECT string_agg(to_jsonb(p)::text, ',' ORDER BY node_id, port) FROM port_allocations p),
    (SELECT string_agg(to_jsonb(o)::text, ',' ORDER BY id) FROM operations o),
    (SELECT string_agg(to_jsonb(s)::text, ',' ORDER BY id) FROM schedules s)))";

async fn requested(f: &Fixture, instance: InstanceId) -> String {
    f.database
        .text(&format!(
            "SELECT COALESCE((SELECT action FROM power_requests WHERE instance_id = '{instance}'), 'nothing')"
        ))
        .await
}

/// As the agents would be seen: what was asked of them was done.
async fn obey(f: &Fixture) {
    f.database
        .execute(
            "UPDATE instances i SET observed_power = CASE p.action WHEN 'stop' THEN 'stopped' ELSE 'running' END
             FROM power_requests p WHERE p.instance_id = i.id;
             UPDATE instance_status s SET stop_reason = s.stop_requested_as, stopped_at = now() FROM power_requests p
             WHERE p.instance_id = s.instance_id AND p.action = 'stop';
             DELETE FROM power_requests",
        )
        .await;
}

#[tokio::test]
async fn a_suspension_stops_what_runs_and_paying_starts_that_again_and_nothing_else_changes() {
    let f = Fixture::new().await;
    let (running, stopped, held) = (f.active().await, f.active().await, f.active().await);
    f.database
        .execute(&format!(
            "UPDATE instances SET desired_power = 'running', observed_power = 'running';
             UPDATE instances SET desired_power = 'stopped', observed_power = 'stopped' WHERE id = '{stopped}'"
        ))
        .await;
    let owner = f.database.owner();
    let abuse = NewHold { instance: held, reason: HoldReason::Abuse, note: "n", stop: true, by: BY };
    holds::place(&owner, &abuse, now()).await.unwrap();
    obey(&f).await;
    let db = linked(&f).await;
    let inventory = f.database.text(INVENTORY).await;

    let failed = look(&db, f.customer, &at_stripe("past_due", "open", 9, 0)).await;
    assert_eq!((failed.from, failed.to, failed.servers), (Stage::GoodStanding, Stage::PaymentFailed, 0));
    let suspended = look(&db, f.customer, &at_stripe("past_due", "open", 9, 16)).await;
    assert_eq!((suspended.to, suspended.servers), (Stage::Suspended, 3));
    let read = store::instances::get(&f.api, f.customer, running).await.unwrap().unwrap();
    assert_eq!((read.holds[0].reason, read.desired_power), (HoldReason::Billing, DesiredPower::Running));
    assert_eq!(requested(&f, running).await, "stop");
    obey(&f).await;
    // A reboot of its machine starts it; it is asked to stop again, once.
    assert_eq!(billing::keep_in_force(&db).await.unwrap(), 0);
    f.database
        .execute(&format!("UPDATE instances SET observed_power = 'running' WHERE id = '{running}'"))
        .await;
    assert_eq!(billing::keep_in_force(&db).await.unwrap(), 1);
    assert_eq!(billing::keep_in_force(&db).await.unwrap(), 0);
    assert_eq!(requested(&f, running).await, "stop");
    obey(&f).await;

    let restored = look(&db, f.customer, &at_stripe("active", "paid", 9, 17)).await;

    assert_eq!((restored.from, restored.to), (Stage::Suspended, Stage::Restored));
    assert_eq!(requested(&f, running).await, "start");
    assert_eq!(
        (requested(&f, stopped).await, requested(&f, held).await),
        ("nothing".into(), "nothing".into())
    );
    let reasons = "SELECT COALESCE(string_agg(reason, ','), '') FROM holds WHERE lifted_at IS NULL";
    assert_eq!(f.database.text(reasons).await, "abuse", "paying lifts only the billing hold");
    obey(&f).await;
    assert_eq!(look(&db, f.customer, &at_stripe("active", "paid", 9, 19)).await.to, Stage::GoodStanding);
    assert_eq!(f.database.text(INVENTORY).await, inventory);
    let path = "SELECT string_agg(to_stage, ' ' ORDER BY at, id) FROM billing_enforcement_events WHERE kind = 'stage'";
    let expected = "payment_failed final_warning suspended restored good_standing";
    assert_eq!(f.database.text(path).await, expected, "no stage is left out");
}

#[tokio::test]
async fn a_payment_that_lands_while_the_suspension_is_half_done_gives_everything_back() {
    let f = Fixture::new().await;
    let running = f.active().await;
    f.database.execute("UPDATE instances SET desired_power = 'running', observed_power = 'running'").await;
    let db = linked(&f).await;
    look(&db, f.customer, &at_stripe("past_due", "open", 9, 16)).await;
    // The stop was not brought to the agent yet.
    assert_eq!(requested(&f, running).await, "stop");
    look(&db, f.customer, &at_stripe("active", "paid", 9, 16)).await;
    assert_eq!(requested(&f, running).await, "start");
    let read = store::instances::get(&f.api, f.customer, running).await.unwrap().unwrap();
    assert!(read.holds.is_empty());

    // While an operation is under way nothing is asked for; afterwards it is.
    look(&db, f.customer, &at_stripe("past_due", "open", 9, 16)).await;
    obey(&f).await;
    f.database
        .execute(&format!(
            "INSERT INTO operations (id, instance_id, customer_id, kind, created_at)
             VALUES (gen_random_uuid(), '{running}', '{}', 'delete', now())",
            f.customer
        ))
        .await;
    look(&db, f.customer, &at_stripe("active", "paid", 9, 17)).await;
    assert_eq!(requested(&f, running).await, "nothing");
    f.database
        .execute("UPDATE operations SET state = 'failed', finished_at = now() WHERE kind = 'delete'")
        .await;
    assert_eq!(billing::keep_in_force(&db).await.unwrap(), 1);
    assert_eq!(requested(&f, running).await, "start");
}

#[tokio::test]
async fn each_mail_of_a_debt_is_written_once_however_often_it_is_looked() {
    let f = Fixture::new().await;
    f.active().await;
    let db = linked(&f).await;
    for hours in (0..30 * 24).step_by(8) {
        let fetched = Fetched {
            test_time: Some(day(0) + TimeDelta::hours(hours)),
            ..at_stripe("past_due", "open", 9, 0)
        };
        look(&db, f.customer, &fetched).await;
    }
    let mails = "SELECT string_agg(payload->>'template', ' ' ORDER BY created_at, id) FROM notifications WHERE channel = 'mail'";
    let each = "billing_payment_failed billing_final_warning billing_suspended";
    assert_eq!(f.database.text(mails).await, each);
    // Paid, and a year later another one.
    look(&db, f.customer, &at_stripe("active", "paid", 9, 31)).await;
    let mut again = at_stripe("past_due", "open", 9, 365);
    again.invoices[0].rules.finalized_at = Some(day(365));
    look(&db, f.customer, &again).await;
    assert_eq!(f.database.text(mails).await, format!("{each} billing_restored billing_payment_failed"));
    let told = "SELECT count(*) FROM notifications WHERE channel = 'discord'";
    assert_eq!(f.database.count(told).await, 2, "operators hear of the suspension and its end");
}

#[tokio::test]
async fn a_look_that_is_older_than_another_writes_nothing() {
    let f = Fixture::new().await;
    let db = linked(&f).await;
    let older = billing::begin_look(&db, f.customer, Some(false)).await.unwrap();
    look(&db, f.customer, &at_stripe("active", "paid", 1, 20)).await;
    let outcome = billing::apply(&db, &older, &at_stripe("past_due", "open", 1, 20), &Plans, true).await;
    assert!(matches!(outcome, Err(ApplyError::Changed)), "{outcome:?}");
    assert_eq!(billing::stage_of(&db, f.customer).await.unwrap(), Stage::GoodStanding);
}

#[tokio::test]
async fn operators_words_take_effect_at_the_next_look_and_are_kept() {
    let f = Fixture::new().await;
    let db = linked(&f).await;
    look(&db, f.customer, &at_stripe("past_due", "open", 1, 20)).await;
    assert!(!billing::stage_of(&f.api, f.customer).await.unwrap().allows(Gate::Power));
    let word = OperatorWord { customer: f.customer, reason: "Called, pays on Friday.", by: BY };
    assert!(billing::extend(&f.api, word, Some(day(25))).await.unwrap());
    assert_eq!(look(&db, f.customer, &at_stripe("past_due", "open", 1, 21)).await.to, Stage::PaymentFailed);
    assert_eq!(look(&db, f.customer, &at_stripe("past_due", "open", 1, 26)).await.to, Stage::Suspended);
    assert!(billing::exempt(&f.api, word, true).await.unwrap());
    assert_eq!(look(&db, f.customer, &at_stripe("past_due", "open", 1, 27)).await.to, Stage::Restored);
    let nobody = OperatorWord { customer: CustomerId::generate(), ..word };
    assert!(!billing::exempt(&f.api, nobody, true).await.unwrap());
    let history = billing::history(&f.api, f.customer, 50).await.unwrap();
    let kinds: Vec<_> =
        history.iter().rev().map(|it| it.kind.as_str()).filter(|kind| *kind != "stage").collect();
    assert_eq!(kinds, ["extended", "exempted"]);
    let (listed, _) = billing::list(&f.api, store::Page::new(None, 10)).await.unwrap();
    assert_eq!((listed.len(), listed[0].exempt), (1, true));
}

#[tokio::test]
async fn what_must_not_be_asked_for_is_refused_and_kept() {
    let f = Fixture::new().await;
    for action in ["delete", "delete_backups", "restore", "suspend", "wipe"] {
        let refused = billing::request(&f.api, f.customer, action, BY).await;
        assert!(matches!(refused, Err(billing::Refused::Action(_))), "{action}: {refused:?}");
    }
    let kept =
        "SELECT count(*) FROM billing_enforcement_events WHERE kind = 'rejected' AND actor = 'operator:test'";
    assert_eq!(f.database.count(kept).await, 5);
    // One that comes by the queue is rejected by the worker, and kept as well.
    let db = f.database.role("zlh_billing");
    let row = format!(
        "INSERT INTO billing_tasks (id, action, customer_id, requested_by) VALUES (gen_random_uuid(), 'delete', '{}', 'x')",
        f.customer
    );
    f.database.execute(&row).await;
    let task = billing::next(&db).await.unwrap().unwrap();
    let claim = billing::claim(&db, task, "w").await.unwrap().unwrap();
    billing::end(&db, &claim, "no", true).await.unwrap();
    assert_eq!(
        f.database.count("SELECT count(*) FROM billing_enforcement_events WHERE kind = 'rejected'").await,
        6
    );
    // A customer who waits to be looked at is asked for once.
    assert!(billing::request(&f.api, f.customer, "sync", BY).await.unwrap().is_some());
    assert!(billing::request(&f.api, f.customer, "sync", BY).await.unwrap().is_none());
}

#[tokio::test]
async fn an_event_is_kept_once_with_one_task() {
    let f = Fixture::new().await;
    let payload = json!({ "id": "evt_1" });
    let event = NewEvent {
        id: "evt_1",
        kind: "invoice.paid",
        api_version: None,
        livemode: false,
        stripe_customer: Some("cus_1"),
        object_id: None,
        payload: &payload,
        created_at: now(),
        source: "webhook",
        ignored: false,
    };
    let mut taken = Vec::new();
    for _ in 0..100 {
        let (db, event) = (&f.api, &event);
        taken.push(async move { billing::accept(db, event, "stripe").await.unwrap() });
    }
    let outcomes = futures_util::future::join_all(taken).await;
    assert_eq!(outcomes.iter().filter(|it| matches!(it, Intake::New(_))).count(), 1);
    let db = f.database.role("zlh_billing");
    let task = billing::next(&db).await.unwrap().unwrap();
    let claim = billing::claim(&db, task, "w").await.unwrap().unwrap();
    assert_eq!(claim.event.as_deref(), Some("evt_1"));
    // Processed badly: it is there again, and knows how often it was tried.
    billing::retry_later(&db, &claim, "Stripe is away", std::time::Duration::ZERO).await.unwrap();
    assert!(matches!(billing::renew(&db, &claim).await, Err(StoreError::LeaseLost)));
    let again = billing::claim(&db, task, "w").await.unwrap().unwrap();
    assert_eq!(again.attempts, 2);
    billing::settle_event(&db, "evt_1", "done").await.unwrap();
    billing::end(&db, &again, "done", false).await.unwrap();
    assert_eq!(billing::unprocessed(&db).await.unwrap().0, 0);
    assert!(billing::claim(&db, task, "w").await.unwrap().is_none());
}

#[tokio::test]
async fn room_is_kept_while_somebody_pays_and_comes_back_when_nobody_does() {
    let f = Fixture::new().await;
    let one = Resources { memory_mib: 1_024, cpu_percent: 100, disk_mib: 10_240 };
    let items = [PlanQuantity { plan: "small".into(), quantity: 7 }];
    let room = [Room { plan: "small".into(), quantity: 7, resources: one }];
    let new = NewCheckout {
        customer: f.customer,
        items: &items,
        room: &room,
        amendment: None,
        currency: "eur",
        expires_at: now() + TimeDelta::hours(9_000),
        by: BY,
    };
    let checkout = billing::open_checkout(&f.api, &new).await.unwrap();
    assert!(
        matches!(billing::open_checkout(&f.api, &new).await, Err(OpenError::UnderWay(it)) if it.id == checkout.id)
    );
    // There is room for eight: one is left for others.
    let other = CustomerId::generate();
    f.add_customer(other, 20).await;
    f.create(|it| it.customer_id = other).await.2.unwrap();
    assert!(matches!(unable(&f.create(|it| it.customer_id = other).await.2), CreateError::NoCapacity));
    let too_many = NewCheckout { customer: other, ..new.clone() };
    assert!(matches!(billing::open_checkout(&f.api, &too_many).await, Err(OpenError::NoCapacity)));
    assert_eq!(f.database.count("SELECT count(*) FROM checkouts").await, 1, "nothing is left of it");

    // Paid: what was kept is the customer's.
    let db = f.database.role("zlh_billing");
    assert!(billing::end_checkout(&db, checkout.id, CheckoutState::Completed).await.unwrap());
    assert!(!billing::end_checkout(&db, checkout.id, CheckoutState::Completed).await.unwrap());
    f.create(|_| {}).await.2.unwrap();
    let used = "SELECT used_memory_mib FROM nodes";
    assert_eq!(f.database.count(used).await, 8 * 1_024, "a reservation became a server");
    assert!(matches!(unable(&f.create(|it| it.customer_id = other).await.2), CreateError::NoCapacity));

    // Never made: a day later it is free again.
    assert_eq!(billing::forget_abandoned(&db).await.unwrap(), 0);
    f.database.execute("UPDATE capacity_reservations SET expires_at = now() - interval '1 second'").await;
    assert_eq!(billing::forget_abandoned(&db).await.unwrap(), 6);
    assert_eq!(f.database.count(used).await, 2 * 1_024);
    f.create(|it| it.customer_id = other).await.2.unwrap();
}

#[tokio::test]
async fn of_two_subscriptions_the_second_changes_nothing_and_a_person_is_told_once() {
    let f = Fixture::new().await;
    let db = linked(&f).await;
    look(&db, f.customer, &at_stripe("active", "paid", 3, 1)).await;
    let mut both = at_stripe("active", "paid", 3, 2);
    let mut second = both.subscriptions[0].clone();
    second.rules.id = "sub_2".into();
    second.rules.status = "past_due".to_owned().into();
    second.items[0].id = "si_2".into();
    second.created_at = day(2);
    both.subscriptions.push(second);
    both.invoices.push(InvoiceFacts { subscription_id: Some("sub_2".into()), ..invoice("in_2", "open") });
    let applied = look(&db, f.customer, &both).await;
    assert_eq!(applied.to, Stage::GoodStanding);
    assert!(applied.trouble.is_some_and(|it| it.contains("sub_1") && it.contains("sub_2")));
    assert_eq!(look(&db, f.customer, &both).await.trouble, None, "told once");
    let overview = billing::overview(&f.api, f.customer).await.unwrap();
    let of_record: Vec<_> = overview.subscriptions.iter().map(|it| (it.id.as_str(), it.of_record)).collect();
    assert_eq!(of_record, [("sub_1", true), ("sub_2", false)]);
    // The first one ends, the other takes its place, and with it what is open of it.
    both.subscriptions[0].rules.status = "canceled".to_owned().into();
    assert_eq!(look(&db, f.customer, &both).await.to, Stage::PaymentFailed);
}
