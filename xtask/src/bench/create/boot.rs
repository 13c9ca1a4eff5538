//! The game's own boot: the same program with the same arguments on the same files, started directly.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::{interrupt, minecraft, ports, process::Record};

const READY_WITHIN: Duration = Duration::from_mins(1);
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks: what the figure may be wrong by.
const INTERVAL: Duration = Duration::from_millis(2);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The installed game, as the agent of a container was told to install it.
pub(super) struct Game {
    folder: PathBuf,
    argv: Vec<String>,
}

impl Game {
    /// Copies what is installed in a container, without what the game has written since.
    pub(super) fn copy_of(container: &Path, folder: &Path) -> Result<Self> {
        let state: Value = serde_json::from_slice(&fs::read(container.join("root/agent/state.json"))?)?;
        let installed = state["spec"]["install"].as_array().context("nothing is installed")?;
        for path in installed.iter().filter_map(|step| step["path"].as_str()) {
            copy(&container.join("root/data").join(path), &folder.join("installed").join(path))?;
        }
        let argv = state["spec"]["run"]["argv"].as_array().context("no argv")?;
        let argv = argv.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
        Ok(Self { folder: folder.to_owned(), argv })
    }

    /// How long it takes from its start until it answers a Server List Ping, on files as they are after installing.
    pub(super) fn boot(&self) -> Result<Duration> {
        let data = self.folder.join("data");
        let _ = fs::remove_dir_all(&data);
        copy(&self.folder.join("installed"), &data)?;
        let port = ports::any()?;
        set_port(&data.join("settings.json"), port)?;
        let begun = Instant::now();
        let mut running = self.start(&data)?;
        let outcome = until_it_answers(&mut running, port);
        let elapsed = begun.elapsed();
        drop(running);
        outcome.map(|()| elapsed)
    }

    fn start(&self, data: &Path) -> Result<Running> {
        let (program, arguments) = self.argv.split_first().context("an empty argv")?;
        let log = File::create(self.folder.join("boot.log"))?;
        let child = Command::new(program)
            .args(arguments)
            // As in a container: what our environment has for every Node would slow only this one.
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", data)
            .current_dir(data)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        Ok(Running(child))
    }
}

/// A game that ends with its scope.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(record) = Record::of("the game", self.0.id(), None) {
            let _ = record.stop(Signal::KILL, ENDS_WITHIN);
        }
        let _ = self.0.wait();
    }
}

fn until_it_answers(running: &mut Running, port: u16) -> Result<()> {
    let (address, deadline) = (format!("127.0.0.1:{port}"), Instant::now() + READY_WITHIN);
    loop {
        interrupt::check()?;
        if minecraft::ping(&address, PING_TIMEOUT).is_ok() {
            return Ok(());
        }
        ensure!(running.0.try_wait()?.is_none(), "the game ended while booting");
        ensure!(Instant::now() < deadline, "the game did not boot in time");
        thread::sleep(INTERVAL);
    }
}

fn set_port(settings: &Path, port: u16) -> Result<()> {
    let mut value: Value = serde_json::from_slice(&fs::read(settings)?)?;
    value["port"] = port.into();
    Ok(fs::write(settings, value.to_string())?)
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    if !from.is_dir() {
        fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    fs::read_dir(from)?.try_for_each(|entry| {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_installed_is_copied_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("container/root");
        fs::create_dir_all(root.join("data/server/lib")).unwrap();
        fs::create_dir_all(root.join("agent")).unwrap();
        for file in ["server/lib/a.js", "settings.json", "world"] {
            fs::write(root.join("data").join(file), "{}").unwrap();
        }
        let state = serde_json::json!({ "spec": {
            "install": [{ "path": "server" }, { "path": "settings.json" }], "run": { "argv": ["node", "x"] },
        } });
        fs::write(root.join("agent/state.json"), state.to_string()).unwrap();
        let game = Game::copy_of(&folder.path().join("container"), &folder.path().join("boot")).unwrap();
        let copied = folder.path().join("boot/installed");
        assert!(copied.join("server/lib/a.js").is_file() && !copied.join("world").exists());
        assert_eq!(game.argv, ["node", "x"]);
        set_port(&copied.join("settings.json"), 7).unwrap();
        assert_eq!(fs::read_to_string(copied.join("settings.json")).unwrap(), r#"{"port":7}"#);
    }
}
