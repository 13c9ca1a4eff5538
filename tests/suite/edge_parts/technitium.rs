//! Internal DNS.

use std::{net::Ipv4Addr, sync::Arc};

use domain::edge::{DnsName, DnsSettings, Owner, TechnitiumZone};
use integrations::edge::{EdgeError, TechnitiumDns};
use serde_json::Value;

use super::{
    Sandbox, assert_as_desired, changes, common_faults, dns, installation, observe, publication, publish,
    withdraw,
};

pub(super) const RECORDS: &str = "/technitium/api/zones/records";

pub(super) fn internal(base: &str, token: &str) -> TechnitiumZone {
    TechnitiumZone {
        url: format!("{base}/technitium/"),
        zone: DnsName::parse("Example.").expect("a name"),
        token: token.into(),
        ipv4: Some(Ipv4Addr::new(10, 0, 0, 2)),
        ipv6: "fd00::2".parse().ok(),
    }
}

fn inside_with(sandbox: &Sandbox, of: &str, token: &str) -> TechnitiumDns {
    let (zone, clock) = (internal(&sandbox.base, token), Arc::new(sandbox.clock.clone()));
    TechnitiumDns::new(&zone, &dns(), &installation(of), clock).expect("a zone")
}

fn inside(sandbox: &Sandbox, of: &str) -> TechnitiumDns {
    inside_with(sandbox, of, "sandbox")
}

/// A record as somebody else makes it.
fn add(sandbox: &Sandbox, parameters: &str) {
    let path = format!("{RECORDS}/add?zone=example&{parameters}");
    let answer = sandbox.http.get(&path, &[("authorization", "Bearer sandbox")]).expect("an answer");
    assert_eq!(answer.body["status"], "ok", "{:?}", answer.body);
}

/// The zone's own list.
fn records(sandbox: &Sandbox) -> Vec<Value> {
    let path = format!("{RECORDS}/get?domain=example&zone=example&listZone=true");
    let answer = sandbox.http.get(&path, &[("authorization", "Bearer sandbox")]).expect("an answer");
    answer.body["response"]["records"].as_array().expect("records").clone()
}

#[test]
fn names_inside_lead_to_the_internal_edge_and_are_changed_in_place() {
    let (sandbox, alpha) = (Sandbox::start(), publication("alpha", 25_570));
    let edge = inside(&sandbox, "prod");
    assert_eq!(publish(&sandbox, &edge, &alpha).expect("published"), "alpha.play.example");
    assert_eq!(changes(&sandbox), ["add"; 3]);
    let mut listed: Vec<_> = records(&sandbox)
        .into_iter()
        .map(|it| {
            assert_eq!(it["comments"], format!("zlh:prod:{}", alpha.instance_id));
            assert_eq!(it["ttl"], 60);
            format!("{} {} {}", it["type"], it["name"], it["rData"]).replace('"', "")
        })
        .collect();
    listed.sort();
    assert_eq!(
        listed,
        [
            "A alpha.play.example {ipAddress:10.0.0.2}",
            "AAAA alpha.play.example {ipAddress:fd00::2}",
            "SRV _minecraft._tcp.alpha.play.example {port:25565,priority:0,target:alpha.play.example,weight:0}",
        ]
    );
    for _ in 0..3 {
        publish(&sandbox, &edge, &alpha).expect("published");
    }
    assert_eq!(changes(&sandbox), [""; 0]);
    assert_as_desired(&sandbox, &edge, &alpha, Owner::Instance(alpha.instance_id));

    // Elsewhere, or beside another one of ours: one call for the whole set, and the name never stops to resolve.
    let direct = DnsSettings { proxy_port: None, ..dns() };
    let (zone, clock) = (internal(&sandbox.base, "sandbox"), Arc::new(sandbox.clock.clone()));
    let moved = TechnitiumDns::new(&zone, &direct, &installation("prod"), clock).expect("a zone");
    publish(&sandbox, &moved, &alpha).expect("published");
    assert_eq!(changes(&sandbox), ["add"]);
    assert_as_desired(&sandbox, &moved, &alpha, Owner::Instance(alpha.instance_id));
    let mark = format!("zlh:prod:{}", alpha.instance_id);
    add(&sandbox, &format!("domain=Alpha.play.example.&type=A&ipAddress=10.0.0.9&comments={mark}"));
    publish(&sandbox, &moved, &alpha).expect("published");
    assert_eq!(changes(&sandbox), ["add"]);
    assert_as_desired(&sandbox, &moved, &alpha, Owner::Instance(alpha.instance_id));

    withdraw(&sandbox, &edge, &alpha).expect("withdrawn");
    withdraw(&sandbox, &edge, &alpha).expect("nothing to withdraw");
    assert_eq!(records(&sandbox), [Value::Null; 0]);
}

#[test]
fn what_is_not_ours_inside_is_reported_and_never_touched() {
    let sandbox = Sandbox::start();
    let (prod, staging) = (inside(&sandbox, "prod"), inside(&sandbox, "staging"));
    for by_hand in [
        "domain=ALPHA.play.example&type=A&ipAddress=10.0.0.77",
        "domain=beta.play.example&type=CNAME&cname=elsewhere.example",
        "domain=gamma.play.example&type=TXT&text=mine",
        "domain=delta.other.example&type=A&ipAddress=10.0.0.78",
        "domain=_minecraft._tcp.epsilon.play.example&type=SRV&priority=0&weight=0&port=1&target=x.example",
    ] {
        add(&sandbox, by_hand);
    }
    let before = records(&sandbox);
    for taken in ["alpha", "beta"] {
        let refused = publish(&sandbox, &prod, &publication(taken, 25_570)).unwrap_err();
        assert!(matches!(refused, EdgeError::NameTaken { .. }) && !refused.is_transient(), "{refused}");
    }
    assert_eq!(records(&sandbox), before);
    let epsilon = publication("epsilon", 25_570);
    assert!(matches!(publish(&sandbox, &prod, &epsilon), Err(EdgeError::NameTaken { .. })));
    withdraw(&sandbox, &prod, &epsilon).expect("what was made before the refusal is taken back");
    assert_eq!(records(&sandbox), before);
    let foreign = observe(&sandbox, &prod).expect("a list");
    assert!(foreign.len() == 3 && foreign.iter().all(|it| it.owner == Owner::Foreign), "{foreign:?}");

    // Another installation in the same zone, with a copy of the database.
    let gamma = publication("gamma", 25_570);
    publish(&sandbox, &prod, &gamma).expect("a text record is in nobody's way");
    let both = records(&sandbox);
    assert!(matches!(publish(&sandbox, &staging, &gamma), Err(EdgeError::NameTaken { .. })));
    withdraw(&sandbox, &staging, &gamma).expect("nothing of its own");
    assert_eq!(records(&sandbox), both);

    // What another instance of ours has left under a name is ours to change.
    let next = publication("gamma", 25_580);
    publish(&sandbox, &prod, &next).expect("published");
    withdraw(&sandbox, &prod, &gamma).expect("nothing of it is left");
    assert_eq!(records(&sandbox).len(), both.len());
    withdraw(&sandbox, &prod, &next).expect("withdrawn");
    assert_eq!(records(&sandbox), before);
}

#[test]
fn a_dns_server_that_is_away_may_come_back_and_one_that_refuses_us_does_not() {
    let (sandbox, alpha) = (Sandbox::start(), publication("alpha", 25_570));
    let refused = publish(&sandbox, &inside_with(&sandbox, "prod", "another"), &alpha).unwrap_err();
    assert!(matches!(refused, EdgeError::Refused { .. }) && !refused.is_transient(), "{refused}");
    assert!(refused.to_string().contains("invalid-token"), "{refused}");
    let other = Sandbox::with(&["--technitium-zone", "other.example"]);
    let refused = observe(&other, &inside(&other, "prod")).unwrap_err();
    assert!(refused.to_string().contains("No such zone") && !refused.is_transient(), "{refused}");

    let edge = inside(&sandbox, "prod");
    publish(&sandbox, &edge, &alpha).expect("published");
    common_faults(&sandbox, &edge, &alpha, RECORDS);
    assert_as_desired(&sandbox, &edge, &alpha, Owner::Instance(alpha.instance_id));
    // Neither an address nor a form has the token.
    let calls = sandbox.http.get("/_calls", &[]).expect("an answer").body.to_string();
    assert!(calls.contains("/get?domain=") && !calls.contains("token"), "{calls}");
}
