//! Packing and unpacking what is meant well.

use std::{
    ffi::OsStr,
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::Path,
};

use domain::agent::{ArchiveFormat, FileJobSpec};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{names, noise, refused};
use crate::support::TestAgent;

pub fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub fn extract(path: &str, to: &str, replace: bool) -> FileJobSpec {
    FileJobSpec::Extract { path: path.into(), to: to.into(), replace }
}

fn pack(paths: &[&str], to: &str, format: ArchiveFormat) -> FileJobSpec {
    FileJobSpec::Archive {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        to: to.into(),
        format,
    }
}

/// Paths, modes, times and contents of a tree, seen from its top.
fn tree(folder: &Path) -> Vec<String> {
    let top = folder.to_str().unwrap();
    super::picture(folder).into_iter().map(|line| line.replace(top, "")).collect()
}

fn plant(folder: &Path) {
    std::fs::create_dir_all(folder.join("region/empty")).unwrap();
    let noise = noise(3_000_000);
    for (name, content, mode) in [
        ("level.dat", &b"level"[..], 0o644),
        ("region/r.0.0.mca", &noise, 0o600),
        ("region/nothing", b"", 0o444),
        ("start.sh", b"#!/bin/sh\n", 0o755),
        ("wörld", b"unicode", 0o640),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    // An even number of seconds: zip has no others.
    for path in
        ["level.dat", "region/r.0.0.mca", "region/nothing", "start.sh", "wörld", "region/empty", "region", ""]
    {
        let time = rustix::fs::Timespec { tv_sec: 1_500_000_000, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let file = std::fs::File::open(folder.join(path)).unwrap();
        rustix::fs::futimens(&file, &times).unwrap();
    }
}

#[tokio::test]
async fn a_tree_survives_packing_and_unpacking_in_every_format() {
    let agent = TestAgent::start();
    plant(&agent.data().join("world"));
    let mut before = tree(&agent.data().join("world"));
    // Its owner can always write what comes out.
    for line in &mut before {
        *line = line.replace("nothing 100444", "nothing 100644");
    }
    for (format, archive) in
        [(ArchiveFormat::Zip, "w.zip"), (ArchiveFormat::TarGz, "w.tgz"), (ArchiveFormat::TarZst, "w.zst")]
    {
        let job = agent.done_job(pack(&["world"], archive, format)).await;
        assert_eq!((job.done_entries, job.done_bytes, job.skipped_entries), (8, 3_000_022, 0), "{archive}");
        let to = format!("from-{archive}/deeper");
        agent.done_job(extract(archive, &to, false)).await;
        assert_eq!(tree(&agent.data().join(&to).join("world")), before, "{archive}");
        let size = agent.stat_file(archive).await.unwrap().size;
        assert!(size > 1_000_000, "noise does not shrink: {size}");
    }
    agent.assert_nothing_unfinished();
    let archives = ["w.zip", "w.tgz", "w.zst"].map(|name| agent.data().join(name).metadata().unwrap().len());
    assert_eq!(agent.usage().await.used_bytes, 3 * 3_000_022 + archives.iter().sum::<u64>());
}

#[tokio::test]
async fn archives_of_others_can_be_unpacked() {
    let agent = TestAgent::start();
    let folder = tempfile::TempDir::new().unwrap();
    plant(&folder.path().join("world"));
    let before = tree(&folder.path().join("world"));
    for arguments in [["-czf", "gnu.tgz"], ["-cf", "pax.tgz"]] {
        let mut tar = std::process::Command::new("tar");
        if arguments[1] == "pax.tgz" {
            tar.args(["--format=pax", "--gzip"]);
        }
        let target = agent.data().join(arguments[1]);
        let done =
            tar.arg(arguments[0]).arg(target).arg("-C").arg(folder.path()).arg("./world").status().unwrap();
        assert!(done.success());
        let to = format!("from-{}", arguments[1]);
        agent.done_job(extract(arguments[1], &to, false)).await;
        let after = tree(&agent.data().join(to).join("world"));
        assert_eq!(after.len(), before.len());
        assert_eq!(after[0].split(' ').next_back(), before[0].split(' ').next_back());
    }
}

#[tokio::test]
async fn packing_leaves_links_out_and_keeps_names_that_are_not_utf8() {
    let agent = TestAgent::start();
    let folder = agent.data().join("mods");
    std::fs::create_dir(&folder).unwrap();
    let odd = OsStr::from_bytes(b"odd\xFF");
    std::fs::write(folder.join(odd), "odd").unwrap();
    symlink("/etc/passwd", folder.join("link")).unwrap();
    let job = agent.done_job(pack(&["mods"], "mods.tar.zst", ArchiveFormat::TarZst)).await;
    assert_eq!(job.skipped_entries, 1);
    agent.done_job(extract("mods.tar.zst", "out", false)).await;
    assert_eq!(std::fs::read(agent.data().join("out/mods").join(odd)).unwrap(), b"odd");
    assert_eq!(names(&agent.data().join("out/mods")).len(), 1);
    assert_eq!(agent.failed_job(pack(&["mods"], "mods.zip", ArchiveFormat::Zip)).await, "request_invalid");
    assert_eq!(agent.stat_file("mods.zip").await, refused(404, "file_not_found"));
    agent.assert_nothing_unfinished();
}

#[tokio::test]
async fn several_paths_are_named_from_the_folder_they_share() {
    let agent = TestAgent::start();
    for path in ["a/one/x", "a/two/y", "a/three/z"] {
        agent.put_with(&[("path", path), ("parents", "true")], &[], path).await.unwrap();
    }
    agent.done_job(pack(&["a/two/y", "a/one", "a/one/x"], "some.zip", ArchiveFormat::Zip)).await;
    agent.done_job(extract("some.zip", "out", false)).await;
    assert_eq!(names(&agent.data().join("out")), ["one", "two"]);
    assert_eq!(agent.get_file("out/two/y").await.unwrap(), b"a/two/y");
    agent.done_job(pack(&[""], "all.tar.gz", ArchiveFormat::TarGz)).await;
    agent.done_job(extract("all.tar.gz", "all", false)).await;
    assert_eq!(names(&agent.data().join("all")), ["a", "out", "some.zip"]);
}

#[tokio::test]
async fn what_is_there_is_kept_unless_replacing_was_asked_for() {
    let agent = TestAgent::start();
    let archive =
        zip_of(&[("config/a.yml", b"new a"), ("config/b.yml", b"new b"), ("fresh/c.yml", b"new c")]);
    agent.put_file("p.zip", archive).await.unwrap();
    agent.put_with(&[("path", "s/config/b.yml"), ("parents", "true")], &[], "old b").await.unwrap();
    agent.put_file("s/config/own.yml", "own").await.unwrap();
    let before = super::picture(&agent.data());
    assert_eq!(agent.failed_job(extract("p.zip", "s", false)).await, "already_exists");
    assert_eq!(agent.failed_job(extract("p.zip", "s/config/own.yml", false)).await, "not_a_folder");
    agent.assert_nothing_unfinished();
    let own = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| !line.contains("/.zlh-files ")).collect()
    };
    assert_eq!(own(super::picture(&agent.data())), own(before), "a refused extraction changes nothing");
    agent.done_job(extract("p.zip", "s", true)).await;
    for (path, content) in
        [("a.yml", "new a"), ("b.yml", "new b"), ("own.yml", "own"), ("../fresh/c.yml", "new c")]
    {
        let read = std::fs::read_to_string(agent.data().join("s/config").join(path)).unwrap();
        assert_eq!(read, content, "{path}");
    }
    agent.assert_nothing_unfinished();
}

/// A folder stands where the archive has a file, but only the last one: what was moved before it is taken back.
#[tokio::test]
async fn something_in_the_way_stops_an_extraction_before_it_changes_anything() {
    let agent = TestAgent::start();
    agent.put_file("p.zip", zip_of(&[("a", b"new"), ("b", b"new"), ("z", b"new")])).await.unwrap();
    for path in ["t/a", "t/z/inside"] {
        agent.put_with(&[("path", path), ("parents", "true")], &[], "old").await.unwrap();
    }
    symlink("../p.zip", agent.data().join("t/b")).unwrap();
    assert_eq!(agent.failed_job(extract("p.zip", "t", true)).await, "already_exists");
    assert_eq!(agent.get_file("t/a").await.unwrap(), b"old");
    assert_eq!(agent.get_file("t/z/inside").await.unwrap(), b"old");
    assert!(agent.data().join("t/b").symlink_metadata().unwrap().is_symlink());
    let target = agent.data().join("p.zip").metadata().unwrap();
    assert!(target.nlink() == 1 && target.len() > 0);
    agent.assert_nothing_unfinished();
}
