//! Files through everything there is: a real server's folder, its agent, and the API, with bodies that nobody holds.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};
use xtask::stack::Daemon;
use zlh_tests::{BLUEPRINT, Customer, Town, smallest};

/// Length of a file that is larger than what any process here may hold.
const LARGE: u64 = 256 << 20;
/// How much more memory the API may have while such a file passes through it.
const MEMORY: u64 = 48 << 20;
/// Bytes written or read at once.
const PIECE: usize = 64 * 1024;

/// The byte at this place of the large file.
fn byte_at(place: u64) -> u8 {
    u8::try_from((place ^ (place >> 8) ^ (place >> 16)) & 0xff).unwrap_or_default()
}

fn piece(from: u64) -> Vec<u8> {
    (from..from + PIECE as u64).map(byte_at).collect()
}

/// An answer's status, headers in small letters, and what remains to be read.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: BufReader<TcpStream>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    fn json(mut self) -> Value {
        let mut bytes = vec![0; self.header("content-length").parse().unwrap_or(0)];
        self.body.read_exact(&mut bytes).expect("a body");
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }
}

/// One request on a connection of its own, its body made while it is sent.
fn request(
    town: &Town,
    customer: &Customer,
    line: &str,
    headers: &[(&str, &str)],
    length: u64,
    body: impl Fn(u64) -> Vec<u8>,
) -> Answer {
    let authority = town.stack.api_url().replace("http://", "");
    let mut connection = TcpStream::connect(&authority).expect("the API");
    connection.set_read_timeout(Some(Duration::from_mins(1))).expect("a deadline");
    connection.set_write_timeout(Some(Duration::from_mins(1))).expect("a deadline");
    let mut head = format!("{line} HTTP/1.1\r\nhost: {authority}\r\ncontent-length: {length}\r\n");
    for (name, value) in customer.browser().iter().chain(headers) {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    connection.write_all(format!("{head}\r\n").as_bytes()).expect("a request");
    let mut sent = 0;
    while sent < length {
        let piece = body(sent);
        let wanted = usize::try_from(length - sent).unwrap_or(usize::MAX).min(piece.len());
        connection.write_all(&piece[..wanted]).expect("the API takes it");
        sent += wanted as u64;
    }
    let mut body = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        body.read_line(&mut line).expect("an answer");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines[0].split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
    let pairs = lines.iter().skip(1).filter_map(|line| line.split_once(": "));
    let headers = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body }
}

fn get(town: &Town, customer: &Customer, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(town, customer, &format!("GET {path}"), headers, 0, |_| Vec::new())
}

fn put(town: &Town, customer: &Customer, path: &str, text: &str) -> Answer {
    let bytes = text.as_bytes().to_vec();
    request(town, customer, &format!("PUT {path}"), &[], bytes.len() as u64, move |_| bytes.clone())
}

/// The most memory that the API ever had, in bytes.
fn peak_memory(town: &Town) -> u64 {
    let records = town.stack.records();
    let record = records.iter().find(|record| record.name == Daemon::Api.name()).expect("the API");
    let status = std::fs::read_to_string(format!("/proc/{}/status", record.pid)).expect("its numbers");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1_024
}

#[test]
fn a_large_file_goes_up_and_comes_down_in_parts_without_being_held_in_memory() {
    let town = Town::start(&[smallest()]);
    let customer = town.customer("ada");
    let (id, _) = customer.server("Files", BLUEPRINT, "only");
    let path = format!("/api/instances/{id}/files/content?path=maps/large.bin");
    let before = peak_memory(&town);
    let made = request(&town, &customer, &format!("PUT {path}&parents=true"), &[], LARGE, piece);
    let (status, made) = (made.status, made.json());
    assert_eq!((status, made["size_bytes"].as_u64()), (200, Some(LARGE)), "{made}");

    let mut whole = get(&town, &customer, &path, &[]);
    assert_eq!((whole.status, whole.header("content-length")), (200, LARGE.to_string().as_str()));
    let mut bytes = vec![0; PIECE];
    for from in (0..LARGE).step_by(PIECE) {
        whole.body.read_exact(&mut bytes).expect("all of it");
        assert!(bytes == piece(from), "at {from}");
    }
    let grown = peak_memory(&town) - before;
    assert!(grown < MEMORY, "{} MiB more", grown >> 20);

    let from = LARGE - 100_000;
    let range = format!("bytes={from}-{}", from + 9);
    let mut part = get(&town, &customer, &path, &[("range", &range)]);
    assert_eq!((part.status, part.header("content-length")), (206, "10"));
    let mut ten = [0; 10];
    part.body.read_exact(&mut ten).expect("ten bytes");
    assert_eq!(ten.to_vec(), (from..from + 10).map(byte_at).collect::<Vec<_>>());
    let etag = format!("\"{}\"", made["etag"].as_str().expect("an entity-tag"));
    assert_eq!(get(&town, &customer, &path, &[("if-none-match", &etag)]).status, 304);
    customer.remove(&id);
    town.expect_nothing_left();
}

#[test]
fn a_customer_does_with_files_what_there_is_to_do() {
    let town = Town::start(&[smallest()]);
    let (customer, stranger) = (town.customer("bea"), town.customer("mallory"));
    let (id, _) = customer.server("Files", BLUEPRINT, "only");
    let files = format!("/api/instances/{id}/files");
    for (name, text) in [("a.txt", "first"), ("b.txt", "second")] {
        let path = format!("{files}/content?path=notes/{name}&parents=true");
        assert_eq!(put(&town, &customer, &path, text).status, 200);
    }
    let content = format!("{files}/content?path=notes/a.txt");
    assert_eq!(put(&town, &stranger, &content, "mine now").status, 404);
    assert_eq!(get(&town, &stranger, &content, &[]).status, 404);

    let job = |body: Value| {
        let answer = customer.post(&format!("{files}/jobs"), None, &body);
        assert_eq!(
            (answer.status, answer.body["state"].as_str()),
            (200, Some("succeeded")),
            "{:?}",
            answer.body
        );
        answer.body
    };
    job(json!({ "kind": "archive", "paths": ["notes"], "to": "notes.tar.zst", "format": "tar_zst" }));
    job(json!({ "kind": "extract", "path": "notes.tar.zst", "to": "copy" }));
    let found = job(json!({ "kind": "search", "name": "A.TXT" }));
    let found: Vec<_> =
        found["found"].as_array().expect("a list").iter().map(|it| it["path"].clone()).collect();
    assert_eq!(found.len(), 2, "{found:?}");

    let change = |body: Value| customer.post(&format!("{files}/changes"), None, &body);
    let moved = json!({ "action": "rename", "from": "notes/a.txt", "to": "notes/c.txt" });
    assert_eq!(change(moved).status, 204);
    let taken = change(json!({ "action": "rename", "from": "notes/c.txt", "to": "notes/b.txt" }));
    assert_eq!((taken.status, taken.body["code"].as_str()), (409, Some("file_exists")), "{:?}", taken.body);
    let outside = change(json!({ "action": "delete", "paths": ["../agent"] }));
    assert_eq!((outside.status, outside.body["code"].as_str()), (422, Some("invalid_file_request")));
    assert_eq!(change(json!({ "action": "delete", "paths": ["notes", "copy"] })).status, 204);
    let missing = customer.get(&format!("{files}/stat?path=notes"));
    assert_eq!((missing.status, missing.body["code"].as_str()), (404, Some("file_not_found")));
    let names = customer.get(&files).body;
    let names: Vec<_> =
        names["items"].as_array().expect("a list").iter().map(|it| it["path"].as_str()).collect();
    assert_eq!(names, [Some("game.sh"), Some("notes.tar.zst")]);
    customer.remove(&id);
    town.expect_nothing_left();
}
