//! Schedules: made and edited by their owner, carried out at their time, and what became of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::agent::AgentState;
use integrations::scenario::When;
use reqwest::Method;
use runtime::{clock::Clock as _, systemd::Heartbeats};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use zpack_api::schedules;

use crate::{
    power::install,
    support::{Answer, Client, World},
};

/// A world in which a customer has a running server.
struct Setting {
    world: World,
    client: Client,
    instance: String,
    path: String,
}

impl Setting {
    async fn new() -> Self {
        let world = World::start().await;
        world.node("one", 3).await;
        let client = world.customer("ada").await;
        let instance = world.active_instance(&client, "Mine").await;
        install(&world, &instance).await;
        let path = format!("/api/instances/{instance}/schedules");
        client
            .post(&format!("/api/instances/{instance}/power"), json!({ "action": "start" }))
            .await
            .expect(202);
        Self { world, client, instance, path }
    }

    async fn make(&self, action: &str) -> String {
        let mut body = nightly(action);
        if action == "command" {
            body["command"] = json!("say good night");
        }
        let made = self.client.post(&self.path, body).await.expect(201);
        format!("{}/{}", self.path, made.at("/id").as_str().unwrap())
    }

    /// Lets the clock reach the schedule's next time, and carries out what is due.
    async fn reach(&self, schedule: &str, late: TimeDelta) {
        let next = time(&self.client.get(schedule).await.at("/next_run_at"));
        self.world.clock.set(next + late);
        schedules::pass(&self.world.app.schedule_runner).await.unwrap();
    }

    /// State and reason of a schedule's runs, newest first.
    async fn history(&self, schedule: &str) -> Vec<(String, Value)> {
        let runs = self.client.get(&format!("{schedule}/runs")).await.expect(200);
        let runs = runs.at("/items").as_array().unwrap().clone();
        runs.iter().map(|run| (text(&run["state"]), run["reason"]["code"].clone())).collect()
    }

    async fn hold(&self) {
        let hold = "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
                    SELECT gen_random_uuid(), id, 'billing', 'An invoice is open.', 'test', now() FROM instances";
        self.world.database.execute(hold).await;
    }

    async fn operation_under_way(&self) {
        let busy = "UPDATE operations SET state = 'running', finished_at = NULL";
        self.world.database.execute(busy).await;
    }

    fn asked(&self) -> usize {
        self.world.agents.scenario.count("power")
    }

    async fn edit(&self, schedule: &str, etag: &str, body: Value) -> Answer {
        let request = self.client.request(Method::PATCH, schedule).header("if-match", etag).json(&body);
        self.client.send(request).await
    }
}

fn nightly(action: &str) -> Value {
    json!({ "name": "Nightly", "cron": "0 4 * * *", "time_zone": "Europe/Berlin", "action": action })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> DateTime<Utc> {
    text(value).parse().unwrap()
}

fn succeeded() -> (String, Value) {
    ("succeeded".to_owned(), Value::Null)
}

fn skipped(code: &str) -> (String, Value) {
    ("skipped".to_owned(), json!(code))
}

fn failed(code: &str) -> (String, Value) {
    ("failed".to_owned(), json!(code))
}

#[tokio::test]
async fn a_schedule_is_made_read_edited_and_removed() {
    let s = Setting::new().await;
    let made = s.client.post(&s.path, nightly("restart")).await.expect(201);
    assert_eq!(made.at("/next_run_at"), "2027-01-16T03:00:00Z", "four in the morning in Berlin, in winter");
    assert_eq!((made.at("/enabled"), made.at("/command")), (json!(true), Value::Null));
    let schedule = made.header("location").to_owned();
    let read = s.client.get(&schedule).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (made.json(), "\"1\""));
    assert_eq!(s.client.get(&s.path).await.expect(200).at("/items/0"), made.json());

    let change = json!({ "cron": "@hourly", "time_zone": "UTC", "name": "Hourly" });
    let edited = s.edit(&schedule, "\"1\"", change.clone()).await.expect(200);
    assert_eq!(edited.at("/next_run_at"), "2027-01-15T09:00:00Z");
    assert_eq!((edited.at("/action"), edited.header("etag")), (json!("restart"), "\"2\""));
    s.edit(&schedule, "\"1\"", change.clone()).await.expect_problem(412, "version_mismatch");
    s.client
        .send(s.client.request(Method::PATCH, &schedule).json(&change))
        .await
        .expect_problem(428, "if_match_missing");
    let off = s.edit(&schedule, "*", json!({ "enabled": false })).await.expect(200);
    assert_eq!((off.at("/enabled"), off.at("/next_run_at")), (json!(false), Value::Null));
    // Into a command and out of it again: the line comes and goes with the action.
    s.edit(&schedule, "*", json!({ "action": "command" })).await.expect_problem(422, "invalid_schedule");
    let typed = s.edit(&schedule, "*", json!({ "action": "command", "command": "list" })).await.expect(200);
    assert_eq!(typed.at("/command"), "list");
    assert_eq!(s.edit(&schedule, "*", json!({ "action": "stop" })).await.at("/command"), Value::Null);

    s.client.delete(&schedule).await.expect(204);
    s.client.get(&schedule).await.expect_problem(404, "not_found");
    s.client.delete(&schedule).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_schedule_that_cannot_be_is_refused_with_the_field_that_is_wrong() {
    let s = Setting::new().await;
    for (field, value, code, named) in [
        ("cron", json!("0 4 * *"), "invalid_schedule", "cron"),
        ("cron", json!("*/4 * * * *"), "invalid_schedule", "cron"),
        ("cron", json!("0 0 30 2 *"), "invalid_schedule", "cron"),
        ("cron", json!("@reboot"), "invalid_schedule", "cron"),
        ("time_zone", json!("Berlin"), "invalid_schedule", "time_zone"),
        ("name", json!("a\u{202E}b"), "invalid_schedule", "name"),
        ("name", json!(""), "validation_failed", "name"),
        ("name", json!("x".repeat(101)), "validation_failed", "name"),
        ("command", json!("stop"), "invalid_schedule", "command"),
        ("action", json!("command"), "invalid_schedule", "command"),
    ] {
        let mut body = nightly("stop");
        body[field] = value.clone();
        let answer = s.client.post(&s.path, body).await;
        let status = if code == "invalid_schedule" { 422 } else { 400 };
        let answer = answer.expect_problem(status, code);
        assert_eq!(answer.at("/errors/0/field"), named, "{field} {value}");
    }
    let mut body = nightly("command");
    for line in ["a\nb", "\u{0}", ""] {
        body["command"] = json!(line);
        s.client.post(&s.path, body.clone()).await.expect_problem(422, "invalid_schedule");
    }
    body["command"] = json!("x".repeat(1025));
    s.client.post(&s.path, body.clone()).await.expect_problem(400, "validation_failed");
    for (field, value) in [("action", json!("kill")), ("unknown", json!(1)), ("cron", json!(5))] {
        let mut body = nightly("stop");
        body[field] = value;
        s.client.post(&s.path, body).await.expect_problem(400, "malformed_json");
    }
    for n in 0..20 {
        let mut body = nightly("stop");
        body["name"] = json!(format!("No. {n}"));
        s.client.post(&s.path, body).await.expect(201);
    }
    s.client.post(&s.path, nightly("stop")).await.expect_problem(409, "too_many_schedules");
}

#[tokio::test]
async fn power_is_switched_at_its_time_and_the_history_says_so() {
    let s = Setting::new().await;
    let power = async || s.client.get(&format!("/api/instances/{}", s.instance)).await.at("/observed_power");
    for (action, state) in [("stop", "stopped"), ("start", "running"), ("restart", "running")] {
        let schedule = s.make(action).await;
        let before = s.asked();
        schedules::pass(&s.world.app.schedule_runner).await.unwrap();
        assert_eq!(s.asked(), before, "{action}: not before its time");
        s.reach(&schedule, TimeDelta::seconds(1)).await;
        assert_eq!(s.asked(), before + 1, "{action}");
        assert_eq!(power().await, state, "{action}");
        schedules::pass(&s.world.app.schedule_runner).await.unwrap();
        assert_eq!(s.history(&schedule).await, [succeeded()], "{action}: once");
        s.client.delete(&schedule).await.expect(204);
    }
}

#[tokio::test]
async fn a_time_that_two_daemons_see_is_carried_out_once() {
    let s = Setting::new().await;
    let schedule = s.make("restart").await;
    let next = time(&s.client.get(&schedule).await.at("/next_run_at"));
    s.world.clock.set(next);
    let before = s.asked();
    let passes = (0..6).map(|_| schedules::pass(&s.world.app.schedule_runner));
    for pass in futures_util::future::join_all(passes).await {
        pass.unwrap();
    }
    assert_eq!((s.asked(), s.history(&schedule).await), (before + 1, vec![succeeded()]));
}

#[tokio::test]
async fn what_a_hold_or_an_operation_forbids_is_skipped_and_says_why() {
    let s = Setting::new().await;
    let mut all = Vec::new();
    for action in ["start", "restart", "command", "backup"] {
        all.push(s.make(action).await);
    }
    let (asked, operations) = (s.asked(), s.client.get("/api/operations").await.at("/items"));
    s.operation_under_way().await;
    s.reach(&all[0], TimeDelta::zero()).await;
    for schedule in &all {
        assert_eq!(s.history(schedule).await, [skipped("busy")]);
    }
    s.world.database.execute("UPDATE operations SET state = 'succeeded', finished_at = now()").await;
    s.hold().await;
    s.reach(&all[0], TimeDelta::zero()).await;
    for schedule in &all {
        assert_eq!(s.history(schedule).await, [skipped("on_hold"), skipped("busy")]);
    }
    assert_eq!(s.asked(), asked);
    assert_eq!(s.client.get("/api/operations").await.at("/items/0/id"), operations[0]["id"]);
    assert_eq!(s.world.agents.typed(s.instance.parse().unwrap()), Vec::<String>::new());
}

#[tokio::test]
async fn a_restart_does_not_start_what_its_owner_has_stopped() {
    let s = Setting::new().await;
    let schedule = s.make("restart").await;
    let stop = json!({ "action": "stop" });
    s.client.post(&format!("/api/instances/{}/power", s.instance), stop).await.expect(202);
    let asked = s.asked();
    s.reach(&schedule, TimeDelta::zero()).await;
    assert_eq!((s.asked(), s.history(&schedule).await), (asked, vec![skipped("not_running")]));
}

#[tokio::test]
async fn a_command_is_typed_into_a_running_server() {
    let s = Setting::new().await;
    let schedule = s.make("command").await;
    s.reach(&schedule, TimeDelta::zero()).await;
    let id = s.instance.parse().unwrap();
    assert_eq!(s.world.agents.typed(id), ["say good night"]);
    s.world.agents.set_state(id, AgentState::Stopped);
    s.reach(&schedule, TimeDelta::zero()).await;
    assert_eq!(s.history(&schedule).await, [skipped("not_running"), succeeded()]);
    assert_eq!(s.world.agents.typed(id).len(), 1);
}

#[tokio::test]
async fn a_backup_is_an_operation_that_the_run_names() {
    let s = Setting::new().await;
    let schedule = s.make("backup").await;
    s.reach(&schedule, TimeDelta::zero()).await;
    let run = s.client.get(&format!("{schedule}/runs")).await.at("/items/0");
    let operation =
        s.client.get(&format!("/api/operations/{}", text(&run["operation_id"]))).await.expect(200);
    assert_eq!((operation.at("/kind"), operation.at("/instance_id")), (json!("backup"), json!(s.instance)));
    let made = "SELECT count(*) FROM backups WHERE origin = 'schedule' AND name = 'Nightly' AND keep = 2";
    assert_eq!(s.world.database.count(made).await, 1);
    assert_eq!(s.history(&schedule).await, [succeeded()]);
}

#[tokio::test]
async fn an_agent_that_is_away_is_a_failure_that_is_not_tried_again() {
    let s = Setting::new().await;
    let schedule = s.make("stop").await;
    s.world.agents.scenario.disturb("power", When::FailBefore, 1);
    s.reach(&schedule, TimeDelta::zero()).await;
    assert_eq!(s.history(&schedule).await, [failed("agent_unreachable")]);
    let asked = s.asked();
    schedules::pass(&s.world.app.schedule_runner).await.unwrap();
    assert_eq!(s.asked(), asked);
}

#[tokio::test]
async fn after_an_absence_only_what_was_missed_recently_is_made_up_for() {
    let s = Setting::new().await;
    let schedule = s.make("restart").await;
    s.reach(&schedule, TimeDelta::minutes(11)).await;
    assert_eq!(s.history(&schedule).await, [skipped("missed")]);
    s.reach(&schedule, TimeDelta::minutes(9)).await;
    assert_eq!(s.history(&schedule).await, [succeeded(), skipped("missed")]);
    let next = s.client.get(&schedule).await.at("/next_run_at");
    assert_eq!(next, "2027-01-18T03:00:00Z");
}

#[tokio::test]
async fn a_run_can_be_asked_for_at_once() {
    let s = Setting::new().await;
    let schedule = s.make("stop").await;
    s.edit(&schedule, "*", json!({ "enabled": false })).await.expect(200);
    let run = s.client.post(&format!("{schedule}/run"), json!({})).await.expect(200);
    assert_eq!((run.at("/state"), run.at("/origin")), (json!("succeeded"), json!("customer")));
    assert_eq!(s.client.get(&format!("{schedule}/runs")).await.at("/items/0"), run.json());
    assert_eq!(
        s.client.get(&format!("/api/instances/{}", s.instance)).await.at("/observed_power"),
        "stopped"
    );
    s.operation_under_way().await;
    let run = s.client.post(&format!("{schedule}/run"), json!({})).await.expect(200);
    assert_eq!((run.at("/state"), run.at("/reason/code")), (json!("skipped"), json!("busy")));
    assert!(text(&run.at("/reason/message")).contains("under way"), "{}", run.text);
    let audit = "SELECT count(*) FROM audit_log WHERE action IN ('schedule.run_asked_for', 'schedule.run')";
    assert_eq!(s.world.database.count(audit).await, 4);
}

#[tokio::test]
async fn an_api_key_cannot_do_by_a_schedule_what_it_cannot_do_itself() {
    let s = Setting::new().await;
    let until = s.world.in_days(1);
    let key = s.client.make_key(&["schedules"], &until).await;
    for (action, scope) in
        [("stop", "instances:power"), ("command", "instances:console"), ("backup", "backups")]
    {
        let mut body = nightly(action);
        if action == "command" {
            body["command"] = json!("list");
        }
        let refused = key.post(&s.path, body.clone()).await.expect_problem(403, "scope_missing");
        assert!(text(&refused.at("/detail")).contains(scope), "{}", refused.text);
        // Neither may it change, or run, what somebody else has made.
        let schedule = s.make(action).await;
        let change = key.request(Method::PATCH, &schedule).header("if-match", "*");
        let change = change.json(&json!({ "cron": "@hourly" }));
        key.send(change).await.expect_problem(403, "scope_missing");
        key.post(&format!("{schedule}/run"), json!({})).await.expect_problem(403, "scope_missing");
        let both = s.client.make_key(&["schedules", scope], &until).await;
        both.post(&s.path, body).await.expect(201);
        let into = both.request(Method::PATCH, &schedule).header("if-match", "*");
        let other = if action == "stop" { "backup" } else { "stop" };
        both.send(into.json(&json!({ "action": other }))).await.expect_problem(403, "scope_missing");
        both.post(&format!("{schedule}/run"), json!({})).await.expect(200);
        key.delete(&schedule).await.expect_problem(403, "scope_missing");
        both.delete(&schedule).await.expect(204);
        s.world.database.execute("UPDATE operations SET state = 'succeeded', finished_at = now()").await;
    }
}

#[tokio::test]
async fn what_a_key_has_planned_ends_with_it() {
    let s = Setting::new().await;
    let key = s.client.make_key(&["schedules", "instances:power"], &s.world.in_days(1)).await;
    let of_key = key.post(&s.path, nightly("stop")).await.expect(201);
    let own = s.make("stop").await;
    let of_key = format!("{}/{}", s.path, text(&of_key.at("/id")));
    let id = s.client.get("/api/api-keys").await.at("/0/id");
    s.client.delete(&format!("/api/api-keys/{}", text(&id))).await.expect(204);
    let ended = s.client.get(&of_key).await.expect(200);
    assert_eq!((ended.at("/enabled"), ended.at("/next_run_at")), (json!(false), Value::Null));
    assert_eq!(s.client.get(&own).await.at("/enabled"), json!(true));
}

#[tokio::test]
async fn what_a_key_has_planned_ends_when_it_runs_out() {
    let s = Setting::new().await;
    let key = s.client.make_key(&["schedules", "instances:power"], &s.world.in_days(1)).await;
    let made = key.post(&s.path, nightly("stop")).await.expect(201);
    let (path, asked) = (format!("{}/{}", s.path, text(&made.at("/id"))), s.asked());
    s.world.clock.advance(TimeDelta::days(2));
    schedules::pass(&s.world.app.schedule_runner).await.unwrap();
    assert_eq!((s.asked(), s.history(&path).await), (asked, vec![]));
    assert_eq!(s.client.get(&path).await.at("/enabled"), json!(false));
}

#[tokio::test]
async fn a_disabled_account_and_a_deleted_server_have_no_runs() {
    let s = Setting::new().await;
    let schedule = s.make("stop").await;
    s.world.database.execute("UPDATE customers SET disabled_at = now()").await;
    let asked = s.asked();
    s.world.clock.advance(TimeDelta::hours(19));
    schedules::pass(&s.world.app.schedule_runner).await.unwrap();
    s.world.database.execute("UPDATE customers SET disabled_at = NULL").await;
    assert_eq!(s.history(&schedule).await, [skipped("account_disabled")]);
    s.client.delete(&format!("/api/instances/{}", s.instance)).await.expect(202);
    assert_eq!(s.client.get(&schedule).await.at("/next_run_at"), Value::Null);
    s.world.clock.advance(TimeDelta::days(2));
    schedules::pass(&s.world.app.schedule_runner).await.unwrap();
    assert_eq!(s.asked(), asked);
    s.client.post(&s.path, nightly("stop")).await.expect_problem(409, "instance_not_active");
}

#[tokio::test]
async fn the_loop_carries_out_what_becomes_due_and_finishes_it_when_it_is_to_end() {
    let s = Setting::new().await;
    let schedule = s.make("stop").await;
    let next = time(&s.client.get(&schedule).await.at("/next_run_at"));
    s.world.clock.set(next);
    // The agent hangs: the run takes as long as a call may.
    s.world.agents.scenario.disturb("power", When::HangBefore, 1);
    let (asked, shutdown) = (s.asked(), CancellationToken::new());
    let heartbeat = Heartbeats::default().register("schedules", schedules::MAX_SILENCE);
    let looping =
        tokio::spawn(schedules::run(s.world.app.schedule_runner.clone(), heartbeat, shutdown.clone()));
    World::eventually("the agent is asked", async || s.asked() > asked).await;
    assert_eq!(s.history(&schedule).await, [("running".to_owned(), Value::Null)]);
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), looping).await.expect("to end").unwrap();
    assert_eq!(s.history(&schedule).await, [failed("agent_unreachable")]);
    assert_eq!(s.world.clock.now(), next);
}

#[tokio::test]
async fn the_next_times_are_seen_before_a_schedule_is_made() {
    let world = World::start().await;
    let client = world.customer("ada").await;
    let look = async |cron: &str, zone: &str| {
        let cron = cron.replace(' ', "%20").replace('*', "%2A");
        client.get(&format!("/api/schedules/timetable?cron={cron}&time_zone={zone}")).await
    };
    let times = look("0 4 * * *", "Europe/Berlin").await.expect(200).json();
    let times = times["next_run_at"].as_array().unwrap();
    assert_eq!(times.len(), 5);
    assert!(times.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "{times:?}");
    look("0 4 * *", "UTC").await.expect_problem(422, "invalid_schedule");
    look("0 4 * * *", "Mars").await.expect_problem(422, "invalid_schedule");
    look("* * * * *", "UTC").await.expect_problem(422, "invalid_schedule");
}
