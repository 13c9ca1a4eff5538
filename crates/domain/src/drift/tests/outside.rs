//! What is outside the fleet's engines: zones and the storage of backups.

use super::*;
use crate::ids::BackupId;

#[test]
fn a_zone_is_found_when_nine_tenths_of_it_are_taken_and_its_limit_is_known() {
    let of = |records, limit| {
        let zone = ZoneFacts { part: "cloudflare".into(), records, limit, token_ends_at: None };
        find(&Look { zones: vec![zone], ..look_at(Vec::new(), Vec::new(), Vec::new()) })
    };
    assert_eq!((of(179, Some(200)), of(5_000, None)), (vec![], vec![]));
    let found = &of(180, Some(200))[0];
    assert_eq!(
        (found.fingerprint().as_str(), found.observed.as_str()),
        ("zone_nearly_full:cloudflare", "180 of 200 records")
    );
    assert_eq!((found.level, found.action, of(201, Some(200)).len()), (Level::Two, None, 1));
}

#[test]
fn what_the_storage_has_too_much_and_what_it_lacks_is_found_and_nothing_is_said_of_one_that_nobody_has_seen()
{
    let (one, gone) = (active(1), InstanceId::generate());
    let of = |instance, what| BackupDifference { instance, backup: BackupId::generate(), what };
    let missing = of(one.id, Difference::Missing { key: "a".into() });
    let left = of(gone, Difference::Left { key: "b".into(), bytes: 7, state: Some("deleted".into()) });
    let strangers = Strangers { objects: 4, servers: 2, example: "c".into() };
    let report = StorageReport {
        differences: vec![missing.clone(), left.clone()],
        more: 0,
        strangers: Some(strangers),
    };
    let facts = StorageFacts { reported_at: Some(now()), compared_at: Some(now()), error: None, report };
    let look = |storage: &StorageFacts| {
        let unseen = unseen_storage(storage, now()).map(|why| (Source::Storage, why)).into_iter().collect();
        let nothing = look_at(vec![one.clone()], vec![node(1, &[one.id])], Vec::new());
        Look { storage: storage.clone(), unseen, ..nothing }
    };
    let found = find(&look(&facts));
    let fingerprints: Vec<_> = found.iter().map(Finding::fingerprint).collect();
    assert_eq!(
        fingerprints,
        [
            format!("backup_without_object:{}", missing.backup),
            format!("object_without_backup:{}", left.backup),
            "object_without_backup:servers that we do not know".to_owned(),
        ]
    );
    // A finding names a server only where there is a row of it.
    assert_eq!((found[0].instance, found[1].instance), (Some(one.id), None));
    assert!(found.iter().all(|it| (it.level, it.action) == (Level::Three, None) && it.proposal.is_some()));

    let away = look(&StorageFacts { error: Some("no".into()), ..facts.clone() });
    let rules: Vec<_> = find(&away).iter().map(|it| it.rule).collect();
    assert_eq!(rules, [Rule::StorageUnreachable]);
    assert!(away.is_whole(), "no repair is decided by it");
    let old = StorageFacts { compared_at: Some(now() - TimeDelta::days(3)), ..facts };
    assert_eq!(find(&look(&old))[0].rule, Rule::StorageUnreachable);
    assert_eq!(find(&look(&StorageFacts::default())), []);
}

#[test]
fn a_token_is_found_two_weeks_before_it_ends() {
    let of = |days| {
        let token_ends_at = Some(now() + TimeDelta::days(days));
        let zone = ZoneFacts { part: "cloudflare".into(), records: 1, limit: None, token_ends_at };
        find(&Look { zones: vec![zone], ..look_at(Vec::new(), Vec::new(), Vec::new()) })
    };
    assert_eq!(of(15), []);
    let found = &of(13)[0];
    assert_eq!(found.fingerprint(), "credential_expiring:token of cloudflare");
    assert_eq!(
        (found.observed.as_str(), found.action),
        ("a token that ends at 2026-12-11 12:00:00 UTC", None)
    );
}

#[test]
fn a_route_that_traefik_lacks_or_has_disabled_is_found_unless_its_server_has_only_changed() {
    let one = active(1);
    let of = |instance: &InstanceFacts, status: Option<&str>| {
        let route =
            RouteFacts { instance: one.id, router: "zlh-x".into(), status: status.map(str::to_owned) };
        let nothing = look_at(vec![instance.clone()], vec![node(1, &[one.id])], Vec::new());
        Look { routes: vec![route], ..nothing }
    };
    for good in ["enabled", "warning"] {
        assert_eq!(find(&of(&one, Some(good))), []);
    }
    for (bad, observed) in [(None, "none"), (Some("disabled"), "a router that Traefik has disabled")] {
        let found = &find(&of(&one, bad))[0];
        assert_eq!((found.rule, found.level, found.action), (Rule::RouteMissing, Level::Two, None));
        assert_eq!((found.instance, found.observed.as_str()), (Some(one.id), observed));
    }
    let new = InstanceFacts { changed_at: now() - TimeDelta::seconds(59), ..one.clone() };
    assert_eq!(find(&of(&new, None)), []);
    let away = Look { unseen: BTreeMap::from([(Source::Routes, "no".to_owned())]), ..of(&one, None) };
    assert_eq!(fingerprints(&away), ["edge_unreachable:traefik"]);
    assert!(away.is_whole(), "no repair is decided by it");
}
