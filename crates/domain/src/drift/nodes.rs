//! What engines have, against the rows. A person decides about all of it: a container is a customer's files.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Finding, InstanceFacts, Level, Look, NodeFacts, Rule, Source,
    rules::{Living, finding, general},
};
use crate::{ids::InstanceId, instance::Lifecycle};

/// How long a node's worker may be silent, and its list of containers be old: several times what it pauses between two.
const SILENT_AFTER: TimeDelta = TimeDelta::minutes(2);

/// How long before a list was asked for a row must have been as it is, so that the list is about it.
const SETTLED: TimeDelta = TimeDelta::seconds(5);

/// Which nodes' engines say nothing of the present, and why.
pub fn unseen_nodes(nodes: &[NodeFacts], now: DateTime<Utc>) -> BTreeMap<Source, String> {
    let unseen = nodes.iter().filter_map(|node| {
        let why = match (node.listed_at, &node.error) {
            (Some(at), _) if at + SILENT_AFTER >= now => return None,
            (_, Some(error)) if !is_silent(node, now) => error.clone(),
            (Some(at), _) => format!("its containers were listed last at {}", at.format("%H:%M:%S")),
            (None, _) => "its containers were never listed".to_owned(),
        };
        Some((Source::Node(node.name.clone()), why))
    });
    unseen.collect()
}

fn is_silent(node: &NodeFacts, now: DateTime<Utc>) -> bool {
    node.reported_at.unwrap_or(node.known_since) + SILENT_AFTER < now
}

/// Everything about nodes and containers that is not as it should be.
pub(super) fn find(look: &Look, living: &Living<'_>) -> Vec<Finding> {
    let mut of_node: HashMap<&str, Vec<&InstanceFacts>> = HashMap::new();
    for instance in &look.instances {
        of_node.entry(&instance.node).or_default().push(instance);
    }
    let mut findings = ports(look);
    for node in &look.nodes {
        let here = of_node.get(node.name.as_str()).map_or(&[][..], Vec::as_slice);
        findings.extend(silence(look, node, here.len()));
        let source = Source::Node(node.name.clone());
        let Some(listed_at) = node.listed_at.filter(|_| !look.unseen.contains_key(&source)) else { continue };
        findings.extend(here.iter().filter_map(|it| missing(it, node, listed_at)));
        let mut left: Vec<_> =
            node.containers.iter().filter_map(|id| left(look, living, *id, node, listed_at)).collect();
        left.sort_by(|a, b| a.subject.cmp(&b.subject));
        findings.extend(left);
    }
    findings
}

fn silence(look: &Look, node: &NodeFacts, servers: usize) -> Option<Finding> {
    let (rule, observed, proposal) = if is_silent(node, look.now) {
        if node.cordoned && servers == 0 {
            // It was emptied to be switched off.
            return None;
        }
        let last = node
            .reported_at
            .map_or_else(|| "never".to_owned(), |at| format!("last at {}", at.format("%H:%M:%S")));
        let observed = format!("{last}; {servers} servers are on it");
        (Rule::NodeSilent, observed, "look at the node and its provision-worker; cordon it meanwhile")
    } else {
        let why = look.unseen.get(&Source::Node(node.name.clone()))?;
        (Rule::EngineUnreachable, why.clone(), "look at the node's engine")
    };
    Some(Finding {
        subject: node.name.clone(),
        desired: format!("node {} reports what it has", node.name),
        proposal: Some(proposal.to_owned()),
        ..general(rule, observed)
    })
}

/// A server that should have a container.
fn missing(instance: &InstanceFacts, node: &NodeFacts, listed_at: DateTime<Utc>) -> Option<Finding> {
    let settled = instance.lifecycle == Lifecycle::Active
        && instance.active.is_none()
        && instance.changed_at + SETTLED < listed_at;
    if !settled || node.containers.contains(&instance.id) {
        return None;
    }
    let about = |rule, observed: String, proposal: &str| Finding {
        source: Source::Node(node.name.clone()),
        desired: format!("a container of {} on node {}", instance.hostname, node.name),
        proposal: Some(proposal.to_owned()),
        ..finding(rule, Level::Three, instance, observed)
    };
    Some(if node.unmarked.contains(&instance.id) {
        let observed = "something without our mark under its id, which nothing of ours touches".to_owned();
        about(Rule::MarkLost, observed, "see whether it is its container still, and give it its mark back")
    } else {
        let proposal = "find its container, or make the server anew and restore its latest backup";
        about(Rule::RowWithoutContainer, "none".to_owned(), proposal)
    })
}

/// A container that should not be there.
fn left(
    look: &Look,
    living: &Living<'_>,
    id: InstanceId,
    node: &NodeFacts,
    listed_at: DateTime<Utc>,
) -> Option<Finding> {
    let observed = match living.get(&id) {
        // While it is made or removed, its container may be there. A failed create is undone, unless that is still under way.
        Some(it)
            if it.lifecycle == Lifecycle::Failed
                && it.active.is_none()
                && it.changed_at + SETTLED < listed_at =>
        {
            format!("a container of {}, whose create failed", it.hostname)
        }
        Some(it) if it.lifecycle == Lifecycle::Active && it.node != node.name => {
            format!("a container of {}, which is on node {}", it.hostname, it.node)
        }
        Some(_) => return None,
        None => match look.deleted.get(&id) {
            Some(at) if *at + SETTLED >= listed_at => return None,
            Some(at) => format!("a container whose server was deleted at {}", at.format("%Y-%m-%d %H:%M:%S")),
            None => "a container with our mark whose server we do not know".to_owned(),
        },
    };
    Some(Finding {
        source: Source::Node(node.name.clone()),
        level: Level::Three,
        instance: look.known(living, id),
        subject: format!("{} {id}", node.name),
        desired: "nothing".to_owned(),
        proposal: Some("make sure that nobody needs its files, then delete it by hand".to_owned()),
        ..general(Rule::ContainerWithoutRow, observed)
    })
}

fn ports(look: &Look) -> Vec<Finding> {
    let of_port = |it: &super::LostPort| Finding {
        instance: Some(it.instance),
        subject: format!("{} {}", it.node, it.port),
        desired: "free".to_owned(),
        proposal: Some("see why it was not released with its server, then release it".to_owned()),
        ..general(
            Rule::PortWithoutInstance,
            format!(
                "port {} of node {} is kept for {}, which is {}",
                it.port, it.node, it.hostname, it.lifecycle
            ),
        )
    };
    look.lost_ports.iter().map(of_port).collect()
}
