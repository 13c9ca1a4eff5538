//! Archives that want to write elsewhere. Their checksums are right: whoever can write to the storage could make such.

use std::fs;

use domain::{
    agent::{BackupFacts, BackupTaskState, BackupWork, FaultCode},
    ids::BackupId,
};
use integrations::objects::ObjectStore as _;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tar::{EntryType, Header};
use uuid::Uuid;

use super::storage::{HOUR, Storage};
use crate::support::TestAgent;

struct Forged {
    tar: Vec<u8>,
    entries: Vec<Value>,
}

fn sha(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

impl Forged {
    fn new() -> Self {
        let mut forged = Self { tar: Vec::new(), entries: Vec::new() };
        forged.add("", b"./", EntryType::Directory, b"", "", json!({ "kind": "folder", "mode": 0o755 }));
        forged
    }

    fn add(&mut self, path: &str, name: &[u8], kind: EntryType, content: &[u8], target: &str, entry: Value) {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_cksum();
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(content);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
        let mut entry = entry;
        entry["path"] = path.into();
        entry["mtime"] = json!([0, 0]);
        self.entries.push(entry);
    }

    fn file(mut self, path: &str) -> Self {
        let entry = json!({ "kind": "file", "mode": 0o644, "size": 4, "sha256": sha(b"evil") });
        self.add(path, path.as_bytes(), EntryType::Regular, b"evil", "", entry);
        self
    }

    fn folder(mut self, path: &str) -> Self {
        let entry = json!({ "kind": "folder", "mode": 0o755 });
        self.add(path, format!("{path}/").as_bytes(), EntryType::Directory, b"", "", entry);
        self
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        let entry = json!({ "kind": "link", "target": target });
        self.add(path, path.as_bytes(), EntryType::Symlink, b"", target, entry);
        self
    }

    /// An entry that pretends in the manifest to be a file.
    fn disguised(mut self, path: &str, kind: EntryType, target: &str) -> Self {
        let entry = json!({ "kind": "file", "mode": 0o644, "size": 0, "sha256": sha(b"") });
        self.add(path, path.as_bytes(), kind, b"", target, entry);
        self
    }

    /// Stores it, and gives what a restore would be told.
    fn store(mut self, storage: &Storage) -> BackupWork {
        self.tar.extend_from_slice(&[0; 1024]);
        let archive = zstd::encode_all(&self.tar[..], 1).unwrap();
        let backup = BackupId::generate();
        let files = self.entries.iter().filter(|entry| entry["kind"] == "file").count() as u64;
        let content = self.entries.iter().filter_map(|entry| entry["size"].as_u64()).sum::<u64>();
        let manifest = json!({
            "format": "zlh-backup", "version": 1, "backup": backup, "created_at": "2024-01-01T00:00:00Z",
            "consistency": "down", "archive_bytes": archive.len(), "archive_sha256": sha(&archive),
            "content_bytes": content, "files": files, "changed_files": 0, "skipped": 0,
        });
        let mut text = manifest.to_string();
        text.pop();
        let text = format!("{text},\"entries\":{}}}", Value::from(self.entries));
        let manifest = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let expect = BackupFacts {
            archive_bytes: archive.len() as u64,
            archive_sha256: sha(&archive),
            manifest_sha256: sha(&manifest),
            content_bytes: content,
            files,
            changed_files: 0,
        };
        let folder = storage.file(&backup.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a"), archive).unwrap();
        fs::write(folder.join("m"), manifest).unwrap();
        let url = |name: &str| storage.store.get_url(&format!("{backup}/{name}"), HOUR).unwrap();
        BackupWork::Stage { archive: url("a"), manifest: url("m"), expect }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_outside_whatever_an_archive_holds() {
    let (agent, storage) = (TestAgent::start(), Storage::start().await);
    fs::write(agent.data().join("file"), "mine").unwrap();
    let outside = tempfile::tempdir().unwrap();
    let absolute = outside.path().join("evil").to_str().unwrap().to_owned();
    let target = outside.path().to_str().unwrap();
    let forged = [
        ("traversal", Forged::new().file("../evil")),
        ("traversal in the middle", Forged::new().folder("a").file("a/../../evil")),
        ("traversal as a folder", Forged::new().folder("..").file("../evil")),
        ("only dots", Forged::new().file("..")),
        ("absolute", Forged::new().file(&absolute)),
        ("empty segment", Forged::new().folder("a").file("a//evil")),
        ("through a link", Forged::new().link("a", target).file("a/evil")),
        ("through a link as a folder", Forged::new().link("a", target).folder("a").file("a/evil")),
        ("through a link upwards", Forged::new().link("a", "..").file("a/evil")),
        ("onto a link", Forged::new().link("a", &absolute).file("a")),
        ("twice", Forged::new().file("a").file("a")),
        ("without its folder", Forged::new().file("a/evil")),
        ("the folder itself again", Forged::new().folder("")),
        ("below a file", Forged::new().file("a").file("a/evil")),
        ("a hard link", Forged::new().disguised("a", EntryType::Link, "/etc/passwd")),
        ("a device", Forged::new().disguised("a", EntryType::Char, "")),
        ("a block device", Forged::new().disguised("a", EntryType::Block, "")),
        ("a FIFO", Forged::new().disguised("a", EntryType::Fifo, "")),
        ("a link in disguise", Forged::new().disguised("a", EntryType::Symlink, "/etc/passwd")),
    ];
    for (name, forged) in forged {
        let work = forged.store(&storage);
        agent.backup(Uuid::now_v7(), BackupId::generate(), work).await.unwrap();
        let status = agent.backup_ended().await;
        let fault = status.fault.unwrap_or_else(|| panic!("{name} was unpacked"));
        let refused = matches!(fault.code, FaultCode::BackupCorrupt | FaultCode::BackupFailed);
        assert!(refused, "{name}: {fault:?}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{name}");
        assert_eq!(agent.leftovers(), [""; 0], "{name}");
        assert!(!agent.root.path().join("evil").exists(), "{name}");
        assert!(!agent.root.path().parent().unwrap().join("evil").exists(), "{name}");
    }
    assert_eq!(fs::read_to_string(agent.data().join("file")).unwrap(), "mine");
    // So that the refusals above are not for some other reason.
    let fine = Forged::new().folder("a").file("a/b").link("c", "/etc/passwd").store(&storage);
    agent.backup(Uuid::now_v7(), BackupId::generate(), fine).await.unwrap();
    let status = agent.backup_ended().await;
    assert_eq!(status.state, BackupTaskState::Succeeded, "{status:?}");
}
