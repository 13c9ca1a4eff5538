//! The Portal in a real browser against the running stack. Whatever the browser complains of fails the test: an error, a
//! rejection that nobody handles, a violation of the policy.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use xtask::{minecraft, stack::Daemon};
use zlh_tests::{PASSWORD, Town, eventually};

/// A script that drives the browser, and says how far it is.
struct Script {
    process: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Script {
    #[expect(clippy::disallowed_methods, reason = "the browser is a program")]
    fn start(name: &str, task: &Value) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/portal/web/e2e");
        let mut process = Command::new("node")
            .arg(folder.join(name))
            .arg(task.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let (says, hears) =
            (process.stdout.take().expect("its output"), process.stdin.take().expect("its input"));
        Self { process, says: BufReader::new(says), hears }
    }

    /// Waits until it has come so far.
    fn expect(&mut self, step: &str) -> Value {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it speaks");
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(said["step"], step, "{}", said["error"].as_str().unwrap_or(&line));
        assert_eq!(said["error"], Value::Null, "{}", said["error"].as_str().unwrap_or_default());
        said
    }

    /// Lets it go on.
    fn go_on(&mut self) {
        writeln!(self.hears, "{{}}").expect("it listens");
    }
}

#[test]
fn a_customers_day_in_the_browser_through_restarts_conflicts_and_the_end_of_a_session() {
    let mut town = Town::start(&[]);
    let _account = town.customer("mara");
    let task = json!({ "portal": town.stack.api_url(), "email": "mara@example.com", "password": PASSWORD });
    let mut script = Script::start("customer.mjs", &task);

    let address = script.expect("joinable")["address"].as_str().expect("an address").to_owned();
    assert!(minecraft::ping(&address, Duration::from_secs(5)).is_ok(), "a client finds it at {address}");
    script.go_on();

    script.expect("restart_api");
    town.stack.stop(Daemon::Api).expect("the API stops");
    town.stack.start(Daemon::Api).expect("the API starts");
    script.go_on();

    script.expect("kill_agent");
    let killed = town.kill_agents();
    eventually("another agent", || town.agents().iter().any(|agent| !killed.contains(agent)).then_some(()));
    script.go_on();

    for _ in 0..2 {
        script.expect("kill_api");
        town.stack.kill(Daemon::Api).expect("the API is killed");
        town.stack.start(Daemon::Api).expect("the API starts");
        script.go_on();
    }

    script.expect("end");
    town.expect_nothing_left();
}

#[test]
fn every_page_is_accessible_in_both_themes_and_sizes() {
    let town = Town::start(&[]);
    let customer = town.customer("nils");
    let operator = ["create-operator", "olga@example.com"];
    town.stack.api_command(&operator, Some(PASSWORD)).expect("an operator");
    let (id, _) = customer.server("Survival", "minecraft-js", "flying-squid");
    let task = json!({
        "portal": town.stack.api_url(), "email": "nils@example.com", "operator": "olga@example.com",
        "password": PASSWORD, "instance": id, "pictures": std::env::var("ZLH_TEST_PICTURES").ok(),
    });
    Script::start("pages.mjs", &task).expect("end");
    customer.remove(&id);
}
