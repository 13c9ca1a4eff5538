//! A name server that answers from the zone's records.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use hickory_server::{
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{
            LowerName, Name, RData, Record as DnsRecord, RecordType,
            rdata::{A, AAAA, CNAME, SRV, TXT},
        },
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server},
    zone_handler::MessageResponseBuilder,
};
use tokio::net::{TcpListener, UdpSocket};

use crate::cloudflare::{Record, Zone};

/// How long a connection may be idle.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Answers that wait on one connection.
const TCP_BUFFER: usize = 32;

/// Attempts at a port that is free on both.
const ATTEMPTS: u32 = 20;

/// Serves the zone on UDP and TCP; gives the address.
pub(crate) async fn start(listen: SocketAddr, zone: Zone) -> anyhow::Result<(SocketAddr, Server<Answers>)> {
    let mut attempt = 1;
    let (udp, tcp) = loop {
        match bind(listen).await {
            // The system gives a port that is free on UDP; on TCP somebody may have it.
            Err(_) if listen.port() == 0 && attempt < ATTEMPTS => attempt += 1,
            bound => break bound?,
        }
    };
    let address = udp.local_addr()?;
    let mut server = Server::new(Answers(zone));
    server.register_socket(udp);
    server.register_listener(tcp, TCP_IDLE, TCP_BUFFER);
    Ok((address, server))
}

async fn bind(listen: SocketAddr) -> anyhow::Result<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind(listen).await.with_context(|| format!("cannot listen on udp {listen}"))?;
    let address = udp.local_addr()?;
    let tcp = TcpListener::bind(address).await.with_context(|| format!("cannot listen on tcp {address}"))?;
    Ok((udp, tcp))
}

/// Answers from records.
pub(crate) struct Answers(Zone);

impl Answers {
    /// What is known of a name, by type.
    fn of(&self, name: &LowerName) -> BTreeMap<RecordType, Vec<DnsRecord>> {
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for record in self.0.all() {
            let Ok(owner) = Name::from_utf8(format!("{}.", record.name)) else { continue };
            if LowerName::from(&owner) != *name {
                continue;
            }
            let Some(data) = data(&record) else { continue };
            found.entry(data.record_type()).or_default().push(DnsRecord::from_rdata(owner, record.ttl, data));
        }
        found
    }
}

fn data(record: &Record) -> Option<RData> {
    let name = |text: &str| Name::from_utf8(format!("{}.", text.trim_end_matches('.'))).ok();
    Some(match record.kind.as_str() {
        "A" => RData::A(A(record.content.parse().ok()?)),
        "AAAA" => RData::AAAA(AAAA(record.content.parse().ok()?)),
        "CNAME" => RData::CNAME(CNAME(name(&record.content)?)),
        "TXT" => RData::TXT(TXT::new(vec![record.content.clone()])),
        "SRV" => {
            let data = record.data.as_ref()?;
            RData::SRV(SRV::new(data.priority, data.weight, data.port, name(&data.target)?))
        }
        _ => return None,
    })
}

#[async_trait::async_trait]
impl RequestHandler for Answers {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut reply: R,
    ) -> ResponseInfo {
        let builder = MessageResponseBuilder::from_message_request(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        let known = request.request_info().map(|info| (self.of(info.query.name()), info.query.query_type()));
        let answers: Vec<DnsRecord> = if let Ok((found, kind)) = known {
            if found.is_empty() {
                metadata.response_code = ResponseCode::NXDomain;
            }
            let wanted = |of| of == kind || of == RecordType::CNAME || kind == RecordType::ANY;
            found.into_iter().filter(|(of, _)| wanted(*of)).flat_map(|(_, records)| records).collect()
        } else {
            metadata.response_code = ResponseCode::FormErr;
            Vec::new()
        };
        let none: [&DnsRecord; 0] = [];
        let response = builder.build(metadata, answers.iter(), none, none, none);
        match reply.send_response(response).await {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(%error, "an answer could not be sent");
                Header { metadata, counts: HeaderCounts::default() }.into()
            }
        }
    }
}
