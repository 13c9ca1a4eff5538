//! What an operator does at a terminal: see what is wrong and what would be done, and say what may be.

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use anyhow::Context as _;
use clap::Subcommand;
use domain::{
    drift::{Attempts, Finding, Mode, Verdict, find},
    ids::FindingId,
};
use runtime::{clock::SystemClock, daemon::Resources};
use serde_json::{Value, json};
use store::{
    Db,
    audit::By,
    controller::{self, Open, State},
};

use crate::{
    config::ControllerConfig,
    pass::{Controller, breaker, counted, judge},
    routes::Routes,
    serve::open_edge,
};

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Look now, and show what is wrong, the evidence, and what would be done; changes nothing
    Plan {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Have the leader look now, rather than after its pause
    Look,
    /// Show who leads, what it may do, and what its last pass came to
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what is open, as the leader has it
    Findings {
        /// Also what is closed
        #[arg(long)]
        closed: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what the controller may do: `observe` (look and say) or `level1` (also have Level 1 repaired)
    Mode {
        /// Which
        mode: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
    /// Have nothing repaired until `unpause`
    Pause {
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
    /// Go on after a pause
    Unpause {
        /// Why, for the audit log
        #[arg(long)]
        reason: String,
    },
}

/// Runs one.
pub async fn run(command: Command, resources: Resources, config: ControllerConfig) -> anyhow::Result<()> {
    let db = resources.database()?;
    let text = match command {
        Command::Plan { json } => {
            let edge = open_edge(&config.edge, Arc::new(SystemClock))?;
            let routes = Routes::open(&config.controller, Arc::new(SystemClock))?;
            let controller = Controller::new(db.clone(), edge, &config.controller, false).with_routes(routes);
            plan(&db, &controller, json).await?
        }
        Command::Look => {
            controller::ask_for_a_look(&db).await?;
            "the leader was asked to look now; `zlh-controller status` shows what came of it".to_owned()
        }
        Command::Status { json } => status(&controller::state(&db).await?, json),
        Command::Findings { closed, json } => findings(&db, closed, json).await?,
        Command::Mode { mode, reason } => {
            let mode: Mode = mode.parse().ok().context("the modes are observe and level1")?;
            posture(&db, &config, Some(mode), None, &reason).await?
        }
        Command::Pause { reason } => posture(&db, &config, None, Some(true), &reason).await?,
        Command::Unpause { reason } => posture(&db, &config, None, Some(false), &reason).await?,
    };
    println!("{}", text.trim_end());
    Ok(())
}

async fn posture(
    db: &Db,
    config: &ControllerConfig,
    mode: Option<Mode>,
    paused: Option<bool>,
    reason: &str,
) -> anyhow::Result<String> {
    let by = By::itself("operator:command-line");
    let tell = config.discord.is_on();
    let changed = controller::set_posture(db, mode, paused, by, reason, tell).await?;
    let state = controller::state(db).await?;
    let how = if state.paused { "paused: nothing is repaired" } else { means(state.mode) };
    Ok(format!(
        "{} the controller is in mode {}, {how}",
        if changed { "now" } else { "as before," },
        state.mode
    ))
}

fn means(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "it looks and says what it finds, and has nothing repaired",
        Mode::Level1 => "it has Level 1 repaired: clear_stale_operation_lock and edge_republish",
    }
}

/// What is wrong now, the evidence, and what would be done.
pub async fn plan(db: &Db, controller: &Controller, as_json: bool) -> anyhow::Result<String> {
    let state = controller::state(db).await?;
    let look = controller.look(None).await?;
    let found = find(&look);
    let (incomplete, breaker) = (look.incomplete(), breaker(&found));
    let posture = controller.posture(&state, look.is_whole(), breaker.is_some()).await?;
    // What the leader knows of them; what it has not seen is seen for the first time.
    let open = controller::list(db, false, i64::from(i32::MAX)).await?;
    let mut known: HashMap<_, _> = found
        .iter()
        .map(|finding| {
            (
                finding.fingerprint(),
                Open { id: FindingId::generate(), seen: 1, attempts: Attempts::default() },
            )
        })
        .collect();
    for it in open {
        if let Some(entry) = known.get_mut(&format!("{}:{}", it.rule, it.subject)) {
            entry.id = it.id;
            entry.seen = u32::try_from(it.seen_count).unwrap_or_default() + 1;
        }
    }
    let judged = judge(&look, &found, &known, posture);
    let names: HashMap<_, _> = look.instances.iter().map(|it| (it.id, it.hostname.as_str())).collect();
    if as_json {
        let items: Vec<_> = judged.iter().map(|it| shown(&found[it.at], it.seen, it.verdict)).collect();
        let plan = json!({ "mode": state.mode, "paused": state.paused, "instance_count": look.instances.len(),
                           "incomplete": incomplete, "breaker": breaker, "findings": items });
        return Ok(serde_json::to_string_pretty(&plan)?);
    }
    let mut text = head(&state);
    if let Some(what) = &incomplete {
        let _ = writeln!(text, "Not everything could be seen: {what}");
    }
    if let Some(why) = &breaker {
        let _ = writeln!(text, "The breaker is open: {why}");
    }
    for it in &judged {
        let finding = &found[it.at];
        let of = finding.instance.and_then(|id| names.get(&id)).copied().unwrap_or("–");
        let _ = writeln!(
            text,
            "\n{} {} of {of} (level {}, seen in {})",
            sign(it.verdict),
            finding.rule,
            u8::from(finding.level),
            counted(it.seen as usize, "look")
        );
        let _ = writeln!(text, "    - {}\n    + {}", finding.observed, finding.desired);
        let _ = match (it.verdict, &finding.proposal) {
            (Verdict::Repair(action), _) => writeln!(text, "    will be done: {action}"),
            (Verdict::Leave(reason), Some(proposal)) => {
                writeln!(text, "    not by a machine ({}): {proposal}", reason.say())
            }
            (Verdict::Leave(reason), None) => writeln!(text, "    not now: {}", reason.say()),
        };
    }
    let repairs = judged.iter().filter(|it| matches!(it.verdict, Verdict::Repair(_))).count();
    let _ = match judged.len() {
        0 => {
            writeln!(text, "\nReality and the database agree on {}.", counted(look.instances.len(), "server"))
        }
        all => writeln!(
            text,
            "\n{}: {repairs} will be repaired, {} will not.",
            counted(all, "difference"),
            all - repairs
        ),
    };
    Ok(text)
}

fn sign(verdict: Verdict) -> char {
    match verdict {
        Verdict::Repair(_) => '~',
        Verdict::Leave(_) => '!',
    }
}

fn shown(finding: &Finding, seen: u32, verdict: Verdict) -> Value {
    let (will, reason) = match verdict {
        Verdict::Repair(action) => (Some(action), None),
        Verdict::Leave(reason) => (None, Some(reason)),
    };
    let mut shown = json!(finding);
    shown["seen_count"] = json!(seen);
    shown["will_be_done"] = json!(will);
    shown["reason"] = json!(reason);
    shown
}

fn head(state: &State) -> String {
    let mut text = format!("Mode {}: {}.\n", state.mode, means(state.mode));
    if state.paused {
        text.push_str("Paused: nothing is repaired.\n");
    }
    text
}

fn status(state: &State, as_json: bool) -> String {
    if as_json {
        let status = json!({
            "term": state.term, "leader": state.leader, "led_since": state.led_since, "mode": state.mode, "paused": state.paused,
            "changed_at": state.changed_at, "changed_by": state.changed_by, "change_reason": state.change_reason,
            "pass": { "at": state.pass_at, "ms": state.pass_ms, "instance_count": state.pass_instances,
                      "finding_count": state.pass_findings, "incomplete": state.pass_incomplete },
            "breaker": state.breaker,
        });
        return serde_json::to_string_pretty(&status).unwrap_or_default();
    }
    let mut text = head(state);
    let when = |at: Option<chrono::DateTime<chrono::Utc>>| {
        at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
    };
    let leader = state.leader.as_deref().unwrap_or("nobody yet");
    let _ = writeln!(text, "Term {}, led by {leader} since {}.", state.term, when(state.led_since));
    let count = |n: Option<i32>| usize::try_from(n.unwrap_or_default()).unwrap_or_default();
    let _ = writeln!(
        text,
        "Last pass {}: {}, {}, {} ms.",
        when(state.pass_at),
        counted(count(state.pass_instances), "server"),
        counted(count(state.pass_findings), "finding"),
        count(state.pass_ms)
    );
    if let Some(what) = &state.pass_incomplete {
        let _ = writeln!(text, "It could not see everything: {what}");
    }
    let _ = match &state.breaker {
        Some(why) => writeln!(text, "The breaker is open: {why}"),
        None => writeln!(text, "The breaker is closed."),
    };
    text
}

async fn findings(db: &Db, closed: bool, as_json: bool) -> anyhow::Result<String> {
    let all = controller::list(db, closed, 1_000).await?;
    if as_json {
        let items: Vec<_> = all
            .iter()
            .map(|it| {
                json!({ "id": it.id, "rule": it.rule, "level": it.level, "action": it.action, "instance": it.instance,
                        "hostname": it.hostname, "operation": it.operation, "subject": it.subject, "desired": it.desired,
                        "observed": it.observed, "proposal": it.proposal, "seen_count": it.seen_count, "reason": it.reason,
                        "opened_at": it.opened_at, "seen_at": it.seen_at, "closed_at": it.closed_at,
                        "last_repair": it.tried.as_ref().map(|it| json!({ "outcome": it.outcome, "reason": it.reason, "at": it.at })) })
            })
            .collect();
        return Ok(serde_json::to_string_pretty(&items)?);
    }
    let mut text = String::new();
    for it in &all {
        let state = it
            .closed_at
            .map_or_else(|| "open".to_owned(), |at| format!("gone since {}", at.format("%H:%M:%S")));
        let of = it.hostname.as_deref().unwrap_or("–");
        let _ = writeln!(
            text,
            "{} of {of}, level {}, {state}, since {}",
            it.rule,
            it.level,
            it.opened_at.format("%Y-%m-%d %H:%M:%S")
        );
        let _ = writeln!(text, "    - {}\n    + {}", it.observed, it.desired);
        if let Some(tried) = &it.tried {
            let _ = writeln!(
                text,
                "    last repair at {}: {}: {}",
                tried.at.format("%H:%M:%S"),
                tried.outcome,
                tried.reason
            );
        }
    }
    if all.is_empty() {
        text.push_str("Nothing is open.");
    }
    Ok(text)
}
