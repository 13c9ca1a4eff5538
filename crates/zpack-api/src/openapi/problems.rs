//! Which problems each operation can answer with. What follows from an operation's description (its parameters, its
//! body, who may call it) is worked out; the rest is listed here, by operation id. Every test of the API that meets a
//! problem compares it with this.

use std::collections::BTreeMap;

use utoipa::openapi::{
    Content, Ref, RefOr, Response, ResponseBuilder, extensions::ExtensionsBuilder, path::Operation,
};

use crate::problem::Code;

macro_rules! codes {
    ($($code:ident),+ $(,)?) => { &[$(Code::$code),+] };
}

/// Where a response lists its codes.
const CODES: &str = "x-problem-codes";

/// What every request can be answered with.
const ANY: &[Code] = codes![Internal, Overloaded, TooManyRequests, DatabaseUnavailable, TimedOut, BadRequest];

const SIGNED_IN: &[Code] = codes![Unauthenticated, AccountDisabled];
/// What an operator who looks at a customer's pages is answered as well.
const VIEWED: &[Code] = codes![OperatorOnly, ViewIsReadOnly, ViewNotBegun];
const BODY: &[Code] =
    codes![UnsupportedMediaType, BodyTooLarge, BodyTimeout, MalformedJson, ValidationFailed];
const IDEMPOTENT: &[Code] =
    codes![IdempotencyKeyMissing, IdempotencyKeyInvalid, IdempotencyKeyReused, IdempotencyInProgress];
const VERSIONED: &[Code] = codes![IfMatchMissing, VersionMismatch];

/// What an instance's state forbids.
const REFUSED: &[Code] = codes![InstanceNotActive, InstanceOnHold, InstanceBusy];
/// What an open payment blocks.
const PAID: &[Code] = codes![PaymentOpen];
/// What Stripe answers, or does not.
const STRIPE: &[Code] = codes![PaymentsUnavailable];
/// What is not done with files. The agent's refusals are one set for all that it does with them.
const FILES: &[Code] = codes![
    InstanceNotActive,
    InstanceOnHold,
    AgentUnreachable,
    FileNotFound,
    FileConflict,
    FileExists,
    VersionMismatch,
    FileTooLarge,
    RangeNotSatisfiable,
    TooManyFileJobs,
    NoSpace,
    InvalidFileRequest,
    BodyTimeout,
];
const TRANSFER: &[Code] = codes![TooManyTransfers];
const SCHEDULE: &[Code] = codes![InvalidSchedule];

/// What the operation adds to what follows from its description. `None` if it is not listed: it has to be, if only to
/// say that there is nothing.
#[expect(clippy::match_same_arms, reason = "the operations stand by subject")]
fn of(operation_id: &str) -> Option<Vec<&'static [Code]>> {
    Some(match operation_id {
        "getAccount" | "logout" | "listApiKeys" | "revokeApiKey" | "listSessions" | "endSession"
        | "listBlueprints" | "listPlans" | "checkHostname" => {
            vec![]
        }
        "register" => vec![codes![RegistrationClosed, RateLimited, EmailTaken, WeakPassword]],
        "login" => vec![codes![WrongCredentials, AccountDisabled, RateLimited]],
        "changePassword" => vec![codes![WrongPassword, WeakPassword, PasswordChanged, RateLimited]],
        "requestPasswordReset" => vec![codes![RateLimited]],
        "resetPassword" => vec![codes![LinkInvalid, WeakPassword, RateLimited]],
        "requestVerification" => vec![codes![EmailVerified, RateLimited]],
        "verifyEmail" => vec![codes![LinkInvalid, RateLimited]],
        "createApiKey" => vec![codes![TooManyApiKeys, PasswordRequired, WrongPassword, RateLimited]],
        "listInstances"
        | "getInstance"
        | "getInstanceLoad"
        | "listInstanceActivity"
        | "listOperations"
        | "getOperation" => vec![],
        "listNodes" | "listAllOperations" | "getAnyOperation" | "listAllInstances" | "listCustomers"
        | "viewCustomer" | "getController" | "setControllerMode" | "pauseController" | "lookNow"
        | "listIncidents" | "listFindings" | "listRepairEvents" | "listNotifications" | "listChannels"
        | "sendTestMail" | "listEnforcement" | "getEnforcement" | "extendPayment" | "exemptPayment"
        | "revokeGrant" => {
            vec![codes![OperatorOnly]]
        }
        "retryNotification" => vec![codes![OperatorOnly, NotificationSent]],
        "grantServers" => vec![codes![OperatorOnly, UnknownPlan]],
        "placeHold" | "liftHold" | "requestBillingAction" => vec![codes![OperatorOnly, BillingActionRefused]],
        "getBilling" => vec![],
        "getAccountNote" | "listAccountNoteVersions" | "getInstanceNote" | "listInstanceNoteVersions" => {
            vec![]
        }
        "writeAccountNote" | "writeInstanceNote" => vec![],
        "changePlan" => vec![
            PAID,
            STRIPE,
            codes![PaymentDeclined, SubscriptionRequired, CheckoutPending, NoCapacity, InstanceNotActive],
            codes![PlanChangeUnderWay, SamePlan, DoesNotFit],
            codes![UnknownPlan, PlanKindMismatch, MemoryBelowMinimum, PlanNotSold],
        ],
        "getPlanChange" => vec![],
        "checkOut" => vec![
            STRIPE,
            PAID,
            codes![SubscriptionRequired],
            codes![PaymentDeclined, CheckoutPending, AlreadySubscribed, UnknownPlan, PlanNotSold, NoCapacity],
        ],
        "openBillingPortal" => vec![STRIPE, codes![PaymentDeclined, NotSubscribed, PlanNotSold]],
        "resumeOperation" => vec![codes![OperatorOnly, OperationNotStuck]],
        "createInstance" => vec![
            codes![PaymentOpen, SubscriptionRequired],
            codes![InstanceLimitReached, NameTaken, HostnameTaken, NoCapacity, CatalogueUnavailable],
            codes![
                InvalidName,
                InvalidHostname,
                UnknownBlueprint,
                UnknownVariant,
                UnknownVersion,
                UnknownPlan
            ],
            codes![PlanKindMismatch, ResourcesAbovePlan, MemoryBelowMinimum, EulaNotAccepted],
        ],
        "updateInstance" => vec![codes![InvalidName, NameTaken, InstanceNotActive]],
        "deleteInstance" => vec![codes![InstanceBusy]],
        "sendPowerAction" => vec![PAID, REFUSED, codes![AgentConflict, AgentUnreachable]],
        "getInstanceStatus" => vec![codes![InstanceNotActive, AgentConflict, AgentUnreachable]],
        "createIdeTicket" => vec![PAID, REFUSED, codes![NotAWorkspace]],
        "openConsole" => vec![REFUSED, codes![UpgradeRequired, CsrfRejected]],
        "sendConsoleCommand" => {
            vec![PAID, REFUSED, codes![NotRunning, RateLimited, AgentConflict, AgentUnreachable]]
        }
        "getConsoleHistory" => vec![REFUSED, codes![AgentUnreachable]],
        "streamEvents" => vec![codes![TooManyStreams]],
        "listFiles" | "getFile" | "getFilesUsage" | "getFileJob" => vec![FILES],
        "getFileUpload" | "cancelFileUpload" | "cancelFileJob" => vec![PAID, FILES],
        "sendFileUploadPart" => vec![PAID, FILES, TRANSFER, codes![InstanceBusy, UploadOffsetMismatch]],
        "updateFiles" | "createFileJob" | "createFileUpload" => vec![PAID, FILES, codes![InstanceBusy]],
        "downloadFile" => vec![FILES, TRANSFER],
        "uploadFile" => vec![PAID, FILES, TRANSFER, codes![InstanceBusy]],
        "listBackups" | "getBackup" => vec![],
        "createBackup" => vec![PAID, REFUSED, codes![BackupLimit]],
        "updateBackup" => vec![codes![BackupNotAvailable]],
        "deleteBackup" => vec![codes![BackupLocked, BackupNotAvailable, InstanceBusy]],
        "restoreBackup" => vec![PAID, REFUSED, codes![BackupNotAvailable, BackupLimit]],
        "verifyBackup" => vec![REFUSED, codes![BackupNotAvailable]],
        "cancelOperation" => vec![codes![OperationNotCancellable]],
        "downloadBackup" => {
            vec![
                TRANSFER,
                codes![BackupNotAvailable, InstanceOnHold, RangeNotSatisfiable, StorageUnavailable],
            ]
        }
        "listSchedules" | "getSchedule" | "listScheduleRuns" | "runSchedule" | "deleteSchedule" => vec![],
        "previewTimetable" => vec![SCHEDULE],
        "createSchedule" => vec![SCHEDULE, codes![TooManySchedules, InstanceNotActive]],
        "updateSchedule" => vec![SCHEDULE],
        _ => return None,
    })
}

/// The codes of an operation, those of [`ANY`] left out. `unsafe_method` is one that changes something.
fn codes(operation: &Operation, unsafe_method: bool) -> Vec<Code> {
    let described = serde_json::to_value(operation).unwrap_or_default();
    let parameters = described["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has = |member: &str, value: &str| parameters.iter().any(|it| it[member] == value);
    let callers = described["security"].as_array().map(Vec::as_slice).unwrap_or_default();
    let with_key = callers.iter().any(|it| it.get("api_key").is_some());
    let json = described.pointer("/requestBody/content/application~1json").is_some();
    let rules: [(bool, &[Code]); 9] = [
        (!callers.is_empty(), VIEWED),
        (!callers.is_empty(), SIGNED_IN),
        (!callers.is_empty(), if with_key { codes![ScopeMissing] } else { codes![SessionRequired] }),
        (unsafe_method, codes![CsrfRejected]),
        (has("in", "path"), codes![NotFound]),
        (has("in", "query"), codes![InvalidParameter]),
        (json, BODY),
        (has("name", "Idempotency-Key"), IDEMPOTENT),
        (has("name", "If-Match"), VERSIONED),
    ];
    let worked_out = rules.into_iter().filter(|(applies, _)| *applies).map(|(_, codes)| codes);
    let listed = operation.operation_id.as_deref().and_then(of).unwrap_or_default();
    worked_out.chain(listed).flatten().copied().collect()
}

/// Adds what the operation can be answered with, one response per status, and the one of [`ANY`].
pub(super) fn describe(operation: &mut Operation, unsafe_method: bool) {
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in codes(operation, unsafe_method) {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let responses = &mut operation.responses.responses;
    for (status, codes) in by_status {
        responses.insert(status.to_string(), response(&codes));
    }
    responses.insert("default".to_owned(), response(ANY));
}

fn response(codes: &[Code]) -> RefOr<Response> {
    let lines = codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.title()));
    let names = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>();
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let response = ResponseBuilder::new()
        .description(lines.collect::<Vec<_>>().join("\n\n"))
        .content("application/problem+json", content)
        .extensions(Some(ExtensionsBuilder::new().add(CODES, names).build()));
    RefOr::T(response.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_says_what_it_can_be_refused_with() {
        for (path, mut item) in crate::router::description().paths.paths {
            for (_, operation) in super::super::operations(&mut item) {
                let id = operation.operation_id.clone().unwrap();
                assert!(of(&id).is_some(), "{path}: {id} is not in crates/zpack-api/src/openapi/problems.rs");
            }
        }
    }
}
