//! What the API does unasked, each as a periodic task.

use std::time::Duration;

use runtime::{daemon::Context, periodic::Periodic};

use crate::{app::App, console, events, ide, watch};

/// A stream ends at most this much, and the look's own time, after its session or key.
const STREAM_SESSIONS: Periodic = Periodic::new("sessions of event streams", Duration::from_secs(3));

/// A console's socket ends at most this much, and the look's own time, after its right to be there.
const CONSOLE_RIGHTS: Periodic = Periodic::new("rights of consoles", Duration::from_secs(2));

/// How often servers are looked at that have a power request to deliver, or are in a state that passes.
const POWER: Periodic = Periodic::new("power", Duration::from_secs(2));

/// After so many of these looks, all servers are looked at.
const ALL_POWER_EVERY: u32 = 10;

/// How often workspaces are looked for that nobody uses.
const IDLE_WORKSPACES: Periodic = Periodic::new("idle workspaces", Duration::from_mins(1));

/// How often tickets, cookies and idempotency keys past their time are dropped.
const EXPIRED: Periodic = Periodic::new("expired keys and tickets", Duration::from_hours(1));

/// Starts all of them.
pub fn start(context: &Context, app: &App) {
    let on = app.clone();
    context.spawn_periodic(STREAM_SESSIONS, move |_| {
        let app = on.clone();
        async move { Ok(events::end_expired(&app).await?) }
    });
    let on = app.clone();
    context.spawn_periodic(CONSOLE_RIGHTS, move |_| {
        let app = on.clone();
        async move { Ok(console::end_forbidden(&app).await?) }
    });
    let (on, mut looks) = (app.clone(), 0_u32);
    context.spawn_periodic(POWER, move |activation| {
        looks = looks.wrapping_add(1);
        let (app, unsettled_only) = (on.clone(), !looks.is_multiple_of(ALL_POWER_EVERY));
        async move { Ok(watch::look(&app, unsettled_only, || activation.beat()).await?) }
    });
    let on = app.clone();
    context.spawn_periodic(IDLE_WORKSPACES, move |_| {
        let app = on.clone();
        async move { Ok(ide::stop_idle(&app).await?) }
    });
    let on = app.clone();
    context.spawn_periodic(EXPIRED, move |_| {
        let app = on.clone();
        async move {
            let now = app.clock.now();
            store::instances::forget_old_keys(&app.db, now).await?;
            Ok(store::ide::forget_expired(&app.db, now).await?)
        }
    });
}
