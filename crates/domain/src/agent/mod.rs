//! What the control plane and the agent say to each other: trust bundle, service spec, status; console, files and
//! backups in modules of their own. All times are RFC 3339 UTC, sizes in the unit their field name carries.

mod backup;
mod console;
mod files;
pub mod limits;
mod path;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use serde::{Deserialize, Serialize};

pub use self::{backup::*, console::*, files::*, path::*};
use crate::{ids::InstanceId, instance::text_enum, text};

/// The names under which agents know the daemons: a token's `iss`, and its key's in a trust bundle.
pub const API_ISSUER: &str = "zpack-api";

/// See [`API_ISSUER`].
pub const PROVISION_ISSUER: &str = "provision-worker";

/// The longest life of a token, in seconds (architecture, invariant 10).
pub const MAX_TOKEN_SECONDS: i64 = 60;

/// The longest that `GET /v1/status` may be held open, in milliseconds.
pub const MAX_STATUS_WAIT_MS: u64 = 20_000;

/// A workspace's IDE listens on this Unix socket in its container's folder, beside `data`. It is all that
/// `GET /v1/tunnel` reaches: other than a loopback port, no neighbour on the same machine can connect to it.
pub const IDE_SOCKET: &str = "run/ide.sock";

/// What `GET /v1/tunnel` is upgraded to (RFC 9110, 7.8): bytes to and from the IDE's socket.
pub const TUNNEL_PROTOCOL: &str = "zlh-tunnel";

/// What a token allows. One token carries exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Prove which certificate the agent uses.
    Enrol,
    /// Read state and recent output.
    Observe,
    /// Set what is installed and run.
    Install,
    /// Start, stop, restart, kill.
    Power,
    /// Read the console and type in it.
    Console,
    /// See and change the customer's files.
    Files,
    /// Make, stage and verify backups.
    Backup,
    /// Reach a development workspace's own port.
    Tunnel,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 8] = [
        Self::Enrol,
        Self::Observe,
        Self::Install,
        Self::Power,
        Self::Console,
        Self::Files,
        Self::Backup,
        Self::Tunnel,
    ];
}

/// Written into a container before its agent starts; without it the agent refuses to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustBundle {
    /// The only instance whose tokens this agent accepts.
    pub instance_id: InstanceId,
    /// 32 random bytes, base64. Proves to the control plane which certificate is this agent's.
    pub enrolment_secret: String,
    /// Who may call, and for what. Public keys only.
    pub keys: Vec<TrustedKey>,
}

/// One daemon's public key and the scopes it may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Names the key in a token's header.
    pub kid: String,
    /// The daemon, as in a token's `iss`.
    pub issuer: String,
    /// Raw Ed25519 public key (32 bytes), base64.
    pub public_key: String,
    /// What tokens signed by this key may ask for.
    pub scopes: Vec<Scope>,
}

/// Body of `POST /v1/enrol`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// Chosen by the caller, at least 16 random bytes, base64.
    pub nonce: String,
}

/// Answer to `POST /v1/enrol`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EnrolResponse {
    /// SHA-256 of the agent's certificate (DER), hex.
    pub certificate_sha256: String,
    /// Base64 of [`enrolment_proof`].
    pub proof: String,
}

/// A secret as a trust bundle carries it: base64.
pub fn encode_secret(secret: &[u8]) -> String {
    STANDARD.encode(secret)
}

/// The proof that the shim of `secret` uses the certificate with this fingerprint:
/// HMAC-SHA256 over `zlh-enrol-v1`, instance, nonce and fingerprint, separated by newlines; base64.
pub fn enrolment_proof(secret: &[u8], instance: InstanceId, nonce: &str, fingerprint_hex: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    STANDARD.encode(hmac::sign(&key, enrolment_message(instance, nonce, fingerprint_hex).as_bytes()))
}

/// Whether `proof` is [`enrolment_proof`] of the same values, in constant time.
pub fn enrolment_proof_holds(
    secret: &[u8],
    instance: InstanceId,
    nonce: &str,
    fingerprint_hex: &str,
    proof: &str,
) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let message = enrolment_message(instance, nonce, fingerprint_hex);
    STANDARD.decode(proof).is_ok_and(|tag| hmac::verify(&key, message.as_bytes(), &tag).is_ok())
}

fn enrolment_message(instance: InstanceId, nonce: &str, fingerprint_hex: &str) -> String {
    format!("zlh-enrol-v1\n{instance}\n{nonce}\n{fingerprint_hex}")
}

/// Body of `PUT /v1/service`: everything the agent needs to install and run one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Names this content: the same revision again is a no-op, another one installs anew.
    pub revision: String,
    /// Installation, in order. Empty steps mean that there is nothing to install.
    pub install: Vec<InstallStep>,
    /// What runs.
    pub run: RunSpec,
    /// How readiness is recognised.
    pub ready: ReadySpec,
    /// Bound on the data folder, in bytes; `None` is unbounded.
    #[serde(default)]
    pub disk_limit_bytes: Option<u64>,
}

/// One installation step. Paths are relative to the customer's data folder and may not leave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum InstallStep {
    /// Download a file and check it; unpack it when `unpack` says so.
    Download {
        /// Where from (http or https).
        url: String,
        /// Expected SHA-256, hex.
        sha256: String,
        /// Expected length in bytes; more is cut off as an error.
        size: u64,
        /// File (or folder, when unpacked) in the data folder.
        path: String,
        /// How to unpack; `None` keeps the file.
        #[serde(default)]
        unpack: Option<Unpack>,
    },
    /// Write a text file, creating folders. An existing file is kept when `keep_existing`.
    Write {
        /// File in the data folder.
        path: String,
        /// UTF-8 content.
        content: String,
        /// Leave a file alone that is there already (a customer's edits).
        #[serde(default)]
        keep_existing: bool,
    },
    /// Set keys in a Java `.properties` file, leaving the others alone.
    Properties {
        /// File in the data folder; made when missing.
        path: String,
        /// Keys and values to set.
        set: BTreeMap<String, String>,
    },
    /// Run a program of the installation to its end; a non-zero exit fails the installation.
    Run {
        /// Program and arguments; no shell.
        argv: Vec<String>,
        /// Longest run, in seconds.
        timeout_seconds: u64,
    },
}

/// Archive formats of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpack {
    /// gzip-compressed tar.
    TarGz,
    /// Zstandard-compressed tar.
    TarZst,
}

/// The process of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Program and arguments; no shell. `{java}` as first word is resolved by the agent from `runtime`.
    pub argv: Vec<String>,
    /// What the program needs to be there.
    #[serde(default)]
    pub runtime: Runtime,
    /// Extra environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How it is asked to stop.
    pub stop: StopSpec,
    /// How its output and input are connected.
    #[serde(default)]
    pub console: ConsoleMode,
}

/// A language runtime or program that the container must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Runtime {
    /// Nothing beyond the files installed.
    #[default]
    None,
    /// A Java runtime of this major version, or newer.
    Java {
        /// For example 17 or 21.
        major: u16,
    },
    /// A program on the path.
    Program {
        /// Its name, for example `node`.
        name: String,
        /// The package that has it, for the error message.
        package: String,
    },
}

/// How a service is asked to stop, and when it is killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopSpec {
    /// A line for its console; without one it gets SIGTERM.
    #[serde(default)]
    pub line: Option<String>,
    /// Seconds until it is killed.
    pub grace_seconds: u64,
}

/// How readiness is recognised, and by when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadySpec {
    /// What is asked.
    pub probe: Probe,
    /// Seconds from start until the start counts as failed.
    pub deadline_seconds: u64,
}

/// A readiness probe. Ports are those the service listens on, at loopback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// Minecraft Server List Ping: handshake (next state 1), status request, a JSON answer.
    MinecraftPing {
        /// TCP port.
        port: u16,
    },
    /// Luanti/Minetest: a reliable empty peer-id packet, answered by SET_PEER_ID.
    Luanti {
        /// UDP port.
        port: u16,
    },
    /// Teeworlds 0.7 connless token request, answered with a token.
    Teeworlds {
        /// UDP port.
        port: u16,
    },
    /// A TCP connection is accepted.
    Tcp {
        /// TCP port.
        port: u16,
    },
    /// A line of output matches.
    Log {
        /// Regular expression.
        pattern: String,
    },
}

/// States of an agent (wire facts; `stopping` is ours).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Nothing installed yet.
    Idle,
    /// Installation steps run.
    Installing,
    /// A download's hash is being checked.
    Verifying,
    /// The process runs; the probe has not passed.
    Starting,
    /// The process runs and was ready.
    Running,
    /// Asked to stop, still there.
    Stopping,
    /// Installed, not running, as wanted.
    Stopped,
    /// Died, or never became ready; the agent has given up until the next start.
    Crashed,
    /// Installation failed.
    Error,
}

/// Answer of `GET /v1/status` and `POST /v1/power`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Increases with every change; for `?since=`. Starts anew (from the wall clock in ms) with the agent.
    pub revision: u64,
    /// Where it stands.
    pub state: AgentState,
    /// The installed service's revision, once installation succeeded.
    pub installed_revision: Option<String>,
    /// Why it is in `error` or `crashed`.
    pub error: Option<AgentFault>,
    /// The installation step under way, for people.
    #[serde(default, deserialize_with = "text::read_option")]
    pub install_step: Option<String>,
    /// Progress of the installation, 0–100.
    pub progress: Option<u8>,
    /// Crashes since the last start that was asked for.
    pub crash_count: u32,
    /// Process id inside the container, while there is one.
    pub pid: Option<u32>,
    /// When the service became ready, RFC 3339.
    pub ready_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// Why an installation or a start failed; `code` is stable, `message` is for a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFault {
    /// Stable, for programs.
    pub code: FaultCode,
    /// For the customer: what happened. Foreign text, as all of this is to who reads it.
    #[serde(deserialize_with = "text::read")]
    pub message: String,
    /// The last lines of output, oldest first, at most 20.
    #[serde(default, deserialize_with = "text::read_lines")]
    pub last_output: Vec<String>,
}

text_enum! {
    /// Stable codes of an agent's faults.
    FaultCode {
        /// The artifact source has no such file.
        ArtifactMissing = "artifact_missing",
        /// The artifact source did not answer, or broke off.
        ArtifactUnreachable = "artifact_unreachable",
        /// A download differs from its hash or length.
        ArtifactCorrupt = "artifact_corrupt",
        /// A runtime or program is not in the container.
        RuntimeMissing = "runtime_missing",
        /// An installation step failed.
        InstallFailed = "install_failed",
        /// The process exited before it was ready.
        CrashedAtStart = "crashed_at_start",
        /// It was not ready within its deadline.
        NotReadyInTime = "not_ready_in_time",
        /// It died repeatedly after it had been ready.
        CrashLoop = "crash_loop",
        /// The plan's disk space does not suffice.
        DiskFull = "disk_full",
        /// The backup storage did not answer, or refused.
        StorageUnreachable = "storage_unreachable",
        /// A backup is not what its manifest says.
        BackupCorrupt = "backup_corrupt",
        /// Reading or writing the data folder failed.
        BackupFailed = "backup_failed",
    }
}

/// Body of `POST /v1/power`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerRequest {
    /// What to do.
    pub action: PowerAction,
}

/// What can be asked of a server's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerAction {
    /// Run it; a no-op while it runs.
    Start,
    /// Ask it to stop, kill it after its grace.
    Stop,
    /// Stop, then start.
    Restart,
    /// Kill it at once.
    Kill,
}

/// Answer of `GET /v1/console/tail`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsoleTail {
    /// Last lines of output, oldest first.
    pub lines: Vec<String>,
}

/// The error body of every agent route (RFC 9457 members that we use).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentProblem {
    /// Stable code, for example `token_expired`.
    pub code: String,
    /// For a log.
    pub detail: String,
}
