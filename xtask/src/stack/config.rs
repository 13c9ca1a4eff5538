//! The ports of a stack and the configuration that names them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use domain::token::Signer;
use serde::{Deserialize, Serialize};

use super::{Daemon, Places};
use crate::{
    ports::{self, Reserved},
    secrets,
};

/// Where `cargo xtask up` begins to look for the game servers' ports, and how many they and their agents get.
const GAMES: (u16, u16) = (25_600, 100);

/// Where the rows of tests' stacks are: below the ports of outgoing connections, and of other tests.
const TESTS: (u16, u16) = (10_000, 12_000);
/// Ports of a test's stack: five of daemons, and the rest for game servers.
const TEST_ROW: u16 = 50;
const FIRST_TEST_GAME: u16 = 6;

/// Below this name are servers, where they have names: the sandbox is a name server for it.
pub const DOMAIN: &str = "play.zlh.test";
/// Id and token of the zone at the sandbox. Nothing there is a secret.
pub const ZONE: &str = "sandbox";
/// What opens the stand-in for Stripe, and what it signs its webhooks with.
pub const STRIPE_KEY: &str = "sk_test_sandbox";
/// As above.
pub const STRIPE_WEBHOOK_SECRET: &str = "whsec_sandbox";
/// Who signs in at the stand-in for a mail relay, and with what.
pub const SMTP_USERNAME: &str = "sandbox";
/// As above.
pub const SMTP_PASSWORD: &str = "sandbox";

/// Chosen once and kept, so that bookmarks and server lists stay right.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ports {
    #[serde(skip)]
    file: PathBuf,
    #[serde(skip)]
    _reserved: Option<Reserved>,
    sandbox: u16,
    api: u16,
    #[serde(default)]
    objects: u16,
    #[serde(default)]
    names: u16,
    #[serde(default)]
    smtp: u16,
    first_game: u16,
    last_game: u16,
}

impl Ports {
    /// Those in `file`; new ones where there are none.
    pub(super) fn open(file: &Path) -> Result<Self> {
        if let Ok(bytes) = fs::read(file) {
            let ports: Self = serde_json::from_slice(&bytes).context("ports.json")?;
            return Ok(Self { file: file.to_owned(), ..ports });
        }
        let first_game = ports::range(GAMES.0, GAMES.1)?;
        Ok(Self {
            file: file.to_owned(),
            _reserved: None,
            sandbox: 0,
            api: 8080,
            objects: 0,
            names: 0,
            smtp: 0,
            first_game,
            last_game: first_game + GAMES.1 - 1,
        })
    }

    /// A row for a test, beside which others choose theirs at the same time.
    pub(super) fn reserve(file: &Path) -> Result<Self> {
        let row = Reserved::take(TESTS.0, TESTS.1, TEST_ROW)?;
        Ok(Self {
            file: file.to_owned(),
            sandbox: row.port(1),
            api: row.port(2),
            objects: row.port(3),
            names: row.port(4),
            smtp: row.port(5),
            first_game: row.port(FIRST_TEST_GAME),
            last_game: row.port(TEST_ROW - 1),
            _reserved: Some(row),
        })
    }

    /// Chooses what is not chosen yet, and others for ports that were taken by somebody since.
    pub(super) fn settle(&mut self, runs: impl Fn(Daemon) -> bool) -> Result<()> {
        for (daemon, port) in [
            (Daemon::Sandbox, &mut self.sandbox),
            (Daemon::Api, &mut self.api),
            (Daemon::Api, &mut self.objects),
            (Daemon::Sandbox, &mut self.names),
            (Daemon::Sandbox, &mut self.smtp),
        ] {
            if !runs(daemon) {
                *port = ports::prefer(*port)?;
            }
        }
        secrets::write_private(&self.file, &serde_json::to_string(self)?)
    }

    /// Where a daemon is served, if it has a port.
    pub(super) fn of(&self, daemon: Daemon) -> Option<u16> {
        match daemon {
            Daemon::Sandbox => Some(self.sandbox),
            Daemon::Api => Some(self.api),
            Daemon::Worker | Daemon::Controller | Daemon::Repair | Daemon::Billing => None,
        }
    }

    /// Where the sandbox is served.
    pub(super) fn sandbox(&self) -> u16 {
        self.sandbox
    }

    /// Where names are answered.
    pub(super) fn names(&self) -> u16 {
        self.names
    }

    /// Where mails are taken.
    pub(super) fn smtp(&self) -> u16 {
        self.smtp
    }

    /// Where the API is served.
    pub(super) fn api(&self) -> u16 {
        self.api
    }
}

/// The public half of a daemon's key, base64.
pub(super) fn public_key(daemon: Daemon, private_key: &str) -> Result<String> {
    Ok(Signer::from_base64(daemon.name(), private_key)?.trusted_key(Vec::new()).public_key)
}

/// A daemon's socket of health and metrics.
pub(super) fn health(sockets: &Path, daemon: Daemon) -> PathBuf {
    sockets.join(format!("{}.sock", daemon.name().trim_start_matches("zpack-")))
}

/// The certificate of the stand-in for a mail relay: the sandbox makes it, and who sends mail trusts it.
pub(super) fn smtp_certificate(places: &Places) -> PathBuf {
    places.home.join("smtp.pem")
}

/// `zlh.toml`. Secrets are not in it: each daemon has a credentials folder.
pub(super) fn text(places: &Places, sockets: &Path, ports: &Ports, api_public_key: &str) -> String {
    let Ports { sandbox, api, objects, names, smtp, first_game, last_game, .. } = ports;
    let health =
        |daemon| toml::Value::from(format!("unix:{}", health(sockets, daemon).display())).to_string();
    let path = |path: &Path| toml::Value::from(path.to_string_lossy().into_owned()).to_string();
    let visible: Vec<_> = node_elsewhere().iter().map(|folder| path(folder)).collect();
    format!(
        "# Written by cargo xtask; your changes are lost.\n\
         [api]\nlisten = \"127.0.0.1:{api}\"\npublic_url = \"http://127.0.0.1:{api}\"\n\n\
         [catalogue]\ndir = {catalogue}\n\n\
         [artifacts]\nbase_url = \"http://127.0.0.1:{sandbox}\"\n\n\
         [stripe]\nurl = \"http://127.0.0.1:{sandbox}/stripe\"\n\n\
         [mail]\nhost = \"127.0.0.1\"\nport = {smtp}\nusername = \"{SMTP_USERNAME}\"\n\
         from = \"ZLH <noreply@zlh.test>\"\nreply_to = \"Support <support@zlh.test>\"\nca_file = {smtp_certificate}\n\
         portal_url = \"http://127.0.0.1:{api}\"\n\n\
         [engine]\nroot = {containers}\nagent_program = {agent}\nvisible = [{visible}]\n\
         first_port = {first_game}\nlast_port = {last_game}\nreport_seconds = 1\n\n\
         [objects]\nfolder = {backups}\nbase_url = \"http://127.0.0.1:{objects}\"\n\
         listen = \"127.0.0.1:{objects}\"\n\n\
         [backups]\nsweep_seconds = 2\n\n\
         [trust]\napi_public_key = \"{api_public_key}\"\n\n\
         [logging]\nformat = \"json\"\n\n\
         [zpack-api.health]\nlisten = {api_health}\n\n\
         [zpack-provision-worker.health]\nlisten = {worker_health}\n\n\
         [zlh-controller.health]\nlisten = {controller_health}\n\n\
         [zpack-repair-worker.health]\nlisten = {repair_health}\n\n\
         [zpack-billing-worker.health]\nlisten = {billing_health}\n\n\
         [controller]\npass_seconds = 1\n\n{edge}",
        controller_health = health(Daemon::Controller),
        repair_health = health(Daemon::Repair),
        billing_health = health(Daemon::Billing),
        edge = if places.names { edge(*sandbox, *names) } else { String::new() },
        api_health = health(Daemon::Api),
        worker_health = health(Daemon::Worker),
        catalogue = path(&places.catalogue),
        containers = path(&places.home.join("containers")),
        backups = path(&places.home.join("backups")),
        smtp_certificate = path(&smtp_certificate(places)),
        agent = path(&places.bin.join("zlh-agent")),
        visible = visible.join(", "),
    )
}

/// Names at the sandbox.
fn edge(sandbox: u16, names: u16) -> String {
    format!(
        "[edge]\ndomain = \"{DOMAIN}\"\ninstallation = \"local\"\nresolver = \"127.0.0.1:{names}\"\n\
         cloudflare_url = \"http://127.0.0.1:{sandbox}/cloudflare/client/v4\"\ncloudflare_zone = \"{ZONE}\"\n"
    )
}

/// The folder of a Node that is not the system's (a version manager's): isolated servers see only what they are shown.
fn node_elsewhere() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let node = std::env::split_paths(&path).map(|folder| folder.join("node")).find(|file| file.is_file())?;
    let folder = node.canonicalize().ok()?.parent()?.parent()?.to_owned();
    (!folder.starts_with("/usr") && folder != Path::new("/")).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml_with_a_port_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ports.json");
        let mut ports = Ports::open(&file).unwrap();
        ports.settle(|_| false).unwrap();
        let places = Places {
            home: "/a \"b\"".into(),
            bin: "/bin".into(),
            catalogue: "/c".into(),
            artifacts: "/d".into(),
            names: true,
        };
        let sockets = Path::new("/s");
        let table: toml::Table = toml::from_str(&text(&places, sockets, &ports, "k")).unwrap();
        assert_eq!(table["engine"]["root"].as_str(), Some("/a \"b\"/containers"));
        let again = Ports::open(&file).unwrap();
        assert_eq!(text(&places, sockets, &again, "k"), text(&places, sockets, &ports, "k"));
        let health = [&table["zpack-api"], &table["zpack-provision-worker"]].map(|t| &t["health"]["listen"]);
        assert_ne!(health[0], health[1]);
    }
}
