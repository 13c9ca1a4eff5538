//! What is told outside: what waits, what was not sent and why, and whether mail works.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};
use domain::{
    clock::Clock,
    mail::{Envelope, Mail},
};
use serde::Deserialize;
use store::{
    Db,
    audit::By,
    outbox::{self, Retried, Wanted},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{Operator, operator_actor},
    extract::{Listed, ValidQuery},
    problem::{Code, Problem},
    request_id::RequestId,
    view::{ChannelView, NotificationView, PageView, RequestedMailView},
};

/// Which notifications are wanted.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationState {
    /// All of them.
    #[default]
    All,
    /// Still to be sent.
    Waiting,
    /// Given up.
    Failed,
    /// Sent.
    Sent,
}

/// Which notifications are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ByNotificationState {
    /// Only those that wait, have failed, or were sent; all unless told.
    #[serde(default)]
    #[param(inline)]
    state: NotificationState,
}

/// What is told outside by mail and chat, newest first. What a mail says is not shown: it may have a link that lets people in.
#[utoipa::path(
    get, path = "/operator/notifications", tag = "operator", operation_id = "listNotifications",
    params(Listed, ByNotificationState),
    responses((status = 200, body = PageView<NotificationView>)),
    security(("session" = []))
)]
pub async fn list(
    State(db): State<Db>,
    _: Operator,
    ValidQuery(listed): ValidQuery<Listed>,
    ValidQuery(ByNotificationState { state }): ValidQuery<ByNotificationState>,
) -> Result<Json<PageView<NotificationView>>, Problem> {
    let wanted = match state {
        NotificationState::All => Wanted::All,
        NotificationState::Waiting => Wanted::Waiting,
        NotificationState::Failed => Wanted::Failed,
        NotificationState::Sent => Wanted::Sent,
    };
    Ok(Json(PageView::of(outbox::list(&db, wanted, listed.page()).await?)))
}

/// The ways to reach people: where each sends, what waits, and whether anything leaves.
#[utoipa::path(
    get, path = "/operator/channels", tag = "operator", operation_id = "listChannels",
    responses((status = 200, body = Vec<ChannelView>)),
    security(("session" = []))
)]
pub async fn channels(State(db): State<Db>, _: Operator) -> Result<Json<Vec<ChannelView>>, Problem> {
    Ok(Json(outbox::standings(&db).await?.into_iter().map(Into::into).collect()))
}

/// Has one sent now that waits, or was given up: once what was in its way is mended.
#[utoipa::path(
    post, path = "/operator/notifications/{id}/retry", tag = "operator", operation_id = "retryNotification",
    params(("id" = Uuid, Path, description = "The notification.")),
    responses((status = 202)),
    security(("session" = []))
)]
pub async fn retry(
    State(db): State<Db>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(id) = id.map_err(|_| Problem::not_found())?;
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    match outbox::retry(&db, id, by).await?.ok_or_else(Problem::not_found)? {
        Retried::Waiting => {
            tracing::info!(notification = %id, %actor, "notification {id} is tried again, as {actor} asked");
            Ok(StatusCode::ACCEPTED)
        }
        Retried::Sent => {
            Err(Problem::new(Code::NotificationSent, "It is not sent a second time. Nothing was changed."))
        }
    }
}

/// Sends a mail to the operator who asks, the way of all mails: through the outbox.
#[utoipa::path(
    post, path = "/operator/mail/test", tag = "operator", operation_id = "sendTestMail",
    responses((status = 202, body = RequestedMailView)),
    security(("session" = []))
)]
pub async fn test_mail(
    State(db): State<Db>,
    State(clock): State<Arc<dyn Clock>>,
    operator: Operator,
    Extension(request_id): Extension<RequestId>,
) -> Result<(StatusCode, Json<RequestedMailView>), Problem> {
    let actor = operator_actor(&operator.customer);
    let by = By { actor: &actor, request_id: Some(&request_id.0) };
    let to = operator.customer.email;
    let envelope = Envelope { to: to.clone(), to_name: None, mail: Mail::Test { asked_at: clock.now() } };
    let notification_id = outbox::request_mail(&db, &envelope, by).await?;
    tracing::info!(notification = %notification_id, %actor, "{actor} asked for a test mail");
    Ok((StatusCode::ACCEPTED, Json(RequestedMailView { notification_id, recipient: to })))
}
