//! What goes into a backup, and what the game hears of it.

use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use domain::agent::{
    AgentState, BackupConsistency, BackupHooks, BackupManifestHead, BackupTaskState, BackupWork,
};
use serde_json::Value;

use super::{
    storage::{HOUR, Saved, Storage},
    tree::{assert_same, noise, read},
};
use crate::support::{TestAgent, eventually, kill_hard, script, well_behaved};

fn manifest(storage: &Storage, saved: &Saved) -> Value {
    let stored = fs::read(storage.file(&saved.manifest)).unwrap();
    serde_json::from_slice(&zstd::decode_all(&stored[..]).unwrap()).unwrap()
}

fn entry<'m>(manifest: &'m Value, path: &str) -> Option<&'m Value> {
    manifest["entries"].as_array().unwrap().iter().find(|entry| entry["path"] == path)
}

/// Creates with these patterns and hooks.
async fn create(agent: &TestAgent, storage: &Storage, ignored: &[&str], with: BackupHooks) -> Saved {
    let saved = Saved::begin(agent, storage).await;
    let mut work = saved.create(storage, 1, 2, HOUR);
    if let BackupWork::Create { ignore, hooks, .. } = &mut work {
        *ignore = ignored.iter().map(ToString::to_string).collect();
        *hooks = with;
    }
    agent.backup(saved.task, saved.backup, work.clone()).await.unwrap();
    let status = saved.follow(agent, storage, &work).await;
    assert_eq!(status.state, BackupTaskState::Succeeded, "{status:?}");
    saved
}

#[tokio::test(flavor = "multi_thread")]
async fn ignored_files_stay_out_and_everything_else_is_in() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    for name in
        ["keep.txt", "debug.log", "logs/a.log", "logs/keep.log", "cache/x", "world/cache/y", ".zlh-tmp/0"]
    {
        fs::create_dir_all(agent.data().join(name).parent().unwrap()).unwrap();
        fs::write(agent.data().join(name), "x").unwrap();
    }
    let saved = create(&agent, &storage, &["*.log", "!keep.log", "/cache/"], BackupHooks::default()).await;
    let manifest = manifest(&storage, &saved);
    let paths: Vec<_> =
        manifest["entries"].as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["", "keep.txt", "logs", "logs/keep.log", "world", "world/cache", "world/cache/y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_and_fifos_are_listed_and_do_not_stop_a_backup() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    let _socket = UnixListener::bind(agent.data().join("socket")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, agent.data().join("fifo"), fifo, mode, 0).unwrap();
    fs::write(agent.data().join("file"), "x").unwrap();
    let (saved, facts) = agent.save(&storage).await;
    assert_eq!(facts.files, 1);
    let manifest = manifest(&storage, &saved);
    for name in ["socket", "fifo"] {
        assert_eq!(entry(&manifest, name).unwrap()["reason"], "special");
    }
    assert_eq!(manifest["skipped"], 2);
    let (_, staged) = agent.stage(&saved, &storage, &facts).await;
    assert_eq!(staged.state, BackupTaskState::Succeeded, "{staged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_read_is_noted_and_the_backup_is_good() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    let (grows, shrinks) = (agent.data().join("grows"), agent.data().join("shrinks"));
    fs::write(&grows, noise(8 << 20, 5)).unwrap();
    fs::write(&shrinks, noise(8 << 20, 6)).unwrap();
    fs::write(agent.data().join("still"), "x").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut file = fs::OpenOptions::new().append(true).open(grows).unwrap();
            let mut length = 8 << 20;
            while !stop.load(Ordering::SeqCst) {
                file.write_all(b"more").unwrap();
                length -= 1;
                fs::OpenOptions::new().write(true).open(&shrinks).unwrap().set_len(length).unwrap();
            }
        }
    });
    let (saved, facts) = agent.save(&storage).await;
    stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    assert_eq!((facts.files, facts.changed_files), (3, 2));
    let manifest = manifest(&storage, &saved);
    assert_eq!(entry(&manifest, "grows").unwrap()["changed"], true);
    assert_eq!(entry(&manifest, "still").unwrap().get("changed"), None);
    let (_, staged) = agent.stage(&saved, &storage, &facts).await;
    assert_eq!(staged.state, BackupTaskState::Succeeded, "{staged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_are_plain_tar_for_everybody() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    super::tree::plant(&agent.data(), 1_000_000);
    let before = read(&agent.data());
    let (saved, _) = agent.save(&storage).await;
    let unpacked = tempfile::tempdir().unwrap();
    let archive = fs::read(storage.file(&saved.archive)).unwrap();
    let tar = unpacked.path().join("archive.tar");
    fs::write(&tar, zstd::decode_all(&archive[..]).unwrap()).unwrap();
    let into = unpacked.path().join("data");
    fs::create_dir(&into).unwrap();
    let mut command = std::process::Command::new("tar");
    let done = command.args(["--extract", "--preserve-permissions", "--no-same-owner", "--file"]).arg(&tar);
    let output = done.arg("--directory").arg(&into).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_same(&read(&into), &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_game_flushes_its_files_first_and_is_released_afterwards() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    agent.run(&well_behaved(), AgentState::Running).await;
    let hooks = |flushed: &str| BackupHooks {
        before: vec!["save-off".into(), "save-all flush".into()],
        flushed: Some(flushed.into()),
        flush_seconds: 2,
        after: vec!["save-on".into()],
    };
    let consistency = |saved: &Saved| {
        let mut head = manifest(&storage, saved);
        head.as_object_mut().unwrap().remove("entries");
        serde_json::from_value::<BackupManifestHead>(head).unwrap().consistency
    };
    let saved = create(&agent, &storage, &[], hooks("^got save-all flush$")).await;
    assert_eq!(consistency(&saved), BackupConsistency::Flushed);
    agent.until_said("got save-on").await;
    let heard: Vec<_> = agent.tail().await.into_iter().filter(|line| line.contains("save")).collect();
    assert_eq!(heard, ["got save-off", "got save-all flush", "got save-on"]);
    // An earlier "flushed" counts for nothing.
    let saved = create(&agent, &storage, &[], hooks("^never$")).await;
    assert_eq!(consistency(&saved), BackupConsistency::Unflushed);
    agent.power(domain::agent::PowerAction::Stop).await.unwrap();
    agent.until(AgentState::Stopped).await;
    let saved = create(&agent, &storage, &[], hooks("x")).await;
    assert_eq!(consistency(&saved), BackupConsistency::Down);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_game_that_is_still_starting_are_not_said_to_be_flushed() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    agent.put(&script("while read line; do echo \"$line\" >> heard; done")).await.unwrap();
    agent.power(domain::agent::PowerAction::Start).await.unwrap();
    agent.until(AgentState::Starting).await;
    let hooks = BackupHooks {
        before: vec!["off".into()],
        flushed: Some("x".into()),
        flush_seconds: 1,
        after: vec!["on".into()],
    };
    let saved = create(&agent, &storage, &[], hooks).await;
    let head: BackupManifestHead = serde_json::from_value(manifest(&storage, &saved)).unwrap();
    assert_eq!(head.consistency, BackupConsistency::Unflushed);
    assert!(!agent.data().join("heard").exists(), "it was told something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_waits_for_a_game_that_stops_and_has_what_it_wrote_last() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    let game = "echo READY; read line; while [ ! -e go ]; do sleep 0.01; done; echo bye > last";
    agent.run(&script(game), AgentState::Running).await;
    agent.power(domain::agent::PowerAction::Stop).await.unwrap();
    agent.until(AgentState::Stopping).await;
    let saved = Saved::begin(&agent, &storage).await;
    let work = saved.create(&storage, 1, 2, HOUR);
    let mut status = agent.backup(saved.task, saved.backup, work.clone()).await.unwrap();
    while !status.detail.contains("waiting for the server") {
        assert_eq!(status.state, BackupTaskState::Running);
        status = agent.backup_after(status.revision).await;
    }
    fs::write(agent.data().join("go"), "").unwrap();
    saved.follow(&agent, &storage, &work).await;
    let manifest = manifest(&storage, &saved);
    assert!(entry(&manifest, "last").is_some());
    let head: BackupManifestHead = serde_json::from_value(manifest).unwrap();
    assert_eq!(head.consistency, BackupConsistency::Down);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_game_could_not_be_told_when_it_was_due_it_is_told_later() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    let game = script(
        "[ -e crashed ] && while [ ! -e go ]; do sleep 0.01; done; echo READY; while read line; do echo \"$line\" >> heard; done",
    );
    let running = agent.run(&game, AgentState::Running).await;
    fs::write(agent.data().join("big"), noise(4 << 20, 9)).unwrap();
    storage.faults.hold.store(1, Ordering::SeqCst);
    let saved = Saved::begin(&agent, &storage).await;
    let mut work = saved.create(&storage, 1, 20, HOUR);
    if let BackupWork::Create { hooks, .. } = &mut work {
        *hooks =
            BackupHooks { before: vec!["off".into()], after: vec!["on".into()], ..BackupHooks::default() };
    }
    let heard = |agent: &TestAgent| fs::read_to_string(agent.data().join("heard")).unwrap_or_default();
    agent.backup(saved.task, saved.backup, work.clone()).await.unwrap();
    eventually("the game hears", || heard(&agent) == "off\n");
    // It starts again, and does not listen yet when the copy is made.
    fs::write(agent.data().join("crashed"), "").unwrap();
    kill_hard(running.pid.unwrap());
    agent.follow(|status| status.crash_count == 1 && status.pid.is_some()).await;
    storage.faults.hold.store(0, Ordering::SeqCst);
    let status = saved.follow(&agent, &storage, &work).await;
    assert_eq!(status.state, BackupTaskState::Succeeded, "{status:?}");
    assert_eq!(heard(&agent), "off\n");
    fs::write(agent.data().join("go"), "").unwrap();
    agent.until(AgentState::Running).await;
    eventually("the game is released", || heard(&agent) == "off\non\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_game_is_released_when_a_backup_is_cancelled_and_when_the_agent_dies() {
    let (mut agent, storage) = (TestAgent::start(), Storage::start().await);
    let game = script(
        "echo READY; while read line; do echo \"$line\" >> heard; [ \"$line\" = stop ] && exit 0; done",
    );
    agent.run(&game, AgentState::Running).await;
    fs::write(agent.data().join("big"), noise(4 << 20, 9)).unwrap();
    storage.faults.hold.store(1, Ordering::SeqCst);
    let saved = Saved::begin(&agent, &storage).await;
    let mut work = saved.create(&storage, 1, 20, HOUR);
    if let BackupWork::Create { hooks, .. } = &mut work {
        *hooks =
            BackupHooks { before: vec!["off".into()], after: vec!["on".into()], ..BackupHooks::default() };
    }
    let heard = |agent: &TestAgent| fs::read_to_string(agent.data().join("heard")).unwrap_or_default();
    agent.backup(saved.task, saved.backup, work.clone()).await.unwrap();
    eventually("the game hears", || heard(&agent) == "off\n");
    let aborted = agent.backup(saved.task, saved.backup, BackupWork::Abort).await.unwrap();
    assert_eq!(aborted.state, BackupTaskState::Succeeded);
    eventually("the game is released", || heard(&agent) == "off\non\n");
    let spool = agent.root.path().join("agent/backup");
    // It is written beside its place and moved there.
    eventually("only the journal is left", || fs::read_dir(&spool).unwrap().count() == 1);

    let again = uuid::Uuid::now_v7();
    agent.backup(again, saved.backup, work).await.unwrap();
    eventually("the game hears again", || heard(&agent) == "off\non\noff\n");
    agent.kill();
    agent.boot_again();
    let status = agent.backup_ended().await;
    assert_eq!(status.task, again);
    assert!(status.fault.unwrap().message.contains("interrupted"));
    // The game has either outlived its agent and is released, or was started anew and never heard of it.
    agent.until(AgentState::Running).await;
    let text = heard(&agent);
    assert!(text.starts_with("off\non\noff\n"), "{text}");
    storage.faults.hold.store(0, Ordering::SeqCst);
}
