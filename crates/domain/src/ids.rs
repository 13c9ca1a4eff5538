//! Identifiers: UUIDv7 newtypes, so that an instance's id is never passed where a customer's is meant.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, ordered by creation time (RFC 9562, version 7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// An account: somebody who owns instances, or an operator.
    CustomerId
);
id!(
    /// A customer's server; also the mark on every external object that belongs to it.
    InstanceId
);
id!(
    /// A durable, pollable piece of work on an instance.
    OperationId
);
id!(
    /// A difference between what should be and what is.
    FindingId
);
id!(
    /// A repair that the controller has asked for.
    RepairId
);
id!(
    /// A machine of an engine.
    NodeId
);
id!(
    /// A signed-in browser or client.
    SessionId
);
id!(
    /// A key for scripts.
    ApiKeyId
);
id!(
    /// A copy of an instance's files.
    BackupId
);
id!(
    /// Something that is done to an instance at set times.
    ScheduleId
);
id!(
    /// Work for billing-worker.
    BillingTaskId
);
id!(
    /// A purchase under way.
    CheckoutId
);
id!(
    /// A change of a server's plan.
    PlanChangeId
);
id!(
    /// Servers that an operator lets a customer have.
    GrantId
);
