//! Permissions as types: what a handler's caller may do stands in its signature.

use std::{marker::PhantomData, ops::Deref, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use domain::account::{ApiScope, Customer, Role};

use super::{Auth, Caller, Credential, SignedIn};
use crate::problem::{Code, Problem};

/// Something that a caller may or may not do.
pub trait Permission: Send + Sync + 'static {
    /// The scope that an API key needs for it.
    const SCOPE: ApiScope;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $scope:ident,)+) => {
        $($(#[$doc])* #[derive(Clone, Copy, Debug)] pub enum $name {}
        impl Permission for $name { const SCOPE: ApiScope = ApiScope::$scope; })+
    };
}

permissions! {
    /// To see instances, operations, events and the catalogue.
    ReadInstances = InstancesRead,
    /// To create, rename and delete instances.
    WriteInstances = InstancesWrite,
    /// To switch instances.
    PowerInstances = InstancesPower,
    /// To see and change schedules. What a schedule does needs a permission of its own.
    Schedules = Schedules,
    /// To see, make, restore and delete backups.
    ManageBackups = Backups,
    /// To watch consoles and to type in them.
    UseConsole = InstancesConsole,
    /// To see and download files.
    ReadFiles = FilesRead,
    /// To change files.
    WriteFiles = FilesWrite,
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
            return Ok(Self { caller, permission: PhantomData });
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
