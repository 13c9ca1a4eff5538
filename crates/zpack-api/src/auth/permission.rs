//! Permissions as types: what a handler's caller may do stands in its signature.

use std::{marker::PhantomData, ops::Deref, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use domain::{
    account::{ApiScope, Customer, Role},
    enforcement::Gate,
};

use super::{Auth, Caller, Credential, SignedIn};
use crate::problem::{Code, Problem};

/// Something that a caller may or may not do.
pub trait Permission: Send + Sync + 'static {
    /// The scope that an API key needs for it.
    const SCOPE: ApiScope;
    /// What an open payment may block of it. Reading, deleting and paying are never blocked.
    const GATE: Option<Gate>;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $scope:ident $(unless $gate:ident is blocked)?,)+) => {
        $($(#[$doc])* #[derive(Clone, Copy, Debug)] pub enum $name {}
        impl Permission for $name {
            const SCOPE: ApiScope = ApiScope::$scope;
            const GATE: Option<Gate> = permissions!(@gate $($gate)?);
        })+
    };
    (@gate) => { None };
    (@gate $gate:ident) => { Some(Gate::$gate) };
}

permissions! {
    /// To see instances, operations, events and the catalogue.
    ReadInstances = InstancesRead,
    /// To create instances.
    CreateInstances = InstancesWrite unless NewInstances is blocked,
    /// To give instances another plan.
    ChangePlans = InstancesWrite unless Upgrades is blocked,
    /// To rename and delete instances.
    WriteInstances = InstancesWrite,
    /// To switch instances.
    PowerInstances = InstancesPower unless Power is blocked,
    /// To see and change schedules. What a schedule does needs a permission of its own.
    Schedules = Schedules,
    /// To see, verify and delete backups.
    ManageBackups = Backups,
    /// To make backups.
    CreateBackups = Backups unless NewBackups is blocked,
    /// To write backups over what is there.
    RestoreBackups = Backups unless FileWrites is blocked,
    /// To watch consoles.
    WatchConsole = InstancesConsole,
    /// To type in consoles.
    UseConsole = InstancesConsole unless Console is blocked,
    /// To see and download files.
    ReadFiles = FilesRead,
    /// To change files.
    WriteFiles = FilesWrite unless FileWrites is blocked,
    /// To see the account.
    ReadAccount = AccountRead,
}

/// A caller who may do P.
#[derive(Clone, Debug)]
pub struct May<P> {
    caller: Caller,
    permission: PhantomData<P>,
}

impl<P> Deref for May<P> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<S: Send + Sync, P: Permission> FromRequestParts<S> for May<P>
where
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.has(P::SCOPE) {
            return match P::GATE {
                Some(gate) if !caller.customer.stage.allows(gate) => {
                    Err(Problem::payment_open(caller.customer.stage, gate))
                }
                _ => Ok(Self { caller, permission: PhantomData }),
            };
        }
        let detail = match caller.credential {
            Credential::View(_) => "This is the customer's own, and not shown to operators.".to_owned(),
            _ => format!("The API key would need the scope {}.", P::SCOPE),
        };
        Err(Problem::new(Code::ScopeMissing, detail))
    }
}

/// A signed-in operator.
#[derive(Clone, Debug)]
#[expect(
    clippy::manual_non_exhaustive,
    reason = "that attribute would let the handlers of this crate make one"
)]
pub struct Operator {
    /// Their account.
    pub customer: Customer,
    _made_here: (),
}

impl<S: Send + Sync> FromRequestParts<S> for Operator
where
    Arc<Auth>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let SignedIn { customer, .. } = SignedIn::from_request_parts(parts, state).await?;
        match customer.role {
            Role::Operator => Ok(Self { customer, _made_here: () }),
            Role::Customer => Err(Problem::new(Code::OperatorOnly, "Your account is a customer's.")),
        }
    }
}
