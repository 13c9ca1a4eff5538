//! The measured game: a shell script that prints what it is told to. It runs as a server of the stack, and directly,
//! with its pipes in our hands.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

/// Its blueprint's id.
pub(super) const BLUEPRINT: &str = "bench";
/// Its only variant.
pub(super) const VARIANT: &str = "only";

/// `count N` prints N numbered lines as fast as it can; `now` prints the time, in nanoseconds since the epoch.
const SCRIPT: &str = "\
echo ready
while read -r word count; do
  case $word in
    count) seq -f '%.0f of the numbered lines that a game prints as fast as it can' 1 $count ;;
    now) date +%s%N ;;
    stop) exit 0 ;;
  esac
done
";

/// The blueprint's file.
pub(super) fn blueprint() -> String {
    let script = toml::Value::from(SCRIPT);
    format!(
        r#"
id = "{BLUEPRINT}"
name = "The measured game"
summary = "Prints what it is told to."
kind = "game"
min_memory_mib = 64
ports = [{{ name = "game", protocol = "udp" }}]

[[variants]]
id = "{VARIANT}"
name = "Only"
versions = ["1"]
install = [{{ kind = "write", path = "game.sh", content = {script} }}]
run = {{ argv = ["/bin/sh", "game.sh"], stop_line = "stop", stop_grace_seconds = 5 }}
ready = {{ probe = {{ kind = "log", pattern = "^ready$" }}, deadline_seconds = 20 }}
"#
    )
}

/// The number that a line of `count` begins with.
pub(super) fn number(line: &str) -> Option<usize> {
    line.split_once(' ')?.0.parse().ok()
}

/// The same program without us: its output is read from its own pipe.
pub(super) struct Direct {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Direct {
    /// Starts it and waits until it is ready.
    pub(super) fn start() -> Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run /bin/sh")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut direct = Self { child, output };
        ensure!(direct.line()? == "ready", "the game is not ready");
        Ok(direct)
    }

    /// Types a line.
    pub(super) fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no input")?;
        writeln!(input, "{line}").context("tell the game")
    }

    /// Its next line.
    pub(super) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the game has ended");
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_game_counts_and_tells_the_time() {
        let mut game = Direct::start().unwrap();
        game.tell("count 3").unwrap();
        let numbers: Vec<_> = (0..3).map(|_| number(&game.line().unwrap())).collect();
        assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
        game.tell("now").unwrap();
        assert!(game.line().unwrap().parse::<u128>().unwrap() > 1_000_000_000_000_000_000);
    }

    #[test]
    fn its_blueprint_is_one() {
        let blueprint = domain::blueprint::Blueprint::parse(&blueprint()).unwrap();
        assert_eq!(blueprint.id, BLUEPRINT);
    }
}
