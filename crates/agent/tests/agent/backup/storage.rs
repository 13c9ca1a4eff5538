//! A storage for backups in the test's process, which can be told to fail, and the control plane's side of a task.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    http::{Method as HttpMethod, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use chrono::Utc;
use domain::{
    agent::{
        AgentProblem, BackupFacts, BackupHooks, BackupStatus, BackupTask, BackupTaskState, BackupWork, Scope,
        archive_key, manifest_key,
    },
    clock::ManualClock,
    ids::BackupId,
};
use integrations::objects::{FolderStore, ObjectStore as _, UploadId, folder::gateway};
use reqwest::Method;
use tempfile::TempDir;
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use crate::support::{PATIENCE, TestAgent};

/// Small parts, so that small trees have several.
pub const PART: u64 = 256 * 1024;
pub const HOUR: Duration = Duration::from_hours(1);

/// What goes wrong at the storage.
#[derive(Default)]
pub struct Faults {
    /// So many uploads are answered 503 after half a part.
    pub failing_puts: AtomicU32,
    /// So many downloads break off after some bytes.
    pub breaking_gets: AtomicU32,
    /// Uploads that arrived, the failed ones too.
    pub puts: AtomicUsize,
    /// Uploads wait while this is set.
    pub hold: AtomicU32,
}

pub struct Storage {
    pub folder: TempDir,
    pub store: FolderStore,
    pub faults: Arc<Faults>,
}

impl Storage {
    pub async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = Arc::new(ManualClock::new(Utc::now()));
        let store = FolderStore::open(folder.path(), &url, &[7; 32], clock).unwrap().with_part_bytes(PART);
        let faults = Arc::new(Faults::default());
        let router: Router = gateway(store.clone()).layer(from_fn_with_state(Arc::clone(&faults), disturb));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { folder, store, faults }
    }

    /// Where the storage keeps an object.
    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join("objects").join(key)
    }
}

async fn disturb(State(faults): State<Arc<Faults>>, request: Request, next: Next) -> Response {
    let take = |count: &AtomicU32| {
        count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    };
    if request.method() == HttpMethod::PUT {
        faults.puts.fetch_add(1, Ordering::SeqCst);
        while faults.hold.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if take(&faults.failing_puts) {
            let (_, body) = request.into_parts();
            let mut body = body.into_data_stream();
            let _ = body.next().await;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        return next.run(request).await;
    }
    let breaks = take(&faults.breaking_gets);
    let response = next.run(request).await;
    if !breaks {
        return response;
    }
    let (parts, body) = response.into_parts();
    let first =
        body.into_data_stream().take(1).map(|chunk| chunk.map(|bytes| bytes.slice(..bytes.len() / 2)));
    let broken = first.chain(tokio_stream::once(Err(axum::Error::new(std::io::Error::other("cut")))));
    Response::from_parts(parts, axum::body::Body::from_stream(broken))
}

/// One backup, from the control plane's side.
pub struct Saved {
    pub backup: BackupId,
    pub task: Uuid,
    pub upload: UploadId,
    pub archive: String,
    pub manifest: String,
}

impl Saved {
    pub async fn begin(agent: &TestAgent, storage: &Storage) -> Self {
        let (backup, instance) = (BackupId::generate(), agent.bundle.instance_id);
        let (archive, manifest) = (archive_key(instance, backup), manifest_key(instance, backup));
        let upload = storage.store.begin_upload(&archive).await.unwrap();
        Self { backup, task: Uuid::now_v7(), upload, archive, manifest }
    }

    pub fn urls(
        &self,
        storage: &Storage,
        parts: std::ops::RangeInclusive<u32>,
        life: Duration,
    ) -> Vec<String> {
        parts.map(|part| storage.store.part_url(&self.archive, &self.upload, part, life).unwrap()).collect()
    }

    pub fn create(&self, storage: &Storage, first: u32, count: u32, life: Duration) -> BackupWork {
        BackupWork::Create {
            ignore: Vec::new(),
            hooks: BackupHooks::default(),
            part_bytes: PART,
            first_part: first,
            parts: self.urls(storage, first..=first + count - 1, life),
            manifest: storage.store.put_url(&self.manifest, life).unwrap(),
        }
    }

    pub fn stage(&self, storage: &Storage, facts: &BackupFacts) -> BackupWork {
        let url = |key: &str| storage.store.get_url(key, HOUR).unwrap();
        BackupWork::Stage {
            archive: url(&self.archive),
            manifest: url(&self.manifest),
            expect: facts.clone(),
        }
    }

    pub fn verify(&self, storage: &Storage, facts: &BackupFacts) -> BackupWork {
        let url = |key: &str| storage.store.get_url(key, HOUR).unwrap();
        BackupWork::Verify {
            archive: url(&self.archive),
            manifest: url(&self.manifest),
            expect: facts.clone(),
        }
    }

    /// Follows a creation to its end as the worker does: new addresses whenever they run short.
    pub async fn follow(&self, agent: &TestAgent, storage: &Storage, work: &BackupWork) -> BackupStatus {
        let end = Instant::now() + PATIENCE * 4;
        let mut since = 0;
        loop {
            let status = agent.backup_after(since).await;
            since = status.revision;
            if status.state != BackupTaskState::Running {
                return status;
            }
            let uploaded = u32::try_from(status.uploaded.len()).unwrap();
            if status.needs_addresses || status.parts_known < uploaded + 2 {
                let BackupWork::Create { ignore, hooks, .. } = work else { panic!("not a creation") };
                let more = match self.create(storage, status.parts_known + 1, 4, HOUR) {
                    BackupWork::Create { part_bytes, first_part, parts, manifest, .. } => {
                        BackupWork::Create {
                            ignore: ignore.clone(),
                            hooks: hooks.clone(),
                            part_bytes,
                            first_part,
                            parts,
                            manifest,
                        }
                    }
                    other => other,
                };
                agent.backup(self.task, self.backup, more).await.unwrap();
            }
            assert!(Instant::now() < end, "still {status:?}");
        }
    }
}

impl TestAgent {
    pub async fn backup(
        &self,
        task: Uuid,
        backup: BackupId,
        work: BackupWork,
    ) -> Result<BackupStatus, (StatusCode, String)> {
        let body = BackupTask { task, backup, work };
        let response = self.call(Method::PUT, "/v1/backup", Scope::Backup, &body).await;
        let status = response.status();
        if status.is_success() {
            return Ok(response.json().await.unwrap());
        }
        Err((status, response.json::<AgentProblem>().await.unwrap().code))
    }

    /// The status above `since`, by a long poll.
    pub async fn backup_after(&self, since: u64) -> BackupStatus {
        let path = format!("/v1/backup?since={since}&wait_ms=2000");
        let response = self.call(Method::GET, &path, Scope::Backup, &()).await;
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        response.json().await.unwrap()
    }

    pub async fn backup_ended(&self) -> BackupStatus {
        let end = Instant::now() + PATIENCE * 4;
        let mut since = 0;
        loop {
            let status = self.backup_after(since).await;
            since = status.revision;
            if status.state != BackupTaskState::Running {
                return status;
            }
            assert!(Instant::now() < end, "still {status:?}");
        }
    }

    /// Makes a backup of the data folder, complete with its upload.
    pub async fn save(&self, storage: &Storage) -> (Saved, BackupFacts) {
        let saved = Saved::begin(self, storage).await;
        let work = saved.create(storage, 1, 2, HOUR);
        self.backup(saved.task, saved.backup, work.clone()).await.unwrap();
        let status = saved.follow(self, storage, &work).await;
        assert_eq!(status.state, BackupTaskState::Succeeded, "{status:?}");
        storage.store.complete(&saved.archive, &saved.upload, &status.uploaded).await.unwrap();
        (saved, status.facts.unwrap())
    }

    /// Stages a backup, and gives the task.
    pub async fn stage(&self, saved: &Saved, storage: &Storage, facts: &BackupFacts) -> (Uuid, BackupStatus) {
        let task = Uuid::now_v7();
        self.backup(task, saved.backup, saved.stage(storage, facts)).await.unwrap();
        (task, self.backup_ended().await)
    }

    /// Reads a backup again, to the end.
    pub async fn verify(
        &self,
        saved: &Saved,
        storage: &Storage,
        facts: &BackupFacts,
    ) -> (Uuid, BackupStatus) {
        let task = Uuid::now_v7();
        self.backup(task, saved.backup, saved.verify(storage, facts)).await.unwrap();
        (task, self.backup_ended().await)
    }

    /// Names in the agent's folder that belong to tasks.
    pub fn leftovers(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.root.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains('-')).collect()
    }
}
