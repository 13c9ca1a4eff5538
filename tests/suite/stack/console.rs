//! The console through everything there is: a real game, its agent, the API, and a client that connects again.

use serde_json::{Value, json};
use xtask::stack::Daemon;
use zlh_tests::{Customer, Town, Watcher, eventually};

/// Lines that the game counts.
const LINES: usize = 5_000;

/// A game that, told to, counts for about ten seconds; and that repeats what it does not understand.
const COUNTING: &str = r#"
id = "counting"
name = "Counting"
summary = "Counts when told to."
kind = "game"
min_memory_mib = 64
ports = [{ name = "game", protocol = "udp" }]

[[variants]]
id = "only"
name = "Only"
versions = ["1"]
install = [
  { kind = "write", path = "count.sh", content = """
i=0
while [ $i -lt 5000 ]; do
  i=$((i + 1))
  echo "count $i"
  if [ $((i % 25)) = 0 ]; then sleep 0.05; fi
done
echo counted
""" },
  { kind = "write", path = "game.sh", content = """
echo ready
while read -r line; do
  case "$line" in
    stop) exit 0 ;;
    count) sh count.sh ;;
    *) echo "heard $line" ;;
  esac
done
""" },
]
run = { argv = ["/bin/sh", "game.sh"], stop_line = "stop", stop_grace_seconds = 5 }
ready = { probe = { kind = "log", pattern = "^ready$" }, deadline_seconds = 20 }
"#;

fn command(customer: &Customer, id: &str, line: &str) {
    let path = format!("/api/instances/{id}/console/commands");
    let answer = customer.post(&path, None, &json!({ "command": line }));
    assert_eq!(answer.status, 202, "{:?}", answer.body);
}

/// Waits until so many lines were counted before the watcher's eyes.
fn counted(watcher: &Watcher, lines: usize) {
    eventually(&format!("line {lines}"), || {
        let seen = watcher.seen();
        let counted = seen.entries.iter().filter(|(_, text)| text.starts_with("count ")).count();
        (counted >= lines).then_some(())
    });
}

fn has(watcher: &Watcher, text: &str) {
    eventually(text, || watcher.seen().entries.iter().any(|(_, seen)| seen == text).then_some(()));
}

#[test]
fn each_line_is_seen_once_and_in_order_while_the_api_and_the_agent_are_restarted_and_killed() {
    let mut town = Town::start(&[COUNTING]);
    let customer = town.customer("ada");
    let (id, _) = customer.server("Counting", "counting", "only");
    let watcher = Watcher::start(&town, &customer, &id);
    has(&watcher, "ready");
    command(&customer, &id, "count");

    counted(&watcher, LINES / 10);
    town.stack.stop(Daemon::Api).expect("the API stops");
    town.stack.start(Daemon::Api).expect("the API starts");
    counted(&watcher, LINES * 3 / 10);
    town.stack.kill(Daemon::Api).expect("the API dies");
    town.stack.start(Daemon::Api).expect("the API starts");
    counted(&watcher, LINES / 2);
    town.kill_agents();
    counted(&watcher, LINES * 7 / 10);
    town.kill_agents();
    has(&watcher, "counted");

    let seen = watcher.seen();
    let numbers: Vec<u64> = seen.entries.iter().map(|(number, _)| *number).collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected, "every number once, and none left out; {:?}", seen.others);
    let counts = seen.entries.iter().filter_map(|(_, text)| text.strip_prefix("count "));
    let counts: Vec<usize> = counts.map(|n| n.parse().expect("a number")).collect();
    assert_eq!(counts, (1..=LINES).collect::<Vec<_>>());
    assert!(seen.others.iter().all(|message| message["type"] != "gap"), "{:?}", seen.others);
    assert!(seen.connections >= 3, "{} connections: the API ended twice", seen.connections);
    assert!(seen.closes.contains(&1012), "{:?}: one that is asked to end says that it restarts", seen.closes);
    drop(seen);
    drop(watcher);
    customer.remove(&id);
    town.expect_nothing_left();
}

#[test]
fn what_is_typed_reaches_the_game_and_numbers_go_on_through_its_restarts() {
    let town = Town::start(&[COUNTING]);
    let customer = town.customer("bea");
    let (id, _) = customer.server("Counting", "counting", "only");
    let watcher = Watcher::start(&town, &customer, &id);
    has(&watcher, "ready");
    command(&customer, &id, "say hello");
    has(&watcher, "heard say hello");
    let stats = eventually("its use", || {
        let seen = watcher.seen();
        let known = |message: &&Value| message["type"] == "stats" && message["cpu_percent"].is_number();
        seen.others.iter().find(known).cloned()
    });
    assert!(stats["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{stats}");
    assert!(stats["uptime_ms"].as_u64().is_some_and(|ms| ms > 0), "{stats}");

    let power = json!({ "action": "restart" });
    assert_eq!(customer.post(&format!("/api/instances/{id}/power"), None, &power).status, 202);
    eventually("a second start", || {
        let seen = watcher.seen();
        (seen.entries.iter().filter(|(_, text)| text == "ready").count() == 2).then_some(())
    });
    let history = customer.get(&format!("/api/instances/{id}/console/history?since=0&limit=1000")).body;
    let numbers: Vec<_> =
        history["entries"].as_array().expect("entries").iter().map(|it| it["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).map(Some).collect::<Vec<_>>(), "{history}");

    let power = json!({ "action": "stop" });
    assert_eq!(customer.post(&format!("/api/instances/{id}/power"), None, &power).status, 202);
    eventually("the state", || {
        let seen = watcher.seen();
        let last = seen.others.iter().rev().find(|message| message["type"] == "state").cloned();
        last.filter(|message| message["state"]["state"] == "stopped")
    });
    let path = format!("/api/instances/{id}/console/commands");
    let refused = customer.post(&path, None, &json!({ "command": "say hello" }));
    assert_eq!(
        (refused.status, refused.body["code"].as_str()),
        (409, Some("not_running")),
        "{:?}",
        refused.body
    );
    drop(watcher);
    customer.remove(&id);
    town.expect_nothing_left();
}
