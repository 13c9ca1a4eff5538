//! `/api/catalogue`: what can be ordered.

use std::sync::Arc;

use axum::{Json, extract::State};
use domain::blueprint::Blueprint;

use crate::{
    auth::{May, ReadInstances},
    catalogue::Catalogue,
    view::{BlueprintView, PlanView, VariantView},
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
pub async fn plans(State(catalogue): State<Arc<Catalogue>>, _: May<ReadInstances>) -> Json<Vec<PlanView>> {
    Json(catalogue.plans().iter().map(Into::into).collect())
}
