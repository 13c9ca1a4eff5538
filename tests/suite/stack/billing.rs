//! From the first purchase to a missed payment and back, on running daemons, with the stand-in for Stripe and its clock.

use integrations::stripe::{Form, Stripe};
use serde_json::{Value, json};
use xtask::{http::Http, stack::Daemon};
use zlh_tests::{PASSWORD, Town, eventually};

/// Stripe's side of a customer.
pub(super) struct AtStripe {
    runtime: tokio::runtime::Runtime,
    stripe: Stripe,
    customer: String,
}

impl AtStripe {
    pub(super) fn of(town: &Town, email: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sandbox = town.stack.sandbox();
        let (url, key) = (&sandbox["stripe"]["url"], &sandbox["stripe"]["key"]);
        let key = secrecy::SecretString::from(key.as_str().expect("a key"));
        let stripe = Stripe::new(url.as_str().expect("an address"), &key).expect("a client");
        let found = runtime.block_on(stripe.list("customers", &[("email", email)])).expect("the customer");
        let customer = found[0]["id"].as_str().expect("an id").to_owned();
        Self { runtime, stripe, customer }
    }

    fn get(&self, path: &str) -> Value {
        self.runtime.block_on(self.stripe.get(path, &[])).expect("an answer")
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Value {
        let form: Form = fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let key = uuid::Uuid::now_v7().to_string();
        self.runtime.block_on(self.stripe.post(path, &form, &key)).expect("an answer")
    }

    /// From now on the customer's card is this test card of Stripe's.
    pub(super) fn card(&self, method: &str) {
        let attached =
            self.post(&format!("payment_methods/{method}/attach"), &[("customer", &self.customer)]);
        let id = attached["id"].as_str().expect("an id");
        self.post(
            &format!("customers/{}", self.customer),
            &[("invoice_settings[default_payment_method]", id)],
        );
        let subscriptions =
            self.runtime.block_on(self.stripe.list("subscriptions", &[("customer", &self.customer)]));
        for subscription in subscriptions.expect("subscriptions") {
            let path = format!("subscriptions/{}", subscription["id"].as_str().expect("an id"));
            self.post(&path, &[("default_payment_method", id)]);
        }
    }

    /// So many days pass for this customer.
    pub(super) fn days(&self, days: i64) {
        let customer = self.get(&format!("customers/{}", self.customer));
        let clock = customer["test_clock"].as_str().expect("a clock").to_owned();
        let path = format!("test_helpers/test_clocks/{clock}");
        let to = self.get(&path)["frozen_time"].as_i64().expect("a time") + days * 86_400 + 7_200;
        self.post(&format!("{path}/advance"), &[("frozen_time", &to.to_string())]);
        eventually("the clock", || (self.get(&path)["status"] == "ready").then_some(()));
    }
}

/// Live instances, ports, capacity and containers.
fn held_of(town: &Town) -> [i64; 4] {
    let [instances, ports, capacity, containers, _] = town.holdings();
    [instances, ports, capacity, containers]
}

pub(super) fn stage(ada: &zlh_tests::Customer, wanted: &str) -> Value {
    eventually(wanted, || {
        let billing = ada.get("/api/billing").body;
        (billing["stage"] == wanted).then_some(billing)
    })
}

#[test]
fn a_customer_buys_misses_a_payment_loses_nothing_pays_and_is_back() {
    let mut town = Town::start(&[]);
    town.stack.start(Daemon::Billing).expect("a daemon");
    let create = ["create-customer", "ada@example.com", "--without-grant"];
    town.stack.api_command(&create, Some(PASSWORD)).expect("an account");
    let ada = town.sign_in("ada@example.com");
    let order =
        json!({ "name": "Mine", "blueprint": "minecraft-js", "variant": "flying-squid", "plan": "small" });
    let refused = ada.post("/api/instances", Some("one"), &order);
    assert_eq!((refused.status, &refused.body["code"]), (402, &json!("subscription_required")));

    // Twice the same is one purchase; nothing is had before it is paid.
    let want = json!({ "items": [{ "plan": "small", "quantity": 1 }] });
    let checkout = ada.post("/api/billing/checkout", None, &want);
    assert_eq!(checkout.status, 201, "{:?}", checkout.body);
    let again = ada.post("/api/billing/checkout", None, &want);
    assert_eq!(again.body["url"], checkout.body["url"]);
    assert_eq!(ada.post("/api/instances", Some("two"), &order).status, 402);
    Http::new(checkout.body["url"].as_str().expect("an address")).press("pay").expect("paid");
    let billing = eventually("the subscription", || {
        let billing = ada.get("/api/billing").body;
        (billing["subscription"]["status"] == "active").then_some(billing)
    });
    assert_eq!(
        (&billing["stage"], &billing["subscription"]["items"], &billing["test_mode"], &billing["checkout"]),
        (
            &json!("good_standing"),
            &json!([{ "plan": "small", "quantity": 1, "amount_minor": 500 }]),
            &json!(true),
            &Value::Null
        ),
    );
    let (id, _) = ada.server("Mine", "minecraft-js", "flying-squid");
    let more =
        json!({ "name": "More", "blueprint": "minecraft-js", "variant": "flying-squid", "plan": "small" });
    assert_eq!(ada.post("/api/instances", Some("three"), &more).status, 402, "one was bought");
    let of = |what: &str| format!("/api/instances/{id}/{what}");
    let uploaded = town.put_file(&ada, &id, "kept.txt", "precious");
    assert_eq!(uploaded, 200);
    let before = held_of(&town);

    // The card is declined from now on, and time passes.
    let stripe = AtStripe::of(&town, "ada@example.com");
    Http::new(&town.stack.sandbox_url())
        .post("/stripe/_switches", &[], &json!({ "after_retries": "past_due" }))
        .expect("a switch");
    stripe.card("pm_card_chargeCustomerFail");
    stripe.days(31);
    let failed = stage(&ada, "payment_failed");
    assert_eq!((&failed["blocked"], &failed["owed"]["amount_minor"]), (&json!([]), &json!(500)), "{failed}");
    assert!(failed["owed"]["failure"].is_string() && failed["next"]["stage"] == "final_warning", "{failed}");
    let power = |action: &str| ada.post(&of("power"), None, &json!({ "action": action }));
    assert_eq!(power("restart").status, 202, "everything works");
    stripe.days(8);
    let warned = stage(&ada, "final_warning");
    assert_eq!(warned["blocked"], json!(["new_instances", "new_backups", "upgrades"]));
    let refused = ada.post(&of("backups"), None, &json!({}));
    assert_eq!(
        (refused.status, &refused.body["payment"]["pay"]),
        (402, &json!("/billing")),
        "{:?}",
        refused.body
    );
    eventually("running", || (ada.get(&of("status")).body["state"] == "running").then_some(()));
    stripe.days(8);
    stage(&ada, "suspended");
    eventually("stopped", || (ada.get(&of("status")).body["state"] == "stopped").then_some(()));
    let held = ada.get(&format!("/api/instances/{id}")).body;
    assert_eq!(
        (&held["holds"][0]["reason"]["code"], &held["desired_power"]),
        (&json!("billing"), &json!("running"))
    );
    assert_eq!(power("start").body["code"], "payment_open");
    let typed = ada.post(&of("console/commands"), None, &json!({ "command": "list" }));
    assert_eq!(typed.body["code"], "payment_open");
    assert_eq!(town.put_file(&ada, &id, "new.txt", "x"), 402);
    assert_eq!(ada.get(&of("files/content?path=kept.txt")).status, 200, "one's own can be read");
    assert_eq!(held_of(&town), before, "nothing is removed");

    // Killed and started, while it is paid: what is owed is looked at afresh.
    let owed = ada.get("/api/billing").body["owed"].clone();
    town.stack.stop(Daemon::Billing).expect("stopped");
    stripe.card("pm_card_visa");
    Http::new(owed["pay_url"].as_str().expect("an address")).press("pay").expect("paid");
    eventually("the payment is heard of", || {
        let heard = "SELECT count(*) FROM stripe_events WHERE type = 'invoice.paid' AND processed_at IS NULL";
        (town.count(heard) > 0).then_some(())
    });
    assert_eq!(ada.get("/api/billing").body["stage"], "suspended");
    town.stack.start(Daemon::Billing).expect("a daemon");
    let restored = stage(&ada, "restored");
    assert_eq!((&restored["blocked"], &restored["owed"]), (&json!([]), &Value::Null));
    eventually("running again", || (ada.get(&of("status")).body["state"] == "running").then_some(()));
    assert_eq!(ada.get(&format!("/api/instances/{id}")).body["holds"], json!([]));
    let history = town.text(
        "SELECT string_agg(to_stage, ' ' ORDER BY at, id) FROM billing_enforcement_events WHERE kind = 'stage'",
    );
    assert_eq!(history, "payment_failed final_warning suspended restored");
    mails_of_each_stage(&mut town, "ada@example.com");
    eventually("every event is processed", || {
        (town.count("SELECT count(*) FROM stripe_events WHERE processed_at IS NULL") == 0).then_some(())
    });
    ada.remove(&id);
    town.expect_nothing_left();
}

#[test]
fn a_plan_is_changed_once_it_is_paid_and_a_declined_one_changes_nothing() {
    let mut town = Town::start(&[]);
    town.stack.start(Daemon::Billing).expect("a daemon");
    let create = ["create-customer", "ada@example.com", "--without-grant"];
    town.stack.api_command(&create, Some(PASSWORD)).expect("an account");
    let ada = town.sign_in("ada@example.com");
    let buy = |plan: &str| {
        ada.post("/api/billing/checkout", None, &json!({ "items": [{ "plan": plan, "quantity": 1 }] }))
    };
    let bought = buy("small");
    Http::new(bought.body["url"].as_str().expect("an address")).press("pay").expect("paid");
    let items = |wanted: Value| {
        eventually("the subscription", || {
            let items = ada.get("/api/billing").body["subscription"]["items"].clone();
            let mut items: Vec<_> =
                items.as_array()?.iter().map(|it| json!([it["plan"], it["quantity"]])).collect();
            items.sort_by_key(ToString::to_string);
            (Value::Array(items) == wanted).then_some(())
        });
    };
    items(json!([["small", 1]]));
    let (id, _) = ada.server("Mine", "minecraft-js", "flying-squid");
    let of = |what: &str| format!("/api/instances/{id}{what}");
    let change = |plan: &str| ada.post(&of("/plan"), None, &json!({ "plan": plan }));
    let becomes = |state: &str| {
        eventually(state, || {
            let now = ada.get(&of("/plan")).body["change"].clone();
            (now["state"] == state).then_some(now)
        })
    };
    let plan = || ada.get(&of("")).body["plan"].clone();
    assert_eq!(town.put_file(&ada, &id, "kept.txt", "precious"), 200);

    // Paid at once with the card that there is, and then made.
    let asked = change("medium");
    assert_eq!(asked.status, 202, "{:?}", asked.body);
    assert!(asked.body["operation"].is_string(), "{:?}", asked.body);
    assert_eq!((becomes("done")["to_plan"].clone(), plan()), (json!("medium"), json!("medium")));
    items(json!([["medium", 1]]));
    eventually("running", || (ada.get(&of("/status")).body["state"] == "running").then_some(()));
    assert_eq!(change("medium").body["code"], "same_plan");
    assert_eq!(change("nothing").body["code"], "unknown_plan");
    assert_eq!(change("dev-small").body["code"], "plan_kind_mismatch");
    let room = held_of(&town);

    // Declined: everything is as it was, at the server, in the rows and at Stripe; nothing is owed.
    let stripe = AtStripe::of(&town, "ada@example.com");
    stripe.card("pm_card_chargeCustomerFail");
    let declined = change("large");
    assert_eq!(
        (declined.status, &declined.body["code"]),
        (402, &json!("payment_declined")),
        "{:?}",
        declined.body
    );
    assert_eq!(
        (becomes("failed")["to_plan"].clone(), plan(), held_of(&town)),
        (json!("large"), json!("medium"), room)
    );
    let more = buy("small");
    assert_eq!((more.status, &more.body["code"]), (402, &json!("payment_declined")), "{:?}", more.body);
    items(json!([["medium", 1]]));
    assert_eq!(ada.get("/api/billing").body["stage"], "good_standing");

    // The bank asks for a confirmation: the bigger plan comes with it, and not before.
    stripe.card("pm_card_authenticationRequired");
    let asked = change("large");
    assert_eq!((asked.status, &asked.body["state"]), (202, &json!("paying")), "{:?}", asked.body);
    let page = asked.body["pay_url"].as_str().expect("an address").to_owned();
    assert_eq!(change("large").body["pay_url"], page, "asked twice is asked once");
    assert_eq!(
        (change("small").body["code"].clone(), plan()),
        (json!("plan_change_under_way"), json!("medium"))
    );
    items(json!([["medium", 1]]));
    Http::new(&page).press("pay").expect("paid");
    becomes("done");
    assert_eq!(plan(), "large");
    items(json!([["large", 1]]));

    // Smaller: the server first, the subscription then. One more server is taken into it meanwhile or afterwards.
    let asked = change("small");
    assert_eq!(asked.status, 202, "{:?}", asked.body);
    becomes("done");
    items(json!([["small", 1]]));
    stripe.card("pm_card_visa");
    let added = buy("small");
    assert_eq!((added.status, &added.body["state"]), (201, &json!("completed")), "{:?}", added.body);
    items(json!([["small", 2]]));
    let (second, _) = ada.server("More", "minecraft-js", "flying-squid");
    assert_eq!(ada.get(&of("/files/content?path=kept.txt")).status, 200);
    ada.remove(&second);
    ada.remove(&id);
    town.expect_nothing_left();
}

/// Every order in which four things can come.
fn orders() -> Vec<[usize; 4]> {
    let mut all = Vec::new();
    for n in 0..256 {
        let order = [n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 & 3];
        if (0..4).all(|it| order.contains(&it)) {
            all.push(order);
        }
    }
    all
}

#[test]
fn the_events_of_a_purchase_lead_to_the_same_in_every_order_and_with_one_of_them_lost() {
    let mut town = Town::start(&[]);
    town.stack.start(Daemon::Billing).expect("a daemon");
    let create = ["create-customer", "ada@example.com", "--without-grant"];
    town.stack.api_command(&create, Some(PASSWORD)).expect("an account");
    let ada = town.sign_in("ada@example.com");
    let lose = |n: u32| {
        let switches = Http::new(&town.stack.sandbox_url());
        switches.post("/stripe/_switches", &[], &json!({ "drop_next": n })).expect("a switch");
    };
    lose(1_000);
    let want = json!({ "items": [{ "plan": "small", "quantity": 1 }] });
    let checkout = ada.post("/api/billing/checkout", None, &want);
    Http::new(checkout.body["url"].as_str().expect("an address")).press("pay").expect("paid");
    let stripe = AtStripe::of(&town, "ada@example.com");
    let sent = stripe.runtime.block_on(stripe.stripe.list("events", &[])).expect("events");
    let kinds = [
        "customer.subscription.created",
        "customer.subscription.updated",
        "invoice.paid",
        "checkout.session.completed",
    ];
    let events = kinds.map(|kind| {
        let found = sent.iter().find(|it| it["type"] == kind);
        found.unwrap_or_else(|| {
            panic!("no {kind} among {:?}", sent.iter().map(|it| &it["type"]).collect::<Vec<_>>())
        })
    });
    let sandbox = town.stack.sandbox();
    let secret = secrecy::SecretString::from(sandbox["stripe"]["webhook_secret"].as_str().expect("a secret"));
    let api = Http::new(&town.stack.api_url());
    assert_eq!(ada.get("/api/billing").body["subscription"], Value::Null, "nothing has arrived");

    for (n, order) in orders().into_iter().enumerate() {
        // Each of the four is lost in a quarter of the orders.
        for nth in order.into_iter().filter(|nth| *nth != n % 4) {
            let mut event = events[nth].clone();
            event["id"] = json!(format!("evt_order_{n}_{nth}"));
            let body = event.to_string();
            let now = runtime::clock::Clock::now(&runtime::clock::SystemClock);
            let signature = integrations::stripe::sign(body.as_bytes(), &secret, now);
            let answer = api.post_text("/webhooks/stripe", &[("Stripe-Signature", &signature)], &body);
            assert_eq!(answer.expect("an answer").status, 200);
        }
        let all = "SELECT count(*) FROM stripe_events WHERE processed_at IS NULL";
        eventually("every event is processed", || (town.count(all) == 0).then_some(()));
        let billing = ada.get("/api/billing").body;
        let place = format!("{order:?} without {}: {billing}", kinds[n % 4]);
        assert_eq!(billing["stage"], "good_standing", "{place}");
        assert_eq!(billing["subscription"]["status"], "active", "{place}");
        assert_eq!(billing["checkout"], Value::Null, "{place}");
        town.sql(
            "UPDATE subscriptions SET status = 'incomplete', entitles = false;
             UPDATE checkouts SET state = 'open', ended_at = NULL;
             UPDATE billing_enforcement_states SET version = version + 1",
        );
    }
}

/// What waited for a sender is sent once there is one: a mail for each stage, once, as text and as HTML, with our links.
fn mails_of_each_stage(town: &mut Town, to: &str) {
    town.stack.start(Daemon::Controller).expect("a daemon");
    let sandbox = Http::new(&town.stack.sandbox_url());
    let mails = eventually("the mails", || {
        let mut mails = sandbox.get("/smtp/messages", &[]).ok()?.body.as_array().cloned()?;
        // What was asked when the account was made.
        mails.retain(|it| it["subject"] != "Is this your address?");
        (mails.len() >= 4).then_some(mails)
    });
    let mut subjects: Vec<_> = mails.iter().map(|it| it["subject"].as_str().expect("a subject")).collect();
    subjects.sort_unstable();
    assert_eq!(subjects.len(), 4, "{subjects:?}");
    let begins =
        ["Paid: your servers", "Your payment did not", "Your servers are stopped", "Your servers stop on"];
    assert!(subjects.iter().zip(begins).all(|(it, begin)| it.starts_with(begin)), "{subjects:?}");
    let billing = format!("{}/billing", town.stack.api_url());
    let stopped =
        mails.iter().find(|it| it["subject"].as_str().is_some_and(|it| it.contains("stopped"))).expect("it");
    assert_eq!(stopped["envelope_to"], json!([to]));
    for part in ["text", "html"] {
        let said = stopped[part].as_str().expect("a part");
        assert!(said.contains("Nothing was deleted") && said.contains(&billing), "{said}");
    }
    let unsent = "SELECT count(*) FROM notifications WHERE channel = 'mail' AND state <> 'sent'";
    eventually("all are sent", || (town.count(unsent) == 0).then_some(()));
}
