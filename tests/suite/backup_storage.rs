//! The storage of backups against the rows: what the worker reports of it, for the controller.

use std::{fs, path::PathBuf};

use domain::{
    agent::{archive_key, manifest_key},
    drift::{Difference, StorageFacts, StorageReport, unseen_storage},
    ids::{BackupId, InstanceId},
};
use integrations::objects::ObjectStore as _;
use store::controller;
use uuid::{NoContext, Timestamp, Uuid};
use zlh_tests::Rig;

/// An id of years ago.
fn old() -> BackupId {
    BackupId(Uuid::new_v7(Timestamp::from_unix(NoContext, 1_600_000_000, 0)))
}

fn file(rig: &Rig, key: &str) -> PathBuf {
    rig.storage().join("objects").join(key)
}

/// Puts an object there that nobody asked for.
fn put(rig: &Rig, instance: InstanceId, backup: BackupId) -> String {
    let key = archive_key(instance, backup);
    let path = file(rig, &key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"seven b").unwrap();
    key
}

async fn compared(rig: &Rig) -> StorageFacts {
    rig.sweep_once().await;
    controller::storage(&rig.database.role("zlh_controller")).await.unwrap()
}

#[tokio::test]
async fn what_the_storage_has_too_much_and_what_it_lacks_is_reported_and_nothing_is_touched() {
    let rig = Rig::new().await;
    let instance = rig.server().await;
    let (whole, cut, gone) = (rig.made(instance).await, rig.made(instance).await, rig.made(instance).await);
    let calm = compared(&rig).await;
    assert!(calm.compared_at.is_some() && calm.report == StorageReport::default(), "{calm:?}");

    let manifest = manifest_key(instance, cut);
    rig.objects.delete(&manifest).await.unwrap();
    rig.database.execute(&format!("UPDATE backups SET state = 'deleted' WHERE id = '{gone}'")).await;
    let (rowless, strange) = (old(), InstanceId::generate());
    let kept = [put(&rig, instance, rowless), put(&rig, strange, old())];
    // Of one that is being made, perhaps, and of what is not named as a backup nothing is said.
    put(&rig, instance, BackupId::generate());
    fs::write(file(&rig, "README"), b"x").unwrap();
    let found = compared(&rig).await.report;
    let mut said: Vec<_> = found.differences.iter().map(|it| (it.backup, it.what.clone())).collect();
    said.sort_by_key(|(backup, _)| [cut, gone, rowless].iter().position(|it| it == backup));
    assert_eq!(said.len(), 3, "{found:?}");
    assert_eq!(said[0], (cut, Difference::Missing { key: manifest }));
    let Difference::Left { key, bytes, state } = &said[1].1 else { panic!("{said:?}") };
    assert_eq!((key, state.as_deref()), (&archive_key(instance, gone), Some("deleted")));
    assert!(*bytes > 0);
    assert_eq!(said[2], (rowless, Difference::Left { key: kept[0].clone(), bytes: 7, state: None }));
    let strangers = found.strangers.unwrap();
    assert_eq!((strangers.objects, strangers.servers, &strangers.example), (1, 1, &kept[1]));
    assert!(kept.iter().all(|key| file(&rig, key).exists()));

    // From a storage that has none of the newest backups nothing is concluded, and what was known stays.
    fs::rename(file(&rig, &instance.to_string()), file(&rig, "elsewhere")).unwrap();
    let away = compared(&rig).await;
    assert!(away.report.differences.len() == 3 && away.compared_at > calm.compared_at, "{away:?}");
    let why = unseen_storage(&away, away.reported_at.unwrap()).unwrap();
    assert!(why.contains("none of the newest backups"), "{why}");
    fs::rename(file(&rig, "elsewhere"), file(&rig, &instance.to_string())).unwrap();
    rig.database.execute("UPDATE storage_report SET next_at = '-infinity'").await;
    assert_eq!(compared(&rig).await.error, None);
    assert!(rig.objects.head(&archive_key(instance, whole)).await.unwrap().is_some());
}
