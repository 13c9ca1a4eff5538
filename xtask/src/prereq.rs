//! Programs that must be there. With apt they are installed; elsewhere the person is told exactly what to do.

use std::{
    io::IsTerminal as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{postgres, ui};

/// A program, and the Debian package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Looked for on the path and in `/usr/games`.
    pub program: &'static str,
    /// What to install.
    pub package: &'static str,
}

pub(crate) const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// Of the private stack.
pub const STACK: &[Need] =
    &[need("initdb", "postgresql"), need("redis-server", "redis-server"), need("bwrap", "bubblewrap")];
/// Of the demo server and its making.
const NODE: &[Need] = &[need("node", "nodejs"), need("npm", "npm")];
/// Of the tests: real game servers.
pub const GAMES: &[Need] =
    &[need("minetestserver", "minetest-server"), need("teeworlds-server", "teeworlds-server")];

/// Of workspaces: JupyterLab is written in Python, and its artifact is made with pip.
pub const PYTHON: &[Need] = &[need("python3", "python3"), need("pip3", "python3-pip")];
/// Of the tests: a browser that opens workspaces, by any of its names.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The oldest Node.js that what we make artifacts with runs on.
const NODE_MAJOR: u32 = 18;

/// Sees to it that there is a Node.js that is new enough.
pub fn ensure_node() -> Result<()> {
    ensure(NODE)?;
    let output = Command::new("node").arg("--version").output().context("cannot run node")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major: Option<u32> = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok());
    ensure!(
        major.is_some_and(|major| major >= NODE_MAJOR),
        "Node.js {NODE_MAJOR} or newer is needed, and this is {version}: Debian 12 and Ubuntu 24.04 have one; see \
         https://nodejs.org for others"
    );
    Ok(())
}

/// Sees to it that there is a browser, and finds it.
pub fn ensure_browser() -> Result<PathBuf> {
    let find = || BROWSERS.iter().find_map(|name| find(name));
    if let Some(browser) = find() {
        return Ok(browser);
    }
    // Ubuntu has it by another name.
    let ubuntu = std::fs::read_to_string("/etc/os-release").unwrap_or_default().contains("ID=ubuntu");
    let name = if ubuntu { "chromium-browser" } else { "chromium" };
    ensure(&[need(name, name)])?;
    find().context("the browser is installed, but not found")
}

/// Sees to it that all of these are there.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<_> = needs.iter().copied().filter(|need| !is_there(need.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    ui::say(&format!("Missing: {}", packages.join(", ")));
    let by_hand = format!("sudo apt-get update && sudo apt-get install -y {}", packages.join(" "));
    if !is_there("apt-get") {
        let programs: Vec<_> = missing.iter().map(|need| need.program).collect();
        bail!(
            "install these with your system's package manager: {} (on Debian: {by_hand})",
            programs.join(", ")
        );
    }
    install(&packages).with_context(|| format!("run this yourself, then try again:\n  {by_hand}"))?;
    let still: Vec<_> =
        missing.iter().map(|need| need.program).filter(|program| !is_there(program)).collect();
    ensure!(still.is_empty(), "installed, but still not found: {}", still.join(", "));
    Ok(())
}

/// Whether a program is there. PostgreSQL's server keeps its programs off the path.
pub fn is_there(program: &str) -> bool {
    if program == "initdb" {
        return postgres::Binaries::find().is_some();
    }
    find(program).is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/games", "/usr/sbin"].map(Into::into))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    apt(&["update", "-q"])?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)?;
    for service in packages.iter().filter(|package| SERVICES.contains(package)) {
        stop_service(service);
    }
    Ok(())
}

/// Packages whose installation starts a server for the whole machine, under the same name. We need the programs only, and
/// a Redis without a password is nothing to leave behind.
const SERVICES: [&str; 2] = ["postgresql", "redis-server"];

fn stop_service(name: &str) {
    if !std::path::Path::new("/run/systemd/system").exists() {
        return;
    }
    let stopped = as_root(&["systemctl", "disable", "--now", name]).status();
    if !stopped.is_ok_and(|status| status.success()) {
        ui::say(&format!("The service {name} that came with its package may be running; we do not use it."));
    }
}

/// A command of root's.
fn as_root(arguments: &[&str]) -> Command {
    let root = rustix::process::geteuid().is_root();
    let mut command = Command::new(if root { "env" } else { "sudo" });
    if !root && !std::io::stdin().is_terminal() {
        // Nobody is there to type a password: better an error now than a prompt that nobody sees.
        command.arg("--non-interactive");
    }
    // What programs say goes to our standard error: standard output is for results.
    command.args(arguments).stdout(Stdio::from(std::io::stderr()));
    command
}

fn apt(arguments: &[&str]) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    ensure!(root || is_there("sudo"), "installing needs root, and there is no sudo");
    let status = as_root(&["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(arguments)
        .status()
        .context("cannot run apt-get")?;
    ensure!(status.success(), "apt-get {} failed", arguments.first().unwrap_or(&""));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed_again() {
        ensure(&[need("sh", "no-such-package")]).unwrap();
        assert!(!is_there("no-such-program"));
    }
}
