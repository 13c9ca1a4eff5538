//! Events: what happened, kept for 30 days, and one delivery of each to every endpoint that asks for its type.

use serde_json::{Value, json};

use super::{
    api::Call,
    delivery::Delivery,
    failure::{Failure, Outcome},
    ids, list,
    shape::VERSION,
    store::{Books, KEPT},
    time::{self, DAY},
    value::{array, int, shown, text},
};

/// How long the API gives events back.
const SHOWN_FOR: i64 = 30 * DAY;

impl Books {
    /// Keeps an event of an object, and has it delivered. The event's own time is the machine's, whatever the object's test
    /// clock shows: it says when it was told.
    pub(super) fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        self.keep_event(kind, object, previous);
        if let Some(unknown) = self.switches.unknown_type.clone() {
            self.keep_event(&unknown, object, None);
        }
    }

    fn keep_event(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let wants = |it: &&Value| {
            let types = array(it, "enabled_events");
            text(it, "status") == "enabled" && types.iter().any(|it| it == kind || it == "*")
        };
        let endpoints: Vec<String> =
            self.all("webhook_endpoint").filter(wants).map(|it| text(it, "id").to_owned()).collect();
        let mut data = json!({ "object": shown(object) });
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        let id = ids::new("evt");
        self.events.push_back(json!({
            "id": id, "object": "event", "api_version": VERSION, "created": time::machine(), "data": data,
            "livemode": false, "pending_webhooks": endpoints.len(),
            "request": { "id": self.cause.request, "idempotency_key": self.cause.key },
            "type": kind,
        }));
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
        for endpoint in endpoints {
            self.queue(&id, &endpoint);
        }
        self.is_dirty = true;
    }

    fn queue(&mut self, event: &str, endpoint: &str) {
        if self.switches.drop_next > 0 {
            self.switches.drop_next -= 1;
            self.add_delivery(Delivery::dropped(event, endpoint));
            return;
        }
        let wait = ids::below(self.switches.shuffle_ms);
        for _ in 0..if self.switches.twice { 2 } else { 1 } {
            self.add_delivery(Delivery::due(event, endpoint, time::machine_ms() + wait));
        }
    }

    fn add_delivery(&mut self, delivery: Delivery) {
        self.deliveries.push_back(delivery);
        if self.deliveries.len() > KEPT {
            self.deliveries.pop_front();
        }
    }

    /// The event of this id.
    pub(super) fn event(&self, id: &str) -> Option<&Value> {
        self.events.iter().rev().find(|it| text(it, "id") == id)
    }

    /// Has an event delivered once more, to every endpoint. How often, or `None` if there is no such event.
    pub(super) fn redeliver(&mut self, id: &str) -> Option<usize> {
        self.event(id)?;
        let endpoints: Vec<String> =
            self.all("webhook_endpoint").map(|it| text(it, "id").to_owned()).collect();
        for endpoint in &endpoints {
            self.add_delivery(Delivery::due(id, endpoint, time::machine_ms()));
        }
        self.is_dirty = true;
        Some(endpoints.len())
    }
}

pub(super) fn get(books: &Books, id: &str) -> Outcome {
    let found = books.event(id).filter(|it| is_recent(it));
    found.cloned().ok_or_else(|| Failure::missing("event", id))
}

fn is_recent(event: &Value) -> bool {
    int(event, "created") > time::machine() - SHOWN_FOR
}

pub(super) fn list(books: &Books, call: &Call) -> Outcome {
    call.params.only(&list::with(&["type", "types", "delivery_success"]))?;
    let kind = call.params.text("type");
    let kinds = call.params.texts("types");
    let is_wanted = |it: &&Value| {
        let is_kind = |wanted: &str| {
            let of = text(it, "type");
            wanted == of
                || wanted.strip_suffix(".*").is_some_and(|group| of.starts_with(&format!("{group}.")))
        };
        is_recent(it) && kind.is_none_or(is_kind) && (kinds.is_empty() || kinds.iter().any(|it| is_kind(it)))
    };
    list::page(call, books.events.iter().rev().filter(is_wanted))
}
