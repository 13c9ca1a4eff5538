//! Internal DNS at a Technitium server: the same names as outside, towards the internal edge.
//!
//! A record has no id there; it is its name, its type and its value. Its `comments` hold our mark. A set (all records of one
//! name and type) can be replaced in one call, and that is how a record is changed without a moment in which its name does not
//! resolve. Since the call replaces whatever is in the set, it is made only after all of that was seen to be ours.

mod api;
mod record;

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    clock::Clock,
    edge::{DnsRecord, DnsSettings, Installation, Mark, Owner, TechnitiumZone},
};

use super::{Address, Edge, EdgeError, Entry, Observed, Publication};
use api::Api;
use record::Record;

/// What this part is called.
const PART: &str = "technitium";

/// The zone.
#[derive(Debug)]
pub struct TechnitiumDns {
    api: Api,
    dns: DnsSettings,
    installation: Installation,
}

impl TechnitiumDns {
    /// A zone, for servers that are named outside like this.
    pub fn new(
        zone: &TechnitiumZone,
        public: &DnsSettings,
        installation: &Installation,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EdgeError> {
        let (dns, installation) = (zone.dns(public), installation.clone());
        Ok(Self { api: Api::new(zone, clock)?, dns, installation })
    }

    /// Makes that the record is there, alone in its set, and as it should be.
    async fn ensure(&self, wanted: &DnsRecord, mark: &Mark) -> Result<(), EdgeError> {
        let there = self.of_name(wanted).await?;
        if is_right(&there, wanted, mark) {
            return Ok(());
        }
        // An empty set is added to instead: a record that somebody makes meanwhile is then not lost.
        self.api.add(wanted, mark, !there.is_empty()).await
    }

    /// Our records of this name and type. Fails when one of others' stands in the way. A record that another instance of this
    /// installation left is ours: only one living instance has the hostname.
    async fn of_name(&self, wanted: &DnsRecord) -> Result<Vec<Record>, EdgeError> {
        let there = self.api.of_name(&wanted.name).await?;
        let (ours, foreign): (Vec<_>, Vec<_>) = there
            .into_iter()
            .filter(|it| it.stands_in_the_way_of(wanted))
            .partition(|it| self.installation.owner(it.comments()) != Owner::Foreign);
        match foreign.first() {
            Some(other) => {
                Err(EdgeError::NameTaken { name: wanted.entry(PART).name, found: other.to_string() })
            }
            None => Ok(ours),
        }
    }
}

fn is_right(there: &[Record], wanted: &DnsRecord, mark: &Mark) -> bool {
    matches!(there, [one] if one.says(wanted) && one.comments() == mark.to_string())
}

#[async_trait]
impl Edge for TechnitiumDns {
    /// What is made is looked for in the zone's own list, which the server answers from.
    async fn publish(&self, publication: &Publication) -> Result<Address, EdgeError> {
        let (records, mark) =
            (self.dns.records(publication)?, self.installation.mark(publication.instance_id));
        for wanted in &records {
            self.ensure(wanted, &mark).await?;
        }
        for wanted in &records {
            if !is_right(&self.of_name(wanted).await?, wanted, &mark) {
                let reason = "the zone does not list it, or not alone".to_owned();
                return Err(EdgeError::NotSeen { name: wanted.entry(PART).name, reason });
            }
        }
        Ok(self.dns.address(publication)?)
    }

    /// Everything that carries the instance's mark, under whatever name.
    async fn withdraw(&self, publication: &Publication) -> Result<(), EdgeError> {
        let mark = self.installation.mark(publication.instance_id).to_string();
        for record in self.api.all().await?.iter().filter(|it| it.comments() == mark) {
            self.api.delete(record).await?;
        }
        Ok(())
    }

    fn desired(&self, publication: &Publication) -> Result<Vec<Entry>, EdgeError> {
        Ok(self.dns.records(publication)?.iter().map(|record| record.entry(PART)).collect())
    }

    async fn observe(&self) -> Result<Vec<Observed>, EdgeError> {
        let all = self.api.all().await?;
        let seen = all.iter().filter_map(|record| {
            let (name, entry) = record.entry(PART)?;
            name.is_within(&self.dns.domain)
                .then(|| Observed { entry, owner: self.installation.owner(record.comments()) })
        });
        Ok(seen.collect())
    }

    fn part(&self) -> &'static str {
        PART
    }
}
