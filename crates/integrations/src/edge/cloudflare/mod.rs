//! Public DNS at Cloudflare: one address record for each server, and a service record where clients look for one.
//!
//! Written on the plain HTTP client: the crate `cloudflare` drops the headers of an answer, so that nobody knows how long a
//! limit holds, and reads error codes into 16 bits, so that a full zone (81045) and a record that is there already (81058)
//! look like nothing.

mod api;
mod record;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    clock::Clock,
    edge::{DnsRecord, DnsSettings, Installation, Mark, NamedEdge, Owner},
};

use super::{Address, Edge, EdgeError, Entry, Observed, Publication, Resolver, Seen, ZoneFacts};
use crate::scenario::lock;
use api::{Api, Made};
use record::Record;

/// What this part is called.
const PART: &str = "cloudflare";

/// The zone.
#[derive(Debug)]
pub struct CloudflareDns {
    api: Api,
    dns: DnsSettings,
    installation: Installation,
    resolver: Option<Resolver>,
    record_limit: Option<usize>,
    clock: Arc<dyn Clock>,
    token: Mutex<Option<TokenKnown>>,
}

/// What is known of the token.
#[derive(Clone, Copy, Debug)]
struct TokenKnown {
    /// When it was asked for last.
    at: DateTime<Utc>,
    /// When it ends, if it does.
    ends_at: Option<DateTime<Utc>>,
}

/// How long what is known of the token is believed.
const TOKEN_KNOWN_FOR: TimeDelta = TimeDelta::hours(1);

impl CloudflareDns {
    /// A zone. What is published is looked up with the resolver, where there is one.
    pub fn new(settings: &NamedEdge, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        let NamedEdge { dns, installation, cloudflare, resolver, .. } = settings;
        let resolver = resolver.map(Resolver::asking).transpose()?;
        Ok(Self {
            api: Api::new(cloudflare, clock.clone())?,
            dns: dns.clone(),
            installation: installation.clone(),
            resolver,
            record_limit: cloudflare.record_limit,
            clock,
            token: Mutex::default(),
        })
    }

    /// When the token ends, if it says so. Asked for once an hour.
    async fn token_ends_at(&self) -> Option<DateTime<Utc>> {
        let now = self.clock.now();
        let known = *lock(&self.token);
        if let Some(known) = known.filter(|known| known.at + TOKEN_KNOWN_FOR > now) {
            return known.ends_at;
        }
        let ends_at = self.api.token_ends_at().await;
        *lock(&self.token) = Some(TokenKnown { at: now, ends_at });
        ends_at
    }

    /// Of all the zone's records those that could be servers'.
    fn observed(&self, all: &[Record]) -> Vec<Observed> {
        let seen = all.iter().filter_map(|record| {
            let (name, entry) = record.entry(PART)?;
            name.is_within(&self.dns.domain)
                .then(|| Observed { entry, owner: self.installation.owner(record.comment()) })
        });
        seen.collect()
    }

    /// Makes that the record is there, once, and as it should be.
    async fn ensure(&self, wanted: &DnsRecord, mark: &Mark) -> Result<(), EdgeError> {
        let there = self.of_name(wanted).await?;
        let Some((first, others)) = there.split_first() else {
            return match self.api.create(wanted, mark).await? {
                Made::Now => Ok(()),
                // Somebody was quicker: it is ours if it carries our mark by now.
                Made::Before => match self.of_name(wanted).await?.first() {
                    Some(_) => Ok(()),
                    None => Err(taken(wanted, "an identical record")),
                },
            };
        };
        if !first.says(wanted) || first.comment() != mark.to_string() {
            self.api.update(&first.id, wanted, mark).await?;
        }
        for second in others {
            self.api.delete(&second.id).await?;
        }
        Ok(())
    }

    /// Our records of this name and type. Fails when one of others' stands in the way. A record that another instance of this
    /// installation left is ours: only one living instance has the hostname.
    async fn of_name(&self, wanted: &DnsRecord) -> Result<Vec<Record>, EdgeError> {
        let there = self.api.list(&[("name", wanted.name.as_str())]).await?;
        let (ours, foreign): (Vec<_>, Vec<_>) = there
            .into_iter()
            .filter(|it| it.stands_in_the_way_of(wanted))
            .partition(|it| self.installation.owner(it.comment()) != Owner::Foreign);
        match foreign.first() {
            Some(other) => Err(taken(wanted, &other.to_string())),
            None => Ok(ours),
        }
    }

    /// Looks whether all is there: in the zone, and for whoever asks DNS.
    async fn look(&self, records: &[DnsRecord], mark: &Mark) -> Result<(), EdgeError> {
        let there = self.api.list(&[("comment.exact", &mark.to_string())]).await?;
        for wanted in records {
            if !there.iter().any(|it| it.says(wanted)) {
                let name = wanted.entry(PART).name;
                return Err(EdgeError::NotSeen { name, reason: "the zone does not list it".to_owned() });
            }
            if let Some(resolver) = &self.resolver {
                resolver.await_record(wanted).await?;
            }
        }
        Ok(())
    }
}

fn taken(wanted: &DnsRecord, found: &str) -> EdgeError {
    EdgeError::NameTaken { name: wanted.entry(PART).name, found: found.to_owned() }
}

#[async_trait]
impl Edge for CloudflareDns {
    async fn publish(&self, publication: &Publication) -> Result<Address, EdgeError> {
        let (records, mark) =
            (self.dns.records(publication)?, self.installation.mark(publication.instance_id));
        for wanted in &records {
            self.ensure(wanted, &mark).await?;
        }
        self.look(&records, &mark).await?;
        Ok(self.dns.address(publication)?)
    }

    /// Everything that carries the instance's mark, under whatever name.
    async fn withdraw(&self, publication: &Publication) -> Result<(), EdgeError> {
        let mark = self.installation.mark(publication.instance_id).to_string();
        for record in self.api.list(&[("comment.exact", &mark)]).await? {
            // The filter is the service's; what is removed is decided here.
            if record.comment() == mark {
                self.api.delete(&record.id).await?;
            }
        }
        Ok(())
    }

    fn desired(&self, publication: &Publication) -> Result<Vec<Entry>, EdgeError> {
        Ok(self.dns.records(publication)?.iter().map(|record| record.entry(PART)).collect())
    }

    async fn observe(&self) -> Result<Vec<Observed>, EdgeError> {
        Ok(self.observed(&self.api.list(&[]).await?))
    }

    /// With how full the zone is: what others have in it counts as well.
    async fn observe_parts(&self) -> Seen {
        match self.api.list(&[]).await {
            Ok(all) => {
                let facts = ZoneFacts {
                    part: PART.to_owned(),
                    records: all.len(),
                    limit: self.record_limit,
                    token_ends_at: self.token_ends_at().await,
                };
                Seen { observed: self.observed(&all), zones: vec![facts], ..Seen::default() }
            }
            Err(error) => Seen { unseen: vec![(PART, error)], ..Seen::default() },
        }
    }

    fn part(&self) -> &'static str {
        PART
    }
}
