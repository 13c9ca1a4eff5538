//! Whatever a game or a customer's file says: no panic, and nothing lost.

use std::collections::BTreeMap;

use agent::{
    install::properties,
    probe::{luanti, minecraft, teeworlds},
    process::{
        console::{Console, MAX_LINES},
        runtime::{installed_java, java_major},
    },
};
use proptest::prelude::*;
use shim::output_log::lines::{LineSplitter, MAX_LINE};

fn split(chunks: &[Vec<u8>]) -> Vec<String> {
    let mut splitter = LineSplitter::default();
    let mut lines = Vec::new();
    for chunk in chunks {
        splitter.push(chunk, |line| lines.push(line));
    }
    lines.extend(splitter.finish());
    lines
}

proptest! {
    #[test]
    fn properties_that_were_set_are_read_back_and_the_others_stay(
        before in proptest::collection::btree_map("[a-z.]{1,4}|\\PC{1,4}", "\\PC{0,6}", 0..6),
        set in proptest::collection::btree_map("[a-z.]{1,4}|\\PC{1,4}", "\\PC{0,6}|[ \\\\\n\t]{0,3}", 0..6),
    ) {
        let text = properties::set(b"# kept\r\n!also\n", &before);
        let after = properties::set(&text, &set);
        let mut expected = before;
        expected.extend(set.clone());
        prop_assert_eq!(properties::parse(&after), expected);
        prop_assert!(after.starts_with(b"# kept\r\n!also\n"));
        prop_assert_eq!(properties::set(&after, &set), after, "setting again changes nothing");
    }

    #[test]
    fn any_properties_file_can_be_edited(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"ab=:\\ \n\r#!u0".to_vec())], 0..80),
        set in proptest::collection::btree_map("[ab]{1,2}", "[ab \\\\]{0,3}", 0..3),
    ) {
        let before = properties::parse(&bytes);
        let after = properties::parse(&properties::set(&bytes, &set));
        let mut expected: BTreeMap<String, String> = before;
        expected.extend(set);
        prop_assert_eq!(after, expected);
    }

    #[test]
    fn varints_are_read_as_written(value: i32, rest: Vec<u8>) {
        let mut bytes = Vec::new();
        minecraft::put_varint(&mut bytes, value);
        prop_assert!(bytes.len() <= 5);
        bytes.extend(&rest);
        prop_assert_eq!(minecraft::varint(&bytes), Some((value, rest.as_slice())));
    }

    #[test]
    fn any_answer_of_a_server_is_taken(bytes: Vec<u8>) {
        let _ = minecraft::varint(&bytes);
        let _ = minecraft::status_answer(&bytes);
        let _ = luanti::given_peer_id(&bytes);
        let _ = teeworlds::gives_token(&bytes);
    }

    #[test]
    fn lines_do_not_depend_on_how_they_arrive(text in "[ab\n]{0,60}", at in 0usize..60) {
        let bytes = text.as_bytes();
        let (first, second) = bytes.split_at(at.min(bytes.len()));
        let expected: Vec<String> = text.lines().map(str::to_owned).collect();
        prop_assert_eq!(split(&[first.to_vec(), second.to_vec()]), expected);
    }

    #[test]
    fn any_output_becomes_lines_of_bounded_length(chunks: Vec<Vec<u8>>, long in 0usize..30_000) {
        let mut chunks = chunks;
        chunks.push(vec![b'x'; long]);
        let lines = split(&chunks);
        // Replacing a byte that is not UTF-8 takes three.
        prop_assert!(lines.iter().all(|line| line.len() <= 3 * MAX_LINE));
        prop_assert!(lines.iter().map(String::len).sum::<usize>() >= long);
    }
}

#[test]
fn properties_are_read_as_java_reads_them() {
    let text = b"a=1\n  b : 2\nc 3\n#d=4\ne=fi\\\n   ve\nf\\=\\ g=\\u00e4\\n\na=last\nempty=\nbare";
    let parsed = properties::parse(text);
    let expected =
        [("a", "last"), ("b", "2"), ("c", "3"), ("e", "five"), ("f= g", "ä\n"), ("empty", ""), ("bare", "")];
    assert_eq!(parsed, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let set = properties::set(text, &[("e".to_owned(), "5".to_owned())].into());
    let expected = b"a=1\n  b : 2\nc 3\n#d=4\ne=5\nf\\=\\ g=\\u00e4\\n\na=last\nempty=\nbare";
    assert_eq!(String::from_utf8_lossy(&set), String::from_utf8_lossy(expected));
}

#[test]
fn a_last_line_that_goes_on_does_not_take_in_what_is_appended() {
    for text in [&b"\\"[..], b"\\\r", b"\\\n", b"a=1\\\r\n", b"a=1\\", b"#\\", b"a=1\r"] {
        let mut expected = properties::parse(text);
        expected.insert("new".into(), "2".into());
        let after = properties::set(text, &[("new".to_owned(), "2".to_owned())].into());
        assert_eq!(properties::parse(&after), expected, "{:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn the_console_is_bounded_and_knows_the_run() {
    let console = Console::default();
    for number in 0..MAX_LINES + 5 {
        console.push(number.to_string());
    }
    assert_eq!(console.tail(usize::MAX).len(), MAX_LINES);
    assert_eq!(console.tail(1), [(MAX_LINES + 4).to_string()]);
    console.begin_run();
    assert!(console.tail_of_run(20).is_empty());
    console.push("new".into());
    assert_eq!(console.tail_of_run(20), ["new"]);
    for _ in 0..300 {
        console.push("x".repeat(MAX_LINE));
    }
    let bytes: usize = console.tail(usize::MAX).iter().map(String::len).sum();
    assert!(bytes <= 1024 * 1024, "{bytes}");
}

#[test]
fn the_smallest_sufficient_java_is_taken() {
    let homes = tempfile::TempDir::new().unwrap();
    for (name, version) in [("a", "21.0.2"), ("b", "17.0.15"), ("c", "1.8.0_402"), ("d", "25")] {
        let home = homes.path().join(name);
        std::fs::create_dir_all(home.join("bin")).unwrap();
        std::fs::copy("/bin/true", home.join("bin/java")).unwrap();
        std::fs::write(home.join("release"), format!("OTHER=1\nJAVA_VERSION=\"{version}\"\n")).unwrap();
    }
    let found = |major| {
        installed_java(homes.path(), major).map(|java| java.strip_prefix(&homes).unwrap().to_path_buf())
    };
    for (major, expected) in [(8, "c"), (11, "b"), (17, "b"), (18, "a"), (21, "a"), (22, "d")] {
        assert_eq!(found(major).unwrap(), std::path::Path::new(expected).join("bin/java"), "{major}");
    }
    assert_eq!(found(26), None);
    assert_eq!((java_major("1.8.0_402"), java_major("22-ea"), java_major("x")), (Some(8), Some(22), None));
}
