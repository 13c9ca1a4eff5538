//! Looking up what was published, as players do.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use domain::edge::{DnsName, DnsRecord, RecordKind};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{RData, RecordType},
};
use tokio::time::{Instant, sleep};

use super::EdgeError;

/// Longest that one look-up takes.
const LOOKUP: Duration = Duration::from_secs(3);
/// How long a new record may take until it is seen.
const SEEN_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two look-ups.
const PAUSE: Duration = Duration::from_millis(250);

/// A name server that is asked. Nothing is remembered: each question is about the present.
#[derive(Clone)]
pub struct Resolver(Arc<TokioResolver>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver {
    /// Asks this name server.
    pub fn asking(server: SocketAddr) -> Result<Self, EdgeError> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let mut name_server = NameServerConfig::udp_and_tcp(server.ip());
        name_server.connections = connections.into();
        let mut options = ResolverOpts::default();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = LOOKUP;
        options.attempts = 1;
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| EdgeError::Unreachable(error.to_string()))?;
        Ok(Self(Arc::new(resolver)))
    }

    /// Waits until the name server answers with this record and no other of its name and type.
    pub(super) async fn await_record(&self, wanted: &DnsRecord) -> Result<(), EdgeError> {
        let end = Instant::now() + SEEN_WITHIN;
        loop {
            let seen = self.values(&wanted.name, wanted.kind()).await;
            if seen.as_ref().is_ok_and(|seen| seen.len() == 1 && seen.contains(&wanted.value.to_string())) {
                return Ok(());
            }
            if Instant::now() + PAUSE > end {
                let reason = match seen {
                    Ok(seen) if seen.is_empty() => "the resolver knows no such record".to_owned(),
                    Ok(seen) => {
                        format!("the resolver says {}", seen.into_iter().collect::<Vec<_>>().join(", "))
                    }
                    Err(error) => format!("the resolver does not answer: {error}"),
                };
                return Err(EdgeError::NotSeen { name: wanted.entry("dns").name, reason });
            }
            sleep(PAUSE).await;
        }
    }

    async fn values(&self, name: &DnsName, kind: RecordKind) -> Result<HashSet<String>, String> {
        let record_type = match kind {
            RecordKind::A => RecordType::A,
            RecordKind::Aaaa => RecordType::AAAA,
            RecordKind::Srv => RecordType::SRV,
        };
        match self.0.lookup(format!("{name}."), record_type).await {
            Ok(found) => Ok(found.answers().iter().filter_map(|record| value(&record.data)).collect()),
            Err(error) if error.is_no_records_found() => Ok(HashSet::new()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn value(data: &RData) -> Option<String> {
    match data {
        RData::A(ip) => Some(ip.to_string()),
        RData::AAAA(ip) => Some(ip.to_string()),
        RData::SRV(srv) => {
            let target = DnsName::parse(&srv.target.to_ascii()).ok()?;
            Some(format!("{} {} {} {target}", srv.priority, srv.weight, srv.port))
        }
        _ => None,
    }
}
