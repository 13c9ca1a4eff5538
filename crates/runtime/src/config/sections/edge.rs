//! `[edge]`: the names under which players find servers.

mod keys;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use domain::edge::{
    CloudflareZone, DnsName, DnsSettings, EdgeSettings, Installation, NamedEdge, TechnitiumZone,
    VelocityBridge,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Section};

/// The same for every daemon that publishes, observes or repairs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeSection {
    /// The domain below which servers are named.
    pub domain: String,
    /// Whose marks the records carry.
    pub installation: String,
    /// Where every server is reached.
    pub public_ipv4: String,
    /// As above.
    pub public_ipv6: String,
    /// Whether the domain has a wildcard record.
    pub wildcard: bool,
    /// Address of Cloudflare's API.
    pub cloudflare_url: String,
    /// The zone's id.
    pub cloudflare_zone: String,
    /// A token for it.
    #[serde(skip_serializing)]
    pub cloudflare_token: SecretString,
    /// How many records the zone may have; 0 if that is not known.
    pub cloudflare_record_limit: u32,
    /// Name server that is asked whether a name resolves.
    pub resolver: String,
    /// Address of the bridge in a Velocity proxy.
    pub velocity_url: String,
    /// What is shared with it.
    #[serde(skip_serializing)]
    pub velocity_secret: SecretString,
    /// The port on which the proxy takes players.
    pub velocity_port: u16,
    /// Address of a Technitium DNS server.
    pub technitium_url: String,
    /// The zone there.
    pub technitium_zone: String,
    /// A token for it.
    #[serde(skip_serializing)]
    pub technitium_token: SecretString,
    /// Where every server is reached from inside.
    pub technitium_ipv4: String,
    /// As above.
    pub technitium_ipv6: String,
}

impl Default for EdgeSection {
    fn default() -> Self {
        Self {
            domain: String::new(),
            installation: String::new(),
            public_ipv4: String::new(),
            public_ipv6: String::new(),
            wildcard: false,
            cloudflare_url: "https://api.cloudflare.com/client/v4".to_owned(),
            cloudflare_zone: String::new(),
            cloudflare_token: SecretString::default(),
            cloudflare_record_limit: 0,
            resolver: String::new(),
            velocity_url: String::new(),
            velocity_secret: SecretString::default(),
            velocity_port: 25_565,
            technitium_url: String::new(),
            technitium_zone: String::new(),
            technitium_token: SecretString::default(),
            technitium_ipv4: String::new(),
            technitium_ipv6: String::new(),
        }
    }
}

impl EdgeSection {
    /// The edge that it says.
    pub fn settings(&self) -> Result<EdgeSettings, Invalid> {
        if self.domain.is_empty() {
            return Ok(EdgeSettings::default());
        }
        let domain =
            DnsName::parse(&self.domain).map_err(|error| Invalid::new("domain", error.to_string()))?;
        let installation = Installation::parse(&self.installation)
            .map_err(|error| Invalid::new("installation", error.to_string()))?;
        let public_ipv4: Option<Ipv4Addr> = parsed("public_ipv4", &self.public_ipv4, "an IPv4 address")?;
        let public_ipv6: Option<Ipv6Addr> = parsed("public_ipv6", &self.public_ipv6, "an IPv6 address")?;
        let resolver = match parsed::<SocketAddr>("resolver", &self.resolver, "an address, as in 1.1.1.1:53")
        {
            Err(_) => parsed::<IpAddr>("resolver", &self.resolver, "an address, as in 1.1.1.1:53")?
                .map(|ip| (ip, 53).into()),
            Ok(address) => address,
        };
        Invalid::unless_http_address("cloudflare_url", &self.cloudflare_url)?;
        let whole = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if self.cloudflare_zone.is_empty() || !self.cloudflare_zone.bytes().all(whole) {
            return Err(Invalid::new(
                "cloudflare_zone",
                "required with a domain: the zone's id, letters and digits",
            ));
        }
        let reason =
            "required with a domain: set edge.cloudflare_token_file or the credential edge.cloudflare_token";
        given("cloudflare_token", &self.cloudflare_token, reason)?;
        let cloudflare = CloudflareZone {
            url: self.cloudflare_url.clone(),
            zone_id: self.cloudflare_zone.clone(),
            token: self.cloudflare_token.clone(),
            record_limit: usize::try_from(self.cloudflare_record_limit).ok().filter(|limit| *limit > 0),
        };
        let velocity = self.velocity(public_ipv4.is_some() || public_ipv6.is_some() || self.wildcard)?;
        let technitium = self.technitium(&domain)?;
        let proxy_port = velocity.as_ref().map(|_| self.velocity_port);
        let dns = DnsSettings { domain, public_ipv4, public_ipv6, wildcard: self.wildcard, proxy_port };
        let named = NamedEdge { dns, installation, cloudflare, resolver, velocity, technitium };
        Ok(EdgeSettings { named: Some(named) })
    }

    /// The proxy. Every name has to lead to it, so servers cannot be named at their nodes.
    fn velocity(&self, one_address: bool) -> Result<Option<VelocityBridge>, Invalid> {
        if self.velocity_url.is_empty() {
            return Ok(None);
        }
        Invalid::unless_http_address("velocity_url", &self.velocity_url)?;
        if !one_address {
            let reason =
                "needs public_ipv4, public_ipv6 or wildcard: the names of servers have to lead to the proxy";
            return Err(Invalid::new("velocity_url", reason));
        }
        if self.velocity_port == 0 {
            return Err(Invalid::new("velocity_port", "must be 1 to 65535"));
        }
        let reason = "required with velocity_url: set edge.velocity_secret_file or the credential edge.velocity_secret";
        given("velocity_secret", &self.velocity_secret, reason)?;
        Ok(Some(VelocityBridge { url: self.velocity_url.clone(), secret: self.velocity_secret.clone() }))
    }

    /// The internal zone. The domain is in it, and it leads somewhere else than the public one.
    fn technitium(&self, domain: &DnsName) -> Result<Option<TechnitiumZone>, Invalid> {
        if self.technitium_url.is_empty() {
            return Ok(None);
        }
        Invalid::unless_http_address("technitium_url", &self.technitium_url)?;
        let zone = DnsName::parse(&self.technitium_zone).map_err(|error| {
            Invalid::new("technitium_zone", format!("required with technitium_url: {error}"))
        })?;
        if !domain.is_within(&zone) {
            return Err(Invalid::new("technitium_zone", format!("{domain} is not within {zone}")));
        }
        let reason = "required with technitium_url: set edge.technitium_token_file or the credential edge.technitium_token";
        given("technitium_token", &self.technitium_token, reason)?;
        let ipv4 = parsed("technitium_ipv4", &self.technitium_ipv4, "an IPv4 address")?;
        let ipv6 = parsed("technitium_ipv6", &self.technitium_ipv6, "an IPv6 address")?;
        if ipv4.is_none() && ipv6.is_none() {
            let reason = "required with technitium_url, unless technitium_ipv6 is given";
            return Err(Invalid::new("technitium_ipv4", reason));
        }
        let (url, token) = (self.technitium_url.clone(), self.technitium_token.clone());
        Ok(Some(TechnitiumZone { url, zone, token, ipv4, ipv6 }))
    }
}

fn given(key: &'static str, secret: &SecretString, reason: &str) -> Result<(), Invalid> {
    if secret.expose_secret().is_empty() { Err(Invalid::new(key, reason)) } else { Ok(()) }
}

fn parsed<T: std::str::FromStr>(key: &'static str, text: &str, what: &str) -> Result<Option<T>, Invalid> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| Invalid::new(key, format!("{text:?} is not {what}"))),
    }
}

impl Section for EdgeSection {
    fn name(&self) -> &'static str {
        "edge"
    }

    fn keys(&self) -> &'static [Key] {
        keys::KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        self.settings().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> EdgeSection {
        EdgeSection {
            domain: "Play.Example.org.".into(),
            installation: "prod".into(),
            cloudflare_zone: "abc123".into(),
            cloudflare_token: "secret".into(),
            ..EdgeSection::default()
        }
    }

    #[test]
    fn without_a_domain_nothing_else_is_needed_and_with_one_a_zone_and_a_mark_are() {
        assert!(EdgeSection::default().settings().unwrap().named.is_none());
        let named = whole().settings().unwrap().named.unwrap();
        assert_eq!((named.dns.domain.as_str(), named.resolver), ("play.example.org", None));
        let key = |section: EdgeSection| section.validate().unwrap_err().key;
        assert_eq!(key(EdgeSection { installation: "Prod EU".into(), ..whole() }), "installation");
        assert_eq!(key(EdgeSection { cloudflare_zone: "../other".into(), ..whole() }), "cloudflare_zone");
        assert_eq!(key(EdgeSection { cloudflare_token: "".into(), ..whole() }), "cloudflare_token");
        assert_eq!(key(EdgeSection { public_ipv4: "::1".into(), ..whole() }), "public_ipv4");
    }

    fn with_parts() -> EdgeSection {
        EdgeSection {
            public_ipv4: "203.0.113.7".into(),
            velocity_url: "http://10.0.0.2:8081".into(),
            velocity_secret: "shared".into(),
            technitium_url: "http://10.0.0.3:5380".into(),
            technitium_zone: "Example.org.".into(),
            technitium_token: "token".into(),
            technitium_ipv4: "10.0.0.2".into(),
            ..whole()
        }
    }

    #[test]
    fn a_proxy_needs_a_secret_and_names_that_lead_to_it() {
        let named = whole().settings().unwrap().named.unwrap();
        assert!(named.velocity.is_none() && named.dns.proxy_port.is_none());
        let named = with_parts().settings().unwrap().named.unwrap();
        assert_eq!(named.velocity.unwrap().url, "http://10.0.0.2:8081");
        assert_eq!(named.dns.proxy_port, Some(25_565));
        let key = |section: EdgeSection| section.validate().unwrap_err().key;
        assert_eq!(key(EdgeSection { velocity_url: "10.0.0.2:8081".into(), ..with_parts() }), "velocity_url");
        assert_eq!(key(EdgeSection { velocity_secret: "".into(), ..with_parts() }), "velocity_secret");
        assert_eq!(key(EdgeSection { velocity_port: 0, ..with_parts() }), "velocity_port");
        let at_nodes = EdgeSection { public_ipv4: String::new(), ..with_parts() };
        assert_eq!(key(at_nodes.clone()), "velocity_url");
        EdgeSection { wildcard: true, ..at_nodes }.validate().unwrap();
    }

    #[test]
    fn an_internal_zone_has_the_domain_in_it_and_leads_somewhere() {
        assert!(whole().settings().unwrap().named.unwrap().technitium.is_none());
        let named = with_parts().settings().unwrap().named.unwrap();
        let zone = named.technitium.unwrap();
        assert_eq!(
            (zone.zone.as_str(), zone.ipv4, zone.ipv6),
            ("example.org", "10.0.0.2".parse().ok(), None)
        );
        let inside = zone.dns(&named.dns);
        assert_eq!(
            (inside.public_ipv4, inside.domain, inside.proxy_port),
            (zone.ipv4, named.dns.domain, Some(25_565))
        );
        let key = |section: EdgeSection| section.validate().unwrap_err().key;
        assert_eq!(key(EdgeSection { technitium_url: "ftp://x".into(), ..with_parts() }), "technitium_url");
        for wrong in ["", "a b", "other.example.org"] {
            assert_eq!(key(EdgeSection { technitium_zone: wrong.into(), ..with_parts() }), "technitium_zone");
        }
        assert_eq!(key(EdgeSection { technitium_token: "".into(), ..with_parts() }), "technitium_token");
        for wrong in ["", "::1"] {
            assert_eq!(key(EdgeSection { technitium_ipv4: wrong.into(), ..with_parts() }), "technitium_ipv4");
        }
        assert_eq!(
            key(EdgeSection { technitium_ipv6: "10.0.0.2".into(), ..with_parts() }),
            "technitium_ipv6"
        );
    }

    #[test]
    fn a_resolver_has_port_53_unless_it_says_another() {
        let resolver = |text: &str| {
            EdgeSection { resolver: text.into(), ..whole() }.settings().unwrap().named.unwrap().resolver
        };
        assert_eq!(resolver("1.1.1.1"), Some(([1, 1, 1, 1], 53).into()));
        assert_eq!(resolver("127.0.0.1:5353"), Some(([127, 0, 0, 1], 5353).into()));
    }
}
