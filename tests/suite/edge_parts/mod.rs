//! The proxy and internal DNS, against the sandbox as a process: what is sent, what is read back, and what is left alone.

mod technitium;
mod velocity;

use std::{net::Ipv4Addr, sync::Arc};

use chrono::TimeDelta;
use domain::edge::{
    CloudflareZone, DnsName, DnsSettings, EdgeSettings, Installation, NamedEdge, Observed, Owner, Publication,
};
use integrations::edge::{Edge, EdgeError, TechnitiumDns, VelocityProxy};
use serde_json::{Value, json};

use self::{
    technitium::{RECORDS, internal},
    velocity::bridge,
};
use super::edge::{Sandbox, publication};

fn dns() -> DnsSettings {
    DnsSettings {
        domain: DnsName::parse("play.example").expect("a name"),
        public_ipv4: Some(Ipv4Addr::new(203, 0, 113, 7)),
        public_ipv6: None,
        wildcard: false,
        proxy_port: Some(25_565),
    }
}

fn publish(sandbox: &Sandbox, edge: &dyn Edge, publication: &Publication) -> Result<String, EdgeError> {
    sandbox.runtime.block_on(edge.publish(publication)).map(|address| address.to_string())
}

fn withdraw(sandbox: &Sandbox, edge: &dyn Edge, publication: &Publication) -> Result<(), EdgeError> {
    sandbox.runtime.block_on(edge.withdraw(publication))
}

fn observe(sandbox: &Sandbox, edge: &dyn Edge) -> Result<Vec<Observed>, EdgeError> {
    sandbox.runtime.block_on(edge.observe())
}

/// That exactly what is desired is seen, in any order.
fn assert_as_desired(sandbox: &Sandbox, edge: &dyn Edge, publication: &Publication, owner: Owner) {
    let seen = observe(sandbox, edge).expect("a whole list");
    let mut desired = edge.desired(publication).expect("a name");
    let mut entries: Vec<_> = seen.iter().map(|it| it.entry.clone()).collect();
    desired.sort();
    entries.sort();
    assert_eq!(entries, desired);
    assert!(seen.iter().all(|it| it.owner == owner), "{seen:?}");
}

/// What was changed since the last time, by the last part of its path.
fn changes(sandbox: &Sandbox) -> Vec<String> {
    let answer = sandbox.http.get("/_calls", &[]).expect("an answer");
    sandbox.http.delete("/_calls", &[]).expect("an answer");
    let calls = answer.body.as_array().expect("calls").iter().filter(|call| call["method"] != "GET");
    let path = |call: &Value| call["path"].as_str().expect("a path").to_owned();
    calls.map(|call| path(call).rsplit('/').next().unwrap_or_default().to_owned()).collect()
}

fn installation(name: &str) -> Installation {
    Installation::parse(name).expect("a name")
}

/// What every part makes of a service that is away, unwell, or wants to be left alone.
fn common_faults(sandbox: &Sandbox, edge: &dyn Edge, alpha: &Publication, prefix: &str) {
    sandbox.fault(&json!({ "path_prefix": prefix, "kind": "status", "status": 502, "times": 3 }));
    let all = || {
        [
            publish(sandbox, edge, alpha).map(drop).unwrap_err(),
            withdraw(sandbox, edge, alpha).unwrap_err(),
            observe(sandbox, edge).map(drop).unwrap_err(),
        ]
    };
    for error in all() {
        assert!(matches!(error, EdgeError::Unreachable(_)) && error.is_transient(), "{error}");
    }
    for fault in ["cut", "wrong_bytes"] {
        sandbox.fault(&json!({ "path_prefix": prefix, "kind": fault, "times": 1 }));
        let error = observe(sandbox, edge).unwrap_err();
        assert!(error.is_transient(), "{fault}: {error}");
    }
    // 429: nobody is asked until the time is over.
    sandbox.fault(
        &json!({ "path_prefix": prefix, "kind": "status", "status": 429, "retry_after": 30, "times": 1 }),
    );
    assert!(matches!(observe(sandbox, edge), Err(EdgeError::Limited { seconds: 30, .. })));
    sandbox.clock.advance(TimeDelta::seconds(29));
    for error in all() {
        assert!(matches!(error, EdgeError::Limited { seconds: 1, .. }) && error.is_transient(), "{error}");
    }
    sandbox.clock.advance(TimeDelta::seconds(2));
    assert!(!observe(sandbox, edge).expect("a list").is_empty());
}

#[test]
fn a_server_that_nobody_listens_at_is_unreachable() {
    let sandbox = Sandbox::start();
    let (alpha, clock) = (publication("alpha", 25_570), Arc::new(sandbox.clock.clone()));
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let base = format!("http://{free}");
    let proxy = VelocityProxy::new(&bridge(&base, "sandbox"), &dns(), clock.clone()).expect("a proxy");
    let zone = internal(&base, "sandbox");
    let inside = TechnitiumDns::new(&zone, &dns(), &installation("prod"), clock).expect("a zone");
    for edge in [&proxy as &dyn Edge, &inside] {
        for error in [
            publish(&sandbox, edge, &alpha).map(drop).unwrap_err(),
            withdraw(&sandbox, edge, &alpha).unwrap_err(),
            observe(&sandbox, edge).map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, EdgeError::Unreachable(_)) && error.is_transient(), "{error}");
        }
    }
}

#[test]
fn the_configured_edge_has_each_part_and_announces_a_name_last() {
    let sandbox = Sandbox::start();
    let cloudflare = CloudflareZone {
        url: format!("{}/cloudflare/client/v4", sandbox.base),
        zone_id: "sandbox".into(),
        token: "sandbox".into(),
        record_limit: None,
    };
    let named = NamedEdge {
        dns: dns(),
        installation: installation("prod"),
        cloudflare,
        resolver: None,
        velocity: Some(bridge(&sandbox.base, "sandbox")),
        technitium: Some(internal(&sandbox.base, "sandbox")),
    };
    let settings = EdgeSettings { named: Some(named) };
    let edge = integrations::edge::open(&settings, Arc::new(sandbox.clock.clone())).expect("an edge");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a server");
    let alpha = publication("alpha", listener.local_addr().expect("an address").port());

    sandbox.fault(&json!({ "path_prefix": RECORDS, "kind": "status", "times": 1 }));
    publish(&sandbox, &*edge, &alpha).unwrap_err();
    assert_eq!(changes(&sandbox), ["register"], "no name leads to a server that is not ready for players");
    assert_eq!(publish(&sandbox, &*edge, &alpha).expect("published"), "alpha.play.example");
    assert_eq!(changes(&sandbox), ["add", "add", "add", "dns_records", "dns_records"]);
    let seen = observe(&sandbox, &*edge).expect("a whole list");
    let desired = edge.desired(&alpha).expect("a name");
    assert!(desired.len() == 6 && desired.iter().all(|it| seen.iter().any(|seen| seen.leads_to(it))));
    let parts: Vec<_> = desired.iter().map(|it| it.part.as_str()).collect();
    assert_eq!(parts, ["cloudflare", "cloudflare", "technitium", "technitium", "technitium", "velocity"]);
    withdraw(&sandbox, &*edge, &alpha).expect("withdrawn");
    assert_eq!(observe(&sandbox, &*edge).expect("a whole list"), []);
}
