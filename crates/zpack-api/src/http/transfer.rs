//! Bodies that are not held whole: how many may be on their way, and how long one may stand still.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::body::{Body, BodyDataStream, Bytes};
use domain::ids::CustomerId;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use crate::{
    config::FilesSection,
    problem::{Code, Problem},
    share::{Share, Shares},
};

/// How long a client may send nothing of a body that has not ended.
const IDLE: Duration = Duration::from_secs(30);
/// What is still taken of a body that was refused, and for how long: a client that gets its connection cut off while it
/// sends does not see the answer.
const DRAIN: (usize, Duration) = (8 << 20, Duration::from_secs(5));

/// The places for transfers. Clones share them.
#[derive(Clone, Debug)]
pub struct Transfers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    permits: Arc<Semaphore>,
    by_customer: Shares<CustomerId>,
}

/// One transfer's place; dropping it frees it.
#[derive(Debug)]
pub struct Transfer {
    _permit: OwnedSemaphorePermit,
    _share: Share<CustomerId>,
}

impl Transfers {
    /// As configured.
    pub fn new(section: &FilesSection) -> Self {
        Self(Arc::new(Inner {
            permits: Arc::new(Semaphore::new(section.max_transfers as usize)),
            by_customer: Shares::new(section.transfers_per_customer as usize),
        }))
    }

    /// How many there are.
    pub fn under_way(&self) -> usize {
        self.0.by_customer.total()
    }

    /// A place for a customer's transfer.
    pub fn begin(&self, customer: CustomerId) -> Result<Transfer, Problem> {
        let share = self.0.by_customer.take(customer).ok_or_else(|| {
            let detail = format!(
                "An account may have {} transfers at the same time. Nothing was done; wait for one to end.",
                self.0.by_customer.most()
            );
            Problem::new(Code::TooManyTransfers, detail).retry_after(5)
        })?;
        let permit = self.0.permits.clone().try_acquire_owned().map_err(|_| {
            let detail = "There are too many transfers at present. Nothing was done; try again in a moment.";
            Problem::new(Code::Overloaded, detail).retry_after(5)
        })?;
        metrics::gauge!("zlh_transfers").increment(1);
        Ok(Transfer { _permit: permit, _share: share })
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        metrics::gauge!("zlh_transfers").decrement(1);
    }
}

/// An answer's body that keeps its place until its end.
pub fn outgoing(bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static, transfer: Transfer) -> Body {
    Body::from_stream(bytes.map(move |chunk| {
        let _ = &transfer;
        chunk
    }))
}

/// Why a request's body did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The client sent nothing for too long.
    Idle,
    /// The connection broke.
    Broken,
}

/// A request's body as a stream that ends with an error when it stands still. The other half tells what happened, and
/// gives the body back for as long as it was not read to its end.
pub fn incoming(body: Body) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Incoming) {
    let (cut, (give_back, returned)) = (Arc::new(OnceLock::new()), oneshot::channel());
    let rest = Rest { body: Some(body.into_data_stream()), cut: cut.clone(), give_back: Some(give_back) };
    let bytes = stream::unfold(rest, |mut rest| async move {
        let next = timeout(IDLE, rest.body.as_mut()?.next()).await;
        let (chunk, cut) = match next {
            Ok(None) => return None,
            Ok(Some(Ok(chunk))) => return Some((Ok(chunk), rest)),
            Ok(Some(Err(error))) => (io::Error::other(error), Cut::Broken),
            Err(_) => (io::ErrorKind::TimedOut.into(), Cut::Idle),
        };
        rest.body = None;
        let _ = rest.cut.set(cut);
        Some((Err(chunk), rest))
    });
    (bytes, Incoming { cut, returned })
}

struct Rest {
    body: Option<BodyDataStream>,
    cut: Arc<OnceLock<Cut>>,
    give_back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let (Some(body), Some(give_back)) = (self.body.take(), self.give_back.take()) {
            // Nobody may want it any more.
            let _ = give_back.send(body);
        }
    }
}

/// What became of a request's body.
pub struct Incoming {
    cut: Arc<OnceLock<Cut>>,
    returned: oneshot::Receiver<BodyDataStream>,
}

impl Incoming {
    /// Why it broke off, if it did.
    pub fn cut(&self) -> Option<Cut> {
        self.cut.get().copied()
    }

    /// Takes the rest of a body that nobody wants, up to a bound, so that the client reads its answer.
    pub async fn drain(self) {
        let take = async {
            // It comes back when whoever read it lets go of it.
            let Ok(mut body) = self.returned.await else { return };
            let mut taken = 0;
            while let Some(Ok(chunk)) = body.next().await {
                taken += chunk.len();
                if taken > DRAIN.0 {
                    break;
                }
            }
        };
        let _ = timeout(DRAIN.1, take).await;
    }
}
