//! Switching servers: the request is kept even when the agent is away.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    agent::{
        AgentState, ConsoleMode, Players, Probe, ReadySpec, RunSpec, Runtime, ServiceSpec, ServiceStats,
        StopSpec,
    },
    ids::InstanceId,
};
use integrations::{
    agent::{AgentApi as _, Fingerprint},
    scenario::When,
};
use serde_json::json;

use crate::support::{World, order};

/// Installs something on the instance's agent, as the worker did.
pub(crate) async fn install(world: &World, id: &str) {
    let instance: InstanceId = id.parse().unwrap();
    let spec = ServiceSpec {
        revision: "1".into(),
        install: vec![],
        run: RunSpec {
            argv: vec!["game".into()],
            runtime: Runtime::None,
            env: [].into(),
            stop: StopSpec { line: None, grace_seconds: 1 },
            console: ConsoleMode::Pipes,
        },
        ready: ReadySpec { probe: Probe::Tcp { port: 1 }, deadline_seconds: 1 },
        disk_limit_bytes: None,
    };
    let address = ([127, 0, 0, 1], 1).into();
    let session = world.agents.connect(address, instance, &Fingerprint::of(id.as_bytes())).unwrap();
    session.put_service(&spec).await.unwrap();
    session.status(None, Duration::ZERO).await.unwrap();
}

/// Delivers what waits, whoever had it and whenever it is to be tried again.
async fn deliver_due(world: &World) {
    let now = "UPDATE power_requests SET run_after = now(), lease_owner = NULL, lease_expires_at = NULL";
    world.database.execute(now).await;
    world.app.watch().deliver_due().await.unwrap();
}

#[tokio::test]
async fn a_server_is_stopped_and_started_and_both_axes_follow() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    install(&world, &id).await;
    for (action, state, desired) in [
        ("stop", "stopped", "stopped"),
        ("start", "running", "running"),
        ("restart", "running", "running"),
        ("kill", "stopped", "stopped"),
    ] {
        let path = format!("/api/instances/{id}/power");
        let answer = client.post(&path, json!({ "action": action })).await.expect(202);
        assert_eq!(answer.at("/status/state"), state, "{action}");
        assert_eq!(answer.at("/instance/desired_power"), desired, "{action}");
        assert_eq!(answer.at("/instance/observed_power"), state, "{action}");
    }
    let status = client.get(&format!("/api/instances/{id}/status")).await.expect(200);
    assert_eq!(status.at("/state"), "stopped");
    assert_eq!(world.agents.scenario.count("power"), 4);
}

#[tokio::test]
async fn while_the_agent_is_away_the_request_is_stored() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    world.agents.scenario.disturb("power", When::FailBefore, 1);
    let answer = client.post(&format!("/api/instances/{id}/power"), json!({ "action": "stop" })).await;
    let answer = answer.expect_problem(503, "agent_unreachable");
    assert!(answer.at("/detail").as_str().unwrap().contains("stored"), "{}", answer.text);
    let instance = client.get(&format!("/api/instances/{id}")).await;
    assert_eq!(instance.at("/desired_power"), "stopped");
    assert_eq!(instance.at("/observed_power"), "running", "what was not seen is not claimed");
    world.agents.scenario.disturb("status", When::FailBefore, 1);
    client.get(&format!("/api/instances/{id}/status")).await.expect_problem(503, "agent_unreachable");
}

#[tokio::test]
async fn an_agent_that_hangs_is_not_waited_for() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    world.agents.scenario.disturb("status", When::HangBefore, 1);
    let began = std::time::Instant::now();
    client.get(&format!("/api/instances/{id}/status")).await.expect_problem(503, "agent_unreachable");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_held_server_can_be_stopped_and_not_started() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    install(&world, &id).await;
    world
        .database
        .execute(
            "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
             SELECT gen_random_uuid(), id, 'billing', 'An invoice is open.', 'test', now() FROM instances",
        )
        .await;
    let path = format!("/api/instances/{id}/power");
    client.post(&path, json!({ "action": "stop" })).await.expect(202);
    for action in ["start", "restart"] {
        client.post(&path, json!({ "action": action })).await.expect_problem(409, "instance_on_hold");
    }
    let instance = client.get(&format!("/api/instances/{id}")).await;
    assert_eq!(instance.at("/holds/0/reason/code"), "billing");
    assert_eq!(instance.at("/desired_power"), "stopped");
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_cannot_be_switched() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let made = client.create("k", &order("Mine")).await.expect(202);
    let path = format!("/api/instances/{}", made.at("/instance/id").as_str().unwrap());
    let answer = client.post(&format!("{path}/power"), json!({ "action": "stop" })).await;
    answer.expect_problem(409, "instance_not_active");
    client.get(&format!("{path}/status")).await.expect_problem(409, "instance_not_active");
    let answer = client.post(&format!("{path}/power"), json!({ "action": "explode" })).await;
    answer.expect_problem(400, "malformed_json");
    assert!(world.agents.scenario.calls().is_empty());
}

#[tokio::test]
async fn a_power_request_is_delivered_once_the_agent_is_back() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    install(&world, &id).await;
    let path = format!("/api/instances/{id}");
    client.post(&format!("{path}/power"), json!({ "action": "start" })).await.expect(202);
    world.agents.scenario.disturb("power", When::FailBefore, 2);
    let away = client.post(&format!("{path}/power"), json!({ "action": "stop" })).await;
    away.expect_problem(503, "agent_unreachable");
    deliver_due(&world).await;
    assert_eq!(client.get(&path).await.at("/observed_power"), "running", "still away");
    deliver_due(&world).await;
    let instance = client.get(&path).await;
    assert_eq!(
        (instance.at("/desired_power"), instance.at("/observed_power")),
        (json!("stopped"), json!("stopped"))
    );
    let asked = world.agents.scenario.count("power");
    deliver_due(&world).await;
    assert_eq!(world.agents.scenario.count("power"), asked, "delivered once");
}

#[tokio::test]
async fn a_power_request_that_a_hold_forbids_since_is_dropped() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    install(&world, &id).await;
    world.agents.scenario.disturb("power", When::FailBefore, 1);
    let path = format!("/api/instances/{id}");
    let away = client.post(&format!("{path}/power"), json!({ "action": "start" })).await;
    away.expect_problem(503, "agent_unreachable");
    let hold = "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
                SELECT gen_random_uuid(), id, 'abuse', 'A report.', 'test', now() FROM instances";
    world.database.execute(hold).await;
    let asked = world.agents.scenario.count("power");
    deliver_due(&world).await;
    assert_eq!(world.agents.scenario.count("power"), asked);
    assert_eq!(world.database.count("SELECT count(*) FROM power_requests").await, 0);
}

#[tokio::test]
async fn what_is_shown_of_a_server_follows_what_it_does_by_itself() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    install(&world, &id).await;
    world.agents.set_state(id.parse().unwrap(), AgentState::Crashed);
    let observed = || async { client.get(&format!("/api/instances/{id}")).await.at("/observed_power") };
    world.app.watch().look(true, || {}).await.unwrap();
    assert_eq!(observed().await, "crashed");
    world.agents.scenario.disturb("status", When::FailBefore, 1);
    world.app.watch().look(true, || {}).await.unwrap();
    assert_eq!(observed().await, "unknown", "what cannot be seen is not claimed");
    world.app.watch().look(true, || {}).await.unwrap();
    assert_eq!(observed().await, "crashed");
}

#[tokio::test]
async fn load_players_and_when_a_server_was_heard_of_are_shown_in_list_status_and_history() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    install(&world, &id).await;
    let new = client.get(&format!("/api/instances/{id}")).await.expect(200);
    assert_eq!((new.at("/load"), new.at("/last_heard_at")), (json!(null), json!(null)));
    let instance = id.parse().unwrap();
    world.agents.set_state(instance, AgentState::Running);
    let players = Players { online: 2, max: 20, names: vec!["ida".into(), "nils_b".into()] };
    let stats = ServiceStats {
        memory_bytes: 1 << 30,
        disk_bytes: 45,
        uptime_ms: 5_000,
        players: Some(players),
        ..ServiceStats::default()
    };
    world.agents.set_stats(instance, stats);
    world.app.watch().look(true, || {}).await.unwrap();
    let list = client.get("/api/instances").await.expect(200);
    assert_eq!(list.at("/items/0/load/memory_bytes"), 1 << 30);
    assert_eq!(list.at("/items/0/load/cpu_percent"), json!(null), "a difference needs two looks");
    assert_eq!(list.at("/items/0/load/players"), json!({ "online_count": 2, "max_count": 20 }));
    let heard = list.at("/items/0/last_heard_at");
    assert!(heard.is_string());
    let now = client.get(&format!("/api/instances/{id}/status")).await.expect(200);
    assert_eq!(now.at("/players/names"), json!(["ida", "nils_b"]));
    assert_eq!(now.at("/load/disk_bytes"), 45);

    // One that does not answer keeps what was known, with its time.
    world.clock.advance(TimeDelta::seconds(20));
    world.agents.scenario.disturb("status", When::FailBefore, 1);
    world.app.watch().look(true, || {}).await.unwrap();
    let silent = client.get(&format!("/api/instances/{id}")).await.expect(200);
    assert_eq!((silent.at("/observed_power"), silent.at("/last_heard_at")), (json!("unknown"), heard));
    assert_eq!(silent.at("/load/memory_bytes"), 1 << 30);

    world.clock.advance(TimeDelta::seconds(20));
    world.app.watch().look(true, || {}).await.unwrap();
    let history = client.get(&format!("/api/instances/{id}/load")).await.expect(200);
    assert_eq!(history.json().as_array().map(Vec::len), Some(2));
    assert_eq!(history.at("/1/player_count"), 2);
    world
        .customer("eve")
        .await
        .get(&format!("/api/instances/{id}/load"))
        .await
        .expect_problem(404, "not_found");
}

#[tokio::test]
async fn processor_use_is_what_was_used_between_two_looks() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    install(&world, &id).await;
    let instance = id.parse().unwrap();
    world.agents.set_state(instance, AgentState::Running);
    let watch = world.app.watch();
    let at = |cpu_ms| ServiceStats { cpu_ms, uptime_ms: 5_000, ..ServiceStats::default() };
    world.agents.set_stats(instance, at(1_000));
    watch.look(true, || {}).await.unwrap();
    // As if a quarter of an hour of two cores had been used since the look before, a moment ago.
    world.agents.set_stats(instance, at(1_801_000));
    watch.look(true, || {}).await.unwrap();
    let percent = client.get(&format!("/api/instances/{id}")).await.at("/load/cpu_percent");
    assert!(percent.as_f64().unwrap() > 100.0, "{percent}");
    world.agents.set_stats(instance, at(10));
    watch.look(true, || {}).await.unwrap();
    let percent = client.get(&format!("/api/instances/{id}")).await.at("/load/cpu_percent");
    assert_eq!(percent, json!(null), "a restart is no negative use");
}

#[tokio::test]
async fn a_customer_reads_why_a_server_stopped_and_what_was_done_to_it_in_words_of_their_own() {
    let world = World::start().await;
    world.node("one", 1).await;
    let client = world.customer("ada").await;
    let id = world.active_instance(&client, "Mine").await;
    install(&world, &id).await;
    let key = client.make_key(&["instances:power", "instances:read"], &world.in_days(1)).await;
    key.post(&format!("/api/instances/{id}/power"), json!({ "action": "stop" })).await.expect(202);
    let read = client.get(&format!("/api/instances/{id}")).await.expect(200);
    assert_eq!(read.at("/stopped/reason/code"), "requested");
    assert_eq!(read.at("/stopped/actor/kind"), "api_key");
    assert!(read.at("/stopped/actor/name").is_string());
    client.post(&format!("/api/instances/{id}/power"), json!({ "action": "start" })).await.expect(202);
    assert_eq!(client.get(&format!("/api/instances/{id}")).await.at("/stopped"), json!(null));

    let activity = client.get(&format!("/api/instances/{id}/activity?limit=2")).await.expect(200);
    assert_eq!(activity.at("/items/0/action"), "instance.power");
    assert_eq!(activity.at("/items/0/requested_action"), "start");
    assert_eq!(activity.at("/items/0/actor"), json!({ "kind": "customer", "name": null }));
    assert_eq!(activity.at("/items/1/actor/kind"), "api_key");
    let next = activity.at("/next_cursor");
    let path = format!("/api/instances/{id}/activity?cursor={}", next.as_str().unwrap());
    let older = client.get(&path).await.expect(200);
    let items = older.json();
    let items = items["items"].as_array().unwrap();
    assert_eq!(items.last().unwrap()["action"], "instance.create");
    assert!(items.iter().all(|it| it["operation_id"].is_string()), "{items:?}");
    let nobody = world.customer("eve").await;
    nobody.get(&format!("/api/instances/{id}/activity")).await.expect_problem(404, "not_found");
}
