//! The proxy.

use std::sync::Arc;

use domain::edge::{Owner, VelocityBridge};
use integrations::edge::{Edge as _, EdgeError, VelocityProxy};
use serde_json::{Value, json};

use super::{
    Sandbox, assert_as_desired, changes, common_faults, dns, observe, publication, publish, withdraw,
};

/// Where the bridge looks for the secret's hash.
const SECRET: &str = "X-Zpack-Secret";
/// `sandbox`, hashed.
const SECRET_HASH: &str = "b7ad567477c83756aab9a542b2be04f77dbae25115d85f22070d74d8cc4779dc";

pub(super) fn bridge(base: &str, secret: &str) -> VelocityBridge {
    VelocityBridge { url: format!("{base}/velocity"), secret: secret.into() }
}

fn proxy_with(sandbox: &Sandbox, secret: &str) -> VelocityProxy {
    let bridge = bridge(&sandbox.base, secret);
    VelocityProxy::new(&bridge, &dns(), Arc::new(sandbox.clock.clone())).expect("a proxy")
}

fn proxy(sandbox: &Sandbox) -> VelocityProxy {
    proxy_with(sandbox, "sandbox")
}

/// The proxy's own list.
fn servers(sandbox: &Sandbox) -> Value {
    sandbox.http.get("/velocity/zpack/list", &[]).expect("an answer").body["servers"].clone()
}

/// A registration as somebody else makes it.
fn register(sandbox: &Sandbox, name: &str, address: &str) {
    let body = json!({ "server_name": name, "address": address, "port": 25_570 });
    let answer =
        sandbox.http.post("/velocity/zpack/register", &[(SECRET, SECRET_HASH)], &body).expect("an answer");
    assert_eq!(answer.status, 200, "{:?}", answer.body);
}

#[test]
fn a_server_is_registered_once_under_the_name_that_players_type() {
    let (sandbox, mut alpha) = (Sandbox::start(), publication("alpha", 25_570));
    let edge = proxy(&sandbox);
    assert_eq!(publish(&sandbox, &edge, &alpha).expect("published"), "alpha.play.example");
    assert_eq!(
        servers(&sandbox),
        json!([{ "name": "alpha.play.example", "address": "127.0.0.1", "port": 25_570 }])
    );
    assert_eq!(changes(&sandbox), ["register"]);
    for _ in 0..3 {
        publish(&sandbox, &edge, &alpha).expect("published");
    }
    assert_eq!(changes(&sandbox), [""; 0]);
    assert_as_desired(&sandbox, &edge, &alpha, Owner::Unmarked);

    // Another game's players do not come through the proxy.
    alpha.service = None;
    assert_eq!(publish(&sandbox, &edge, &alpha).expect("nothing to do"), "alpha.play.example:25570");
    withdraw(&sandbox, &edge, &alpha).expect("nothing to do");
    assert_eq!((edge.desired(&alpha).expect("a name"), changes(&sandbox)), (vec![], vec![]));

    alpha.service = Some("minecraft".into());
    withdraw(&sandbox, &edge, &alpha).expect("withdrawn");
    withdraw(&sandbox, &edge, &alpha).expect("nothing to withdraw");
    assert_eq!(servers(&sandbox), json!([]));
}

#[test]
fn a_server_that_moved_is_registered_anew_and_one_name_has_one_address() {
    for names_only in [false, true] {
        let sandbox = if names_only { Sandbox::with(&["--velocity-names-only"]) } else { Sandbox::start() };
        let (edge, mut alpha) = (proxy(&sandbox), publication("alpha", 25_570));
        alpha.node_host = "10.0.0.5".into();
        publish(&sandbox, &edge, &alpha).expect("published");
        changes(&sandbox);
        alpha.node_host = "10.0.0.9".into();
        publish(&sandbox, &edge, &alpha).expect("published");
        let expected: &[_] =
            if names_only { &["register", "unregister", "register"] } else { &["unregister", "register"] };
        assert_eq!(changes(&sandbox), expected);
        // The proxy would refuse another address than the one that it has.
        register(&sandbox, "alpha.play.example", "10.0.0.9");
        // As it should be, as far as can be seen.
        let seen = observe(&sandbox, &edge).expect("a list");
        assert_eq!(seen.len(), 1);
        assert!(seen[0].leads_to(&edge.desired(&alpha).expect("a name")[0]), "{seen:?}");
        assert_eq!(seen[0].entry.target.is_empty(), names_only);
    }
}

#[test]
fn names_ignore_case_and_what_is_not_below_our_domain_is_not_looked_at() {
    let (sandbox, alpha) = (Sandbox::start(), publication("alpha", 25_570));
    let edge = proxy(&sandbox);
    for other in ["lobby", "play.example", "alpha", "alpha.display.example", "a.b.play.example"] {
        register(&sandbox, other, "198.51.100.1");
    }
    assert_eq!(observe(&sandbox, &edge).expect("a list"), []);
    register(&sandbox, "Alpha.PLAY.example", "127.0.0.1");
    changes(&sandbox);
    assert_as_desired(&sandbox, &edge, &alpha, Owner::Unmarked);
    publish(&sandbox, &edge, &alpha).expect("published");
    assert_eq!(changes(&sandbox), [""; 0]);
    withdraw(&sandbox, &edge, &alpha).expect("withdrawn");
    assert_eq!(observe(&sandbox, &edge).expect("a list"), []);
    assert_eq!(servers(&sandbox).as_array().map(Vec::len), Some(5));
}

#[test]
fn a_bridge_that_is_away_may_come_back_and_one_that_refuses_us_does_not() {
    let (sandbox, alpha) = (Sandbox::start(), publication("alpha", 25_570));
    let edge = proxy(&sandbox);
    let wrong = proxy_with(&sandbox, "another");
    let refused = publish(&sandbox, &wrong, &alpha).unwrap_err();
    assert!(
        matches!(refused, EdgeError::Refused { status: 403, .. }) && !refused.is_transient(),
        "{refused}"
    );
    let refused = withdraw(&sandbox, &wrong, &alpha).unwrap_err();
    assert!(matches!(refused, EdgeError::Refused { status: 403, .. }), "{refused}");

    // Nothing is found at a wrong address, and that is not the same as a name that is gone.
    for times in [2, 1] {
        publish(&sandbox, &edge, &alpha).expect("published");
        sandbox.fault(&json!({ "path_prefix": "/velocity/zpack", "kind": "not_found", "times": times }));
        let lost = withdraw(&sandbox, &edge, &alpha).unwrap_err();
        assert!(matches!(lost, EdgeError::Refused { status: 404, .. }), "{lost}");
    }
    publish(&sandbox, &edge, &alpha).expect("published");
    common_faults(&sandbox, &edge, &alpha, "/velocity/zpack");
    // The answer to a call that was made is lost: the next one finds it made.
    withdraw(&sandbox, &edge, &alpha).expect("withdrawn");
    sandbox.fault(&json!({ "path_prefix": "/velocity/zpack/register", "kind": "cut", "times": 1 }));
    assert!(matches!(publish(&sandbox, &edge, &alpha), Err(EdgeError::Unreachable(_))));
    changes(&sandbox);
    publish(&sandbox, &edge, &alpha).expect("published");
    assert_eq!(changes(&sandbox), [""; 0]);
}
