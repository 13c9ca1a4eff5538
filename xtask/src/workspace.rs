//! Where things are in this repository.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// The repository's folders.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The repository.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Workspace {
    /// The repository that this program was built from.
    pub fn find() -> Result<Self> {
        let here = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here
            .ancestors()
            .find(|folder| folder.join("Cargo.lock").is_file())
            .context("cannot find the repository: no Cargo.lock above this package")?
            .to_owned();
        let metadata = cargo_metadata(&root, &["--no-deps"])?;
        let target =
            metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
        Ok(Self { target: target.into(), root })
    }

    /// Everything of `cargo xtask up`; ignored by git.
    pub fn home(&self) -> PathBuf {
        self.root.join(".zlh")
    }

    /// Blueprints, plans and the sources of our own artifacts.
    pub fn catalogue(&self) -> PathBuf {
        self.root.join("catalogue")
    }

    /// Node programs that the tests use.
    pub fn test_js(&self) -> PathBuf {
        self.root.join("tests/js")
    }

    /// Python programs that the tests use.
    pub fn test_py(&self) -> PathBuf {
        self.root.join("tests/py")
    }

    /// Built programs.
    pub fn bin(&self, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" })
    }

    /// A cargo command in the repository that builds from the checked-in query data, whatever the environment says.
    pub fn cargo(&self) -> Command {
        let mut command = cargo(&self.root);
        command.env("SQLX_OFFLINE", "true").env_remove("DATABASE_URL");
        command
    }
}

/// A cargo command, free of what `cargo run` put into our environment for this package.
pub fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// `cargo metadata` as JSON.
pub fn cargo_metadata(root: &Path, arguments: &[&str]) -> Result<serde_json::Value> {
    let output = cargo(root)
        .args(["metadata", "--format-version", "1", "--quiet"])
        .args(arguments)
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}
