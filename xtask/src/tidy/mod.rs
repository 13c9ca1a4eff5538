//! `cargo xtask tidy`: what people forget, and what no compiler sees.

mod catalogue;
mod circles;
mod dependencies;
mod imports;
mod locks;
mod sources;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{ui, workspace::Workspace};

/// Finds what is wrong; each finding says where, and what to do.
type Check = fn(&Workspace) -> Result<Vec<String>>;

const CHECKS: &[(&str, Check)] = &[
    ("who may import whom", imports::check),
    ("no circles between modules", circles::check),
    ("file headers", sources::check_headers),
    ("lock files", locks::check),
    ("licences and bans", dependencies::check),
    ("catalogue", catalogue::check),
];

/// Runs all checks, and reports all findings.
pub fn run(workspace: &Workspace) -> Result<ExitCode> {
    let mut count = 0;
    for (name, check) in CHECKS {
        let findings = check(workspace)?;
        count += findings.len();
        if findings.is_empty() {
            ui::say(&format!("  {} {name}", ui::green("✓")));
        }
        for finding in findings {
            ui::warn(&format!("{name}: {finding}"));
        }
    }
    ui::say(&sources::report(workspace)?);
    if count > 0 {
        bail!("{count} findings");
    }
    Ok(ExitCode::SUCCESS)
}
