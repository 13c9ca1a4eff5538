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
    BadRequest = 400 "bad_request" "The request cannot be read",
    MalformedJson = 400 "malformed_json" "The body is not valid JSON",
    ValidationFailed = 400 "validation_failed" "A field is invalid",
    InvalidParameter = 400 "invalid_parameter" "A parameter is invalid",
    IdempotencyKeyMissing = 400 "idempotency_key_missing" "The Idempotency-Key header is missing",
    IdempotencyKeyInvalid = 400 "idempotency_key_invalid" "The Idempotency-Key header is invalid",
    SignatureMissing = 400 "signature_missing" "The signature is missing",
    SignatureMismatch = 400 "signature_mismatch" "The signature does not match",
    SignatureOutOfTime = 400 "signature_out_of_time" "The signature was made at another time",
    Unauthenticated = 401 "unauthenticated" "You are not signed in",
    WrongCredentials = 401 "wrong_credentials" "The e-mail address or the password is wrong",
    PaymentOpen = 402 "payment_open" "A payment is open",
    PaymentDeclined = 402 "payment_declined" "The payment was declined",
    SubscriptionRequired = 402 "subscription_required" "A subscription is needed",
    AccountDisabled = 403 "account_disabled" "The account is disabled",
    CsrfRejected = 403 "csrf_rejected" "The request comes from another site",
    InstanceLimitReached = 403 "instance_limit_reached" "The server limit is reached",
    OperatorOnly = 403 "operator_only" "This is for operators",
    PasswordRequired = 403 "password_required" "The password is needed again",
    RegistrationClosed = 403 "registration_closed" "Registration is closed",
    ScopeMissing = 403 "scope_missing" "The API key lacks a scope",
    SessionRequired = 403 "session_required" "This needs a signed-in session",
    ViewIsReadOnly = 403 "view_is_read_only" "A customer's view cannot be changed by an operator",
    ViewNotBegun = 403 "view_not_begun" "The reason for looking is missing",
    FileNotFound = 404 "file_not_found" "The file or folder does not exist",
    LinkInvalid = 404 "link_invalid" "The link does not work any more",
    NotFound = 404 "not_found" "Not found",
    MethodNotAllowed = 405 "method_not_allowed" "The method is not allowed",
    BodyTimeout = 408 "body_timeout" "The request took too long to arrive",
    AgentConflict = 409 "agent_conflict" "The server cannot do this now",
    BackupLimit = 409 "backup_limit" "The backup limit is reached",
    BackupLocked = 409 "backup_locked" "The backup is locked",
    BackupNotAvailable = 409 "backup_not_available" "The backup is not available",
    CheckoutPending = 409 "checkout_pending" "A payment is on its way",
    AlreadySubscribed = 409 "already_subscribed" "There is a subscription",
    NotSubscribed = 409 "not_subscribed" "There is no subscription",
    DoesNotFit = 409 "does_not_fit" "The server's files do not fit",
    PlanChangeUnderWay = 409 "plan_change_under_way" "The plan is being changed",
    SamePlan = 409 "same_plan" "The server has this plan",
    EmailTaken = 409 "email_taken" "The e-mail address is taken",
    EmailVerified = 409 "email_verified" "The e-mail address is verified",
    FileConflict = 409 "file_conflict" "The file or folder is in the way",
    FileExists = 409 "file_exists" "The file or folder exists already",
    HostnameTaken = 409 "hostname_taken" "The hostname is taken",
    IdempotencyInProgress = 409 "idempotency_in_progress" "A request with this key is in progress",
    InstanceBusy = 409 "instance_busy" "The server is busy",
    InstanceNotActive = 409 "instance_not_active" "The server is not active",
    InstanceOnHold = 409 "instance_on_hold" "The server is on hold",
    OperationNotCancellable = 409 "operation_not_cancellable" "The operation cannot be cancelled",
    NotificationSent = 409 "notification_sent" "The notification was sent already",
    OperationNotStuck = 409 "operation_not_stuck" "The operation is not stuck",
    NotRunning = 409 "not_running" "The server is not running",
    NameTaken = 409 "name_taken" "The name is taken",
    NoCapacity = 409 "no_capacity" "No capacity is left",
    PasswordChanged = 409 "password_changed" "The password has changed meanwhile",
    TooManyApiKeys = 409 "too_many_api_keys" "The API key limit is reached",
    TooManySchedules = 409 "too_many_schedules" "The schedule limit is reached",
    UploadOffsetMismatch = 409 "upload_offset_mismatch" "The part does not follow the one before",
    VersionMismatch = 412 "version_mismatch" "It was changed meanwhile",
    BodyTooLarge = 413 "body_too_large" "The body is too large",
    FileTooLarge = 413 "file_too_large" "The file is too large",
    UnsupportedMediaType = 415 "unsupported_media_type" "The body must be application/json",
    RangeNotSatisfiable = 416 "range_not_satisfiable" "The range is not in the file",
    BillingActionRefused = 422 "billing_action_refused" "Billing does not do this",
    PlanNotSold = 422 "plan_not_sold" "The plan cannot be bought",
    EulaNotAccepted = 422 "eula_not_accepted" "The game's licence is not accepted",
    IdempotencyKeyReused = 422 "idempotency_key_reused" "The Idempotency-Key was used for another request",
    InvalidFileRequest = 422 "invalid_file_request" "The file request is invalid",
    InvalidHostname = 422 "invalid_hostname" "The hostname is invalid",
    InvalidName = 422 "invalid_name" "The name is invalid",
    InvalidSchedule = 422 "invalid_schedule" "The schedule is invalid",
    MemoryBelowMinimum = 422 "memory_below_minimum" "The memory is below the game's minimum",
    NotAWorkspace = 422 "not_a_workspace" "The server is not a workspace",
    PlanKindMismatch = 422 "plan_kind_mismatch" "The plan is for another kind of server",
    ResourcesAbovePlan = 422 "resources_above_plan" "The resources exceed the plan",
    UnknownBlueprint = 422 "unknown_blueprint" "The blueprint does not exist",
    UnknownPlan = 422 "unknown_plan" "The plan does not exist",
    UnknownVariant = 422 "unknown_variant" "The variant does not exist",
    UnknownVersion = 422 "unknown_version" "The version does not exist",
    WeakPassword = 422 "weak_password" "The password is too easy to guess",
    WrongPassword = 422 "wrong_password" "The present password is wrong",
    UpgradeRequired = 426 "upgrade_required" "A WebSocket is expected",
    IfMatchMissing = 428 "if_match_missing" "The If-Match header is missing",
    RateLimited = 429 "rate_limited" "Too many attempts",
    TooManyFileJobs = 429 "too_many_file_jobs" "Too many file jobs are running",
    TooManyRequests = 429 "too_many_requests" "Too many requests are under way",
    TooManyStreams = 429 "too_many_streams" "Too many event streams are open",
    TooManyTransfers = 429 "too_many_transfers" "Too many transfers are running",
    Internal = 500 "internal" "Something went wrong on our side",
    AgentUnreachable = 503 "agent_unreachable" "The server's machine does not answer",
    CatalogueUnavailable = 503 "catalogue_unavailable" "The list of versions is unavailable",
    DatabaseUnavailable = 503 "database_unavailable" "The service is unavailable for the moment",
    Overloaded = 503 "overloaded" "The service is busy",
    PaymentsUnavailable = 503 "payments_unavailable" "Payments are unavailable for the moment",
    RoutesConflict = 503 "routes_conflict" "Two servers would have one port at the edge",
    StorageUnavailable = 503 "storage_unavailable" "The backup storage is unavailable",
    TimedOut = 504 "timed_out" "The request took too long",
    NoSpace = 507 "no_space" "The disk is full",
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
