//! Backups as their owner asks for them, sees them, and takes them home.

use domain::{
    agent::BackupFacts,
    ids::{BackupId, OperationId},
    operation::{Failure, OperationKind},
};
use integrations::scenario::When;
use reqwest::Method;
use serde_json::{Value, json};
use store::{audit::By, backups, operations, testing};

use crate::support::{Answer, Client, World};

const ARCHIVE: &[u8] = b"0123456789";

fn text(answer: &Answer, pointer: &str) -> String {
    answer.at(pointer).as_str().unwrap_or_else(|| panic!("{pointer}: {}", answer.text)).to_owned()
}

/// Ends the operation as a worker does, with the archive in the storage. The plan of the tests keeps two.
async fn make(world: &World, asked: &Answer) -> String {
    let (backup, operation) = (text(asked, "/backup/id"), text(asked, "/operation/id"));
    let db = world.database.role("zlh_provision");
    let claim = testing::claim(&db, operation.parse::<OperationId>().unwrap(), "w").await.unwrap().unwrap();
    let facts = BackupFacts {
        archive_bytes: 10,
        archive_sha256: "a".repeat(64),
        manifest_sha256: "b".repeat(64),
        content_bytes: 20,
        files: 2,
        changed_files: 0,
    };
    backups::save_facts(&db, &claim.lease, &facts).await.unwrap();
    backups::backup_succeeded(&db, &claim.lease, By::itself("test")).await.unwrap();
    let row = backups::get_for_work(&db, backup.parse::<BackupId>().unwrap()).await.unwrap().unwrap();
    world.objects.put(&row.archive_key(), ARCHIVE);
    backup
}

async fn patch(client: &Client, path: &str, body: Value) -> Answer {
    client.send(client.request(Method::PATCH, path).json(&body)).await
}

struct Scene {
    world: World,
    owner: Client,
    base: String,
}

impl Scene {
    async fn new() -> Self {
        let world = World::start().await;
        world.node("one", 10).await;
        let owner = world.customer("ada").await;
        let id = world.active_instance(&owner, "Mine").await;
        Self { world, owner, base: format!("/api/instances/{id}/backups") }
    }

    async fn made(&self) -> String {
        let asked = self.owner.post(&self.base, json!({})).await.expect(202);
        make(&self.world, &asked).await
    }
}

#[tokio::test]
async fn a_backup_is_asked_for_and_seen() {
    let Scene { world, owner, base } = Scene::new().await;
    let body = json!({ "name": "Before the update", "ignore": ["*.log"] });
    let asked = owner.post(&base, body).await.expect(202);
    assert_eq!(asked.header("location"), format!("/api/operations/{}", text(&asked, "/operation/id")));
    assert_eq!((asked.at("/operation/kind"), asked.at("/backup/state")), (json!("backup"), json!("running")));
    assert_eq!(asked.at("/operation/backup_id"), asked.at("/backup/id"));
    owner.post(&base, json!({})).await.expect_problem(409, "instance_busy");
    let id = make(&world, &asked).await;
    let seen = owner.get(&format!("{base}/{id}")).await.expect(200);
    let wanted = (json!("available"), json!(10), json!("Before the update"), json!(["*.log"]));
    assert_eq!((seen.at("/state"), seen.at("/archive_bytes"), seen.at("/name"), seen.at("/ignore")), wanted);
    let unnamed = owner.post(&base, json!({})).await.expect(202);
    assert!(text(&unnamed, "/backup/name").ends_with(" UTC"));
    let listed = owner.get(&format!("{base}?limit=1")).await.expect(200);
    assert_eq!(listed.at("/items/0/id"), unnamed.at("/backup/id"), "newest first");
    let cursor = text(&listed, "/next_cursor");
    let rest = owner.get(&format!("{base}?cursor={cursor}")).await.expect(200);
    assert_eq!((rest.at("/items/0/id"), rest.at("/next_cursor")), (json!(id), Value::Null));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let Scene { owner, base, .. } = Scene::new().await;
    let too_many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
    for body in [
        json!({ "name": "" }),
        json!({ "name": "x".repeat(101) }),
        json!({ "name": "a\u{202e}b" }),
        json!({ "ignore": [""] }),
        json!({ "ignore": ["a\nb"] }),
        json!({ "ignore": ["x".repeat(256)] }),
        json!({ "ignore": too_many }),
    ] {
        owner.post(&base, body).await.expect_problem(400, "validation_failed");
    }
    owner.post(&base, json!({ "keep": 5 })).await.expect_problem(400, "malformed_json");
    owner.get(&format!("{base}/not-an-id")).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn the_same_key_is_the_same_backup_and_a_key_is_not_needed() {
    let Scene { world, owner, base } = Scene::new().await;
    let ask = async |body: Value| {
        let request = owner.request(Method::POST, &base).header("idempotency-key", "k").json(&body);
        owner.send(request).await
    };
    let first = ask(json!({ "name": "x" })).await.expect(202);
    let again = ask(json!({ "name": "x" })).await.expect(202);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    ask(json!({ "name": "y" })).await.expect_problem(422, "idempotency_key_reused");
    assert_eq!(world.database.count("SELECT count(*) FROM backups").await, 1);
}

#[tokio::test]
async fn a_locked_backup_is_kept_and_with_all_locked_there_is_no_room() {
    let scene = Scene::new().await;
    let (first, second) = (scene.made().await, scene.made().await);
    let Scene { owner, base, .. } = &scene;
    for id in [&first, &second] {
        let edited = patch(owner, &format!("{base}/{id}"), json!({ "locked": true })).await.expect(200);
        assert_eq!(edited.at("/locked"), json!(true));
    }
    owner.delete(&format!("{base}/{first}")).await.expect_problem(409, "backup_locked");
    owner.post(base, json!({})).await.expect_problem(409, "backup_limit");
    let body = json!({ "locked": false, "name": "may go" });
    let edited = patch(owner, &format!("{base}/{first}"), body).await.expect(200);
    assert_eq!((edited.at("/name"), edited.at("/locked")), (json!("may go"), json!(false)));
    let third = scene.made().await;
    let state = async |id: &str| owner.get(&format!("{base}/{id}")).await.at("/state");
    assert_eq!(state(&first).await, json!("deleting"), "it made room");
    patch(owner, &format!("{base}/{first}"), json!({ "locked": true }))
        .await
        .expect_problem(409, "backup_not_available");
    owner.delete(&format!("{base}/{third}")).await.expect(202);
    assert_eq!(state(&third).await, json!("deleting"));
    owner
        .post(&format!("{base}/{third}/restore"), json!({}))
        .await
        .expect_problem(409, "backup_not_available");
}

#[tokio::test]
async fn a_restore_and_a_verification_are_operations_of_their_own() {
    let scene = Scene::new().await;
    let backup = scene.made().await;
    let Scene { world, owner, base } = &scene;
    for (verb, kind) in [("verify", OperationKind::Verify), ("restore", OperationKind::Restore)] {
        let asked = owner.post(&format!("{base}/{backup}/{verb}"), json!({})).await.expect(202);
        assert_eq!(asked.at("/operation/kind"), json!(kind.as_str()));
        assert_eq!(asked.at("/backup/id"), json!(backup));
        let id = text(&asked, "/operation/id");
        owner.delete(&format!("{base}/{backup}")).await.expect_problem(409, "instance_busy");
        let db = world.database.role("zlh_provision");
        let claim = testing::claim(&db, id.parse().unwrap(), "w").await.unwrap().unwrap();
        let corrupt = Failure::new("backup_corrupt", "The backup is damaged.");
        operations::undone(&db, &claim.lease, kind, &corrupt, By::itself("test")).await.unwrap();
        let failed = owner.get(&format!("/api/operations/{id}")).await.expect(200);
        assert_eq!(failed.at("/failure/code"), json!("backup_corrupt"));
        let seen = owner.get(&format!("{base}/{backup}")).await;
        assert_eq!(seen.at("/verify_failure/code"), json!("backup_corrupt"));
    }
}

#[tokio::test]
async fn an_archive_is_downloaded_whole_and_in_parts() {
    let scene = Scene::new().await;
    let backup = scene.made().await;
    let Scene { world, owner, base } = &scene;
    let path = format!("{base}/{backup}/download");
    let whole = owner.get(&path).await.expect(200);
    assert_eq!(whole.text.as_bytes(), ARCHIVE);
    assert_eq!((whole.header("content-length"), whole.header("accept-ranges")), ("10", "bytes"));
    assert!(whole.header("content-disposition").starts_with("attachment; filename="));
    let etag = whole.header("etag").to_owned();
    let part = async |range: &str, if_range: &str| {
        let request = owner.request(Method::GET, &path).header("range", range).header("if-range", if_range);
        owner.send(request).await
    };
    let middle = part("bytes=2-4", &etag).await.expect(206);
    assert_eq!((middle.text.as_str(), middle.header("content-range")), ("234", "bytes 2-4/10"));
    let end = part("bytes=-3", &etag).await.expect(206);
    assert_eq!((end.text.as_str(), end.header("content-range")), ("789", "bytes 7-9/10"));
    assert_eq!(part("bytes=2-4", "\"other\"").await.expect(200).text.as_bytes(), ARCHIVE);
    let none = part("bytes=10-", &etag).await.expect_problem(416, "range_not_satisfiable");
    assert_eq!(none.header("content-range"), "bytes */10");
    // One that is not complete has nothing to download.
    let asked = owner.post(base, json!({})).await.expect(202);
    let running = format!("{base}/{}/download", text(&asked, "/backup/id"));
    owner.get(&running).await.expect_problem(409, "backup_not_available");
    world.objects.scenario.disturb("get_stream", When::FailBefore, 1);
    owner.get(&path).await.expect_problem(503, "storage_unavailable");
}

#[tokio::test]
async fn a_server_on_hold_gets_no_backup_and_no_restore() {
    let scene = Scene::new().await;
    let backup = scene.made().await;
    let Scene { world, owner, base } = &scene;
    world
        .database
        .execute(
            "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
             SELECT gen_random_uuid(), id, 'abuse', 'n', 'o', now() FROM instances",
        )
        .await;
    owner.post(base, json!({})).await.expect_problem(409, "instance_on_hold");
    for verb in ["restore", "verify"] {
        let path = format!("{base}/{backup}/{verb}");
        owner.post(&path, json!({})).await.expect_problem(409, "instance_on_hold");
    }
    owner.get(&format!("{base}/{backup}/download")).await.expect(200);
}

#[tokio::test]
async fn a_backup_that_waits_is_cancelled_at_once_and_nothing_else_can_be() {
    let scene = Scene::new().await;
    let Scene { world, owner, base } = &scene;
    let asked = owner.post(base, json!({})).await.expect(202);
    let operation = format!("/api/operations/{}", text(&asked, "/operation/id"));
    world.customer("eve").await.post(&format!("{operation}/cancel"), json!({})).await.expect(404);
    for _ in 0..2 {
        let cancelled = owner.post(&format!("{operation}/cancel"), json!({})).await.expect(202);
        assert_eq!(cancelled.at("/state"), "failed");
        assert_eq!(cancelled.at("/failure/code"), "cancelled");
    }
    let backup = owner.get(&format!("{base}/{}", text(&asked, "/backup/id"))).await.expect(200);
    assert_eq!(backup.at("/state"), "failed");
    let audited = "SELECT string_agg(action, ' ' ORDER BY id) FROM audit_log WHERE action LIKE '%cancel%'";
    assert_eq!(world.database.text(audited).await, "operation.cancel backup.cancelled", "once");

    // Work goes on at once, and what has changed something cannot be given up.
    let made = scene.made().await;
    let done = owner.get("/api/operations?limit=1").await.expect(200);
    let done = format!("/api/operations/{}/cancel", text(&done, "/items/0/id"));
    owner.post(&done, json!({})).await.expect_problem(409, "operation_not_cancellable");
    let restore = owner.post(&format!("{base}/{made}/restore"), json!({})).await.expect(202);
    let restore = format!("/api/operations/{}/cancel", text(&restore, "/operation/id"));
    owner.post(&restore, json!({})).await.expect_problem(409, "operation_not_cancellable");
}

#[tokio::test]
async fn a_backup_that_a_worker_makes_is_cancelled_by_it() {
    let scene = Scene::new().await;
    let Scene { world, owner, base } = &scene;
    let asked = owner.post(base, json!({})).await.expect(202);
    let id = text(&asked, "/operation/id");
    let db = world.database.role("zlh_provision");
    let claim = testing::claim(&db, id.parse().unwrap(), "w").await.unwrap().unwrap();
    assert!(!operations::report(&db, &claim.lease, "packing").await.unwrap());
    let cancelled = owner.post(&format!("/api/operations/{id}/cancel"), json!({})).await.expect(202);
    assert_eq!(cancelled.at("/state"), "running");
    assert!(cancelled.at("/cancel_requested_at").is_string());
    assert!(operations::report(&db, &claim.lease, "packing").await.unwrap(), "its worker hears of it");
}

#[tokio::test]
async fn a_restore_with_a_backup_first_is_one_request_and_keeps_what_is_restored() {
    let scene = Scene::new().await;
    let old = scene.made().await;
    scene.made().await;
    let Scene { world, owner, base } = &scene;
    let path = format!("{base}/{old}/restore?backup_first=true");
    owner.post(&format!("{base}/{old}/restore?backup_first=perhaps"), json!({})).await.expect(400);
    let asked = owner.post(&path, json!({})).await.expect(202);
    assert_eq!(asked.at("/operation/kind"), "backup");
    let next = text(&asked, "/operation/next_operation_id");
    owner.get(&format!("/api/operations/{next}")).await.expect_problem(404, "not_found");
    owner.delete(&format!("{base}/{old}")).await.expect_problem(409, "instance_busy");

    // The plan keeps two: the oldest would give way, but it is to be restored.
    make(world, &asked).await;
    let restore = owner.get(&format!("/api/operations/{next}")).await.expect(200);
    assert_eq!((restore.at("/kind"), restore.at("/backup_id")), (json!("restore"), json!(old)));
    assert_eq!(restore.at("/state"), "queued");
    assert_eq!(owner.get(&format!("{base}/{old}")).await.expect(200).at("/state"), "available");
    let activity = base.replace("/backups", "/activity");
    let asked_for = owner.get(&activity).await.expect(200).text;
    assert!(asked_for.contains(&next), "whose restore it is stands in the log");
}

#[tokio::test]
async fn nothing_is_restored_when_the_backup_before_it_fails() {
    let scene = Scene::new().await;
    let old = scene.made().await;
    let Scene { world, owner, base } = &scene;
    let asked = owner.post(&format!("{base}/{old}/restore?backup_first=true"), json!({})).await.expect(202);
    let db = world.database.role("zlh_provision");
    let id = text(&asked, "/operation/id").parse().unwrap();
    let claim = testing::claim(&db, id, "w").await.unwrap().unwrap();
    let failure = Failure::new("disk_full", "x");
    operations::undone(&db, &claim.lease, OperationKind::Backup, &failure, By::itself("test")).await.unwrap();
    let next = text(&asked, "/operation/next_operation_id");
    owner.get(&format!("/api/operations/{next}")).await.expect_problem(404, "not_found");
    owner.post(&format!("{base}/{old}/restore"), json!({})).await.expect(202);
}
