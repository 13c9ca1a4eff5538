//! The accounts and the server that somebody finds after `cargo xtask up`. The server is made as a customer makes one.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    http::{Answer, Http, patiently},
    interrupt, minecraft, secrets,
    stack::{DATABASE, Stack},
    ui, wait,
};

/// What the demo server is called.
const NAME: &str = "Demo";
const CREATED_WITHIN: Duration = Duration::from_mins(5);
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(30);
const JOINABLE_WITHIN: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// How to sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Address.
    pub email: String,
    /// Password.
    pub password: String,
}

/// The accounts of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// Who owns the demo server, by a grant.
    pub customer: Login,
    /// Who has a subscription. Accounts that were made before there was one get it now.
    #[serde(default = "subscriber")]
    pub subscriber: Login,
    /// Who runs the installation.
    pub operator: Login,
}

fn subscriber() -> Login {
    Login { email: "subscriber@zlh.test".to_owned(), password: secrets::password() }
}

impl Accounts {
    /// Those that were made; nothing where there are none yet.
    pub fn read(stack_home: &std::path::Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(stack_home.join("accounts.json")).ok()?).ok()
    }

    /// Makes the accounts that are missing, with passwords that are remembered.
    pub fn ensure(stack: &Stack) -> Result<Self> {
        let login = |email: &str| Login { email: email.to_owned(), password: secrets::password() };
        let accounts = Self::read(stack.home()).unwrap_or_else(|| Self {
            customer: login("demo@zlh.test"),
            subscriber: subscriber(),
            operator: login("operator@zlh.test"),
        });
        let text = serde_json::to_string_pretty(&accounts)?;
        secrets::write_private(&stack.home().join("accounts.json"), &text)?;
        create(stack, &["create-customer"], &accounts.customer)?;
        create(stack, &["create-customer", "--without-grant"], &accounts.subscriber)?;
        create(stack, &["create-operator"], &accounts.operator)?;
        Ok(accounts)
    }
}

fn create(stack: &Stack, command: &[&str], login: &Login) -> Result<()> {
    let there = format!("SELECT 1 FROM customers WHERE email = '{}'", login.email);
    if stack.cluster.sql(DATABASE, &there)?.is_empty() {
        stack.api_command(&[command, &[&login.email]].concat(), Some(&login.password))?;
    }
    Ok(())
}

/// A customer who is signed in.
pub struct Session {
    http: Http,
    origin: String,
    cookie: String,
}

impl Session {
    /// Signs in, unless the session of last time still holds.
    pub fn open(stack: &Stack, login: &Login) -> Result<Self> {
        let name = login.email.split('@').next().unwrap_or_default();
        let (origin, file) = (stack.api_url(), stack.home().join(format!("session-{name}")));
        let http = Http::new(&origin);
        if let Ok(cookie) = fs::read_to_string(&file) {
            let session = Self { http: http.clone(), origin: origin.clone(), cookie };
            if session.get("/api/me").is_ok() {
                return Ok(session);
            }
        }
        let body = serde_json::to_value(login)?;
        let answer = patiently(|| http.post("/api/auth/login", &[("origin", &origin)], &body))?;
        let cookie = answer.cookie.clone();
        answer.expect("cannot sign in")?;
        let cookie = cookie.context("signed in, but got no cookie")?;
        secrets::write_private(&file, &cookie)?;
        Ok(Self { http, origin, cookie })
    }

    /// GET.
    pub fn get(&self, path: &str) -> Result<Value> {
        patiently(|| self.http.get(path, &[("cookie", &self.cookie)]))?.expect(path)
    }

    /// POST with an idempotency key, or none if it is empty.
    pub fn post(&self, path: &str, key: &str, body: &Value) -> Result<Answer> {
        let headers = [("cookie", &*self.cookie), ("origin", &self.origin), ("idempotency-key", key)];
        let without = headers.len() - usize::from(key.is_empty());
        patiently(|| self.http.post(path, &headers[..without], body))
    }
}

/// Buys a small server at the sandbox, unless it was bought.
pub fn subscribe(session: &Session) -> Result<()> {
    let billing = || session.get("/api/billing");
    let subscribed =
        |billing: &Value| !billing["subscription"].is_null() && billing["subscription"]["status"] == "active";
    if subscribed(&billing()?) {
        return Ok(());
    }
    let step = ui::step("Subscription");
    let order = json!({ "items": [{ "plan": "small", "quantity": 1 }] });
    let checkout = session.post("/api/billing/checkout", "", &order)?;
    let checkout = checkout.expect("cannot buy")?;
    let url = checkout["url"].as_str().context("the checkout has no address")?;
    Http::new(url).press("pay")?;
    wait::until("the subscription", SUBSCRIBED_WITHIN, || {
        interrupt::check()?;
        Ok(subscribed(&billing()?).then_some(()))
    })?;
    step.done("");
    Ok(())
}

/// The demo server.
#[derive(Clone, Debug, Serialize)]
pub struct Demo {
    /// Its id.
    pub instance: Option<String>,
    /// Its name, which resolves at the sandbox.
    pub name: Option<String>,
    /// Where players of this machine connect.
    pub address: Option<String>,
    /// Its lifecycle, and once that is `active` what was seen of its power.
    pub state: String,
}

impl Demo {
    /// Finds it among the customer's servers.
    pub fn find(stack: &Stack, session: &Session) -> Result<Option<Self>> {
        let list = session.get("/api/instances")?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let ours = items.iter().find(|item| item["name"] == NAME && item["lifecycle"] != "failed");
        ours.map(|instance| Self::of(stack, instance)).transpose()
    }

    fn of(stack: &Stack, instance: &Value) -> Result<Self> {
        let text = |key: &str| instance[key].as_str().map(str::to_owned);
        let axis = if instance["lifecycle"] == "active" { "observed_power" } else { "lifecycle" };
        let name = text("address");
        // Once it has been published.
        let address =
            if name.is_some() { stack.direct_address(&text("id").unwrap_or_default())? } else { None };
        let state = text(axis).unwrap_or_else(|| "unknown".to_owned());
        Ok(Self { instance: text("id"), name, address, state })
    }

    /// Makes it unless it is there, and waits until it can be joined.
    pub fn ensure(stack: &Stack, session: &Session) -> Result<Self> {
        if Self::find(stack, session)?.is_none() {
            let operation = Self::create(session)?;
            follow(session, &operation)?;
        }
        let step = ui::step("Demo server");
        let address = wait::until("the demo server", JOINABLE_WITHIN, || {
            interrupt::check()?;
            let Some(address) = Self::find(stack, session)?.and_then(|demo| demo.address) else {
                return Ok(None);
            };
            Ok(minecraft::ping(&address, PING_TIMEOUT).is_ok().then_some(address))
        })?;
        step.done(&format!("can be joined at {address}"));
        Self::find(stack, session)?.context("the demo server has gone")
    }

    /// Asks for it; returns the operation's path.
    fn create(session: &Session) -> Result<String> {
        let body = json!({
            "name": NAME, "blueprint": "minecraft-js", "variant": "flying-squid", "plan": "small",
        });
        // A new key each time: an older attempt may have failed, and would only be replayed.
        let answer = session.post("/api/instances", &format!("demo-{}", secrets::password()), &body)?;
        let location = answer.location.clone();
        answer.expect("cannot create the demo server")?;
        location.context("the create has no Location")
    }
}

/// Shows an operation's progress until it has ended.
fn follow(session: &Session, operation: &str) -> Result<()> {
    let step = ui::progress("Creating the demo server", 100);
    wait::until("the create", CREATED_WITHIN, || {
        interrupt::check()?;
        let now = session.get(operation)?;
        step.at(now["progress_percent"].as_u64().unwrap_or_default());
        let text = |key: &str| now[key].as_str().unwrap_or_default();
        step.say(if text("step_detail").is_empty() { text("step") } else { text("step_detail") });
        match text("state") {
            "succeeded" => Ok(Some(())),
            "failed" | "stuck" => {
                bail!(
                    "the create failed: {}",
                    now["failure"]["message"].as_str().unwrap_or("no reason given")
                )
            }
            _ => Ok(None),
        }
    })?;
    step.done("");
    Ok(())
}
