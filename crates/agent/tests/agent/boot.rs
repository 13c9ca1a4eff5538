//! Trust, certificate, limits: what is settled before the first request.

use std::{io::Read, net::TcpStream, os::unix::fs::PermissionsExt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::agent::{EnrolRequest, EnrolResponse, Scope, TrustBundle, enrolment_proof_holds};
use reqwest::{Method, StatusCode, tls::TlsInfo};
use ring::digest::{SHA256, digest};

use crate::support::{PATIENCE, TestAgent, command, trusted_root};

#[test]
fn without_a_good_trust_bundle_it_refuses_to_start() {
    let (root, bundle, _) = trusted_root();
    let file = root.path().join("agent/trust.json");
    let broken = |change: fn(&mut TrustBundle)| {
        let mut changed = bundle.clone();
        change(&mut changed);
        serde_json::to_string(&changed).unwrap()
    };
    let contents = [
        None,
        Some(String::new()),
        Some("{}".to_owned()),
        Some("null".to_owned()),
        Some(broken(|bundle| bundle.keys.clear())),
        Some(broken(|bundle| bundle.enrolment_secret.clear())),
        Some(broken(|bundle| bundle.enrolment_secret = STANDARD.encode([0; 16]))),
        Some(broken(|bundle| bundle.keys[0].public_key = "AAAA".into())),
        Some(broken(|bundle| bundle.keys.push(bundle.keys[0].clone()))),
    ];
    for content in contents {
        match &content {
            Some(content) => std::fs::write(&file, content).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let output = command(root.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{content:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("refusing to start: the trust bundle"), "{content:?}: {message}");
        assert!(!root.path().join("agent/tls/key.pem").exists());
    }
}

#[tokio::test]
async fn enrolment_proves_which_certificate_is_the_agents() {
    let mut agent = TestAgent::start();
    let nonce = STANDARD.encode([7; 32]);
    let mut fingerprints = Vec::new();
    for _ in 0..2 {
        let body = EnrolRequest { nonce: nonce.clone() };
        let response = agent.call(Method::POST, "/v1/enrol", Scope::Enrol, &body).await;
        let seen = response.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec();
        let seen = hex::encode(digest(&SHA256, &seen));
        let enrolled: EnrolResponse = response.json().await.unwrap();
        assert_eq!(enrolled.certificate_sha256, seen);
        let secret = STANDARD.decode(&agent.bundle.enrolment_secret).unwrap();
        let id = agent.bundle.instance_id;
        assert!(enrolment_proof_holds(&secret, id, &nonce, &seen, &enrolled.proof));
        assert!(!enrolment_proof_holds(&[0; 32], id, &nonce, &seen, &enrolled.proof));
        fingerprints.push(seen);
        agent.kill();
        agent.boot_again();
    }
    assert_eq!(fingerprints[0], fingerprints[1], "the certificate is kept");
    let short = EnrolRequest { nonce: "AAAA".into() };
    let response = agent.call(Method::POST, "/v1/enrol", Scope::Enrol, &short).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_is_the_agents_own_is_closed_to_others() {
    let agent = TestAgent::start();
    let mode = |path: &str| agent.root.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("agent"), 0o700);
    for file in ["agent/trust.json", "agent/tls/key.pem"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_second_agent_on_one_folder_does_not_start() {
    let agent = TestAgent::start();
    let output = command(agent.root.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another agent serves this folder"));
    agent.status().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_or_not_understood_is_refused() {
    let agent = TestAgent::start();
    let odd = serde_json::json!({"action": "explode"});
    let response = agent.call(Method::POST, "/v1/power", Scope::Power, &odd).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let large = "x".repeat(2 * 1024 * 1024);
    let request =
        agent.client.put(format!("{}/v1/service", agent.url)).bearer_auth(agent.token(Scope::Install));
    // The agent does not read on, so its answer may be lost to the broken connection.
    if let Ok(response) = request.json(&large).send().await {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[test]
fn a_damaged_state_file_is_not_mistaken_for_a_new_container() {
    let (root, _, _) = trusted_root();
    std::fs::write(root.path().join("agent/state.json"), "{\"spec\":").unwrap();
    let output = command(root.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is damaged"));
}

#[tokio::test]
async fn connections_of_strangers_give_way_to_the_control_planes() {
    let agent = TestAgent::start();
    let address = agent.url.strip_prefix("https://").unwrap().to_owned();
    // As many as a game likes; the agent has places for 256.
    let mut silent: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(&address).unwrap()).collect();
    agent.status().await;
    silent[0].set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0, "it has given way");
    agent.status().await;
}
