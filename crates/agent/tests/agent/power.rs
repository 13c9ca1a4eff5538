//! Start, stop, restart, kill, and what the game gets to see.

use std::time::{Duration, Instant};

use domain::agent::{AgentState, PowerAction, Probe, Scope};
use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use crate::support::{TestAgent, eventually, is_alive, pid_in, script, well_behaved};

#[tokio::test]
async fn a_server_starts_becomes_ready_and_stops_by_its_own_line() {
    let agent = TestAgent::start();
    assert_eq!(agent.status().await.state, AgentState::Idle);
    let running = agent.run(&well_behaved(), AgentState::Running).await;
    assert!(running.ready_at.is_some());
    let pid = running.pid.unwrap();
    assert!(is_alive(pid));
    agent.power(PowerAction::Stop).await.unwrap();
    let stopped = agent.until(AgentState::Stopped).await;
    assert_eq!((stopped.pid, stopped.error, stopped.crash_count), (None, None, 0));
    assert!(!is_alive(pid));
    assert!(agent.data().join("stopped").exists());
    assert!(agent.tail().await.contains(&"got stop".to_owned()));
}

#[tokio::test]
async fn the_game_sees_its_own_environment_and_nothing_of_the_agents() {
    let agent = TestAgent::start();
    agent.run(&script("env; pwd; echo READY; read line"), AgentState::Running).await;
    let lines = agent.tail().await;
    let data = agent.data().canonicalize().unwrap().display().to_string();
    assert!(lines.contains(&"GREETING=hello".to_owned()));
    assert!(lines.contains(&format!("HOME={data}")));
    assert!(lines.contains(&data), "working folder");
    let path = lines.iter().find(|line| line.starts_with("PATH=")).unwrap();
    assert!(path.contains("/usr/games"));
    let known = ["GREETING", "HOME", "LANG", "OLDPWD", "PATH", "PWD", "SHLVL", "TZ", "ZLH_GAME_OF", "_"];
    for line in lines.iter().filter_map(|line| line.split_once('=')) {
        assert!(known.contains(&line.0), "unexpected variable {}", line.0);
    }
}

#[tokio::test]
async fn a_server_that_does_not_stop_is_killed_after_its_grace_with_its_children() {
    let agent = TestAgent::start();
    let mut spec = script(
        "trap '' TERM; (trap '' TERM; sleep 1000) & echo $! > child; echo READY; while :; do sleep 1; done",
    );
    spec.run.stop.line = None;
    spec.run.stop.grace_seconds = 1;
    let pid = agent.run(&spec, AgentState::Running).await.pid.unwrap();
    let child = pid_in(&agent.data().join("child"));
    let asked = Instant::now();
    agent.power(PowerAction::Stop).await.unwrap();
    let status = agent.status().await;
    assert_eq!(status.state, AgentState::Stopping);
    agent.until(AgentState::Stopped).await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "it had its grace");
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(!is_alive(pid));
    eventually("the child is gone", || !is_alive(child));
}

#[tokio::test]
async fn kill_does_not_wait_and_reaches_a_child_in_a_session_of_its_own() {
    let agent = TestAgent::start();
    let spec = script("setsid sh -c 'echo $$ > child; exec sleep 1000' & echo READY; sleep 1000");
    let pid = agent.run(&spec, AgentState::Running).await.pid.unwrap();
    let child = pid_in(&agent.data().join("child"));
    agent.power(PowerAction::Kill).await.unwrap();
    agent.until(AgentState::Stopped).await;
    assert!(!is_alive(pid));
    eventually("the child is gone", || !is_alive(child));
}

#[tokio::test]
async fn nothing_that_a_server_starts_outlives_it_whatever_it_does_to_itself() {
    let agent = TestAgent::start();
    // A session, a group and an environment of its own, and a parent that is gone.
    let escape = "(env -i setsid sh -c 'echo $$ > child; exec sleep 1000' &)";
    agent.run(&script(&format!("{escape}; echo READY; exec sleep 1000")), AgentState::Running).await;
    let child = pid_in(&agent.data().join("child"));
    agent.power(PowerAction::Kill).await.unwrap();
    agent.until(AgentState::Stopped).await;
    assert!(!is_alive(child));
}

#[tokio::test]
async fn orphans_of_a_running_server_are_collected() {
    let agent = TestAgent::start();
    let orphan = "(sh -c 'echo $$ > child; exec sleep 0.2' &)";
    agent.run(&script(&format!("{orphan}; echo READY; exec sleep 1000")), AgentState::Running).await;
    let child = pid_in(&agent.data().join("child"));
    eventually("the orphan is collected", || !std::path::Path::new(&format!("/proc/{child}")).exists());
    assert_eq!(agent.status().await.state, AgentState::Running);
}

#[tokio::test]
async fn a_server_that_is_stopped_while_it_fails_stays_stopped() {
    let agent = TestAgent::start();
    let mut spec = script("[ -e once ] && exec sleep 1000; touch once; echo READY; exit 3");
    spec.ready.deadline_seconds = 2;
    agent.put(&spec).await.unwrap();
    agent.power(PowerAction::Start).await.unwrap();
    // The second run, which never becomes ready. Its shim is kept from carrying out its end.
    agent.follow(|status| status.crash_count == 1 && status.pid.is_some()).await;
    let shim = agent.shim().unwrap();
    send(shim, Signal::STOP);
    agent.until(AgentState::Stopping).await;
    agent.power(PowerAction::Stop).await.unwrap();
    send(shim, Signal::CONT);
    let stopped = agent.until(AgentState::Stopped).await;
    assert_eq!((stopped.error, stopped.crash_count), (None, 0));
}

#[tokio::test]
async fn a_kill_that_is_lost_on_its_way_is_repeated() {
    let agent = TestAgent::start();
    let pid = agent.run(&script("echo READY; exec sleep 1000"), AgentState::Running).await.pid.unwrap();
    let shim = agent.shim().unwrap();
    send(shim, Signal::STOP);
    // It does not listen, so at some time there is no room for more to say to it.
    while timeout(Duration::from_millis(500), agent.resize(80, 24)).await.is_ok() {}
    agent.power(PowerAction::Kill).await.unwrap();
    send(shim, Signal::CONT);
    agent.until(AgentState::Stopped).await;
    assert!(!is_alive(pid));
}

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

#[tokio::test]
async fn asking_twice_changes_nothing() {
    let agent = TestAgent::start();
    let spec = well_behaved();
    let pid = agent.run(&spec, AgentState::Running).await.pid;
    assert_eq!(agent.power(PowerAction::Start).await.unwrap().pid, pid);
    let again = agent.put(&spec).await.unwrap();
    assert_eq!((again.state, again.pid), (AgentState::Running, pid));
    agent.power(PowerAction::Stop).await.unwrap();
    agent.power(PowerAction::Stop).await.unwrap();
    agent.until(AgentState::Stopped).await;
    assert_eq!(agent.power(PowerAction::Stop).await.unwrap().state, AgentState::Stopped);
    assert_eq!(agent.power(PowerAction::Kill).await.unwrap().state, AgentState::Stopped);
}

#[tokio::test]
async fn restart_stops_in_order_and_starts_again() {
    let agent = TestAgent::start();
    let pid = agent.run(&well_behaved(), AgentState::Running).await.pid;
    agent.power(PowerAction::Restart).await.unwrap();
    let (status, _) = agent.follow(|status| status.state == AgentState::Running && status.pid != pid).await;
    assert!(status.pid.is_some());
    assert!(agent.data().join("stopped").exists(), "it was asked to stop");
    // A stop during a restart wins; a start during a stop as well.
    agent.power(PowerAction::Restart).await.unwrap();
    agent.power(PowerAction::Stop).await.unwrap();
    agent.until(AgentState::Stopped).await;
    agent.power(PowerAction::Restart).await.unwrap();
    agent.until(AgentState::Running).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let agent = TestAgent::start();
    let refused = agent.power(PowerAction::Start).await.unwrap_err();
    assert_eq!(refused, (StatusCode::CONFLICT, "not_installed".to_owned()));
    let spec = well_behaved();
    let pid = agent.run(&spec, AgentState::Running).await.pid;
    let mut other = spec.clone();
    other.revision = "2".into();
    let refused = agent.put(&other).await.unwrap_err();
    assert_eq!(refused, (StatusCode::CONFLICT, "other_revision_runs".to_owned()));
    let status = agent.status().await;
    assert_eq!((status.installed_revision, status.pid), (Some("1".to_owned()), pid));
    agent.power(PowerAction::Stop).await.unwrap();
    agent.until(AgentState::Stopped).await;
    agent.put(&other).await.unwrap();
    let (status, _) = agent.follow(|status| status.installed_revision.as_deref() == Some("2")).await;
    assert_eq!(status.state, AgentState::Stopped);
}

#[tokio::test]
async fn a_port_that_another_program_has_is_named() {
    let agent = TestAgent::start();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let mut spec = script("sleep 1000");
    spec.ready.probe = Probe::Tcp { port };
    let fault = agent.run(&spec, AgentState::Crashed).await.error.unwrap();
    assert!(fault.message.contains(&format!("Port {port}")), "{}", fault.message);
}

#[tokio::test]
async fn a_long_poll_answers_at_a_change_and_no_later_than_asked() {
    let agent = TestAgent::start();
    let revision = agent.status().await.revision;
    let asked = Instant::now();
    let path = format!("/v1/status?since={revision}&wait_ms=300");
    assert!(agent.call(Method::GET, &path, Scope::Observe, &()).await.status().is_success());
    assert!((300..2_000).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    let path = format!("/v1/status?since={revision}&wait_ms=20000");
    let asked = Instant::now();
    let spec = well_behaved();
    let (_, changed) = tokio::join!(agent.put(&spec), agent.call(Method::GET, &path, Scope::Observe, &()));
    assert!(changed.status().is_success());
    assert!(asked.elapsed() < Duration::from_secs(5));
}
