//! `/api/catalogue`: what can be ordered.

use std::sync::Arc;

use axum::{Json, extract::State};
use domain::{blueprint::Blueprint, name::check_hostname};
use serde::Deserialize;
use store::Db;
use utoipa::IntoParams;

use crate::{
    auth::{May, ReadInstances},
    catalogue::Catalogue,
    extract::ValidQuery,
    problem::{Code, Problem},
    view::{BlueprintView, HostnameView, PlanView, VariantView},
};

/// Games and workspaces, with the versions that can be had at this moment.
#[utoipa::path(
    get, path = "/catalogue/blueprints", tag = "catalogue", operation_id = "listBlueprints",
    responses((status = 200, body = Vec<BlueprintView>)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn blueprints(
    State(catalogue): State<Arc<Catalogue>>,
    _: May<ReadInstances>,
) -> Json<Vec<BlueprintView>> {
    let mut views = Vec::new();
    for blueprint in catalogue.blueprints() {
        views.push(BlueprintView::new(blueprint, variants(&catalogue, blueprint).await));
    }
    Json(views)
}

/// A list that cannot be read is empty here, so that the games which do not need it can be ordered all the same.
async fn variants(catalogue: &Catalogue, blueprint: &Blueprint) -> Vec<VariantView> {
    let mut views = Vec::new();
    for variant in &blueprint.variants {
        let versions = catalogue.versions(blueprint, variant).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the versions of {} cannot be read and are shown as none: {error}", variant.name);
            Vec::new()
        });
        views.push(VariantView::new(variant, versions));
    }
    views
}

/// Resources and prices.
#[utoipa::path(
    get, path = "/catalogue/plans", tag = "catalogue", operation_id = "listPlans",
    responses((status = 200, body = Vec<PlanView>)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn plans(
    State(catalogue): State<Arc<Catalogue>>,
    State(db): State<Db>,
    _: May<ReadInstances>,
) -> Result<Json<Vec<PlanView>>, Problem> {
    let plans = catalogue.plans();
    let amounts = plans.iter().map(|plan| plan.resources).collect::<Vec<_>>();
    let rooms = store::nodes::have_room(&db, &amounts).await?;
    Ok(Json(plans.iter().zip(rooms).map(|(plan, room)| PlanView::new(plan, room)).collect()))
}

/// Which hostname is asked about.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// A DNS label, as in a create request.
    #[param(max_length = 200)]
    hostname: String,
}

/// Whether a hostname can be had at this moment. A create request may still find that somebody was faster.
#[utoipa::path(
    get, path = "/catalogue/hostnames", tag = "catalogue", operation_id = "checkHostname",
    params(Wanted),
    responses((status = 200, body = HostnameView)),
    security(("session" = []), ("api_key" = ["instances:read"]))
)]
pub async fn hostname(
    State(db): State<Db>,
    _: May<ReadInstances>,
    ValidQuery(Wanted { hostname }): ValidQuery<Wanted>,
) -> Result<Json<HostnameView>, Problem> {
    if let Err(wrong) = check_hostname(&hostname) {
        return Ok(Json(HostnameView::refused(hostname, Code::InvalidHostname.as_str(), wrong.to_string())));
    }
    Ok(Json(if store::instances::hostname_is_taken(&db, &hostname).await? {
        let message = "Another server has this address. Choose another one.";
        HostnameView::refused(hostname, Code::HostnameTaken.as_str(), message.to_owned())
    } else {
        HostnameView { hostname, available: true, reason: None }
    }))
}
