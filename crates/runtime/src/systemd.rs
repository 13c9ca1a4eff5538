//! The service manager: readiness, stopping, and a watchdog that is fed only while every loop of the daemon is alive.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sd_notify::NotifyState;

/// The loops that must stay alive. Clones share them.
#[derive(Clone, Default)]
pub struct Heartbeats(Arc<Registered>);

#[derive(Default)]
struct Registered {
    loops: Mutex<Vec<Arc<Beat>>>,
    stood_down: AtomicBool,
}

struct Beat {
    name: &'static str,
    max_silence: Duration,
    since: Instant,
    /// When the last beat was, in milliseconds after `since`.
    last: AtomicU64,
}

/// What a loop touches each time round.
#[derive(Clone)]
pub struct Heartbeat(Arc<Beat>);

impl Heartbeats {
    /// Registers a loop that promises to beat at least every `max_silence`. It counts until the drain begins: a loop that
    /// ends early, or panics, has fallen silent.
    pub fn register(&self, name: &'static str, max_silence: Duration) -> Heartbeat {
        let beat = Arc::new(Beat { name, max_silence, since: Instant::now(), last: AtomicU64::new(0) });
        let mut loops = self.0.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.push(Arc::clone(&beat));
        Heartbeat(beat)
    }

    /// The loops that have not been heard of for too long.
    pub fn silent(&self) -> Vec<&'static str> {
        if self.0.stood_down.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let loops = self.0.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.iter().filter(|beat| beat.is_silent()).map(|beat| beat.name).collect()
    }

    /// From now on loops may end: the daemon drains, and the drain has a deadline of its own.
    pub fn stand_down(&self) {
        self.0.stood_down.store(true, Ordering::Relaxed);
    }
}

impl Heartbeat {
    /// The loop is alive.
    pub fn beat(&self) {
        self.0.last.store(self.0.age(), Ordering::Relaxed);
    }
}

impl Beat {
    fn age(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_silent(&self) -> bool {
        let silence = self.age().saturating_sub(self.last.load(Ordering::Relaxed));
        Duration::from_millis(silence) > self.max_silence
    }
}

/// Tells the service manager that the daemon serves. Without one, nothing happens; the same holds for the others.
pub fn notify_ready() {
    report(sd_notify::notify(&[NotifyState::Ready]));
}

/// Tells the service manager that the daemon drains.
pub fn notify_stopping() {
    report(sd_notify::notify(&[NotifyState::Stopping]));
}

/// Feeds the service manager's watchdog, if it has one, for as long as this future is polled.
pub async fn feed_watchdog(heartbeats: Heartbeats) {
    let Some(timeout) = sd_notify::watchdog_enabled() else {
        return;
    };
    // sd_watchdog_enabled(3) recommends every half of the time; a third leaves room for a busy machine.
    ping_while_alive(timeout / 3, &heartbeats, || async {
        // Sending blocks when the manager does not read, which must not hold up a thread that async work needs.
        let sent = tokio::task::spawn_blocking(|| sd_notify::notify(&[NotifyState::Watchdog])).await;
        report(sent.unwrap_or_else(|error| Err(io::Error::other(error))));
    })
    .await;
}

async fn ping_while_alive<P: Future>(period: Duration, heartbeats: &Heartbeats, ping: impl Fn() -> P) {
    let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let silent = heartbeats.silent();
        if silent.is_empty() {
            ping().await;
        } else {
            tracing::error!(
                ?silent,
                "silent for too long: {}; the watchdog is not fed, and systemd restarts this daemon",
                silent.join(", ")
            );
        }
    }
}

fn report(sent: io::Result<()>) {
    if let Err(error) = sent {
        tracing::warn!(%error, "systemd cannot be told how this daemon is ({error}); its watchdog may restart it");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(5);

    async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "never saw {what}");
            tokio::time::sleep(PERIOD).await;
        }
    }

    #[tokio::test]
    async fn the_watchdog_is_fed_until_a_loop_is_stuck_and_again_once_it_moves() {
        let heartbeats = Heartbeats::default();
        let heartbeat = heartbeats.register("claim", Duration::from_millis(200));
        let pings = Arc::new(AtomicUsize::new(0));
        let (counter, watched) = (Arc::clone(&pings), heartbeats.clone());
        let feeding = tokio::spawn(async move {
            let ping = || async { counter.fetch_add(1, Ordering::Relaxed) };
            ping_while_alive(PERIOD, &watched, ping).await;
        });

        eventually("a ping", || pings.load(Ordering::Relaxed) > 0).await;
        eventually("the stuck loop", || heartbeats.silent() == ["claim"]).await;
        let when_stuck = pings.load(Ordering::Relaxed);
        tokio::time::sleep(PERIOD * 10).await;
        // One ping may have been under way when the loop fell silent.
        assert!(pings.load(Ordering::Relaxed) <= when_stuck + 1, "pinged although stuck");

        heartbeat.beat();
        eventually("another ping", || pings.load(Ordering::Relaxed) > when_stuck + 1).await;
        feeding.abort();
    }

    #[test]
    fn during_the_drain_a_silent_loop_is_no_reason_to_be_killed() {
        let heartbeats = Heartbeats::default();
        let _ended = heartbeats.register("claim", Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(heartbeats.silent(), ["claim"]);

        heartbeats.stand_down();

        assert!(heartbeats.silent().is_empty());
    }
}
