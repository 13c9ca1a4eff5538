//! Who plays: asked of the game in its own protocol, and remembered, since many may look at once.

use std::time::Duration;

use domain::agent::{MAX_PLAYER_NAMES, Players, Probe};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::minecraft;

/// How long an answer is good for: games log or count whoever asks, and nobody counts players by the second.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// Longest wait for an answer: whoever looks at a server's load does not wait for a game that is busy.
const WAIT: Duration = Duration::from_secs(1);

/// What the game said last.
#[derive(Debug)]
pub struct PlayerCount {
    last: Mutex<Option<Answer>>,
    good_for: Duration,
}

impl Default for PlayerCount {
    fn default() -> Self {
        Self::good_for(GOOD_FOR)
    }
}

#[derive(Debug)]
struct Answer {
    /// Of which process: another one has other players.
    pid: i32,
    at: Instant,
    players: Option<Players>,
}

impl PlayerCount {
    /// Asks again after this time.
    pub fn good_for(good_for: Duration) -> Self {
        Self { last: Mutex::default(), good_for }
    }

    /// The players of the game with this probe that runs as `pid`. One that does not answer in time keeps those that it
    /// told of last; one whose protocol does not tell has none.
    pub async fn of(&self, probe: &Probe, pid: i32) -> Option<Players> {
        let Probe::MinecraftPing { port } = probe else { return None };
        let mut last = self.last.lock().await;
        let same = last.take_if(|answer| answer.pid == pid);
        if let Some(answer) = same.as_ref().filter(|answer| answer.at.elapsed() < self.good_for) {
            let players = answer.players.clone();
            *last = same;
            return players;
        }
        let told = timeout(WAIT, minecraft::ping(*port)).await.ok().and_then(Result::ok);
        let players = match told {
            Some(status) => in_status(&status),
            None => same.and_then(|answer| answer.players),
        };
        *last = Some(Answer { pid, at: Instant::now(), players: players.clone() });
        players
    }
}

/// The players in the answer to a Server List Ping. What is said there is the game's own text: colours are taken out of
/// names, and a number that is none makes no players at all.
pub fn in_status(status: &serde_json::Value) -> Option<Players> {
    let players = status.get("players")?;
    let number = |name: &str| u32::try_from(players.get(name)?.as_u64()?).ok();
    let sample = players.get("sample").and_then(serde_json::Value::as_array).into_iter().flatten();
    let names = sample.filter_map(|player| player.get("name")?.as_str()).map(without_colours);
    let names = names.filter(|name| !name.is_empty()).take(MAX_PLAYER_NAMES).collect();
    Some(Players { online: number("online")?, max: number("max")?, names })
}

/// A name without `§` and the letter after it.
fn without_colours(name: &str) -> String {
    let mut plain = String::new();
    let mut rest = name.chars();
    while let Some(c) = rest.next() {
        if c == '\u{a7}' {
            rest.next();
        } else {
            plain.push(c);
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn players_are_read_from_a_status_and_never_guessed() {
        let status = json!({ "version": {}, "players": { "online": 2, "max": 20, "sample": [
            { "name": "\u{a7}aida", "id": "…" }, { "name": "" }, { "id": "…" }, { "name": "nils_b\u{a7}" } ] } });
        let names = vec!["ida".to_owned(), "nils_b".to_owned()];
        assert_eq!(in_status(&status), Some(Players { online: 2, max: 20, names }));
        let hidden = json!({ "players": { "online": 1, "max": 5 } });
        assert_eq!(in_status(&hidden), Some(Players { online: 1, max: 5, names: Vec::new() }));
        for odd in [
            json!({}),
            json!({ "players": { "online": -1, "max": 5 } }),
            json!({ "players": { "online": 1 } }),
        ] {
            assert_eq!(in_status(&odd), None, "{odd}");
        }
    }
}
