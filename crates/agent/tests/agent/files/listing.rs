//! Folders as callers see them.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use domain::agent::{FileKind, FileList};
use reqwest::Method;

use super::{checked, refused};
use crate::support::TestAgent;

async fn page(agent: &TestAgent, path: &str, after: &str, limit: &str) -> FileList {
    let query = [("path", path), ("after", after), ("limit", limit)];
    let response = agent.files(Method::GET, "list", &query).send().await.unwrap();
    checked(response).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn ten_thousand_entries_come_in_pages_each_once_and_sorted() {
    let agent = TestAgent::start();
    let folder = agent.data().join("many");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..10_000 {
        std::fs::write(folder.join(format!("file-{number}")), "").unwrap();
    }
    for (limit, pages) in [("1000", 10), ("999", 11), ("5000", 10)] {
        let (mut seen, mut after, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let page = page(&agent, "many", &after, limit).await;
            assert!(page.entries.len() <= 1_000);
            seen.extend(page.entries.into_iter().map(|entry| entry.name));
            count += 1;
            let Some(next) = page.next else { break };
            after = next;
        }
        assert_eq!((seen.len(), count), (10_000, pages), "limit {limit}");
        assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]));
    }
}

#[tokio::test]
async fn entries_say_what_they_are() {
    let agent = TestAgent::start();
    let data = agent.data();
    std::fs::create_dir(data.join("folder")).unwrap();
    std::fs::write(data.join("file"), "12345").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", data.join("link")).unwrap();
    std::fs::create_dir(data.join(".zlh-tmp")).unwrap();
    let list = agent.list("").await.unwrap();
    let seen: Vec<_> =
        list.entries.iter().map(|entry| (entry.path.as_str(), entry.kind, entry.size)).collect();
    let expected =
        [("file", FileKind::File, 5), ("folder", FileKind::Folder, 0), ("link", FileKind::Link, 0)];
    assert_eq!(seen, expected, "and nothing of the agent's own");
    assert_eq!(list.entries[2].target.as_deref(), Some("/etc/passwd"));
    assert!(list.entries[0].etag.is_some() && list.entries[1].etag.is_none());
    assert_eq!(list.next, None);
    assert_eq!(agent.stat_file("file").await.unwrap(), list.entries[0]);
    let root = agent.stat_file("").await.unwrap();
    assert_eq!((root.kind, root.path.as_str()), (FileKind::Folder, ""));
    assert_eq!(agent.list("none").await, refused(404, "file_not_found"));
}

#[tokio::test]
async fn names_that_are_not_utf8_are_listed_read_and_deleted() {
    let agent = TestAgent::start();
    let names: [&[u8]; 6] = [b"\xFF\xFE", "wörld".as_bytes(), b"a b", b"100%", b"new\nline", b"..\\x"];
    for name in names {
        std::fs::write(agent.data().join(OsStr::from_bytes(name)), name).unwrap();
    }
    let list = agent.list("").await.unwrap();
    assert_eq!(list.entries.len(), names.len());
    for entry in &list.entries {
        let content = agent.get_file(&entry.path).await.unwrap();
        assert!(names.contains(&content.as_slice()), "{entry:?}");
        let copy = format!("copy-{}", entry.path);
        agent.put_file(&copy, content).await.unwrap();
        assert_eq!(agent.stat_file(&copy).await.unwrap().path, copy);
    }
    let paths = agent.list("").await.unwrap().entries.into_iter().map(|entry| entry.path).collect();
    agent.change(domain::agent::FileChange::Delete { paths }).await.unwrap();
    assert_eq!(agent.list("").await.unwrap().entries, []);
}
