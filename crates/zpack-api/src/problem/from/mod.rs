//! How the errors of the layers below are told to a client.

mod agent;

use domain::{
    backup::BackupRefusal,
    enforcement::{Gate, Stage},
};
use store::{
    StoreError,
    accounts::{api_keys::CreateApiKeyError, customers::CreateCustomerError},
    backups::RequestError,
    instances::CreateError,
    schedules::CreateScheduleError,
};

use super::{Code, Problem};
use crate::{
    catalogue::OrderError,
    password::{HashError, PasswordError},
};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if !error.is_unavailable() {
            return Self::internal(&error);
        }
        let cause = integrations::chain(&error);
        tracing::warn!(error = cause, "a request was refused, since the database does not answer: {cause}");
        let detail = "The database does not answer. Nothing was changed; try again in a moment.";
        Self::new(Code::DatabaseUnavailable, detail).retry_after(2)
    }
}

impl From<&garde::Report> for Problem {
    fn from(report: &garde::Report) -> Self {
        let detail = "Some fields have values that they cannot have; see errors.";
        let problem = Self::new(Code::ValidationFailed, detail);
        report.iter().fold(problem, |problem, (path, error)| problem.field(path.to_string(), error.message()))
    }
}

impl Problem {
    /// Why the password in this field cannot be chosen.
    pub fn password(field: &'static str, why: PasswordError) -> Self {
        let code = match why {
            PasswordError::Length => Code::ValidationFailed,
            PasswordError::Address | PasswordError::Common => Code::WeakPassword,
        };
        Self::new(code, format!("Nothing was done: {why}.")).field(field, why.to_string())
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => {
                let detail =
                    "Too many people are signing in at present. Nothing was done; try again in a moment.";
                Self::new(Code::Overloaded, detail).retry_after(1)
            }
            HashError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<CreateCustomerError> for Problem {
    fn from(error: CreateCustomerError) -> Self {
        match error {
            CreateCustomerError::EmailTaken => {
                Self::new(Code::EmailTaken, "Sign in instead, or use another address.")
            }
            CreateCustomerError::Store(error) => error.into(),
        }
    }
}

impl From<CreateApiKeyError> for Problem {
    fn from(error: CreateApiKeyError) -> Self {
        match error {
            CreateApiKeyError::TooMany => {
                Self::new(Code::TooManyApiKeys, "Revoke one that is not used any more.")
            }
            CreateApiKeyError::Store(error) => error.into(),
        }
    }
}

impl From<CreateScheduleError> for Problem {
    fn from(error: CreateScheduleError) -> Self {
        match error {
            CreateScheduleError::TooMany(most) => {
                let detail =
                    format!("Nothing was made: a server has at most {most}. Remove or change another.");
                Self::new(Code::TooManySchedules, detail)
            }
            CreateScheduleError::NoInstance => {
                Self::new(Code::InstanceNotActive, "Nothing was made: the server is being deleted.")
            }
            CreateScheduleError::Store(error) => error.into(),
        }
    }
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        let (code, field) = match &error {
            OrderError::Name(_) => (Code::InvalidName, "name"),
            OrderError::Hostname(_) => (Code::InvalidHostname, "hostname"),
            OrderError::UnknownBlueprint(_) => (Code::UnknownBlueprint, "blueprint"),
            OrderError::UnknownVariant(_) => (Code::UnknownVariant, "variant"),
            OrderError::UnknownVersion(_) | OrderError::NoVersions => (Code::UnknownVersion, "version"),
            OrderError::UnknownPlan(_) => (Code::UnknownPlan, "plan"),
            OrderError::PlanKind(_) => (Code::PlanKindMismatch, "plan"),
            OrderError::AbovePlan(_) => (Code::ResourcesAbovePlan, "resources"),
            OrderError::TooLittleMemory(_) => (Code::MemoryBelowMinimum, "resources.memory_mib"),
            OrderError::Eula { .. } => (Code::EulaNotAccepted, "accept_eula"),
            OrderError::Artifacts(source) => {
                tracing::warn!(error = %source, "a create was refused, since the versions cannot be read: {source}");
                let detail =
                    "The list of versions cannot be read at present. Nothing was created; try again later.";
                return Self::new(Code::CatalogueUnavailable, detail).retry_after(10);
            }
        };
        let detail = error.to_string();
        Self::new(code, format!("Nothing was created: {detail}.")).field(field, detail)
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        let code = match error {
            CreateError::KeyReused => Code::IdempotencyKeyReused,
            CreateError::KeyInProgress => {
                let detail = "Another request with this key is being written. Try again with the same key.";
                return Self::new(Code::IdempotencyInProgress, detail).retry_after(1);
            }
            CreateError::LimitReached(_) => Code::InstanceLimitReached,
            CreateError::NotEntitled => {
                let detail = "Nothing was created: your subscription and what was granted to you have no room for another \
                              server of this plan. Choose a plan on the billing page first.";
                return Self::new(Code::SubscriptionRequired, detail);
            }
            // Between the gate's look and the write.
            CreateError::PaymentOpen => return Self::payment_open(Stage::FinalWarning, Gate::NewInstances),
            CreateError::NameTaken => Code::NameTaken,
            CreateError::HostnameTaken => Code::HostnameTaken,
            CreateError::NoCapacity => Code::NoCapacity,
            CreateError::NoAccount => Code::AccountDisabled,
            CreateError::Store(error) => return error.into(),
        };
        Self::new(code, format!("Nothing was created: {error}."))
    }
}

impl From<BackupRefusal> for Problem {
    fn from(refusal: BackupRefusal) -> Self {
        let (code, what_to_do) = match refusal {
            BackupRefusal::NotActive(_) => (Code::InstanceNotActive, ""),
            BackupRefusal::OnHold(_) => (Code::InstanceOnHold, ""),
            BackupRefusal::Busy(_) => (Code::InstanceBusy, " Try again when it has ended."),
            BackupRefusal::LimitReached(_) => (Code::BackupLimit, " Unlock or delete one."),
            BackupRefusal::NotAvailable(_) => (Code::BackupNotAvailable, ""),
            BackupRefusal::Locked => (Code::BackupLocked, " Unlock it first."),
        };
        Self::new(code, format!("Nothing was changed: {refusal}.{what_to_do}"))
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(refusal) => refusal.into(),
            RequestError::Absent => Self::not_found(),
            RequestError::KeyReused => {
                Self::new(Code::IdempotencyKeyReused, format!("Nothing was changed: {error}."))
            }
            RequestError::KeyInProgress => {
                let detail = "Another request with this key is being written. Try again with the same key.";
                Self::new(Code::IdempotencyInProgress, detail).retry_after(1)
            }
            RequestError::Store(error) => error.into(),
        }
    }
}
