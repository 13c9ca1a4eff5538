//! The API's description: complete, checked in, and browsable.

use crate::support::World;

#[test]
fn the_description_that_is_checked_in_is_that_of_the_code() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let checked_in = std::fs::read_to_string(file).unwrap_or_default();
    let now = zpack_api::router::description().to_pretty_json().unwrap() + "\n";
    assert!(
        checked_in == now,
        "docs/openapi.json is out of date: write the output of `zpack-api openapi` to it"
    );
}

#[test]
fn every_operation_has_a_name_a_summary_and_an_error_and_every_reference_leads_somewhere() {
    let document = serde_json::to_value(zpack_api::router::description()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for member in ["operationId", "summary", "tags"] {
                assert!(!operation[member].is_null(), "{method} {path}: {member}");
            }
            assert!(operation.pointer("/responses/default").is_some(), "{method} {path}");
        }
    }
    let refs = document.to_string();
    for reference in refs.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(!document["components"]["schemas"][name].is_null(), "{name} is not described");
    }
}

#[tokio::test]
async fn the_description_can_be_read_and_browsed() {
    let world = World::start().await;
    let client = world.anonymous();
    let json = client.get("/api/openapi.json").await.expect(200);
    assert_eq!(json.at("/info/title"), "ZLH");
    let page = client.get("/api/docs/").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    for asset in page.text.split('"').filter(|text| text.starts_with("./")) {
        client.get(&format!("/api/docs/{}", asset.trim_start_matches("./"))).await.expect(200);
    }
    let start = client.get("/api/docs/swagger-initializer.js").await.expect(200);
    assert!(start.text.contains("/api/openapi.json"), "{}", start.text);
    // The policy forbids scripts in the page itself.
    for script in page.text.split("<script").skip(1) {
        assert!(script.split('>').next().unwrap().contains("src="), "{script}");
    }
    assert!(
        client.get("/").await.expect(200).text.contains("/api/docs"),
        "the page tells whoever has no scripts"
    );
}
