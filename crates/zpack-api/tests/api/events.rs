//! The event stream.

use std::time::Duration;

use domain::{clock::Clock as _, instance::HoldReason};
use reqwest::Method;
use serde_json::{Value, json};
use store::{
    audit::By,
    holds::{self, NewHold},
};

use crate::support::{Arrangement, Client, World, order};

/// An open stream and what has not been read of it.
struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    async fn open(client: &Client) -> Self {
        let response = client.request(Method::GET, "/api/events").send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Self { response, text: String::new() };
        assert_eq!(stream.next().await.unwrap().0, "resync");
        stream
    }

    /// The next event with its data; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim();
                let found =
                    (field("event:").to_owned(), serde_json::from_str(field("data:")).unwrap_or(Value::Null));
                let rest = rest.len();
                self.text.drain(..self.text.len() - rest);
                if found.0.is_empty() {
                    continue;
                }
                return Some(found);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk()).await;
            let chunk = chunk.expect("something within 10 s").ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event of that kind for which it holds.
    async fn find(&mut self, kind: &str, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (event, data) = self.next().await.expect("the stream to go on");
            if event == kind && holds(&data) {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn a_customer_hears_of_their_own_servers_and_of_nobody_elses() {
    let world = World::start().await;
    world.node("one", 10).await;
    let (ada, bob) = (world.customer("ada").await, world.customer("bob").await);
    let (mut of_ada, mut of_bob) = (Stream::open(&ada).await, Stream::open(&bob).await);
    let made = ada.create("k", &order("Ada's")).await.expect(202);
    let operation = of_ada.find("operation", |_| true).await;
    assert_eq!(operation, made.json()["operation"]);
    let instance = of_ada.find("instance", |_| true).await;
    assert_eq!(instance, made.json()["instance"]);

    bob.create("k", &order("Bob's")).await.expect(202);
    let first = of_bob.find("instance", |_| true).await;
    assert_eq!(first["name"], "Bob's", "nothing of Ada's came before it");
}

#[tokio::test]
async fn a_hold_is_told_whoever_places_and_lifts_it() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    let mut stream = Stream::open(&client).await;
    let (owner, by) = (world.database.owner(), By::itself("billing-worker"));
    let instance = id.parse().unwrap();
    let hold = NewHold { instance, reason: HoldReason::Billing, note: "An invoice is open.", stop: true, by };

    holds::place(&owner, &hold, world.clock.now()).await.unwrap();

    let told = stream.find("instance", |_| true).await;
    assert_eq!((&told["id"], &told["holds"][0]["reason"]["code"]), (&json!(id), &json!("billing")));
    assert_eq!(
        told["desired_power"], "running",
        "a hold asks for a stop, and leaves what its customer wants"
    );

    holds::lift(&owner, instance, HoldReason::Billing, by, world.clock.now()).await.unwrap();

    let told = stream.find("instance", |_| true).await;
    assert_eq!(told["holds"], json!([]));
}

#[tokio::test]
async fn progress_and_ends_are_told_as_they_happen() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let made = client.create("k", &order("Mine")).await.expect(202);
    let mut stream = Stream::open(&client).await;
    world.database.execute("UPDATE operations SET state = 'running', step = 'install', progress = 40").await;
    let seen = stream.find("operation", |it| it["progress_percent"] == 40).await;
    assert_eq!(seen["step"], "install");
    world
        .database
        .execute(
            "UPDATE instances SET lifecycle = 'deleted', capacity_held = false;
             UPDATE operations SET state = 'succeeded', finished_at = now()",
        )
        .await;
    let gone = stream.find("instance_deleted", |_| true).await;
    assert_eq!(gone["id"], made.at("/instance/id"));
}

#[tokio::test]
async fn a_stream_ends_within_five_seconds_of_its_session() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let mut other = world.anonymous();
    other.log_in("ada@example.org", crate::support::PASSWORD).await.expect(200);
    let (mut ends, mut stays) = (Stream::open(&client).await, Stream::open(&other).await);
    client.post("/api/auth/logout", json!({})).await.expect(204);
    let began = std::time::Instant::now();
    assert_eq!(ends.next().await, None);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    world.node("one", 1).await;
    other.create("k", &order("Mine")).await.expect(202);
    stays.find("instance", |_| true).await;
}

#[tokio::test]
async fn a_stream_ends_with_the_key_that_opened_it() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let script = client.make_key(&["instances:read"], &world.in_days(1)).await;
    let mut stream = Stream::open(&script).await;
    let id = client.get("/api/api-keys").await.at("/0/id");
    client.delete(&format!("/api/api-keys/{}", id.as_str().unwrap())).await.expect(204);
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn whoever_may_have_missed_something_is_told_to_start_over() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    let mut stream = Stream::open(&client).await;
    client.create("k", &order("Mine")).await.expect(202);
    stream.find("instance", |_| true).await;
    world
        .database
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND query LIKE 'LISTEN%'",
        )
        .await;
    stream.find("resync", |_| true).await;
    client.create("k2", &order("Another")).await.expect(202);
    stream.find("instance", |it| it["name"] == "Another").await;
}

#[tokio::test]
async fn an_account_has_a_few_streams_and_a_closed_one_makes_room() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.api.max_streams_per_customer = 2;
    let world = arrangement.start();
    let (ada, bob) = (world.customer("ada").await, world.customer("bob").await);
    let (first, _second) = (Stream::open(&ada).await, Stream::open(&ada).await);
    ada.get("/api/events").await.expect_problem(429, "too_many_streams");
    let _of_bob = Stream::open(&bob).await;
    drop(first);
    World::eventually("there is room again", async || {
        let response = ada.request(Method::GET, "/api/events").send().await.unwrap();
        response.status().is_success()
    })
    .await;
}

#[tokio::test]
async fn who_cannot_keep_up_is_told_to_start_over() {
    let world = World::start().await;
    world.node("one", 10).await;
    let client = world.customer("ada").await;
    client.create("k", &order("Mine")).await.expect(202);
    let response = client.request(Method::GET, "/api/events").send().await.unwrap();
    // Far more than the stream's backlog and the sockets' buffers hold, while nobody reads it. Somebody else reads
    // theirs, which tells when all of it has been sent.
    let mut keen = Stream::open(&client).await;
    let (told, mut heard) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        keen.find("operation", |data| data["step_detail"] == "the last").await;
        told.send_replace(true);
    });
    let filler = "x".repeat(4_000);
    for n in 0..20 {
        let sql = format!(
            "DO $$ BEGIN FOR n IN 1..100 LOOP
               UPDATE operations SET state = 'running', step_detail = '{n} ' || n || '{filler}'; COMMIT;
             END LOOP; END $$"
        );
        world.database.execute(&sql).await;
    }
    let wait = async {
        // Again and again: the reader may have been told to start over just then.
        for n in 0.. {
            let sql = format!("UPDATE operations SET step_detail = 'the last', progress = {}", n % 2);
            world.database.execute(&sql).await;
            if tokio::time::timeout(Duration::from_millis(200), heard.wait_for(|heard| *heard)).await.is_ok()
            {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.expect("everything is sent");
    let mut stream = Stream { response, text: String::new() };
    assert_eq!(stream.next().await.unwrap().0, "resync");
    let mut seen = 0;
    loop {
        let (event, _) = stream.next().await.expect("the stream to go on");
        if event == "resync" {
            break;
        }
        seen += 1;
    }
    assert!(seen < 2_000, "{seen}");
}
