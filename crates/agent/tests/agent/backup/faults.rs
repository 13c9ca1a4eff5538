//! A storage that fails, addresses that expire, and requests that come at the wrong time.

use std::{fs, sync::atomic::Ordering, time::Duration};

use domain::agent::{BackupTaskState, BackupWork, BackupWorkKind, FaultCode};
use integrations::objects::ObjectStore as _;
use reqwest::StatusCode;
use uuid::Uuid;

use super::{
    storage::{HOUR, Saved, Storage},
    tree::{assert_same, noise, read},
};
use crate::support::TestAgent;

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_fails_is_sent_again_from_its_beginning() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    fs::write(agent.data().join("file"), noise(900_000, 1)).unwrap();
    let before = read(&agent.data());
    storage.faults.failing_puts.store(3, Ordering::SeqCst);
    let (saved, facts) = agent.save(&storage).await;
    assert_eq!(storage.faults.failing_puts.load(Ordering::SeqCst), 0, "the faults were met");
    assert_eq!(fs::metadata(storage.file(&saved.archive)).unwrap().len(), facts.archive_bytes);
    storage.faults.breaking_gets.store(2, Ordering::SeqCst);
    fs::remove_file(agent.data().join("file")).unwrap();
    let (task, staged) = agent.stage(&saved, &storage, &facts).await;
    assert_eq!(staged.state, BackupTaskState::Succeeded, "{staged:?}");
    assert_eq!(storage.faults.breaking_gets.load(Ordering::SeqCst), 0);
    agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap();
    assert_same(&read(&agent.data()), &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_addresses_are_asked_for_anew() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    fs::write(agent.data().join("file"), noise(700_000, 1)).unwrap();
    let saved = Saved::begin(&agent, &storage).await;
    let expired = saved.create(&storage, 1, 5, Duration::ZERO);
    agent.backup(saved.task, saved.backup, expired.clone()).await.unwrap();
    loop {
        let status = agent.backup_after(0).await;
        assert_eq!(status.state, BackupTaskState::Running, "{status:?}");
        if status.needs_addresses && status.parts_known == 0 {
            break;
        }
    }
    let status = saved.follow(&agent, &storage, &expired).await;
    assert_eq!(status.state, BackupTaskState::Succeeded, "{status:?}");
    assert!(storage.file(&saved.manifest).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_refuses_for_good_fails_the_backup_and_leaves_nothing() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    fs::write(agent.data().join("file"), "x").unwrap();
    let saved = Saved::begin(&agent, &storage).await;
    storage.store.abort(&saved.archive, &saved.upload).await.unwrap();
    agent.backup(saved.task, saved.backup, saved.create(&storage, 1, 2, HOUR)).await.unwrap();
    let status = agent.backup_ended().await;
    let fault = status.fault.unwrap();
    assert_eq!(fault.code, FaultCode::StorageUnreachable);
    assert!(fault.message.contains("404") && !fault.message.contains("signature"), "{}", fault.message);
    assert!(!storage.file(&saved.manifest).exists());
    assert_eq!(fs::read_dir(agent.root.path().join("agent/backup")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_task_at_a_time_and_the_same_one_only_once() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    fs::write(agent.data().join("file"), noise(900_000, 1)).unwrap();
    storage.faults.hold.store(1, Ordering::SeqCst);
    let saved = Saved::begin(&agent, &storage).await;
    let work = saved.create(&storage, 1, 2, HOUR);
    agent.backup(saved.task, saved.backup, work.clone()).await.unwrap();
    let again = agent.backup(saved.task, saved.backup, work.clone()).await.unwrap();
    assert_eq!((again.state, again.parts_known), (BackupTaskState::Running, 2));
    for other in [work.clone(), BackupWork::Swap, BackupWork::Commit] {
        let refused = agent.backup(Uuid::now_v7(), saved.backup, other).await.unwrap_err();
        assert_eq!(refused, (StatusCode::CONFLICT, "backup_busy".to_owned()));
    }
    let gap = saved.create(&storage, 9, 2, HOUR);
    let refused = agent.backup(saved.task, saved.backup, gap).await.unwrap_err();
    assert_eq!(refused, (StatusCode::UNPROCESSABLE_ENTITY, "backup_invalid".to_owned()));
    let unknown = agent.backup(Uuid::now_v7(), saved.backup, BackupWork::Abort).await.unwrap();
    assert_eq!((unknown.work, unknown.state), (BackupWorkKind::Abort, BackupTaskState::Succeeded));
    storage.faults.hold.store(0, Ordering::SeqCst);
    let status = saved.follow(&agent, &storage, &work).await;
    assert_eq!(status.state, BackupTaskState::Succeeded, "{status:?}");
    let repeated = agent.backup(saved.task, saved.backup, work).await.unwrap();
    assert_eq!(repeated, status);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_task_ended_is_known_after_a_restart() {
    let (mut agent, storage) = (TestAgent::start(), Storage::start().await);
    let none = agent.call(reqwest::Method::GET, "/v1/backup", domain::agent::Scope::Backup, &()).await;
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
    fs::write(agent.data().join("file"), "x").unwrap();
    let (saved, facts) = agent.save(&storage).await;
    let known = agent.backup_after(0).await;
    agent.kill();
    agent.boot_again();
    let status = agent.backup_after(0).await;
    assert_eq!((status.task, status.facts, status.uploaded), (saved.task, Some(facts), known.uploaded));
    assert!(status.revision > known.revision);
}
