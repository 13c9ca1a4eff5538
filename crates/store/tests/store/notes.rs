//! Notes: of two changes to one version one counts, and what was written stays to be found for a while.

use domain::ids::CustomerId;
use store::notes::{self, Place};

use crate::fixture::Fixture;

#[tokio::test]
async fn a_note_is_changed_from_the_version_that_was_read_and_keeps_twenty_before() {
    let f = Fixture::new().await;
    let instance = f.active().await;
    let mine = Place { customer: f.customer, instance: None };
    let of_server = Place { instance: Some(instance), ..mine };
    assert_eq!(notes::get(&f.api, mine).await.unwrap().version, 0);
    assert_eq!(notes::put(&f.api, mine, 7, "x").await.unwrap(), None, "there is no such version");
    let first = notes::put(&f.api, mine, 0, "one").await.unwrap().unwrap();
    assert_eq!((first.version, first.body.as_str()), (1, "one"));
    assert_eq!(notes::put(&f.api, mine, 0, "two").await.unwrap(), None, "somebody wrote first");
    let same = notes::put(&f.api, mine, 1, "one").await.unwrap().unwrap();
    assert_eq!(same, first, "nothing was changed");

    // Of two at once one counts.
    let (a, b) = tokio::join!(notes::put(&f.api, mine, 1, "a"), notes::put(&f.api, mine, 1, "b"));
    assert!(a.unwrap().is_some() != b.unwrap().is_some());
    for version in 2..=30 {
        notes::put(&f.api, mine, version, &format!("after {version}")).await.unwrap().unwrap();
    }
    let earlier = notes::earlier(&f.api, mine).await.unwrap();
    assert_eq!((earlier.len(), earlier[0].version, earlier[0].body.as_str()), (20, 30, "after 29"));

    // Each place has its own, and each customer.
    notes::put(&f.api, of_server, 0, "seed 42").await.unwrap().unwrap();
    assert_eq!(notes::get(&f.api, mine).await.unwrap().body, "after 30");
    let other = CustomerId::generate();
    f.add_customer(other, 1).await;
    let theirs = Place { customer: other, instance: Some(instance) };
    assert_eq!(notes::get(&f.api, theirs).await.unwrap().body, "");
    assert_eq!(notes::forget_gone(&f.api).await.unwrap(), 0);
    f.database.execute("UPDATE instances SET lifecycle = 'deleted', capacity_held = false").await;
    assert_eq!(notes::forget_gone(&f.api).await.unwrap(), 1);
    assert_eq!(notes::get(&f.api, mine).await.unwrap().body, "after 30");
}
