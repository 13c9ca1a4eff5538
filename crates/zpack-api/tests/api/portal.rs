//! The Portal's files and page.

use crate::support::World;

#[tokio::test]
async fn the_page_is_there_for_every_address_of_a_page_and_for_no_other() {
    let world = World::start().await;
    let anonymous = world.anonymous();
    for path in ["/", "/login", "/servers/1/console", "/nothing"] {
        let page = anonymous.get(path).await.expect(200);
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert_eq!(page.header("cache-control"), "no-cache", "{path}");
    }
    anonymous.get("/assets/none.js").await.expect_problem(404, "not_found");
    anonymous.get("/api/none").await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn what_the_page_names_is_there_and_may_be_kept_for_ever() {
    let world = World::start().await;
    let page = world.anonymous().get("/").await.expect(200).text;
    let assets: Vec<_> = page.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert!(!assets.is_empty(), "the Portal is built in: {page}");
    for asset in assets {
        let file = world.anonymous().get(asset).await.expect(200);
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable", "{asset}");
        assert_eq!(file.header("vary"), "accept-encoding", "{asset}");
    }
}
