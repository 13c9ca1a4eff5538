//! What the API does unasked, each as a periodic task.

use std::time::Duration;

use runtime::{daemon::Context, periodic::Periodic};

use crate::{app::App, console, ide};

/// A stream ends at most this much, and the look's own time, after its session or key.
const STREAM_SESSIONS: Periodic = Periodic::new("sessions of event streams", Duration::from_secs(3));

/// A console's socket ends at most this much, and the look's own time, after its right to be there.
const CONSOLE_RIGHTS: Periodic = Periodic::new("rights of consoles", Duration::from_secs(2));

/// How often power requests are looked for that are due, and servers in a state that passes.
const POWER: Periodic = Periodic::new("power", Duration::from_secs(2));

/// After so many of these looks, all servers are looked at.
const ALL_POWER_EVERY: u32 = 10;

/// How often workspaces are looked for that nobody uses.
const IDLE_WORKSPACES: Periodic = Periodic::new("idle workspaces", Duration::from_mins(1));

/// How often changes of plans are looked for that do not wait for anybody else.
const PLAN_CHANGES: Periodic = Periodic::new("changes of plans", Duration::from_secs(2));

/// How often tickets, cookies and idempotency keys past their time are dropped.
const EXPIRED: Periodic = Periodic::new("expired keys and tickets", Duration::from_hours(1));

/// Starts all of them.
pub fn start(context: &Context, app: &App) {
    watch_rights(context, app);
    watch_power(context, app);
    let changes = app.plan_changes();
    context.spawn_periodic(PLAN_CHANGES, move |_| {
        let changes = changes.clone();
        async move { Ok(changes.bring_all_on().await?) }
    });
    let (db, clock) = (app.db.clone(), app.clock.clone());
    context.spawn_periodic(EXPIRED, move |_| {
        let (db, now) = (db.clone(), clock.now());
        async move {
            store::instances::forget_old_keys(&db, now).await?;
            store::notes::forget_gone(&db).await?;
            Ok(store::ide::forget_expired(&db, now).await?)
        }
    });
}

fn watch_rights(context: &Context, app: &App) {
    let (credentials, hub) = (app.credentials.clone(), app.events.clone());
    context.spawn_periodic(STREAM_SESSIONS, move |_| {
        let (credentials, hub) = (credentials.clone(), hub.clone());
        async move { Ok(credentials.end_expired(&hub).await?) }
    });
    let (db, consoles, credentials) = (app.db.clone(), app.consoles.clone(), app.credentials.clone());
    context.spawn_periodic(CONSOLE_RIGHTS, move |_| {
        let (db, consoles, credentials) = (db.clone(), consoles.clone(), credentials.clone());
        async move { Ok(console::end_forbidden(&db, &consoles, &credentials).await?) }
    });
}

fn watch_power(context: &Context, app: &App) {
    let (watch, mut looks) = (app.watch(), 0_u32);
    context.spawn_periodic(POWER, move |activation| {
        looks = looks.wrapping_add(1);
        let (watch, all) = (watch.clone(), looks.is_multiple_of(ALL_POWER_EVERY));
        async move {
            watch.deliver_due().await?;
            Ok(watch.look(all, || activation.beat()).await?)
        }
    });
    let Some(idle_after) = app.ide.idle_after() else { return };
    let (db, clock, power) = (app.db.clone(), app.clock.clone(), app.power.clone());
    context.spawn_periodic(IDLE_WORKSPACES, move |_| {
        let (db, power, now) = (db.clone(), power.clone(), clock.now());
        async move { Ok(ide::stop_idle(&db, &power, idle_after, now).await?) }
    });
}
