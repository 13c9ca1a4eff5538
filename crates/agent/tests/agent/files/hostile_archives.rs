//! Archives that nobody means well with. Each is refused with a reason, and leaves nothing anywhere.

use std::io::{Cursor, Write};

use tar::{EntryType, Header};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    archives::{extract, zip_of},
    names, picture,
};
use crate::support::TestAgent;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A good file, and then one entry as tar's own builder would not write it.
fn tar_with(kind: EntryType, name: &[u8], link: &[u8], size: u64, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut good = Header::new_gnu();
    good.set_size(4);
    good.set_mode(0o644);
    builder.append_data(&mut good, "good", &b"good"[..]).unwrap();
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o6777);
    header.set_mtime(0);
    if kind == EntryType::GNUSparse {
        header.as_gnu_mut().unwrap().set_real_size(size);
    }
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    builder.append(&header, content).unwrap();
    gzip(&builder.into_inner().unwrap())
}

fn tar_file(name: &[u8]) -> Vec<u8> {
    tar_with(EntryType::Regular, name, b"", 4, b"evil")
}

/// A PAX header that gives the next entry another name.
fn pax(path: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", path.as_bytes())]).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o644);
    builder.append_data(&mut header, "plain", &b"evil"[..]).unwrap();
    gzip(&builder.into_inner().unwrap())
}

fn zip_link(name: &str, target: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
    writer.start_file(format!("{name}/file"), SimpleFileOptions::default()).unwrap();
    writer.write_all(b"evil").unwrap();
    writer.finish().unwrap().into_inner()
}

/// The zip with other bytes in the place of a name, in both headers.
fn renamed(name: &[u8]) -> Vec<u8> {
    let placeholder = vec![b'X'; name.len()];
    let text = String::from_utf8(placeholder.clone()).unwrap();
    let mut zip = zip_of(&[("good", b"good"), (&text, b"evil")]);
    let mut at = 0;
    while let Some(found) = zip[at..].windows(name.len()).position(|window| window == placeholder) {
        zip[at + found..at + found + name.len()].copy_from_slice(name);
        at += found + name.len();
    }
    zip
}

/// One compressed mebibyte of zeros, named by many entries of the central directory.
fn overlapping(entries: u16) -> Vec<u8> {
    let one = zip_of(&[("00000", &vec![0; 1 << 20])]);
    let end = one.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    let directory = u32::from_le_bytes(one[end + 16..end + 20].try_into().unwrap()) as usize;
    let header = &one[directory..end];
    let mut zip = one[..directory].to_vec();
    for number in 0..entries {
        let mut header = header.to_vec();
        let name = header.windows(5).position(|window| window == b"00000").unwrap();
        header[name..name + 5].copy_from_slice(format!("{number:05}").as_bytes());
        zip.extend(header);
    }
    let mut tail = one[end..].to_vec();
    tail[8..10].copy_from_slice(&entries.to_le_bytes());
    tail[10..12].copy_from_slice(&entries.to_le_bytes());
    let length = u32::try_from(zip.len() - directory).unwrap();
    tail[12..16].copy_from_slice(&length.to_le_bytes());
    zip.extend(tail);
    zip
}

/// Zeros, as few bytes as a format can make of them.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_size((mebibytes << 20) as u64);
    header.set_path("zeros").unwrap();
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.write_all(header.as_bytes()).unwrap();
    let mebibyte = vec![0; 1 << 20];
    for _ in 0..mebibytes {
        encoder.write_all(&mebibyte).unwrap();
    }
    encoder.finish().unwrap()
}

/// A GNU long name that is announced, and held in memory by whoever believes it.
fn long_name() -> Vec<u8> {
    let name = vec![b'a'; 40 << 20];
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(name.len() as u64);
    header.set_cksum();
    gzip(&[header.as_bytes().as_slice(), &name].concat())
}

#[tokio::test]
async fn hostile_archives_are_refused_and_leave_nothing() {
    let agent = TestAgent::start();
    let outside = agent.root.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "untouched").unwrap();
    std::fs::create_dir(agent.data().join("taken")).unwrap();
    let before = picture(&outside);
    let long = vec![b'n'; 300];
    let refused = "archive_refused";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("zip: up", renamed(b"../outside/file"), refused),
        ("zip: up later", renamed(b"a/../../outside/file"), refused),
        ("zip: absolute", renamed(b"/tmp/zlh-evil"), refused),
        ("zip: backslashes", renamed(b"..\\outside\\file"), refused),
        ("zip: drive", renamed(b"C:\\evil"), refused),
        ("zip: NUL", renamed(b"a\0b"), refused),
        ("zip: dot", renamed(b"a/./b"), refused),
        ("zip: empty part", renamed(b"a//b"), refused),
        ("zip: long name", renamed(&long), refused),
        ("zip: reserved", renamed(b".zlh-files/0"), refused),
        ("zip: deep", renamed("d/".repeat(200).as_bytes()), refused),
        ("zip: link", zip_link("l", "../outside"), refused),
        ("zip: bomb of entries that overlap", overlapping(2_000), refused),
        ("zip: bomb", zip_of(&[("zeros", &vec![0; 60 << 20])]), refused),
        ("zip: cut off", zip_of(&[("a", b"content")])[..40].to_vec(), "archive_damaged"),
        ("tar: up", tar_file(b"../outside/file"), refused),
        ("tar: up later", tar_file(b"a/../../outside/file"), refused),
        ("tar: absolute", tar_file(b"/tmp/zlh-evil"), refused),
        ("tar: double slash", tar_file(b"//tmp/zlh-evil"), refused),
        ("tar: backslashes", tar_file(b"..\\outside\\file"), refused),
        ("tar: reserved", tar_file(b".zlh-tmp/x"), refused),
        ("tar: PAX up", pax("../outside/file"), refused),
        ("tar: PAX absolute", pax("/tmp/zlh-evil"), refused),
        ("tar: link", tar_with(EntryType::Symlink, b"l", b"../outside", 0, b""), refused),
        ("tar: inner link", tar_with(EntryType::Symlink, b"l", b"good", 0, b""), refused),
        ("tar: hard link", tar_with(EntryType::Link, b"l", b"../outside/file", 0, b""), refused),
        ("tar: device", tar_with(EntryType::Char, b"null", b"", 0, b""), refused),
        ("tar: disk", tar_with(EntryType::Block, b"sda", b"", 0, b""), refused),
        ("tar: FIFO", tar_with(EntryType::Fifo, b"fifo", b"", 0, b""), refused),
        ("tar: sparse", tar_with(EntryType::GNUSparse, b"sparse", b"", 0, b""), refused),
        ("tar: a file below a file", tar_file(b"good/evil"), "not_a_folder"),
        ("tar: size without end", tar_with(EntryType::Regular, b"big", b"", 1 << 50, b""), refused),
        ("tar: cut off", tar_with(EntryType::Regular, b"big", b"", 1 << 20, b"short"), "archive_damaged"),
        ("tar: long name", long_name(), refused),
        ("tar: bomb", bomb(200), refused),
        ("gzip of nothing that is a tar", gzip(b"hello"), "archive_damaged"),
        ("text", b"hello, world".to_vec(), refused),
        ("empty", Vec::new(), refused),
        ("damaged gzip", [&[0x1F, 0x8B, 8, 0], &[0xFF; 64][..]].concat(), "archive_damaged"),
        ("damaged zstd", [&[0x28, 0xB5, 0x2F, 0xFD], &[0xFF; 64][..]].concat(), "archive_damaged"),
    ];
    let mut unexpected = Vec::new();
    for (what, archive, expected) in cases {
        agent.put_file("archive", archive).await.unwrap();
        for to in ["taken", "new/folder"] {
            let job = agent.job(extract("archive", to, true)).await;
            let code = job.error.as_ref().map_or("none", |error| error.code.as_str());
            if code != expected {
                unexpected.push(format!("{what}: {code} instead of {expected}: {job:?}"));
            }
        }
        assert_eq!(picture(&outside), before, "{what}");
        assert_eq!(names(&agent.data().join("taken")), [""; 0], "{what}");
        assert_eq!(names(&agent.data()), [".zlh-files", "archive", "taken"], "{what}");
        assert!(!std::path::Path::new("/tmp/zlh-evil").exists(), "{what}");
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    agent.assert_nothing_unfinished();
}

/// Only set-id bits are lost on the way.
#[tokio::test]
async fn set_id_bits_do_not_come_out_of_archives() {
    use std::os::unix::fs::MetadataExt;
    let agent = TestAgent::start();
    agent.put_file("a.tgz", tar_file(b"tool")).await.unwrap();
    agent.done_job(extract("a.tgz", "out", false)).await;
    assert_eq!(agent.data().join("out/tool").metadata().unwrap().mode() & 0o7777, 0o777);
}
