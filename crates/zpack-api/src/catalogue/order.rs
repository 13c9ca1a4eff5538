//! Whether what a customer asks for can be had: the rules of the catalogue, before anything is written.

use domain::{
    blueprint::{Blueprint, Variant},
    instance::Resources,
    name::{NameError, check_hostname, check_name},
    plan::Plan,
};
use integrations::artifacts::ArtifactError;

use super::Catalogue;

/// What a customer asks for.
#[derive(Clone, Copy, Debug)]
pub struct OrderRequest<'a> {
    /// Display name.
    pub name: &'a str,
    /// DNS label; `None` to have one made from the name.
    pub hostname: Option<&'a str>,
    /// Blueprint id.
    pub blueprint: &'a str,
    /// Variant id.
    pub variant: &'a str,
    /// Version; `None` for the newest.
    pub version: Option<&'a str>,
    /// Plan id.
    pub plan: &'a str,
    /// Limits; `None` for all that the plan allows.
    pub resources: Option<Resources>,
    /// Whether the licence is accepted.
    pub accept_eula: bool,
}

/// A request that can be met.
#[derive(Debug)]
pub struct Order<'a> {
    /// What is installed.
    pub blueprint: &'a Blueprint,
    /// Its edition.
    pub variant: &'a Variant,
    /// The edition's version.
    pub version: String,
    /// What is bought.
    pub plan: &'a Plan,
    /// Limits.
    pub resources: Resources,
}

/// Why a request cannot be met.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The display name.
    #[error("{0}")]
    Name(NameError),
    /// The hostname.
    #[error("{0}")]
    Hostname(NameError),
    /// No such blueprint.
    #[error("there is no blueprint {0:?}")]
    UnknownBlueprint(String),
    /// No such variant.
    #[error("the blueprint has no variant {0:?}")]
    UnknownVariant(String),
    /// No such version.
    #[error("the variant has no version {0:?}")]
    UnknownVersion(String),
    /// No version at all.
    #[error("the variant has no version at present")]
    NoVersions,
    /// No such plan.
    #[error("there is no plan {0:?}")]
    UnknownPlan(String),
    /// A plan for something else.
    #[error("the plan {0:?} is for another kind of server")]
    PlanKind(String),
    /// More than the plan allows.
    #[error(
        "the plan allows {} MiB of memory, {} % CPU and {} MiB of disk",
        .0.memory_mib, .0.cpu_percent, .0.disk_mib
    )]
    AbovePlan(Resources),
    /// Less than the game needs.
    #[error("it needs at least {0} MiB of memory")]
    TooLittleMemory(u32),
    /// The licence was not accepted.
    #[error("{name} ({url}) must be accepted with \"accept_eula\": true")]
    Eula {
        /// The licence.
        name: String,
        /// Where it is.
        url: String,
    },
    /// The artifact source.
    #[error("the list of versions cannot be read")]
    Artifacts(#[source] ArtifactError),
}

impl Catalogue {
    /// Checks a request. Only the version may have to be asked for outside, and so comes last.
    pub async fn order<'a>(&'a self, request: OrderRequest<'_>) -> Result<Order<'a>, OrderError> {
        check_name(request.name).map_err(OrderError::Name)?;
        request.hostname.map_or(Ok(()), check_hostname).map_err(OrderError::Hostname)?;
        let unknown = || OrderError::UnknownBlueprint(request.blueprint.to_owned());
        let blueprint = self.blueprint(request.blueprint).ok_or_else(unknown)?;
        let unknown = || OrderError::UnknownVariant(request.variant.to_owned());
        let variant = blueprint.variant(request.variant).ok_or_else(unknown)?;
        let plan = self.plan(request.plan).ok_or_else(|| OrderError::UnknownPlan(request.plan.to_owned()))?;
        let resources = check_resources(blueprint, plan, request.resources)?;
        if let (Some(eula), false) = (&blueprint.eula, request.accept_eula) {
            return Err(OrderError::Eula { name: eula.name.clone(), url: eula.url.clone() });
        }
        let version = self.choose_version(blueprint, variant, request.version).await?;
        Ok(Order { blueprint, variant, version, plan, resources })
    }

    async fn choose_version(
        &self,
        blueprint: &Blueprint,
        variant: &Variant,
        wanted: Option<&str>,
    ) -> Result<String, OrderError> {
        let versions = self.versions(blueprint, variant).await.map_err(OrderError::Artifacts)?;
        match wanted {
            None => versions.into_iter().next().ok_or(OrderError::NoVersions),
            Some(wanted) if versions.iter().any(|version| version == wanted) => Ok(wanted.to_owned()),
            Some(wanted) => Err(OrderError::UnknownVersion(wanted.to_owned())),
        }
    }
}

fn check_resources(
    blueprint: &Blueprint,
    plan: &Plan,
    wanted: Option<Resources>,
) -> Result<Resources, OrderError> {
    if plan.kind != blueprint.kind {
        return Err(OrderError::PlanKind(plan.id.clone()));
    }
    let resources = wanted.unwrap_or(plan.resources);
    if !resources.fits_in(&plan.resources) {
        return Err(OrderError::AbovePlan(plan.resources));
    }
    if resources.memory_mib < blueprint.min_memory_mib {
        return Err(OrderError::TooLittleMemory(blueprint.min_memory_mib));
    }
    Ok(resources)
}
