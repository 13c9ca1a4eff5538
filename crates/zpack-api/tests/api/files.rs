//! Files through the API: what goes to the agent and what comes back. The agent's own rules have their tests there.

use std::{convert::Infallible, time::Duration};

use domain::ids::InstanceId;
use futures_util::stream;
use integrations::scenario::When;
use reqwest::{Body, Method, RequestBuilder};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{Arrangement, Client, World};

struct Scene {
    world: World,
    ada: Client,
    instance: InstanceId,
    path: String,
}

async fn with(arrangement: Arrangement) -> Scene {
    let world = arrangement.start();
    world.node("one", 4).await;
    let ada = world.customer("ada").await;
    let id = world.active_instance(&ada, "Mine").await;
    Scene { world, ada, instance: id.parse().unwrap(), path: format!("/api/instances/{id}/files") }
}

async fn scene() -> Scene {
    with(Arrangement::usual().await).await
}

impl Scene {
    fn content(&self, method: Method, path: &str) -> RequestBuilder {
        self.ada.request(method, &format!("{}/content?path={path}", self.path))
    }

    async fn hold(&self, reason: &str) {
        let sql = "INSERT INTO holds (id, instance_id, reason, note, placed_by, placed_at)
                   SELECT gen_random_uuid(), id, 'REASON', 'A note.', 'test', now() FROM instances";
        self.world.database.execute(&sql.replace("REASON", reason)).await;
    }
}

#[tokio::test]
async fn a_file_is_written_read_in_parts_and_replaced_only_as_it_was_read() {
    let scene = scene().await;
    let made = scene.ada.send(scene.content(Method::PUT, "notes.txt").body("hello world")).await.expect(200);
    assert_eq!((made.at("/path"), made.at("/size_bytes")), (json!("notes.txt"), json!(11)));
    let etag = made.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", made.at("/etag").as_str().unwrap()));

    let read = scene.ada.send(scene.content(Method::GET, "notes.txt")).await.expect(200);
    assert_eq!((read.text.as_str(), read.header("etag")), ("hello world", etag.as_str()));
    let part = scene.content(Method::GET, "notes.txt").header("range", "bytes=6-8");
    let part = scene.ada.send(part).await.expect(206);
    assert_eq!((part.text.as_str(), part.header("content-range")), ("wor", "bytes 6-8/11"));
    let beyond = scene.content(Method::GET, "notes.txt").header("range", "bytes=99-");
    scene.ada.send(beyond).await.expect_problem(416, "range_not_satisfiable");
    let same = scene.content(Method::GET, "notes.txt").header("if-none-match", &etag);
    assert_eq!(scene.ada.send(same).await.expect(304).text, "");

    let put = |text: &'static str| scene.content(Method::PUT, "notes.txt").body(text);
    scene.ada.send(put("two").header("if-match", "\"other\"")).await.expect_problem(412, "version_mismatch");
    scene.ada.send(put("two").header("if-none-match", "*")).await.expect_problem(412, "version_mismatch");
    scene.ada.send(put("two").header("if-match", &etag)).await.expect(200);
    scene.ada.send(put("three").header("if-match", &etag)).await.expect_problem(412, "version_mismatch");
    assert_eq!(scene.world.agents.read_file(scene.instance, "notes.txt").unwrap(), "two");
}

#[tokio::test]
async fn a_customers_page_is_never_a_page_of_this_site() {
    let scene = scene().await;
    scene.world.agents.write_file(scene.instance, "page.html", "<script>alert(1)</script>");
    let page = scene.ada.send(scene.content(Method::GET, "page.html")).await.expect(200);
    assert_eq!(page.header("content-type"), "application/octet-stream");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(
        page.header("content-disposition"),
        "attachment; filename=\"page.html\"; filename*=UTF-8''page.html"
    );
    let policy = page.header("content-security-policy");
    assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{policy}");
    assert_eq!(page.header("cache-control"), "private, no-cache");
}

/// A body of so many MiB that is made while it is sent.
fn body(mebibytes: usize) -> Body {
    let block = axum::body::Bytes::from(vec![b'x'; 1 << 20]);
    Body::wrap_stream(stream::iter((0..mebibytes).map(move |_| Ok::<_, Infallible>(block.clone()))))
}

#[tokio::test]
async fn a_file_may_be_larger_than_any_other_request_and_take_longer() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.api.request_timeout_ms = 1_500;
    let scene = with(arrangement).await;
    // Slower than requests may be, and larger.
    let slow = stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (n < 20).then(|| (Ok::<_, Infallible>(vec![b'x'; 100_000]), n + 1))
    });
    scene.ada.send(scene.content(Method::PUT, "slow").body(Body::wrap_stream(slow))).await.expect(200);
    scene.ada.send(scene.content(Method::PUT, "large").body(body(20))).await.expect(200);
    assert_eq!(scene.world.agents.read_file(scene.instance, "slow").unwrap().len(), 2_000_000);
    let large = scene.ada.send(scene.content(Method::GET, "large")).await.expect(200);
    assert_eq!(large.text.len(), 20 << 20);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_the_file_as_it_was() {
    let scene = scene().await;
    scene.world.agents.write_file(scene.instance, "world", "old");
    let mut connection = TcpStream::connect(scene.world.base.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "PUT {}/content?path=world HTTP/1.1\r\nhost: x\r\ncookie: {}\r\nsec-fetch-site: same-origin\r\n\
         content-length: 200000\r\n\r\n",
        scene.path,
        scene.ada.cookie.as_deref().unwrap()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&vec![b'x'; 100_000]).await.unwrap();
    World::eventually("the upload", async || scene.world.agents.scenario.count("file_put") == 1).await;
    drop(connection);
    // Its place is free again once it has ended, and whatever the agent got is not there.
    World::eventually("its end", async || scene.world.app.transfers.under_way() == 0).await;
    let usage = scene.ada.get(&format!("{}/usage", scene.path)).await.expect(200);
    assert_eq!((usage.at("/used_bytes"), usage.at("/limit_bytes")), (json!(3), json!(1 << 30)));
    assert_eq!(scene.world.agents.read_file(scene.instance, "world").unwrap(), "old");
}

#[tokio::test]
async fn whoever_uploads_what_is_refused_reads_why() {
    let scene = scene().await;
    let detail = "The disk space does not suffice.";
    scene.world.agents.refuse_files(scene.instance, Some((507, "quota_exceeded", detail)));
    let refused = scene.ada.send(scene.content(Method::PUT, "big").body(body(4))).await;
    let refused = refused.expect_problem(507, "no_space");
    assert_eq!(refused.at("/detail"), detail);
}

#[tokio::test]
async fn folders_are_listed_in_parts_and_small_changes_are_made() {
    let scene = scene().await;
    for n in 0..5 {
        scene.world.agents.write_file(scene.instance, &format!("f{n}"), "x");
    }
    let page = scene.ada.get(&format!("{}?limit=3", scene.path)).await.expect(200);
    assert_eq!((page.at("/items/2/path"), page.at("/next_cursor")), (json!("f2"), json!("f2")));
    let rest = scene.ada.get(&format!("{}?limit=3&cursor=f2", scene.path)).await.expect(200);
    assert_eq!((rest.at("/items/0/path"), rest.at("/next_cursor")), (json!("f3"), json!(null)));
    let stat = scene.ada.get(&format!("{}/stat?path=f1", scene.path)).await.expect(200);
    assert_eq!((stat.at("/kind"), stat.at("/modified_at")), (json!("file"), json!("2027-01-15T08:00:00Z")));
    scene.ada.get(&format!("{}/stat?path=none", scene.path)).await.expect_problem(404, "file_not_found");

    let changes = format!("{}/changes", scene.path);
    let rename = json!({ "action": "rename", "from": "f1", "to": "g1" });
    scene.ada.post(&changes, rename.clone()).await.expect(204);
    scene.ada.post(&changes, rename).await.expect_problem(404, "file_not_found");
    scene.ada.post(&changes, json!({ "action": "delete", "paths": ["f2", "f3"] })).await.expect(204);
    assert!(scene.world.agents.read_file(scene.instance, "f2").is_none());
    let many: Vec<_> = (0..1_001).map(|n| format!("f{n}")).collect();
    for bad in [
        json!({ "action": "delete", "paths": [] }),
        json!({ "action": "delete", "paths": many }),
        json!({ "action": "set_mode", "path": "f0", "mode": 0o4755 }),
        json!({ "action": "make_folder", "path": "" }),
    ] {
        scene.ada.post(&changes, bad).await.expect_problem(400, "validation_failed");
    }
    scene.ada.post(&changes, json!({ "action": "explode" })).await.expect_problem(400, "malformed_json");
}

#[tokio::test]
async fn the_agents_refusals_reach_the_customer_with_their_words() {
    let scene = scene().await;
    for (status, agents, code) in [
        (409, "already_exists", "file_exists"),
        (409, "is_folder", "file_conflict"),
        (422, "path_absolute", "invalid_file_request"),
        (429, "too_many_at_once", "too_many_file_jobs"),
    ] {
        scene.world.agents.refuse_files(scene.instance, Some((status, agents, "a/b: for these reasons")));
        let refused = scene.ada.get(&format!("{}/stat?path=a/b", scene.path)).await;
        let refused = refused.expect_problem(status, code);
        assert_eq!(refused.at("/detail"), "a/b: for these reasons");
    }
    scene.world.agents.refuse_files(scene.instance, None);
    scene.world.agents.scenario.disturb("file_stat", When::FailBefore, 1);
    let away = scene.ada.get(&format!("{}/stat?path=a", scene.path)).await;
    away.expect_problem(503, "agent_unreachable");
}

#[tokio::test]
async fn a_job_answers_at_once_when_it_is_short_and_can_be_followed_and_ended_when_it_is_not() {
    let scene = scene().await;
    scene.world.agents.write_file(scene.instance, "a", "x");
    let jobs = format!("{}/jobs", scene.path);
    let copy = json!({ "kind": "copy", "from": "a", "to": "b" });
    let done = scene.ada.post(&jobs, copy).await.expect(200);
    assert_eq!(done.at("/state"), "succeeded");
    let found = scene.ada.post(&jobs, json!({ "kind": "search", "name": "b" })).await.expect(200);
    assert_eq!(found.at("/found/0/path"), "b");

    scene.world.agents.slow_file_jobs(scene.instance, true);
    let archive = json!({ "kind": "archive", "paths": ["a"], "to": "a.zip", "format": "zip" });
    let begun = scene.ada.post(&jobs, archive).await.expect(202);
    let location = begun.header("location").to_owned();
    assert_eq!(scene.ada.get(&location).await.expect(200).at("/state"), "running");
    assert_eq!(scene.ada.delete(&location).await.expect(200).at("/state"), "cancelled");
    let none = format!("{jobs}/{}", uuid::Uuid::now_v7());
    scene.ada.get(&none).await.expect_problem(404, "file_not_found");
    let bad = json!({ "kind": "archive", "paths": ["a"], "to": "a.rar", "format": "rar" });
    scene.ada.post(&jobs, bad).await.expect_problem(400, "malformed_json");
}

#[tokio::test]
async fn who_owes_money_can_fetch_their_files_and_change_nothing() {
    let scene = scene().await;
    scene.world.agents.write_file(scene.instance, "world", "mine");
    scene.hold("billing").await;
    scene.ada.get(&scene.path).await.expect(200);
    assert_eq!(scene.ada.send(scene.content(Method::GET, "world")).await.expect(200).text, "mine");
    let put = scene.content(Method::PUT, "world").body("new");
    scene.ada.send(put).await.expect_problem(409, "instance_on_hold");
    let change = json!({ "action": "make_folder", "path": "a" });
    scene.ada.post(&format!("{}/changes", scene.path), change).await.expect_problem(409, "instance_on_hold");
    let copy = json!({ "kind": "copy", "from": "world", "to": "b" });
    scene.ada.post(&format!("{}/jobs", scene.path), copy).await.expect_problem(409, "instance_on_hold");
    scene.hold("abuse").await;
    scene.ada.get(&scene.path).await.expect_problem(409, "instance_on_hold");
}

#[tokio::test]
async fn an_account_has_a_few_transfers_and_one_that_ends_makes_room() {
    let mut arrangement = Arrangement::usual().await;
    arrangement.config.files.transfers_per_customer = 1;
    let scene = with(arrangement).await;
    scene.world.agents.write_file(scene.instance, "large", vec![b'x'; 32 << 20]);
    // Not read to its end: it is under way for as long as it is held.
    let first = scene.content(Method::GET, "large").send().await.unwrap();
    assert_eq!(first.status().as_u16(), 200);
    let second = scene.ada.send(scene.content(Method::GET, "large")).await;
    second.expect_problem(429, "too_many_transfers");
    drop(first);
    World::eventually("there is room again", async || {
        scene.content(Method::GET, "large").send().await.unwrap().status().is_success()
    })
    .await;
}

#[tokio::test]
async fn a_file_is_sent_in_parts_and_goes_on_where_it_was_cut() {
    let scene = scene().await;
    let body = json!({ "path": "world.zip", "size_bytes": 11 });
    let begun = scene.ada.post(&format!("{}/uploads", scene.path), body).await.expect(201);
    let upload = begun.header("location").to_owned();
    assert_eq!(begun.at("/offset_bytes"), 0);
    let part = |offset: u64, body: &'static str| {
        scene.ada.request(Method::PATCH, &format!("{upload}?offset={offset}")).body(body)
    };
    let first = scene.ada.send(part(0, "hello ")).await.expect(200);
    assert_eq!((first.at("/offset_bytes"), first.at("/file")), (json!(6), json!(null)));
    scene.ada.send(part(0, "hello ")).await.expect_problem(409, "upload_offset_mismatch");
    let at = scene.ada.get(&upload).await.expect(200).at("/offset_bytes");
    assert_eq!(at, 6);
    let last = scene.ada.send(part(6, "world")).await.expect(200);
    assert_eq!(last.at("/file/size_bytes"), 11);
    assert_eq!(scene.world.agents.read_file(scene.instance, "world.zip").unwrap(), "hello world");
    scene.ada.get(&upload).await.expect_problem(404, "file_not_found");

    let body = json!({ "path": "other", "size_bytes": 1 });
    let begun = scene.ada.post(&format!("{}/uploads", scene.path), body).await.expect(201);
    let upload = begun.header("location").to_owned();
    let eve = scene.world.customer("eve").await;
    eve.get(&upload).await.expect_problem(404, "not_found");
    eve.delete(&upload).await.expect_problem(404, "not_found");
    scene.hold("billing").await;
    scene
        .ada
        .send(scene.ada.request(Method::PATCH, &format!("{upload}?offset=0")).body("x"))
        .await
        .expect_problem(409, "instance_on_hold");
    scene.ada.delete(&upload).await.expect(204);
}

#[tokio::test]
async fn a_file_is_fetched_from_an_address_by_who_may_write() {
    let scene = scene().await;
    let jobs = format!("{}/jobs", scene.path);
    let fetch = json!({ "kind": "fetch", "url": "https://example.com/p.jar", "to": "plugins/p.jar" });
    let job = scene.ada.post(&jobs, fetch.clone()).await.expect(200);
    assert_eq!(job.at("/state"), "succeeded");
    assert!(scene.world.agents.read_file(scene.instance, "plugins/p.jar").is_some());
    let reader = scene.ada.make_key(&["files:read"], &scene.world.in_days(1)).await;
    reader.post(&jobs, fetch).await.expect_problem(403, "scope_missing");
    let nowhere = json!({ "kind": "fetch", "url": "", "to": "x" });
    scene.ada.post(&jobs, nowhere).await.expect_problem(400, "validation_failed");
}
