//! Archives, most of them hostile.

use std::{io::Write, os::unix::fs::PermissionsExt};

use domain::agent::{AgentStatus, FaultCode, Unpack};
use tar::{Builder, EntryType, Header};

use crate::{
    source::{Answer, Source},
    support::TestAgent,
};

/// An entry with a name and a link that tar's own builder would refuse.
struct Item(EntryType, &'static str, &'static str);

fn file(name: &'static str) -> Item {
    Item(EntryType::Regular, name, "")
}

fn archive(items: &[Item]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for Item(kind, name, link) in items {
        let content: &[u8] = if *kind == EntryType::Regular { b"content" } else { b"" };
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o6755);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn unpack(agent: &TestAgent, bytes: Vec<u8>, format: Unpack, into: &str) -> AgentStatus {
    let source = Source::start(vec![Answer::File(bytes.clone())]).await;
    agent.install("1", vec![source.step(&bytes, into, Some(format))]).await
}

#[tokio::test]
async fn files_folders_and_inner_links_are_unpacked() {
    let items = [
        Item(EntryType::Directory, "bin/", ""),
        file("bin/server"),
        file("./lib/deep/one"),
        Item(EntryType::Symlink, "bin/current", "../lib/deep/one"),
        Item(EntryType::Link, "lib/same", "bin/server"),
        Item(EntryType::Symlink, "link", "lib/deep"),
        file("link/two"),
    ];
    let plain = archive(&items);
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for (bytes, format, into) in [
        (gzip(&plain), Unpack::TarGz, "."),
        (zstd, Unpack::TarZst, "games/one"),
        (gzip(&plain), Unpack::TarGz, "games/one"),
    ] {
        let agent = TestAgent::start();
        let status = unpack(&agent, bytes, format, into).await;
        assert_eq!(status.error, None);
        let root = agent.data().join(into);
        for path in ["bin/server", "lib/deep/one", "bin/current", "lib/same", "lib/deep/two", "link/one"] {
            assert_eq!(std::fs::read(root.join(path)).unwrap(), b"content", "{path}");
        }
        let mode = root.join("bin/server").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "no set-uid bits");
        assert!(!agent.data().join(".zlh-tmp").exists());
    }
}

#[tokio::test]
async fn nothing_leaves_the_folder() {
    let agent = TestAgent::start();
    let outside = agent.root.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let long = Box::leak(outside.display().to_string().into_boxed_str());
    let absolute = Box::leak(format!("{long}/x").into_boxed_str());
    let link = |name, to| Item(EntryType::Symlink, name, to);
    let hostile: Vec<Vec<Item>> = vec![
        vec![file("../outside/x")],
        vec![file("a/../../outside/x")],
        vec![file(absolute)],
        vec![link("l", "../outside"), file("l/x")],
        vec![link("l", long), file("l/x")],
        vec![link("l", "a/../../outside")],
        vec![link("here", "."), link("here/l", "../outside")],
        vec![
            Item(EntryType::Directory, "a/", ""),
            link("a/s", ".."),
            link("a/s/l", "../outside"),
            file("l/x"),
        ],
        vec![Item(EntryType::Link, "l", "../agent/trust.json")],
        vec![Item(EntryType::Link, "l", "/etc/passwd")],
        vec![Item(EntryType::Char, "device", "")],
        vec![Item(EntryType::Fifo, "pipe", "")],
        vec![file(".zlh-tmp/x")],
    ];
    for (number, items) in hostile.iter().enumerate() {
        let status = unpack(&agent, gzip(&archive(items)), Unpack::TarGz, ".").await;
        let fault = status.error.unwrap_or_else(|| panic!("case {number} was unpacked"));
        assert_eq!(fault.code, FaultCode::InstallFailed, "case {number}: {}", fault.message);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "case {number}");
        assert_eq!(links_out(&agent.data()), [""; 0], "case {number}");
        std::fs::remove_dir_all(agent.data()).unwrap();
        std::fs::create_dir(agent.data()).unwrap();
    }
}

/// Links below `dir` that lead out of it.
fn links_out(dir: &std::path::Path) -> Vec<String> {
    let base = dir.canonicalize().unwrap();
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_symlink() && path.canonicalize().is_ok_and(|to| !to.starts_with(&base)) {
                found.push(path.display().to_string());
            } else if path.is_dir() && !path.is_symlink() {
                open.push(path);
            }
        }
    }
    found
}

#[tokio::test]
async fn a_damaged_archive_leaves_no_partial_file_under_its_name() {
    let agent = TestAgent::start();
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(1_000_000);
    header.set_cksum();
    builder.append_data(&mut header, "world/level.dat", vec![1; 1_000_000].as_slice()).unwrap();
    let whole = builder.into_inner().unwrap();
    for bytes in [gzip(&whole[..500_000]), gzip(&whole)[..700].to_vec(), b"not an archive".to_vec()] {
        let status = unpack(&agent, bytes, Unpack::TarGz, ".").await;
        let fault = status.error.unwrap();
        assert_eq!(fault.code, FaultCode::InstallFailed);
        assert!(fault.message.contains("damaged"), "{}", fault.message);
        assert!(!agent.data().join("world/level.dat").exists());
    }
    let status = unpack(&agent, gzip(&whole), Unpack::TarGz, ".").await;
    assert_eq!(status.error, None, "the next try is not hindered");
    assert_eq!(agent.data().join("world/level.dat").metadata().unwrap().len(), 1_000_000);
}
