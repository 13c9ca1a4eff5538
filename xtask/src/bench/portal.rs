//! `cargo xtask bench portal`: what the Portal costs whoever opens it, in release builds and a real Chromium.
//!
//! What the first load weighs, by part; when a phone on a slow line (1.6 Mbit/s, a processor a quarter as fast) sees its
//! servers, and how long it is deaf to touches meanwhile; what an hour of console output keeps in the page's memory.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Aim, Build, Measurement, stage, visitor::Visitor};
use crate::{interrupt, portal, prereq, stack::Stack, ui, workspace::Workspace};

/// No bound on how fast is typed, and none on output that would be measured instead.
const SETTINGS: &str = "";

/// Builds, measures, and leaves nothing behind.
pub(super) fn run(workspace: &Workspace, build: Build) -> Result<Vec<Measurement>> {
    interrupt::listen()?;
    let browser = prereq::ensure_browser()?;
    portal::build(workspace)?;
    stage::build(workspace, build)?;
    stage::with_game(workspace, build, SETTINGS, |stack| {
        let step = ui::step("The Portal in a browser");
        let measured = measure(workspace, stack, &browser)?;
        step.done("");
        Ok(measured)
    })
}

fn measure(workspace: &Workspace, stack: &Stack, browser: &std::path::Path) -> Result<Vec<Measurement>> {
    let visitor = Visitor::open(stack)?;
    let instance = visitor.create_game(None)?.instance;
    let task = json!({ "portal": visitor.origin, "cookie": visitor.customer.cookie, "instance": instance });
    let output = Command::new("node")
        .arg(workspace.root.join("crates/portal/web/e2e/bench.mjs"))
        .arg(task.to_string())
        .env("ZLH_TEST_CHROMIUM", browser)
        .output()
        .context("cannot run node")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().context("the browser's script said nothing")?;
    let said: Value = serde_json::from_str(last)?;
    ensure!(said["error"].is_null(), "{}", said["error"].as_str().unwrap_or_default());
    let value = |name: &str| said["measured"][name].as_f64().with_context(|| format!("no {name}"));
    let first = value("scripts")? + value("styles")? + value("document")?;
    Ok(vec![
        Measurement::new("first load: scripts", value("scripts")?, "kB"),
        Measurement::new("first load: styles", value("styles")?, "kB"),
        Measurement::new("first load: document", value("document")?, "kB"),
        Measurement::new("first load: font", value("font")?, "kB"),
        Measurement::new("first load: the API's data", value("data")?, "kB"),
        Measurement::new("first load without font and data", first, "kB").aiming(Aim::AtMost(150.0)),
        Measurement::new("first contentful paint, slow phone", value("frame")?, "s"),
        Measurement::new("largest contentful paint, slow phone", value("paint")?, "s")
            .aiming(Aim::AtMost(1.5)),
        Measurement::new("total blocking time, slow phone", value("blocked")?, "ms"),
        Measurement::new("memory with an open console", value("before")?, "MB"),
        Measurement::new("memory after 100,000 lines", value("after")?, "MB").beside(value("before")?),
        Measurement::new("lines drawn of 100,000", value("drawn")?, "lines").aiming(Aim::AtMost(200.0)),
    ])
}
