//! What holds whatever is observed.

mod outside;
mod payments;

use chrono::{TimeDelta, TimeZone as _};
use proptest::prelude::*;

use super::*;
use crate::edge::Owner;

const STATES: [OperationState; 4] =
    [OperationState::Queued, OperationState::Running, OperationState::Undoing, OperationState::Stuck];

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 28, 12, 0, 0).unwrap()
}

fn entry(n: usize, kind: &str, target: &str) -> Entry {
    Entry {
        part: "cloudflare".into(),
        name: format!("{kind} server-{n}.play.example"),
        target: target.into(),
    }
}

/// What a proxy has of a server: no place for a mark, and not in each of them one for the target.
fn backend(n: usize, target: &str) -> Entry {
    Entry { part: "velocity".into(), name: format!("server-{n}.play.example"), target: target.into() }
}

prop_compose! {
    fn operation()(state in prop::sample::select(&STATES[..]), lease in prop::option::of(-600_i64..600), due in -3_600_i64..60) -> OperationFacts {
        let held = matches!(state, OperationState::Running | OperationState::Undoing);
        OperationFacts {
            id: OperationId::generate(),
            kind: OperationKind::Create,
            state,
            lease_expires_at: lease.filter(|_| held).map(|seconds| now() + TimeDelta::seconds(seconds)),
            run_after: now() + TimeDelta::seconds(due),
        }
    }
}

prop_compose! {
    fn instance(n: usize)(
        lifecycle in prop::sample::select(Lifecycle::ALL),
        desired_power in prop::sample::select(DesiredPower::ALL),
        observed_power in prop::sample::select(ObservedPower::ALL),
        on_hold: bool,
        heard in prop::option::of(0_i64..900),
        active in prop::option::weighted(0.3, operation()),
    ) -> InstanceFacts {
        let entries = match lifecycle {
            Lifecycle::Active => Some(vec![
                entry(n, "A", "203.0.113.7"), entry(n, "SRV", "0 0 25565 x"), backend(n, "10.0.0.5:25570"),
            ]),
            Lifecycle::Provisioning | Lifecycle::Deleting => None,
            Lifecycle::Deleted | Lifecycle::Failed => Some(Vec::new()),
        };
        InstanceFacts {
            id: InstanceId::generate(), hostname: format!("server-{n}"), lifecycle, desired_power, observed_power, on_hold,
            node: format!("node-{}", n % 2), changed_at: now() - TimeDelta::minutes(5),
            heard_at: heard.map(|seconds| now() - TimeDelta::seconds(seconds)), active, entries,
        }
    }
}

/// Of each record: there as it should be, elsewhere, of somebody else, twice, or missing. Of each entry of a proxy: there,
/// there without a target, elsewhere, or missing; and some under names of servers that there may be no longer.
fn edge(instances: &[InstanceFacts], choices: &[u8]) -> Vec<Observed> {
    let mut seen = Vec::new();
    for (n, instance) in instances.iter().enumerate() {
        for (k, kind) in ["A", "SRV"].iter().enumerate() {
            let right = entry(n, kind, if *kind == "A" { "203.0.113.7" } else { "0 0 25565 x" });
            let wrong = Entry { target: "elsewhere".into(), ..right.clone() };
            let ours = |entry| Observed { entry, owner: Owner::Instance(instance.id) };
            match choices.get(2 * n + k).copied().unwrap_or_default() % 6 {
                0 | 1 => seen.push(ours(right)),
                2 => seen.push(ours(wrong)),
                3 => seen.push(Observed { entry: right, owner: Owner::Foreign }),
                4 => seen.extend([ours(right), ours(wrong)]),
                _ => {}
            }
        }
    }
    let unmarked = |entry| Observed { entry, owner: Owner::Unmarked };
    for (n, choice) in choices.iter().rev().take(9).enumerate() {
        seen.extend(match choice % 5 {
            0 | 1 => Some(unmarked(backend(n, "10.0.0.5:25570"))),
            2 => Some(unmarked(backend(n, ""))),
            3 => Some(unmarked(backend(n, "10.0.0.9:25570"))),
            _ => None,
        });
    }
    seen
}

/// Two nodes: each server's container is there, unmarked, on the other node as well, or missing; and some that nobody knows.
fn nodes(instances: &[InstanceFacts], choices: &[u8], ages: [i64; 2]) -> Vec<NodeFacts> {
    let node = |k: usize| {
        let mut containers: HashSet<_> = (0..choices[k] % 3).map(|_| InstanceId::generate()).collect();
        let mut unmarked = HashSet::new();
        for (n, instance) in instances.iter().enumerate() {
            let here = n % 2 == k;
            match choices.get(n).copied().unwrap_or_default() % 5 {
                0 | 1 if here => drop(containers.insert(instance.id)),
                2 if here => drop(unmarked.insert(instance.id)),
                3 => drop(containers.insert(instance.id)),
                _ => {}
            }
        }
        let at = Some(now() - TimeDelta::seconds(ages[k]));
        NodeFacts {
            name: format!("node-{k}"),
            cordoned: false,
            known_since: now() - TimeDelta::hours(1),
            reported_at: at,
            listed_at: at,
            error: None,
            containers,
            unmarked,
        }
    };
    vec![node(0), node(1)]
}

fn look_at(instances: Vec<InstanceFacts>, nodes: Vec<NodeFacts>, edge: Vec<Observed>) -> Look {
    let unseen = unseen_nodes(&nodes, now());
    Look {
        now: now(),
        instances,
        nodes,
        deleted: HashMap::new(),
        lost_ports: Vec::new(),
        edge,
        storage: StorageFacts::default(),
        routes: Vec::new(),
        zones: Vec::new(),
        payments: PaymentFacts::default(),
        unseen,
    }
}

prop_compose! {
    fn look()(
        instances in (0_usize..7).prop_flat_map(|n| (0..n).map(instance).collect::<Vec<_>>()),
        choices in prop::collection::vec(any::<u8>(), 14), of_nodes in prop::collection::vec(any::<u8>(), 7),
        ages in [0_i64..200, 0_i64..200],
    ) -> Look {
        let (edge, nodes) = (edge(&instances, &choices), nodes(&instances, &of_nodes, ages));
        look_at(instances, nodes, edge)
    }
}

fn standing(look: &Look, finding: &Finding) -> Standing {
    let instance = finding.instance.and_then(|id| look.instances.iter().find(|it| it.id == id));
    Standing {
        seen: 2,
        on_hold: instance.is_some_and(|it| it.on_hold),
        active: instance.is_some_and(|it| it.lifecycle == Lifecycle::Active),
        busy: instance.is_some_and(|it| it.active.is_some()),
        attempts: Attempts::default(),
    }
}

const LEVEL_1: Posture =
    Posture { mode: Mode::Level1, paused: false, complete: true, breaker_open: false, budget: 100 };

/// What the repairs do, and no more.
fn repaired(look: &Look, finding: &Finding, action: RepairAction) -> Look {
    let mut after = look.clone();
    for instance in after.instances.iter_mut().filter(|it| Some(it.id) == finding.instance) {
        match action {
            RepairAction::ClearStaleOperationLock => {
                instance.active.as_mut().unwrap().lease_expires_at = None;
                instance.active.as_mut().unwrap().run_after = look.now;
            }
            RepairAction::EdgeRepublish => {
                let edge = &mut after.edge;
                for entry in instance.entries.iter().flatten() {
                    edge.retain(|it| it.entry.name != entry.name || it.owner == Owner::Foreign);
                    let marked = entry.part != "velocity";
                    let owner = if marked { Owner::Instance(instance.id) } else { Owner::Unmarked };
                    edge.push(Observed { entry: entry.clone(), owner });
                }
            }
        }
    }
    after
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_leads_to_an_action_above_level_1_on_a_hold_or_on_what_is_not_ours(look in look()) {
        for finding in find(&look) {
            prop_assert!(finding.action.is_none() || finding.level == Level::One, "{finding:?}");
            prop_assert!(finding.action.is_some() || finding.proposal.is_some(), "{finding:?}");
            let standing = standing(&look, &finding);
            let Verdict::Repair(action) = verdict(&finding, &standing, &LEVEL_1, look.now) else { continue };
            prop_assert!(!standing.on_hold && finding.rule != Rule::EntryForeign && finding.rule != Rule::EntryStale);
            prop_assert!(!matches!(finding.source, Source::Node(_)), "{finding:?}");
            if action == RepairAction::EdgeRepublish {
                prop_assert!(standing.active && !standing.busy);
                let foreign = look.edge.iter().any(|it| {
                    it.owner == Owner::Foreign && finding.subject == format!("{} {}", it.entry.part, it.entry.name)
                });
                prop_assert!(!foreign, "{finding:?}");
            }
        }
    }

    #[test]
    fn what_was_repaired_is_not_found_again(look in look()) {
        let mut after = look.clone();
        let mut done = Vec::new();
        for finding in find(&look) {
            if let Verdict::Repair(action) = verdict(&finding, &standing(&look, &finding), &LEVEL_1, look.now) {
                after = repaired(&after, &finding, action);
                done.push(finding.fingerprint());
            }
        }
        let left: Vec<_> = find(&after).iter().map(Finding::fingerprint).filter(|it| done.contains(it)).collect();
        prop_assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn in_every_other_posture_nothing_is_repaired(look in look()) {
        let postures = [
            Posture { mode: Mode::Observe, ..LEVEL_1 }, Posture { paused: true, ..LEVEL_1 }, Posture { complete: false, ..LEVEL_1 },
            Posture { breaker_open: true, ..LEVEL_1 }, Posture { budget: 0, ..LEVEL_1 },
        ];
        for finding in find(&look) {
            let now_standing = standing(&look, &finding);
            for posture in &postures {
                prop_assert!(matches!(verdict(&finding, &now_standing, posture, look.now), Verdict::Leave(_)));
            }
            let once = Standing { seen: 1, ..now_standing };
            prop_assert!(matches!(verdict(&finding, &once, &LEVEL_1, look.now), Verdict::Leave(_)));
        }
    }

    #[test]
    fn what_has_no_mark_is_stale_if_and_only_if_no_server_can_want_it(look in look()) {
        let findings = find(&look);
        for seen in look.edge.iter().filter(|it| it.owner == Owner::Unmarked) {
            let wanted = look.instances.iter().any(|it| match &it.entries {
                Some(entries) => entries.iter().any(|entry| entry.name == seen.entry.name),
                None => seen.entry.name.starts_with(&format!("{}.", it.hostname)),
            });
            let stale: Vec<_> = findings
                .iter()
                .filter(|it| it.rule == Rule::EntryStale && it.subject.starts_with(&format!("velocity {}", seen.entry.name)))
                .collect();
            prop_assert_eq!(stale.is_empty(), wanted, "{:?}", seen);
            for finding in stale {
                prop_assert_eq!((finding.level, finding.action, finding.instance), (Level::Two, None, None));
                prop_assert!(finding.proposal.is_some());
            }
        }
    }

    #[test]
    fn what_has_no_mark_is_published_again_only_where_it_is_seen_to_lead_elsewhere(look in look()) {
        let findings = find(&look);
        for (n, instance) in look.instances.iter().enumerate().filter(|(_, it)| it.entries.as_ref().is_some_and(|it| !it.is_empty())) {
            let name = backend(n, "").name;
            let seen = look.edge.iter().find(|it| it.entry.name == name).map(|it| it.entry.target.as_str());
            let found = findings.iter().find(|it| it.subject == format!("velocity {name}"));
            let expected = match seen {
                None => Some(Rule::EntryMissing),
                Some("10.0.0.9:25570") => Some(Rule::EntryWrong),
                Some(_) => None,
            };
            prop_assert_eq!(found.map(|it| it.rule), expected);
            prop_assert!(found.is_none_or(|it| it.action == Some(RepairAction::EdgeRepublish) && it.instance == Some(instance.id)));
        }
    }

    #[test]
    fn fingerprints_are_one_each(look in look()) {
        let all: Vec<_> = find(&look).iter().map(Finding::fingerprint).collect();
        let mut once = all.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(all.len(), once.len(), "{:?}", all);
    }
}

#[test]
fn an_edge_that_could_not_be_listed_says_nothing_of_what_is_missing() {
    let mut facts = InstanceFacts { entries: Some(vec![entry(1, "A", "203.0.113.7")]), ..active(1) };
    let look = |facts: &InstanceFacts, edge| look_at(vec![facts.clone()], Vec::new(), edge);
    let away = Look {
        unseen: BTreeMap::from([(Source::Edge("cloudflare".into()), "502".into())]),
        ..look(&facts, Vec::new())
    };
    let found: Vec<_> = find(&away).iter().map(Finding::fingerprint).collect();
    assert_eq!(found, ["edge_unreachable:cloudflare"]);
    assert_eq!(find(&look(&facts, Vec::new()))[0].rule, Rule::EntryMissing);
    // Without rows everything at the edge would look like what nobody wants.
    let theirs = Observed { entry: entry(1, "A", "203.0.113.7"), owner: Owner::Instance(facts.id) };
    let unreadable = Look {
        instances: Vec::new(),
        unseen: BTreeMap::from([(Source::Rows, "none".into())]),
        ..look(&facts, vec![theirs])
    };
    assert_eq!(find(&unreadable), []);
    // Another part that is away says nothing of this one.
    let other = Look {
        unseen: BTreeMap::from([(Source::Edge("velocity".into()), "502".into())]),
        ..look(&facts, Vec::new())
    };
    let rules: Vec<_> = find(&other).iter().map(|it| it.rule).collect();
    assert_eq!(rules, [Rule::EntryMissing, Rule::EdgeUnreachable]);
    // A server that is being removed may have its records still, or not any more.
    facts.entries = None;
    let theirs = Observed { entry: entry(1, "A", "203.0.113.7"), owner: Owner::Instance(facts.id) };
    assert_eq!(find(&look(&facts, vec![theirs.clone()])), []);
    assert_eq!(find(&Look { instances: Vec::new(), ..look(&facts, vec![theirs]) })[0].rule, Rule::EntryStale);
}

#[test]
fn the_breaker_opens_when_more_than_a_few_and_more_than_a_fifth_drift() {
    assert!(
        !breaker_is_open(3, 3)
            && !breaker_is_open(4, 20)
            && breaker_is_open(4, 19)
            && breaker_is_open(21, 100)
    );
}

#[test]
fn each_attempt_is_followed_by_a_longer_pause() {
    let alpha = InstanceId::generate();
    let finding = Finding {
        rule: Rule::EntryMissing,
        source: Source::Edge("cloudflare".into()),
        level: Level::One,
        action: Some(RepairAction::EdgeRepublish),
        instance: Some(alpha),
        operation: None,
        subject: "x".into(),
        desired: String::new(),
        observed: String::new(),
        proposal: None,
    };
    let after = |count, minutes| {
        let attempts = Attempts { count, last_at: Some(now() - TimeDelta::minutes(minutes)), pending: false };
        let standing = Standing { seen: 9, on_hold: false, active: true, busy: false, attempts };
        verdict(&finding, &standing, &LEVEL_1, now())
    };
    assert_eq!(
        (after(1, 0), after(1, 2)),
        (Verdict::Leave(Reason::BackingOff), Verdict::Repair(RepairAction::EdgeRepublish))
    );
    assert_eq!(after(3, 3), Verdict::Leave(Reason::BackingOff));
    assert_eq!(
        (after(40, 59), after(40, 61)),
        (Verdict::Leave(Reason::BackingOff), Verdict::Repair(RepairAction::EdgeRepublish))
    );
}

fn active(n: usize) -> InstanceFacts {
    InstanceFacts {
        id: InstanceId::generate(),
        hostname: format!("server-{n}"),
        lifecycle: Lifecycle::Active,
        desired_power: DesiredPower::Running,
        observed_power: ObservedPower::Running,
        node: "node-0".into(),
        changed_at: now() - TimeDelta::minutes(5),
        on_hold: false,
        heard_at: Some(now()),
        active: None,
        entries: Some(Vec::new()),
    }
}

fn node(listed: i64, containers: &[InstanceId]) -> NodeFacts {
    let at = Some(now() - TimeDelta::seconds(listed));
    NodeFacts {
        name: "node-0".into(),
        cordoned: false,
        known_since: now() - TimeDelta::hours(1),
        reported_at: at,
        listed_at: at,
        error: None,
        containers: containers.iter().copied().collect(),
        unmarked: HashSet::new(),
    }
}

fn fingerprints(look: &Look) -> Vec<String> {
    find(look).iter().map(Finding::fingerprint).collect()
}

#[test]
fn containers_and_rows_that_do_not_match_are_found_and_those_of_a_moment_are_not() {
    let (one, stray) = (active(1), InstanceId::generate());
    let of = |it: &InstanceFacts, node: NodeFacts| look_at(vec![it.clone()], vec![node], Vec::new());
    assert_eq!(find(&of(&one, node(1, &[one.id]))), []);
    assert_eq!(fingerprints(&of(&one, node(1, &[]))), [format!("row_without_container:{}", one.id)]);
    let unmarked = NodeFacts { unmarked: HashSet::from([one.id]), ..node(1, &[]) };
    assert_eq!(fingerprints(&of(&one, unmarked)), [format!("mark_lost:{}", one.id)]);
    // A list that is older than the row says nothing of it, and nothing is said while something is done.
    let new = InstanceFacts { changed_at: now(), ..one.clone() };
    assert_eq!(find(&of(&new, node(1, &[]))), []);
    let made = InstanceFacts { lifecycle: Lifecycle::Deleting, entries: None, ..one.clone() };
    assert_eq!((find(&of(&made, node(1, &[]))), find(&of(&made, node(1, &[one.id])))), (vec![], vec![]));

    let both = node(1, &[one.id, stray]);
    let found = find(&of(&one, both.clone()));
    assert_eq!((found.len(), found[0].rule, found[0].level), (1, Rule::ContainerWithoutRow, Level::Three));
    assert_eq!(found[0].instance, None, "it has no row that could be named");
    let deleted = |at| Look { deleted: HashMap::from([(stray, at)]), ..of(&one, both.clone()) };
    assert_eq!(find(&deleted(now())), [], "it was deleted after the list was made");
    assert_eq!(find(&deleted(now() - TimeDelta::minutes(1)))[0].instance, Some(stray));
    let failed = InstanceFacts { lifecycle: Lifecycle::Failed, ..one.clone() };
    assert_eq!(find(&of(&failed, node(1, &[one.id])))[0].rule, Rule::ContainerWithoutRow);
}

#[test]
fn a_node_that_is_silent_or_cannot_be_listed_is_a_finding_and_keeps_no_repair_elsewhere_from_being_made() {
    let one = active(1);
    let of = |node: NodeFacts| look_at(vec![one.clone()], vec![node], Vec::new());
    let silent = of(node(121, &[]));
    assert_eq!(fingerprints(&silent), ["node_silent:node-0"]);
    assert!(silent.incomplete().is_some() && silent.is_whole());
    let broken = of(NodeFacts { reported_at: Some(now()), error: Some("no".into()), ..node(121, &[]) });
    assert_eq!(
        (fingerprints(&broken), &find(&broken)[0].observed),
        (vec!["engine_unreachable:node-0".into()], &"no".to_owned())
    );
    let emptied = NodeFacts { cordoned: true, ..node(121, &[]) };
    assert_eq!(find(&look_at(Vec::new(), vec![emptied], Vec::new())), []);
    let away =
        Look { unseen: BTreeMap::from([(Source::Edge("x".into()), "no".into())]), ..of(node(1, &[one.id])) };
    assert!(!away.is_whole());
}

#[test]
fn a_port_of_a_server_that_is_gone_is_found() {
    let lost = LostPort {
        node: "node-0".into(),
        port: 25_600,
        instance: InstanceId::generate(),
        hostname: "alpha".into(),
        lifecycle: "deleted".into(),
    };
    let look = Look { lost_ports: vec![lost], ..look_at(Vec::new(), Vec::new(), Vec::new()) };
    assert_eq!(fingerprints(&look), ["port_without_instance:node-0 25600"]);
}
