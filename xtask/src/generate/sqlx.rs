//! The query data with which a clone builds without a database: what PostgreSQL says of each query in `store`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context as _, Result, ensure};

use super::Files;
use crate::{
    postgres::Cluster,
    prereq,
    scratch::Scratch,
    workspace::{Workspace, cargo},
};

/// Where it is in the repository.
pub(super) const FOLDER: &str = ".sqlx";

const DATABASE: &str = "queries";

/// Compiles `store` against a database with the current schema, and collects what the compiler asked.
pub(super) fn query_data(workspace: &Workspace) -> Result<Files> {
    prereq::ensure(&prereq::STACK[..1])?;
    let scratch = Scratch::start(&workspace.target.join("zlh-generate"))?;
    let outcome = collect(workspace, &scratch.cluster, &scratch.folder.join("queries"));
    scratch.end()?;
    outcome
}

fn collect(workspace: &Workspace, cluster: &Cluster, out: &Path) -> Result<Files> {
    cluster.ensure_database(DATABASE)?;
    let folder = workspace.root.join("migrations");
    for file in sql_files(&folder)?.into_iter().chain(sql_files(&folder.join("functions"))?) {
        cluster.sql(DATABASE, &fs::read_to_string(&file)?).with_context(|| file.display().to_string())?;
    }
    fs::create_dir_all(out)?;
    expand_again(&workspace.root)?;
    // Its tests have queries as well.
    let status = cargo(&workspace.root)
        .args(["check", "--quiet", "--locked", "--package", "store", "--all-targets", "--all-features"])
        .env("DATABASE_URL", cluster.owner_url(DATABASE))
        .env("SQLX_OFFLINE_DIR", out)
        .env_remove("SQLX_OFFLINE")
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the queries do not fit the schema");
    let mut files = Files::new();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        files.insert(Path::new(FOLDER).join(entry.file_name()), fs::read(entry.path())?);
    }
    ensure!(!files.is_empty(), "the compiler asked nothing");
    Ok(files)
}

/// Cargo does not know that the macros' result depends on the database: a newer file makes it compile again.
fn expand_again(root: &Path) -> Result<()> {
    let file = root.join("crates/store/src/lib.rs");
    File::options().write(true).open(&file)?.set_modified(SystemTime::now()).context("cannot touch store")
}

/// In order.
fn sql_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    Ok(files)
}
