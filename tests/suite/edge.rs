//! Names at Cloudflare, against the sandbox as a process: what is sent, what is read back, and what is left alone.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use chrono::TimeDelta;
use domain::{
    clock::{Clock as _, ManualClock},
    edge::{
        CloudflareZone, DnsName, DnsSettings, Installation, NamedEdge, Observed, Owner, Publication,
        ZoneFacts,
    },
    ids::InstanceId,
    instance::{AllocatedPort, Protocol},
};
use integrations::edge::{CloudflareDns, Edge as _, EdgeError};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use xtask::http::Http;
use zlh_tests::program;

/// The sandbox as a process, and what a test of it needs.
pub(super) struct Sandbox {
    child: Child,
    pub(super) http: Http,
    pub(super) base: String,
    dns: SocketAddr,
    pub(super) clock: ManualClock,
    pub(super) runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sandbox {
    pub(super) fn start() -> Self {
        Self::with(&[])
    }

    #[expect(clippy::disallowed_methods, reason = "the sandbox is a program")]
    pub(super) fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(program("zlh-sandbox"))
            .args(["serve", "--listen", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--artifacts"])
            .arg(folder.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut said = |before: &str| {
            let line = lines.next().expect("a line").expect("text");
            line.strip_prefix(before).unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        let base = said("listening on ");
        let dns = said("answering names on ").parse().expect("an address");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let clock = ManualClock::new(chrono::Utc::now());
        Self { child, http: Http::new(&base), base, dns, clock, runtime, _folder: folder }
    }

    fn edge(&self, installation: &str) -> CloudflareDns {
        self.edge_of(installation, "play.example", Some(self.dns))
    }

    fn edge_of(&self, installation: &str, domain: &str, resolver: Option<SocketAddr>) -> CloudflareDns {
        let dns = DnsSettings {
            domain: DnsName::parse(domain).expect("a name"),
            public_ipv4: Some(Ipv4Addr::new(203, 0, 113, 7)),
            public_ipv6: None,
            wildcard: false,
            proxy_port: None,
        };
        let cloudflare = CloudflareZone {
            url: format!("{}/cloudflare/client/v4", self.base),
            zone_id: "sandbox".into(),
            token: "sandbox".into(),
            record_limit: Some(3_000),
        };
        let installation = Installation::parse(installation).expect("a name");
        let named = NamedEdge { dns, installation, cloudflare, resolver, velocity: None, technitium: None };
        CloudflareDns::new(&named, Arc::new(self.clock.clone())).expect("an edge")
    }

    fn publish(&self, edge: &CloudflareDns, publication: &Publication) -> Result<String, EdgeError> {
        self.runtime.block_on(edge.publish(publication)).map(|address| address.to_string())
    }

    fn observe(&self, edge: &CloudflareDns) -> Result<Vec<Observed>, EdgeError> {
        self.runtime.block_on(edge.observe())
    }

    /// A call of the API as somebody else makes it.
    fn by_hand(&self, record: &Value) {
        let answer =
            self.http.post(RECORDS, &[("authorization", "Bearer sandbox")], record).expect("an answer");
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }

    fn records(&self) -> Vec<Value> {
        let path = format!("{RECORDS}?per_page=5000");
        let answer = self.http.get(&path, &[("authorization", "Bearer sandbox")]).expect("an answer");
        answer.body["result"].as_array().expect("records").clone()
    }

    pub(super) fn fault(&self, fault: &Value) {
        assert_eq!(self.http.post("/_faults", &[], fault).expect("an answer").status, 204);
    }

    /// What was called since the last time, as `METHOD`.
    fn calls(&self) -> Vec<String> {
        let answer = self.http.get("/_calls", &[]).expect("an answer");
        self.http.delete("/_calls", &[]).expect("an answer");
        let calls = answer.body.as_array().expect("calls").iter();
        calls.map(|call| call["method"].as_str().expect("a method").to_owned()).collect()
    }

    fn mutations(&self) -> Vec<String> {
        self.calls().into_iter().filter(|method| method != "GET").collect()
    }
}

const RECORDS: &str = "/cloudflare/client/v4/zones/sandbox/dns_records";

pub(super) fn publication(hostname: &str, port: u16) -> Publication {
    let port = AllocatedPort { name: "game".into(), protocol: Protocol::Tcp, port };
    let (instance_id, service) = (InstanceId::generate(), Some("minecraft".into()));
    Publication { instance_id, hostname: hostname.into(), node_host: "127.0.0.1".into(), port, service }
}

#[test]
fn publishing_makes_what_is_missing_once_and_changes_in_place_what_is_wrong() {
    let sandbox = Sandbox::start();
    let edge = sandbox.edge("prod");
    let mut alpha = publication("alpha", 25_570);
    assert_eq!(sandbox.publish(&edge, &alpha).expect("published"), "alpha.play.example");
    assert_eq!(sandbox.mutations(), ["POST", "POST"]);
    let of_service = sandbox.records().into_iter().find(|it| it["type"] == "SRV").expect("a service record");
    let data = json!({ "priority": 0, "weight": 0, "port": 25_570, "target": "alpha.play.example" });
    assert_eq!(
        (&of_service["name"], &of_service["data"]),
        (&json!("_minecraft._tcp.alpha.play.example"), &data)
    );
    assert_eq!(of_service["comment"], format!("zlh:prod:{}", alpha.instance_id));

    // Again: nothing is to be done. Elsewhere: one call, and the name never stops to resolve.
    sandbox.calls();
    for _ in 0..3 {
        sandbox.publish(&edge, &alpha).expect("published");
    }
    assert_eq!(sandbox.mutations(), [""; 0]);
    alpha.port.port = 25_571;
    sandbox.publish(&edge, &alpha).expect("published");
    assert_eq!(sandbox.mutations(), ["PATCH"]);

    // Observed as it should be, and nothing else.
    let seen = sandbox.observe(&edge).expect("a whole list");
    let entries: BTreeSet<_> = seen.iter().map(|it| it.entry.clone()).collect();
    assert_eq!(entries, edge.desired(&alpha).expect("a name").into_iter().collect());
    assert!(seen.iter().all(|it| it.owner == Owner::Instance(alpha.instance_id)));
    sandbox.runtime.block_on(edge.withdraw(&alpha)).expect("withdrawn");
    sandbox.runtime.block_on(edge.withdraw(&alpha)).expect("nothing to withdraw");
    assert_eq!(sandbox.records(), [Value::Null; 0]);
}

#[test]
fn what_is_not_ours_is_reported_and_never_touched() {
    let sandbox = Sandbox::start();
    let (prod, staging) = (sandbox.edge("prod"), sandbox.edge("staging"));
    sandbox.by_hand(&json!({ "type": "A", "name": "alpha.play.example", "content": "198.51.100.1" }));
    sandbox.by_hand(&json!({ "type": "CNAME", "name": "beta.play.example", "content": "elsewhere.example" }));
    sandbox.by_hand(&json!({ "type": "TXT", "name": "gamma.play.example", "content": "mine" }));
    let before = sandbox.records();
    for taken in ["alpha", "beta"] {
        let refused = sandbox.publish(&prod, &publication(taken, 25_570)).unwrap_err();
        assert!(matches!(refused, EdgeError::NameTaken { .. }) && !refused.is_transient(), "{refused}");
    }
    assert_eq!(sandbox.records(), before);

    // Two installations in one zone: each sees the other's as foreign, and a copied database changes nothing.
    let gamma = publication("gamma", 25_570);
    sandbox.publish(&prod, &gamma).expect("a text record is in nobody's way");
    let before = sandbox.records();
    assert!(matches!(sandbox.publish(&staging, &gamma), Err(EdgeError::NameTaken { .. })));
    sandbox.runtime.block_on(staging.withdraw(&gamma)).expect("nothing of its own");
    assert_eq!(sandbox.records(), before);
    assert!(sandbox.observe(&staging).expect("a list").iter().all(|it| it.owner == Owner::Foreign));

    // What another instance of ours has left under a name is ours to change.
    let next = publication("gamma", 25_580);
    sandbox.publish(&prod, &next).expect("published");
    let owners: BTreeSet<_> =
        sandbox.records().iter().filter_map(|it| it["comment"].as_str().map(str::to_owned)).collect();
    assert_eq!(owners, BTreeSet::from([format!("zlh:prod:{}", next.instance_id)]));
}

#[test]
fn a_name_is_the_same_however_it_is_written() {
    let sandbox = Sandbox::start();
    let alpha = publication("alpha", 25_570);
    sandbox
        .publish(&sandbox.edge_of("prod", "MÜNCHEN.example.", Some(sandbox.dns)), &alpha)
        .expect("published");
    sandbox.calls();
    for same in ["münchen.example", "xn--mnchen-3ya.EXAMPLE"] {
        let edge = sandbox.edge_of("prod", same, None);
        sandbox.publish(&edge, &alpha).expect("published");
        assert_eq!(sandbox.observe(&edge).expect("a list").len(), 2, "{same}");
    }
    assert_eq!(sandbox.mutations(), [""; 0]);
}

#[test]
fn a_list_is_whole_or_an_error_and_a_limit_is_kept() {
    let sandbox = Sandbox::with(&[
        "--zone-quota",
        "3000",
        "--zone-page",
        "1000",
        "--zone-token-ends-at",
        "2030-01-31T00:00:00Z",
    ]);
    let edge = sandbox.edge_of("prod", "play.example", None);
    let alpha = publication("zulu", 25_570);
    sandbox.publish(&edge, &alpha).expect("published");
    for n in 0..1_200 {
        sandbox.by_hand(
            &json!({ "type": "A", "name": format!("a{n}.other.example"), "content": "198.51.100.1" }),
        );
    }
    sandbox.calls();
    assert_eq!(sandbox.observe(&edge).expect("a whole list").len(), 2, "ours are on the second page");
    assert_eq!(sandbox.calls().len(), 2);
    // How full the zone is counts what is others' as well.
    let zones = || sandbox.runtime.block_on(edge.observe_parts()).zones;
    let token_ends_at = Some("2030-01-31T00:00:00Z".parse().expect("a time"));
    let facts = ZoneFacts { part: "cloudflare".into(), records: 1_202, limit: Some(3_000), token_ends_at };
    assert_eq!(zones(), [facts]);
    // Two pages, and the token; again within the hour the pages alone.
    assert_eq!(sandbox.calls().len(), 3);
    zones();
    assert_eq!(sandbox.calls().len(), 2);

    // 429 in the middle: nobody is asked until the time is over.
    sandbox.fault(
        &json!({ "path_prefix": RECORDS, "kind": "status", "status": 429, "retry_after": 30, "times": 1 }),
    );
    assert!(matches!(sandbox.observe(&edge), Err(EdgeError::Limited { seconds: 30, .. })));
    sandbox.calls();
    sandbox.clock.advance(TimeDelta::seconds(29));
    assert!(matches!(sandbox.publish(&edge, &alpha), Err(EdgeError::Limited { seconds: 1, .. })));
    assert_eq!(sandbox.calls(), [""; 0]);
    sandbox.clock.advance(TimeDelta::seconds(2));
    assert_eq!(sandbox.observe(&edge).expect("a whole list").len(), 2);

    for fault in [
        json!({ "kind": "status", "status": 502 }),
        json!({ "kind": "cut" }),
        json!({ "kind": "wrong_bytes" }),
    ] {
        let mut fault = fault;
        fault["path_prefix"] = json!(RECORDS);
        fault["times"] = json!(1);
        sandbox.fault(&fault);
        let error = sandbox.observe(&edge).unwrap_err();
        assert!(error.is_transient(), "{fault}: {error}");
    }
    // A zone that changes while its pages are read.
    sandbox.fault(&json!({ "path_prefix": RECORDS, "kind": "late", "delay_ms": 300, "times": 1 }));
    thread::scope(|scope| {
        let listing = scope.spawn(|| sandbox.observe(&edge));
        thread::sleep(Duration::from_millis(100));
        for n in 0..3 {
            sandbox.by_hand(
                &json!({ "type": "A", "name": format!("b{n}.other.example"), "content": "198.51.100.1" }),
            );
        }
        // Before or after all of it, or an error: never a part.
        assert!(listing.join().expect("no panic").is_ok_and(|seen| seen.len() == 2));
    });
}

#[test]
fn a_full_zone_and_a_wrong_token_say_what_they_are_and_a_lost_answer_makes_no_second_record() {
    let sandbox = Sandbox::with(&["--zone-quota", "2"]);
    let edge = sandbox.edge("prod");
    let alpha = publication("alpha", 25_570);
    // The record was made, and the answer to that was lost.
    sandbox.fault(&json!({ "path_prefix": RECORDS, "kind": "cut", "times": 2 }));
    sandbox.publish(&edge, &alpha).unwrap_err();
    sandbox.publish(&edge, &alpha).unwrap_err();
    sandbox.publish(&edge, &alpha).expect("published");
    assert_eq!(sandbox.records().len(), 2);
    let full = sandbox.publish(&edge, &publication("beta", 25_571)).unwrap_err();
    assert!(matches!(full, EdgeError::QuotaReached { .. }) && full.to_string().contains("81045"), "{full}");
    assert_eq!(sandbox.records().len(), 2);
    let other = Sandbox::with(&["--zone-token", "another"]);
    let refused = other.observe(&other.edge("prod")).unwrap_err();
    assert!(matches!(refused, EdgeError::Refused { status: 403, .. }), "{refused}");
    assert!(!refused.to_string().contains("sandbox"), "no token in {refused}");
    let _ = sandbox.clock.now();
}
