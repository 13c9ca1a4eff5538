//! Disk space, broken uploads, memory.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use domain::agent::{ArchiveFormat, FileChange, FileJobSpec};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use super::{
    archives::{extract, zip_of},
    names, noise, refused,
};
use crate::support::TestAgent;

const MIB: usize = 1 << 20;

/// A body of unknown length.
fn chunks(count: usize) -> reqwest::Body {
    let chunk = vec![1_u8; MIB / 4];
    let chunks = std::iter::repeat_n(chunk, count * 4).map(Ok::<_, std::io::Error>);
    reqwest::Body::wrap_stream(tokio_stream::iter(chunks))
}

#[tokio::test]
async fn a_folder_that_nobody_can_enter_keeps_nothing_from_being_counted_or_found() {
    let mut agent = TestAgent::start_as_user();
    agent.change(FileChange::MakeFolder { path: "closed".into() }).await.unwrap();
    agent.put_file("closed/inside", vec![0; MIB]).await.unwrap();
    agent.put_file("wanted", vec![0; MIB]).await.unwrap();
    let closed = agent.data().join("closed");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o644)).unwrap();
    agent.kill();
    agent.boot_again();
    assert_eq!(agent.usage().await.used_bytes, MIB as u64);
    let found = agent.done_job(FileJobSpec::Search { path: String::new(), name: "wanted".into() }).await;
    assert_eq!(found.found.len(), 1);
    // The customer can get in again, and cannot be kept out by a mode.
    for (mode, expected) in [(0o700, 0o700), (0, 0o700), (0o644, 0o744)] {
        agent.change(FileChange::SetMode { path: "closed".into(), mode }).await.unwrap();
        assert_eq!(std::fs::metadata(&closed).unwrap().permissions().mode() & 0o777, expected);
    }
    agent.change(FileChange::SetMode { path: "wanted".into(), mode: 0 }).await.unwrap();
    assert_eq!(agent.get_file("wanted").await.unwrap().len(), MIB);
}

#[tokio::test]
async fn what_lies_too_deep_for_a_path_keeps_nothing_from_being_counted() {
    let mut agent = TestAgent::start();
    agent.put_file("file", vec![0; MIB]).await.unwrap();
    let deepest = agent.data().join(vec!["d"; 128].join("/"));
    std::fs::create_dir_all(&deepest).unwrap();
    // Of the game's making: a name of ours, and one that would be a customer's.
    for name in [".zlh-a", "a"] {
        std::fs::write(deepest.join(name), "x").unwrap();
    }
    agent.kill();
    agent.boot_again();
    assert!(agent.usage().await.used_bytes >= MIB as u64);
    agent.put_file("other", vec![0; MIB]).await.unwrap();
}

#[tokio::test]
async fn what_would_pass_the_plans_disk_space_is_refused_and_leaves_nothing() {
    let agent = TestAgent::start();
    agent.limit_disk(10 * MIB as u64).await;
    let full = || refused(507, "quota_exceeded");
    assert_eq!(agent.put_file("big", vec![0; 11 * MIB]).await, full(), "told by its length");
    assert_eq!(agent.put_file("big", chunks(11)).await, full(), "noticed on the way");
    assert_eq!(names(&agent.data()), [".zlh-files"]);
    agent.put_file("file", chunks(6)).await.unwrap();
    assert_eq!(agent.usage().await.used_bytes, 6 * MIB as u64);
    let copy = FileJobSpec::Copy { from: "file".into(), to: "copy".into() };
    assert_eq!(agent.failed_job(copy).await, "quota_exceeded");
    agent.put_file("noise", noise(3 * MIB)).await.unwrap();
    let paths = vec!["noise".to_owned()];
    let pack = FileJobSpec::Archive { paths, to: "noise.zip".into(), format: ArchiveFormat::Zip };
    assert_eq!(agent.failed_job(pack).await, "quota_exceeded");
    let zip = zip_of(&[("a", &vec![0; MIB]), ("b", &vec![0; MIB])]);
    agent.put_file("z.zip", zip).await.unwrap();
    assert_eq!(agent.failed_job(extract("z.zip", "out", false)).await, "quota_exceeded");
    assert_eq!(names(&agent.data()), [".zlh-files", "file", "noise", "z.zip"]);
    agent.assert_nothing_unfinished();
    // What is replaced makes room for what replaces it.
    agent.put_file("file", vec![2; 6 * MIB]).await.unwrap();
    assert_eq!(agent.put_file("file", chunks(8)).await, full());
    assert_eq!(agent.get_file("file").await.unwrap(), vec![2; 6 * MIB], "the old one is kept");
    agent.change(FileChange::Delete { paths: vec!["file".into()] }).await.unwrap();
    agent.put_file("file", chunks(6)).await.unwrap();
}

#[tokio::test]
async fn uploads_at_once_cannot_share_the_last_bytes() {
    let agent = TestAgent::start();
    agent.limit_disk(10 * MIB as u64).await;
    let put = async |name: &'static str| agent.put_file(name, chunks(6)).await.is_ok();
    let done = tokio::join!(put("a"), put("b"), put("c"), put("d"));
    let count = [done.0, done.1, done.2, done.3].into_iter().filter(|done| *done).count();
    assert!(count <= 1, "{done:?}");
    let used = agent.usage().await.used_bytes;
    assert_eq!(used, (count * 6 * MIB) as u64);
    agent.put_file("small", vec![0; 3 * MIB]).await.unwrap();
    agent.assert_nothing_unfinished();
}

#[tokio::test]
async fn what_the_server_writes_itself_is_counted_at_boot() {
    let mut agent = TestAgent::start();
    agent.limit_disk(10 * MIB as u64).await;
    agent.kill();
    std::fs::write(agent.data().join("world"), vec![0; 8 * MIB]).unwrap();
    std::fs::hard_link(agent.data().join("world"), agent.data().join("same")).unwrap();
    std::fs::create_dir_all(agent.data().join(".zlh-files/7/deep")).unwrap();
    std::fs::write(agent.data().join(".zlh-files/7/deep/left"), vec![0; MIB]).unwrap();
    agent.boot_again();
    assert_eq!(agent.usage().await.used_bytes, 8 * MIB as u64);
    assert_eq!(names(&agent.data().join(".zlh-files")), [""; 0], "what a killed agent left is gone");
    assert_eq!(agent.put_file("big", vec![0; 3 * MIB]).await, refused(507, "quota_exceeded"));
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    let agent = TestAgent::start();
    agent.put_file("file", "old").await.unwrap();
    for promised in [Some("10000000"), None] {
        let (send, receive) = mpsc::channel::<std::io::Result<Vec<u8>>>(1);
        let body = reqwest::Body::wrap_stream(ReceiverStream::new(receive));
        let mut request = agent.files(reqwest::Method::PUT, "content", &[("path", "file")]).body(body);
        if let Some(length) = promised {
            request = request.header("content-length", length);
        }
        let upload = tokio::spawn(request.send());
        for _ in 0..8 {
            send.send(Ok(vec![0; MIB / 2])).await.unwrap();
        }
        let scratch = agent.data().join(".zlh-files");
        crate::support::eventually("an upload under way", || !names(&scratch).is_empty());
        send.send(Err(std::io::Error::other("the cable was pulled"))).await.unwrap();
        assert!(upload.await.unwrap().is_err());
        agent.assert_nothing_unfinished();
        assert_eq!(agent.get_file("file").await.unwrap(), b"old");
    }
    assert_eq!(agent.usage().await.used_bytes, 3);
}

#[tokio::test]
async fn an_agent_killed_in_the_middle_of_an_upload_leaves_nothing() {
    let mut agent = TestAgent::start();
    agent.put_file("file", "old").await.unwrap();
    let (send, receive) = mpsc::channel::<std::io::Result<Vec<u8>>>(1);
    let body = reqwest::Body::wrap_stream(ReceiverStream::new(receive));
    let upload =
        tokio::spawn(agent.files(reqwest::Method::PUT, "content", &[("path", "file")]).body(body).send());
    for _ in 0..8 {
        send.send(Ok(vec![0; MIB / 2])).await.unwrap();
    }
    // What was sent may still be on its way.
    let begun = async {
        while names(&agent.data().join(".zlh-files")).len() != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), begun).await.expect("one unfinished file");
    agent.kill();
    assert!(upload.await.unwrap().is_err());
    agent.boot_again();
    assert_eq!(agent.usage().await.used_bytes, 3);
    agent.assert_nothing_unfinished();
    assert_eq!(agent.get_file("file").await.unwrap(), b"old");
}

/// Uploads and downloads 400 MiB; the agent's memory does not grow with them.
#[tokio::test]
async fn long_files_pass_at_constant_memory() {
    const SIZE: usize = 400;
    let agent = TestAgent::start();
    agent.put_file("warm-up", chunks(8)).await.unwrap();
    let before = agent.memory_peak_kib();
    let info = agent.put_file("long", chunks(SIZE)).await.unwrap();
    assert_eq!(info.size, (SIZE * MIB) as u64);
    let response = agent.files(reqwest::Method::GET, "content", &[("path", "long")]).send().await.unwrap();
    let (mut body, mut length) = (response.bytes_stream(), 0);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.unwrap();
        assert!(chunk.iter().all(|byte| *byte == 1));
        length += chunk.len();
    }
    assert_eq!(length, SIZE * MIB);
    let grown = agent.memory_peak_kib() - before;
    assert!(grown < 16 * 1024, "the agent grew by {grown} KiB");
}

/// A disk that is really full: a small one is mounted as the customer's folder.
#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing() {
    let mut agent = TestAgent::start();
    agent.kill();
    let disk = Disk::mount(&agent.data());
    agent.boot_again();
    let full = || refused(507, "disk_full");
    assert_eq!(agent.put_file("big", chunks(6)).await, full());
    assert_eq!(agent.put_file("big", vec![0; 6 * MIB]).await, full());
    agent.put_file("file", vec![0; 2 * MIB + MIB / 2]).await.unwrap();
    let copy = FileJobSpec::Copy { from: "file".into(), to: "copy".into() };
    assert_eq!(agent.failed_job(copy).await, "disk_full");
    agent.put_file("z.zip", zip_of(&[("a", &vec![0; 2 * MIB])])).await.unwrap();
    assert_eq!(agent.failed_job(extract("z.zip", "out", false)).await, "disk_full");
    assert_eq!(names(&agent.data()), [".zlh-files", "file", "z.zip"]);
    agent.assert_nothing_unfinished();
    agent.put_file("small", vec![0; MIB]).await.unwrap();
    agent.kill();
    drop(disk);
}

/// A file system of 4 MiB in memory.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(at: &std::path::Path) -> Self {
        mount("tmpfs", at, "tmpfs", MountFlags::empty(), Some(c"size=4m"))
            .expect("this test runs as root, to mount a small disk");
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

/// A caller who promises a body and sends none of it holds nothing that others need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_stand_still_are_bounded_in_number() {
    let agent = TestAgent::start();
    let mut waiting = Vec::new();
    for number in 0..16 {
        let (send, receive) = mpsc::channel::<std::io::Result<Vec<u8>>>(1);
        let body = reqwest::Body::wrap_stream(ReceiverStream::new(receive));
        let path = format!("waiting-{number}");
        let request = agent.files(reqwest::Method::PUT, "content", &[("path", &path)]).body(body);
        waiting.push((tokio::spawn(request.send()), send));
    }
    let scratch = agent.data().join(".zlh-files");
    crate::support::eventually("sixteen uploads", || names(&scratch).len() == 16);
    assert_eq!(agent.put_file("more", "x").await, refused(429, "too_many_at_once"));
    assert_eq!(agent.list("").await.unwrap().entries, [], "others are served");
    for (upload, _) in &waiting {
        upload.abort();
    }
    agent.assert_nothing_unfinished();
    agent.put_file("more", "x").await.unwrap();
}

/// A restore swaps the whole folder by a rename. An upload that was begun before it would end up in the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_a_restore_overtakes_is_refused() {
    let agent = TestAgent::start();
    let (send, receive) = mpsc::channel::<std::io::Result<Vec<u8>>>(1);
    let body = reqwest::Body::wrap_stream(ReceiverStream::new(receive));
    let upload =
        tokio::spawn(agent.files(reqwest::Method::PUT, "content", &[("path", "file")]).body(body).send());
    send.send(Ok(vec![0; MIB])).await.unwrap();
    let scratch = agent.data().join(".zlh-files");
    crate::support::eventually("an upload under way", || !names(&scratch).is_empty());
    std::fs::rename(agent.data(), agent.root.path().join("previous")).unwrap();
    std::fs::create_dir(agent.data()).unwrap();
    drop(send);
    let response = upload.await.unwrap().unwrap();
    assert_eq!(super::checked(response).await.map(drop), refused(409, "files_restored"));
    assert_eq!(agent.list("").await.unwrap().entries, [], "the new folder is served");
}

#[tokio::test]
async fn an_installation_that_does_not_fit_is_told_before_or_while_it_is_unpacked() {
    use crate::source::{Answer, Source};
    use domain::agent::{FaultCode, InstallStep, ServiceSpec, Unpack};
    let agent = TestAgent::start();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2 * MIB as u64);
    builder.append_data(&mut header, "world", &vec![0; 2 * MIB][..]).unwrap();
    let archive = zstd::encode_all(&builder.into_inner().unwrap()[..], 1).unwrap();
    let large = noise(2 * MIB);
    let install = async |revision: &str, step: InstallStep, limit: usize| {
        let spec = ServiceSpec {
            revision: revision.into(),
            install: vec![step],
            disk_limit_bytes: Some(limit as u64),
            ..crate::support::script("exit 0")
        };
        agent.put(&spec).await.unwrap();
        agent.until_installed().await.error.map(|fault| fault.code)
    };
    let source = Source::start(vec![Answer::File(large.clone())]).await;
    let step = source.step(&large, "file", None);
    assert_eq!(install("1", step, MIB).await, Some(FaultCode::DiskFull));
    for (revision, limit, expected) in
        [("2", MIB, Some(FaultCode::DiskFull)), ("3", 3 * MIB, None), ("4", 3 * MIB, None)]
    {
        let source = Source::start(vec![Answer::File(archive.clone())]).await;
        let step = source.step(&archive, ".", Some(Unpack::TarZst));
        assert_eq!(install(revision, step, limit).await, expected, "revision {revision}");
    }
    assert_eq!(agent.stat_file("world").await.unwrap().size, 2 * MIB as u64);
}
