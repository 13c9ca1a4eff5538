//! Programs that must be there. With apt they are installed; elsewhere the person is told exactly what to do.

use std::{
    io::IsTerminal as _,
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
pub const NODE: &[Need] = &[need("node", "nodejs"), need("npm", "npm")];
/// Of the tests: real game servers.
pub const GAMES: &[Need] =
    &[need("minetestserver", "minetest-server"), need("teeworlds-server", "teeworlds-server")];

/// Of workspaces: JupyterLab is written in Python, and its artifact is made with pip.
pub const PYTHON: &[Need] = &[need("python3", "python3"), need("pip3", "python3-pip")];
/// Of the tests: a browser that opens workspaces.
pub const BROWSER: &[Need] = &[need("chromium", "chromium")];

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
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/games", "/usr/sbin"].map(Into::into))
        .any(|folder| folder.join(program).is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    apt(&["update", "-q"])?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    ensure!(root || is_there("sudo"), "installing needs root, and there is no sudo");
    let mut command = Command::new(if root { "env" } else { "sudo" });
    if !root && !std::io::stdin().is_terminal() {
        // Nobody is there to type a password: better an error now than a prompt that nobody sees.
        command.arg("--non-interactive");
    }
    // What apt says goes to our standard error: standard output is for results.
    let status = command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(arguments)
        .stdout(Stdio::from(std::io::stderr()))
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
