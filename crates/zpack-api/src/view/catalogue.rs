//! What can be ordered.

use domain::{
    blueprint::{Blueprint, Eula, Variant},
    instance::InstanceKind,
    plan::Plan,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ReasonView, ResourcesView, schema};

/// A game or a workspace on offer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Blueprint)]
pub struct BlueprintView {
    /// For the create request.
    pub id: String,
    /// For people.
    pub name: String,
    /// One sentence for people.
    pub summary: String,
    /// Which plans it runs on.
    #[schema(schema_with = schema::instance_kind)]
    pub kind: InstanceKind,
    /// Least memory in MiB with which it works.
    pub min_memory_mib: u32,
    /// What has to be accepted in the create request.
    #[schema(required)]
    pub eula: Option<EulaView>,
    /// Its editions.
    pub variants: Vec<VariantView>,
}

impl BlueprintView {
    /// A blueprint with the versions of its variants.
    pub fn new(blueprint: &Blueprint, variants: Vec<VariantView>) -> Self {
        Self {
            id: blueprint.id.clone(),
            name: blueprint.name.clone(),
            summary: blueprint.summary.clone(),
            kind: blueprint.kind,
            min_memory_mib: blueprint.min_memory_mib,
            eula: blueprint.eula.clone().map(Into::into),
            variants,
        }
    }
}

/// Terms of use that only the customer can accept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Eula)]
pub struct EulaView {
    /// For people.
    pub name: String,
    /// Where it can be read.
    pub url: String,
}

impl From<Eula> for EulaView {
    fn from(eula: Eula) -> Self {
        Self { name: eula.name, url: eula.url }
    }
}

/// An edition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Variant)]
pub struct VariantView {
    /// For the create request.
    pub id: String,
    /// For people.
    pub name: String,
    /// Newest first. Empty while the list cannot be read, or when there is none: it cannot be created then.
    pub versions: Vec<String>,
}

impl VariantView {
    /// A variant with its versions.
    pub fn new(variant: &Variant, versions: Vec<String>) -> Self {
        Self { id: variant.id.clone(), name: variant.name.clone(), versions }
    }
}

/// What can be bought.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanView {
    /// For the create request.
    pub id: String,
    /// For people.
    pub name: String,
    /// Which instances it is for.
    #[schema(schema_with = schema::instance_kind)]
    pub kind: InstanceKind,
    /// Upper limits of one instance.
    pub resources: ResourcesView,
    /// Price per month in the currency's minor unit.
    pub price_minor: u32,
    /// Most backups kept of one instance.
    pub backup_limit: u32,
    /// ISO 4217 code.
    pub currency: String,
    /// Whether there is room for one more at this moment, with all that the plan allows.
    pub available: bool,
}

impl PlanView {
    /// A plan, and whether there is room for it.
    pub fn new(plan: &Plan, available: bool) -> Self {
        Self {
            id: plan.id.clone(),
            name: plan.name.clone(),
            kind: plan.kind,
            resources: plan.resources.into(),
            price_minor: plan.price_minor,
            backup_limit: plan.backups,
            currency: plan.currency.clone(),
            available,
        }
    }
}

/// Whether a hostname can be had.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HostnameAvailability)]
pub struct HostnameView {
    /// What was asked about.
    pub hostname: String,
    /// Whether it can be had.
    pub available: bool,
    /// Why not: `invalid_hostname` or `hostname_taken`.
    #[schema(required)]
    pub reason: Option<ReasonView>,
}

impl HostnameView {
    /// One that cannot be had.
    pub fn refused(hostname: String, code: &str, message: String) -> Self {
        let reason = ReasonView { code: code.to_owned(), message };
        Self { hostname, available: false, reason: Some(reason) }
    }
}
