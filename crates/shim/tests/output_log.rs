//! Output on disk, through torn, damaged and vanished segments.
#![allow(clippy::disallowed_methods, reason = "a full disk is made with bwrap")]

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
};

use proptest::prelude::*;
use shim::output_log::{LIMIT, Reader, SEGMENT, Writer};
use tempfile::TempDir;

fn segments(dir: &TempDir) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    all.sort();
    all
}

fn write(dir: &TempDir, limit: u64, numbers: std::ops::Range<u64>, length: usize) -> u64 {
    let mut writer = Writer::open(dir.path(), limit).unwrap();
    for number in numbers {
        writer.add(1_000, format!("{number:0length$}").as_bytes());
    }
    writer.flush();
    writer.next()
}

/// All that can be read from `from` on, as a reader would follow it.
fn read(dir: &TempDir, from: u64) -> Vec<(u64, String)> {
    let (reader, mut from, mut all) = (Reader::new(dir.path()), from, Vec::new());
    loop {
        let part = reader.read(from, 100, 64 * 1024).unwrap();
        if part.entries.is_empty() {
            return all;
        }
        from = part.next;
        all.extend(part.entries.into_iter().map(|entry| (entry.seq, String::from_utf8(entry.text).unwrap())));
    }
}

#[test]
fn what_was_written_is_read_back_by_any_page_and_after_any_reopening() {
    let dir = TempDir::new().unwrap();
    for round in 0..10 {
        assert_eq!(write(&dir, LIMIT, round * 100..round * 100 + 100, 4), round * 100 + 101);
    }
    let all = read(&dir, 0);
    let expected: Vec<_> = (0..1_000).map(|number| (number + 1, format!("{number:04}"))).collect();
    assert_eq!(all, expected);
    assert_eq!(read(&dir, 991).len(), 10);
    assert!(read(&dir, 1_001).is_empty());
    assert_eq!(Reader::new(dir.path()).end().unwrap(), 1_001);
}

#[test]
fn the_oldest_goes_first_and_the_bound_is_kept() {
    let dir = TempDir::new().unwrap();
    let limit = 3 * SEGMENT;
    write(&dir, limit, 0..10_000, 1_000);
    let total: u64 = segments(&dir).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(total <= limit && total > limit / 2, "{total}");
    let part = Reader::new(dir.path()).read(1, 1, 10_000).unwrap();
    assert!(part.first > 1 && part.entries[0].seq == part.first);
    let all = read(&dir, 1);
    assert_eq!(all.last().unwrap(), &(10_000, format!("{:01000}", 9_999)));
    assert!(all.windows(2).all(|two| two[1].0 == two[0].0 + 1));
}

#[test]
fn a_torn_end_is_cut_off_and_its_number_given_again() {
    let whole = {
        let dir = TempDir::new().unwrap();
        write(&dir, LIMIT, 0..10, 20);
        fs::read(&segments(&dir)[0]).unwrap()
    };
    let record = whole.len() / 10;
    for cut in 1..record {
        let dir = TempDir::new().unwrap();
        write(&dir, LIMIT, 0..10, 20);
        let file = OpenOptions::new().write(true).open(&segments(&dir)[0]).unwrap();
        file.set_len((whole.len() - cut) as u64).unwrap();
        assert_eq!(read(&dir, 1).len(), 9, "a reader does not see half of an entry");
        assert_eq!(write(&dir, LIMIT, 9..12, 20), 13);
        let expected: Vec<_> = (0..12).map(|number| (number + 1, format!("{number:020}"))).collect();
        assert_eq!(read(&dir, 1), expected, "{cut} bytes missing");
    }
}

#[test]
fn numbers_of_damaged_entries_are_a_gap_and_never_given_again() {
    let dir = TempDir::new().unwrap();
    write(&dir, LIMIT, 0..10, 20);
    let mut bytes = fs::read(&segments(&dir)[0]).unwrap();
    let at = bytes.len() / 2 + 20;
    bytes[at] ^= 0xff;
    fs::write(&segments(&dir)[0], bytes).unwrap();
    let next = write(&dir, LIMIT, 100..101, 20);
    assert!(next > 11, "{next}");
    let all = read(&dir, 1);
    assert_eq!(all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, next - 1]);
    // Whoever asks for what was lost is told where it goes on.
    let part = Reader::new(dir.path()).read(7, 10, 1_000).unwrap();
    assert_eq!((part.first, part.entries.len()), (next - 1, 1));
}

#[test]
fn a_segment_that_vanishes_in_the_middle_is_a_gap() {
    let dir = TempDir::new().unwrap();
    write(&dir, LIMIT, 0..2_000, 1_000);
    let all = segments(&dir);
    assert!(all.len() > 3);
    fs::remove_file(&all[1]).unwrap();
    let seen = read(&dir, 1);
    let gaps = seen.windows(2).filter(|two| two[1].0 != two[0].0 + 1).count();
    assert_eq!((gaps, seen.last().unwrap().0), (1, 2_000));
    let reader = Reader::new(dir.path());
    let before = seen.windows(2).find(|two| two[1].0 != two[0].0 + 1).unwrap();
    let part = reader.read(before[0].0, 100, 64_000).unwrap();
    assert_eq!(part.entries.len(), 1, "a page has no gap in it");
    assert_eq!(reader.read(before[0].0 + 1, 1, 64_000).unwrap().first, before[1].0);
}

#[test]
fn output_that_cannot_be_written_costs_nothing_that_was() {
    let dir = TempDir::new().unwrap();
    write(&dir, LIMIT, 0..2_000, 1_000);
    let before = segments(&dir);
    let mut writer = Writer::open(dir.path(), LIMIT).unwrap();
    writer.go_on_from(3_000);
    // What stands where the next segment would.
    let taken = dir.path().join(format!("{:020}.out", 3_000));
    fs::create_dir(&taken).unwrap();
    writer.add(1, b"lost");
    writer.flush();
    fs::remove_dir(taken).unwrap();
    assert_eq!(segments(&dir), before);
    writer.add(1, b"written");
    writer.flush();
    assert_eq!(read(&dir, 2_001), [(3_001, "written".to_owned())]);
}

#[test]
fn what_is_not_ours_in_the_folder_is_left_alone() {
    let dir = TempDir::new().unwrap();
    for name in ["x", "12", "a.out", ".out"] {
        fs::write(dir.path().join(name), "theirs").unwrap();
    }
    write(&dir, 2 * SEGMENT, 0..3_000, 1_000);
    assert_eq!(read(&dir, 1).last().unwrap().0, 3_000);
    assert_eq!(fs::read_to_string(dir.path().join("12")).unwrap(), "theirs");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_content_of_a_segment_is_taken(before in 0u64..5, junk: Vec<u8>, ask in 0u64..2_000) {
        let dir = TempDir::new().unwrap();
        write(&dir, LIMIT, 0..before, 8);
        let path = segments(&dir).pop().unwrap_or_else(|| dir.path().join(format!("{:020}.out", 1)));
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(&junk).unwrap();
        let kept = read(&dir, 1);
        prop_assert!(kept.len() as u64 >= before);
        let _ = Reader::new(dir.path()).read(ask, 10, 100).unwrap();
        let next = write(&dir, LIMIT, 7..8, 8);
        prop_assert!(next > kept.len() as u64);
        let after = read(&dir, 1);
        prop_assert_eq!(&after.last().unwrap().1, "00000007");
        prop_assert_eq!(&after[..usize::try_from(before).unwrap()], &kept[..usize::try_from(before).unwrap()]);
    }
}

const SMALL_DISK: &str = "ZLH_TEST_SMALL_DISK";

/// Not a test: runs on the disk that [`a_full_disk_holds_up_nobody_and_what_is_lost_shows`] makes.
#[test]
#[ignore = "a helper process of another test"]
fn writes_on_a_small_disk() {
    let Some(folder) = std::env::var_os(SMALL_DISK).map(PathBuf::from) else { return };
    let output_log = folder.join("output_log");
    fs::create_dir(&output_log).unwrap();
    let mut writer = Writer::open(&output_log, LIMIT).unwrap();
    let mut add = |count: usize| {
        for _ in 0..count {
            let number = writer.next();
            writer.add(1, format!("{number:01000}").as_bytes());
            writer.flush();
        }
        writer.next()
    };
    let all = |from| {
        let part = Reader::new(&output_log).read(from, usize::MAX, usize::MAX).unwrap();
        assert!(part.entries.iter().all(|entry| entry.text == format!("{:01000}", entry.seq).as_bytes()));
        part
    };
    // Far more than there is room for.
    assert_eq!(add(5_000), 5_001);
    let kept = all(1);
    assert!(kept.first > 1 && kept.next == 5_001, "{} to {}", kept.first, kept.next);
    // Somebody else takes all the room there is, and what is made, until nothing is left to drop.
    let mut greedy = fs::File::create(folder.join("greedy")).unwrap();
    for _ in 0..100 {
        while greedy.write(&[0; 4096]).is_ok_and(|length| length > 0) {}
        add(10);
    }
    let lost = add(0);
    assert_eq!(lost, 6_001);
    // Nothing of it, but where it stopped.
    assert_eq!(fs::read_dir(&output_log).unwrap().count(), 1);
    assert!(Writer::open(&output_log, LIMIT).unwrap().next() > 5_001);
    drop(greedy);
    fs::remove_file(folder.join("greedy")).unwrap();
    assert_eq!(add(10), 6_011);
    let kept = all(6_001);
    assert_eq!((kept.first <= 6_001, kept.entries.len(), kept.next), (true, 10, 6_011));
    let seen: usize = {
        let (mut from, mut count) = (1, 0);
        while from < 6_011 {
            let part = all(from);
            count += part.entries.len();
            from = part.next;
        }
        count
    };
    assert!(seen < 1_500, "{seen} of what does not fit");
    println!("written");
}

#[test]
fn a_full_disk_holds_up_nobody_and_what_is_lost_shows() {
    let dir = TempDir::new().unwrap();
    let output = std::process::Command::new("bwrap")
        .args(["--dev-bind", "/", "/", "--size", "1500000", "--tmpfs"])
        .arg(dir.path())
        .args(["--setenv", SMALL_DISK])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "writes_on_a_small_disk", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("written"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
