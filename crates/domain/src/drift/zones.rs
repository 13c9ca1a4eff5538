//! Zones of the edge that will take no more records soon, or none from us: then no server can be made any more.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Finding, Look, Rule, Source, rules::general};
use crate::edge::ZoneFacts;

/// A zone is nearly full when so many of a hundred places are taken.
const NEARLY_FULL_PERCENT: usize = 90;

/// How long before its end a token is to be renewed.
const WARNED_BEFORE: TimeDelta = TimeDelta::days(14);

/// Every zone that is nearly full, and every token that ends soon.
pub(super) fn find(look: &Look) -> Vec<Finding> {
    let ending = look.zones.iter().filter_map(|zone| token_ending(zone, look.now));
    look.zones.iter().filter_map(nearly_full).chain(ending).collect()
}

fn token_ending(zone: &ZoneFacts, now: DateTime<Utc>) -> Option<Finding> {
    let ends_at = zone.token_ends_at.filter(|ends_at| *ends_at - WARNED_BEFORE < now)?;
    Some(Finding {
        source: Source::Edge(zone.part.clone()),
        subject: format!("token of {}", zone.part),
        desired: format!("a token that is good for {} days more", WARNED_BEFORE.num_days()),
        proposal: Some(format!(
            "make a new token at {} and set it in [edge]: without it no server can be published, and none be deleted",
            zone.part
        )),
        ..general(
            Rule::CredentialExpiring,
            format!("a token that ends at {}", ends_at.format("%Y-%m-%d %H:%M:%S UTC")),
        )
    })
}

fn nearly_full(zone: &ZoneFacts) -> Option<Finding> {
    let ZoneFacts { part, records, limit, .. } = zone;
    let limit = limit.as_ref()?;
    if records.saturating_mul(100) < limit.saturating_mul(NEARLY_FULL_PERCENT) {
        return None;
    }
    Some(Finding {
        source: Source::Edge(part.clone()),
        subject: part.clone(),
        desired: format!("fewer than {NEARLY_FULL_PERCENT} % of {limit} records"),
        proposal: Some(
            "have the zone's limit raised, or remove records that nobody needs; with a wildcard record servers need fewer"
                .to_owned(),
        ),
        ..general(Rule::ZoneNearlyFull, format!("{records} of {limit} records"))
    })
}
