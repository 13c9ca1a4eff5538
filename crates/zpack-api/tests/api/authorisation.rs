//! Who may call what, for every operation of the API's description: a new route is tested as soon as it exists.

use std::collections::{HashMap, hash_map::Entry};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Client, PASSWORD, World, order};

/// What anybody may call; everything else needs a credential.
const PUBLIC: &[&str] = &["register", "login", "requestPasswordReset", "resetPassword", "verifyEmail"];

const SCOPES: &[&str] = &[
    "instances:read",
    "instances:write",
    "instances:power",
    "instances:console",
    "files:read",
    "files:write",
    "backups",
    "schedules",
    "account:read",
];

/// What an operation needs besides its scope: a schedule does nothing that its caller could not do at once.
const AS_WELL: &[(&str, &str)] = &[("runSchedule", "instances:power"), ("deleteSchedule", "instances:power")];

struct Operation {
    id: String,
    method: Method,
    path: String,
    /// The scope that an API key needs; `None` where no key will do.
    scope: Option<String>,
    secured: bool,
}

impl Operation {
    async fn call(&self, client: &Client, path: &str) -> Answer {
        let request = client.request(self.method.clone(), path);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        // The event stream has no end to wait for.
        let text = if self.id == "streamEvents" && status.is_success() {
            String::new()
        } else {
            response.text().await.unwrap()
        };
        Answer { status, headers, text }
    }
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(zpack_api::router::description()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array().cloned().unwrap_or_default();
            let scope = security.iter().find_map(|way| way.pointer("/api_key/0")).and_then(Value::as_str);
            all.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scope: scope.map(ToOwned::to_owned),
                secured: security.iter().any(|way| way.get("session").is_some()),
            });
        }
    }
    assert!(all.len() >= 22, "{}", all.len());
    // What removes something comes last, so that it is there for all others.
    all.sort_by_key(|operation| operation.method == Method::DELETE);
    all
}

/// A customer's things, one of each kind.
struct Things {
    instance: String,
    operation: String,
    api_key: String,
    schedule: String,
    backup: String,
    session: String,
}

impl Things {
    async fn of(world: &World, owner: &Client) -> Self {
        let answer = owner.create("k", &order("Mine")).await.expect(202);
        let text = |value: Value| value.as_str().unwrap().to_owned();
        owner.make_key(&["account:read"], &world.in_days(1)).await;
        let instance = text(answer.at("/instance/id"));
        let body = json!({ "name": "s", "cron": "@daily", "time_zone": "UTC", "action": "stop" });
        // Not the one that everything here is asked with.
        let mut elsewhere = world.anonymous();
        elsewhere.log_in("ada@example.org", PASSWORD).await.expect(200);
        let sessions = owner.get("/api/sessions").await.expect(200).json();
        let other = sessions.as_array().unwrap().iter().find(|it| it["current"] == false).unwrap();
        let session = text(other["id"].clone());
        let schedule = owner.post(&format!("/api/instances/{instance}/schedules"), body).await.expect(201);
        let backup = id();
        let insert = format!(
            "INSERT INTO backups (id, instance_id, customer_id, name, state, origin, keep, created_at)
             SELECT '{backup}', id, customer_id, 'b', 'failed', 'customer', 1, now() FROM instances
             WHERE id = '{instance}'"
        );
        world.database.execute(&insert).await;
        Self {
            instance,
            backup,
            session,
            schedule: text(schedule.at("/id")),
            operation: text(answer.at("/operation/id")),
            api_key: text(owner.get("/api/api-keys").await.at("/0/id")),
        }
    }

    fn fill(&self, path: &str) -> String {
        let id = match path {
            _ if path.starts_with("/api/instances/") => &self.instance,
            _ if path.starts_with("/api/operations/") || path.starts_with("/api/operator/operations/") => {
                &self.operation
            }
            _ if path.starts_with("/api/api-keys/") => &self.api_key,
            _ if path.starts_with("/api/sessions/") => &self.session,
            _ if path.starts_with("/api/operator/customers/")
                || path.starts_with("/api/operator/instances/")
                || path.starts_with("/api/operator/billing/")
                || path.starts_with("/api/operator/notifications/") =>
            {
                &self.instance
            }
            _ => {
                assert!(!path.contains('{'), "tell this test what {path} names");
                return path.to_owned();
            }
        };
        // Only a server's agent knows its jobs.
        let path = path.replace("{job}", &self.instance).replace("{upload}", &self.instance);
        path.replace("{id}", id)
            .replace("{grant}", id)
            .replace("{schedule}", &self.schedule)
            .replace("{backup}", &self.backup)
    }
}

#[tokio::test]
async fn every_operation_says_who_may_call_it() {
    for operation in operations() {
        assert_eq!(operation.secured, !PUBLIC.contains(&operation.id.as_str()), "{}", operation.id);
    }
}

#[tokio::test]
async fn nobody_gets_anything_without_a_credential() {
    let world = World::start().await;
    world.node("one", 10).await;
    let things = Things::of(&world, &world.customer("ada").await).await;
    for operation in operations().iter().filter(|operation| operation.secured) {
        let answer = operation.call(&world.anonymous(), &things.fill(&operation.path)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (401, "unauthenticated"),
            "{}",
            operation.id
        );
    }
}

/// Whether it names one of a customer's own things. What operators see is anybody's, and refused to customers as a whole.
fn is_a_customers(path: &str) -> bool {
    path.contains('{') && !path.starts_with("/api/operator/")
}

#[tokio::test]
async fn somebody_elses_things_are_answered_as_if_they_did_not_exist() {
    let world = World::start().await;
    world.node("one", 10).await;
    let owner = world.customer("ada").await;
    let stranger = world.customer("mallory").await;
    let things = Things::of(&world, &owner).await;
    let nothing = Things {
        instance: id(),
        operation: id(),
        api_key: id(),
        schedule: id(),
        backup: id(),
        session: id(),
    };
    let mut tried = 0;
    for operation in operations().iter().filter(|operation| is_a_customers(&operation.path)) {
        let theirs = operation.call(&stranger, &things.fill(&operation.path)).await;
        let absent = operation.call(&stranger, &nothing.fill(&operation.path)).await;
        assert_eq!((theirs.status.as_u16(), theirs.code().as_str()), (404, "not_found"), "{}", operation.id);
        assert_eq!(theirs.at("/detail"), absent.at("/detail"), "{}", operation.id);
        tried += 1;
    }
    assert!(tried >= 7, "{tried}");
    assert_eq!(stranger.get("/api/instances").await.at("/items"), json!([]));
    assert_eq!(stranger.get("/api/operations").await.at("/items"), json!([]));
    // The same calls reach the owner's things: the ids were right, and nothing was harmed.
    for operation in operations().iter().filter(|operation| is_a_customers(&operation.path)) {
        let answer = operation.call(&owner, &things.fill(&operation.path)).await;
        assert!(![401, 403, 404].contains(&answer.status.as_u16()), "{}: {}", operation.id, answer.text);
    }
}

fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Keys by their scopes: an account has fewer than there are operations.
#[derive(Default)]
struct Keys(HashMap<String, Client>);

impl Keys {
    async fn with(&mut self, world: &World, owner: &Client, scopes: &[&str]) -> Client {
        match self.0.entry(scopes.join(" ")) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(owner.make_key(scopes, &world.in_days(1)).await).clone(),
        }
    }
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say_and_nothing_else() {
    let world = World::start().await;
    world.node("one", 10).await;
    let owner = world.customer("ada").await;
    let things = Things::of(&world, &owner).await;
    let mut keys = Keys::default();
    let all = keys.with(&world, &owner, SCOPES).await;
    for operation in operations().iter().filter(|operation| operation.secured) {
        let path = things.fill(&operation.path);
        let Some(scope) = &operation.scope else {
            let answer = operation.call(&all, &path).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (403, "session_required"),
                "{}",
                operation.id
            );
            continue;
        };
        let others: Vec<&str> = SCOPES.iter().copied().filter(|other| other != scope).collect();
        let answer = operation.call(&keys.with(&world, &owner, &others).await, &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "scope_missing"),
            "{}",
            operation.id
        );
        let as_well = AS_WELL.iter().filter(|(id, _)| *id == operation.id).map(|(_, scope)| *scope);
        let enough: Vec<&str> = std::iter::once(scope.as_str()).chain(as_well).collect();
        let answer = operation.call(&keys.with(&world, &owner, &enough).await, &path).await;
        assert!(![401, 403, 404].contains(&answer.status.as_u16()), "{}: {}", operation.id, answer.text);
    }
}

#[tokio::test]
async fn operators_pages_are_for_operators() {
    let world = World::start().await;
    let (customer, operator) = (world.customer("ada").await, world.operator().await);
    let mut tried = 0;
    for operation in operations().iter().filter(|operation| operation.path.starts_with("/api/operator/")) {
        let path = operation.path.replace("{id}", &Uuid::now_v7().to_string());
        let path = path.replace("{grant}", &Uuid::now_v7().to_string());
        operation.call(&customer, &path).await.expect_problem(403, "operator_only");
        let answer = operation.call(&operator, &path).await;
        // What names something is told that there is no such thing, or that a body is missing.
        let changes = operation.method != Method::GET;
        let served: &[u16] = if changes || operation.path.contains('{') { &[202, 404, 415] } else { &[200] };
        assert!(served.contains(&answer.status.as_u16()), "{}: {}", operation.id, answer.text);
        tried += 1;
    }
    assert_eq!(tried, 27);
}
