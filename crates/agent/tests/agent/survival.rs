//! Agents that end, in order and otherwise.

use domain::agent::{AgentState, FaultCode, InstallStep, PowerAction, ServiceSpec};

use crate::support::{TestAgent, eventually, is_alive, kill_hard, pid_in, script, well_behaved};

/// A game that counts aloud until `stop`.
fn counting() -> ServiceSpec {
    let mut spec =
        script("i=0; echo READY; while [ ! -e stop ]; do i=$((i+1)); echo $i; done; echo LAST; read line");
    spec.run.stop.line = None;
    spec
}

#[tokio::test]
async fn agents_that_are_killed_lose_no_line_and_double_none() {
    let mut agent = TestAgent::start();
    let before = agent.run(&counting(), AgentState::Running).await;
    for _ in 0..5 {
        let next = agent.page(1, 0).await.next;
        agent.kill();
        agent.boot_again();
        let status = agent.status().await;
        assert_eq!(status.state, AgentState::Running, "from its first answer on");
        assert_eq!((status.pid, status.ready_at, status.crash_count), (before.pid, before.ready_at, 0));
        assert!(!agent.page(next, 20_000).await.entries.is_empty(), "output goes on");
    }
    std::fs::write(agent.data().join("stop"), "").unwrap();
    let first = agent.page(1, 0).await.first;
    let all = agent.read_until(first, |entry| entry.text == "LAST").await;
    assert_eq!(all[0].seq, first);
    let numbers = all.iter().filter_map(|entry| Some((entry.seq, entry.text.parse().ok()?)));
    // `READY` is the first output of all, so a number is the one of its entry, less one.
    let wrong: Vec<(u64, u64)> = numbers.filter(|(seq, number)| *seq != number + 1).collect();
    assert_eq!(wrong, []);
}

#[tokio::test]
async fn an_agent_that_is_killed_while_it_types_types_everything_once() {
    let mut agent = TestAgent::start();
    agent.run(&well_behaved(), AgentState::Running).await;
    for number in 0..6 {
        agent.type_in(&format!("n{number}")).await.unwrap();
        agent.kill();
        agent.boot_again();
    }
    let all = agent.read_until(2, |entry| entry.text == "got n5").await;
    let texts: Vec<_> = all.iter().map(|entry| entry.text.clone()).collect();
    assert_eq!(texts, (0..6).map(|number| format!("got n{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_game_that_gets_ready_while_no_agent_is_there_is_found_ready() {
    let mut agent = TestAgent::start();
    let text =
        "echo begun; while [ ! -e go ]; do sleep 0.01; done; echo READY; seq 5000; touch done; read line";
    let pid = agent.run(&script(text), AgentState::Starting).await.pid;
    agent.read_until(1, |entry| entry.text == "begun").await;
    agent.kill();
    std::fs::write(agent.data().join("go"), "").unwrap();
    eventually("all is written", || agent.data().join("done").exists());
    agent.boot_again();
    let running = agent.until(AgentState::Running).await;
    assert!(running.pid.is_some() && (pid.is_none() || running.pid == pid));
}

#[tokio::test]
async fn a_crash_that_no_agent_saw_is_reported_by_the_next_one_with_the_last_words() {
    let mut agent = TestAgent::start();
    let text = "echo begun; while [ ! -e go ]; do sleep 0.01; done; echo sorry; exit 42";
    agent.run(&script(text), AgentState::Starting).await;
    agent.read_until(1, |entry| entry.text == "begun").await;
    let shim = agent.shim().unwrap();
    agent.kill();
    std::fs::write(agent.data().join("go"), "").unwrap();
    eventually("the shim has recorded it", || !is_alive(shim));
    agent.boot_again();
    let status = agent.status().await;
    assert_eq!((status.state, status.crash_count), (AgentState::Crashed, 1));
    let fault = status.error.unwrap();
    assert_eq!(fault.code, FaultCode::CrashedAtStart);
    assert!(fault.message.contains("exit code 42"), "{}", fault.message);
    assert_eq!(fault.last_output, ["begun", "sorry"]);
}

#[tokio::test]
async fn a_server_that_ran_and_crashed_while_no_agent_was_there_is_started_again_and_counted() {
    let mut agent = TestAgent::start();
    let text = "echo READY; [ -e go ] && read line; while [ ! -e go ]; do sleep 0.01; done; exit 1";
    agent.run(&script(text), AgentState::Running).await;
    let shim = agent.shim().unwrap();
    agent.kill();
    std::fs::write(agent.data().join("go"), "").unwrap();
    eventually("the shim has recorded it", || !is_alive(shim));
    agent.boot_again();
    let running = agent.until(AgentState::Running).await;
    assert_eq!((running.crash_count, running.error), (1, None));
}

#[tokio::test]
async fn a_game_dies_with_its_shim_which_is_a_crash() {
    let agent = TestAgent::start();
    let spec = script("setsid sh -c 'echo $$ > child; exec sleep 1000' & echo READY; exec sleep 1000");
    let pid = agent.run(&spec, AgentState::Running).await.pid.unwrap();
    let child = pid_in(&agent.data().join("child"));
    kill_hard(agent.shim().unwrap());
    let (running, _) =
        agent.follow(|status| status.state == AgentState::Running && status.pid != Some(pid)).await;
    assert_eq!(running.crash_count, 1);
    assert!(!is_alive(pid));
    eventually("what it left behind is gone", || !is_alive(child));
}

#[tokio::test]
async fn when_shim_and_agent_are_killed_the_next_boot_starts_anew_and_counts_no_crash() {
    let mut agent = TestAgent::start();
    // It does not read: a game that ends with its stdin would prove nothing.
    let spec = script("setsid sh -c 'echo $$ > child; exec sleep 1000' & echo READY; exec sleep 1000");
    let pid = agent.run(&spec, AgentState::Running).await.pid.unwrap();
    let child = pid_in(&agent.data().join("child"));
    let shim = agent.shim().unwrap();
    agent.kill();
    assert!(is_alive(pid), "the game is its shim's");
    kill_hard(shim);
    eventually("the game is gone", || !is_alive(pid));
    agent.boot_again();
    let running = agent.until(AgentState::Running).await;
    assert_ne!(running.pid, Some(pid));
    assert_eq!(running.crash_count, 0);
    assert!(!is_alive(child), "what the first game left behind is gone");
}

#[tokio::test]
async fn a_stop_goes_on_where_a_killed_agent_left_it() {
    let mut agent = TestAgent::start();
    let text = "echo READY; read line; while [ ! -e go ]; do sleep 0.01; done; echo $line > stopped";
    let pid = agent.run(&script(text), AgentState::Running).await.pid.unwrap();
    for action in [PowerAction::Restart, PowerAction::Stop] {
        agent.power(action).await.unwrap();
        assert_eq!(agent.status().await.state, AgentState::Stopping);
        agent.kill();
        agent.boot_again();
        let status = agent.status().await;
        assert_eq!((status.state, status.pid), (AgentState::Stopping, Some(pid)));
    }
    std::fs::write(agent.data().join("go"), "").unwrap();
    let stopped = agent.until(AgentState::Stopped).await;
    assert_eq!((stopped.crash_count, stopped.error), (0, None));
    assert_eq!(std::fs::read_to_string(agent.data().join("stopped")).unwrap(), "stop\n");
}

#[tokio::test]
async fn an_installation_that_lost_its_agent_is_ended_and_begun_anew() {
    let mut agent = TestAgent::start();
    let text =
        "echo x >> tries; if [ $(wc -l < tries) -gt 1 ]; then exit 0; fi; echo $$ > pid; exec sleep 1000";
    let step =
        InstallStep::Run { argv: vec!["/bin/sh".into(), "-c".into(), text.into()], timeout_seconds: 20 };
    agent.put(&ServiceSpec { install: vec![step], ..script("exit 0") }).await.unwrap();
    let pid = pid_in(&agent.data().join("pid"));
    agent.kill();
    agent.boot_again();
    assert_eq!(agent.until_installed().await.error, None);
    assert!(!is_alive(pid));
    assert_eq!(std::fs::read_to_string(agent.data().join("tries")).unwrap(), "x\nx\n");
}

#[tokio::test]
async fn sigterm_stops_the_game_in_order_and_the_next_boot_brings_it_back() {
    let mut agent = TestAgent::start();
    let pid = agent.run(&well_behaved(), AgentState::Running).await.pid.unwrap();
    assert!(agent.terminate().success());
    assert!(!is_alive(pid));
    assert!(agent.data().join("stopped").exists(), "by its own line");
    agent.boot_again();
    agent.until(AgentState::Running).await;
}

#[tokio::test]
async fn numbers_of_output_go_on_when_all_of_it_is_gone() {
    let agent = TestAgent::start();
    agent.run(&well_behaved(), AgentState::Running).await;
    agent.power(PowerAction::Stop).await.unwrap();
    agent.until(AgentState::Stopped).await;
    let next = agent.page(1, 0).await.next;
    assert!(next > 1);
    for file in std::fs::read_dir(agent.root.path().join("agent/output_log")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    agent.power(PowerAction::Start).await.unwrap();
    agent.until(AgentState::Running).await;
    let page = agent.page(next, 1_000).await;
    assert_eq!((page.first, page.entries[0].text.as_str()), (next, "READY"));
}

#[tokio::test]
async fn a_stopped_server_stays_stopped() {
    let mut agent = TestAgent::start();
    agent.run(&well_behaved(), AgentState::Running).await;
    agent.power(PowerAction::Stop).await.unwrap();
    let before = agent.until(AgentState::Stopped).await;
    agent.kill();
    agent.boot_again();
    let after = agent.status().await;
    assert_eq!(after.state, AgentState::Stopped);
    assert!(after.revision > before.revision, "watchers notice the new life");
    assert_eq!(after.installed_revision.as_deref(), Some("1"));
}

#[tokio::test]
async fn sigterm_of_an_idle_agent_ends_it_at_once() {
    let mut agent = TestAgent::start();
    assert!(agent.terminate().success());
}
