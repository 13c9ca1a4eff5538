//! What clients see: the API's own shapes, so that a change inside does not change what clients rely on.
//!
//! Nothing here has a node, an agent's port or address, or a fingerprint: the browser never learns them.

mod account;
mod activity;
mod backup;
mod billing;
mod catalogue;
mod console;
mod drift;
mod file;
mod instance;
mod load;
mod notification;
mod operation;
mod operator;
mod plan_change;
mod reason;
mod schedule;
pub mod schema;
mod status;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use account::{ApiKeyView, MeView, NewApiKeyView, SessionView};
pub use activity::{ActivityView, ActorView};
pub use backup::{BackupAcceptedView, BackupView};
pub use billing::{BillingView, CheckoutView, OperatorBillingDetailView, OperatorBillingView};
pub use catalogue::{BlueprintView, HostnameView, PlanView, VariantView};
pub use console::{ConsoleEntryView, ConsoleHistoryView, GapView};
pub use drift::{ControllerView, FindingView, IncidentView, RepairEventView};
pub use file::{FileJobView, FileUploadView, FileView, FilesUsageView, FolderView};
pub use instance::{InstanceView, ResourcesView};
pub use load::{LoadSampleView, LoadView, PlayersView};
pub use notification::{ChannelView, NotificationView, RequestedMailView};
pub use operation::{OperationDetailView, OperationView, OperatorOperationDetailView, OperatorOperationView};
pub use operator::{NodeView, OperatorCustomerView, OperatorInstanceView};
pub use plan_change::PlanChangeView;
pub use reason::ReasonView;
pub use schedule::{ScheduleRunView, ScheduleView, TimetableView};
pub use schema::{api_scopes, schedule_action};
pub use status::{InstanceStatusView, StatusView};

/// A page of a list that begins with the newest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub struct PageView<T: ToSchema> {
    /// The entries.
    pub items: Vec<T>,
    /// `cursor` of the next page; null on the last.
    #[schema(required)]
    pub next_cursor: Option<Uuid>,
}

impl<T: ToSchema> PageView<T> {
    /// A page as the store gives it.
    pub fn of<U: Into<T>>((items, next_cursor): (Vec<U>, Option<Uuid>)) -> Self {
        Self { items: items.into_iter().map(Into::into).collect(), next_cursor }
    }
}

/// An instance and the operation that works on it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Accepted)]
pub struct AcceptedView {
    /// As it is now; null once it is deleted.
    #[schema(required)]
    pub instance: Option<InstanceView>,
    /// To be polled at its `Location`, or watched on the event stream.
    pub operation: OperationView,
}
