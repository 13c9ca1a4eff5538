//! Games share the machine's loopback: what is not theirs to speak to is on sockets that they do not see.

use std::{collections::BTreeMap, fs};

use xtask::{sockets, stack::Daemon};
use zlh_tests::Town;

#[test]
fn only_what_games_and_customers_speak_to_has_a_port() {
    let mut town = Town::start(&[]);
    for daemon in [Daemon::Controller, Daemon::Repair] {
        town.stack.start(daemon).expect("a daemon");
    }
    let ports: BTreeMap<_, _> =
        town.stack.records().into_iter().map(|record| (record.name, listening(record.pid).len())).collect();
    let expected = [
        ("postgres", 0),
        ("redis", 0), // Services, names and mail; there is no sandbox where there are strangers.
        ("zlh-sandbox", 3),
        ("zpack-api", 2),
    ];
    let expected = expected.into_iter().chain([
        ("zpack-provision-worker", 0),
        ("zlh-controller", 0),
        ("zpack-repair-worker", 0),
    ]);
    assert_eq!(ports, expected.map(|(name, ports)| (name.to_owned(), ports)).collect());
    for daemon in [Daemon::Api, Daemon::Worker, Daemon::Controller, Daemon::Repair] {
        let metrics = sockets::get(&town.stack.health(daemon), "/metrics").expect("an answer");
        assert!(metrics.contains("zlh_build_info"), "{metrics}");
    }
}

/// The inodes of the TCP sockets on which a process listens (proc_pid_net(5): state `0A`).
fn listening(pid: i32) -> Vec<String> {
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap());
    let all: Vec<_> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[3] == "0A")
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open = open.filter_map(|fd| Some(fs::read_link(fd.path()).ok()?.to_string_lossy().into_owned()));
    open.filter(|socket| all.contains(socket)).collect()
}
