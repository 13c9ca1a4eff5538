//! Serving: connects to everything, starts the worker, and looks whose time has come.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use integrations::stripe::Stripe;
use runtime::{
    daemon::Context,
    periodic::Periodic,
    worker::{self, SlotLimit, WorkerSlots},
};
use store::{
    Db,
    billing::{self as rows},
    queue::QueueName,
};

use crate::{
    config::BillingConfig,
    plans::Plans,
    sync::{Syncer, Turns},
    work::Worker,
};

/// Customers that are looked at at once: Stripe takes about a hundred calls a second, and a look is a handful.
const AT_ONCE: usize = 4;
/// How often it is looked whose time has come.
const DUE: Periodic = Periodic::new("customers whose time has come", Duration::from_secs(5));
/// Customers who are taken at once.
const DUE_AT_ONCE: i64 = 100;
/// How often what a stage means is done again where it is not so.
const IN_FORCE: Periodic = Periodic::new("stages in force", Duration::from_secs(10));
/// How often room that nobody paid for is given back, and it is looked whether events are to be compared.
const HOUSEKEEPING: Periodic = Periodic::new("abandoned purchases and lost events", Duration::from_mins(1));

/// Serves until the shutdown.
pub async fn serve(context: Context, config: BillingConfig) -> anyhow::Result<()> {
    let (db, queue) = (context.database()?, context.queue(QueueName::BillingEnforcement)?);
    let stripe = config.stripe.is_on().then(|| Stripe::new(&config.stripe.url, &config.stripe.secret_key));
    let stripe = stripe.transpose().context("[stripe]")?;
    if stripe.is_none() {
        tracing::info!(
            "no stripe.secret_key: nothing is sold here, and servers are had by operators' grants only"
        );
    }
    let syncer = Syncer {
        db: db.clone(),
        stripe,
        plans: Plans::load(&config.catalogue.dir)?,
        tell: config.enforcement.tell_operators,
        turns: Turns::default(),
    };
    let sells = syncer.stripe.is_some();
    let slots = WorkerSlots::new([((), SlotLimit { at_once: AT_ONCE, under_way: AT_ONCE })]);
    worker::start(&context, db.clone(), queue, slots, Arc::new(Worker::new(syncer, context.clock())));
    watch(&context, &db, sells, i32::from(config.enforcement.backfill_hours))?;
    context.ready();
    context.shutdown().cancelled().await;
    Ok(())
}

fn watch(context: &Context, db: &Db, sells: bool, backfill_hours: i32) -> anyhow::Result<()> {
    let notifier = context.notifier(db, QueueName::BillingEnforcement)?;
    let (due_db, due_notifier) = (db.clone(), notifier.clone());
    context.spawn_periodic(DUE, move |_| {
        let (db, notifier) = (due_db.clone(), due_notifier.clone());
        async move {
            for dispatch in rows::due_customers(&db, DUE_AT_ONCE).await? {
                notifier.notify(dispatch);
            }
            Ok(())
        }
    });
    let force_db = db.clone();
    context.spawn_periodic(IN_FORCE, move |_| {
        let db = force_db.clone();
        async move {
            let servers = rows::keep_in_force(&db).await?;
            if servers > 0 {
                tracing::info!(
                    servers,
                    "{servers} servers were not as their customers' stages say, and are asked to be"
                );
            }
            Ok(())
        }
    });
    let house_db = db.clone();
    context.spawn_periodic(HOUSEKEEPING, move |_| {
        let (db, notifier) = (house_db.clone(), notifier.clone());
        async move {
            let released = rows::forget_abandoned(&db).await?;
            if released > 0 {
                tracing::info!(released, "room for {released} servers that nobody paid for is free again");
            }
            for dispatch in rows::overdue_amendments(&db).await? {
                notifier.notify(dispatch);
            }
            if sells && let Some(dispatch) = rows::request_backfill(&db, backfill_hours).await? {
                notifier.notify(dispatch);
            }
            measure(&db).await
        }
    });
    Ok(())
}

async fn measure(db: &Db) -> anyhow::Result<()> {
    let counted = rows::stages(db).await?;
    for stage in domain::enforcement::Stage::ALL {
        let n = counted.iter().find(|(name, _)| name == stage.as_str()).map_or(0, |(_, n)| *n);
        if stage.as_str() != "good_standing" {
            metrics::gauge!("zlh_billing_customers", "stage" => stage.as_str())
                .set(f64::from(i32::try_from(n).unwrap_or(i32::MAX)));
        }
    }
    let (waiting, age) = rows::unprocessed(db).await?;
    metrics::gauge!("zlh_stripe_events_unprocessed")
        .set(f64::from(i32::try_from(waiting).unwrap_or(i32::MAX)));
    metrics::gauge!("zlh_stripe_events_unprocessed_age_seconds").set(age);
    let problem = rows::status(db).await?.endpoint_problem.is_some();
    metrics::gauge!("zlh_stripe_endpoint_disabled").set(if problem { 1.0 } else { 0.0 });
    Ok(())
}
