//! Long work: how it begins, is watched, and ends.

use std::os::unix::fs::symlink;

use domain::agent::{FileJob, FileJobSpec, FileJobState};
use reqwest::Method;

use super::{checked, names, refused};
use crate::support::TestAgent;

fn copy(from: &str, to: &str) -> FileJobSpec {
    FileJobSpec::Copy { from: from.into(), to: to.into() }
}

fn search(path: &str, name: &str) -> FileJobSpec {
    FileJobSpec::Search { path: path.into(), name: name.into() }
}

async fn cancel(agent: &TestAgent, job: &FileJob) -> FileJob {
    let id = job.id.to_string();
    let response = agent.files(Method::DELETE, "jobs", &[("id", &id)]).send().await.unwrap();
    checked(response).await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_folder_is_copied_with_all_that_is_in_it() {
    let agent = TestAgent::start();
    let from = agent.data().join("world");
    std::fs::create_dir_all(from.join("a/b")).unwrap();
    std::fs::write(from.join("a/b/file"), vec![7; 5_000_000]).unwrap();
    symlink("../nowhere", from.join("a/link")).unwrap();
    let job = agent.done_job(copy("world", "backup")).await;
    assert_eq!((job.done_bytes, job.skipped_entries), (5_000_000, 0));
    let to = agent.data().join("backup");
    assert_eq!(std::fs::read(to.join("a/b/file")).unwrap(), vec![7; 5_000_000]);
    assert_eq!(std::fs::read_link(to.join("a/link")).unwrap().to_str(), Some("../nowhere"));
    let modified = |folder: &std::path::Path| folder.join("a").metadata().unwrap().modified().unwrap();
    assert_eq!(modified(&from), modified(&to));
    assert_eq!(agent.failed_job(copy("world", "backup")).await, "already_exists");
    agent.done_job(copy("world", "world/in-itself")).await;
    assert_eq!(names(&from.join("in-itself")), ["a"]);
    agent.done_job(copy("world/a/b/file", "single")).await;
    assert_eq!(agent.stat_file("single").await.unwrap().size, 5_000_000);
    assert_eq!(agent.failed_job(copy("world/a/b/file", "none/single")).await, "file_not_found");
    agent.assert_nothing_unfinished();
}

#[tokio::test]
async fn names_are_found_whatever_their_case() {
    let agent = TestAgent::start();
    for path in ["plugins/WorldEdit.jar", "plugins/deep/worldguard.yml", "server.jar", "WÖRLD.txt"] {
        agent.put_with(&[("path", path), ("parents", "true")], &[], "x").await.unwrap();
    }
    let found = async |path: &str, name: &str| {
        let job = agent.done_job(search(path, name)).await;
        let mut found: Vec<String> = job.found.into_iter().map(|entry| entry.path).collect();
        found.sort();
        found
    };
    assert_eq!(found("", "WORLD").await, ["plugins/WorldEdit.jar", "plugins/deep/worldguard.yml"]);
    assert_eq!(found("plugins/deep", "world").await, ["plugins/deep/worldguard.yml"]);
    assert_eq!(found("", "wörld").await, ["W%C3%96RLD.txt"]);
    assert_eq!(found("", "../").await, [""; 0]);
    assert_eq!(agent.failed_job(search("", "")).await, "request_invalid");
    for number in 0..1_200 {
        std::fs::write(agent.data().join(format!("plugins/many-{number}")), "").unwrap();
    }
    let job = agent.done_job(search("", "many")).await;
    assert_eq!((job.found.len(), job.truncated), (1_000, true));
}

#[tokio::test]
async fn few_jobs_run_a_few_wait_and_each_can_be_cancelled() {
    let agent = TestAgent::start();
    let big = std::fs::File::create(agent.data().join("big")).unwrap();
    big.set_len(200 << 30).unwrap();
    // Ten that would take minutes: two run, eight wait.
    let mut jobs = Vec::new();
    for number in 0..10 {
        let (paths, to) = (vec!["big".to_owned()], format!("{number}.tar.gz"));
        let format = domain::agent::ArchiveFormat::TarGz;
        jobs.push(agent.begin_job(&FileJobSpec::Archive { paths, to, format }).await.unwrap());
    }
    let one_more = agent.begin_job(&search("", "x")).await;
    assert_eq!(one_more.map(drop), refused(429, "too_many_at_once"));
    let still = agent.see_job(&jobs[0].id.to_string(), "200").await.unwrap();
    assert_eq!(still.state, FileJobState::Running);
    for job in &jobs {
        cancel(&agent, job).await;
    }
    for job in &jobs {
        let ended = agent.see_job(&job.id.to_string(), "20000").await.unwrap();
        assert_eq!((ended.state, ended.error), (FileJobState::Cancelled, None));
    }
    assert_eq!(cancel(&agent, &jobs[0]).await.state, FileJobState::Cancelled);
    agent.assert_nothing_unfinished();
    assert_eq!(names(&agent.data()), [".zlh-files", "big"]);
    agent.done_job(search("", "big")).await;
    let unknown = uuid::Uuid::now_v7().to_string();
    assert_eq!(agent.see_job(&unknown, "0").await.map(drop), refused(404, "job_not_found"));
    assert_eq!(agent.see_job("x", "0").await.map(drop), refused(400, "query_invalid"));
}
