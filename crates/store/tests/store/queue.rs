//! The queue as a signal: received quickly, and nothing lost with it.

use std::{sync::Arc, time::Duration};

use domain::ids::OperationId;
use store::{
    events::{Event, Listener, Received},
    instances::Created,
    queue::{Consumer, Notifier, Queue, QueueName},
    testing::{REDIS_ENV, required},
};
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use crate::fixture::Fixture;

const PATIENCE: Duration = Duration::from_secs(20);

struct Rig {
    f: Fixture,
    queue: Queue<OperationId>,
    received: mpsc::UnboundedReceiver<OperationId>,
    prefix: String,
    _consumer: tokio::task::JoinHandle<()>,
}

async fn rig() -> Rig {
    let f = Fixture::new().await;
    let prefix = format!("test-{}", Uuid::now_v7());
    let queue = Queue::new(&required(REDIS_ENV).into(), &prefix, QueueName::Provisioning).unwrap();
    let (tell, received) = mpsc::unbounded_channel();
    let on_job = move |id| -> futures_util::future::BoxFuture<'static, ()> {
        let tell = tell.clone();
        Box::pin(async move { tell.send(id).unwrap_or_default() })
    };
    let consumer = Consumer::new(f.worker.clone(), queue.clone(), "test", Arc::new(on_job));
    let consumer = tokio::spawn(consumer.run());
    Rig { f, queue, received, prefix, _consumer: consumer }
}

#[tokio::test]
async fn a_worker_receives_what_was_dispatched_and_the_customer_is_told() {
    let mut rig = rig().await;
    let mut listener = Listener::connect(&rig.f.api).await.unwrap();
    let notifier = Notifier::start(rig.f.api.clone(), rig.queue.clone());
    let (instance, operation, created) = rig.f.create(|_| {}).await;
    let Ok(Created::New(dispatch)) = created else { panic!("{created:?}") };
    assert_eq!(notifier.notify(dispatch), operation);
    assert_eq!(timeout(PATIENCE, rig.received.recv()).await.unwrap(), Some(operation));
    let event = Event::of_operation(rig.f.customer, instance, operation);
    assert_eq!(timeout(PATIENCE, listener.next()).await.unwrap().unwrap(), Received::Event(event));
}

#[tokio::test]
async fn a_consumer_goes_on_after_redis_forgot_everything() {
    let mut rig = rig().await;
    let (_, first, _) = rig.f.create(|_| {}).await;
    rig.queue.push(&[first]).await.unwrap();
    assert_eq!(timeout(PATIENCE, rig.received.recv()).await.unwrap(), Some(first));
    forget(&rig.prefix).await;
    let (_, second, _) = rig.f.create(|_| {}).await;
    rig.queue.push(&[second]).await.unwrap();
    assert_eq!(timeout(PATIENCE, rig.received.recv()).await.unwrap(), Some(second));
}

/// What FLUSHALL does, for the keys of one test.
async fn forget(prefix: &str) {
    let client = redis::Client::open(required(REDIS_ENV)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> =
        redis::cmd("KEYS").arg(format!("{prefix}:*")).query_async(&mut connection).await.unwrap();
    assert!(!keys.is_empty());
    redis::cmd("DEL").arg(keys).query_async::<()>(&mut connection).await.unwrap();
}

#[tokio::test]
async fn finished_jobs_do_not_pile_up() {
    let mut rig = rig().await;
    for _ in 0..3 {
        let (_, id, _) = rig.f.create(|_| {}).await;
        rig.queue.push(&[id]).await.unwrap();
        timeout(PATIENCE, rig.received.recv()).await.unwrap();
    }
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        rig.queue.sweep_finished().await.unwrap();
        let client = redis::Client::open(required(REDIS_ENV)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let key = format!("{}:provisioning:data", rig.prefix);
        let left: i64 = redis::cmd("HLEN").arg(key).query_async(&mut connection).await.unwrap();
        if left == 0 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{left} finished jobs are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.queue.depth().await.unwrap(), 0);
}

#[tokio::test]
async fn a_job_is_an_id_and_nothing_else() {
    let rig = rig().await;
    let repairs = Queue::new(&required(REDIS_ENV).into(), &rig.prefix, QueueName::Repair).unwrap();
    let id = OperationId::generate();
    repairs.push(&[id]).await.unwrap();
    let client = redis::Client::open(required(REDIS_ENV)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("{}:repair:data", rig.prefix);
    let jobs: Vec<String> = redis::cmd("HVALS").arg(key).query_async(&mut connection).await.unwrap();
    assert_eq!(jobs, [format!("\"{id}\"")]);
}
