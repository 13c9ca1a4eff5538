//! `[mail]`: the relay that takes our mails, and from whom they are.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Invalid, Key, Kind, Section};

/// How the connection to the relay is kept from others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// It begins in the open and must become TLS.
    #[default]
    StartTls,
    /// It is TLS from the beginning.
    Tls,
    /// It stays open: only to this machine.
    None,
}

/// The same for every daemon that sends mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailSection {
    /// The relay's name.
    pub host: String,
    /// Its port; 0 is the usual one of `tls`.
    pub port: u16,
    /// How the connection is kept from others.
    pub tls: MailTls,
    /// Who signs in there.
    pub username: String,
    /// With what.
    #[serde(skip_serializing)]
    pub password: SecretString,
    /// From whom mails are.
    pub from: String,
    /// Where answers go.
    pub reply_to: String,
    /// Further certificates that are trusted.
    pub ca_file: Option<PathBuf>,
    /// Address of the Portal, for links.
    pub portal_url: String,
    /// Mails of one template that an address gets within an hour.
    pub hourly_limit: u32,
}

impl Default for MailSection {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 0,
            tls: MailTls::default(),
            username: String::new(),
            password: SecretString::default(),
            from: String::new(),
            reply_to: String::new(),
            ca_file: None,
            portal_url: String::new(),
            hourly_limit: 5,
        }
    }
}

impl MailSection {
    /// Whether there is a way to send mail.
    pub fn is_on(&self) -> bool {
        !self.host.is_empty()
    }

    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        match (self.port, self.tls) {
            (0, MailTls::StartTls) => 587,
            (0, MailTls::Tls) => 465,
            (0, MailTls::None) => 25,
            (port, _) => port,
        }
    }

    fn is_here(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl Section for MailSection {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn keys(&self) -> &'static [Key] {
        KEYS
    }

    fn validate(&self) -> Result<(), Invalid> {
        Invalid::unless_within("hourly_limit", self.hourly_limit, 1..=1_000)?;
        if !self.is_on() {
            return Ok(());
        }
        if self.tls == MailTls::None && !self.is_here() {
            let reason = "mails and the password would be readable on the way: use starttls or tls; none is for this machine";
            return Err(Invalid::new("tls", reason));
        }
        if self.username.is_empty() != self.password.expose_secret().is_empty() {
            return Err(Invalid::new("password", "goes with username: both, or neither"));
        }
        if !self.from.contains('@') {
            return Err(Invalid::new("from", "must be an address, such as \"ZLH <noreply@example.com>\""));
        }
        Invalid::unless_http_address("portal_url", &self.portal_url)
    }
}

const KEYS: &[Key] = &[
    Key::new(
        "host",
        Kind::Text,
        "Name of the relay that takes our mails (SMTP). Without it no mail is sent: what is to be sent waits, for three days.",
    ),
    Key::new("port", Kind::Integer, "Its port; 0 is 587 with `starttls` and 465 with `tls`."),
    Key::new(
        "tls",
        Kind::Choice(&["starttls", "tls", "none"]),
        "How the connection is kept from others. With `starttls` a relay that does not offer it gets nothing. `none` is for a relay \
         on this machine.",
    ),
    Key::new("username", Kind::Text, "Who signs in at the relay; nobody if it is empty."),
    Key::new("password", Kind::Secret, "Its password."),
    Key::new(
        "from",
        Kind::Text,
        "From whom mails are, such as `ZLH <noreply@example.com>`. Its domain needs SPF, DKIM and DMARC (docs/mail.md).",
    ),
    Key::new("reply_to", Kind::Text, "Where answers go; to `from` if it is empty."),
    Key::new(
        "ca_file",
        Kind::Path,
        "PEM file of certificates that are trusted besides the public ones, for a relay of your own.",
    ),
    Key::new(
        "portal_url",
        Kind::Text,
        "Address of the Portal as customers reach it (`api.public_url` of zpack-api): what every link in a mail begins with.",
    ),
    Key::new(
        "hourly_limit",
        Kind::Integer,
        "Most mails of one kind that one address gets within an hour; others wait, or are not sent.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> MailSection {
        MailSection {
            host: "smtp.example.com".into(),
            from: "ZLH <noreply@example.com>".into(),
            portal_url: "https://portal.example.com".into(),
            ..MailSection::default()
        }
    }

    #[test]
    fn mail_goes_nowhere_in_the_open_but_to_this_machine() {
        let open = |host: &str| MailSection { tls: MailTls::None, host: host.into(), ..on() }.validate();
        assert_eq!(open("smtp.example.com").unwrap_err().key, "tls");
        assert_eq!(open("10.0.0.1").unwrap_err().key, "tls");
        assert!(open("localhost").is_ok() && open("127.0.0.1").is_ok() && open("::1").is_ok());
    }

    #[test]
    fn without_a_host_it_is_off_and_with_one_it_has_to_be_whole() {
        assert!(MailSection::default().validate().is_ok() && !MailSection::default().is_on());
        assert!(on().validate().is_ok());
        let key = |section: MailSection| section.validate().unwrap_err().key;
        assert_eq!(key(MailSection { from: "nobody".into(), ..on() }), "from");
        assert_eq!(key(MailSection { portal_url: String::new(), ..on() }), "portal_url");
        assert_eq!(key(MailSection { username: "zlh".into(), ..on() }), "password");
        assert_eq!([on().port(), MailSection { tls: MailTls::Tls, ..on() }.port()], [587, 465]);
    }
}
