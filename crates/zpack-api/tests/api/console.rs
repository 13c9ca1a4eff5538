//! The console's socket: each line once and in order, input, and what scripts have instead.

use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    agent::{AgentState, ConsoleMode, ConsoleSize, ServiceStats},
    ids::InstanceId,
};
use integrations::scenario::When;
use serde_json::json;

use crate::support::{Client, Socket, World};

struct Scene {
    world: World,
    ada: Client,
    id: String,
    instance: InstanceId,
}

async fn scene() -> Scene {
    let world = World::start().await;
    world.node("one", 4).await;
    let ada = world.customer("ada").await;
    let id = world.active_instance(&ada, "Mine").await;
    let instance = id.parse().unwrap();
    Scene { world, ada, id, instance }
}

impl Scene {
    fn print(&self, lines: std::ops::RangeInclusive<u64>) {
        self.world.agents.print(self.instance, lines.map(|n| format!("line {n}")));
    }
}

#[tokio::test]
async fn each_line_comes_once_and_in_order_however_often_a_client_connects() {
    let scene = scene().await;
    scene.print(1..=700);
    let mut socket = Socket::resume(&scene.ada, &scene.id, Some(1)).await;
    socket.expect_entries(1..=700).await;
    for round in 0..3 {
        let first = 701 + round * 400;
        scene.print(first..=first + 199);
        socket.expect_entries(first..=first + 99).await;
        drop(socket);
        scene.print(first + 200..=first + 399);
        socket = Socket::resume(&scene.ada, &scene.id, Some(first + 100)).await;
        socket.expect_entries(first + 100..=first + 399).await;
    }
    // Nothing is sent that nobody printed.
    scene.print(1_901..=1_901);
    let last = socket.entry().await;
    assert_eq!((&last["seq"], &last["text"]), (&json!(1_901), &json!("line 1901")));
    assert_eq!(last["at"], "2027-01-15T08:00:00.000Z");
}

#[tokio::test]
async fn whoever_names_no_number_gets_the_last_200_lines_and_what_follows() {
    let scene = scene().await;
    scene.print(1..=1_000);
    let mut socket = Socket::open(&scene.ada, &scene.id).await;
    let hello = socket.message().await;
    assert_eq!(
        (&hello["type"], &hello["mode"], &hello["first"], &hello["next"]),
        (&json!("hello"), &json!("pipes"), &json!(1), &json!(1_001)),
        "{hello}"
    );
    assert_eq!(hello["state"]["state"], "idle");
    socket.say(json!({ "type": "resume" })).await;
    socket.expect_entries(801..=1_000).await;
    scene.print(1_001..=1_001);
    socket.expect_entries([1_001]).await;
}

#[tokio::test]
async fn what_the_console_has_forgotten_is_an_explicit_gap() {
    let scene = scene().await;
    scene.print(1..=500);
    scene.world.agents.forget_output(scene.instance, 101);
    let mut socket = Socket::resume(&scene.ada, &scene.id, Some(1)).await;
    let gap = socket.entry().await;
    assert_eq!((&gap["type"], &gap["from"], &gap["to"]), (&json!("gap"), &json!(1), &json!(100)));
    socket.expect_entries(101..=500).await;
    // Overrun while it is being followed, and nobody can read: 8 reads fail in more than 3 s.
    scene.world.agents.scenario.disturb("console_read", When::FailBefore, 8);
    scene.print(501..=501);
    socket.find("error").await;
    scene.print(502..=600);
    scene.world.agents.forget_output(scene.instance, 551);
    let mut next = socket.entry().await;
    if next["seq"] == 501 {
        next = socket.entry().await;
    }
    assert_eq!((&next["type"], &next["to"]), (&json!("gap"), &json!(550)), "{next}");
    socket.expect_entries(551..=600).await;
}

#[tokio::test]
async fn what_is_typed_reaches_the_server_and_bad_input_is_explained() {
    let scene = scene().await;
    let mut socket = Socket::resume(&scene.ada, &scene.id, None).await;
    for (id, text) in [(1, "say one"), (2, "say two\n")] {
        socket.say(json!({ "type": "input", "id": id, "text": text })).await;
        let answer = socket.find("input_result").await;
        assert_eq!((&answer["id"], &answer["ok"]), (&json!(id), &json!(true)), "{answer}");
    }
    assert_eq!(scene.world.agents.typed(scene.instance), ["say one", "say two"]);
    for (text, code) in [("one\nstop".to_owned(), "input_not_a_line"), ("x".repeat(4_097), "input_too_long")]
    {
        socket.say(json!({ "type": "input", "id": 3, "text": text })).await;
        let answer = socket.find("input_result").await;
        assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!(code)), "{answer}");
        assert!(answer["detail"].as_str().unwrap().starts_with("Nothing was sent"), "{answer}");
    }
    scene.world.agents.scenario.disturb("console_input", When::FailBefore, 1);
    socket.say(json!({ "type": "input", "text": "say three" })).await;
    let answer = socket.find("input_result").await;
    assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("agent_unreachable")));
    socket.say(json!({ "type": "ping" })).await;
    socket.find("pong").await;
    assert_eq!(scene.world.agents.typed(scene.instance).len(), 2);
}

#[tokio::test]
async fn who_types_too_fast_is_told_so_and_the_rest_goes_on() {
    let scene = scene().await;
    let mut socket = Socket::resume(&scene.ada, &scene.id, None).await;
    for id in 0..150 {
        socket.say(json!({ "type": "input", "id": id, "text": format!("{id}") })).await;
    }
    let (mut taken, mut refused) = (Vec::new(), 0);
    while taken.len() + refused < 150 {
        let answer = socket.find("input_result").await;
        if answer["ok"] == true {
            taken.push(answer["id"].to_string());
        } else {
            assert_eq!(answer["code"], "too_many_inputs", "{answer}");
            refused += 1;
        }
    }
    assert!(refused > 0 && taken.len() >= 40, "{refused} of 150 refused");
    assert_eq!(scene.world.agents.typed(scene.instance), taken, "in the order in which they were typed");
}

#[tokio::test]
async fn a_terminal_gets_keys_as_they_are_and_its_size() {
    let scene = scene().await;
    scene.world.agents.set_console_mode(scene.instance, ConsoleMode::Pty);
    let mut socket = Socket::resume(&scene.ada, &scene.id, None).await;
    socket.say(json!({ "type": "input", "text": "\u{3}ls\r" })).await;
    assert_eq!(socket.find("input_result").await["ok"], true);
    assert_eq!(scene.world.agents.typed(scene.instance), ["\u{3}ls\r"]);
    socket.say(json!({ "type": "resize", "columns": 0, "rows": 24 })).await;
    assert_eq!(socket.find("error").await["code"], "invalid_size");
    socket.say(json!({ "type": "resize", "columns": 120, "rows": 40 })).await;
    let told = ConsoleSize { columns: 120, rows: 40 };
    World::eventually("the size", async || scene.world.agents.sizes(scene.instance) == [told]).await;
    let command = format!("/api/instances/{}/console/commands", scene.id);
    scene.ada.post(&command, json!({ "command": "ls" })).await.expect(202);
    assert_eq!(scene.world.agents.typed(scene.instance)[1], "ls\r");
}

#[tokio::test]
async fn requests_type_no_faster_than_a_console_may() {
    let scene = scene().await;
    scene.world.agents.set_state(scene.instance, AgentState::Running);
    let command = format!("/api/instances/{}/console/commands", scene.id);
    let type_line = async || scene.ada.post(&command, json!({ "command": "list" })).await;
    for _ in 0..40 {
        type_line().await.expect(202);
    }
    let refused = type_line().await.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(scene.world.agents.typed(scene.instance).len(), 40);
    scene.world.clock.advance(TimeDelta::seconds(1));
    type_line().await.expect(202);
}

#[tokio::test]
async fn state_and_use_are_told_as_they_change() {
    let scene = scene().await;
    let mut socket = Socket::resume(&scene.ada, &scene.id, None).await;
    scene.world.agents.set_state(scene.instance, AgentState::Crashed);
    assert_eq!(socket.find("state").await["state"]["state"], "crashed");
    let stats = ServiceStats { memory_bytes: 123, disk_bytes: 45, ..ServiceStats::default() };
    scene.world.agents.set_stats(scene.instance, stats);
    loop {
        let seen = socket.find("stats").await;
        if seen["memory_bytes"] == 123 {
            assert_eq!(seen["disk_bytes"], 45, "{seen}");
            break;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_nobody_and_misses_nothing() {
    let scene = scene().await;
    let mut lazy = Socket::resume(&scene.ada, &scene.id, Some(1)).await;
    let mut keen = Socket::resume(&scene.ada, &scene.id, Some(1)).await;
    // Far more than the sockets' buffers and what the tap keeps.
    let filler = "x".repeat(1_000);
    let lines = 10_000;
    for block in 0..20 {
        let texts = (0..lines / 20).map(|n| format!("{block} {n} {filler}"));
        scene.world.agents.print(scene.instance, texts);
    }
    tokio::time::timeout(Duration::from_secs(20), keen.expect_entries(1..=lines)).await.expect("all of it");
    lazy.expect_entries(1..=lines).await;
}

#[tokio::test]
async fn while_the_agent_is_away_a_socket_stays_and_goes_on_where_it_was() {
    let scene = scene().await;
    scene.print(1..=10);
    let mut socket = Socket::resume(&scene.ada, &scene.id, Some(1)).await;
    socket.expect_entries(1..=10).await;
    scene.world.agents.scenario.disturb("console_read", When::FailBefore, 5);
    scene.print(11..=30);
    // A read may have been held open: its answer comes first, or it is one of those that fail.
    let (mut numbers, mut away, mut back) = (Vec::new(), false, false);
    while numbers.len() < 20 || !back {
        let message = socket.message().await;
        match message["type"].as_str().unwrap() {
            "output" => {
                numbers.extend(message["entries"].as_array().unwrap().iter().map(|it| it["seq"].as_u64()));
            }
            "error" => {
                assert_eq!((&message["code"], &message["fatal"]), (&json!("agent_away"), &json!(false)));
                away = true;
            }
            "state" if away => back = true,
            _ => {}
        }
    }
    assert_eq!(numbers, (11..=30).map(Some).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_agent_that_stays_away_ends_the_socket_for_now() {
    let scene = scene().await;
    scene.world.agents.scenario.disturb("console_read", When::FailBefore, 1_000);
    let mut socket = Socket::open(&scene.ada, &scene.id).await;
    let error = socket.message().await;
    assert_eq!((&error["code"], &error["fatal"]), (&json!("agent_away"), &json!(false)), "{error}");
    socket.say(json!({ "type": "resume" })).await;
    let (code, last) = socket.closed().await;
    assert_eq!((code, &last["fatal"]), (1013, &json!(true)), "{last}");
}

#[tokio::test]
async fn scripts_send_commands_and_read_on_where_they_were() {
    let scene = scene().await;
    let key = scene.ada.make_key(&["instances:console"], &scene.world.in_days(1)).await;
    let path = format!("/api/instances/{}/console", scene.id);
    key.post(&format!("{path}/commands"), json!({ "command": "save-all" })).await.expect(202);
    assert_eq!(scene.world.agents.typed(scene.instance), ["save-all"]);
    let bad = key.post(&format!("{path}/commands"), json!({ "command": "a\nstop" })).await;
    bad.expect_problem(400, "validation_failed");
    key.post(&format!("{path}/commands"), json!({ "command": "" }))
        .await
        .expect_problem(400, "validation_failed");
    scene.world.agents.scenario.disturb("console_input", When::FailBefore, 1);
    let away = key.post(&format!("{path}/commands"), json!({ "command": "x" })).await;
    away.expect_problem(503, "agent_unreachable");

    scene.print(1..=300);
    let recent = key.get(&format!("{path}/history?limit=10")).await.expect(200);
    assert_eq!((recent.at("/first"), recent.at("/next")), (json!(1), json!(301)));
    assert_eq!((recent.at("/entries/0/seq"), recent.at("/entries/9/seq")), (json!(291), json!(300)));
    scene.world.agents.forget_output(scene.instance, 101);
    let gap = key.get(&format!("{path}/history?since=50&limit=5")).await.expect(200);
    assert_eq!(gap.at("/gap"), json!({ "from": 51, "to": 100 }));
    assert_eq!((gap.at("/entries/0/seq"), gap.at("/entries/4/text")), (json!(101), json!("line 105")));
    let (mut since, mut read) = (100, Vec::new());
    loop {
        let page = key.get(&format!("{path}/history?since={since}&limit=70")).await.expect(200);
        let Some(last) = page.at("/entries").as_array().unwrap().last().cloned() else { break };
        read.extend(
            page.at("/entries").as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()),
        );
        since = last["seq"].as_u64().unwrap();
    }
    assert_eq!(read, (101..=300).collect::<Vec<_>>());
    for bad in ["limit=0", "limit=1001", "since=-1"] {
        key.get(&format!("{path}/history?{bad}")).await.expect_problem(400, "invalid_parameter");
    }
}
