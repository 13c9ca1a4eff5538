//! `cargo xtask test`: the tests of the workspace, with a PostgreSQL and a Redis that live as long as they run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    artifacts, build, interrupt, portal, postgres::Cluster, prereq, redis::Redis, scratch::Scratch, ui,
    workspace::Workspace,
};

/// Roles that the migrations make, and that then have no password. Here they have the owner's, so that a test reaches
/// any role by changing the user's name in a URL.
const ROLES: &[&str] = &["zlh_api", "zlh_provision", "zlh_controller", "zlh_repair", "zlh_billing"];

/// Which tests.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only tests with this in their name
    filter: Option<String>,
    /// Only the tests of this crate; may be given several times
    #[arg(short, long, value_name = "CRATE")]
    package: Vec<String>,
    /// Where pictures of pages go.
    #[arg(skip)]
    pictures: Option<PathBuf>,
}

/// The test that looks at every page.
const EVERY_PAGE: &str = "every_page_is_accessible";

/// Takes pictures of every page, by the test that looks at each of them.
pub fn screenshots(workspace: &Workspace) -> Result<ExitCode> {
    let folder = workspace.target.join("screenshots");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let package = vec!["zlh-tests".to_owned()];
    let options = Options { filter: Some(EVERY_PAGE.to_owned()), package, pictures: Some(folder.clone()) };
    let ended = run(workspace, &options)?;
    ui::say(&format!("The pictures are in {}", folder.display()));
    Ok(ended)
}

/// Runs the tests; their exit code is ours.
pub fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    interrupt::listen()?;
    for needs in [prereq::STACK, prereq::GAMES, prereq::PYTHON] {
        prereq::ensure(needs)?;
    }
    prereq::ensure_node()?;
    let browser = prereq::ensure_browser()?;
    let prepared = prepare_programs(workspace);
    if options.package.is_empty() && options.filter.is_none() {
        portal::check(workspace)?;
    } else {
        portal::build(workspace)?;
    }
    build::programs(workspace, false)?;
    let step = ui::step("Artifacts and clients");
    prepared.join().map_err(|_| anyhow!("preparing others' programs panicked"))??;
    step.done("");
    let (services, redis) = start_services(&workspace.target.join("zlh-test"))?;
    let outcome = prepare_roles(&services.cluster)
        .and_then(|()| run_tests(workspace, options, &services, &redis, &browser));
    services.end()?;
    outcome
}

/// The demo's artifact, the clients that join servers, and the mail relay that is not ours.
fn prepare_programs(workspace: &Workspace) -> thread::JoinHandle<Result<()>> {
    let (catalogue, tree, clients) = (workspace.catalogue(), artifact_tree(workspace), workspace.test_js());
    let (theirs, packages) = (workspace.test_py(), python_packages(workspace));
    thread::spawn(move || {
        artifacts::prepare(&catalogue, &tree, artifacts::Wanted::All)?;
        artifacts::python_packages(&theirs, &packages).context("the tests' Python packages")?;
        artifacts::node_modules(&clients).context("the test clients").map(drop)
    })
}

/// What the tests' Python programs import.
fn python_packages(workspace: &Workspace) -> PathBuf {
    workspace.target.join("zlh-test-python")
}

fn artifact_tree(workspace: &Workspace) -> PathBuf {
    workspace.home().join("artifacts")
}

fn start_services(parent: &Path) -> Result<(Scratch, Redis)> {
    let step = ui::step("PostgreSQL and Redis for the tests");
    let services = Scratch::start(parent)?.with_redis()?;
    step.done("");
    Ok(services)
}

fn prepare_roles(cluster: &Cluster) -> Result<()> {
    ROLES.iter().try_for_each(|role| {
        let create = format!("CREATE ROLE {role} LOGIN PASSWORD '{}'", cluster.password);
        cluster.sql("postgres", &create).map(drop)
    })
}

fn run_tests(
    workspace: &Workspace,
    options: &Options,
    services: &Scratch,
    redis: &Redis,
    browser: &Path,
) -> Result<ExitCode> {
    let mut command = workspace.cargo();
    let nextest =
        workspace.cargo().args(["nextest", "--version"]).output().is_ok_and(|it| it.status.success());
    if nextest {
        command.args(["nextest", "run", "--locked", "--no-tests=fail"]);
    } else {
        command.args(["test", "--locked"]);
    }
    if options.package.is_empty() {
        command.arg("--workspace");
    }
    command.args(options.package.iter().flat_map(|name| ["--package", name]));
    command.args(&options.filter);
    if let Some(folder) = &options.pictures {
        command.env("ZLH_TEST_PICTURES", folder);
    }
    let status = command
        .env("ZLH_TEST_DATABASE_URL", services.cluster.owner_url("postgres"))
        .env("ZLH_TEST_REDIS_URL", redis.url())
        .env("ZLH_TEST_CHROMIUM", browser)
        .env("ZLH_BIN_DIR", workspace.bin(false))
        .env("ZLH_TEST_ARTIFACTS", artifact_tree(workspace))
        .env("ZLH_TEST_JS", workspace.test_js())
        .env("ZLH_TEST_PY", workspace.test_py())
        .env("ZLH_TEST_PY_PACKAGES", python_packages(workspace))
        .status()
        .context("cannot run cargo")?;
    // A child that a signal ended has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    if nextest && code != 0 {
        say_why(&workspace.target.join("nextest/default/junit.xml"));
    }
    Ok(ExitCode::from(code))
}

/// At most so much of why one test failed.
const REASON_CHARS: usize = 600;

/// Says last, in a few lines each, why tests failed: their daemons' logs are long, and the end is what is read first.
fn say_why(report: &Path) {
    let Ok(report) = fs::read_to_string(report) else { return };
    for reason in reasons(&report) {
        ui::say(&reason);
    }
}

fn reasons(report: &str) -> Vec<String> {
    let Ok(report) = roxmltree::Document::parse(report) else { return Vec::new() };
    let failed = report.descendants().filter(|it| it.has_tag_name("failure") || it.has_tag_name("error"));
    failed
        .map(|it| {
            let test = it.parent().and_then(|it| it.attribute("name")).unwrap_or_default();
            let told = it.text().unwrap_or_default();
            let reason = told.split_once("stack backtrace:").map_or(told, |(reason, _)| reason);
            let reason: String = reason.trim_end().chars().take(REASON_CHARS).collect();
            format!("{test} failed:\n{reason}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::reasons;

    #[test]
    fn a_failed_test_is_told_by_its_name_and_reason_without_its_backtrace() {
        let report = r#"<testsuites><testsuite name="domain"><testcase name="passes"/><testcase name="breaks">
            <failure type="test failure">panicked at 3:5: 1 is not 2&#10;stack backtrace:&#10;   0: begin</failure>
        </testcase></testsuite></testsuites>"#;
        assert_eq!(reasons(report), ["breaks failed:\npanicked at 3:5: 1 is not 2"]);
    }
}
