//! Content in and out, and small changes.

use std::os::unix::fs::PermissionsExt;

use domain::agent::{FileChange, FileKind};
use reqwest::{Method, StatusCode};

use super::{checked, names, refused};
use crate::support::TestAgent;

#[tokio::test]
async fn what_is_written_is_read_and_its_tag_changes_each_time() {
    let agent = TestAgent::start();
    let first = agent.put_file("server.properties", "motd=one\n").await.unwrap();
    assert_eq!((first.kind, first.size, first.mode), (FileKind::File, 9, 0o644));
    let second = agent.put_file("server.properties", "motd=two\n").await.unwrap();
    assert_ne!(first.etag, second.etag, "the same length, another content");
    assert_eq!(agent.get_file("server.properties").await.unwrap(), b"motd=two\n");
    std::fs::write(agent.data().join("server.properties"), "motd=six\n").unwrap();
    let third = agent.stat_file("server.properties").await.unwrap();
    assert_ne!(second.etag, third.etag, "written in place by the server");
    assert_eq!(agent.put_file("empty", "").await.unwrap().size, 0);
    assert_eq!(agent.get_file("empty").await.unwrap(), b"");
    agent.assert_nothing_unfinished();
}

#[tokio::test]
async fn a_replaced_file_keeps_its_permissions_but_no_set_id_bits() {
    let agent = TestAgent::start();
    let file = agent.data().join("start.sh");
    std::fs::write(&file, "old").unwrap();
    for (mode, kept) in [(0o755, 0o755), (0o600, 0o600), (0o6755, 0o755)] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        assert_eq!(agent.put_file("start.sh", "new").await.unwrap().mode, kept);
    }
}

#[tokio::test]
async fn parents_are_made_only_on_request() {
    let agent = TestAgent::start();
    assert_eq!(agent.put_file("a/b/c", "x").await, refused(404, "file_not_found"));
    assert!(names(&agent.data()).iter().all(|name| name != "a"));
    agent.put_with(&[("path", "a/b/c"), ("parents", "true")], &[], "x").await.unwrap();
    assert_eq!(agent.get_file("a/b/c").await.unwrap(), b"x");
}

#[tokio::test]
async fn conditions_protect_what_somebody_else_has_written() {
    let agent = TestAgent::start();
    let put = async |headers: &[(&str, &str)], body: &'static str| {
        agent.put_with(&[("path", "ops.json")], headers, body).await
    };
    assert_eq!(put(&[("if-match", "\"none\"")], "x").await, refused(412, "precondition_failed"));
    assert_eq!(put(&[("if-match", "*")], "x").await, refused(412, "precondition_failed"));
    let first = put(&[("if-none-match", "*")], "one").await.unwrap();
    assert_eq!(put(&[("if-none-match", "*")], "x").await, refused(412, "precondition_failed"));
    let tag = format!("\"{}\"", first.etag.unwrap());
    let second = put(&[("if-match", &tag)], "two").await.unwrap();
    assert_eq!(put(&[("if-match", &tag)], "x").await, refused(412, "precondition_failed"));
    let several = format!("\"other\", \"{}\"", second.etag.unwrap());
    put(&[("if-match", &several)], "three").await.unwrap();
    assert_eq!(agent.get_file("ops.json").await.unwrap(), b"three");
    agent.assert_nothing_unfinished();
}

#[tokio::test]
async fn of_many_that_make_the_same_file_one_succeeds() {
    let agent = TestAgent::start();
    let make = async |number: usize| {
        let body = number.to_string().repeat(100_000);
        agent.put_with(&[("path", "one")], &[("if-none-match", "*")], body).await.is_ok()
    };
    let tries = tokio::join!(make(1), make(2), make(3), make(4), make(5), make(6));
    let tries = [tries.0, tries.1, tries.2, tries.3, tries.4, tries.5];
    assert_eq!(tries.iter().filter(|made| **made).count(), 1, "{tries:?}");
    let content = agent.get_file("one").await.unwrap();
    assert!(content.len() == 100_000 && content.iter().all(|byte| *byte == content[0]));
}

#[tokio::test]
async fn ranges_and_tags_save_what_is_known() {
    let agent = TestAgent::start();
    let info = agent.put_file("log", "0123456789").await.unwrap();
    let tag = format!("\"{}\"", info.etag.unwrap());
    let get = async |headers: &[(&str, &str)]| {
        let mut request = agent.files(Method::GET, "content", &[("path", "log")]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let text = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (status, range, etag) = (response.status().as_u16(), text("content-range"), text("etag"));
        assert!(status == 416 || (etag.is_some() && text("last-modified").unwrap().ends_with(" GMT")));
        (status, range, response.text().await.unwrap())
    };
    let range = |text: &str| Some(text.to_owned());
    for (wanted, status, content_range, body) in [
        ("bytes=0-3", 206, range("bytes 0-3/10"), "0123"),
        ("bytes=7-", 206, range("bytes 7-9/10"), "789"),
        ("bytes=-2", 206, range("bytes 8-9/10"), "89"),
        ("bytes=5-500", 206, range("bytes 5-9/10"), "56789"),
        ("bytes=0-1,3-4", 200, None, "0123456789"),
        ("nonsense", 200, None, "0123456789"),
    ] {
        assert_eq!(get(&[("range", wanted)]).await, (status, content_range, body.to_owned()), "{wanted}");
    }
    let (status, content_range, body) = get(&[("range", "bytes=10-")]).await;
    assert_eq!((status, content_range), (416, range("bytes */10")));
    assert!(body.contains("range_not_satisfiable"));
    assert_eq!(get(&[("if-none-match", &tag)]).await.0, 304);
    assert_eq!(get(&[("if-none-match", "\"other\"")]).await.0, 200);
    assert_eq!(get(&[("range", "bytes=0-0"), ("if-range", &tag)]).await.0, 206);
    assert_eq!(get(&[("range", "bytes=0-0"), ("if-range", "\"old\"")]).await.0, 200);
    let head = agent.files(Method::HEAD, "content", &[("path", "log")]).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["content-length"]), (StatusCode::OK, &"10".parse().unwrap()));
}

#[tokio::test]
async fn folders_are_made_moved_and_deleted() {
    let agent = TestAgent::start();
    let made = |path: &str| FileChange::MakeFolder { path: path.into() };
    let moved = |from: &str, to: &str| FileChange::Rename { from: from.into(), to: to.into() };
    agent.change(made("a/b/c")).await.unwrap();
    agent.change(made("a/b/c")).await.unwrap();
    agent.put_file("a/b/c/file", "x").await.unwrap();
    agent.change(moved("a/b", "d")).await.unwrap();
    assert_eq!(agent.get_file("d/c/file").await.unwrap(), b"x");
    assert_eq!(agent.change(moved("d/c/file", "a")).await, refused(409, "already_exists"));
    assert_eq!(agent.change(moved("d", "d/c/e")).await, refused(422, "request_invalid"));
    agent.change(FileChange::SetMode { path: "d/c/file".into(), mode: 0o700 }).await.unwrap();
    assert_eq!(agent.stat_file("d/c/file").await.unwrap().mode, 0o700);
    let paths = vec!["d".into(), "a".into(), "never-there".into()];
    agent.change(FileChange::Delete { paths: paths.clone() }).await.unwrap();
    agent.change(FileChange::Delete { paths }).await.unwrap();
    assert_eq!(agent.list("").await.unwrap().entries, []);
    assert_eq!(agent.change(FileChange::Delete { paths: vec![] }).await, refused(422, "request_invalid"));
    assert_eq!(agent.usage().await.used_bytes, 0);
}

#[tokio::test]
async fn trees_that_their_owner_locked_or_made_endless_are_deleted() {
    let agent = TestAgent::start();
    let deep = agent.data().join("deep");
    std::fs::create_dir(&deep).unwrap();
    let mut here = rustix::fs::open(&deep, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    for _ in 0..3_000 {
        rustix::fs::mkdirat(&here, "d", rustix::fs::Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, "d", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
    }
    let locked = agent.data().join("locked/inner");
    std::fs::create_dir_all(&locked).unwrap();
    std::fs::write(locked.join("file"), "x").unwrap();
    for folder in [&locked, &agent.data().join("locked")] {
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o500)).unwrap();
    }
    let paths = vec!["deep".into(), "locked".into()];
    agent.change(FileChange::Delete { paths }).await.unwrap();
    assert_eq!(agent.list("").await.unwrap().entries, []);
    agent.assert_nothing_unfinished();
}

#[tokio::test]
async fn nonsense_is_refused_with_a_code() {
    let agent = TestAgent::start();
    for (body, status, code) in [
        ("{}", 422, "body_invalid"),
        ("{\"action\":\"format_disk\"}", 422, "body_invalid"),
        ("{\"action\":\"delete\",\"paths\":[\"a\"],\"force\":true}", 422, "body_invalid"),
        ("nonsense", 400, "body_invalid"),
    ] {
        let request = agent.files(Method::POST, "change", &[]).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        assert_eq!(checked(response).await.map(drop), refused(status, code), "{body}");
    }
    let query = [("path", "a"), ("if-match", "x")];
    assert_eq!(agent.put_with(&query, &[], "x").await, refused(400, "query_invalid"));
    assert_eq!(agent.put_with(&[], &[], "x").await, refused(400, "query_invalid"));
    let put = agent.put_with(&[("path", "a")], &[("if-none-match", "\"tag\"")], "x").await;
    assert_eq!(put, refused(422, "request_invalid"));
}
