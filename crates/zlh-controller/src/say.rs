//! What the log and the metrics say of a pass.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use domain::{
    drift::{Finding, Look, Rule},
    ids::InstanceId,
};
use store::controller::Pass;

use crate::pass::{Memory, counted};

/// Findings that the log names one by one in a pass.
const NAMED: usize = 20;

/// The log says what is new, what is gone, and what it means; not the same again in every pass.
pub(crate) fn say(
    look: &Look,
    findings: &[Finding],
    incomplete: Option<&str>,
    breaker: Option<&str>,
    memory: &mut Memory,
) {
    let names: HashMap<InstanceId, &str> =
        look.instances.iter().map(|it| (it.id, it.hostname.as_str())).collect();
    let now: HashSet<String> = findings.iter().map(Finding::fingerprint).collect();
    let new: Vec<_> =
        findings.iter().filter(|finding| !memory.open.contains(&finding.fingerprint())).collect();
    for finding in new.iter().take(NAMED) {
        let (rule, instance) = (finding.rule, finding.instance);
        let of =
            instance.and_then(|id| names.get(&id)).map_or_else(String::new, |name| format!(" of {name}"));
        let what = finding.action.map_or("a person decides", |action| action.as_str());
        tracing::warn!(
            %rule,
            instance = instance.map(tracing::field::display),
            "found {rule}{of}: should be {}, is {}; {what}",
            finding.desired,
            finding.observed
        );
    }
    if let Some(more) = new.len().checked_sub(NAMED).filter(|more| *more > 0) {
        tracing::warn!("found {more} more; `zlh-controller plan` lists them");
    }
    let gone = if incomplete.is_none() { memory.open.difference(&now).count() } else { 0 };
    if gone > 0 {
        tracing::info!("{} as it should be again; {} still open", counted(gone, "finding"), now.len());
    }
    if incomplete != memory.incomplete.as_deref() {
        if let Some(what) = incomplete {
            tracing::warn!(
                "not everything could be seen ({what}); nothing is repaired and no finding is closed meanwhile"
            );
        } else {
            tracing::info!("everything can be seen again");
        }
        memory.incomplete = incomplete.map(str::to_owned);
    }
    if breaker.is_some() != memory.breaker {
        if let Some(why) = breaker {
            tracing::error!("the breaker is open: {why}; nothing is repaired until it is fewer");
        } else {
            tracing::info!("the breaker is closed again");
        }
        memory.breaker = breaker.is_some();
    }
    if incomplete.is_none() {
        memory.open = now;
    } else {
        memory.open.extend(now);
    }
}

/// How full zones are; of one that could not be listed nothing new is said.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(crate) fn measure_zones(look: &Look) {
    for zone in &look.zones {
        metrics::gauge!("zlh_edge_records", "part" => zone.part.clone()).set(zone.records as f64);
        if let Some(limit) = zone.limit {
            metrics::gauge!("zlh_edge_records_limit", "part" => zone.part.clone()).set(limit as f64);
        }
    }
}

pub(crate) fn measure(findings: &[Finding], pass: &Pass, began: Instant) {
    for rule in Rule::ALL {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let count = findings.iter().filter(|finding| finding.rule == *rule).count() as f64;
        metrics::gauge!("zlh_controller_findings", "rule" => rule.as_str()).set(count);
    }
    metrics::gauge!("zlh_controller_breaker_open").set(f64::from(u8::from(pass.breaker.is_some())));
    let outcome = if pass.incomplete.is_some() { "incomplete" } else { "complete" };
    metrics::counter!("zlh_controller_passes_total", "outcome" => outcome).increment(1);
    metrics::histogram!("zlh_controller_pass_seconds").record(began.elapsed().as_secs_f64());
}
