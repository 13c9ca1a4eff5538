//! What is restored is what was saved, and nothing is lost on the way there.

use std::{fs, os::unix::fs::PermissionsExt as _};

use domain::agent::{BackupTaskState, BackupWork, BackupWorkKind, FaultCode};
use reqwest::StatusCode;
use uuid::Uuid;

use super::{
    storage::Storage,
    tree::{assert_same, damage, plant, read},
};
use crate::support::{TestAgent, eventually, well_behaved};

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_the_same_tree_byte_for_byte() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    plant(&agent.data(), 100 << 20);
    let before = read(&agent.data());
    let (saved, facts) = agent.save(&storage).await;
    assert_same(&read(&agent.data()), &before);
    assert_eq!(facts.changed_files, 0);
    damage(&agent.data());
    let damaged = read(&agent.data());

    let (task, staged) = agent.stage(&saved, &storage, &facts).await;
    assert_eq!(
        (staged.state, staged.work),
        (BackupTaskState::Succeeded, BackupWorkKind::Stage),
        "{staged:?}"
    );
    assert_same(&read(&agent.data()), &damaged);
    let swapped = agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap();
    assert_eq!((swapped.state, swapped.work), (BackupTaskState::Succeeded, BackupWorkKind::Swap));
    assert_same(&read(&agent.data()), &before);
    assert_same(&read(&agent.root.path().join(format!("previous-{task}"))), &damaged);
    let committed = agent.backup(task, saved.backup, BackupWork::Commit).await.unwrap();
    assert_eq!(committed.state, BackupTaskState::Succeeded);
    assert_same(&read(&agent.data()), &before);
    assert_eq!(agent.leftovers(), [""; 0]);
    let trash = agent.root.path().join("agent/trash");
    eventually("the old files are removed", || std::fs::read_dir(&trash).unwrap().count() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_has_denied_itself_is_saved_restored_and_removed_all_the_same() {
    let (mut agent, storage) = (TestAgent::start_as_user(), Storage::start().await);
    let deny = |agent: &TestAgent| {
        agent.own_data();
        let modes =
            [("world/region/r.0.0.mca", 0), ("world/region", 0o644), ("a/b", 0), ("a", 0o333), ("", 0o555)];
        for (name, mode) in modes {
            fs::set_permissions(agent.data().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    plant(&agent.data(), 1_000);
    deny(&agent);
    let before = read(&agent.data());
    let (saved, facts) = agent.save(&storage).await;
    assert_same(&read(&agent.data()), &before);
    let (_, verified) = agent.verify(&saved, &storage, &facts).await;
    assert_eq!(verified.state, BackupTaskState::Succeeded, "{verified:?}");
    damage(&agent.data());
    agent.own_data();
    fs::set_permissions(agent.data(), fs::Permissions::from_mode(0o555)).unwrap();

    let (task, staged) = agent.stage(&saved, &storage, &facts).await;
    assert_eq!(staged.state, BackupTaskState::Succeeded, "{staged:?}");
    agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap();
    assert_same(&read(&agent.data()), &before);
    agent.backup(task, saved.backup, BackupWork::Commit).await.unwrap();
    assert_eq!(agent.leftovers(), [""; 0]);
    // An unfinished copy is no reason not to boot.
    agent.kill();
    fs::create_dir(agent.root.path().join(format!("verify-{task}"))).unwrap();
    agent.boot_again();
    assert_eq!(agent.leftovers(), [""; 0]);
    assert_same(&read(&agent.data()), &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_plan_allows_is_not_restored_unless_it_is_there_already() {
    let (mut agent, storage) = (TestAgent::start(), Storage::start().await);
    fs::write(agent.data().join("big"), vec![7; 3 << 20]).unwrap();
    let (saved, facts) = agent.save(&storage).await;
    agent.limit_disk(1 << 20).await;
    fs::remove_file(agent.data().join("big")).unwrap();
    // A boot counts anew.
    agent.kill();
    agent.boot_again();
    assert!(agent.usage().await.used_bytes < 1 << 20);
    let (_, refused) = agent.stage(&saved, &storage, &facts).await;
    let fault = refused.fault.unwrap();
    assert_eq!(fault.code, FaultCode::DiskFull);
    assert!(fault.message.contains("3.0 MiB") && fault.message.contains("1.0 MiB"), "{}", fault.message);
    assert_eq!(agent.leftovers(), [""; 0]);

    fs::write(agent.data().join("other"), vec![7; 4 << 20]).unwrap();
    agent.kill();
    agent.boot_again();
    assert!(agent.usage().await.used_bytes >= 4 << 20);
    let (_, staged) = agent.stage(&saved, &storage, &facts).await;
    assert_eq!(staged.state, BackupTaskState::Succeeded, "{staged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_taken_back_leaves_the_files_from_before_it() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    plant(&agent.data(), 1_000);
    let (saved, facts) = agent.save(&storage).await;
    damage(&agent.data());
    let damaged = read(&agent.data());
    let (task, _) = agent.stage(&saved, &storage, &facts).await;
    for _ in 0..2 {
        // Whoever lost the answer asks again.
        agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap();
    }
    let refused = agent.backup(task, saved.backup, BackupWork::Abort).await.unwrap_err();
    assert_eq!(refused, (StatusCode::CONFLICT, "backup_swapped".to_owned()));
    let other = agent.backup(Uuid::now_v7(), saved.backup, saved.stage(&storage, &facts)).await.unwrap_err();
    assert_eq!(other.1, "backup_swapped");
    for _ in 0..2 {
        agent.backup(task, saved.backup, BackupWork::SwapBack).await.unwrap();
        assert_same(&read(&agent.data()), &damaged);
    }
    assert_eq!(agent.leftovers(), [""; 0]);
    assert_eq!(agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap_err().1, "not_staged");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_not_exchanged_below_a_running_server() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    std::fs::write(agent.data().join("file"), "1").unwrap();
    let (saved, facts) = agent.save(&storage).await;
    let (task, staged) = agent.stage(&saved, &storage, &facts).await;
    assert_eq!(staged.state, BackupTaskState::Succeeded);
    agent.run(&well_behaved(), domain::agent::AgentState::Running).await;
    let refused = agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap_err();
    assert_eq!(refused, (StatusCode::CONFLICT, "service_running".to_owned()));
    agent.power(domain::agent::PowerAction::Stop).await.unwrap();
    agent.until(domain::agent::AgentState::Stopped).await;
    agent.backup(task, saved.backup, BackupWork::Swap).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_backup_leaves_no_trace_and_a_damaged_one_is_told() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    plant(&agent.data(), 300_000);
    let before = read(&agent.data());
    let (saved, facts) = agent.save(&storage).await;
    agent.backup(Uuid::now_v7(), saved.backup, saved.verify(&storage, &facts)).await.unwrap();
    let verified = agent.backup_ended().await;
    assert_eq!(verified.state, BackupTaskState::Succeeded, "{verified:?}");
    let file = storage.file(&saved.archive);
    let mut archive = std::fs::read(&file).unwrap();
    let middle = archive.len() / 2;
    archive[middle] ^= 1;
    std::fs::write(&file, archive).unwrap();
    agent.backup(Uuid::now_v7(), saved.backup, saved.verify(&storage, &facts)).await.unwrap();
    let fault = agent.backup_ended().await.fault.unwrap();
    assert_eq!(fault.code, FaultCode::BackupCorrupt, "{fault:?}");
    assert_eq!(agent.leftovers(), [""; 0]);
    assert_same(&read(&agent.data()), &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_is_refused_before_anything_is_touched() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    plant(&agent.data(), 300_000);
    let (saved, facts) = agent.save(&storage).await;
    damage(&agent.data());
    let damaged = read(&agent.data());
    for key in [&saved.archive, &saved.manifest] {
        let file = storage.file(key);
        let whole = std::fs::read(&file).unwrap();
        let mut variants: Vec<Vec<u8>> = Vec::new();
        for region in 0..16 {
            let mut flipped = whole.clone();
            let at = (whole.len() - 1) * region / 15;
            flipped[at] ^= 0x40;
            variants.push(flipped);
        }
        variants.extend([whole[..whole.len() - 1].to_vec(), [&whole[..], b"x"].concat(), Vec::new()]);
        for (number, variant) in variants.into_iter().enumerate() {
            std::fs::write(&file, variant).unwrap();
            let (_, status) = agent.stage(&saved, &storage, &facts).await;
            let fault = status.fault.unwrap_or_else(|| panic!("variant {number} of {key} was believed"));
            assert_eq!(fault.code, FaultCode::BackupCorrupt, "variant {number} of {key}: {fault:?}");
            assert_eq!(agent.leftovers(), [""; 0]);
        }
        std::fs::remove_file(&file).unwrap();
        let (_, status) = agent.stage(&saved, &storage, &facts).await;
        assert_eq!(status.fault.unwrap().code, FaultCode::BackupCorrupt);
        std::fs::write(&file, whole).unwrap();
    }
    assert_same(&read(&agent.data()), &damaged);
    let (_, status) = agent.stage(&saved, &storage, &facts).await;
    assert_eq!(status.state, BackupTaskState::Succeeded);
}
