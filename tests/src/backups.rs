//! Backups in the rig: asking for them, and looking at everything that they may leave behind.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use domain::{
    agent::AgentState,
    backup::{Backup, BackupOrigin},
    ids::{BackupId, InstanceId, OperationId},
    operation::OperationState,
};
use integrations::{agent::AgentSession, objects::ObjectStore as _};
use provision_worker::{backups::Sweep, saga::agent_of};
use store::{
    backups::{self, BackupRequest, NewBackup, Use},
    queue::{Notifier, Queue, QueueName},
    testing::{REDIS_ENV, required},
};
use uuid::Uuid;

use crate::{
    Plan, Rig, Tree, inventory,
    rig::{PATIENCE, clock},
    tree,
};

impl Rig {
    fn asked(&self, instance: InstanceId) -> BackupRequest<'static> {
        let operation = OperationId::generate();
        BackupRequest {
            customer: self.customer,
            instance,
            operation,
            key: None,
            actor: "test",
            request_id: None,
        }
    }

    /// A running server with some files of its customer's. Its id.
    pub async fn server(&self) -> InstanceId {
        let (instance, create) = self.ask_create().await;
        self.work(create, &Plan::calm()).await;
        assert_eq!(self.operation(create).await.state, OperationState::Succeeded);
        let data = self.data(instance);
        fs::create_dir_all(data.join("world/region")).expect("a folder");
        fs::write(data.join("world/region/r.0.0"), vec![7; 300_000]).expect("a file");
        fs::write(data.join("notes.txt"), "first").expect("a file");
        std::os::unix::fs::symlink("notes.txt", data.join("link")).expect("a link");
        tree::as_the_container(&data);
        instance
    }

    /// The state of a server, as its agent says.
    pub async fn agent_state(&self, instance: InstanceId) -> AgentState {
        let agent = self.agent(instance).await;
        agent.status(None, Duration::ZERO).await.expect("a status").state
    }

    /// Waits until the server is in this state: undoing starts it, and does not wait for it.
    pub async fn expect_state(&self, instance: InstanceId, wanted: AgentState, place: &str) {
        let end = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let state = self.agent_state(instance).await;
            if state == wanted {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{place}: {state:?}, not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks for a backup, of which so many are kept.
    pub async fn ask_backup(&self, instance: InstanceId, keep: u32) -> (BackupId, OperationId) {
        let asked = self.asked(instance);
        let (id, origin) = (BackupId::generate(), BackupOrigin::Customer);
        let new = NewBackup { id, name: "test", origin, ignore: &[], keep };
        backups::request(&self.api, &asked, &new, clock().now()).await.expect("a request");
        (id, asked.operation)
    }

    /// A backup that was made without a fault.
    pub async fn made(&self, instance: InstanceId) -> BackupId {
        let (id, operation) = self.ask_backup(instance, 1_000).await;
        self.work(operation, &Plan::calm()).await;
        let ended = self.operation(operation).await;
        assert_eq!(ended.state, OperationState::Succeeded, "{ended:?}");
        id
    }

    /// Asks for a restore or a verification.
    pub async fn ask_use(&self, instance: InstanceId, backup: BackupId, wanted: Use) -> OperationId {
        let asked = self.asked(instance);
        backups::request_use(&self.api, &asked, backup, wanted, clock().now()).await.expect("a request");
        asked.operation
    }

    /// The backup as the worker knows it.
    pub async fn backup(&self, id: BackupId) -> Backup {
        backups::get_for_work(&self.worker, id).await.expect("the database").expect("the backup")
    }

    /// A session with the instance's agent, as the worker has one.
    pub async fn agent(&self, instance: InstanceId) -> Arc<dyn AgentSession> {
        let agent = agent_of(&self.worker, &self.services(), instance).await;
        agent.expect("a session")
    }

    /// What the sweep over backups needs.
    pub fn sweep(&self) -> Sweep {
        let queue = Queue::new(
            &required(REDIS_ENV).into(),
            &format!("test-{}", Uuid::now_v7()),
            QueueName::Provisioning,
        );
        Sweep {
            notifier: Notifier::start(self.worker.clone(), queue.expect("a Redis URL")),
            db: self.worker.clone(),
            services: self.services(),
            clock: clock(),
            verify_every: None,
            compare_every: Duration::ZERO,
        }
    }

    /// Sweeps once.
    pub async fn sweep_once(&self) {
        self.sweep().look(&mut || {}).await.expect("the database");
    }

    /// The folder of an instance's files.
    pub fn data(&self, instance: InstanceId) -> PathBuf {
        self.container(instance).join("data")
    }

    fn container(&self, instance: InstanceId) -> PathBuf {
        self.root().join(instance.to_string()).join("root")
    }

    /// An instance's files.
    pub fn tree(&self, instance: InstanceId) -> Tree {
        tree(&self.data(instance))
    }

    /// Copies of its customer's files that are in the instance's container besides its files: none, once trash is
    /// emptied.
    pub async fn left_in_container(&self, instance: InstanceId) -> Vec<String> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let all = inventory::files(&self.container(instance));
            let ours = |name: &String| {
                name.starts_with("staging-")
                    || name.starts_with("verify-")
                    || name.starts_with("previous-")
                    || name.starts_with("agent/trash/")
            };
            let left: Vec<_> = all.into_iter().filter(ours).collect();
            if left.is_empty() || tokio::time::Instant::now() >= end {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Fails unless the storage has exactly the objects of the backups that are available, and no upload under way.
    pub async fn expect_storage_to_match(&self, place: &str) {
        let mut objects: Vec<_> = self.objects.list("", None, 1_000).await.expect("the storage");
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        let listed: Vec<_> = objects.into_iter().map(|object| object.key).collect();
        let mut wanted = Vec::new();
        for id in self.available().await {
            let backup = self.backup(id).await;
            wanted.extend([backup.archive_key(), backup.manifest_key()]);
        }
        wanted.sort();
        assert_eq!(listed, wanted, "{place}");
        let uploads = inventory::files(&self.storage().join("uploads"));
        assert!(uploads.is_empty(), "{place}: {uploads:?}");
    }

    async fn available(&self) -> Vec<BackupId> {
        let sql = "SELECT COALESCE(json_agg(id), '[]')::text FROM backups WHERE state = 'available'";
        let text = self.database.text(sql).await;
        serde_json::from_str(&text).expect("ids")
    }
}
