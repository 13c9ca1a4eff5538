//! Where PostgreSQL's programs are: Debian keeps the server's off the path.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder with `initdb`, `postgres` and `psql`.
#[derive(Clone, Debug, Default)]
pub struct Binaries(PathBuf);

impl Binaries {
    /// The newest installed server.
    pub fn find() -> Option<Self> {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        versions.sort();
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let on_path: Vec<_> = std::env::split_paths(&on_path).collect();
        versions.into_iter().rev().map(|(_, bin)| bin).chain(on_path).find(|bin| is_server(bin)).map(Self)
    }

    /// One of its programs.
    pub fn path(&self, program: &str) -> PathBuf {
        self.0.join(program)
    }
}

fn is_server(folder: &Path) -> bool {
    ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
}
