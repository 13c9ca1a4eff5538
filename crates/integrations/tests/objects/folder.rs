//! A folder behind its gateway.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta};
use domain::clock::{Clock as _, ManualClock};
use integrations::objects::{FolderStore, ObjectStore as _, UploadedPart, folder::gateway};
use reqwest::{Client, StatusCode};
use tempfile::TempDir;

use super::contract::{self, MINUTE, put};

const PART: usize = 64 * 1024;

struct World {
    folder: TempDir,
    store: FolderStore,
    clock: ManualClock,
    http: Client,
}

async fn world() -> World {
    let folder = TempDir::new().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = ManualClock::new(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let store = FolderStore::open(folder.path(), &url, &[1; 32], Arc::new(clock.clone())).unwrap();
    let store = store.with_part_bytes(PART as u64);
    let router = gateway(store.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    World { folder, store, clock, http: Client::builder().no_proxy().build().unwrap() }
}

impl World {
    fn uploads(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("uploads")).unwrap().count()
    }
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let world = world().await;
    contract::holds(&world.store, PART).await;
    assert_eq!(world.uploads(), 0, "nothing unfinished stays behind");
}

#[tokio::test]
async fn an_address_is_good_for_one_thing_and_for_its_time() {
    let world = world().await;
    let upload = world.store.begin_upload("i/b/a").await.unwrap();
    let url = world.store.part_url("i/b/a", &upload, 1, MINUTE).unwrap();
    let expires = world.clock.now().timestamp() + 60;
    let other = world.store.begin_upload("i/b/a").await.unwrap();
    let forged = [
        url.replace("part=1", "part=2"),
        url.replace("/i/b/a?", "/i/b/b?"),
        url.replace(&upload.0, &other.0),
        url.replace(&format!("expires={expires}"), &format!("expires={}", expires + 1)),
        url.replace(&format!("upload={upload}&part=1&"), ""),
        format!("{}0", &url[..url.len() - 1]),
        url.split("&signature").next().unwrap().to_owned() + "&signature=",
    ];
    for forged in forged {
        if forged == url {
            continue;
        }
        assert_eq!(put(&world.http, &forged, b"x".to_vec()).await.0, StatusCode::FORBIDDEN, "{forged}");
    }
    assert_eq!(world.http.get(&url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let reading = world.store.get_url("i/b/a", MINUTE).unwrap();
    assert_eq!(put(&world.http, &reading, b"x".to_vec()).await.0, StatusCode::FORBIDDEN, "for reading only");
    let unsigned = url.split('?').next().unwrap();
    assert_eq!(put(&world.http, unsigned, b"x".to_vec()).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(put(&world.http, &url, b"x".to_vec()).await.0, StatusCode::OK);
    world.clock.advance(TimeDelta::seconds(60));
    assert_eq!(put(&world.http, &url, b"x".to_vec()).await.0, StatusCode::FORBIDDEN);
    let other_key =
        FolderStore::open(world.folder.path(), "http://x", &[2; 32], Arc::new(world.clock.clone())).unwrap();
    let theirs = other_key.get_url("i/b/a", Duration::from_secs(1_000_000)).unwrap();
    let theirs = theirs.replace("http://x", url.split("/objects").next().unwrap());
    assert_eq!(world.http.get(theirs).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(
        FolderStore::open(world.folder.path(), "http://x", &[2; 31], Arc::new(world.clock.clone())).is_err()
    );
}

#[tokio::test]
async fn listings_are_in_the_order_of_whole_keys_and_not_of_folders() {
    let world = world().await;
    let keys = ["l/2-x/a", "l/2/a", "l/20/a"];
    for key in keys {
        put(&world.http, &world.store.put_url(key, MINUTE).unwrap(), b"x".to_vec()).await;
    }
    let found = world.store.list("", None, 10).await.unwrap();
    assert_eq!(found.into_iter().map(|found| found.key).collect::<Vec<_>>(), keys);
    let after = world.store.list("l/2", Some("l/2-x/a"), 1).await.unwrap();
    assert_eq!((after.len(), after[0].key.as_str()), (1, "l/2/a"));
}

#[tokio::test]
async fn paths_in_addresses_lead_nowhere() {
    let world = world().await;
    std::fs::write(world.folder.path().join("secret"), "x").unwrap();
    let base = world.store.get_url("a", MINUTE).unwrap();
    let base = base.split("/objects").next().unwrap();
    for path in ["/objects/..%2fsecret", "/objects/%2e%2e/secret", "/objects/", "/", "/secret", "/uploads/x"]
    {
        let answer =
            world.http.get(format!("{base}{path}?expires=9999999999&signature=00")).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_off_or_too_long_is_not_there() {
    let world = world().await;
    let url = world.store.put_url("i/b/m", MINUTE).unwrap();
    let chunks = [Ok(b"half".to_vec()), Err(std::io::Error::other("cut"))];
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    assert!(world.http.put(&url).body(body).send().await.is_err());
    let upload = world.store.begin_upload("i/b/a").await.unwrap();
    let part = world.store.part_url("i/b/a", &upload, 1, MINUTE).unwrap();
    let too_long = put(&world.http, &part, vec![0; PART + 1]).await;
    assert_eq!(too_long.0, StatusCode::PAYLOAD_TOO_LARGE);
    let claimed = [UploadedPart { etag: "\"x\"".into(), bytes: PART as u64 }];
    world.store.complete("i/b/a", &upload, &claimed).await.unwrap_err();
    assert!(world.store.list("", None, 10).await.unwrap().is_empty());
    world.store.abort("i/b/a", &upload).await.unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while world.uploads() > 0 {
        assert!(std::time::Instant::now() < end, "the draft stays behind");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_part_that_is_another_one_is_not_taken_for_it() {
    let world = world().await;
    let upload = world.store.begin_upload("i/b/a").await.unwrap();
    let url = world.store.part_url("i/b/a", &upload, 1, MINUTE).unwrap();
    put(&world.http, &url, b"x".to_vec()).await;
    for wrong in
        [UploadedPart { etag: "\"00\"".into(), bytes: 1 }, UploadedPart { etag: String::new(), bytes: 1 }]
    {
        world.store.complete("i/b/a", &upload, &[wrong]).await.unwrap_err();
    }
    world.store.complete("i/b/a", &upload, &[]).await.unwrap_err();
    assert_eq!(world.store.head("i/b/a").await.unwrap(), None);
}

#[tokio::test]
async fn a_gap_between_parts_is_no_object() {
    let world = world().await;
    let upload = world.store.begin_upload("i/b/a").await.unwrap();
    let mut parts = Vec::new();
    for (number, length) in [(1, PART - 1), (2, 10)] {
        let url = world.store.part_url("i/b/a", &upload, number, MINUTE).unwrap();
        let (_, etag) = put(&world.http, &url, vec![1; length]).await;
        parts.push(UploadedPart { etag, bytes: length as u64 });
    }
    world.store.complete("i/b/a", &upload, &parts).await.unwrap_err();
    assert_eq!(world.store.head("i/b/a").await.unwrap(), None);
}

#[tokio::test]
async fn a_second_try_waits_until_the_first_has_ended() {
    let world = world().await;
    let upload = world.store.begin_upload("i/b/a").await.unwrap();
    let url = world.store.part_url("i/b/a", &upload, 1, MINUTE).unwrap();
    let (feed, chunks) = futures_channel();
    let body = reqwest::Body::wrap_stream(chunks);
    let (http, first_url) = (world.http.clone(), url.clone());
    let first = tokio::spawn(async move { http.put(first_url).body(body).send().await });
    feed.send(Ok(b"slow".to_vec())).await.unwrap();
    let lock = world.folder.path().join("uploads").join(&upload.0).join("1.lock");
    while !lock.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(put(&world.http, &url, b"quick".to_vec()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    drop(feed);
    assert!(first.await.unwrap().unwrap().status().is_success());
    assert_eq!(put(&world.http, &url, b"quick".to_vec()).await.0, StatusCode::OK);
}

type Chunk = std::io::Result<Vec<u8>>;

fn futures_channel() -> (tokio::sync::mpsc::Sender<Chunk>, impl futures_util::Stream<Item = Chunk>) {
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let stream =
        futures_util::stream::unfold(receive, async |mut receive: tokio::sync::mpsc::Receiver<Chunk>| {
            Some((receive.recv().await?, receive))
        });
    (send, stream)
}
