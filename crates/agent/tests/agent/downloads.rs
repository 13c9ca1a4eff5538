//! Downloads: good ones, bad ones, and sources that fail.

use domain::agent::{AgentState, AgentStatus, FaultCode};

use crate::{
    source::{Answer, Source, download},
    support::{TestAgent, eventually, script},
};

fn content() -> Vec<u8> {
    (0..2_000_000u32).map(|number| number.to_le_bytes()[0] ^ 0x5a).collect()
}

/// Installs one file from a source that plays `answers`.
async fn fetch(agent: &TestAgent, answers: Vec<Answer>) -> (AgentStatus, Source) {
    let source = Source::start(answers).await;
    let status = agent.install("1", vec![source.step(&content(), "bin/server.bin", None)]).await;
    (status, source)
}

fn assert_nothing_is_there(agent: &TestAgent) {
    let names: Vec<_> = walk(&agent.data());
    assert!(!names.iter().any(|name| name.ends_with("server.bin")), "{names:?}");
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] })
        .collect()
}

#[tokio::test]
async fn a_file_arrives_whole_with_its_progress() {
    let agent = TestAgent::start();
    let source = Source::start(vec![Answer::File(content())]).await;
    let mut spec = script("exit 0");
    spec.install = vec![source.step(&content(), "bin/server.bin", None)];
    let begun = agent.put(&spec).await.unwrap();
    assert_eq!(begun.state, AgentState::Installing);
    let (status, seen) = agent.follow(|status| status.state == AgentState::Stopped).await;
    assert_eq!((status.error, status.installed_revision.as_deref()), (None, Some("1")));
    assert_eq!((status.install_step, status.progress), (None, None));
    assert!(!seen.contains(&AgentState::Error));
    assert_eq!(std::fs::read(agent.data().join("bin/server.bin")).unwrap(), content());
    assert!(!agent.data().join(".zlh-tmp").exists(), "nothing unfinished is left");
}

#[tokio::test]
async fn progress_names_the_file_and_counts_its_bytes() {
    let agent = TestAgent::start();
    let source = Source::start(vec![Answer::Hang(content(), 1_000_000)]).await;
    let mut spec = script("exit 0");
    spec.install = vec![source.step(&content(), "server.bin", None)];
    agent.put(&spec).await.unwrap();
    let (status, _) = agent.follow(|status| status.progress.is_some_and(|percent| percent >= 40)).await;
    assert_eq!(status.install_step.as_deref(), Some("Downloading server.bin"));
    assert!(status.progress.unwrap() <= 55, "{:?}", status.progress);
    assert_nothing_is_there(&agent);
}

#[tokio::test]
async fn a_missing_file_fails_at_once() {
    let agent = TestAgent::start();
    let (status, source) = fetch(&agent, vec![Answer::Status(404)]).await;
    let fault = status.error.unwrap();
    assert_eq!((status.state, fault.code), (AgentState::Error, FaultCode::ArtifactMissing));
    assert_eq!(source.asked(), 1);
    assert!(fault.message.contains("server.bin") && !fault.message.contains("secret"), "{}", fault.message);
}

#[tokio::test]
async fn what_differs_from_its_hash_or_length_is_thrown_away() {
    let agent = TestAgent::start();
    let mut changed = content();
    changed[1_000_000] ^= 1;
    let longer = [content(), vec![0]].concat();
    let shorter = content()[1..].to_vec();
    for answer in [
        Answer::File(changed.clone()),
        Answer::File(longer.clone()),
        Answer::File(shorter.clone()),
        Answer::Unmeasured(changed),
        Answer::Unmeasured(longer),
        Answer::Unmeasured(shorter),
    ] {
        let (status, source) = fetch(&agent, vec![answer]).await;
        assert_eq!(status.error.unwrap().code, FaultCode::ArtifactCorrupt);
        assert_eq!(source.asked(), 1, "the same would come again");
        assert_nothing_is_there(&agent);
    }
}

#[tokio::test]
async fn a_source_that_breaks_off_is_asked_again() {
    let agent = TestAgent::start();
    let answers = vec![Answer::Cut(content(), 700_000), Answer::Status(503), Answer::File(content())];
    let (status, source) = fetch(&agent, answers).await;
    assert_eq!((status.state, status.error), (AgentState::Stopped, None));
    assert_eq!(source.asked(), 3);
    assert_eq!(std::fs::read(agent.data().join("bin/server.bin")).unwrap(), content());
}

#[tokio::test]
async fn a_source_that_keeps_failing_is_unreachable_and_the_same_revision_may_be_tried_again() {
    let agent = TestAgent::start();
    let (status, source) = fetch(&agent, vec![Answer::Status(500)]).await;
    assert_eq!(status.error.unwrap().code, FaultCode::ArtifactUnreachable);
    assert_eq!(source.asked(), 4);
    assert_nothing_is_there(&agent);
    let (status, _) = fetch(&agent, vec![Answer::File(content())]).await;
    assert_eq!((status.state, status.error), (AgentState::Stopped, None));
}

#[tokio::test]
async fn a_source_that_is_not_there_is_unreachable_and_its_address_is_not_told() {
    let agent = TestAgent::start();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let status = agent.install("1", vec![download(nobody, &content(), "bin/server.bin", None)]).await;
    let fault = status.error.unwrap();
    assert_eq!(fault.code, FaultCode::ArtifactUnreachable);
    assert!(fault.message.contains("could not be reached"), "{}", fault.message);
    assert!(!fault.message.contains("secret"), "{}", fault.message);
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let agent = TestAgent::start();
    let (status, _) = fetch(&agent, vec![Answer::Redirect("/there")]).await;
    assert_eq!(status.error.unwrap().code, FaultCode::ArtifactUnreachable);
    let (status, source) = fetch(&agent, vec![Answer::Redirect("/there"), Answer::File(content())]).await;
    assert_eq!((status.error, source.asked()), (None, 2));
}

#[tokio::test]
async fn an_interrupted_installation_starts_again_with_the_agent() {
    let mut agent = TestAgent::start();
    let source = Source::start(vec![Answer::Hang(content(), 1_000_000), Answer::File(content())]).await;
    let mut spec = script("exit 0");
    spec.install = vec![source.step(&content(), "server.bin", None)];
    agent.put(&spec).await.unwrap();
    agent.follow(|status| status.progress > Some(0)).await;
    agent.kill();
    assert_nothing_is_there(&agent);
    agent.boot_again();
    let status = agent.until_installed().await;
    assert_eq!((status.error, status.installed_revision.as_deref()), (None, Some("1")));
    assert!(!agent.data().join(".zlh-tmp").exists());
}

#[tokio::test]
async fn a_file_that_is_there_already_is_not_downloaded_again() {
    let agent = TestAgent::start();
    std::fs::create_dir_all(agent.data().join("bin")).unwrap();
    std::fs::write(agent.data().join("bin/server.bin"), content()).unwrap();
    let (status, source) = fetch(&agent, vec![Answer::Status(500)]).await;
    assert_eq!((status.error, source.asked()), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_revision_waits_for_the_one_being_installed() {
    let agent = TestAgent::start();
    let source = Source::start(vec![Answer::Hang(content(), 10)]).await;
    let mut spec = script("exit 0");
    spec.install = vec![source.step(&content(), "server.bin", None)];
    agent.put(&spec).await.unwrap();
    assert_eq!(agent.put(&spec).await.unwrap().state, AgentState::Installing);
    spec.revision = "2".into();
    let refused = agent.put(&spec).await.unwrap_err();
    assert_eq!(refused.1, "other_revision_installs");
    eventually("one download", || source.asked() == 1);
}
