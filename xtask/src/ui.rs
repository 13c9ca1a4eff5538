//! What a person sees while something takes a while: one line a step, moving on a terminal, plain elsewhere.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// One step under way. Dropped without [`done`](Self::done), it leaves its line as it is.
pub struct Step {
    bar: ProgressBar,
    name: String,
    begun: Instant,
}

/// Begins a step of unknown length.
pub fn step(name: &str) -> Step {
    let bar = bar(ProgressBar::new_spinner(), "{spinner} {prefix} {wide_msg:.dim}");
    bar.enable_steady_tick(Duration::from_millis(80));
    Step::new(bar, name)
}

/// Begins a step of `total` parts.
pub fn progress(name: &str, total: u64) -> Step {
    Step::new(bar(ProgressBar::new(total), "  {prefix} [{bar:30}] {pos}/{len} {wide_msg:.dim}"), name)
}

fn bar(bar: ProgressBar, template: &str) -> ProgressBar {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

impl Step {
    fn new(bar: ProgressBar, name: &str) -> Self {
        bar.set_prefix(name.to_owned());
        Self { bar, name: name.to_owned(), begun: Instant::now() }
    }

    /// What is being done.
    pub fn say(&self, message: &str) {
        self.bar.set_message(message.to_owned());
    }

    /// How far it is.
    pub fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Ends the step well.
    pub fn done(self, outcome: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        self.bar.finish_and_clear();
        let space = if outcome.is_empty() { "" } else { " " };
        say(&format!("  {} {}{space}{outcome} ({seconds:.1} s)", green("✓"), self.name));
    }
}

/// A line for the person; not the command's result.
pub fn say(line: &str) {
    eprintln!("{line}");
}

/// A line that should be seen.
pub fn warn(line: &str) {
    eprintln!("{} {line}", paint("33", "!"));
}

/// Green on a terminal.
pub fn green(text: &str) -> String {
    paint("32", text)
}

fn paint(colour: &str, text: &str) -> String {
    if std::io::stderr().is_terminal() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}
