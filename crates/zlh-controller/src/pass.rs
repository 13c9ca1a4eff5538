//! One pass: look at everything, find what differs, write it down, ask for what may be repaired.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use domain::{
    drift::{
        self, Finding, Look, NodeFacts, Posture, Reason, RepairAction, RouteFacts, Rule, Source, Standing,
        StorageFacts, Verdict,
    },
    ids::{FindingId, InstanceId, RepairId},
    instance::Lifecycle,
};
use integrations::edge::{Edge, EdgeError, Observed, Owner};
use store::{
    Db, StoreError,
    controller::{self, Open, Pass, Row, State},
    queue::Dispatch,
};

use crate::{
    config::ControllerSection,
    routes::Routes,
    say::{measure, measure_zones, say},
};

/// What a leader remembers from one pass to the next.
#[derive(Debug, Default)]
pub struct Memory {
    instances: usize,
    pub(crate) open: HashSet<String>,
    pub(crate) incomplete: Option<String>,
    pub(crate) breaker: bool,
}

/// Looks and finds.
pub struct Controller {
    db: Db,
    edge: Arc<dyn Edge>,
    hourly_budget: u32,
    tell: bool,
    apart: Duration,
    routes: Option<Routes>,
}

impl Controller {
    /// Over these rows and this edge. With `tell` there is a way to tell operators of what is found.
    pub fn new(db: Db, edge: Arc<dyn Edge>, section: &ControllerSection, tell: bool) -> Self {
        let apart = section.pause() / 2;
        Self { db, edge, hourly_budget: section.hourly_budget, tell, apart, routes: None }
    }

    /// Also looks at what a Traefik has made of its routes.
    #[must_use]
    pub fn with_routes(mut self, routes: Option<Routes>) -> Self {
        self.routes = routes;
        self
    }

    /// Looks at everything. With a `term`, makes sure that it is the newest before anybody outside is asked.
    pub async fn look(&self, term: Option<i64>) -> Result<Look, StoreError> {
        let (rows, now) = controller::rows(&self.db, None).await?;
        let mut unseen = BTreeMap::new();
        let instances: Vec<_> = rows.into_iter().map(|row| self.facts(row, &mut unseen)).collect();
        let nodes = controller::nodes(&self.db).await?;
        unseen.extend(drift::unseen_nodes(&nodes, now));
        let storage = controller::storage(&self.db).await?;
        unseen.extend(drift::unseen_storage(&storage, now).map(|why| (Source::Storage, why)));
        let lost_ports = controller::lost_ports(&self.db).await?;
        let payments = controller::payments(&self.db).await?;
        if let Some(term) = term
            && !controller::is_current(&self.db, term).await?
        {
            return Err(StoreError::LeaseLost);
        }
        let (seen, routes) = tokio::join!(self.edge.observe_parts(), self.routes());
        let routes = routes?.unwrap_or_else(|error| {
            unseen.insert(Source::Routes, error.to_string());
            Vec::new()
        });
        let of_part = |(part, error): (&str, EdgeError)| (Source::Edge(part.to_owned()), error.to_string());
        unseen.extend(seen.unseen.into_iter().map(of_part));
        let deleted = self.deleted(&instances, &nodes, &storage, &seen.observed).await?;
        let (edge, zones) = (seen.observed, seen.zones);
        Ok(Look {
            now,
            instances,
            nodes,
            deleted,
            lost_ports,
            edge,
            storage,
            routes,
            zones,
            payments,
            unseen,
        })
    }

    /// The routes that a Traefik is given, and what it has made of them.
    async fn routes(&self) -> Result<Result<Vec<RouteFacts>, EdgeError>, StoreError> {
        match &self.routes {
            Some(routes) => routes.look(&self.db).await,
            None => Ok(Ok(Vec::new())),
        }
    }

    /// When those were deleted of whom something is still there: nobody is asked while there is nothing.
    async fn deleted(
        &self,
        instances: &[drift::InstanceFacts],
        nodes: &[NodeFacts],
        storage: &StorageFacts,
        edge: &[Observed],
    ) -> Result<HashMap<InstanceId, DateTime<Utc>>, StoreError> {
        let living: HashSet<_> = instances.iter().map(|it| it.id).collect();
        let at_nodes = nodes.iter().flat_map(|node| &node.containers).copied();
        let at_edge = edge.iter().filter_map(|it| match it.owner {
            Owner::Instance(id) => Some(id),
            Owner::Foreign | Owner::Unmarked => None,
        });
        let in_storage = storage.report.differences.iter().map(|it| it.instance);
        let mut gone: Vec<_> =
            at_nodes.chain(at_edge).chain(in_storage).filter(|id| !living.contains(id)).collect();
        gone.sort_unstable();
        gone.dedup();
        if gone.is_empty() { Ok(HashMap::new()) } else { controller::deleted(&self.db, &gone).await }
    }

    fn facts(&self, row: Row, unseen: &mut BTreeMap<Source, String>) -> drift::InstanceFacts {
        let entries = match (row.is_published(), &row.publication) {
            (None, _) => None,
            (Some(false), _) | (Some(true), None) => Some(Vec::new()),
            (Some(true), Some(publication)) => match self.edge.desired(publication) {
                Ok(entries) => Some(entries),
                Err(error) => {
                    let of_all = Source::Edge(self.edge.part().to_owned());
                    unseen.insert(of_all, format!("{}: {error}", row.facts.hostname));
                    None
                }
            },
        };
        drift::InstanceFacts { entries, ..row.facts }
    }

    /// One pass of the leader of this term. Returns the repairs that are to be told of.
    pub async fn pass(&self, term: i64, memory: &mut Memory) -> Result<Vec<Dispatch<RepairId>>, StoreError> {
        let began = Instant::now();
        let state = controller::state(&self.db).await?;
        let mut look = self.look(Some(term)).await?;
        let count = look.instances.len();
        if count == 0 && memory.instances > 0 {
            // An empty answer is not an empty fleet.
            let none = format!("the database lists no instance, where it had {}", memory.instances);
            look.unseen.insert(Source::Rows, none);
        } else {
            memory.instances = count;
        }
        let findings = drift::find(&look);
        let (incomplete, breaker) = (look.incomplete(), breaker(&findings));
        let pass = Pass {
            term,
            took_ms: i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX),
            instances: i32::try_from(count).unwrap_or(i32::MAX),
            incomplete: incomplete.clone(),
            unseen: look.unseen.keys().cloned().collect(),
            breaker: breaker.clone(),
            tell: self.tell,
            apart: self.apart,
        };
        let open = controller::reconcile(&self.db, &pass, &findings).await?;
        say(&look, &findings, incomplete.as_deref(), breaker.as_deref(), memory);
        measure(&findings, &pass, began);
        measure_zones(&look);
        if findings.is_empty() {
            return Ok(Vec::new());
        }
        let posture = self.posture(&state, look.is_whole(), breaker.is_some()).await?;
        let judged = judge(&look, &findings, &open, posture);
        let decisions: Vec<_> = judged.iter().map(|it| (it.id, it.reason())).collect();
        let repairs: Vec<_> =
            judged.iter().filter_map(|it| it.repair().map(|action| (it.id, action))).collect();
        controller::decide(&self.db, term, &decisions, &repairs).await
    }

    /// What may be done now.
    pub async fn posture(
        &self,
        state: &State,
        complete: bool,
        breaker_open: bool,
    ) -> Result<Posture, StoreError> {
        let spent = controller::repairs_since(&self.db, 1).await?;
        let budget = self.hourly_budget.saturating_sub(spent);
        Ok(Posture { mode: state.mode, paused: state.paused, complete, breaker_open, budget })
    }
}

/// Why nothing is repaired, whatever was found.
pub(crate) fn breaker(findings: &[Finding]) -> Option<String> {
    findings.iter().find(|it| it.rule == Rule::BreakerOpen).map(|it| it.observed.clone())
}

/// A finding with what is done about it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// The finding's id.
    pub(crate) id: FindingId,
    /// Where it is among the findings.
    pub(crate) at: usize,
    /// Passes that saw it.
    pub(crate) seen: u32,
    /// What is done.
    pub(crate) verdict: Verdict,
}

impl Judged {
    fn reason(&self) -> Option<Reason> {
        match self.verdict {
            Verdict::Leave(reason) => Some(reason),
            Verdict::Repair(_) => None,
        }
    }

    fn repair(&self) -> Option<RepairAction> {
        match self.verdict {
            Verdict::Repair(action) => Some(action),
            Verdict::Leave(_) => None,
        }
    }
}

/// Says of each finding that is open what is done about it. Two findings of one server have one repair: the first.
pub(crate) fn judge(
    look: &Look,
    findings: &[Finding],
    open: &HashMap<String, Open>,
    mut posture: Posture,
) -> Vec<Judged> {
    let facts: HashMap<InstanceId, _> = look.instances.iter().map(|it| (it.id, it)).collect();
    let mut under_repair: HashSet<(Option<InstanceId>, RepairAction)> = HashSet::new();
    let mut judged = Vec::new();
    for (at, finding) in findings.iter().enumerate() {
        let Some(known) = open.get(&finding.fingerprint()) else { continue };
        let of = finding.instance.and_then(|id| facts.get(&id));
        let standing = Standing {
            seen: known.seen,
            on_hold: of.is_some_and(|it| it.on_hold),
            active: of.is_some_and(|it| it.lifecycle == Lifecycle::Active),
            busy: of.is_some_and(|it| it.active.is_some()),
            attempts: known.attempts,
        };
        let mut verdict = drift::verdict(finding, &standing, &posture, look.now);
        if let Verdict::Repair(action) = verdict {
            if under_repair.insert((finding.instance, action)) {
                posture.budget -= 1;
            } else {
                verdict = Verdict::Leave(Reason::UnderRepair);
            }
        } else if let (true, Some(action)) = (known.attempts.pending, finding.action) {
            under_repair.insert((finding.instance, action));
        }
        judged.push(Judged { id: known.id, at, seen: known.seen, verdict });
    }
    judged
}

/// A number of things, as one says it.
pub(crate) fn counted(count: usize, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}
