//! Writing, properties, programs, and paths that try to leave.

use std::time::{Duration, Instant};

use domain::agent::{FaultCode, InstallStep, ServiceSpec};
use reqwest::StatusCode;

use crate::support::{TestAgent, eventually, is_alive, pid_in, script};

fn write(path: &str, content: &str, keep_existing: bool) -> InstallStep {
    InstallStep::Write { path: path.into(), content: content.into(), keep_existing }
}

fn run(script: &str, timeout_seconds: u64) -> InstallStep {
    InstallStep::Run { argv: vec!["/bin/sh".into(), "-c".into(), script.into()], timeout_seconds }
}

#[tokio::test]
async fn files_are_written_and_a_customers_edits_kept_when_asked() {
    let agent = TestAgent::start();
    std::fs::write(agent.data().join("mine"), "edited").unwrap();
    std::fs::write(agent.data().join("server.properties"), "#comment\nmotd=mine\nserver-port=1\n").unwrap();
    let steps = vec![
        write("mine", "default", true),
        write("config/deep/ours.toml", "new", false),
        write("other", "default", true),
        InstallStep::Properties {
            path: "server.properties".into(),
            set: [
                ("server-port".to_owned(), "25565".to_owned()),
                ("online-mode".to_owned(), "true".to_owned()),
            ]
            .into(),
        },
    ];
    assert_eq!(agent.install("1", steps).await.error, None);
    let read = |path: &str| std::fs::read_to_string(agent.data().join(path)).unwrap();
    assert_eq!(
        (read("mine"), read("other"), read("config/deep/ours.toml")),
        ("edited".into(), "default".into(), "new".into())
    );
    assert_eq!(read("server.properties"), "#comment\nmotd=mine\nserver-port=25565\nonline-mode=true\n");
}

#[tokio::test]
async fn a_path_that_leaves_the_folder_is_refused_before_anything_is_done() {
    let agent = TestAgent::start();
    for path in ["../x", "/etc/x", "a/../../x", "", ".", "a/\0", ".zlh-tmp/x"] {
        for step in [
            write(path, "x", false),
            InstallStep::Properties { path: path.into(), set: [("k".to_owned(), "v".to_owned())].into() },
            crate::source::download(1, b"", path, None),
        ] {
            let spec = ServiceSpec { install: vec![step], ..script("exit 0") };
            let refused = agent.put(&spec).await.unwrap_err();
            assert_eq!(refused, (StatusCode::UNPROCESSABLE_ENTITY, "spec_invalid".to_owned()), "{path:?}");
        }
    }
    assert_eq!(agent.status().await.installed_revision, None);
}

#[tokio::test]
async fn a_link_in_the_folder_does_not_lead_the_agent_out() {
    let agent = TestAgent::start();
    let outside = agent.root.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("there.properties"), "k=theirs\n").unwrap();
    std::os::unix::fs::symlink(&outside, agent.data().join("folder")).unwrap();
    std::os::unix::fs::symlink("../outside", agent.data().join("relative")).unwrap();
    std::os::unix::fs::symlink(outside.join("there.properties"), agent.data().join("file.properties"))
        .unwrap();
    let set: std::collections::BTreeMap<_, _> = [("k".to_owned(), "ours".to_owned())].into();
    for step in [
        write("folder/x", "x", false),
        write("relative/deep/x", "x", true),
        InstallStep::Properties { path: "folder/there.properties".into(), set: set.clone() },
        InstallStep::Properties { path: "file.properties".into(), set },
        crate::source::download(1, b"", "folder/there.properties", None),
    ] {
        let fault = agent.install("1", vec![step]).await.error.unwrap();
        assert_eq!(fault.code, FaultCode::InstallFailed);
        assert!(fault.message.contains("does not lie in the server's folder"), "{}", fault.message);
    }
    assert_eq!(std::fs::read_to_string(outside.join("there.properties")).unwrap(), "k=theirs\n");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn a_program_of_the_installation_runs_to_its_end() {
    let agent = TestAgent::start();
    let status = agent.install("1", vec![run("echo working; pwd > where", 10)]).await;
    assert_eq!(status.error, None);
    let place = std::fs::read_to_string(agent.data().join("where")).unwrap();
    assert_eq!(place.trim(), agent.data().canonicalize().unwrap().display().to_string());
    assert_eq!(agent.tail().await, ["working"]);
}

#[tokio::test]
async fn a_program_that_fails_fails_the_installation_with_its_last_words() {
    let agent = TestAgent::start();
    let fault = agent.install("1", vec![run("echo no luck; exit 7", 10)]).await.error.unwrap();
    assert_eq!(fault.code, FaultCode::InstallFailed);
    assert!(fault.message.contains("exit code 7"), "{}", fault.message);
    assert_eq!(fault.last_output, ["no luck"]);
    assert_eq!(
        agent.install("1", vec![run("exit 0", 10)]).await.error,
        None,
        "the same revision may be tried again"
    );
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed_with_its_children() {
    let agent = TestAgent::start();
    let asked = Instant::now();
    let fault =
        agent.install("1", vec![run("sleep 1000 & echo $! > child; sleep 1000", 1)]).await.error.unwrap();
    assert!(fault.message.contains("did not end within 1 s"), "{}", fault.message);
    assert!(asked.elapsed() < Duration::from_secs(6));
    let child = pid_in(&agent.data().join("child"));
    eventually("the child is gone", || !is_alive(child));
}

#[tokio::test]
async fn a_spec_that_cannot_be_meant_is_refused() {
    let agent = TestAgent::start();
    let changes: [fn(&mut ServiceSpec); 9] = [
        |spec| spec.revision.clear(),
        |spec| spec.run.argv.clear(),
        |spec| spec.run.argv = vec!["{java}".into()],
        |spec| spec.run.stop.line = Some("stop\nop me".into()),
        |spec| spec.run.stop.grace_seconds = 0,
        |spec| spec.ready.deadline_seconds = 0,
        |spec| spec.ready.probe = domain::agent::Probe::Tcp { port: 0 },
        |spec| spec.ready.probe = domain::agent::Probe::Log { pattern: "(".into() },
        |spec| spec.ready.probe = domain::agent::Probe::Log { pattern: "(a{1000}){1000}".into() },
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut spec = script("exit 0");
        change(&mut spec);
        let refused = agent.put(&spec).await.unwrap_err();
        assert_eq!(refused.1, "spec_invalid", "case {number}");
    }
}
