//! Every problem that the API can answer with: a stable code, its status and what it means.

use axum::http::StatusCode;

macro_rules! codes {
    ($($variant:ident = $status:literal $code:literal $title:literal,)+) => {
        /// A stable code of a problem. Clients decide by it; titles may be reworded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $(#[doc = $title] $variant),+ }

        impl Code {
            /// Every code, by status.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As it is written in a problem.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// In a few words, the same each time.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// The status it is answered with.
            pub fn status(self) -> StatusCode {
                let number: u16 = match self { $(Self::$variant => $status),+ };
                StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    };
}

// 400: the request does not match the API's description. 422: it does, and names something that cannot be.
codes! {
    BadRequest = 400 "bad_request" "The request cannot be understood",
    MalformedJson = 400 "malformed_json" "The body is not the JSON that is expected",
    ValidationFailed = 400 "validation_failed" "A field has a value that it cannot have",
    InvalidParameter = 400 "invalid_parameter" "A parameter has a value that it cannot have",
    IdempotencyKeyMissing = 400 "idempotency_key_missing" "This request needs an Idempotency-Key header",
    IdempotencyKeyInvalid = 400 "idempotency_key_invalid" "The Idempotency-Key header is not usable",
    Unauthenticated = 401 "unauthenticated" "Sign in, or send an API key",
    WrongCredentials = 401 "wrong_credentials" "The e-mail address or the password is wrong",
    AccountDisabled = 403 "account_disabled" "This account is disabled",
    CsrfRejected = 403 "csrf_rejected" "The request does not come from this site",
    InstanceLimitReached = 403 "instance_limit_reached" "The account has as many servers as it may",
    OperatorOnly = 403 "operator_only" "Only operators may do this",
    RegistrationClosed = 403 "registration_closed" "Accounts are made by the operator here",
    ScopeMissing = 403 "scope_missing" "This API key may not do this",
    SessionRequired = 403 "session_required" "This needs a signed-in session; API keys may not do it",
    FileNotFound = 404 "file_not_found" "There is no such file or folder",
    NotFound = 404 "not_found" "There is no such thing",
    MethodNotAllowed = 405 "method_not_allowed" "This cannot be done here",
    BodyTimeout = 408 "body_timeout" "The request's body did not arrive in time",
    AgentConflict = 409 "agent_conflict" "The server cannot do this in its present state",
    BackupLimit = 409 "backup_limit" "The plan keeps no further backup",
    BackupLocked = 409 "backup_locked" "The backup is locked",
    BackupNotAvailable = 409 "backup_not_available" "The backup is not complete, or being removed",
    EmailTaken = 409 "email_taken" "This e-mail address has an account already",
    FileConflict = 409 "file_conflict" "The file or folder is not in a state for this",
    FileExists = 409 "file_exists" "There is something of this name already",
    HostnameTaken = 409 "hostname_taken" "This hostname is taken",
    IdempotencyInProgress = 409 "idempotency_in_progress" "A request with this key is under way",
    InstanceBusy = 409 "instance_busy" "An operation on this server is under way",
    InstanceNotActive = 409 "instance_not_active" "The server is not active",
    InstanceOnHold = 409 "instance_on_hold" "The server is on hold",
    NotRunning = 409 "not_running" "The server is not running",
    NameTaken = 409 "name_taken" "One of your servers has this name",
    NoCapacity = 409 "no_capacity" "There is no room for this server at present",
    PasswordChanged = 409 "password_changed" "The password was changed by another request",
    TooManyApiKeys = 409 "too_many_api_keys" "The account has as many API keys as it may",
    TooManySchedules = 409 "too_many_schedules" "The server has as many schedules as it may",
    VersionMismatch = 412 "version_mismatch" "It was changed since you read it",
    BodyTooLarge = 413 "body_too_large" "The body is too large",
    FileTooLarge = 413 "file_too_large" "The file is too large for this",
    UnsupportedMediaType = 415 "unsupported_media_type" "The body must be application/json",
    RangeNotSatisfiable = 416 "range_not_satisfiable" "The file has no such range",
    EulaNotAccepted = 422 "eula_not_accepted" "The game's licence must be accepted",
    IdempotencyKeyReused = 422 "idempotency_key_reused" "This Idempotency-Key was used with another body",
    InvalidFileRequest = 422 "invalid_file_request" "This cannot be done with files",
    InvalidHostname = 422 "invalid_hostname" "This hostname is not possible",
    InvalidName = 422 "invalid_name" "This name is not possible",
    InvalidSchedule = 422 "invalid_schedule" "This schedule is not possible",
    MemoryBelowMinimum = 422 "memory_below_minimum" "The game needs more memory",
    NotAWorkspace = 422 "not_a_workspace" "This is not a development workspace",
    PlanKindMismatch = 422 "plan_kind_mismatch" "This plan is for another kind of server",
    ResourcesAbovePlan = 422 "resources_above_plan" "The plan allows less",
    UnknownBlueprint = 422 "unknown_blueprint" "There is no such blueprint",
    UnknownPlan = 422 "unknown_plan" "There is no such plan",
    UnknownVariant = 422 "unknown_variant" "The blueprint has no such variant",
    UnknownVersion = 422 "unknown_version" "The variant has no such version",
    WeakPassword = 422 "weak_password" "This password is too easy to guess",
    WrongPassword = 422 "wrong_password" "The present password is wrong",
    UpgradeRequired = 426 "upgrade_required" "This is a WebSocket",
    IfMatchMissing = 428 "if_match_missing" "This request needs an If-Match header",
    RateLimited = 429 "rate_limited" "Too many attempts",
    TooManyFileJobs = 429 "too_many_file_jobs" "The server has as many file jobs under way as it may",
    TooManyStreams = 429 "too_many_streams" "The account has as many event streams open as it may",
    TooManyTransfers = 429 "too_many_transfers" "The account has as many transfers under way as it may",
    Internal = 500 "internal" "Something went wrong on our side",
    AgentUnreachable = 503 "agent_unreachable" "The server's machine does not answer",
    CatalogueUnavailable = 503 "catalogue_unavailable" "The list of versions cannot be read at present",
    DatabaseUnavailable = 503 "database_unavailable" "The database does not answer",
    Overloaded = 503 "overloaded" "Too much to do at present",
    StorageUnavailable = 503 "storage_unavailable" "The backup storage does not answer",
    TimedOut = 504 "timed_out" "The request took too long",
    NoSpace = 507 "no_space" "The server's disk space does not suffice",
}

impl Code {
    /// The general code of a status that something below us answered without a problem.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthenticated,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            408 => Self::BodyTimeout,
            413 => Self::BodyTooLarge,
            415 => Self::UnsupportedMediaType,
            504 => Self::TimedOut,
            400..=499 => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_unique_and_an_error() {
        for (n, code) in Code::ALL.iter().enumerate() {
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
            assert!(Code::ALL.iter().skip(n + 1).all(|other| other.as_str() != code.as_str()), "{code:?}");
        }
    }
}
