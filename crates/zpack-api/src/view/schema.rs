//! Schemas of the domain's enums: the values that SQL and JSON share.

use domain::{
    account::{ActorKind, ApiScope, Role},
    backup::{BackupOrigin, BackupState},
    billing::{CheckoutState, PlanChangeState},
    drift::Mode,
    enforcement::{Cause, Gate, Stage},
    instance::{DesiredPower, HoldReason, InstanceKind, Lifecycle, ObservedPower, Protocol},
    operation::{OperationKind, OperationState, StepName, StepState},
    schedule::{RunOrigin, RunState, ScheduleAction},
};
use utoipa::openapi::{Object, ObjectBuilder, schema::Type};

macro_rules! one_of {
    ($($function:ident = $enum:ident,)+) => {
        $(#[doc = concat!("The values of [`", stringify!($enum), "`].")]
        pub fn $function() -> Object {
            let values = $enum::ALL.iter().map(|value| value.as_str());
            ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).build()
        })+
    };
}

one_of! {
    api_scope = ApiScope,
    role = Role,
    actor_kind = ActorKind,
    instance_kind = InstanceKind,
    lifecycle = Lifecycle,
    desired_power = DesiredPower,
    observed_power = ObservedPower,
    protocol = Protocol,
    operation_kind = OperationKind,
    operation_state = OperationState,
    step_name = StepName,
    step_state = StepState,
    backup_origin = BackupOrigin,
    backup_state = BackupState,
    schedule_action = ScheduleAction,
    run_origin = RunOrigin,
    run_state = RunState,
    stage = Stage,
    cause = Cause,
    gate = Gate,
    checkout_state = CheckoutState,
    plan_change_state = PlanChangeState,
    controller_mode = Mode,
    hold_reason = HoldReason,
}

/// What is blocked.
pub fn gates() -> utoipa::openapi::Array {
    utoipa::openapi::ArrayBuilder::new().items(gate()).build()
}

/// A list of scopes.
pub fn api_scopes() -> utoipa::openapi::Array {
    utoipa::openapi::ArrayBuilder::new().items(api_scope()).build()
}

/// A step, or none yet.
pub fn nullable_step_name() -> Object {
    use utoipa::openapi::schema::SchemaType;
    let mut schema = step_name();
    schema.schema_type = SchemaType::from_iter([Type::String, Type::Null]);
    if let Some(values) = &mut schema.enum_values {
        values.push(serde_json::Value::Null);
    }
    schema
}
