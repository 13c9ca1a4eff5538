//! Finds the Java or other program that a game needs, and says which package has it when it is missing.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use domain::agent::{Runtime, limits::JAVA};
use tokio::{process::Command, time::timeout};

/// Where Debian and Ubuntu put Java.
const JAVA_HOMES: &str = "/usr/lib/jvm";
/// Longest run of `java -version`.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Searched after the agent's own PATH.
const STANDARD_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games:/usr/local/games";

/// A program that the container does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("This server needs {needs}, which is not installed (package {package}).")]
pub struct RuntimeMissing {
    needs: String,
    package: String,
}

/// The PATH of games: the agent's own absolute folders, then the standard ones and those of games.
pub fn search_path() -> String {
    let own = env::var("PATH").unwrap_or_default();
    let mut folders: Vec<&str> = Vec::new();
    for folder in own.split(':').chain(STANDARD_PATH.split(':')) {
        if folder.starts_with('/') && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders.join(":")
}

/// `argv` with its first word replaced when that is [`JAVA`]; an error when `runtime` is not there.
pub async fn resolve(argv: &[String], runtime: &Runtime) -> Result<Vec<String>, RuntimeMissing> {
    let mut argv = argv.to_vec();
    match runtime {
        Runtime::None => {}
        Runtime::Java { major } => {
            let java = find_java(*major).await.ok_or_else(|| RuntimeMissing {
                needs: format!("Java {major} or newer"),
                package: format!("openjdk-{major}-jre-headless"),
            })?;
            if let Some(first) = argv.first_mut().filter(|first| *first == JAVA) {
                *first = java.to_string_lossy().into_owned();
            }
        }
        Runtime::Program { name, package } => {
            let missing =
                || RuntimeMissing { needs: format!("the program {name}"), package: package.clone() };
            on_path(name).ok_or_else(missing)?;
        }
    }
    Ok(argv)
}

fn on_path(name: &str) -> Option<PathBuf> {
    search_path().split(':').map(|folder| Path::new(folder).join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// `ZLH_JAVA_<major>`, then the oldest sufficient one below [`JAVA_HOMES`], then the one on PATH.
async fn find_java(major: u16) -> Option<PathBuf> {
    let told = env::var_os(format!("ZLH_JAVA_{major}")).map(PathBuf::from);
    if let Some(java) = told.filter(|java| is_executable(java)) {
        return Some(java);
    }
    if let Some(java) = installed_java(Path::new(JAVA_HOMES), major) {
        return Some(java);
    }
    let java = on_path("java")?;
    (asked_version(&java).await? >= major).then_some(java)
}

/// The smallest version of at least `major` among the Java homes in `homes`.
pub fn installed_java(homes: &Path, major: u16) -> Option<PathBuf> {
    let homes = fs::read_dir(homes).ok()?.flatten().map(|entry| entry.path());
    let versions = homes.filter_map(|home| {
        let release = fs::read_to_string(home.join("release")).ok()?;
        let line = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
        Some((java_major(line.trim_matches('"'))?, home.join("bin/java")))
    });
    versions.filter(|(version, java)| *version >= major && is_executable(java)).min().map(|(_, java)| java)
}

/// What `java -version` says; it prints to stderr.
#[allow(clippy::disallowed_methods, reason = "only Java itself knows its version")]
async fn asked_version(java: &Path) -> Option<u16> {
    let mut command = Command::new(java);
    command.arg("-version").stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(VERSION_TIMEOUT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    java_major(text.split('"').nth(1)?)
}

/// 17 of "17.0.15", 8 of "1.8.0_402".
pub fn java_major(version: &str) -> Option<u16> {
    let mut numbers = version.split(['.', '_', '-', '+']).map(str::parse);
    match numbers.next()?.ok()? {
        1 => numbers.next()?.ok(),
        major => Some(major),
    }
}
