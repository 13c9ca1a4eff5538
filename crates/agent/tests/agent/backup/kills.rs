//! The agent is killed at many moments of a backup and a restore; the customer's files are whole each time.

use std::{fs, time::Duration};

use domain::agent::{BackupTaskState, BackupWork, BackupWorkKind, FaultCode};
use uuid::Uuid;

use super::{
    storage::{HOUR, Saved, Storage},
    tree::{assert_same, damage, noise, plant, read},
};
use crate::support::TestAgent;

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_is_interrupted_has_failed_and_leaves_nothing() {
    let (mut agent, storage) = (TestAgent::start(), Storage::start().await);
    plant(&agent.data(), 5 << 20);
    let before = read(&agent.data());
    for round in 0..8 {
        let saved = Saved::begin(&agent, &storage).await;
        agent.backup(saved.task, saved.backup, saved.create(&storage, 1, 100, HOUR)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(round * 17)).await;
        agent.kill();
        agent.boot_again();
        let status = agent.backup_ended().await;
        if status.state == BackupTaskState::Failed {
            assert_eq!(status.fault.unwrap().code, FaultCode::BackupFailed);
        }
        assert_eq!(fs::read_dir(agent.root.path().join("agent/backup")).unwrap().count(), 1);
        assert_same(&read(&agent.data()), &before);
    }
    agent.save(&storage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_interrupted_while_unpacking_touches_nothing() {
    let (mut agent, storage) = (TestAgent::start(), Storage::start().await);
    plant(&agent.data(), 5 << 20);
    let (saved, facts) = agent.save(&storage).await;
    damage(&agent.data());
    let damaged = read(&agent.data());
    let mut interrupted = 0;
    for round in 0..10 {
        let task = Uuid::now_v7();
        agent.backup(task, saved.backup, saved.stage(&storage, &facts)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(round * 11)).await;
        agent.kill();
        agent.boot_again();
        let status = agent.backup_ended().await;
        assert_same(&read(&agent.data()), &damaged);
        if status.state == BackupTaskState::Failed {
            interrupted += 1;
            assert_eq!(agent.leftovers(), [""; 0]);
            assert_eq!(agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap_err().1, "not_staged");
        } else {
            // Staged it was, and still is.
            assert_eq!(agent.leftovers(), [format!("staging-{task}")]);
        }
    }
    assert!(interrupted > 0, "no kill met the unpacking");
    let (task, _) = agent.stage(&saved, &storage, &facts).await;
    agent.kill();
    agent.boot_again();
    agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_folders_that_is_interrupted_is_whole_after_the_next_boot() {
    let (mut agent, storage) = (TestAgent::start(), Storage::start().await);
    fs::create_dir(agent.data().join("world")).unwrap();
    for name in ["server.properties", "world/level.dat", "link"] {
        fs::write(agent.data().join(name), noise(10_000, 1)).unwrap();
    }
    let saved_tree = read(&agent.data());
    let (saved, facts) = agent.save(&storage).await;
    damage(&agent.data());
    let damaged = read(&agent.data());
    for round in 0_u64..24 {
        let (task, staged) = agent.stage(&saved, &storage, &facts).await;
        assert_eq!(staged.state, BackupTaskState::Succeeded, "{staged:?}");
        let (work, then) = if round % 2 == 0 {
            (BackupWork::Swap, BackupWork::SwapBack)
        } else {
            agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap();
            (BackupWork::SwapBack, BackupWork::SwapBack)
        };
        kill_during(&mut agent, task, &saved, work.clone(), Duration::from_micros(round * 400)).await;
        let now = read(&agent.data());
        assert!(now == saved_tree || now == damaged, "round {round}: neither the old files nor the new ones");
        let status = agent.backup_ended().await;
        if status.work == work.kind() && status.state == BackupTaskState::Succeeded {
            assert_same(&now, if work.kind() == BackupWorkKind::Swap { &saved_tree } else { &damaged });
        }
        // The worker repeats what it has no answer to, and goes on.
        if work.kind() == BackupWorkKind::Swap {
            agent.backup(task, saved.backup, work).await.unwrap();
            assert_same(&read(&agent.data()), &saved_tree);
        }
        agent.backup(task, saved.backup, then).await.unwrap();
        assert_same(&read(&agent.data()), &damaged);
        assert_eq!(agent.leftovers(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_restored_files_are_there_whenever_its_commit_is_interrupted() {
    let (mut agent, storage) = (TestAgent::start(), Storage::start().await);
    for folder in 0..12 {
        fs::create_dir(agent.data().join(folder.to_string())).unwrap();
        for file in 0..12 {
            fs::write(agent.data().join(format!("{folder}/{file}")), noise(100, 1 + file)).unwrap();
        }
    }
    let before = read(&agent.data());
    let (saved, facts) = agent.save(&storage).await;
    for round in 0_u64..6 {
        let (task, _) = agent.stage(&saved, &storage, &facts).await;
        agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap();
        kill_during(&mut agent, task, &saved, BackupWork::Commit, Duration::from_micros(round * 700)).await;
        assert_same(&read(&agent.data()), &before);
        let committed = agent.backup(task, saved.backup, BackupWork::Commit).await.unwrap();
        assert_eq!(committed.state, BackupTaskState::Succeeded);
        assert_eq!(agent.leftovers(), [""; 0]);
        let trash = agent.root.path().join("agent/trash");
        crate::support::eventually("the trash is emptied", || fs::read_dir(&trash).unwrap().count() == 0);
    }
}

/// Asks for work and kills the agent so much later, whether or not it has answered; then boots it again.
async fn kill_during(agent: &mut TestAgent, task: Uuid, saved: &Saved, work: BackupWork, after: Duration) {
    let body = domain::agent::BackupTask { task, backup: saved.backup, work };
    let request = agent.client.put(format!("{}/v1/backup", agent.url));
    let request = request.bearer_auth(agent.token(domain::agent::Scope::Backup)).json(&body);
    let asking = tokio::spawn(async move { request.send().await.map(drop) });
    tokio::time::sleep(after).await;
    agent.kill();
    // Answered or cut off.
    let _ = asking.await;
    agent.boot_again();
}
