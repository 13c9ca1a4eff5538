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
use zlh_tests::{Customer, PASSWORD, Town, eventually};

/// A script that drives the browser, and says how far it is.
pub(super) struct Script {
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
    pub(super) fn start(name: &str, task: &Value) -> Self {
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
    pub(super) fn expect(&mut self, step: &str) -> Value {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it speaks");
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(said["step"], step, "{}", said["error"].as_str().unwrap_or(&line));
        assert_eq!(said["error"], Value::Null, "{}", said["error"].as_str().unwrap_or_default());
        said
    }

    /// Lets it go on.
    pub(super) fn go_on(&mut self) {
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
fn workspaces_terminals_many_files_many_servers_and_refusals_in_the_browser() {
    let mut town = Town::start(&[TERMINAL]);
    let _account = town.customer("kim");
    let many = town.customer("lou");
    let task = json!({
        "portal": town.stack.api_url(), "email": "kim@example.com", "many": "lou@example.com", "password": PASSWORD,
    });
    let mut script = Script::start("unusual.mjs", &task);

    let held = script.expect("hold")["instance"].as_str().expect("an instance").to_owned();
    town.sql(&format!(
        "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at) VALUES (gen_random_uuid(), '{held}', 'operator',
             'We are looking into a report.', 'operator:x', now())"
    ));
    script.go_on();

    script.expect("stop_database");
    town.stack.stop(Daemon::Worker).expect("the worker stops");
    clone_servers(&town, &many);
    town.stack.stop_postgres().expect("PostgreSQL stops");
    script.go_on();
    script.expect("start_database");
    town.stack.start_postgres().expect("PostgreSQL starts");
    script.go_on();

    script.expect("end");
}

/// 500 servers of one customer. They are rows: nothing is behind them.
fn clone_servers(town: &Town, customer: &Customer) {
    let (id, operation) = customer.create("Server 500", "terminal", "only");
    let operation = operation.rsplit('/').next().unwrap_or_default();
    town.sql(&format!(
        "UPDATE operations SET state = 'succeeded', finished_at = now() WHERE id = '{operation}';
         UPDATE instances SET lifecycle = 'active', observed_power = 'stopped', capacity_held = false WHERE id = '{id}';
         INSERT INTO instances SELECT (jsonb_populate_record(one, jsonb_build_object(
             'id', gen_random_uuid(), 'name', 'Server ' || n, 'hostname', 'server-' || n))).*
         FROM instances one, generate_series(1, 499) n WHERE one.id = '{id}';"
    ));
}

/// A game whose console is a terminal.
const TERMINAL: &str = r#"
id = "terminal"
name = "Terminal"
summary = "Talks to a terminal and knows its size."
kind = "game"
min_memory_mib = 64
ports = [{ name = "game", protocol = "udp" }]

[[variants]]
id = "only"
name = "Only"
versions = ["1"]
run = { argv = ["/bin/sh", "game.sh"], console = "pty", stop_line = "stop", stop_grace_seconds = 5 }
ready = { probe = { kind = "log", pattern = "ready" }, deadline_seconds = 20 }

[[variants.install]]
kind = "write"
path = "game.sh"
content = """
printf '\\033[32mready\\033[0m\\n'
while read line; do
  case "$line" in
    stop) exit 0 ;;
    size) echo "size $(stty size)" ;;
    many)
      mkdir many
      n=1
      while [ $n -le 10000 ]; do : > many/$(printf %05d $n).txt; n=$((n + 1)); done
      echo 'made them'
      ;;
    *) echo "you said $line" ;;
  esac
done
"""
"#;

#[test]
fn every_page_is_accessible_in_both_themes_and_sizes() {
    let mut town = Town::start(&[]);
    let customer = town.customer("nils");
    let operator = ["create-operator", "olga@example.com"];
    town.stack.api_command(&operator, Some(PASSWORD)).expect("an operator");
    let (id, _) = customer.server("Survival", "minecraft-js", "flying-squid");
    town.stack.stop(Daemon::Worker).expect("the worker stops");
    let held = every_state(&town);
    findings(&town, &id);
    payment_open(&town);
    notifications(&town);
    let task = json!({
        "portal": town.stack.api_url(), "email": "nils@example.com", "operator": "olga@example.com",
        "states": "mara@example.com", "held": held, "password": PASSWORD, "instance": id,
        "pictures": std::env::var("ZLH_TEST_PICTURES").ok(),
    });
    Script::start("pages.mjs", &task).expect("end");
}

/// A customer with a server in each state that there is. They are rows: what is behind them is not asked. The id of the one
/// that is on hold.
fn every_state(town: &Town) -> String {
    let mara = town.customer("mara");
    town.sql("UPDATE nodes SET memory_mib = 1000000, cpu_percent = 100000, disk_mib = 10000000");
    // The watch would find out that nothing answers.
    town.sql(
        "CREATE FUNCTION keep_power() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN NEW.observed_power = OLD.observed_power; RETURN NEW; END';",
    );
    let mut held = String::new();
    for (name, sql) in STATES {
        let (id, operation) = mara.create(name, "minecraft-js", "flying-squid");
        let operation = operation.rsplit('/').next().unwrap_or_default();
        if !sql.contains("operations") {
            town.sql(&format!(
                "UPDATE operations SET state = 'succeeded', finished_at = now() WHERE id = '{operation}';
                 UPDATE instances SET lifecycle = 'active', address = 'play.example.com:25600' WHERE id = '{id}';"
            ));
        }
        town.sql(&sql.replace("{id}", &id).replace("{operation}", operation));
        if *name == "Arena" {
            held = id;
        }
    }
    town.sql(
        "CREATE TRIGGER keep_power BEFORE UPDATE OF observed_power ON instances FOR EACH ROW
         WHEN (NEW.address = 'play.example.com:25600') EXECUTE FUNCTION keep_power();",
    );
    held
}

/// Mara has not paid: the final warning, what is owed, and how it came to that. They are rows.
fn payment_open(town: &Town) {
    town.sql(
        "INSERT INTO billing_enforcement_states (customer_id, stage, cause, since, next_stage, next_at, evidence, trouble)
             SELECT id, 'final_warning', 'invoice_past_due', now() - interval '9 days', 'suspended', now() + interval '7 days',
                    '{\"invoices\": [{\"number\": \"A-2\", \"remaining_minor\": 1500, \"currency\": \"eur\"}]}', 'pays twice'
             FROM customers WHERE email = 'mara@example.com'
         ON CONFLICT (customer_id) DO UPDATE SET stage = EXCLUDED.stage, cause = EXCLUDED.cause, since = EXCLUDED.since,
             next_stage = EXCLUDED.next_stage, next_at = EXCLUDED.next_at, evidence = EXCLUDED.evidence, trouble = EXCLUDED.trouble;
         INSERT INTO subscriptions (id, customer_id, status, of_record, entitles, currency, period_end, paid_with, created_at)
             SELECT 'sub_1', id, 'past_due', true, true, 'eur', now() + interval '3 weeks', 'Visa ending in 4242', now()
             FROM customers WHERE email = 'mara@example.com';
         INSERT INTO subscription_items (id, subscription_id, price_id, plan, quantity, amount_minor)
             VALUES ('si_1', 'sub_1', 'price_1', 'medium', 1, 1000), ('si_2', 'sub_1', 'price_2', 'small', 1, 500);
         INSERT INTO invoices (id, customer_id, subscription_id, number, status, currency, total_minor, remaining_minor, collection,
             attempted, processing, failure, hosted_invoice_url, pdf_url, created_at)
             SELECT invoice, customers.id, 'sub_1', number, status, 'eur', 1500, remaining, 'charge_automatically', true, false,
                    'Your card has insufficient funds.', 'https://invoice.example', 'https://invoice.example/pdf', at
             FROM customers, (VALUES ('in_1', 'A-1', 'paid', 0, now() - interval '40 days'),
                                     ('in_2', 'A-2', 'open', 1500, now() - interval '9 days'))
                 AS made (invoice, number, status, remaining, at)
             WHERE email = 'mara@example.com';
         INSERT INTO billing_enforcement_events (id, customer_id, kind, from_stage, to_stage, cause, evidence, actor)
             SELECT gen_random_uuid(), customer_id, 'stage', 'payment_failed', stage, cause, evidence, 'billing-worker'
             FROM billing_enforcement_states WHERE stage = 'final_warning';",
    );
}

/// What a controller would have found, and a repair. They are rows.
fn findings(town: &Town, instance: &str) {
    town.sql(&format!(
        "UPDATE controller SET term = 3, mode = 'level1', pass_at = now(), pass_instances = 14, pass_findings = 2,
             breaker = '5 of 14 servers drift at once';
         INSERT INTO findings (id, fingerprint, rule, level, action, instance_id, subject, desired, observed, proposal, term,
             seen_count, reason)
         VALUES (gen_random_uuid(), 'a', 'entry_missing', 1, 'edge_republish', '{instance}', 'a',
                 'SRV _minecraft._tcp.survival.play.example.org 0 0 25600 survival.play.example.org', 'nothing', NULL, 3, 4,
                 'breaker_open'),
                (gen_random_uuid(), 'b', 'running_on_hold', 2, NULL, '{instance}', 'b', 'stopped, since a hold is in force',
                 'survival runs', 'stop the server, or lift the hold', 3, 9, 'above_level_1');
         INSERT INTO repairs (id, finding_id, action, term, state, finished_at)
             SELECT gen_random_uuid(), id, 'edge_republish', 3, 'ended', now() FROM findings WHERE fingerprint = 'a';
         INSERT INTO repair_events (id, repair_id, finding_id, instance_id, action, outcome, before, after, reason, done_by)
             SELECT gen_random_uuid(), id, finding_id, '{instance}', action, 'repaired', 'nothing',
                    'SRV _minecraft._tcp.survival.play.example.org 0 0 25600 survival.play.example.org',
                    'published again and seen', 'repair-worker' FROM repairs;
         UPDATE controller SET changed_at = now(), changed_by = 'operator:grace@example.org', change_reason = 'watched it for a week';
         INSERT INTO incidents (id, kind, ended_at) VALUES (gen_random_uuid(), 'running_on_hold', NULL),
             (gen_random_uuid(), 'several', now());
         UPDATE findings SET incident_id = (SELECT id FROM incidents WHERE kind = rule) WHERE fingerprint = 'b';"
    ));
}

/// A mail in each state, and a relay that refuses our login. They are rows.
fn notifications(town: &Town) {
    town.sql(
        "INSERT INTO outbox_channels (channel, route) VALUES ('discord', NULL),
             ('mail', 'smtp.example.com:587 (STARTTLS) as noreply@example.com');
         INSERT INTO notifications (id, channel, dedupe_key, payload, state, attempts, expires_at, created_at, run_after,
             last_error, failure, code, blocked_since, sent_at)
         SELECT gen_random_uuid(), 'mail', key, jsonb_build_object('template', template, 'to', 'nils@example.com'), state, 3,
                now() + interval '2 days', now() - interval '5 minutes', now() + interval '20 seconds', error, failure, code,
                CASE WHEN failure = 'blocked' THEN now() - interval '4 minutes' END, CASE WHEN state = 'sent' THEN now() END
         FROM (VALUES ('a', 'billing_suspended', 'pending', 'the relay refused our login (535): 5.7.8 not accepted', 'blocked', 535),
                      ('b', 'test', 'dead', 'the relay did not take the recipient (550): 5.1.1 There is no such mailbox, and a '
                           || 'long explanation of what its administrator thinks of that', 'never', 550),
                      ('c', 'ticket_received', 'dead', 'the address had 5 mails of this kind within the hour', 'dropped', NULL),
                      ('d', 'billing_restored', 'sent', NULL, NULL, NULL))
             AS made (key, template, state, error, failure, code);
         UPDATE notifications SET sent_at = now() - interval '4 minutes' WHERE state = 'sent'",
    );
}

/// Servers' names, and what brings them into their state.
const STATES: &[(&str, &str)] = &[
    ("Weekend event", "SELECT 'queued' FROM operations LIMIT 1"),
    (
        "Skyblock",
        "UPDATE operations SET state = 'running', started_at = now(), step = 'install', progress = 40,
             step_detail = 'Downloading server.jar, 40 %' WHERE id = '{operation}'",
    ),
    (
        "Half done",
        "UPDATE operations SET state = 'undoing', started_at = now(), step = 'install', failure_code = 'artifact_missing',
             failure_message = 'x' WHERE id = '{operation}'",
    ),
    (
        "Modded test",
        "UPDATE operations SET state = 'failed', started_at = now(), finished_at = now(), step = 'install',
             failure_code = 'artifact_unreachable', failure_message = 'The download of Paper broke off three times. Everything was undone.'
             WHERE id = '{operation}';
         UPDATE instances SET lifecycle = 'failed', capacity_held = false WHERE id = '{id}'",
    ),
    (
        "Old map",
        "UPDATE operations SET state = 'stuck', started_at = now(), step = 'create_container', failure_code = 'undo_failed',
             failure_message = 'Cleaning up failed.' WHERE id = '{operation}'",
    ),
    (
        "Creative build",
        "UPDATE instances SET observed_power = 'running' WHERE id = '{id}';
         INSERT INTO instance_status (instance_id, heard_at, measured_at, cpu_percent, memory_bytes, disk_bytes, players_online,
             players_max) VALUES ('{id}', now(), now(), 38, 1100000000, 9900000000, 7, 20)",
    ),
    ("Lobby", "UPDATE instances SET observed_power = 'starting' WHERE id = '{id}'"),
    ("Arcade", "UPDATE instances SET observed_power = 'stopping' WHERE id = '{id}'"),
    (
        "Thesis notebook",
        "UPDATE instances SET observed_power = 'stopped' WHERE id = '{id}';
         INSERT INTO instance_status (instance_id, heard_at, measured_at, memory_bytes, disk_bytes, stopped_at, stop_reason,
             stopped_by) VALUES ('{id}', now(), now(), 0, 3200000000, now() - interval '1 day', 'requested', 'customer:x')",
    ),
    (
        "Kids club",
        "UPDATE instances SET observed_power = 'crashed' WHERE id = '{id}';
         INSERT INTO instance_status (instance_id, heard_at, stopped_at, stop_reason, stop_message)
         VALUES ('{id}', now(), now(), 'crashed', 'It stopped by itself 5 times in 10 minutes. The last line: mod needs default.')",
    ),
    (
        "Far away",
        "UPDATE instances SET observed_power = 'unknown' WHERE id = '{id}';
         INSERT INTO instance_status (instance_id, heard_at) VALUES ('{id}', now() - interval '40 seconds')",
    ),
    (
        "Arena",
        "UPDATE instances SET observed_power = 'stopped' WHERE id = '{id}';
         INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at) VALUES (gen_random_uuid(), '{id}', 'abuse',
             'We stopped this server on 18 November. It sent traffic that looked like an attack.', 'operator:x', now())",
    ),
    (
        "سيرفر العائلة 🎮",
        "UPDATE operations SET state = 'succeeded', finished_at = now() WHERE id = '{operation}';
         UPDATE instances SET lifecycle = 'deleting' WHERE id = '{id}'",
    ),
];
