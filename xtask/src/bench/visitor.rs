//! A customer with an open page, who asks for servers and hears when they are there.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{
    client::Connection,
    customers::{self, Customer},
    events::Events,
    game,
};
use crate::stack::Stack;

const OVER_WITHIN: Duration = Duration::from_mins(10);

/// A customer with an open page.
pub(super) struct Visitor {
    /// Who they are.
    pub(super) customer: Customer,
    /// The API's address.
    pub(super) origin: String,
    events: Events,
}

/// A server that can be joined.
pub(super) struct Created {
    /// Its id.
    pub(super) instance: String,
    /// The operation that made it.
    pub(super) operation: String,
    /// From the request until the customer heard that it is there.
    pub(super) time: Duration,
}

impl Visitor {
    /// Opens the page.
    pub(super) fn open(stack: &Stack) -> Result<Self> {
        let origin = stack.api_url();
        let customer = customers::make(&stack.cluster, 1)?.pop().context("no customer")?;
        let events = Events::open(&origin, &customer)?;
        Ok(Self { customer, origin, events })
    }

    /// Their id.
    pub(super) fn id(&self) -> &str {
        &self.customer.id
    }

    /// Asks for an operation and waits until it has succeeded. Returns the answer, and how long all of it took.
    /// The connection is new: the API closes one that was idle for a while.
    pub(super) fn run(&self, method: &str, path: &str, body: &str) -> Result<(Value, Duration)> {
        let mut connection = Connection::open(&self.origin)?;
        let begun = Instant::now();
        let accepted = connection.ask(&self.customer, method, path, body)?.expect(path)?;
        let operation = accepted["operation"]["id"].as_str().context("no operation")?;
        let ended = self.events.until_succeeded(&mut connection, &self.customer, operation, OVER_WITHIN)?;
        Ok((accepted, ended.duration_since(begun)))
    }

    /// Creates a server with all that the plan allows.
    pub(super) fn create(&self, blueprint: &str, variant: &str, plan: &str) -> Result<Created> {
        self.order(json!({ "blueprint": blueprint, "variant": variant, "plan": plan }))
    }

    /// Creates a server of [the measured game](super::game) with all that the plan allows, or with these resources.
    pub(super) fn create_game(&self, resources: Option<Value>) -> Result<Created> {
        let mut body = json!({ "blueprint": game::BLUEPRINT, "variant": game::VARIANT, "plan": "large" });
        if let Some(resources) = resources {
            body["resources"] = resources;
        }
        self.order(body)
    }

    fn order(&self, mut body: Value) -> Result<Created> {
        body["name"] = server_name().into();
        let (accepted, time) = self.run("POST", "/api/instances", &body.to_string())?;
        let text = |key: &str| accepted[key]["id"].as_str().unwrap_or_default().to_owned();
        Ok(Created { instance: text("instance"), operation: text("operation"), time })
    }

    /// Deletes a server.
    pub(super) fn delete(&self, instance: &str) -> Result<()> {
        self.run("DELETE", &format!("/api/instances/{instance}"), "").map(drop)
    }
}

/// A name that no other server of this run has.
pub(super) fn server_name() -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    format!("bench {}", NAMES.fetch_add(1, Ordering::Relaxed))
}
