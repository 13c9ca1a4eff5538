//! The rules: one look, all findings.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;

use super::{
    Finding, InstanceFacts, Level, Look, OperationFacts, RepairAction, Rule, Source, breaker_is_open, nodes,
    payments, routes, storage, zones,
};
use crate::{
    edge::{Entry, Observed, Owner},
    ids::InstanceId,
    instance::{DesiredPower, Lifecycle, ObservedPower},
    operation::OperationState,
};

/// How long after the end of its lease an operation counts as left: several times what a takeover takes.
pub const LEFT_AFTER: TimeDelta = TimeDelta::seconds(60);

/// How long committed work may wait before somebody should look.
const WAITS: TimeDelta = TimeDelta::minutes(10);

/// How long an agent may be silent.
const SILENT_AFTER: TimeDelta = TimeDelta::minutes(5);

/// The instances that are not deleted, by their ids.
pub(super) type Living<'a> = HashMap<InstanceId, &'a InstanceFacts>;

/// Everything that is not as it should be, in a stable order.
pub fn find(look: &Look) -> Vec<Finding> {
    let mut findings = Vec::new();
    if look.unseen.contains_key(&Source::Rows) {
        // What should be is not known, so nothing can be said to differ.
        return findings;
    }
    for instance in &look.instances {
        findings.extend(work(look, instance));
        findings.extend(power(look, instance));
    }
    let living: Living<'_> = look.instances.iter().map(|it| (it.id, it)).collect();
    findings.extend(nodes::find(look, &living));
    findings.extend(edge_findings(look, &living));
    findings.extend(routes::find(look, &living));
    findings.extend(storage::find(look, &living));
    findings.extend(zones::find(look));
    findings.extend(payments::find(look));
    findings.extend(unseen(look));
    findings.extend(breaker(look, &findings));
    findings
}

/// What could not be seen at the edge. It does not say that anything there is wrong.
fn unseen(look: &Look) -> Vec<Finding> {
    let of_part = |(part, why): (&str, &String)| Finding {
        subject: part.to_owned(),
        desired: "a whole list".to_owned(),
        proposal: Some(format!("look at {part} and at what the configuration says of it")),
        ..general(Rule::EdgeUnreachable, why.clone())
    };
    unseen_parts(look).map(of_part).collect()
}

/// The parts of the edge that could not be seen, and why.
fn unseen_parts(look: &Look) -> impl Iterator<Item = (&str, &String)> {
    look.unseen.iter().filter_map(|(source, why)| match source {
        Source::Edge(part) => Some((part.as_str(), why)),
        Source::Routes => Some(("traefik", why)),
        Source::Rows | Source::Node(_) | Source::Storage => None,
    })
}

/// Something else must be wrong when so much drifts at once.
fn breaker(look: &Look, findings: &[Finding]) -> Option<Finding> {
    let drifting: HashSet<_> = findings.iter().filter_map(|finding| finding.instance).collect();
    let (drifting, fleet) = (drifting.len(), look.instances.len());
    breaker_is_open(drifting, fleet).then(|| Finding {
        subject: "fleet".to_owned(),
        desired: "few, if any, that drift".to_owned(),
        proposal: Some("find what they have in common before any of them is repaired".to_owned()),
        ..general(Rule::BreakerOpen, format!("{drifting} of {fleet} servers drift at once"))
    })
}

/// A finding that is of no one server.
pub(super) fn general(rule: Rule, observed: String) -> Finding {
    Finding {
        rule,
        source: Source::Rows,
        level: Level::Two,
        action: None,
        instance: None,
        operation: None,
        subject: String::new(),
        desired: String::new(),
        observed,
        proposal: None,
    }
}

pub(super) fn finding(
    rule: Rule,
    level: Level,
    instance: &InstanceFacts,
    observed: impl Into<String>,
) -> Finding {
    Finding {
        level,
        instance: Some(instance.id),
        subject: instance.id.to_string(),
        ..general(rule, observed.into())
    }
}

fn work(look: &Look, instance: &InstanceFacts) -> Option<Finding> {
    let OperationFacts { id, kind, state, lease_expires_at, run_after } = instance.active.as_ref()?;
    let about = |rule, level, observed: String| Finding {
        operation: Some(*id),
        subject: id.to_string(),
        ..finding(rule, level, instance, observed)
    };
    let left_at = lease_expires_at.filter(|end| *end + LEFT_AFTER < look.now);
    if let (OperationState::Running | OperationState::Undoing, Some(end)) = (state, left_at) {
        return Some(Finding {
            action: Some(RepairAction::ClearStaleOperationLock),
            desired: "a worker that holds it, or none".to_owned(),
            ..about(
                Rule::StaleOperationLock,
                Level::One,
                format!(
                    "the {kind} of {} is held by a worker whose lease ended at {}",
                    instance.hostname,
                    end.format("%H:%M:%S")
                ),
            )
        });
    }
    let waits = lease_expires_at.is_none() && *run_after + WAITS < look.now;
    (*state != OperationState::Stuck && waits).then(|| Finding {
        desired: "a worker that takes it".to_owned(),
        proposal: Some("look whether a provision-worker runs and what it is busy with".to_owned()),
        ..about(
            Rule::WorkNotTaken,
            Level::Two,
            format!("the {kind} of {} waits since {}", instance.hostname, run_after.format("%H:%M:%S")),
        )
    })
}

fn power(look: &Look, instance: &InstanceFacts) -> Option<Finding> {
    if instance.lifecycle != Lifecycle::Active || instance.active.is_some() {
        return None;
    }
    let hostname = &instance.hostname;
    if instance.on_hold {
        let runs = matches!(instance.observed_power, ObservedPower::Running | ObservedPower::Starting);
        return runs.then(|| Finding {
            desired: "stopped, since a hold is in force".to_owned(),
            proposal: Some("stop the server, or lift the hold".to_owned()),
            ..finding(Rule::RunningOnHold, Level::Two, instance, format!("{hostname} runs"))
        });
    }
    if instance.desired_power != DesiredPower::Running {
        return None;
    }
    if instance.heard_at.is_some_and(|at| at + SILENT_AFTER < look.now) {
        let since = instance.heard_at.map(|at| at.format("%H:%M:%S").to_string()).unwrap_or_default();
        return Some(Finding {
            desired: "an agent that answers".to_owned(),
            proposal: Some("look at the container and its node".to_owned()),
            ..finding(
                Rule::AgentUnreachable,
                Level::Two,
                instance,
                format!("the agent of {hostname} was heard last at {since}"),
            )
        });
    }
    let down = matches!(instance.observed_power, ObservedPower::Stopped | ObservedPower::Crashed);
    down.then(|| Finding {
        desired: "running".to_owned(),
        proposal: Some("read the server's console; its customer may be told".to_owned()),
        ..finding(
            Rule::NotRunning,
            Level::Two,
            instance,
            format!("{hostname} is {}", instance.observed_power),
        )
    })
}

/// What is at the edge, against what should be.
fn edge_findings(look: &Look, living: &Living<'_>) -> Vec<Finding> {
    let (instances, seen) = (&look.instances, &look.edge);
    let unseen: HashSet<&str> = unseen_parts(look).map(|(part, _)| part).collect();
    let mut by_name: HashMap<(&str, &str), Vec<&Observed>> = HashMap::new();
    for it in seen {
        by_name.entry((&it.entry.part, &it.entry.name)).or_default().push(it);
    }
    let mut findings = Vec::new();
    let mut wanted: HashSet<(&str, &str)> = HashSet::new();
    for instance in instances {
        for entry in instance.entries.iter().flatten().filter(|entry| !unseen.contains(entry.part.as_str())) {
            let key = (entry.part.as_str(), entry.name.as_str());
            wanted.insert(key);
            let there = by_name.get(&key).map_or(&[][..], Vec::as_slice);
            findings.extend(of_entry(instance, entry, there));
        }
    }
    let unsettled: HashSet<&str> =
        instances.iter().filter(|it| it.entries.is_none()).map(|it| it.hostname.as_str()).collect();
    for it in seen {
        // While a server is made or removed, anything of it may be there.
        let (id, settled) = match it.owner {
            Owner::Instance(id) => {
                (Some(id), living.get(&id).is_none_or(|instance| instance.entries.is_some()))
            }
            // Without a mark, the name's first label says whose it is.
            Owner::Unmarked => {
                (None, it.entry.name.split('.').next().is_none_or(|label| !unsettled.contains(label)))
            }
            Owner::Foreign => continue,
        };
        if settled && !wanted.contains(&(it.entry.part.as_str(), it.entry.name.as_str())) {
            findings.push(stale(id.and_then(|id| look.known(living, id)), id, &it.entry));
        }
    }
    findings
}

fn of_entry(instance: &InstanceFacts, entry: &Entry, there: &[&Observed]) -> Option<Finding> {
    let about = |rule, action, observed: String| Finding {
        source: Source::Edge(entry.part.clone()),
        action,
        subject: format!("{} {}", entry.part, entry.name),
        desired: format!("{} {}", entry.name, entry.target),
        ..finding(rule, Level::One, instance, observed)
    };
    if let Some(other) = there.iter().find(|it| it.owner == Owner::Foreign) {
        return Some(Finding {
            level: Level::Three,
            proposal: Some("find out whose record it is; it is not ours to change".to_owned()),
            ..about(
                Rule::EntryForeign,
                None,
                format!("{} {}, without our mark", entry.name, other.entry.target),
            )
        });
    }
    let republish = Some(RepairAction::EdgeRepublish);
    match there {
        [] => Some(about(Rule::EntryMissing, republish, "nothing".to_owned())),
        [one] if one.leads_to(entry) && one.owner.may_be(instance.id) => None,
        all => {
            let seen: Vec<_> = all.iter().map(|it| it.entry.target.as_str()).collect();
            Some(about(Rule::EntryWrong, republish, format!("{} {}", entry.name, seen.join(" and "))))
        }
    }
}

fn stale(known: Option<InstanceId>, id: Option<InstanceId>, entry: &Entry) -> Finding {
    let what = format!("{} {}", entry.name, entry.target);
    let of = id.map(|id| id.to_string()).unwrap_or_default();
    Finding {
        source: Source::Edge(entry.part.clone()),
        instance: known,
        subject: format!("{} {what} {of}", entry.part).trim_end().to_owned(),
        desired: "nothing: the server is not published".to_owned(),
        proposal: Some("remove it by hand, once nobody uses it".to_owned()),
        ..general(Rule::EntryStale, what.trim_end().to_owned())
    }
}
