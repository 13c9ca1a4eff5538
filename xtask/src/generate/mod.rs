//! `cargo xtask generate`: files that are made from the code and checked in, because readers and builds use them.

mod sqlx;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};

use crate::{build, stack::Daemon, ui, workspace::Workspace};

/// Daemons with a configuration, in the order of the reference.
const CONFIGURED: &[Daemon] =
    &[Daemon::Api, Daemon::Worker, Daemon::Controller, Daemon::Repair, Daemon::Billing];

/// Files by path in the repository. A folder that is generated as a whole has all of its files here.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Writes what is out of date, or with `check` only says so.
pub fn run(workspace: &Workspace, check: bool) -> Result<ExitCode> {
    let step = ui::step("Query data");
    let mut wanted = sqlx::query_data(workspace)?;
    let mut differing = differences(&workspace.root, Path::new(sqlx::FOLDER), &wanted)?;
    step.done("");
    if !check {
        // The programs are built from it.
        write(&workspace.root, &wanted, &differing)?;
        differing.clear();
    }
    build::programs(workspace, false)?;
    wanted.extend(descriptions(workspace)?);
    for path in [OPENAPI, CONFIGURATION] {
        differing.extend(differences(&workspace.root, Path::new(path), &wanted)?);
    }
    if !check {
        write(&workspace.root, &wanted, &differing)?;
        return Ok(ExitCode::SUCCESS);
    }
    for path in &differing {
        ui::warn(&format!("{} is out of date", path.display()));
    }
    ensure!(differing.is_empty(), "run `cargo xtask generate`, and commit what it changes");
    Ok(ExitCode::SUCCESS)
}

const OPENAPI: &str = "docs/openapi.json";
const CONFIGURATION: &str = "docs/configuration.md";

/// What the programs say of themselves.
fn descriptions(workspace: &Workspace) -> Result<Files> {
    let bin = workspace.bin(false);
    let mut reference = String::from(
        "<!-- Written by `cargo xtask generate`. -->\n\n\
         Values come from built-in defaults, then `/etc/zlh/zlh.toml` (or `--config`), where a table named like the \
         daemon overrides the\nshared sections (`[zpack-api.health]`), then the environment \
         (`ZLH_SECTION__KEY`), then files named `section.key` in\n`$CREDENTIALS_DIRECTORY`. A secret may be \
         given as `key_file`, too. `DAEMON check-config` shows what is in force and why.\n",
    );
    for daemon in CONFIGURED {
        reference.extend(["\n", output(&bin, *daemon, "config-reference")?.trim(), "\n"]);
    }
    let openapi = format!("{}\n", output(&bin, Daemon::Api, "openapi")?.trim_end());
    Ok([(OPENAPI, openapi), (CONFIGURATION, reference)]
        .map(|(path, text)| (PathBuf::from(path), text.into_bytes()))
        .into())
}

fn output(bin: &Path, daemon: Daemon, command: &str) -> Result<String> {
    let name = daemon.name();
    let output =
        Command::new(bin.join(name)).arg(command).output().with_context(|| format!("cannot run {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {command}: {}", said.trim());
    String::from_utf8(output.stdout).with_context(|| format!("{name} {command}"))
}

/// Paths at or below `place` that are missing, different, or there without being wanted.
fn differences(root: &Path, place: &Path, wanted: &Files) -> Result<Vec<PathBuf>> {
    let mut there = Files::new();
    let full = root.join(place);
    if full.is_dir() {
        for entry in fs::read_dir(&full)? {
            let entry = entry?;
            there.insert(place.join(entry.file_name()), fs::read(entry.path())?);
        }
    } else if let Ok(content) = fs::read(&full) {
        there.insert(place.to_owned(), content);
    }
    let wanted: Files = wanted
        .iter()
        .filter(|(path, _)| path.starts_with(place))
        .map(|(p, c)| (p.clone(), c.clone()))
        .collect();
    let mut paths: Vec<_> = there.keys().chain(wanted.keys()).cloned().collect();
    paths.sort();
    paths.dedup();
    paths.retain(|path| there.get(path) != wanted.get(path));
    Ok(paths)
}

/// Makes these paths as they are wanted.
fn write(root: &Path, wanted: &Files, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let full = root.join(path);
        if let Some(content) = wanted.get(path) {
            fs::create_dir_all(full.parent().unwrap_or(root))?;
            fs::write(&full, content).with_context(|| format!("cannot write {}", full.display()))?;
            ui::say(&format!("  wrote {}", path.display()));
        } else {
            fs::remove_file(&full)?;
            ui::say(&format!("  removed {}", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_folder_has_neither_stale_nor_missing_files_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let place = Path::new(".sqlx");
        fs::create_dir(root.path().join(place)).unwrap();
        for (name, content) in [("same", "1"), ("changed", "1"), ("stale", "1")] {
            fs::write(root.path().join(place).join(name), content).unwrap();
        }
        let wanted: Files = [("same", "1"), ("changed", "2"), ("new", "3")]
            .map(|(name, content)| (place.join(name), content.as_bytes().to_vec()))
            .into();
        let differing = differences(root.path(), place, &wanted).unwrap();
        assert_eq!(differing, ["changed", "new", "stale"].map(|name| place.join(name)));
        write(root.path(), &wanted, &differing).unwrap();
        assert!(differences(root.path(), place, &wanted).unwrap().is_empty());
    }
}
