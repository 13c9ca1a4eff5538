//! Agents that end, in order and otherwise.

use domain::agent::{AgentState, PowerAction};

use crate::support::{TestAgent, eventually, is_alive, pid_in, script, well_behaved};

#[tokio::test]
async fn a_killed_agent_takes_its_game_along_and_brings_it_back() {
    let mut agent = TestAgent::start();
    // It does not read: a game that ends with its stdin would prove nothing.
    let spec = script("setsid sh -c 'echo $$ > child; exec sleep 1000' & echo READY; exec sleep 1000");
    let pid = agent.run(&spec, AgentState::Running).await.pid.unwrap();
    let child = pid_in(&agent.data().join("child"));
    agent.kill();
    eventually("the game is gone", || !is_alive(pid));
    agent.boot_again();
    let running = agent.until(AgentState::Running).await;
    assert_ne!(running.pid, Some(pid));
    assert_eq!(running.crash_count, 0);
    assert!(!is_alive(child), "what the first game left behind is gone");
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
