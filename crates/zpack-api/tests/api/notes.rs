//! Notes.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Client, World};

/// Writes a note over a version, or without saying which.
async fn write(client: &Client, path: &str, over: Option<i64>, body: &str) -> Answer {
    let request = client.request(Method::PUT, path).json(&json!({ "body": body }));
    let over = over.map(|version| format!("\"{version}\""));
    client.send(over.into_iter().fold(request, |it, tag| it.header("if-match", tag))).await
}

#[tokio::test]
async fn a_note_is_its_owners_and_the_second_of_two_windows_is_told() {
    let world = World::start().await;
    world.node("one", 4).await;
    let (ada, bob) = (world.customer("ada").await, world.customer("bob").await);
    let id = world.active_instance(&ada, "Mine").await;
    let path = format!("/api/instances/{id}/note");
    for place in ["/api/note", &path] {
        let empty = ada.get(place).await.expect(200);
        assert_eq!((empty.at("/body"), empty.header("etag")), (json!(""), "\"0\""));
        write(&ada, place, None, "x").await.expect_problem(428, "if_match_missing");
        let script = "# Seed\n\t<script>alert(1)</script>\n";
        let written = write(&ada, place, Some(0), script).await.expect(200);
        assert_eq!((written.at("/body"), written.header("etag")), (json!(script), "\"1\""));
        write(&ada, place, Some(0), "y").await.expect_problem(412, "version_mismatch");
        write(&ada, place, Some(1), "z").await.expect(200);
        let versions = ada.get(&format!("{place}/versions")).await.expect(200);
        assert_eq!(versions.at("/0/body"), json!(script));
        for bad in ["\u{7}", &"x".repeat(30_001)] {
            write(&ada, place, Some(2), bad).await.expect_problem(400, "validation_failed");
        }
    }
    bob.get(&path).await.expect_problem(404, "not_found");
    assert_eq!(bob.get("/api/note").await.at("/body"), json!(""));
}
