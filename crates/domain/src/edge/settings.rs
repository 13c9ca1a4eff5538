//! Which parts an edge is of, as it is configured.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use secrecy::SecretString;

use super::{DnsName, DnsSettings, Installation};

/// What stands between players and servers.
#[derive(Clone, Debug, Default)]
pub struct EdgeSettings {
    /// Names; without them players use their server's node and port.
    pub named: Option<NamedEdge>,
}

/// Names in public DNS.
#[derive(Clone, Debug)]
pub struct NamedEdge {
    /// How servers are named.
    pub dns: DnsSettings,
    /// Whose marks they carry.
    pub installation: Installation,
    /// Where the records are.
    pub cloudflare: CloudflareZone,
    /// Whom to ask whether a name resolves; nobody if not given.
    pub resolver: Option<SocketAddr>,
    /// The proxy through which players of Minecraft reach their servers, if there is one.
    pub velocity: Option<VelocityBridge>,
    /// Where the same names are for those inside, if anywhere.
    pub technitium: Option<TechnitiumZone>,
}

/// A zone at Cloudflare.
#[derive(Clone, Debug)]
pub struct CloudflareZone {
    /// Base address of the API, for example `https://api.cloudflare.com/client/v4`.
    pub url: String,
    /// The zone's id.
    pub zone_id: String,
    /// A token that may edit the zone's records.
    pub token: SecretString,
    /// How many records the zone's plan allows, if that is known.
    pub record_limit: Option<usize>,
}

/// The plugin in a Velocity proxy that registers servers.
#[derive(Clone, Debug)]
pub struct VelocityBridge {
    /// Its base address, for example `http://10.0.0.2:8081`.
    pub url: String,
    /// What it shares with us. Its hash is sent, never itself.
    pub secret: SecretString,
}

/// A zone at a Technitium DNS server.
#[derive(Clone, Debug)]
pub struct TechnitiumZone {
    /// Base address of the server's web service, for example `http://10.0.0.3:5380`.
    pub url: String,
    /// The zone; servers are named within it.
    pub zone: DnsName,
    /// A token that may edit the zone's records.
    pub token: SecretString,
    /// Where those inside reach all servers.
    pub ipv4: Option<Ipv4Addr>,
    /// As above.
    pub ipv6: Option<Ipv6Addr>,
}

impl TechnitiumZone {
    /// How servers are named inside: as outside, at the internal edge. A wildcard of the public zone says nothing of this one.
    pub fn dns(&self, public: &DnsSettings) -> DnsSettings {
        DnsSettings { public_ipv4: self.ipv4, public_ipv6: self.ipv6, wildcard: false, ..public.clone() }
    }
}
