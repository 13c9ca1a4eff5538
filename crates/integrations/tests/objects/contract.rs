//! What every storage does.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use integrations::objects::{ByteRange, ListedObject, ObjectError, ObjectStore, UploadedPart};
use reqwest::{Client, StatusCode};

pub const MINUTE: Duration = Duration::from_mins(1);

pub async fn put(http: &Client, url: &str, content: Vec<u8>) -> (StatusCode, String) {
    let bytes = content.len();
    let answer = http.put(url).header("content-length", bytes).body(content).send().await.unwrap();
    let etag = answer.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
    (answer.status(), etag.unwrap_or_default())
}

async fn piece(store: &dyn ObjectStore, key: &str, first: u64, last: Option<u64>) -> Vec<u8> {
    let body = store.get_stream(key, Some(ByteRange { first, last })).await.unwrap().unwrap();
    let length = body.length;
    let bytes: Vec<u8> = body
        .stream
        .try_fold(Vec::new(), async |mut all, chunk| {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
        .unwrap();
    assert_eq!(bytes.len() as u64, length);
    bytes
}

/// `part` is the size of parts.
pub async fn holds(store: &dyn ObjectStore, part: usize) {
    holds_but_for_aborts(store, part).await;
    aborts(store, &Client::builder().no_proxy().build().unwrap()).await;
}

/// The same of a server that neither aborts uploads nor cuts listings short.
pub async fn holds_but_for_aborts(store: &dyn ObjectStore, part: usize) {
    let http = Client::builder().no_proxy().build().unwrap();
    whole_objects(store, &http).await;
    uploads_in_parts(store, &http, part).await;
    listings(store, &http).await;
    for bad in ["", "../x", "/x", "a//b", "a b", "x\n"] {
        assert!(matches!(store.get_url(bad, MINUTE), Err(ObjectError::BadKey(_))), "{bad:?}");
        assert!(matches!(store.head(bad).await, Err(ObjectError::BadKey(_))), "{bad:?}");
    }
}

async fn whole_objects(store: &dyn ObjectStore, http: &Client) {
    let key = "i/b/manifest.json.zst";
    assert_eq!(store.head(key).await.unwrap(), None);
    assert_eq!(store.get(key, 10).await.unwrap(), None);
    assert!(store.get_stream(key, None).await.unwrap().is_none());
    let url = store.put_url(key, MINUTE).unwrap();
    assert_eq!(put(http, &url, b"0123456789".to_vec()).await.0, StatusCode::OK);
    assert_eq!(store.head(key).await.unwrap().unwrap().bytes, 10);
    assert_eq!(store.get(key, 10).await.unwrap().unwrap(), b"0123456789");
    assert!(matches!(store.get(key, 9).await, Err(ObjectError::TooLong(9))));
    assert_eq!(piece(store, key, 3, Some(5)).await, b"345");
    assert_eq!(piece(store, key, 8, None).await, b"89");
    assert_eq!(piece(store, key, 8, Some(100)).await, b"89");
    let behind = store.get_stream(key, Some(ByteRange { first: 10, last: None })).await;
    assert!(matches!(behind, Err(ObjectError::Range(10))), "{behind:?}");
    let url = store.get_url(key, MINUTE).unwrap();
    let answer = http.get(&url).header("range", "bytes=4-").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(answer.headers()["content-range"], "bytes 4-9/10");
    assert_eq!(answer.text().await.unwrap(), "456789");
    for _ in 0..2 {
        store.delete(key).await.unwrap();
    }
    assert_eq!(store.head(key).await.unwrap(), None);
}

async fn uploads_in_parts(store: &dyn ObjectStore, http: &Client, part: usize) {
    let key = "i/b/archive.tar.zst";
    let upload = store.begin_upload(key).await.unwrap();
    let contents = [vec![b'a'; part], vec![b'b'; part], b"end".to_vec()];
    let mut parts = Vec::new();
    for (number, content) in (1..).zip(&contents) {
        let url = store.part_url(key, &upload, number, MINUTE).unwrap();
        if number == 2 {
            // An earlier try that went wrong; the next one replaces it.
            put(http, &url, vec![b'x'; part]).await;
        }
        let (status, etag) = put(http, &url, content.clone()).await;
        assert_eq!(status, StatusCode::OK);
        parts.push(UploadedPart { etag, bytes: content.len() as u64 });
        assert_eq!(store.head(key).await.unwrap(), None, "half an object is none");
    }
    for _ in 0..2 {
        store.complete(key, &upload, &parts).await.unwrap();
    }
    let whole = store.get(key, 3 * part).await.unwrap().unwrap();
    assert!(whole == contents.concat());
    store.delete(key).await.unwrap();
}

async fn aborts(store: &dyn ObjectStore, http: &Client) {
    let key = "i/b/archive.tar.zst";
    let upload = store.begin_upload(key).await.unwrap();
    let url = store.part_url(key, &upload, 1, MINUTE).unwrap();
    let (_, etag) = put(http, &url, b"x".to_vec()).await;
    store.complete(key, &upload, &[UploadedPart { etag, bytes: 1 }]).await.unwrap();
    store.abort(key, &upload).await.unwrap();
    assert!(store.head(key).await.unwrap().is_some(), "completed is completed");
    store.delete(key).await.unwrap();

    let dropped = store.begin_upload(key).await.unwrap();
    let url = store.part_url(key, &dropped, 1, MINUTE).unwrap();
    let (_, etag) = put(http, &url, b"x".to_vec()).await;
    for _ in 0..2 {
        store.abort(key, &dropped).await.unwrap();
    }
    let gone = store.complete(key, &dropped, &[UploadedPart { etag, bytes: 1 }]).await;
    assert!(gone.is_err(), "what was thrown away cannot be completed");
    assert_eq!(store.head(key).await.unwrap(), None);
}

async fn listings(store: &dyn ObjectStore, http: &Client) {
    let keys = ["l/1/a", "l/1/b", "l/2/a", "l/20/a", "l/2x/a", "m/1/a"];
    for key in keys {
        put(http, &store.put_url(key, MINUTE).unwrap(), b"12".to_vec()).await;
    }
    let list = async |prefix: &str, after: Option<&str>, limit: usize| -> Vec<String> {
        let found = store.list(prefix, after, limit).await.unwrap();
        assert!(found.iter().all(|ListedObject { bytes, .. }| *bytes == 2));
        found.into_iter().map(|found| found.key).collect()
    };
    assert_eq!(list("l/", None, 100).await, keys[..5]);
    assert_eq!(list("l/1/", None, 100).await, keys[..2]);
    assert_eq!(list("l/2", None, 100).await, keys[2..5]);
    assert_eq!(list("l/", Some("l/1/b"), 100).await, keys[2..5]);
    assert_eq!(list("l/", Some("l/20/a"), 100).await, keys[4..5]);
    assert_eq!(list("nothing/", None, 100).await, [""; 0]);
    for key in keys {
        store.delete(key).await.unwrap();
    }
}
