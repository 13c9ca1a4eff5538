//! Servers that end by themselves, or never get ready.

use std::time::{Duration, Instant};

use domain::agent::{AgentState, FaultCode, PowerAction, Runtime};

use crate::support::{TestAgent, is_alive, script};

#[tokio::test]
async fn a_server_that_ends_before_it_is_ready_fails_at_once_with_its_last_words() {
    let agent = TestAgent::start();
    let asked = Instant::now();
    let status = agent
        .run(
            &script("i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; exit 3"),
            AgentState::Crashed,
        )
        .await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let fault = status.error.unwrap();
    assert_eq!(fault.code, FaultCode::CrashedAtStart);
    assert!(fault.message.contains("exit code 3"), "{}", fault.message);
    assert_eq!(fault.last_output.len(), 20);
    assert_eq!(fault.last_output.last().unwrap(), "line 30");
    assert_eq!((status.crash_count, status.pid), (1, None));
}

#[tokio::test]
async fn a_signal_and_a_missing_program_are_told_apart() {
    let agent = TestAgent::start();
    let fault = agent.run(&script("kill -SEGV $$"), AgentState::Crashed).await.error.unwrap();
    assert!(fault.message.contains("signal 11 (SIGSEGV"), "{}", fault.message);
    let mut spec = script("");
    spec.revision = "2".into();
    spec.run.argv = vec!["./no-such-server".into()];
    agent.put(&spec).await.unwrap();
    // Still wanted running, so it starts once it is installed.
    let (status, _) = agent
        .follow(|status| {
            status.state == AgentState::Crashed && status.installed_revision.as_deref() == Some("2")
        })
        .await;
    let fault = status.error.unwrap();
    assert!(fault.message.contains("the program was not found"), "{}", fault.message);
    assert!(fault.last_output[0].contains("cannot run ./no-such-server"), "{:?}", fault.last_output);
}

#[tokio::test]
async fn a_server_that_is_not_ready_in_time_is_killed() {
    let agent = TestAgent::start();
    let mut spec = script("echo $$ > pid; echo almost; sleep 1000");
    spec.ready.deadline_seconds = 1;
    let status = agent.run(&spec, AgentState::Crashed).await;
    let fault = status.error.unwrap();
    assert_eq!(fault.code, FaultCode::NotReadyInTime);
    assert_eq!(fault.last_output, ["almost"]);
    let pid = std::fs::read_to_string(agent.data().join("pid")).unwrap();
    assert!(!is_alive(pid.trim().parse().unwrap()));
}

#[tokio::test]
async fn a_crash_is_followed_by_another_start() {
    let agent = TestAgent::start();
    let spec =
        script("echo READY; if [ -e crashed ]; then read line; else touch crashed; sleep 0.3; exit 9; fi");
    agent.run(&spec, AgentState::Running).await;
    let (status, seen) =
        agent.follow(|status| status.crash_count == 1 && status.state == AgentState::Running).await;
    assert_eq!(status.error, None);
    assert!(!seen.contains(&AgentState::Crashed), "{seen:?}");
}

#[tokio::test]
async fn five_crashes_are_a_loop_and_the_next_start_begins_anew() {
    let agent = TestAgent::start();
    let spec = script("echo x >> starts; echo READY; sleep 0.1; echo broken; exit 9");
    let status = agent.run(&spec, AgentState::Crashed).await;
    let fault = status.error.unwrap();
    assert_eq!(fault.code, FaultCode::CrashLoop);
    assert!(fault.message.contains("exit code 9"), "{}", fault.message);
    assert_eq!(fault.last_output, ["READY", "broken"]);
    assert_eq!(status.crash_count, 5);
    let starts = || std::fs::read_to_string(agent.data().join("starts")).unwrap().lines().count();
    assert_eq!(starts(), 5);
    assert_eq!(agent.power(PowerAction::Start).await.unwrap().crash_count, 0);
    agent.until(AgentState::Crashed).await;
    assert_eq!(starts(), 10);
}

#[tokio::test]
async fn a_missing_runtime_is_named_before_anything_is_downloaded() {
    let agent = TestAgent::start();
    for (runtime, argv, words) in [
        (Runtime::Java { major: 900 }, "{java}", ["Java 900", "openjdk-900-jre-headless"]),
        (
            Runtime::Program { name: "no-such-game".into(), package: "no-such-package".into() },
            "no-such-game",
            ["no-such-game", "package no-such-package"],
        ),
    ] {
        let mut spec = script("");
        spec.run.runtime = runtime;
        spec.run.argv = vec![argv.into()];
        spec.revision = argv.into();
        agent.put(&spec).await.unwrap();
        let (status, _) = agent.follow(|status| status.state == AgentState::Error).await;
        let fault = status.error.unwrap();
        assert_eq!(fault.code, FaultCode::RuntimeMissing);
        assert!(words.iter().all(|word| fault.message.contains(word)), "{}", fault.message);
    }
}

#[tokio::test]
async fn java_is_found_where_it_is_installed() {
    let agent = TestAgent::start();
    let mut spec = script("");
    spec.run.runtime = Runtime::Java { major: 17 };
    spec.run.argv = vec!["{java}".into(), "-version".into()];
    spec.ready.probe = domain::agent::Probe::Log { pattern: "openjdk version \"(1[7-9]|[2-9][0-9])".into() };
    agent.run(&spec, AgentState::Running).await;
}
