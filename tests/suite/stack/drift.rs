//! The controller and the repair-worker as daemons: what goes wrong behind our back is found, said, and put right where an
//! operator allows it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use domain::ids::InstanceId;
use serde_json::{Value, json};
use xtask::{http::Http, stack::Daemon};
use zlh_tests::{Town, eventually, program};

use super::{
    clients::join_by_name,
    names::{RECORDS, TOKEN, records},
};

fn start(town: &mut Town) {
    for daemon in [Daemon::Controller, Daemon::Repair] {
        town.stack.start(daemon).expect("a daemon");
    }
}

fn controller(town: &Town, arguments: &[&str]) -> String {
    town.stack.command(Daemon::Controller, arguments, None).expect("a command")
}

fn plan(town: &Town) -> Value {
    serde_json::from_str(&controller(town, &["plan", "--json"])).expect("JSON")
}

fn level1(town: &Town) {
    let said = controller(town, &["mode", "level1", "--reason", "test"]);
    assert!(said.contains("level1"), "{said}");
}

/// Waits until so many passes were made, and all of each.
fn passes(town: &Town, count: usize) {
    let begun = |town: &Town| town.stack.health(Daemon::Controller);
    let read = |town: &Town| {
        let text = xtask::sockets::get(&begun(town), "/metrics").expect("metrics");
        let of = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok());
        text.lines()
            .filter(|line| line.starts_with("zlh_controller_passes_total"))
            .filter_map(of)
            .sum::<f64>()
    };
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let end = read(town) + count as f64;
    eventually("passes", || (read(town) >= end).then_some(()));
}

fn delete_record(sandbox: &Http, record: &Value) {
    let id = record["id"].as_str().expect("an id");
    assert_eq!(sandbox.delete(&format!("{RECORDS}/{id}"), TOKEN).expect("an answer").status, 200);
}

fn told(sandbox: &Http) -> Vec<Value> {
    let messages = sandbox.get("/discord/messages", &[]).expect("an answer").body;
    messages.as_array().expect("messages").clone()
}

fn mutations(sandbox: &Http) -> usize {
    let answer = sandbox.get("/_calls", &[]).expect("an answer");
    answer.body.as_array().expect("calls").iter().filter(|call| call["method"] != "GET").count()
}

#[test]
fn a_record_that_goes_behind_our_back_is_found_said_and_repaired_where_it_is_allowed() {
    let mut town = Town::start_with_names();
    let sandbox = Http::new(&town.stack.sandbox_url());
    let customer = town.customer("ada");
    let (id, address) = customer.server("World", "minecraft-js", "flying-squid");
    start(&mut town);
    passes(&town, 2);
    assert_eq!(plan(&town)["findings"], json!([]));

    let service = records(&sandbox).into_iter().find(|it| it["type"] == "SRV").expect("a service record");
    delete_record(&sandbox, &service);
    let found = "SELECT count(*) FROM findings WHERE rule = 'entry_missing' AND seen_count >= 2 AND reason = 'observing'
                 AND closed_at IS NULL";
    eventually("the finding counts", || (town.count(found) == 1).then_some(()));
    assert_eq!(join_by_name(&address, town.stack.names())["joined"], false);

    // Observing changes nothing, and the plan says what Level 1 would do.
    sandbox.delete("/_calls", &[]).expect("an answer");
    passes(&town, 3);
    assert_eq!(mutations(&sandbox), 0);
    let planned = &plan(&town)["findings"][0];
    assert_eq!(
        (&planned["action"], &planned["reason"]),
        (&json!("edge_republish"), &json!("observing")),
        "{planned}"
    );
    assert_eq!(planned["observed"], "nothing");
    let text = controller(&town, &["plan"]);
    assert!(
        text.contains("not now: the controller only observes") && text.contains("_minecraft._tcp"),
        "{text}"
    );

    level1(&town);
    let repaired = format!(
        "SELECT count(*) FROM repair_events WHERE instance_id = '{id}' AND outcome = 'repaired' AND before LIKE 'A %'"
    );
    eventually("it is repaired", || (town.count(&repaired) == 1).then_some(()));
    assert_eq!(join_by_name(&address, town.stack.names())["joined"], true);
    eventually("the finding is gone", || {
        (town.count("SELECT count(*) FROM findings WHERE closed_at IS NULL") == 0).then_some(())
    });
    assert_eq!(town.count("SELECT count(*) FROM repairs"), 1);

    // Operators were told once, and the same message says how it ended.
    let of_record = |it: &Value| it["content"].as_str().is_some_and(|text| text.contains("_minecraft._tcp"));
    let ended = eventually("its end is told", || {
        let all: Vec<_> = told(&sandbox).into_iter().filter(of_record).collect();
        all.iter()
            .any(|it| it["content"].as_str().unwrap().contains("repaired by edge_republish"))
            .then_some(all)
    });
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0]["allowed_mentions"], json!({ "parse": [] }));
    assert!(told(&sandbox).iter().any(|it| it["content"].as_str().unwrap().contains("in mode level1")));

    // A record that was changed by hand is changed back in place; one that is not ours is left.
    let service = records(&sandbox).into_iter().find(|it| it["type"] == "SRV").expect("a service record");
    let path = format!("{RECORDS}/{}", service["id"].as_str().expect("an id"));
    let elsewhere =
        json!({ "data": { "priority": 0, "weight": 0, "port": 1, "target": "elsewhere.example" } });
    assert_eq!(sandbox.put(&path, TOKEN, &elsewhere).expect("an answer").status, 200);
    eventually("it is changed back", || {
        let now =
            records(&sandbox).into_iter().find(|it| it["id"] == service["id"]).expect("the same record");
        (now["data"] == service["data"]).then_some(())
    });
}

/// A second controller beside the stack's own.
struct Twin(Child);

impl Drop for Twin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Twin {
    #[expect(clippy::disallowed_methods, reason = "a program of ours, once more")]
    fn start(town: &Town) -> Self {
        let log = fs::File::create(town.stack.home().join("twin.log")).expect("a log");
        let child = Command::new(program("zlh-controller"))
            .env("ZLH_CONFIG", town.stack.config_file())
            .env("CREDENTIALS_DIRECTORY", town.stack.credentials(Daemon::Controller))
            .env("ZLH_HEALTH__LISTEN", format!("unix:{}", Self::health(town).display()))
            .stderr(log)
            .spawn()
            .expect("a second controller");
        Self(child)
    }

    fn health(town: &Town) -> PathBuf {
        town.stack.health(Daemon::Controller).with_extension("twin")
    }
}

#[test]
fn of_two_controllers_one_leads_and_one_that_was_paused_writes_nothing_when_it_comes_back() {
    let mut town = Town::start_with_names();
    let sandbox = Http::new(&town.stack.sandbox_url());
    let customer = town.customer("ada");
    customer.server("World", "minecraft-js", "flying-squid");
    start(&mut town);
    passes(&town, 1);
    let _twin = Twin::start(&town);
    let leads = |socket: &Path| {
        let text = xtask::sockets::get(socket, "/metrics").unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("zlh_controller_leads ")?.parse::<f64>().ok())
    };
    let (own, twin) = (town.stack.health(Daemon::Controller), Twin::health(&town));
    let waits = "another controller leads; this one waits";
    let log = town.stack.home().join("twin.log");
    eventually("the second one waits", || fs::read_to_string(&log).ok()?.contains(waits).then_some(()));
    let term = || town.count("SELECT term FROM controller");
    let first = term();

    // Paused beyond its lock, it is followed by the other one.
    let record = town.stack.records().into_iter().find(|it| it.name == "zlh-controller").expect("a record");
    let pid = rustix::process::Pid::from_raw(record.pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).expect("it is paused");
    eventually("the other one leads", || (term() == first + 1).then_some(()));
    level1(&town);
    let service = records(&sandbox).into_iter().find(|it| it["type"] == "SRV").expect("a service record");
    delete_record(&sandbox, &service);
    let repaired = "SELECT count(*) FROM repair_events WHERE outcome = 'repaired'";
    eventually("it is repaired", || (town.count(repaired) == 1).then_some(()));

    // When it goes on it finds that its word counts for nothing, and says so.
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).expect("it goes on");
    let ended = |log: String| {
        log.contains("is over: another controller leads") || log.contains("the lock is another controller's")
    };
    let own_log = town.stack.log("zlh-controller");
    eventually("it steps down", || fs::read_to_string(&own_log).ok().is_some_and(ended).then_some(()));
    eventually("one leads", || (leads(&own) == Some(0.0) && leads(&twin) == Some(1.0)).then_some(()));
    assert_eq!(term(), first + 1);
    assert_eq!(town.count(&format!("SELECT count(*) FROM findings WHERE term <= {first}")), 0);
    assert_eq!(town.count("SELECT count(*) FROM repairs"), 1);
    let clean = "SELECT count(*) FROM findings WHERE closed_at IS NULL";
    eventually("nothing is open", || (town.count(clean) == 0).then_some(()));
}

#[test]
fn an_edge_that_is_away_is_one_finding_and_one_message_however_long_and_whatever_becomes_of_discord() {
    let mut town = Town::start_with_names();
    let sandbox = Http::new(&town.stack.sandbox_url());
    let customer = town.customer("ada");
    let (id, _) = customer.server("World", "minecraft-js", "flying-squid");
    let fault = |prefix: &str, status: u16, more: Value| {
        let mut fault = json!({ "path_prefix": prefix, "kind": "status", "status": status });
        fault.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        assert_eq!(sandbox.post("/_faults", &[], &fault).expect("an answer").status, 204);
    };
    fault("/cloudflare/", 502, json!({}));
    fault("/discord/", 429, json!({ "retry_after": 1, "times": 1 }));
    fault("/discord/", 503, json!({ "times": 1 }));
    start(&mut town);
    level1(&town);
    passes(&town, 10);
    // The other rules go on meanwhile, and nothing is repaired.
    town.sql(&format!("UPDATE instances SET observed_power = 'stopped' WHERE id = '{id}'"));
    passes(&town, 2);
    let open = |rule: &str| {
        format!(
            "SELECT count(*) FROM findings WHERE rule = '{rule}' AND closed_at IS NULL AND seen_count >= 2"
        )
    };
    assert_eq!((town.count(&open("edge_unreachable")), town.count(&open("not_running"))), (1, 1));
    assert_eq!(town.count("SELECT count(*) FROM findings WHERE rule = 'entry_missing'"), 0);
    let of_edge = |it: &Value| it["content"].as_str().is_some_and(|text| text.contains("edge_unreachable"));
    eventually("operators are told", || told(&sandbox).iter().any(of_edge).then_some(()));

    sandbox.delete("/_faults", &[]).expect("an answer");
    let messages = eventually("the end is told", || {
        let all: Vec<_> = told(&sandbox).into_iter().filter(of_edge).collect();
        let ended = |it: &Value| it["content"].as_str().is_some_and(|text| text.contains("should be again"));
        all.iter().any(ended).then_some(all)
    });
    assert_eq!((messages.len(), messages[0]["edits"].as_u64()), (1, Some(1)), "{messages:?}");
    assert_eq!(town.count("SELECT count(*) FROM findings WHERE rule = 'edge_unreachable'"), 1);
}

#[test]
fn containers_and_rows_that_do_not_match_are_found_and_left_to_a_person() {
    let mut town = Town::start(&[]);
    let customer = town.customer("ada");
    let (kept, _) = customer.server("World", "minecraft-js", "flying-squid");
    let (lost, _) = customer.server("Other", "minecraft-js", "flying-squid");
    start(&mut town);
    level1(&town);
    passes(&town, 2);
    assert_eq!(plan(&town)["findings"], json!([]));

    // One container's mark is gone, one container belongs to nobody, and a port was not released.
    let containers = town.stack.containers();
    let record = containers.join(&lost).join("container.json");
    let aside = containers.join("aside.json");
    fs::rename(&record, &aside).expect("its record is moved away");
    let stray = InstanceId::generate().to_string();
    let whole = fs::read_to_string(containers.join(&kept).join("container.json")).expect("a record");
    fs::create_dir(containers.join(&stray)).expect("a folder");
    let of_stray = containers.join(&stray).join("container.json");
    fs::write(&of_stray, whole.replace(&kept, &stray)).expect("a record");
    let rules = || {
        let plan = plan(&town);
        let mut rules: Vec<_> = plan["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .map(|it| it["rule"].as_str().unwrap().to_owned())
            .collect();
        rules.sort();
        rules
    };
    eventually("both are found", || (rules() == ["container_without_row", "mark_lost"]).then_some(()));
    let counted = "SELECT count(*) FROM findings WHERE rule IN ('container_without_row', 'mark_lost') AND seen_count >= 2
                   AND closed_at IS NULL AND reason = 'above_level_1'";
    eventually("both count", || (town.count(counted) == 2).then_some(()));
    passes(&town, 3);
    assert!(of_stray.exists() && containers.join(&lost).exists(), "nothing of them was touched");
    assert_eq!(town.count("SELECT count(*) FROM repairs"), 0);

    fs::remove_dir_all(containers.join(&stray)).expect("a person deletes it");
    fs::rename(&aside, &record).expect("a person gives it its mark back");
    eventually("all is well", || rules().is_empty().then_some(()));
}

#[test]
fn an_operation_whose_worker_never_comes_back_is_freed_for_another() {
    let mut town = Town::start_with_names();
    let customer = town.customer("ada");
    let sandbox = Http::new(&town.stack.sandbox_url());
    let slow = json!({ "path_prefix": "/minecraft-js/", "kind": "late", "delay_ms": 5_000, "times": 1 });
    assert_eq!(sandbox.post("/_faults", &[], &slow).expect("an answer").status, 204);
    let (_, operation) = customer.create("World", "minecraft-js", "flying-squid");
    let held = "SELECT count(*) FROM operations WHERE state = 'running' AND lease_owner IS NOT NULL";
    eventually("it is at work", || (town.count(held) == 1).then_some(()));
    town.stack.kill(Daemon::Worker).expect("the worker is killed");
    town.sql("UPDATE operations SET lease_expires_at = lease_expires_at - interval '2 minutes'");
    start(&mut town);
    level1(&town);
    let event = "SELECT count(*) FROM repair_events WHERE action = 'clear_stale_operation_lock' AND outcome = 'repaired'
                 AND before LIKE 'running, held by zpack-provision-worker-%' AND after = 'running, held by nobody'";
    eventually("the lock is cleared", || (town.count(event) == 1).then_some(()));
    assert_eq!(town.count(held), 0);
    town.stack.start(Daemon::Worker).expect("another worker");
    assert_eq!(customer.follow(&operation)["state"], "succeeded");
    assert_eq!(town.count("SELECT count(*) FROM repairs"), 1);
}

#[test]
fn what_may_not_be_repaired_is_rejected_and_written_down() {
    let mut town = Town::start_with_names();
    let sandbox = Http::new(&town.stack.sandbox_url());
    let customer = town.customer("ada");
    let (id, _) = customer.server("World", "minecraft-js", "flying-squid");
    start(&mut town);
    level1(&town);
    passes(&town, 1);
    town.stack.stop(Daemon::Controller).expect("the controller stops");
    sandbox.delete("/_calls", &[]).expect("an answer");
    let term = town.count("SELECT term FROM controller");
    let ask = |action: &str, term: i64| {
        let finding = InstanceId::generate();
        town.sql(&format!(
            "INSERT INTO findings (id, fingerprint, rule, level, action, instance_id, subject, desired, observed, term)
             VALUES ('{finding}', '{finding}', 'entry_missing', 1, 'edge_republish', '{id}', 'x', 'x', 'x', {term});
             INSERT INTO repairs (id, finding_id, action, term) VALUES (gen_random_uuid(), '{finding}', '{action}', {term});"
        ));
        let events = format!("SELECT count(*) FROM repair_events WHERE finding_id = '{finding}'");
        eventually("an event", || (town.count(&events) == 1).then_some(()));
        let text = |column: &str| {
            let sql = format!("SELECT {column} FROM repair_events WHERE finding_id = '{finding}'");
            town.stack.cluster.sql(xtask::stack::DATABASE, &sql).expect("the database").trim().to_owned()
        };
        (text("outcome"), text("reason"))
    };
    assert_eq!(ask("edge_republish", term).0, "not_needed");
    let rejected = |asked: (String, String), because: &str| {
        assert!(asked.0 == "rejected" && asked.1.contains(because), "{asked:?}");
    };
    rejected(ask("container_recreate", term), "not an action of Level 1");
    rejected(ask("edge_republish", term - 1), "under term");
    town.sql(&format!(
        "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
         VALUES (gen_random_uuid(), '{id}', 'abuse', 'x', 'test', now())"
    ));
    let service = records(&sandbox).into_iter().find(|it| it["type"] == "SRV").expect("a service record");
    delete_record(&sandbox, &service);
    sandbox.delete("/_calls", &[]).expect("an answer");
    rejected(ask("edge_republish", term), "on hold");
    town.sql("UPDATE controller SET paused = true");
    rejected(ask("edge_republish", term), "paused");
    town.sql("UPDATE controller SET mode = 'observe'");
    rejected(ask("edge_republish", term), "only observes");
    assert_eq!(mutations(&sandbox), 0);
}
