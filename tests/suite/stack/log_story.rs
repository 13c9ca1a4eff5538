//! What somebody reads who follows the worker's log in journald, where only the message shows: a create, one that fails, a
//! takeover and an outage of Redis. Read in order the messages tell what happened and what follows from it.

use std::fs;

use serde_json::Value;
use xtask::stack::Daemon;
use zlh_tests::{BLUEPRINT, Town, eventually, smallest};

/// The log, with everything that differs from run to run in capitals.
const STORY: &str = include_str!("log_story.txt");

#[test]
fn the_workers_log_tells_the_story() {
    let mut town = Town::start(&[smallest()]);
    let customer = town.customer("ria");

    let (id, operation) = customer.create("First", BLUEPRINT, "only");
    customer.follow(&operation);
    customer.remove(&id);

    town.disturb_artifacts("/minecraft-js/flying-squid", "not_found");
    let (_, operation) = customer.create("Second", "minecraft-js", "flying-squid");
    assert_eq!(customer.follow(&operation)["state"], "failed");
    town.calm_artifacts();

    let (_, operation) = customer.create("Third", "minecraft-js", "flying-squid");
    // Its container runs by then: what the engine finds of it does not depend on the moment of the kill.
    eventually("its boot", || (customer.get(&operation).body["step"] == "await_ready").then_some(()));
    town.stack.kill(Daemon::Worker).expect("the worker dies");
    town.stack.start(Daemon::Worker).expect("another worker");
    assert_eq!(customer.follow(&operation)["state"], "succeeded");

    town.stack.stop_redis().expect("Redis stops");
    let messages = || fs::read_to_string(town.stack.log(Daemon::Worker.name())).unwrap_or_default();
    eventually("the loss of the queue", || messages().contains("queue provisioning").then_some(()));
    let (_, operation) = customer.create("Fourth", BLUEPRINT, "only");
    town.stack.start_redis().expect("Redis starts");
    assert_eq!(customer.follow(&operation)["state"], "succeeded");

    let told = story(&fs::read_to_string(town.stack.log(Daemon::Worker.name())).expect("a log"));
    assert_eq!(told.trim(), STORY.trim(), "\n--- told ---\n{told}");
}

/// Levels and messages, without what differs, and one line for what repeats. Once Redis is away the connection and the
/// sweep come back in whatever order their pauses let them: that part is sorted, without the sweep's own failures.
fn story(log: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut outage = None;
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let told = format!("{:5} {}", text("level"), masked(&text("message")));
        if text("task") == "sweep" || lines.last() == Some(&told) {
            continue;
        }
        // The queue is reached while the rest is set up: which of the two is said first is by chance.
        let connected = lines.last().is_some_and(|last| last.contains("connected to the queue"));
        let at = lines.len() - usize::from(connected && told.contains(" is ready; "));
        lines.insert(at, told);
        if text("message").contains("cannot be reached") {
            outage.get_or_insert(lines.len());
        }
    }
    let mut after = lines.split_off(outage.unwrap_or(lines.len()));
    after.sort();
    after.dedup();
    lines.extend(after);
    lines.join("\n")
}

fn masked(message: &str) -> String {
    message.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let plain = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is_id = plain.len() == 36 && plain.matches('-').count() == 4;
    let is_number = plain.parse::<f64>().is_ok();
    let is_address = plain.parse::<std::net::SocketAddr>().is_ok();
    let suffix = plain
        .rsplit_once('-')
        .filter(|(_, end)| end.len() == 6 && end.bytes().all(|b| b.is_ascii_hexdigit()));
    match suffix {
        _ if is_id => word.replace(plain, "ID"),
        _ if is_address => word.replace(plain, "ADDRESS"),
        _ if is_number => word.replace(plain, "N"),
        _ if word.starts_with("unix:/") => "SOCKET".to_owned(),
        _ if word.starts_with('/') => "PATH".to_owned(),
        Some((name, _)) => word.replace(plain, &format!("{name}-XXXXXX")),
        None => word.to_owned(),
    }
}
