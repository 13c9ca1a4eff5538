//! Where PostgreSQL's programs are: Debian keeps the server's off the path.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// A folder with `initdb`, `postgres` and `psql`.
#[derive(Clone, Debug, Default)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// The newest installed server.
    pub fn find() -> Option<Self> {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(DEBIANS)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        versions.sort();
        versions.into_iter().rev().map(|(_, bin)| bin).chain(on_path()).find(|bin| is_server(bin)).map(Self)
    }

    /// The server of this major version, as `PG_VERSION` names it.
    pub fn of(version: &str) -> Result<Self> {
        let debians = Path::new(DEBIANS).join(version).join("bin");
        let of_version = |bin: &PathBuf| is_server(bin) && (*bin == debians || says(bin, version));
        let found = std::iter::once(debians.clone()).chain(on_path()).find(of_version);
        found.map(Self).with_context(|| {
            format!(
                "the database was made with PostgreSQL {version}, which is not installed any more: install \
                 postgresql-{version}"
            )
        })
    }

    /// One of its programs.
    pub fn path(&self, program: &str) -> PathBuf {
        self.0.join(program)
    }
}

const DEBIANS: &str = "/usr/lib/postgresql";

fn on_path() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

/// Whether `postgres --version` says so: `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn says(folder: &Path, version: &str) -> bool {
    let output = Command::new(folder.join("postgres")).arg("--version").output();
    output.is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.split(' ').nth(2).and_then(|full| full.trim().split('.').next()) == Some(version)
    })
}

fn is_server(folder: &Path) -> bool {
    ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
}
